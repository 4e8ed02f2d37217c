"""What the dispatcher rings, and what it does itself when nobody hears. Redis is made up."""

import threading
from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.clock import Deadline, utc_now
from gateway.model.deliveries import Event
from gateway.model.destinations import Destination
from gateway.model.sites import Region
from gateway.orthanc.wire import Wire
from gateway.records.alarms import load_alarms
from gateway.records.deliveries import Report, take_work
from gateway.records.delivery_desk import Filter, exclude, list_deliveries
from gateway.records.dispatch import save_report, sweep_leases
from gateway.routing.intake import Intake
from gateway.worker import dispatcher
from gateway.worker.dispatcher import Dispatcher
from tests.arrived import SITE, plan, touch
from tests.fakes import a_site

ARCHIVE = Destination("archive", "Архив", "Archive", "dicomweb")
REGION = Region("Область", "Region", SITE, (a_site(SITE),), (ARCHIVE,))
WORKERS = {"emergency": 2, "routine": 1, "bulk": 1, "verify": 1}


class Bell:
    """A Redis that knows these workers; {} is one that is away."""

    def __init__(self, workers):
        self.workers, self.rung, self.wiped = workers, [], False

    def was_wiped(self):
        return self.wiped

    def count_workers(self):
        return self.workers

    def ring_for(self, queue, job, delivery_id, fence, within_s, timeout_s):
        if self.workers:
            self.rung.append((queue, job, delivery_id, fence))
        return bool(self.workers)


@pytest.fixture
def made(records, monkeypatch):
    """made(workers) -> a dispatcher whose steps are the test's own, and its bell."""
    done, running = [], []
    monkeypatch.setattr(dispatcher, "carry_out", lambda *words: done.append(words[2:]))

    def make(workers):
        bell = Bell(workers)
        intake = Intake(records, Wire(), None, threading.Lock())
        one = Dispatcher(intake, bell, lambda: make.region)
        running.append(one)
        return one, bell

    make.done, make.region = done, REGION
    yield make
    for one in running:
        one.end()


def a_delivery(records, n, lane="routine"):
    now = utc_now()
    touch(records, f"1.2.{n}", 1, now)
    plan(records, f"1.2.{n}", now, lane=lane)


def claimed(records):
    return [(one.delivery_id, one.attempt) for one in list_deliveries(records, Filter())]


def test_what_is_due_is_rung_once_under_its_fence(records, made):
    a_delivery(records, 1)
    one, bell = made(WORKERS)
    one.step()
    one.step()
    ((delivery_id, _),) = claimed(records)
    assert bell.rung == [("routine", "route", delivery_id, 1)]


def test_a_wiped_redis_costs_no_lease(records, made):
    a_delivery(records, 1)
    one, bell = made(WORKERS)
    one.step()
    bell.wiped = True
    one.step()
    ((delivery_id, _),) = claimed(records)
    assert bell.rung[1:] == [("routine", "route", delivery_id, 2)]


def test_a_wiped_redis_takes_nothing_from_a_worker(records, made):
    a_delivery(records, 1)
    one, bell = made(WORKERS)
    one.step()
    ((_, _, delivery_id, fence),) = bell.rung
    assert take_work(records, delivery_id, fence, "host:1", utc_now())
    bell.wiped = True
    one.step()
    assert len(bell.rung) == 1


def test_no_more_is_claimed_than_workers_can_take(records, made):
    for n in range(9):
        a_delivery(records, n)
    one, bell = made(WORKERS)
    one.step()
    assert len(bell.rung) == 2, "one at work and one that waits for him"


def test_with_redis_away_emergencies_are_done_here_and_the_others_wait(records, made):
    a_delivery(records, 1)
    a_delivery(records, 2, "emergency")
    one, bell = made({})
    one.step()
    one._direct.shutdown(wait=True)
    assert (bell.rung, len(made.done)) == ([], 1)
    assert sorted(attempt for _, attempt in claimed(records)) == [0, 1]


def test_an_emergency_whose_bell_nobody_heard_is_done_here_the_next_time(records, made):
    a_delivery(records, 1, "emergency")
    one, bell = made(WORKERS)
    one.step()
    assert len(bell.rung) == 1
    (row,) = list_deliveries(records, Filter())
    sweep_leases(records, row.lease_until)
    with records.write() as connection:
        connection.exec_driver_sql("UPDATE delivery SET next_at = made_at")
    one.step()
    one._direct.shutdown(wait=True)
    assert (len(bell.rung), made.done) == (1, [(row.delivery_id, 2)])


def test_a_redis_that_was_wiped_knows_no_worker_but_is_rung(records, made):
    a_delivery(records, 1)
    one, bell = made(dict.fromkeys(WORKERS, 0))
    one.step()
    assert len(bell.rung) == 1


def test_a_destination_that_refused_us_is_asked_again_with_another_entry_only(records, made):
    a_delivery(records, 1)
    one, bell = made(WORKERS)
    one.step()
    ((delivery_id, _),) = claimed(records)
    denied = Report(Event.DENIED, "denied")
    assert save_report(records, delivery_id, 1, denied, utc_now(), "w", ARCHIVE)
    a_delivery(records, 2)
    one.step()
    assert len(bell.rung) == 1, "it is left alone, so that nobody locks our account"
    mended = replace(ARCHIVE, server=a_site("archive", url="http://127.0.0.1:8"))
    made.region = replace(REGION, destinations=(mended,))
    one.step()
    assert len(bell.rung) == 3


def test_every_minute_it_looks_whether_all_is_as_it_must_be(records, made):
    now = utc_now() - timedelta(minutes=5)
    touch(records, "1.2.1", 1, now)
    plan(records, "1.2.1", now)
    one, _ = made({})
    one.step()
    assert [alarm.kind for alarm in load_alarms(records)] == ["deliveries_stuck"]
    exclude(records, Filter(study_uid="1.2.1"), "x", "ivanova", utc_now())
    one.step()
    assert len(load_alarms(records)) == 1, "not every second"
    one._check = Deadline(0.0)
    one.step()
    assert load_alarms(records) == []
