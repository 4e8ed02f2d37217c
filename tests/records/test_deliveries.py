"""Deliveries as rows: claims, fences, epochs, limits, and random orders of all that can happen."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from random import Random

import pytest

from gateway.model.deliveries import (
    DUE,
    FINAL,
    LEASE_S,
    LEASED,
    WAITING_FOR_A_PERSON,
    Event,
    State,
)
from gateway.model.destinations import Destination, Limits
from gateway.records.arrivals import Arrived
from gateway.records.deliveries import Report, Wanted, load_delivered, prolong, take_work
from gateway.records.delivery_desk import (
    Filter,
    count_deliveries,
    exclude,
    list_deliveries,
    load_story,
    reopen,
    retry,
)
from gateway.records.dispatch import claim, load_paces, save_report, sweep_leases
from gateway.records.failovers import write_failovers
from gateway.records.leases import Fence, take_lease
from gateway.records.planning import Decided, save_decided
from tests.arrived import NOW, SITE, a_manifest, arrival_of, plan, room, touch

ARCHIVE = Destination("archive", "Архив", "Archive", "dicomweb")
UID = "1.2.1"


def planned(records, study_uid=UID, images=3, **options):
    touch(records, study_uid, images, NOW)
    plan(records, study_uid, NOW, **options)


def take_one(records, now=NOW):
    (one,) = claim(records, room(), now, None)
    return one


def say(records, one, event, now=NOW, reason="", trouble=None):
    report = Report(event, reason, trouble or {})
    return save_report(records, one.delivery_id, one.fence, report, now, "w", ARCHIVE)


def deliver(records, now=NOW):
    say(records, take_one(records, now), Event.SENT, now)
    say(records, take_one(records, now), Event.PROVEN, now)


def states(records, study_uid=UID):
    told = load_story(records, study_uid).deliveries
    return [(one.shown.epoch, one.shown.state) for one in told]


def test_a_study_is_sent_proven_and_then_known_to_be_there(records):
    planned(records)
    one = take_one(records)
    assert (one.queue, one.state, one.fence) == ("routine", State.SENDING, 1)
    work = take_work(records, one.delivery_id, 1, "w", NOW)
    assert work is not None
    assert (work.manifest, work.destination) == (a_manifest(UID, 3), "archive")
    assert say(records, one, Event.SENT)
    assert load_delivered(records, SITE, UID) == frozenset(), "sent is not delivered"
    proof = take_one(records)
    assert (proof.queue, proof.state, proof.fence) == ("verify", State.VERIFYING, 2)
    assert say(records, proof, Event.PROVEN)
    assert load_delivered(records, SITE, UID) == {"archive"}
    history = load_story(records, UID).deliveries[0].history
    assert [line.event for line in history] == [
        "planned", "claimed", "sent", "verify_claimed", "proven",
    ]  # fmt: skip


def test_who_lost_his_lease_is_not_heard(records):
    planned(records)
    first = take_one(records)
    late = NOW + timedelta(seconds=LEASE_S["routine"])
    assert sweep_leases(records, late) == 1
    second = take_one(records, late)
    assert second.fence == first.fence + 1
    assert take_work(records, first.delivery_id, first.fence, "w", late) is None
    assert not prolong(records, first.delivery_id, first.fence, late)
    assert not say(records, first, Event.SENT, late)
    assert states(records) == [(1, State.SENDING)]
    assert say(records, second, Event.SENT, late)


def test_a_heartbeat_keeps_the_lease(records):
    planned(records)
    one = take_one(records)
    later = NOW + timedelta(seconds=20)
    assert prolong(records, one.delivery_id, one.fence, later)
    assert sweep_leases(records, NOW + timedelta(seconds=31)) == 0


def test_late_images_are_a_new_epoch_that_waits_for_who_is_sending(records):
    planned(records)
    one = take_one(records)
    touch(records, UID, 4, NOW)
    assert plan(records, UID, NOW) == 0, "a worker is at it"
    assert arrival_of(records, UID).due_at > NOW
    say(records, one, Event.SENT)
    assert plan(records, UID, NOW) == 1
    assert states(records) == [(1, State.SUPERSEDED), (2, State.PLANNED)]
    assert load_story(records, UID).deliveries[1].shown.instance_count == 4


def test_a_proof_of_an_older_epoch_delivers_nothing(records):
    planned(records)
    say(records, take_one(records), Event.SENT)
    proof = take_one(records)
    with records.write() as connection:
        connection.exec_driver_sql("UPDATE arrival SET epoch = 2")
    assert say(records, proof, Event.PROVEN)
    assert states(records) == [(1, State.SUPERSEDED)]


def test_delivered_stays_in_history_when_images_follow(records):
    planned(records)
    deliver(records)
    touch(records, UID, 4, NOW)
    plan(records, UID, NOW)
    assert states(records) == [(1, State.DELIVERED), (2, State.PLANNED)]
    assert load_delivered(records, SITE, UID) == frozenset()


def test_an_exclusion_holds_for_late_images_until_somebody_retries(records):
    planned(records)
    assert exclude(records, Filter(study_uid=UID), "дубль", "ivanova", NOW) == 1
    touch(records, UID, 4, NOW)
    plan(records, UID, NOW)
    assert states(records) == [(1, State.SUPERSEDED), (2, State.EXCLUDED)]
    assert claim(records, room(), NOW, None) == []
    assert retry(records, Filter(states=(State.EXCLUDED,)), "ivanova", NOW) == 1
    assert states(records)[-1] == (2, State.PLANNED)


def test_what_an_audit_misses_is_sent_again(records):
    planned(records)
    deliver(records)
    assert reopen(records, SITE, UID, "archive", "not_found", NOW)
    assert states(records) == [(1, State.PLANNED)]
    assert not reopen(records, SITE, UID, "archive", "not_found", NOW), "it is open already"
    deliver(records)


def test_a_refusal_is_parked_at_the_third_time_with_every_instance(records):
    planned(records)
    now = NOW
    for _ in range(3):
        now += timedelta(minutes=1)
        one = take_one(records, now)
        say(records, one, Event.REFUSED, now, "0122", {f"{UID}.1.0": ("refused", "0122")})
    (told,) = load_story(records, UID).deliveries
    assert (told.shown.state, told.shown.reason) == (State.PARKED, "0122")
    assert told.trouble == ((f"{UID}.1.0", "refused", "0122"),)
    assert retry(records, Filter(destination="archive"), "ivanova", now) == 1
    one = take_one(records, now)
    say(records, one, Event.SENT, now)
    assert load_story(records, UID).deliveries[0].trouble == ()


def test_limits_of_destination_source_and_workers_are_kept(records):
    for n in range(30):
        planned(records, f"1.2.{n}", lane="bulk")
    assert len(claim(records, room(workers=3), NOW, None)) == 3
    assert claim(records, room(parallel=3), NOW, None) == [], "three are under way"
    assert len(claim(records, room(), NOW, None)) == 1, "four of one source at once"
    planned(records, "1.2.100", lane="emergency")
    assert [one.queue for one in claim(records, room(parallel=3), NOW, None)] == ["emergency"]


def test_the_oldest_goes_first_and_an_unknown_destination_waits(records):
    for n in range(3):
        touch(records, f"1.2.{n}", 1, NOW)
        plan(records, f"1.2.{n}", NOW - timedelta(minutes=n), ("archive", "gone"))
    claimed = claim(records, room(workers=1), NOW, None)
    shown = {one.delivery_id: one for one in list_deliveries(records, Filter())}
    assert [shown[one.delivery_id].study_uid for one in claimed] == ["1.2.2"]
    assert count_deliveries(records) == {
        ("archive", State.PLANNED): 2, ("archive", State.SENDING): 1, ("gone", State.PLANNED): 3,
    }  # fmt: skip


def test_a_study_of_a_site_that_was_removed_waits(records):
    planned(records)
    assert claim(records, room(sites=("other",)), NOW, None) == []


def test_a_destination_that_refuses_our_password_is_left_alone_until_a_person_retries(records):
    for n in range(2):
        planned(records, f"1.2.{n}")
    first, _ = claim(records, room(), NOW, None)
    say(records, first, Event.DENIED, reason="untrusted")
    pace = load_paces(records)["archive"]
    assert (pace.blocked, pace.room(Limits(), NOW)) == (True, 0)
    assert retry(records, Filter(states=(State.BLOCKED,)), "ivanova", NOW) == 1
    assert load_paces(records) == {}


def test_two_who_claim_at_once_never_get_the_same(records):
    for n in range(20):
        planned(records, f"1.2.{n}")
    with ThreadPoolExecutor(4) as pool:
        tries = [pool.submit(claim, records, room(), NOW, None) for _ in range(8)]
        claimed = [one.delivery_id for each in tries for one in each.result()]
    assert len(claimed) == len(set(claimed)) >= 4


def test_who_leads_no_longer_claims_nothing(records):
    planned(records)
    old = Fence("keeper", take_lease(records, "keeper", "a", NOW, 1))
    take_lease(records, "keeper", "b", NOW + timedelta(seconds=5), 60)
    with pytest.raises(Exception, match="keeper"):
        claim(records, room(), NOW, old)
    assert states(records) == [(1, State.PLANNED)]


@pytest.mark.parametrize(("lane", "minutes"), [("emergency", 1), ("routine", 10)])
def test_what_a_silent_destination_does_not_take_goes_to_the_failover_as_well(
    records, lane, minutes
):
    touch(records, UID, 3, NOW)
    one = Wanted("archive", lane, "gkb1/all", NOW, failover="second")
    decided = Decided(Arrived.PLANNED, manifest=a_manifest(UID, 3), wanted=(one,))
    save_decided(records, arrival_of(records, UID), decided, NOW, None)
    late = NOW + timedelta(minutes=minutes)
    assert write_failovers(records, {"archive"}, late - timedelta(seconds=1), None) == 0
    assert write_failovers(records, {"other"}, late, None) == 0
    assert write_failovers(records, {"archive"}, late, None) == 1
    assert write_failovers(records, {"archive", "second"}, late, None) == 0
    found = {row.destination: row.instance_count for row in list_deliveries(records, Filter())}
    assert found == {"archive": 3, "second": 3}


class Walk:
    """Everything that can happen to one study with two destinations, in any order."""

    def __init__(self, records, seed):
        self.records, self.random = records, Random(seed)  # noqa: S311 - no secret
        self.uid, self.now, self.images = f"1.3.{seed}", NOW, 1
        self.claims = []
        self.proven = {}
        touch(records, self.uid, 1, NOW)

    def step(self):
        self.now += timedelta(seconds=self.random.randrange(12))
        acts = [self.grow, self.plan, self.claim, self.say, self.sweep, self.desk]
        (act,) = self.random.choices(acts, [1, 3, 6, 9, 1, 1])
        act()
        self.check()

    def grow(self):
        self.images += 1
        touch(self.records, self.uid, self.images, self.now)

    def plan(self):
        plan(self.records, self.uid, self.now, ("archive", "second"))

    def claim(self):
        self.claims += claim(self.records, room(("archive", "second")), self.now, None)

    def say(self):
        if not self.claims:
            return
        one = self.random.choice(self.claims[-4:])
        events = [Event.SENT, Event.PROVEN, Event.FAILED, Event.REFUSED, Event.INCOMPLETE,
                  Event.UNVERIFIED, Event.CONFLICT, Event.SOURCE_GONE, Event.DENIED]  # fmt: skip
        good = Event.SENT if one.state is State.SENDING else Event.PROVEN
        event = good if self.random.random() < 0.6 else self.random.choice(events)
        before = self.row(one.delivery_id)
        heard = say(self.records, one, event, self.now)
        if heard and event is Event.PROVEN:
            assert (before.state, one.state) == (State.VERIFYING, State.VERIFYING)
            if before.epoch == arrival_of(self.records, before.study_uid).epoch:
                self.proven[one.delivery_id] = one.fence

    def sweep(self):
        sweep_leases(self.records, self.now)

    def desk(self):
        chosen = Filter(study_uid=self.uid)
        if self.random.random() < 0.2:
            exclude(self.records, chosen, "x", "p", self.now)
        else:
            retry(self.records, chosen, "p", self.now)

    def row(self, delivery_id):
        (row,) = list_deliveries(self.records, Filter(delivery_ids=(delivery_id,)))
        return row

    def check(self):
        story = load_story(self.records, self.uid)
        (seen,) = story.arrivals
        for one in story.deliveries:
            shown = one.shown
            assert (shown.state == State.DELIVERED) == (shown.delivery_id in self.proven)
            assert (shown.next_at is not None) == (shown.state in DUE)
            assert (shown.lease_until is not None) == (shown.state in LEASED)
            assert shown.state in DUE | LEASED | FINAL | WAITING_FOR_A_PERSON
            ways = [(line.from_state, line.to_state) for line in one.history]
            assert [a for a, _ in ways[1:]] == [b for _, b in ways[:-1]], "history has no gap"
            assert ways[-1][1] == shown.state
            if shown.epoch < seen.epoch:
                assert shown.state in FINAL
        # Never lost: what is wanted now has its delivery, or is due to be looked at.
        newest = {o.shown.destination for o in story.deliveries if o.shown.epoch == seen.epoch}
        assert seen.due_at is not None or newest == {"archive", "second"}
        assert seen.growing_since is not None or seen.instance_count == self.images


def test_in_any_order_nothing_is_lost_and_only_proof_delivers(records):
    delivered = 0
    for seed in range(12):
        walk = Walk(records, seed)
        for _ in range(50):
            walk.step()
        delivered += len(walk.proven)
    assert delivered > 3, "the walk must get there"
