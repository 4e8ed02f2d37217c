"""The state machine of a delivery, as a table and over random orders of events."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model.deliveries import (
    DUE,
    FENCED,
    FINAL,
    LEASED,
    TRANSITIONS,
    WAITING_FOR_A_PERSON,
    Delivery,
    Event,
    State,
    apply,
    back_off_s,
    plan,
)

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)

# state: what can happen to it -> what it is then. Written out a second time on purpose: this is
# what the operations chapter promises.
TABLE = {
    "planned": "claimed>sending excluded>excluded superseded>superseded",
    "retry_wait": "claimed>sending retried>planned excluded>excluded superseded>superseded",
    "sending": "alive>sending sent>sent failed>retry_wait refused>retry_wait denied>blocked "
    "conflict>conflict source_gone>source_lost lease_ended>retry_wait excluded>excluded "
    "superseded>superseded",
    "sent": "verify_claimed>verifying excluded>excluded superseded>superseded",
    "verifying": "alive>verifying proven>delivered incomplete>retry_wait unverified>sent "
    "denied>blocked conflict>conflict lease_ended>sent excluded>excluded superseded>superseded",
    "delivered": "reopened>planned",
    "superseded": "",
    "blocked": "destination_changed>planned retried>planned excluded>excluded "
    "superseded>superseded",
    "conflict": "retried>planned excluded>excluded superseded>superseded",
    "parked": "retried>planned excluded>excluded superseded>superseded",
    "source_lost": "retried>planned excluded>excluded superseded>superseded",
    "excluded": "retried>planned superseded>superseded",
}


def test_the_table_is_the_promise() -> None:
    written = {
        (State(state), Event(event)): State(then)
        for state, steps in TABLE.items()
        for event, _, then in (step.partition(">") for step in steps.split())
    }
    assert set(TABLE) == set(State)
    assert written == TRANSITIONS


def test_only_a_verification_writes_delivered() -> None:
    ways = [key for key, then in TRANSITIONS.items() if then is State.DELIVERED]
    assert ways == [(State.VERIFYING, Event.PROVEN)]


@pytest.mark.parametrize("state", sorted(set(State) - FINAL))
def test_from_every_open_state_a_study_can_still_be_delivered(state: State) -> None:
    reached, before = {state}, set[State]()
    while reached != before:
        before = set(reached)
        reached |= {then for (start, _), then in TRANSITIONS.items() if start in before}
    assert State.DELIVERED in reached


def step(delivery: Delivery, event: Event, now: datetime = NOW) -> Delivery:
    found = apply(delivery, event, now, fence=delivery.fence)
    assert found is not None
    return found


def test_a_third_refusal_parks_and_a_person_can_retry() -> None:
    delivery = plan("routine", NOW)
    for _ in range(3):
        delivery = step(step(delivery, Event.CLAIMED, NOW + timedelta(days=1)), Event.REFUSED)
    assert (delivery.state, delivery.next_at) == (State.PARKED, None)
    again = step(delivery, Event.RETRIED)
    assert (again.state, again.attempt, again.refusals, again.next_at) == (
        State.PLANNED, 0, 0, NOW,
    )  # fmt: skip


def test_transient_failures_never_end() -> None:
    delivery = plan("routine", NOW)
    for _ in range(1000):
        delivery = step(step(delivery, Event.CLAIMED, NOW + timedelta(days=1)), Event.FAILED)
    assert delivery.state is State.RETRY_WAIT
    assert delivery.next_at == NOW + timedelta(seconds=900)


def test_waits_double_up_to_the_cap_of_the_lane() -> None:
    assert [back_off_s("routine", n) for n in range(1, 10)] == [
        5, 10, 20, 40, 80, 160, 320, 640, 900,
    ]  # fmt: skip
    assert [back_off_s("emergency", n) for n in (1, 2, 3, 50)] == [5, 10, 15, 15]


def test_a_lease_that_runs_is_not_taken_away() -> None:
    sending = step(plan("emergency", NOW), Event.CLAIMED)
    assert apply(sending, Event.LEASE_ENDED, NOW + timedelta(seconds=14)) is None
    alive = step(sending, Event.ALIVE, NOW + timedelta(seconds=10))
    assert apply(alive, Event.LEASE_ENDED, NOW + timedelta(seconds=24)) is None
    freed = apply(alive, Event.LEASE_ENDED, NOW + timedelta(seconds=25))
    assert freed is not None
    assert (freed.state, freed.next_at) == (State.RETRY_WAIT, NOW + timedelta(seconds=25))


steps = st.lists(
    st.tuples(
        st.sampled_from(list(Event)), st.integers(-2, 0), st.integers(0, 40), st.floats(0, 1)
    ),
    max_size=60,
)


@given(steps, st.sampled_from(["emergency", "routine", "bulk"]))
def test_any_order_of_events_keeps_the_promises(given_steps: list, lane: str) -> None:
    delivery, now, proven = plan(lane, NOW), NOW, False
    for event, behind, seconds, part in given_steps:
        now += timedelta(seconds=seconds)
        fence = delivery.fence + behind
        after = apply(
            delivery, event, now, fence=fence, spread=lambda span_s, part=part: span_s * part
        )
        if after is None:
            continue
        # A worker that lost its lease to another one is not heard.
        assert event not in FENCED or behind == 0
        assert after.fence == delivery.fence + (after.state in LEASED and event is not Event.ALIVE)
        # Nothing stands still: it is due, or leased, or final, or a person is asked.
        assert (after.next_at is not None) == (after.state in DUE)
        assert (after.lease_until is not None) == (after.state in LEASED)
        assert after.state in DUE | LEASED | FINAL | WAITING_FOR_A_PERSON
        assert after.next_at is None or after.next_at <= now + timedelta(seconds=900)
        assert delivery.state not in FINAL or event is Event.REOPENED
        proven = event is Event.PROVEN and delivery.state is State.VERIFYING
        assert (after.state is State.DELIVERED) == proven
        delivery = after
