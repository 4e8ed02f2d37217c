"""A worker process: takes jobs from exactly one queue.

One queue, because RQ loses a job when a worker of several queues dies right after taking it
(routing.md E1). A job runs in a forked child that dies with its worker (E2, E35).
"""

import ctypes
import os
import resource
import signal
import time
from contextlib import suppress
from types import FrameType

from redis import Redis
from redis.exceptions import RedisError
from rq import Queue, Worker, worker_registration
from rq.job import Job
from rq.serializers import JSONSerializer

from gateway.errors import GatewayError, SettingsError
from gateway.log import log
from gateway.queues import QUEUES, connect_redis, tell_done
from gateway.worker.deliveries import report_killed
from gateway.worker.jobs import ROUTE, VERIFY, Bench, is_known, job_class

MAINTENANCE_S = 15
AGAIN_S = 2.0
TIMEOUT_S = 5.0
PR_SET_PDEATHSIG = 1
MOST_MEMORY_BYTES = 2**30  # of the data of one job; maps of files do not count
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def run_worker(queue: str, redis_url: str, bench: Bench) -> int:
    """Work until SIGTERM or SIGINT; the job at hand is finished first.

    returns  the exit code: 0 after a signal, 1 after a job that is none of ours
    raises   SettingsError if there is no such queue, or Redis may lose jobs (routing.md E4)
    """
    if queue not in QUEUES:
        raise SettingsError([f"{queue}: there is no such queue; one of {', '.join(QUEUES)}"])
    redis = connect_redis(redis_url, TIMEOUT_S)
    log.info("worker starts", queue=queue)
    while True:
        _wait_for_redis(redis)
        worker = _open_worker(queue, redis, bench)
        # RQ makes itself known before it listens to signals: those that come between are kept.
        for number in STOP_SIGNALS:
            signal.signal(number, worker.keep_signal)
        try:
            worker.work(logging_level="WARNING")
        except RedisError as error:
            log.warning("redis does not answer, starting again", problem=str(error))
        if worker.met_a_stranger:
            return 1
        if worker.asked_to_stop:
            log.info("worker stops", queue=queue)
            return 0
        # RQ gave up for another reason, which it has logged. Its signal handlers are of no use now.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        time.sleep(AGAIN_S)


def check_redis(redis: Redis) -> None:
    """Refuse a Redis that throws jobs away or forgets them when it restarts.

    raises  SettingsError; redis.RedisError if it cannot be asked
    """
    mistakes = []
    # INFO, not CONFIG: the ACL that we recommend does not allow the latter (routing.md E34).
    policy = redis.info("memory").get("maxmemory_policy")
    if policy != "noeviction":
        mistakes.append(
            f"GATEWAY_REDIS_URL: this Redis has maxmemory-policy {policy} and may throw jobs away; "
            "set maxmemory-policy noeviction in redis.conf"
        )
    if not redis.info("persistence").get("aof_enabled"):
        mistakes.append(
            "GATEWAY_REDIS_URL: this Redis forgets its jobs when it restarts; "
            "set appendonly yes in redis.conf"
        )
    if mistakes:
        raise SettingsError(mistakes)


def _wait_for_redis(redis: Redis) -> None:
    told = False
    while True:
        try:
            return check_redis(redis)
        except RedisError as error:
            if not told:
                log.warning("redis does not answer, trying again", problem=str(error))
            told = True
            time.sleep(AGAIN_S)


def _open_worker(queue: str, redis: Redis, bench: Bench) -> "OneQueueWorker":
    jobs = job_class(bench)
    worker = OneQueueWorker(
        [Queue(queue, connection=redis, job_class=jobs, serializer=JSONSerializer)],
        connection=redis,
        job_class=jobs,
        serializer=JSONSerializer,
        maintenance_interval=MAINTENANCE_S,
        log_job_description=False,
    )
    worker.bench = bench
    return worker


class OneQueueWorker(Worker):
    """RQ's worker, whose children die with it, and which stops at a job that is none of ours."""

    max_connection_wait_time = 5.0  # RQ would sleep up to three minutes after a long outage
    met_a_stranger = False
    _kept_signal = 0
    bench: Bench

    @property
    def asked_to_stop(self) -> bool:
        """Whether a signal ended the work."""
        return bool(self._stop_requested or self._shutdown_requested_date)

    def keep_signal(self, number: int, _frame: FrameType | None) -> None:
        """Take note of a signal that RQ cannot obey yet."""
        self._kept_signal = number

    def check_for_suspension(self, burst: bool) -> None:
        """The first thing that RQ does once it can stop properly."""
        if number := self._kept_signal:
            self._kept_signal = 0
            self.request_stop(number, None)
        super().check_for_suspension(burst)

    def set_shutdown_requested_date(self) -> None:
        """A signal is obeyed whether or not Redis can be told of it."""
        with suppress(RedisError):
            super().set_shutdown_requested_date()

    def execute_job(self, job: Job, queue: Queue) -> None:
        # A Redis that was wiped does not know us any more: the dispatcher counts workers there.
        worker_registration.register(self)
        super().execute_job(job, queue)
        tell_done(self.connection)
        if not is_known(job):
            log.error("a job in redis is none of ours: who else writes there?", job=job.id)
            self.met_a_stranger = True
            self._stop_requested = True

    def handle_work_horse_killed(self, job: Job, *_facts: object) -> None:
        """The child died over its job, and not because we are asked to stop."""
        if self.asked_to_stop or not is_known(job) or job.func_name not in (ROUTE, VERIFY):
            return
        try:
            delivery_id, fence = job.args
            report_killed(self.bench.records, str(delivery_id), int(fence))
        except (GatewayError, ValueError, TypeError) as error:
            log.warning("death of a child is not recorded", problem=str(error))

    def fork_work_horse(self, job: Job, queue: Queue) -> None:
        self._worker_pid = os.getpid()
        super().fork_work_horse(job, queue)

    def main_work_horse(self, job: Job, queue: Queue) -> None:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != self._worker_pid:
            os._exit(1)  # the worker died before we had asked to die with it
        self.bench.records.leave_to_parent()
        # What one study may take of the machine: beyond it a job fails instead of its neighbours.
        resource.setrlimit(resource.RLIMIT_DATA, (MOST_MEMORY_BYTES, MOST_MEMORY_BYTES))
        super().main_work_horse(job, queue)
