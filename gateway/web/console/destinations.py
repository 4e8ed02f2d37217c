"""`/console/destinations`: how each destination takes what is sent to it, and tests of connection.

What may be tested is what region.toml names, five times a minute in all (trust.md H33).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from flask import Blueprint, Response, request

from gateway.bootstrap import Gateway
from gateway.clock import utc_now
from gateway.errors import NotFound, TooManyTries
from gateway.log import log
from gateway.model.access import Action
from gateway.model.delivery_words import reason_in_words
from gateway.model.destinations import Destination
from gateway.model.pace import Pace
from gateway.model.wording import Words, volume
from gateway.records.delivery_pages import count_open
from gateway.records.dispatch import load_paces, unblock
from gateway.routing.try_destination import Check, try_destination
from gateway.turns import Turns
from gateway.web.console.frame import actor, back_to, did_of, own_form, reach, show
from gateway.web.console.rule_words import VERIFY_WORDS
from gateway.web.console.words import GROUPS
from gateway.web.permissions import needs

TESTS_A_MINUTE = 5
CHECKED: Mapping[str, Words] = {
    "answers": Words("связь", "connection"),
    "stores": Words("приём исследований", "storing of studies"),
    "room": Words("место на диске", "room on its disk"),
}
FACTS: Mapping[str, Words] = {
    "version": Words("версия", "version"),
    "instances": Words("снимков", "instances"),
    "used_bytes": Words("занято", "used"),
    "free_bytes": Words("свободно", "free"),
}


@dataclass(frozen=True)
class Standing:
    """One destination now.

    open   its deliveries that have not ended, by group
    room   how many it may have at once now, emergencies aside
    """

    destination: Destination
    pace: Pace | None
    open: Mapping[str, int]
    now: datetime

    @property
    def room(self) -> int:
        limits = self.destination.limits
        return (self.pace or Pace(float(limits.parallel))).room(limits, self.now)

    @property
    def state(self) -> str:
        """blocked, rests, tries (one delivery may, after a rest), closed (by its hours) or open."""
        if self.pace and self.pace.blocked:
            return "blocked"
        if not self.destination.limits.is_open(self.now):
            return "closed"
        if self.pace and self.pace.rests_until is not None:
            return "rests" if self.pace.rests_until > self.now else "tries"
        return "open"


@dataclass(frozen=True)
class Answer:
    """One answer of a test, in words."""

    well: bool
    what: Words
    said: Words


def add_routes(door: Blueprint, gateway: Gateway) -> None:
    """/console/destinations"""
    own = own_form(gateway)
    turns = Turns(gateway.settings.redis_url, "destination-tests", TESTS_A_MINUTE)

    def page(tested: str = "", answers: tuple[Answer, ...] = ()) -> Response:
        return show(
            gateway, "destinations", standings=read_standings(gateway), tested=tested,
            answers=answers, groups=GROUPS, proofs=VERIFY_WORDS, did=did_of(request.args),
        )  # fmt: skip

    def find(destination_id: str) -> Destination:
        found = gateway.region.destination(destination_id)
        if found is None:
            raise NotFound("destination")
        return found

    @door.get("/destinations")
    @needs(Action.READ_DELIVERIES)
    def destinations() -> Response:
        return page()

    @door.post("/destinations/<destination_id>/test")
    @needs(Action.RESEND)
    @own
    def test_connection(destination_id: str) -> Response:
        destination = find(destination_id)
        wait_s = turns.take()
        if wait_s:
            raise TooManyTries(wait_s)
        found = try_destination(gateway.wire, destination, gateway.region.sites)
        log.info("destination tested", destination=destination_id, by=actor())
        return page(destination_id, tuple(map(in_words, found)))

    @door.post("/destinations/<destination_id>/wake")
    @needs(Action.RESEND)
    @own
    def wake(destination_id: str) -> Response:
        find(destination_id)
        count = unblock(gateway.records, destination_id, utc_now(), actor())
        log.info("destination tried again", destination=destination_id, count=count, by=actor())
        return back_to("console.destinations", done="wake", count=count)


def read_standings(gateway: Gateway) -> list[Standing]:
    """Every destination of region.toml, in its order."""
    paces, counts, now = (
        load_paces(gateway.records),
        count_open(gateway.records, reach()),
        utc_now(),
    )
    found = []
    for one in gateway.region.destinations:
        mine = {
            name: sum(
                count
                for (destination, _, state), count in counts.items()
                if destination == one.destination_id and state in group.states
            )
            for name, group in GROUPS.items()
        }
        found.append(Standing(one, paces.get(one.destination_id), mine, now))
    return found


def in_words(check: Check) -> Answer:
    """What a test found, and what to do about it."""
    what = CHECKED.get(check.what)
    if what is None:
        site_id = check.what.removeprefix("node ")
        what = Words(f"узел DICOM, с площадки {site_id}", f"DICOM node, from site {site_id}")
    if check.reason:
        return Answer(False, what, reason_in_words(check.reason))
    told = [(FACTS[name], _value(name, value)) for name, value in check.facts.items() if value]
    return Answer(
        True, what,
        Words(
            ", ".join(f"{words.ru} {value.ru}" for words, value in told),
            ", ".join(f"{words.en} {value.en}" for words, value in told),
        ),
    )  # fmt: skip


def _value(name: str, value: object) -> Words:
    if name.endswith("_bytes") and isinstance(value, int):
        return volume(value)
    return Words(str(value), str(value))
