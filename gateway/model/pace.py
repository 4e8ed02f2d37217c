"""How much a destination is asked at once, by how it answered: pure.

Additive increase, multiplicative decrease between 1 and the limit of its entry; a breaker that lets
one delivery try after a rest; and a stop for what only another entry in region.toml can cure.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from gateway.model.deliveries import Event
from gateway.model.destinations import Limits

FULL = "destination_full"
OF_SOURCE = "source_"
"""Reasons that begin so are the hospital's, not the destination's."""
EMERGENCY_PARALLEL = 2
"""Emergencies of one destination or of one source at once, beside its limit: their own reserve."""

ANSWERED = frozenset({Event.SENT, Event.PROVEN, Event.REFUSED, Event.CONFLICT})
FAILED = frozenset({Event.FAILED, Event.UNVERIFIED, Event.INCOMPLETE})


@dataclass(frozen=True)
class Pace:
    """What is remembered of a destination.

    parallel     deliveries at once, rising and falling
    failures     one after the other
    rests_until  nothing but an emergency is sent before; afterwards one delivery tries
    blocked      it refuses us (password, certificate, configuration): nothing is sent until its
                 entry changes or a person retries
    reason       code of the last failure
    """

    parallel: float
    failures: int = 0
    rests_until: datetime | None = None
    blocked: bool = False
    reason: str = ""

    @property
    def is_silent(self) -> bool:
        """Whether nothing goes there as it should: it failed again and again, or refuses us."""
        return self.blocked or self.rests_until is not None

    def room(self, limits: Limits, now: datetime) -> int:
        """How many deliveries it may have at once now, emergencies aside."""
        if self.blocked or not limits.is_open(now):
            return 0
        if self.rests_until is None:
            return max(1, min(int(self.parallel), limits.parallel))
        return 1 if self.rests_until <= now else 0

    def room_for_emergencies(self) -> int:
        """A rest does not hold them up: they are few, and each has its own back-off."""
        return 0 if self.blocked else EMERGENCY_PARALLEL


def after(pace: Pace, event: Event, reason: str, limits: Limits, now: datetime) -> Pace:
    """The pace after a worker's word on one delivery."""
    if reason.startswith(OF_SOURCE):
        return pace
    if event is Event.DENIED:
        return replace(pace, blocked=True, reason=reason)
    if event in ANSWERED:
        if pace.reason == FULL and event is not Event.SENT:
            return pace  # what it holds already proves no room
        more = min(float(limits.parallel), pace.parallel + 1 / max(pace.parallel, 1.0))
        return Pace(more)
    if event in FAILED:
        failures = pace.failures + 1
        less = replace(pace, parallel=max(1.0, pace.parallel / 2), failures=failures, reason=reason)
        if failures >= limits.breaker_failures or reason == FULL:
            return replace(less, rests_until=now + timedelta(seconds=limits.breaker_s))
        return less
    return pace
