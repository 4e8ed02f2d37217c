"""A worker and its delivery: crashes, lost leases, lost destinations. The transport is made up."""

from dataclasses import replace

import pytest

from gateway.clock import Deadline, utc_now
from gateway.errors import RecordsUnavailable
from gateway.model.deliveries import Event, State
from gateway.model.destinations import Destination
from gateway.model.sites import Region
from gateway.records.delivery_desk import Filter, list_deliveries, load_story
from gateway.records.dispatch import claim, load_paces, sweep_leases
from gateway.routing.consignment import InstanceOutcome, Outcome
from gateway.worker import deliveries
from gateway.worker.deliveries import carry_out, report_killed
from tests.arrived import NOW, SITE, plan, room, touch
from tests.fakes import a_site

ARCHIVE = Destination("archive", "Архив", "Archive", "dicomweb")
REGION = Region("Область", "Region", SITE, (a_site(SITE),), (ARCHIVE,))
UID = "1.2.1"


@pytest.fixture
def work(records, monkeypatch):
    """work(outcome or function) -> claims the one delivery and carries it out with that."""
    touch(records, UID, 2, NOW)
    plan(records, UID, NOW)

    def run(result, region=REGION):
        with records.write() as connection:  # due at once, whatever the back-off
            connection.exec_driver_sql(
                "UPDATE delivery SET next_at = made_at WHERE next_at IS NOT NULL"
            )
        (one,) = claim(records, room(), utc_now(), None)
        act = result if callable(result) else lambda *_: result
        monkeypatch.setattr(deliveries, "deliver", act)
        monkeypatch.setattr(deliveries, "verify", act)
        carry_out(records, region, one.delivery_id, one.fence)
        return one

    return run


def shown(records):
    (one,) = list_deliveries(records, Filter())
    return one


def test_sent_then_proven(records, work):
    work(Outcome(Event.SENT))
    assert shown(records).state is State.SENT
    work(Outcome(Event.PROVEN))
    assert shown(records).state is State.DELIVERED


def test_trouble_is_kept_for_each_instance_that_did_not_arrive(records, work):
    found = {
        f"{UID}.1.0": InstanceOutcome("sent"),
        f"{UID}.1.1": InstanceOutcome("failed", "destination_full"),
    }
    work(Outcome(Event.FAILED, "destination_full", found))
    (told,) = load_story(records, UID).deliveries
    assert told.trouble == ((f"{UID}.1.1", "failed", "destination_full"),)
    assert load_paces(records)["archive"].rests_until is not None


def test_a_study_over_which_the_code_fails_is_parked_after_three_times(records, work):
    def crash(*_):
        raise MemoryError("secret of a patient")

    for _ in range(3):
        work(crash)
    assert shown(records).state is State.PARKED
    assert shown(records).reason == "worker_crashed: MemoryError"


def test_a_child_that_died_counts_as_such_a_failure(records, work):
    one = work(Outcome(Event.ALIVE, "lease_lost"))
    report_killed(records, one.delivery_id, one.fence)
    assert (shown(records).state, shown(records).reason) == (State.RETRY_WAIT, "worker_killed")
    assert shown(records).refusals == 1


def test_who_lost_the_lease_writes_nothing(records, work):
    one = work(Outcome(Event.ALIVE, "lease_lost"))
    assert shown(records).state is State.SENDING
    carry_out(records, REGION, one.delivery_id, one.fence - 1)
    assert shown(records).state is State.SENDING


def test_a_late_word_of_a_frozen_worker_does_not_count(records, work):
    def freeze(*_):
        (row,) = list_deliveries(records, Filter())
        sweep_leases(records, row.lease_until)
        return Outcome(Event.SENT)

    work(freeze)
    assert shown(records).state is State.RETRY_WAIT


def test_a_destination_or_a_hospital_that_is_not_in_the_region_any_more_costs_a_try(records, work):
    work(Outcome(Event.SENT), replace(REGION, destinations=()))
    assert (shown(records).state, shown(records).reason) == (
        State.RETRY_WAIT, "destination_unknown",
    )  # fmt: skip
    work(Outcome(Event.SENT), replace(REGION, sites=()))
    assert shown(records).reason == "source_unknown"


def test_a_database_that_is_away_for_a_moment_costs_no_second_try(records, work, monkeypatch):
    save, tries = deliveries.save_report, []

    def away_at_first(*words):
        tries.append(1)
        if len(tries) == 1:
            raise RecordsUnavailable("locked")
        return save(*words)

    monkeypatch.setattr(deliveries, "AGAIN_S", 0.0)
    monkeypatch.setattr(deliveries, "save_report", away_at_first)
    work(Outcome(Event.SENT))
    assert (len(tries), shown(records).state) == (2, State.SENT)


def test_without_a_heartbeat_the_work_ends_with_the_lease(records, work, monkeypatch):
    seen = []

    def no_database(*_):
        raise RecordsUnavailable("away")

    def look(_wire, _consignment, alive):
        seen.append(alive())
        alive.__self__._lease.ends = Deadline(0.0)
        seen.append(alive())
        return Outcome(Event.ALIVE)

    monkeypatch.setattr(deliveries, "prolong", no_database)
    work(look)
    assert seen == [True, False]
