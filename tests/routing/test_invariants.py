"""Alarms of deliveries: each with its cause, gone with its cause."""

from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.model.deliveries import Event
from gateway.model.destinations import Destination
from gateway.model.sites import Region
from gateway.records.alarms import load_alarms
from gateway.records.arrivals import Arrived
from gateway.records.deliveries import Report
from gateway.records.delivery_desk import Filter, retry
from gateway.records.dispatch import claim, save_report, unblock
from gateway.records.planning import Decided, save_decided
from gateway.routing.invariants import check_invariants
from tests.arrived import NOW, SITE, arrival_of, plan, room, touch
from tests.fakes import a_site

ARCHIVE = Destination("archive", "Архив", "Archive", "dicomweb")
REGION = Region("Область", "Region", SITE, (a_site(SITE),), (ARCHIVE,))


@pytest.fixture
def look(records):
    """look(seconds) -> what is open after a check so many seconds after NOW."""

    def check(seconds, region=REGION):
        check_invariants(records, region, NOW + timedelta(seconds=seconds), None)
        return {(one.kind, one.subject) for one in load_alarms(records)}

    return check


def say(records, event, reason, now=NOW):
    (one,) = claim(records, room(), now, None)
    save_report(records, one.delivery_id, one.fence, Report(event, reason), now, "w", ARCHIVE)


def decide(records, state, reason, now=NOW):
    save_decided(records, arrival_of(records, "1.2.1"), Decided(state, reason), now, None)


def test_all_is_well_without_an_alarm(records, look):
    assert look(0) == set()


def test_a_study_that_nobody_judges_and_one_without_rules(records, look):
    touch(records, "1.2.1", 1, NOW)
    assert look(30) == set()
    assert look(90) == {("arrivals_wait", SITE)}
    decide(records, Arrived.UNRULED, "archive_without_rules")
    assert look(95) == set(), "an archive need not send"
    decide(records, Arrived.UNRULED, "no_active_rules")
    assert look(99) == {("studies_without_rules", SITE)}
    decide(records, Arrived.FAILED, "site_timeout")
    assert look(99) == {("studies_not_judged", SITE)}
    decide(records, Arrived.GONE, "source_gone")
    assert look(99) == {("source_lost", SITE)}, "it was never sent"
    decide(records, Arrived.HELD, "look")
    assert look(100) == set()


def test_deliveries_that_nobody_takes(records, look):
    touch(records, "1.2.1", 1, NOW)
    plan(records, "1.2.1", NOW)
    assert look(59) == set()
    assert look(90) == {("deliveries_stuck", "archive")}
    elsewhere = replace(REGION, destinations=())
    assert look(91, elsewhere) == {("destination_unknown", "archive")}
    say(records, Event.SENT, "", NOW + timedelta(seconds=92))
    assert look(93) == set()


def test_a_destination_that_refuses_or_stays_silent(records, look):
    touch(records, "1.2.1", 1, NOW)
    plan(records, "1.2.1", NOW)
    say(records, Event.DENIED, "denied")
    assert look(1) == {("destination_blocked", "archive")}
    unblock(records, "archive", NOW, "keeper")
    say(records, Event.FAILED, "destination_full")
    assert look(2) == {("destination_silent", "archive")}
    say(records, Event.SENT, "", NOW + timedelta(seconds=30))
    assert look(30) == set()


@pytest.mark.parametrize(
    ("event", "kind", "subject"),
    [
        (Event.CONFLICT, "deliveries_in_conflict", "archive"),
        (Event.SOURCE_GONE, "source_lost", SITE),
    ],
)
def test_what_waits_for_a_person(records, look, event, kind, subject):
    touch(records, "1.2.1", 1, NOW)
    plan(records, "1.2.1", NOW)
    say(records, event, "conflict")
    assert look(1) == {(kind, subject)}
    retry(records, Filter(study_uid="1.2.1"), "ivanova", NOW)
    assert look(2) == set()


def test_an_emergency_that_takes_a_minute(records, look):
    touch(records, "1.2.1", 1, NOW)
    plan(records, "1.2.1", NOW, lane="emergency")
    say(records, Event.SENT, "")
    assert look(59) == set()
    assert ("emergency_late", "archive") in look(61)
