"""Redis, the doorbell of the work queues: short time limits, its errors become ours."""

import redis

from gateway.errors import QueueUnavailable


def ask_redis(url: str) -> None:
    """Ask Redis for a sign of life within half a second; raises QueueUnavailable."""
    try:
        with redis.Redis.from_url(
            url, socket_timeout=0.5, socket_connect_timeout=0.5, retry=None
        ) as client:
            client.ping()
    except (redis.RedisError, ValueError) as error:
        raise QueueUnavailable(f"Redis does not answer: {type(error).__name__}") from error
