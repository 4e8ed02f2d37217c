"""A study over which a rule fails holds up no other; a decision keeps the rules it was made by."""

import threading
from datetime import timedelta

import pytest
import sqlalchemy as sa

from gateway.clock import utc_now
from gateway.model.deliveries import State
from gateway.model.destinations import Destination
from gateway.model.routing.document import parse_rule_set
from gateway.model.sites import Region
from gateway.orthanc.wire import Wire
from gateway.records.alarms import load_alarms
from gateway.records.arrivals import Arrived, arrival
from gateway.records.delivery_desk import Filter, list_deliveries
from gateway.records.planning import save_decided
from gateway.records.rules import activate, save_version
from gateway.routing import intake as intakes
from gateway.routing.intake import Intake
from gateway.routing.invariants import check_invariants
from gateway.worker import arrivals
from gateway.worker.arrivals import judge_portion
from tests.arrived import SITE, a_manifest, arrival_of, plan, touch
from tests.fakes import a_site

RULES = """
site: gkb1
rules:
  - id: all
    name: Всё
    state: active
    when:
      all: [{field: ModalitiesInStudy, op: any_of, value: [CT]}]
    then: [{do: send, target: TARGET}]
otherwise: [{do: hold, reason: нет правила}]
"""
ARCHIVE = Destination("archive", "Архив", "Archive", "dicomweb")
REGION = Region("Область", "Region", SITE, (a_site(SITE),), (ARCHIVE,))


@pytest.fixture
def intake(records):
    wire = Wire()
    yield Intake(records, wire, None, threading.Lock())
    wire.close()


def rules(records, target, seen):
    rule_set, mistakes = parse_rule_set(RULES.replace("TARGET", target))
    assert rule_set, mistakes
    now = utc_now()
    number = save_version(records, rule_set, "t", "", seen, now)
    activate(records, SITE, number, now, "t", now)


def some_time_ago(records, *uids):
    """They arrived ten minutes ago."""
    then = utc_now() - timedelta(minutes=10)
    for uid in uids:
        touch(records, uid, 1, then)


def test_a_rule_that_fails_over_a_study_puts_it_aside_with_an_alarm(records, intake, monkeypatch):
    """F42: the others go on."""
    rules(records, "archive", 0)
    some_time_ago(records, "1.2.1", "1.2.2", "1.2.3")
    look = arrivals.look_at_study

    def judged(intake, site, seen, versions, now):
        if seen.study_uid == "1.2.2":
            raise ZeroDivisionError("Иванов")
        return look(intake, site, seen, versions, now)

    monkeypatch.setattr(arrivals, "look_at_study", judged)
    monkeypatch.setattr(intakes, "_judge", lambda *_: intakes.Decided(Arrived.HELD, "look"))
    assert judge_portion(intake, REGION.sites[0])
    states = {uid: arrival_of(records, uid) for uid in ("1.2.1", "1.2.2", "1.2.3")}
    assert [one.state for one in states.values()] == ["held", "failed", "held"]
    assert states["1.2.2"].reason == "error: ZeroDivisionError", "and nothing of the patient"
    check_invariants(records, REGION, utc_now(), None)
    told = [(one.kind, one.subject) for one in load_alarms(records)]
    assert told == [("studies_not_judged", SITE)]

    monkeypatch.setattr(arrivals, "look_at_study", look)  # the rule is mended
    due = sa.update(arrival).values(due_at=utc_now()).where(arrival.c.study_uid == "1.2.2")
    with records.write() as connection:
        connection.execute(due)
    judge_portion(intake, REGION.sites[0])
    check_invariants(records, REGION, utc_now(), None)
    assert (arrival_of(records, "1.2.2").state, load_alarms(records)) == ("held", [])


def test_new_rules_change_no_delivery_that_is_on_its_way(records):
    """F43: a delivery keeps the version that wanted it."""
    touch(records, "1.2.1", 1, utc_now())
    plan(records, "1.2.1", utc_now())
    rules(records, "archive", 0)
    rules(records, "reserve", 1)
    (one,) = list_deliveries(records, Filter())
    assert (one.destination, one.versions, one.state) == ("archive", "gkb1:1", State.PLANNED)
    seen = arrival_of(records, "1.2.1")
    again = intakes.Decided(Arrived.PLANNED, versions="gkb1:2", manifest=a_manifest("1.2.1", 1))
    save_decided(records, seen, again, utc_now(), None)
    (same,) = list_deliveries(records, Filter())
    assert same == one
