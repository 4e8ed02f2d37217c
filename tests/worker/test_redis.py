"""What the gateway may do in Redis, and what an old copy of Redis may do to the gateway."""

import shutil

import pytest
from redis import Redis
from redis.exceptions import AuthenticationError, NoPermissionError

from gateway.clock import utc_now
from gateway.demo.servers import RedisServer, free_port
from gateway.model.deliveries import State
from gateway.queues import Doorbell
from gateway.records.delivery_desk import Filter, list_deliveries, load_story
from gateway.records.dispatch import claim
from gateway.records.probes import load_profiles, order_probe
from tests.arrived import plan, room, touch
from tests.waiting import wait_until
from tests.worker.conftest import wait_for_worker

pytestmark = pytest.mark.real


@pytest.fixture
def limited(tmp_path):
    with RedisServer(tmp_path / "redis", free_port(), password="secret", limited=True) as server:
        yield server


def test_a_worker_needs_no_right_that_could_harm_anybody(start, limited, records):
    """H72, routing.md E34: its user may not write a file, wipe, or read what others keep."""
    start("worker --queue routine", limited.url)
    doorbell = Doorbell(limited.url)
    with Redis.from_url(limited.url) as client:
        wait_for_worker(client)
        assert doorbell.was_wiped()
        order_probe(records, "gkb1", utc_now())
        assert doorbell.ring("routine", "probe", "gkb1", utc_now(), 30)
        wait_until(lambda: load_profiles(records), 60, "the probe")
        for words in (
            ("CONFIG", "SET", "dir", "/x"), ("FLUSHALL",), ("FLUSHDB",),
            ("SET", "another", "1"), ("GET", "another"), ("MODULE", "LIST"), ("SHUTDOWN",),
            ("ACL", "LIST"), ("EVAL", "return redis.call('SET', 'another', '1')", "0"),
        ):  # fmt: skip
            with pytest.raises(NoPermissionError if words[0] != "EVAL" else Exception):
                client.execute_command(*words)
    with Redis(port=limited.port) as stranger, pytest.raises(AuthenticationError):
        stranger.ping()
    doorbell.close()


def test_an_old_copy_of_redis_doubles_nothing(start, tmp_path, records):
    """F28: a replica that had fallen behind takes over; its jobs are of an older fence."""
    server = RedisServer(tmp_path / "redis", free_port())
    touch(records, "1.2.1", 1, utc_now())
    plan(records, "1.2.1", utc_now(), lane="routine")
    with server:
        (one,) = claim(records, room(), utc_now(), None)
        doorbell = Doorbell(server.url)
        words = (one.queue, "route", one.delivery_id, one.fence)
        assert doorbell.ring_for(*words, within_s=600, timeout_s=600)
        doorbell.close()
    shutil.copytree(tmp_path / "redis", tmp_path / "behind")

    def tried():
        (row,) = list_deliveries(records, Filter())
        return row.state is State.RETRY_WAIT

    def serve():
        server.start()
        worker = start("worker --queue routine", server.url)
        with Redis.from_url(server.url) as client:
            wait_for_worker(client)
            wait_until(lambda: not client.exists(f"rq:job:{one.delivery_id}-1"), 60, "the job")
        worker.kill()
        server.kill()

    serve()
    assert tried(), "the archive of this region is not there"
    before = load_story(records, "1.2.1")
    shutil.rmtree(tmp_path / "redis")
    shutil.copytree(tmp_path / "behind", tmp_path / "redis")
    serve()
    assert load_story(records, "1.2.1") == before
