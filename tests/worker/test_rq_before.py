"""The RQ before the one that we install does all of it too, and hands over to it (trust.md F60).

It lies in a folder of its own (.ci/install), and whoever has that in PYTHONPATH works with it.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import rq
from redis import Redis

from gateway.demo.servers import REPOSITORY
from gateway.records.probes import load_profiles
from tests.waiting import wait_until
from tests.worker.conftest import wait_for_worker, write_region

pytestmark = pytest.mark.real

BEFORE = "2.12"
FILES = ("tests/worker/test_processes.py", "tests/worker/test_redis.py")
ENVIRON = {"PYTHONPATH": f"{REPOSITORY / '.rq-before'}:{REPOSITORY}", "RQ_VERSION": BEFORE}
OF_THE_QUEUES = (
    "worker_does", "unknown_function", "callback", "another_queue", "dies_with_it", "sigterm",
    "survives_its_restart", "could_harm", "old_copy", "is_deaf", "frozen_redis", "the_rq_at_hand",
)  # fmt: skip


def test_the_rq_at_hand_is_the_one_that_is_meant() -> None:
    assert rq.VERSION.startswith(os.environ.get("RQ_VERSION", "3.0") + ".")
    assert (".rq-before" in str(rq.__file__)) == ("RQ_VERSION" in os.environ)


def test_the_queues_work_with_the_rq_before() -> None:
    done = subprocess.run(
        [
            sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-k",
            " or ".join(OF_THE_QUEUES), *FILES, str(Path(__file__)),
        ],
        cwd=REPOSITORY, env={**os.environ, **ENVIRON}, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert (done.returncode, " passed" in done.stdout) == (0, True), done.stdout[-4000:]


def test_an_upgrade_loses_no_job_that_waits_or_runs(
    start, redis: Redis, records, region, site_that_hangs, dead_url
) -> None:
    write_region(region, probe_s=60, gkb1=site_that_hangs, zlat=dead_url)
    worker = start("worker --queue routine", **ENVIRON)
    wait_for_worker(redis)
    assert version_of_worker(redis).startswith(BEFORE)
    keeper = start("keeper", **ENVIRON)
    wait_until(lambda: redis.zcard("rq:wip:routine"), 60, "a job that runs")
    wait_until(lambda: redis.llen("rq:queue:routine"), 60, "a job that waits")
    keeper.kill()
    worker.kill()
    assert load_profiles(records) == {}
    write_region(region, gkb1=dead_url, zlat=dead_url)
    redis.delete("rq:workers", "rq:workers:routine")
    start("worker --queue routine")
    wait_until(lambda: "zlat" in load_profiles(records), 60, "the job that waited")
    assert version_of_worker(redis).startswith("3.0")
    start("keeper")
    wait_until(lambda: "gkb1" in load_profiles(records), 60, "the job that ran")


def version_of_worker(redis: Redis) -> str:
    (name,) = redis.smembers("rq:workers:routine")
    return redis.hget(name, "version").decode()
