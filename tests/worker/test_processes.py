"""Keepers and workers as real processes, on a real Redis."""

import os
import signal
from pathlib import Path

import pytest
from redis import Redis
from rq import Callback, Queue
from rq.job import Job, JobStatus
from rq.serializers import JSONSerializer

from gateway.clock import utc_now
from gateway.demo.servers import RedisServer, free_port
from gateway.queues import Doorbell
from gateway.records.alarms import load_alarms
from gateway.records.leases import take_lease
from gateway.records.notices import load_unsent
from gateway.records.probes import load_probes, load_profiles, order_probe
from tests.index.kills import end_lease
from tests.mailserver import Post, run_mail_server
from tests.waiting import wait_until
from tests.worker.conftest import wait_for_worker, write_region

pytestmark = pytest.mark.real


def _says(program, words):
    return words in program.log_tail(200)


def _queue(redis, name="routine"):
    return Queue(name, connection=redis, serializer=JSONSerializer)


def _fetch(job):
    return Job.fetch(job.id, connection=job.connection, serializer=JSONSerializer)


def test_worker_does_what_the_row_orders(start, redis, redis_server, records):
    start("worker --queue routine")
    wait_for_worker(redis)
    now = utc_now()
    order_probe(records, "gkb1", now)
    doorbell = Doorbell(redis_server.url)
    assert doorbell.ring("routine", "probe", "gkb1", now, 30)
    wait_until(lambda: load_profiles(records), 60, "the probe")
    probe = load_probes(records)["gkb1"]
    assert (probe.profile.problem, probe.due_since) == ("unreachable (no connection)", None)
    assert probe.profile.probed_at >= now
    doorbell.close()


def test_end_of_a_job_is_heard_at_once(start, redis, redis_server):
    start("worker --queue bulk")
    wait_for_worker(redis, "bulk")
    doorbell = Doorbell(redis_server.url)
    doorbell.hear_done(0.1)  # listens from now on
    _queue(redis, "bulk").enqueue("probe", "nobody")
    wait_until(lambda: doorbell.hear_done(1.0), 60, "the end of the job")
    doorbell.close()


def test_job_of_an_unknown_function_fails_unexecuted_and_ends_the_worker(start, redis, tmp_path):
    worker = start("worker --queue routine")
    wait_for_worker(redis)
    job = _queue(redis).enqueue("os.system", f"touch {tmp_path}/pwned")
    wait_until(lambda: not worker.alive, 60, "the worker to stop")
    assert worker.exit_code == 1
    assert _fetch(job).get_status() == JobStatus.FAILED
    assert not (tmp_path / "pwned").exists()
    assert _says(worker, "none of ours")


@pytest.mark.parametrize("callback", ["on_success", "on_failure"])
def test_callback_of_a_job_is_not_executed(start, redis, records, tmp_path, callback):
    start("worker --queue routine")
    wait_for_worker(redis)
    order_probe(records, "gkb1", utc_now())
    _queue(redis).enqueue("probe", "gkb1", **{callback: Callback("os.abort")})
    wait_until(lambda: load_profiles(records), 60, "the probe")
    wait_until(lambda: not _queue(redis).started_job_registry.count, 60, "the end of the job")
    assert _queue(redis).failed_job_registry.count == 0


def test_worker_of_another_queue_leaves_the_job_alone(start, redis, records):
    start("worker --queue bulk")
    wait_for_worker(redis, "bulk")
    order_probe(records, "gkb1", utc_now())
    job = _queue(redis).enqueue("probe", "gkb1")
    last = _queue(redis, "bulk").enqueue("probe", "nobody", result_ttl=60)
    wait_until(lambda: _fetch(last).is_finished, 60, "the bulk worker")
    assert _fetch(job).get_status() == JobStatus.QUEUED


def test_child_of_a_worker_dies_with_it(start, redis, records, region, site_that_hangs):
    write_region(region, probe_s=60, gkb1=site_that_hangs)
    worker = start("worker --queue routine")
    wait_for_worker(redis)
    order_probe(records, "gkb1", utc_now())
    _queue(redis).enqueue("probe", "gkb1")
    children = Path(f"/proc/{worker.pid}/task/{worker.pid}/children")
    wait_until(lambda: children.read_text().strip(), 60, "the child")
    child = int(children.read_text().split()[0])
    worker.kill()
    wait_until(lambda: not Path(f"/proc/{child}").exists(), 60, "the child's death")


def test_worker_stops_on_sigterm(start, redis):
    worker = start("worker --queue emergency")
    wait_for_worker(redis, "emergency")
    worker.ask_to_stop()
    wait_until(lambda: not worker.alive, 60, "the worker to stop")
    assert worker.exit_code == 0
    assert redis.scard("rq:workers:emergency") == 0


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ({"maxmemory-policy": "allkeys-lru"}, "set maxmemory-policy noeviction in redis.conf"),
        ({"appendonly": "no"}, "set appendonly yes in redis.conf"),
    ],
    ids=["Redis that throws jobs away", "Redis that forgets jobs"],
)
def test_worker_refuses(start, redis, option, says):
    before = {name: redis.config_get(name)[name] for name in option}
    try:
        for name, value in option.items():
            redis.config_set(name, value)
        worker = start("worker --queue routine")
        wait_until(lambda: not worker.alive, 60, "the worker to refuse")
    finally:
        for name, value in before.items():
            redis.config_set(name, value)
    assert worker.exit_code == 1
    assert _says(worker, says)


