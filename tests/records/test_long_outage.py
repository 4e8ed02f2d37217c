"""A day without an archive, and its end: the clock is moved, nobody waits (trust.md F21, F31)."""

from datetime import timedelta

import sqlalchemy as sa

from gateway.model.deliveries import Event, State
from gateway.model.destinations import Destination, Limits
from gateway.model.pace import EMERGENCY_PARALLEL, Pace
from gateway.records.deliveries import Report, delivery
from gateway.records.delivery_desk import Filter, list_deliveries
from gateway.records.dispatch import (
    SOURCE_PARALLEL,
    Capacity,
    claim,
    has_due,
    load_paces,
    save_report,
)
from tests.arrived import NOW, SITE, plan, room, touch

ARCHIVE = Destination("archive", "Архив", "Archive", "dicomweb", limits=Limits(parallel=4))
HOURS = 8
STUDIES = 90
WORKERS = dict.fromkeys(("emergency", "routine", "bulk", "verify"), 8)


def capacity(records, now):
    """As the dispatcher reckons it, with workers enough."""
    pace = load_paces(records).get("archive") or Pace(float(ARCHIVE.limits.parallel))
    urgent = ["archive"] if pace.room_for_emergencies() else []
    return Capacity(WORKERS, {"archive": pace.room(ARCHIVE.limits, now)}, urgent, [SITE])


def one_round(records, now, answer):
    """Claim what may go and let the archive answer; the claims."""
    claims = claim(records, capacity(records, now), now, None) if has_due(records, now) else []
    for one in claims:
        report = answer(one)
        save_report(records, one.delivery_id, one.fence, report, now, "w", ARCHIVE)
    return claims


def silent(_one):
    return Report(Event.FAILED, "unreachable")


def well(one):
    return Report(Event.PROVEN if one.state is State.VERIFYING else Event.SENT)


def test_an_archive_that_is_away_for_eight_hours_gets_all_of_it_afterwards(records):
    begin, end = NOW, NOW + timedelta(hours=HOURS)
    tries = []
    for n in range(STUDIES):
        now = begin + n * (end - begin) / STUDIES
        touch(records, f"1.2.{n}", 2, now)
        plan(records, f"1.2.{n}", now, lane="bulk" if n % 10 == 9 else "routine")
        if n % 3 == 0:
            tries.append(len(one_round(records, now, silent)))
    assert max(tries[ARCHIVE.limits.breaker_failures :]) == 1, "after some failures only one tries"
    waiting = list_deliveries(records, Filter(), most=1000)
    assert {one.state for one in waiting} == {State.PLANNED, State.RETRY_WAIT}
    assert len(waiting) == STUDIES

    touch(records, "1.2.9000", 1, end)
    plan(records, "1.2.9000", end, lane="emergency")
    one_round(records, end, silent)  # an emergency does not wait for the breaker
    assert claim_times(records, "1.2.9000") == 1

    # It is back; every round is a second, and of 4 at once each is sent and then proven.
    sent, rounds = [], 0
    while open_deliveries(records):
        rounds += 1
        now = end + timedelta(seconds=15 + rounds)
        claims = one_round(records, now, well)
        sent += [one.delivery_id for one in claims if one.state is State.SENDING]
        assert rounds < 2000
    told = {one.delivery_id: one for one in list_deliveries(records, Filter(), most=1000)}
    assert {one.state for one in told.values()} == {State.DELIVERED}
    assert told[sent[0]].lane == "emergency"
    # What was never tried is due at once, and goes by its age; the rest when its turn comes.
    fresh = [told[one] for one in sent[1:] if told[one].attempt == 2 and told[one].lane != "bulk"]
    assert fresh == sorted(fresh, key=lambda one: one.made_at)
    assert len(fresh) > STUDIES // 2


def claim_times(records, uid):
    (one,) = list_deliveries(records, Filter(study_uid=uid))
    return one.attempt


def open_deliveries(records):
    question = sa.select(delivery.c.delivery_id).where(delivery.c.state != State.DELIVERED)
    with records.read() as connection:
        return connection.execute(question.limit(1)).first()


def test_after_an_outage_the_archive_gets_its_full_rate_again_within_some_studies(records):
    """F21: drains at 0.9 of the normal rate."""
    for n in range(64):
        touch(records, f"1.2.{n}", 1, NOW)
        plan(records, f"1.2.{n}", NOW)
    for second in range(40):
        one_round(records, NOW + timedelta(seconds=second), silent)
    assert load_paces(records)["archive"].room(ARCHIVE.limits, NOW) == 0, "left alone"
    later = NOW + timedelta(minutes=20)
    sends = []
    while open_deliveries(records):
        later += timedelta(seconds=1)
        done = one_round(records, later, well)
        sends.append(sum(one.state is State.SENDING for one in done))
    normal = 64 / ARCHIVE.limits.parallel
    assert len([n for n in sends if n]) <= normal / 0.9 + ARCHIVE.limits.parallel
    assert max(sends) == ARCHIVE.limits.parallel


def test_a_herd_of_thirty_hospitals_passes_by_the_limits_and_emergencies_pass_it(records):
    """F31: fifty thousand deliveries are due at one moment."""
    sites = [f"h{n}" for n in range(30)]
    row = {
        "destination": "archive", "epoch": 1, "versions": "x:1", "rule": "x/all",
        "plan": '{"windows": [], "zone": "UTC"}', "instance_count": 1, "size_bytes": 1000,
        "state": State.PLANNED, "fence": 0, "attempt": 0, "refusals": 0, "worker": "",
        "reason": "", "changed_at": NOW, "next_at": NOW, "lane": "routine",
    }  # fmt: skip
    herd = [
        row | {
            "delivery_id": f"{n:032x}", "site_id": sites[n % 30], "study_uid": f"1.2.{n}",
            "made_at": NOW - timedelta(seconds=50_000 - n),
            "lane": "emergency" if n >= 49_990 else "bulk" if n % 2 else "routine",
        }
        for n in range(50_000)
    ]  # fmt: skip
    with records.write() as connection:
        connection.execute(sa.insert(delivery), herd)
    most = room(parallel=16, sites=sites)
    claims = claim(records, most, NOW, None)
    lanes = [one.queue for one in claims]
    assert lanes.count("emergency") == EMERGENCY_PARALLEL == 2, "the youngest of all, and first"
    assert lanes.count("routine") + lanes.count("bulk") == 16
    assert at_work(records) <= SOURCE_PARALLEL + EMERGENCY_PARALLEL
    assert claim(records, most, NOW, None) == [], "full is full"
    again = []
    for one in claims:
        report = Report(Event.FAILED, "timeout")
        save_report(records, one.delivery_id, one.fence, report, NOW, "w", ARCHIVE)
        again.append(one.delivery_id)
    with records.read() as connection:
        question = sa.select(delivery.c.next_at).where(delivery.c.delivery_id.in_(again))
        moments = list(connection.execute(question).scalars())
    assert len(set(moments)) == len(moments), "they do not come back at one moment"


def at_work(records):
    """The most that is asked of one hospital."""
    question = sa.select(sa.func.count()).where(delivery.c.lease_until.is_not(None))
    with records.read() as connection:
        return max(connection.execute(question.group_by(delivery.c.site_id)).scalars())
