"""The one clock. Wall time is aware UTC; spans are measured on the monotonic clock.

Hosts that share a database follow its clock: leases and hours must mean the same on all of them
(trust.md F40). One whose own clock is right within a second keeps it.
"""

import time
from datetime import UTC, datetime, timedelta

NEARLY = timedelta(seconds=1)
_ahead = timedelta(0)


def utc_now() -> datetime:
    """Now, as an aware datetime in UTC."""
    return datetime.now(UTC) - _ahead


def follow(right: datetime) -> float:
    """It is `right` now: from now on utc_now says so, too.

    returns  seconds by which this host's own clock is ahead
    """
    global _ahead  # one host has one clock
    ahead = datetime.now(UTC) - right
    _ahead = ahead if abs(ahead) > NEARLY else timedelta(0)
    return ahead.total_seconds()


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
