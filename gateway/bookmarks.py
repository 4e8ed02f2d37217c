"""When a list was first asked for, so that its later pages show the same list.

Kept in Redis for all web processes; without Redis each process remembers its own.
"""

from collections import OrderedDict
from datetime import datetime

from redis.exceptions import RedisError

from gateway.clock import Deadline
from gateway.queues import connect_redis

PREFIX = "gateway:list:"
KEEP_S = 300
KEEP_MOST = 10_000
AWAY_S = 5.0


class Bookmarks:
    """Remembers a moment for a key; never raises because Redis is away."""

    def __init__(self, redis_url: str) -> None:
        self._redis = connect_redis(redis_url, 0.2)
        self._away: Deadline | None = None
        self._own: OrderedDict[str, datetime] = OrderedDict()

    def remember(self, key: str, moment: datetime) -> None:
        """Keep the moment for KEEP_S; a newer one replaces it."""
        self._own[key] = moment
        self._own.move_to_end(key)
        while len(self._own) > KEEP_MOST:
            self._own.popitem(last=False)
        if self._is_there():
            try:
                self._redis.set(PREFIX + key, moment.isoformat(), ex=KEEP_S)
            except RedisError:
                self._away = Deadline(AWAY_S)

    def recall(self, key: str) -> datetime | None:
        """The moment that any process kept; None if none did, or it is too long ago."""
        if self._is_there():
            try:
                found = self._redis.get(PREFIX + key)
                if found:
                    return datetime.fromisoformat(str(found, "ascii"))  # type: ignore[arg-type]
            except (RedisError, ValueError):
                self._away = Deadline(AWAY_S)
        return self._own.get(key)

    def _is_there(self) -> bool:
        return self._away is None or self._away.passed
