"""Clocks that are wrong, jump or are put back by an hour (trust.md F40)."""

from datetime import UTC, datetime, timedelta

import pytest

from gateway import clock
from gateway.clock import utc_now
from gateway.model.deliveries import Event, State
from gateway.model.destinations import Destination
from gateway.records.arrivals import load_due
from gateway.records.deliveries import Report, prolong, take_work
from gateway.records.delivery_desk import Filter, list_deliveries
from gateway.records.dispatch import claim, mend_moments, save_report, sweep_leases
from gateway.records.leases import take_lease
from tests.arrived import NOW, SITE, plan, room, touch

ARCHIVE = Destination("archive", "Архив", "Archive", "dicomweb")
HOUR = timedelta(hours=1)
BACK = NOW - HOUR


@pytest.fixture
def host_clock(monkeypatch):
    """host_clock(seconds): the clock of this host is so far ahead from now on."""

    def put(seconds):
        class Host(datetime):
            @classmethod
            def now(cls, tz=None):
                return datetime.now(tz) + timedelta(seconds=seconds)

        monkeypatch.setattr(clock, "datetime", Host)

    yield put
    clock._ahead = timedelta(0)


@pytest.mark.parametrize("seconds", [3600, -3600, 40])
def test_hosts_of_one_database_go_by_its_clock(records, host_clock, seconds):
    host_clock(seconds)
    ahead_s = records.check_clock()
    if records.engine.dialect.name == "sqlite":  # one host, one clock
        assert ahead_s == 0.0
        return
    assert abs(ahead_s - seconds) < 30
    assert abs(utc_now() - datetime.now(UTC)) < timedelta(seconds=30)


def test_a_clock_that_is_nearly_right_is_left_alone(records, host_clock):
    host_clock(0.2)
    records.check_clock()
    assert clock._ahead == timedelta(0)


def planned(records, now=NOW):
    touch(records, "1.2.1", 1, now)
    plan(records, "1.2.1", now)


def shown(records):
    (one,) = list_deliveries(records, Filter())
    return one


def test_a_lease_of_before_the_clock_was_put_back_holds_nobody_up(records):
    planned(records)
    (before,) = claim(records, room(), NOW, None)
    assert sweep_leases(records, BACK) == 0
    assert mend_moments(records, BACK, None) == 1
    assert sweep_leases(records, BACK) == 1
    (after,) = claim(records, room(), BACK, None)
    assert after.fence == before.fence + 1
    late = save_report(
        records, before.delivery_id, before.fence, Report(Event.SENT), BACK, "w", ARCHIVE
    )
    assert late is False, "whoever had it before writes nothing"


def test_a_wait_of_before_the_clock_was_put_back_ends_at_once(records):
    planned(records)
    (one,) = claim(records, room(), NOW, None)
    report = Report(Event.FAILED, "unreachable")
    save_report(records, one.delivery_id, one.fence, report, NOW, "w", ARCHIVE)
    assert claim(records, room(), BACK, None) == []
    mend_moments(records, BACK, None)
    assert len(claim(records, room(), BACK, None)) == 1


def test_an_arrival_of_before_the_clock_was_put_back_is_judged_at_once(records):
    touch(records, "1.2.1", 1, NOW)
    assert load_due(records, SITE, BACK, 10) == []
    mend_moments(records, BACK, None)
    assert [one.study_uid for one in load_due(records, SITE, BACK, 10)] == ["1.2.1"]


def test_what_waits_by_a_right_clock_goes_on_waiting(records):
    planned(records)
    (one,) = claim(records, room(), NOW, None)
    assert mend_moments(records, NOW, None) == 0
    report = Report(Event.FAILED, "unreachable")
    save_report(records, one.delivery_id, one.fence, report, NOW, "w", ARCHIVE)
    assert mend_moments(records, NOW, None) == 0


def test_a_clock_that_jumps_ahead_costs_a_second_try_and_no_wrong_word(records):
    planned(records)
    (first,) = claim(records, room(), NOW, None)
    assert take_work(records, first.delivery_id, first.fence, "host:1", NOW)
    assert sweep_leases(records, NOW + HOUR) == 1
    (second,) = claim(records, room(), NOW + HOUR, None)
    assert not prolong(records, first.delivery_id, first.fence, NOW)
    report = Report(Event.SENT)
    assert not save_report(records, first.delivery_id, first.fence, report, NOW, "1", ARCHIVE)
    later = NOW + HOUR
    assert save_report(records, second.delivery_id, second.fence, report, later, "2", ARCHIVE)
    assert shown(records).state is State.SENT


def test_a_lead_of_before_the_clock_was_put_back_is_taken_over(records):
    assert take_lease(records, "keeper", "dead", NOW, 10) == 1
    assert take_lease(records, "keeper", "spare", NOW, 10) == 0
    assert take_lease(records, "keeper", "spare", BACK, 10) == 2
