"""So many in a minute and no more, over all web processes (trust.md H33, H86).

Counted in Redis; without it each process counts for itself.
"""

from collections import OrderedDict, deque

from redis.exceptions import RedisError

from gateway.clock import Deadline, monotonic_s, utc_now
from gateway.queues import connect_redis

PREFIX = "gateway:turns:"
SPAN_S = 60
AWAY_S = 5.0
KEEP_MOST = 10_000
"""Callers that one process remembers by itself."""


class Turns:
    """Turns of one kind; never raises because Redis is away."""

    def __init__(self, redis_url: str, kind: str, most: int) -> None:
        self._redis = connect_redis(redis_url, 0.2)
        self._away: Deadline | None = None
        self._own: OrderedDict[str, deque[float]] = OrderedDict()
        self._kind, self._most = kind, most

    def take(self, who: str = "") -> float:
        """Seconds to wait for the next turn; 0: this was one.

        who  whose turns are counted: an id of ours or an address; "": all turns together
        """
        if self._away is None or self._away.passed:
            try:
                return self._take_in_redis(who)
            except RedisError:
                self._away = Deadline(AWAY_S)
        own = self._own.setdefault(who, deque(maxlen=self._most))
        self._own.move_to_end(who)
        while len(self._own) > KEEP_MOST:
            self._own.popitem(last=False)
        now = monotonic_s()
        if len(own) == self._most and now - own[0] < SPAN_S:
            return SPAN_S - (now - own[0])
        own.append(now)
        return 0.0

    def _take_in_redis(self, who: str) -> float:
        moment = utc_now().timestamp()
        minute, spent_s = divmod(moment, SPAN_S)
        key = f"{PREFIX}{self._kind}:{who}:{int(minute)}"
        with self._redis.pipeline() as pipeline:
            pipeline.incr(key)
            pipeline.expire(key, 2 * SPAN_S)
            taken = int(pipeline.execute()[0])
        return 0.0 if taken <= self._most else SPAN_S - spent_s
