"""The one clock. Wall time is aware UTC; spans are measured on the monotonic clock."""

import time
from datetime import UTC, datetime


def utc_now() -> datetime:
    """Now, as an aware datetime in UTC."""
    return datetime.now(UTC)


def monotonic_s() -> float:
    """Seconds on a clock that never jumps; only differences mean something."""
    return time.monotonic()


class Deadline:
    """A moment on the monotonic clock by which something must have ended."""

    def __init__(self, seconds: float) -> None:
        self.total_s = seconds
        self._at = monotonic_s() + seconds

    def remaining_s(self) -> float:
        """Seconds left, never below zero."""
        return max(0.0, self._at - monotonic_s())

    @property
    def passed(self) -> bool:
        return monotonic_s() >= self._at
