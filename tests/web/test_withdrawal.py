"""Which running answers are ended: those whose asker may not ask for them any more."""

from gateway.errors import NotSignedIn, RecordsUnavailable
from gateway.model.access import Action, Actor, Duty, Reach, Role, at
from gateway.web.withdrawal import Download, Running

NORTH, SOUTH = frozenset({"north"}), frozenset({"south"})


def doctor(sites: frozenset[str]) -> Actor:
    return Actor("a1", (Duty(Role.DOCTOR, Reach(sites)),))


class Answers:
    """Downloads of one process; what credentials are worth now, and which were cut."""

    def __init__(self) -> None:
        self.running = Running()
        self.now: dict[str, Actor | Exception] = {}
        self.asked: list[str] = []
        self.cut: list[str] = []

    def begin(self, credential: str, name: str, site_id: str = "north"):
        def ask_again() -> Actor:
            self.asked.append(credential)
            found = self.now[credential]
            if isinstance(found, Exception):
                raise found
            return found

        thing = at(site_id, "1.2.3")
        return self.running.add(
            Download(credential, ask_again, Action.RETRIEVE, thing, lambda: self.cut.append(name))
        )


def test_a_download_goes_on_as_long_as_its_right_and_each_credential_is_asked_about_once():
    answers = Answers()
    answers.now = {"x": doctor(NORTH), "y": doctor(NORTH)}
    for n in range(50):
        answers.begin("x", f"x{n}")
    answers.begin("y", "y")
    assert (answers.running.look(), answers.asked, answers.cut) == (0, ["x", "y"], [])
    answers.now["x"] = NotSignedIn()
    assert answers.running.look() == 50
    assert answers.cut == [f"x{n}" for n in range(50)]


def test_a_right_that_became_smaller_ends_what_lies_outside_of_it():
    answers = Answers()
    answers.now = {"x": doctor(SOUTH)}
    answers.begin("x", "of the north", "north")
    answers.begin("x", "of the south", "south")
    answers.running.look()
    assert answers.cut == ["of the north"]


def test_an_outage_of_the_database_ends_nothing():
    answers = Answers()
    answers.now = {"x": RecordsUnavailable("away")}
    answers.begin("x", "x")
    assert (answers.running.look(), answers.cut) == (0, [])


def test_what_has_come_to_its_end_is_not_looked_at():
    answers = Answers()
    answers.now = {"x": NotSignedIn()}
    answers.begin("x", "x")()
    assert (answers.running.look(), answers.asked) == (0, [])