def test_worker_waits_for_redis_and_survives_its_restart(start, tmp_path, records):
    server = RedisServer(tmp_path / "redis", free_port())
    worker = start("worker --queue routine", server.url)
    wait_until(lambda: _says(worker, "redis does not answer, trying again"), 60, "a log line")
    with server, Redis.from_url(server.url) as client:
        wait_for_worker(client)
        server.kill()
        server.start()
        order_probe(records, "gkb1", utc_now())
        _queue(client).enqueue("probe", "gkb1")
        wait_until(lambda: load_profiles(records), 60, "the probe after the restart")
    assert worker.alive


def test_keeper_probes_without_redis_and_without_workers(start, records, dead_url):
    start("keeper", f"redis://127.0.0.1:{free_port()}/0")
    wait_until(lambda: load_profiles(records), 60, "the probe")
    assert load_profiles(records)["gkb1"].problem == "unreachable (no connection)"


def test_keeper_probes_itself_when_a_worker_is_deaf(start, redis, records):
    worker = start("worker --queue routine")
    wait_for_worker(redis)
    worker.pause()
    start("keeper")
    wait_until(lambda: load_profiles(records), 60, "the probe")
    assert load_probes(records)["gkb1"].due_since is None


def test_spare_keeper_takes_over_from_a_dead_one(start, records):
    leader = start("keeper")
    wait_until(lambda: _says(leader, "keeper leads"), 60, "a leader")
    spare = start("keeper")
    wait_until(lambda: _says(spare, "keeper starts"), 60, "a spare")
    leader.kill()
    wait_until(lambda: _says(spare, "keeper leads"), 60, "the spare to take over")
    assert _says(spare, "fence=2")


def test_a_keeper_tells_by_mail_and_the_next_one_does_not_say_it_again(start, records, region):
    """F12, F51: one cause is one mail, whoever leads; what waited for the mail server is told."""
    people = '[[notify]]\nid = "duty"\nmail = ["duty@region.example"]\nalarms = true\n'
    region.write_text(region.read_text() + people)
    post, port = Post(), free_port()
    mail = {
        "GATEWAY_MAIL_FROM": "gateway@region.example", "GATEWAY_SMTP_HOST": "127.0.0.1",
        "GATEWAY_SMTP_PORT": str(port), "GATEWAY_SMTP_SECURITY": "none",
    }  # fmt: skip
    away = f"redis://127.0.0.1:{free_port()}/0"
    first = start("keeper", away, **mail)
    wait_until(lambda: load_unsent(records), 60, "an alarm that waits for the mail server")
    first.kill()
    end_lease(records)
    with run_mail_server(post, port):
        second = start("keeper", away, **mail)
        wait_until(lambda: post.mails and not load_unsent(records), 120, "the mail")
        second.kill()
        end_lease(records)
        third = start("keeper", away, **mail)
        wait_until(lambda: _says(third, "keeper leads"), 60, "the next leader")
        wait_until(lambda: load_alarms(records)[0].last_seen_at > sent_at(post), 90, "a look")
    told = [mail.get_content() for mail in post.mails]
    assert sum("тревога: redis" in text for text in told) == 1


def sent_at(post):
    return post.mails[-1]["Date"].datetime


def test_keeper_that_is_stopped_gives_its_lease_back(start, records):
    leader = start("keeper")
    wait_until(lambda: _says(leader, "keeper leads"), 60, "a leader")
    leader.ask_to_stop()
    wait_until(lambda: not leader.alive, 60, "the leader to stop")
    assert leader.exit_code == 0
    assert take_lease(records, "keeper", "spare", utc_now(), 10) == 2


def test_keeper_takes_a_changed_region_file(start, redis, records, region, dead_url):
    keeper = start("keeper")
    wait_until(lambda: "gkb1" in load_profiles(records), 60, "the first probe")
    region.write_text("broken =")
    wait_until(lambda: _says(keeper, "region file is wrong"), 60, "a log line")
    write_region(region, gkb1=dead_url, zlat=dead_url)
    wait_until(lambda: "zlat" in load_profiles(records), 60, "the probe of the new site")


def test_nothing_is_heard_of_a_redis_that_is_away():
    doorbell = Doorbell(f"redis://127.0.0.1:{free_port()}/0")
    assert [doorbell.hear_done(0.0) for _ in range(2)] == [False, False]
    doorbell.close()


def test_frozen_redis_holds_up_a_bell_only_once(tmp_path):
    with RedisServer(tmp_path / "redis", free_port()) as server:
        with Redis.from_url(server.url) as client:
            client.sadd("rq:workers:routine", "rq:worker:x")
        doorbell = Doorbell(server.url)
        os.kill(server.pid, signal.SIGSTOP)
        assert not doorbell.ring("routine", "probe", "gkb1", utc_now(), 30)
        server.resume()
        # Left alone for a while, although it would answer now.
        assert not doorbell.ring("routine", "probe", "gkb1", utc_now(), 30)
        doorbell.close()
