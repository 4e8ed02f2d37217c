"""One delivery: a study (one manifest of it) to one destination, from plan to proof.

The row in the database is the truth; this module says how a row may change. Whoever works on a
delivery holds a lease and its fence; a message with an older fence changes nothing, so work that
is done twice is harmless. Only a verification writes `delivered`. Pure.

    planned -> sending -> sent -> verifying -> delivered
    sending or verifying that fails -> retry_wait or sent, later again, for ever

An audit that misses at the destination what was proven there opens a delivery again. What waits for
a person (blocked, conflict, parked, source_lost, excluded) goes on when it is told.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from gateway.model.routing.rule_sets import Lane


class State(StrEnum):
    """Where a delivery stands."""

    PLANNED = "planned"
    SENDING = "sending"
    SENT = "sent"
    VERIFYING = "verifying"
    DELIVERED = "delivered"
    RETRY_WAIT = "retry_wait"
    BLOCKED = "blocked"
    CONFLICT = "conflict"
    PARKED = "parked"
    SOURCE_LOST = "source_lost"
    EXCLUDED = "excluded"
    SUPERSEDED = "superseded"


class Event(StrEnum):
    """What happens to a delivery. The first block comes from workers, with their fence."""

    SENT = "sent"
    PROVEN = "proven"
    INCOMPLETE = "incomplete"
    UNVERIFIED = "unverified"
    FAILED = "failed"
    REFUSED = "refused"
    DENIED = "denied"
    CONFLICT = "conflict"
    SOURCE_GONE = "source_gone"
    ALIVE = "alive"

    CLAIMED = "claimed"
    VERIFY_CLAIMED = "verify_claimed"
    LEASE_ENDED = "lease_ended"
    RETRIED = "retried"
    DESTINATION_CHANGED = "destination_changed"
    EXCLUDED = "excluded"
    SUPERSEDED = "superseded"
    REOPENED = "reopened"


FENCED = frozenset(
    {
        Event.SENT, Event.PROVEN, Event.INCOMPLETE, Event.UNVERIFIED, Event.FAILED, Event.REFUSED,
        Event.DENIED, Event.CONFLICT, Event.SOURCE_GONE, Event.ALIVE,
    }
)  # fmt: skip
LEASED = frozenset({State.SENDING, State.VERIFYING})
FINAL = frozenset({State.DELIVERED, State.SUPERSEDED})
WAITING_FOR_A_PERSON = frozenset(
    {State.BLOCKED, State.CONFLICT, State.PARKED, State.SOURCE_LOST, State.EXCLUDED}
)
DUE = frozenset({State.PLANNED, State.RETRY_WAIT, State.SENT})

_OPEN = frozenset(State) - FINAL

TRANSITIONS: dict[tuple[State, Event], State] = {
    (State.PLANNED, Event.CLAIMED): State.SENDING,
    (State.RETRY_WAIT, Event.CLAIMED): State.SENDING,
    (State.SENDING, Event.ALIVE): State.SENDING,
    (State.SENDING, Event.SENT): State.SENT,
    (State.SENDING, Event.FAILED): State.RETRY_WAIT,
    # Parked at the third refusal (`apply`).
    (State.SENDING, Event.REFUSED): State.RETRY_WAIT,
    (State.SENDING, Event.DENIED): State.BLOCKED,
    (State.SENDING, Event.CONFLICT): State.CONFLICT,
    (State.SENDING, Event.SOURCE_GONE): State.SOURCE_LOST,
    (State.SENDING, Event.LEASE_ENDED): State.RETRY_WAIT,
    (State.SENT, Event.VERIFY_CLAIMED): State.VERIFYING,
    (State.VERIFYING, Event.ALIVE): State.VERIFYING,
    (State.VERIFYING, Event.PROVEN): State.DELIVERED,
    (State.VERIFYING, Event.INCOMPLETE): State.RETRY_WAIT,
    (State.VERIFYING, Event.UNVERIFIED): State.SENT,
    (State.VERIFYING, Event.DENIED): State.BLOCKED,
    (State.VERIFYING, Event.CONFLICT): State.CONFLICT,
    (State.VERIFYING, Event.LEASE_ENDED): State.SENT,
    (State.BLOCKED, Event.DESTINATION_CHANGED): State.PLANNED,
    **{(state, Event.RETRIED): State.PLANNED for state in WAITING_FOR_A_PERSON},
    (State.RETRY_WAIT, Event.RETRIED): State.PLANNED,
    **{(state, Event.EXCLUDED): State.EXCLUDED for state in _OPEN - {State.EXCLUDED}},
    **{(state, Event.SUPERSEDED): State.SUPERSEDED for state in _OPEN},
    # An audit did not find there what had been proven to be there.
    (State.DELIVERED, Event.REOPENED): State.PLANNED,
}

LEASE_S: dict[str, int] = {"emergency": 15, "routine": 30, "bulk": 30}
BACK_OFF_CAP_S: dict[str, int] = {"emergency": 15, "routine": 900, "bulk": 900}
BACK_OFF_S = 5
REFUSALS = 3


@dataclass(frozen=True)
class Delivery:
    """The part of a row that decides.

    fence      grows with every claim; a worker's word counts only with the fence it got
    attempt    tries, sends and verifications, since the plan or since a person retried it
    refusals   of these, those that no repetition will cure
    next_at    when it is due; None while leased, final, or waiting for a person
    """

    state: State
    lane: Lane = "routine"
    fence: int = 0
    attempt: int = 0
    refusals: int = 0
    next_at: datetime | None = None
    lease_until: datetime | None = None
    reason: str = ""


def plan(lane: Lane, now: datetime) -> Delivery:
    """A new delivery, due at once."""
    return Delivery(State.PLANNED, lane, next_at=now)


def apply(
    delivery: Delivery,
    event: Event,
    now: datetime,
    *,
    fence: int | None = None,
    reason: str = "",
    spread: Callable[[float], float] = lambda span_s: span_s,
) -> Delivery | None:
    """The delivery after an event, or None if the event does not count.

    It does not count when the state has no such event, when a worker speaks with an old fence, when
    a claim comes before its time, or when a lease that is said to have ended has not.

    fence   of the worker; needed for FENCED events
    reason  a code for people, never patient data
    spread  a random part of the seconds given (full jitter), so that retries do not march together
    """
    state = TRANSITIONS.get((delivery.state, event))
    if state is None or (event in FENCED and fence != delivery.fence):
        return None
    if event in (Event.CLAIMED, Event.VERIFY_CLAIMED):
        return _claimed(delivery, state, now)
    if event is Event.ALIVE:
        return replace(delivery, lease_until=_lease(delivery, now))
    if event is Event.LEASE_ENDED and (delivery.lease_until is None or delivery.lease_until > now):
        return None
    refusals = delivery.refusals + (event is Event.REFUSED)
    if event is Event.REFUSED and refusals >= REFUSALS:
        state = State.PARKED
    changed = replace(
        delivery, state=state, refusals=refusals, reason=reason, lease_until=None, next_at=None
    )
    if event in (Event.RETRIED, Event.DESTINATION_CHANGED, Event.REOPENED):
        return replace(changed, attempt=0, refusals=0, next_at=now)
    if event in (Event.SENT, Event.LEASE_ENDED):
        # A dead worker is no reason to wait, and what was sent is verified at once.
        return replace(changed, next_at=now)
    if state in DUE:
        wait_s = spread(back_off_s(delivery.lane, delivery.attempt))
        return replace(changed, next_at=now + timedelta(seconds=wait_s))
    return changed


def _claimed(delivery: Delivery, state: State, now: datetime) -> Delivery | None:
    if delivery.next_at is None or delivery.next_at > now:
        return None
    return replace(
        delivery,
        state=state,
        fence=delivery.fence + 1,
        attempt=delivery.attempt + 1,
        next_at=None,
        lease_until=_lease(delivery, now),
    )


def _lease(delivery: Delivery, now: datetime) -> datetime:
    return now + timedelta(seconds=LEASE_S[delivery.lane])


def back_off_s(lane: Lane, attempt: int) -> float:
    """The longest wait before the next try: 5 s, doubled each time, capped by lane; for ever."""
    return min(BACK_OFF_S * 2.0 ** min(max(attempt - 1, 0), 20), float(BACK_OFF_CAP_S[lane]))
