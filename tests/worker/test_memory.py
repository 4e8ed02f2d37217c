"""A study that eats all memory, or over which the kernel kills a process, costs itself alone."""

import sys

import pytest
from redis import Redis

from gateway.clock import utc_now
from gateway.demo.servers import REPOSITORY, Program
from gateway.model.deliveries import State
from gateway.queues import Doorbell
from gateway.records.delivery_desk import Filter, list_deliveries
from gateway.records.dispatch import Capacity, claim
from tests.arrived import SITE, plan, touch
from tests.waiting import wait_until
from tests.worker.conftest import wait_for_worker

pytestmark = pytest.mark.real

EATER, KILLED, GOOD = "1.2.1", "1.2.2", "1.2.3"
WORKER = f"""
import os, signal
from gateway.model.deliveries import Event
from gateway.routing.consignment import Outcome
from gateway.worker import deliveries

def deliver(wire, consignment, alive):
    if consignment.manifest.study_uid == "{EATER}":
        bytearray(2 << 30)
    if consignment.manifest.study_uid == "{KILLED}":
        os.kill(os.getpid(), signal.SIGKILL)  # as the kernel does when memory is short
    return Outcome(Event.SENT)

deliveries.deliver = deliver
from gateway.cli import main
main()
"""
ARCHIVE = """
[[site]]
id = "archive"
role = "archive"
name_ru = "Архив"
name_en = "Archive"
url = "http://127.0.0.1:9"
"""


def test_a_study_that_eats_memory_is_parked_and_the_others_go(
    records, database, region, redis: Redis, redis_server, tmp_path
):
    """F57, F41: one worker lives through all of it."""
    region.write_text(region.read_text() + ARCHIVE)
    for uid in (EATER, KILLED, GOOD):
        touch(records, uid, 1, utc_now())
        plan(records, uid, utc_now())
    command = [sys.executable, "-c", WORKER, "worker", "--queue", "routine"]
    environ = {"GATEWAY_DATABASE_URL": database, "GATEWAY_REDIS_URL": redis_server.url}
    worker = Program(
        "worker", [*command, "--region", str(region)], tmp_path / "worker.log",
        folder=REPOSITORY, environ=environ,
    )  # fmt: skip
    doorbell = Doorbell(redis_server.url)
    with worker:
        wait_for_worker(redis)
        for _ in range(3):
            ring_all(records, doorbell)
        assert worker.alive
    doorbell.close()
    told = {one.study_uid: one for one in list_deliveries(records, Filter())}
    assert {uid: one.state for uid, one in told.items()} == {
        EATER: State.PARKED, KILLED: State.PARKED, GOOD: State.SENT,
    }  # fmt: skip
    assert told[EATER].reason == "worker_crashed: MemoryError"
    assert told[KILLED].reason == "worker_killed"


def ring_all(records, doorbell):
    """Every delivery that waits is tried once; the proof of what was sent is left alone."""
    due = "UPDATE delivery SET next_at = made_at WHERE next_at IS NOT NULL"
    with records.write() as connection:
        connection.exec_driver_sql(due)
    capacity = Capacity({"routine": 9}, {"archive": 9}, (), (SITE,))
    for one in claim(records, capacity, utc_now(), None):
        assert doorbell.ring_for(one.queue, "route", one.delivery_id, one.fence, 60, 60)

    def rests():
        with records.read() as connection:
            leased = "SELECT 1 FROM delivery WHERE lease_until IS NOT NULL"
            return connection.exec_driver_sql(leased).first() is None

    wait_until(rests, 60, "the worker")
