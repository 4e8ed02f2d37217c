"""Alarms of deliveries: each with its cause, gone with its cause."""

from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from gateway.model import alarms
from gateway.model.address_lists import AddressList
from gateway.model.deliveries import Event
from gateway.model.destinations import Destination
from gateway.model.sites import QuirkProfile, Region
from gateway.records.alarms import load_alarms
from gateway.records.arrivals import Arrived
from gateway.records.deliveries import Report
from gateway.records.delivery_desk import Filter, retry
from gateway.records.dispatch import claim, save_report, unblock
from gateway.records.indexing import save_read_at
from gateway.records.leases import Fence, take_lease
from gateway.records.planning import Decided, save_decided
from gateway.records.probes import save_profile
from gateway.records.studies import site_cursor
from gateway.routing import house, invariants
from gateway.routing.invariants import check_invariants
from gateway.worker import dispatcher, notices
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


def test_what_waits_too_long_at_a_destination_that_takes_others(records, look):
    touch(records, "1.2.1", 1, NOW)
    plan(records, "1.2.1", NOW)
    day = 86_400
    touch(records, "1.2.2", 1, NOW)
    plan(records, "1.2.2", NOW + timedelta(seconds=day - 60))
    (_, second) = claim(records, room(), NOW + timedelta(seconds=day), None)
    report = Report(Event.SENT)
    save_report(records, second.delivery_id, second.fence, report,
                NOW + timedelta(seconds=day), "w", ARCHIVE)  # fmt: skip
    assert look(day - 1) == set()
    assert look(day + 1) == {("deliveries_old", "archive")}


@pytest.mark.parametrize(
    ("told", "hours", "raised"),
    [
        ({"recycles_patients": 40}, 13, False),
        ({"recycles_patients": 40}, 37, True),
        ({"recycles_bytes": 1}, 48, False),
        ({}, 48, False),
    ],
    ids=["a day and more is left", "less than a day is left", "sizes unknown", "never deletes"],
)
def test_a_hospital_that_will_soon_delete_what_is_not_delivered(records, look, told, hours, raised):
    """One study an hour comes; the first of them waits for an archive that is away."""
    profile = QuirkProfile(probed_at=NOW, **told)
    save_profile(records, SITE, profile)
    touch(records, "1.2.0", 1, NOW - timedelta(hours=2))
    plan(records, "1.2.0", NOW)
    for hour in range(1, hours):
        touch(records, f"1.2.{hour}", 1, NOW + timedelta(hours=hour - 2))
    kinds = {kind for kind, _ in look(3600 * (hours - 2))}
    assert ("source_recycles" in kinds) == raised


def test_region_toml_says_when_an_orthanc_deletes_that_does_not_tell(records, look):
    site = replace(a_site(SITE), recycles_patients=2)
    touch(records, "1.2.0", 1, NOW)
    plan(records, "1.2.0", NOW)
    touch(records, "1.2.1", 1, NOW + timedelta(hours=1))
    assert ("source_recycles", SITE) in look(7200, replace(REGION, sites=(site,)))


def test_a_site_whose_feed_is_not_read_but_not_when_the_keeper_was_away(records, look):
    region = replace(REGION, sites=(a_site(SITE), a_site("north")))
    for site_id in (SITE, "north"):
        with records.write() as connection:
            connection.execute(
                sa.insert(site_cursor).values(
                    site_id=site_id, seq=0, fingerprint="", phase="following", filled=0,
                    to_fill=0, fill_began_at=NOW, read_at=NOW,
                )
            )  # fmt: skip
    assert look(59, region) == set()
    assert look(61, region) == set(), "nobody was read: it is the keeper"
    fence = Fence("keeper", take_lease(records, "keeper", "a", NOW, 60))
    save_read_at(records, {"north": NOW + timedelta(seconds=90)}, fence)
    assert look(91, region) == {("site_silent", SITE)}
    save_read_at(records, {SITE: NOW + timedelta(seconds=100)}, fence)
    assert look(101, region) == set()


def test_people_who_cannot_be_told(records, look):
    decided = Decided(Arrived.HELD, "look", notices=(("duty", "gkb1/all"),))
    touch(records, "1.2.1", 1, NOW)
    save_decided(records, arrival_of(records, "1.2.1"), decided, NOW, None)
    assert ("address_list_unknown", "duty") in look(1)
    known = replace(REGION, address_lists=(AddressList("duty", ("a@b.example",)),))
    assert ("notices_wait", "duty") not in look(599, known)
    assert ("notices_wait", "duty") in look(601, known)


@pytest.mark.parametrize("ahead_s", [31, -3600])
def test_a_site_whose_clock_is_wrong(records, look, ahead_s):
    """F40"""
    save_profile(records, SITE, QuirkProfile(clock_ahead_s=ahead_s, probed_at=NOW), None)
    assert look(1) == {("site_clock_off", SITE)}
    save_profile(records, SITE, QuirkProfile(clock_ahead_s=30, probed_at=NOW), None)
    assert look(2) == set()


def test_every_alarm_goes_with_its_cause_or_by_a_persons_word():
    """Nobody must tidy up after the gateway: each kind is looked for again and again, or belongs to
    what a thread sees end (index, names), or says itself that a person closes it."""
    looked_for = {*invariants.KINDS, *house.KINDS}
    ended_where_seen = {
        alarms.NAME_NOT_RESOLVED, alarms.SITE_REPLACED, alarms.STUDY_OF_TWO_PATIENTS,
        alarms.TORN_LINK, alarms.AUDIT_BROKEN, alarms.AUDIT_WAITS, alarms.CERTIFICATE_ENDS,
        alarms.VERSION_HAS_HOLE, alarms.EMERGENCY_ACCESS, alarms.SITE_UNGUARDED,
        alarms.SENDERS_WITHOUT_END,
    }  # fmt: skip
    parts = (looked_for, ended_where_seen, alarms.CLOSED_BY_WORD)
    assert set().union(*parts) == set(alarms.MEANING)
    assert sum(map(len, parts)) == len(alarms.MEANING)


def test_an_alarm_is_raised_within_a_minute_of_its_cause():
    """By how often the causes are looked at, and told."""
    assert dispatcher.CHECK_S + notices.LOOK_S < 60
    assert notices.CHECK_S + notices.LOOK_S < 60
