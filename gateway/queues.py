"""The queues between processes: RQ on Redis, and only a doorbell (routing.md 2).

What is to be done stands in the database before anybody rings, so a bell that nobody hears costs
seconds: whoever rings looks again later and then does the work itself. A job names its function by
a plain word (worker/jobs.py has the list) and carries ids only.
"""

import hashlib
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime

from redis import Redis
from redis.backoff import NoBackoff
from redis.client import PubSub
from redis.exceptions import RedisError
from redis.retry import Retry
from rq import Queue
from rq.serializers import JSONSerializer
from rq.worker_registration import WORKERS_BY_QUEUE_KEY

from gateway.clock import Deadline
from gateway.errors import QueueUnavailable, SettingsError

QUEUES = ("emergency", "routine", "bulk", "verify")
PATIENCE_S = 0.5  # a frozen Redis holds up whoever rings by no more than this
AWAY_S = 5.0  # and is then left alone for so long
FAILED_FOR_S = 86_400
MARK = "rq:gateway:mark"
"""A key that tells whether Redis still has what we put there; our ACL allows rq: only."""
DONE = "rq:gateway:done"
"""A channel: a worker has ended a job, and need not wait for its next until somebody looks."""


def connect_redis(url: str, timeout_s: float = PATIENCE_S) -> "Redis":
    """A client that gives up after one try. Raises SettingsError for what is no Redis URL."""
    try:
        return Redis.from_url(
            url,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),
        )
    except ValueError:
        raise SettingsError(
            ["GATEWAY_REDIS_URL: must look like redis://127.0.0.1:6379/0"]
        ) from None


def ask_redis(url: str) -> None:
    """Ask Redis for a sign of life; raises QueueUnavailable."""
    try:
        with connect_redis(url) as client:
            client.ping()
    except RedisError as error:
        raise QueueUnavailable(f"Redis does not answer: {type(error).__name__}") from error


def count_waiting(url: str) -> dict[str, int]:
    """Jobs that wait in each queue; raises QueueUnavailable"""
    try:
        with connect_redis(url) as redis:
            return {name: int(redis.llen(f"rq:queue:{name}")) for name in QUEUES}
    except RedisError as error:
        raise QueueUnavailable(type(error).__name__) from error


def ask_policy(url: str) -> str:
    """What Redis does when its memory is full; raises QueueUnavailable.

    INFO, not CONFIG: the ACL that we recommend does not allow the latter (routing.md E34).
    """
    try:
        with connect_redis(url) as client:
            return str(client.info("memory").get("maxmemory_policy"))
    except RedisError as error:
        raise QueueUnavailable(f"Redis does not answer: {type(error).__name__}") from error


class Doorbell:
    """Rings workers. Never raises because Redis is away: then nobody has heard."""

    def __init__(self, redis_url: str) -> None:
        self._redis = connect_redis(redis_url)
        self._away: Deadline | None = None
        self._ear: PubSub | None = None
        self._mark = os.urandom(8).hex().encode()

    def ring(self, queue: str, job: str, row_id: str, ordered_at: datetime, within_s: int) -> bool:
        """Ask a worker of `queue` to do what a row orders.

        job         a word of worker/jobs.py
        row_id      the job's only argument
        ordered_at  with the three above it makes the job's id: ringing twice is one job
        within_s    after that the bell is forgotten; the row is not
        returns     whether a worker is there to hear it
        """
        if not self.count_workers().get(queue):
            return False
        name = job_id(job, row_id, ordered_at)
        return self._enqueue(queue, job, (row_id,), name, within_s, within_s)

    def ring_for(
        self, queue: str, job: str, delivery_id: str, fence: int, within_s: int, timeout_s: int
    ) -> bool:
        """Ask a worker of `queue` to work on a delivery that was claimed under this fence.

        within_s   the lease: after that the bell means nothing
        timeout_s  longest time for the job
        returns    whether Redis took it; a worker that Redis has forgotten hears it all the same
        """
        name = f"{delivery_id}-{fence}"
        return self._enqueue(queue, job, (delivery_id, fence), name, within_s, timeout_s)

    def _enqueue(
        self, queue: str, job: str, words: tuple[str | int, ...], name: str, within_s: int,
        timeout_s: int,
    ) -> bool:  # fmt: skip
        if self._away and not self._away.passed:
            return False
        try:
            Queue(queue, connection=self._redis, serializer=JSONSerializer).enqueue(
                job,
                args=words,
                job_id=name,
                description=job,
                ttl=within_s,
                job_timeout=timeout_s,
                result_ttl=0,
                failure_ttl=FAILED_FOR_S,
            )
        except RedisError:
            self._away = Deadline(AWAY_S)
            return False
        return True

    def count_workers(self) -> Mapping[str, int]:
        """How many workers Redis knows of each queue; {} when it is away.

        One that was killed is counted until Redis forgets it, some minutes later; after a wipe one
        that waits is not counted until its next job.
        """
        if self._away and not self._away.passed:
            return {}
        try:
            with self._redis.pipeline(transaction=False) as pipeline:
                for queue in QUEUES:
                    pipeline.scard(WORKERS_BY_QUEUE_KEY % queue)
                return dict(zip(QUEUES, map(int, pipeline.execute()), strict=True))
        except RedisError:
            self._away = Deadline(AWAY_S)
            return {}

    def was_wiped(self) -> bool:
        """Whether Redis has forgotten everything since this was asked before: no bell of ours is
        heard. True at first, too: nobody knows what it forgot while no keeper led."""
        if self._away and not self._away.passed:
            return False
        try:
            if self._redis.get(MARK) == self._mark:
                return False
            self._redis.set(MARK, self._mark)
        except RedisError:
            self._away = Deadline(AWAY_S)
            return False
        return True

    def hear_done(self, longest_s: float) -> bool:
        """Whether a worker ended a job; waits for it, in a thread that does nothing else.

        returns  False after `longest_s`, or when Redis is away
        """
        if self._away and not self._away.passed:
            time.sleep(longest_s)
            return False
        try:
            if self._ear is None:
                self._ear = self._redis.pubsub(  # type: ignore[no-untyped-call]
                    ignore_subscribe_messages=True
                )
                self._ear.subscribe(DONE)
            return bool(self._ear.get_message(timeout=longest_s))
        except RedisError:
            self._away, self._ear = Deadline(AWAY_S), None
            return False

    def close(self) -> None:
        self._redis.close()


def tell_done(redis: "Redis") -> None:
    """A worker has ended a job. Nothing is lost if nobody hears it."""
    with suppress(RedisError):
        redis.publish(DONE, "")


def job_id(job: str, row_id: str, ordered_at: datetime) -> str:
    """Letters and digits only: RQ takes no dots (routing.md E8), and a UID is nobody's business."""
    words = "\n".join((job, row_id, ordered_at.isoformat()))
    return hashlib.sha256(words.encode()).hexdigest()[:32]
