"""From facts to deliveries: quiet times, lanes, and that nothing ends without a state."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from gateway.model.routing.facts import gather
from gateway.model.routing.mistakes import Reader
from gateway.model.routing.rule_sets import read_rule_set
from gateway.records.arrivals import Arrival, Arrived
from gateway.records.rules import Version
from gateway.routing.plan import first_look_at, judge_unruled, plan_study
from tests.model.routing.studies import CT, NORTH, arrival

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
STUDY = gather(arrival(), [CT])
IS_CT = {"all": [{"field": "Modality", "op": "equals", "value": "CT"}]}
IS_MR = {"all": [{"field": "Modality", "op": "equals", "value": "MR"}]}
TO_ARCHIVE = {"do": "send", "target": "archive"}
HOLD = {"do": "hold", "reason": "look"}


def seen(seconds_ago: float = 0, **other) -> Arrival:
    """A study whose last image came so long ago."""
    at = NOW - timedelta(seconds=seconds_ago)
    made = Arrival(
        "north", "1.2.3", at, at, 1, False, at, at, Arrived.SEEN, "", "", "", 0, "", None
    )
    return replace(made, **other)


def rules(*given, otherwise=HOLD, owner="north"):
    entries = [
        {"id": f"r{n}", "name": "r", "state": "active", **entry} for n, entry in enumerate(given)
    ]
    document = {"site": owner, "rules": entries}
    found = read_rule_set(Reader(document | ({"otherwise": [otherwise]} if otherwise else {})))
    assert found is not None
    return found


def rule(when=IS_CT, then=TO_ARCHIVE, **rest):
    return {"when": when, "then": [then], **rest}


def lane(name):
    return {"schedule": {"lane": name}}


def plan(rule_set, arrived, now=NOW):
    return plan_study([rule_set], STUDY, arrived, "north:1", now)


def wait_of(decided):
    return None if decided.look_at is None else (decided.look_at - NOW).total_seconds()


def test_each_lane_waits_for_its_own_quiet():
    for name, quiet_s in (("emergency", 0), ("routine", 15), ("bulk", 60)):
        its = rules(rule(**lane(name)))
        if quiet_s:
            early = plan(its, seen(1))
            assert (early.state, wait_of(early)) == (None, quiet_s - 1)
        ready = plan(its, seen(quiet_s))
        assert (ready.state, ready.look_at) == (Arrived.PLANNED, None)
        assert [(w.destination, w.lane, w.rule) for w in ready.wanted] == [
            ("archive", name, "north/r0")
        ]


def test_a_rule_may_say_how_long_and_a_study_that_never_rests_goes_all_the_same():
    its = rules(rule(trigger={"quiet_s": 100, "force_after_s": 300}))
    assert wait_of(plan(its, seen(30))) == 70
    growing = seen(1, growing_since=NOW - timedelta(seconds=300))
    assert plan(its, growing).state is Arrived.PLANNED


def test_an_emergency_goes_at_once_and_the_other_lane_of_the_same_study_waits_in_the_table():
    its = rules(
        rule(**lane("emergency")), rule(then={"do": "send", "target": "second"}, **lane("bulk"))
    )
    found = {w.destination: (w.next_at - NOW).total_seconds() for w in plan(its, seen()).wanted}
    assert found == {"archive": 0, "second": 60}


def test_what_is_not_sent_has_a_state_and_a_reason():
    held = plan(rules(rule(IS_MR)), seen(99))
    assert (held.state, held.reason, held.rule) == (Arrived.HELD, "look", "north/otherwise")
    dropped = plan(rules(rule(then={"do": "drop", "reason": "phantom"})), seen(99))
    assert (dropped.state, dropped.reason) == (Arrived.DROPPED, "phantom")
    here = plan(rules(rule(then={"do": "send", "target": "north"})), seen(99))
    assert (here.state, here.wanted) == (Arrived.EXEMPT, ())


def test_what_is_held_is_looked_at_when_it_is_quiet_too():
    assert wait_of(plan(rules(rule(IS_MR)), seen(1))) == 14


def test_the_backlog_goes_in_bulk():
    found = plan(rules(rule(**lane("emergency"))), seen(99, backlog=True))
    assert [w.lane for w in found.wanted] == ["bulk"]


def test_nobody_asks_for_facts_before_any_rule_could_take_the_study():
    slow, fast = rules(rule(**lane("bulk"))), rules(rule(IS_MR, **lane("emergency")))
    assert (first_look_at([slow], seen()) - NOW).total_seconds() == 15, "the last rule is routine"
    assert first_look_at([slow, fast], seen()) == NOW


def test_without_rules_of_its_own_a_hospital_waits_and_says_so():
    of_ministry = Version(
        "ministry", 1, "a", "c", NOW, rules(rule(), otherwise=None, owner="ministry")
    )
    own = Version("north", 1, "a", "c", NOW, rules(rule()))
    for versions in ((), (of_ministry,)):
        decided = judge_unruled(NORTH, versions)
        assert (decided.state, decided.reason) == (Arrived.UNRULED, "no_active_rules")
        archive = judge_unruled(replace(NORTH, role="archive"), versions)
        assert (archive.state, archive.reason) == (Arrived.UNRULED, "archive_without_rules")
    assert judge_unruled(NORTH, (of_ministry, own)) is None
