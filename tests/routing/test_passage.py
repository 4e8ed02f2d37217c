"""Rates, leases, batches and the meaning of answers, without any server."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import LeaseLost
from gateway.model.deliveries import Event
from gateway.model.manifests import Instance
from gateway.routing.consignment import event_of_reason, event_of_status, worst
from gateway.routing.deliver import BATCH, BATCH_BYTES, batches
from gateway.routing.passage import LONGEST_SLEEP_S, Pace, Pulse

FROM_DELIVERY = {
    Event.FAILED, Event.REFUSED, Event.DENIED, Event.CONFLICT, Event.SOURCE_GONE
}  # fmt: skip


class Clock:
    """Time that passes only in sleep."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds
        self.slept.append(seconds)


@given(st.lists(st.integers(0, 300_000), min_size=1, max_size=30), st.integers(1000, 10**6))
def test_no_more_passes_than_the_rate_allows(sizes: list[int], rate: int) -> None:
    clock = Clock()
    pace = Pace(rate, lambda: None, clock.now, clock.sleep)
    for size in sizes:
        pace.passed(size)
    assert clock.now_s == pytest.approx(sum(sizes) / rate)
    assert max(clock.slept, default=0.0) <= LONGEST_SLEEP_S


def test_without_a_rate_nobody_sleeps() -> None:
    clock = Clock()
    pace = Pace(0, lambda: None, clock.now, clock.sleep)
    pace.passed(10**12)
    assert clock.slept == []


def test_a_lost_lease_ends_a_sleep_at_once() -> None:
    clock = Clock()
    lives = iter([True, True, False])

    def pulse() -> None:
        if not next(lives):
            raise LeaseLost("gone")

    pace = Pace(1, pulse, clock.now, clock.sleep)
    with pytest.raises(LeaseLost):
        pace.passed(1000)
    assert clock.now_s == 2 * LONGEST_SLEEP_S


def test_the_lease_is_asked_for_at_most_once_a_second() -> None:
    asked: list[int] = []
    pulse = Pulse(lambda: not asked.append(1))
    for _ in range(100):
        pulse()
    assert len(asked) == 1


@given(st.lists(st.integers(0, 2 * BATCH_BYTES), max_size=200))
def test_batches_hold_everything_in_order_within_their_limits(sizes: list[int]) -> None:
    todo = [Instance(f"1.{n}", "1", size) for n, size in enumerate(sizes)]
    found = list(batches(todo))
    assert [one for batch in found for one in batch] == todo
    for batch in found:
        small = sum(one.size for one in batch) <= BATCH_BYTES or len(batch) == 1
        assert (0 < len(batch) <= BATCH, small) == (True, True)


@given(st.integers(0, 0xFFFF))
def test_every_reason_decides_something_and_only_known_ones_are_for_ever(reason: int) -> None:
    event, _ = event_of_reason(reason)
    lasting = reason >> 8 == 0xA9 or reason >> 12 == 0xC or reason == 0x0122
    assert (event in FROM_DELIVERY, event is Event.REFUSED) == (True, lasting)


@pytest.mark.parametrize(
    ("status", "event"),
    [
        (200, Event.FAILED),
        (400, Event.REFUSED),
        (401, Event.DENIED),
        (403, Event.DENIED),
        (408, Event.FAILED),
        (413, Event.REFUSED),
        (415, Event.REFUSED),
        (429, Event.FAILED),
        (500, Event.FAILED),
        (503, Event.FAILED),
        (507, Event.FAILED),
    ],
)
def test_a_status_tells_whether_it_is_tried_again(status: int, event: Event) -> None:
    assert event_of_status(status)[0] is event


def test_what_may_still_come_goes_before_what_cannot() -> None:
    gone, failed = (Event.SOURCE_GONE, "source_gone"), (Event.FAILED, "timeout")
    assert worst([gone, (Event.REFUSED, "refused"), failed]) == failed
    assert worst([gone]) == gone
    assert worst([]) is None
