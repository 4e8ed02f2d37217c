"""A snapshot that was ordered is taken: by a worker, and if none hears of it, by the keeper."""

from datetime import timedelta

import pytest
from rq import Queue
from rq.serializers import JSONSerializer

from gateway.clock import utc_now
from gateway.model.rollout.figures import SnapshotKind
from gateway.model.rollout.measures import Savings
from gateway.model.sites import Region
from gateway.queues import Doorbell
from gateway.records.register import Change, add_revisions
from gateway.records.snapshots import (
    Order,
    latest,
    list_taken,
    load_orders,
    order_snapshots,
)
from gateway.rollout.report import last_day
from gateway.worker import snapshots as rounds
from gateway.worker.snapshots import WORKER_S, Snapshots
from tests.fakes import a_site
from tests.model.rollout.small_register import facility, unit
from tests.waiting import wait_until
from tests.worker.conftest import wait_for_worker

pytestmark = pytest.mark.real
HOME = Region("Область", "Region", "gkb1", (a_site("gkb1"),))


@pytest.fixture
def night(records):
    """The night that is due of a register that has been there since yesterday."""
    now = utc_now()
    day = last_day(HOME, now)
    add_revisions(
        records, facilities=[Change(facility("h1"), day)], units=[Change(unit("u1", "h1"), day)],
        author="test", reason="", now=now - timedelta(hours=1),
    )  # fmt: skip
    return day


def nights(found):
    return [one.day for one in found if one.kind is SnapshotKind.NIGHTLY]


def one_round(records, redis_url):
    doorbell = Doorbell(redis_url)
    Snapshots(records, Savings(), lambda: HOME, doorbell).look()
    doorbell.close()


def test_a_worker_takes_what_was_ordered(start, redis, redis_server, records, night):
    start("worker --queue bulk")
    wait_for_worker(redis, "bulk")
    one_round(records, redis_server.url)
    assert nights(load_orders(records)) in ([night], [])
    wait_until(lambda: latest(records), 60, "the snapshot")
    wait_until(lambda: not load_orders(records), 60, "the end of the orders")
    assert nights(list_taken(records)) == [night]


def test_without_a_worker_the_keeper_takes_it(redis, redis_server, records, night):
    one_round(records, redis_server.url)
    assert nights(list_taken(records)) == [night]
    assert load_orders(records) == {}


def test_a_job_that_redis_has_lost_is_taken_all_the_same(
    redis, redis_server, records, night, monkeypatch
):
    # A worker of the queue is known, so the bell counts as heard; then Redis forgets it.
    redis.sadd("rq:workers:bulk", "rq:worker:gone")
    one_round(records, redis_server.url)
    assert nights(load_orders(records)) == [night]
    queue = Queue("bulk", connection=redis, serializer=JSONSerializer)
    assert queue.count >= 1
    redis.flushdb()
    one_round(records, redis_server.url)
    assert list_taken(records) == []  # a worker may still be at it
    later = utc_now() + timedelta(seconds=WORKER_S)
    monkeypatch.setattr(rounds, "utc_now", lambda: later)
    one_round(records, redis_server.url)
    assert nights(list_taken(records)) == [night]
    assert load_orders(records) == {}


def test_a_job_that_comes_twice_or_late_does_nothing(start, redis, redis_server, records, night):
    start("worker --queue bulk")
    wait_for_worker(redis, "bulk")
    doorbell = Doorbell(redis_server.url)
    queue = Queue("bulk", connection=redis, serializer=JSONSerializer)
    done = queue.enqueue("snapshot", f"nightly {night}", result_ttl=60)
    strange = queue.enqueue("snapshot", "yearly 2026", result_ttl=60)
    for job in (done, strange):
        wait_until(lambda job=job: job.get_status(refresh=True) == "finished", 60, "the job")
    assert list_taken(records) == []
    order_snapshots(records, [Order(night, SnapshotKind.NIGHTLY)], utc_now())
    doorbell.ring("bulk", "snapshot", f"nightly {night}", utc_now(), 60)
    wait_until(lambda: nights(list_taken(records)) == [night], 60, "the snapshot")
    doorbell.close()
