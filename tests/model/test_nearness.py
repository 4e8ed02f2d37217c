"""What transfers say of a site's nearness, as rules that hold for all of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model.nearness import FADES_HALF_S, SLICE_BYTES, WORTH_TIMING, Nearness

SECONDS = st.floats(0, 60)
SIZES = st.integers(0, 2**30)
TRANSFERS = st.tuples(SECONDS, SIZES, SECONDS, SECONDS)


def shown(nearness: Nearness, now: float = 0.0) -> float:
    seconds = nearness.slice_s(now)
    assert seconds is not None
    return seconds


def test_of_a_site_that_was_never_asked_nothing_is_known():
    nearness = Nearness()
    assert nearness.slice_s(0.0) is None
    nearness.asked(1.0)
    assert nearness.slice_s(1.0) is None


def test_a_slice_takes_what_one_like_it_took():
    nearness = Nearness()
    nearness.asked(0.0)
    nearness.began(0.25)
    nearness.moved(2 * SLICE_BYTES, waited_s=1.0, took_s=1.0)
    assert shown(nearness) == pytest.approx(0.75)


def test_a_small_body_says_nothing_of_the_line():
    nearness = Nearness()
    nearness.began(0.1)
    nearness.moved(WORTH_TIMING - 1, waited_s=5.0, took_s=5.0)
    assert shown(nearness) == pytest.approx(0.1)


@given(st.lists(TRANSFERS, min_size=1))
def test_the_mean_lies_among_what_was_seen(transfers):
    nearness, slowest, fastest = Nearness(), 0.0, float("inf")
    for began_s, size, waited_s, more_s in transfers:
        nearness.asked(0.0)
        nearness.began(began_s)
        nearness.moved(size, waited_s, waited_s + more_s)
        counts = size >= WORTH_TIMING
        fastest = min(fastest, began_s)
        slowest = max(slowest, SLICE_BYTES * (waited_s + more_s) / size if counts else 0.0)
    longest = slowest + max(began_s for began_s, *_ in transfers)
    assert fastest - 1e-9 <= shown(nearness) <= longest + 1e-9


@given(size=st.integers(WORTH_TIMING, 2**30), waited_s=SECONDS, idle_s=SECONDS)
def test_a_reader_who_takes_his_time_does_not_make_a_site_far(size, waited_s, idle_s):
    hasty, idle = Nearness(), Nearness()
    for nearness in (hasty, idle):
        nearness.began(0.0)
    hasty.moved(size, waited_s, waited_s)
    idle.moved(size, waited_s, waited_s + idle_s)
    assert shown(idle) == pytest.approx(shown(hasty))


def test_a_reader_who_takes_his_time_does_not_make_a_far_site_near():
    nearness = Nearness()
    nearness.began(0.0)
    nearness.moved(SLICE_BYTES, waited_s=2.0, took_s=2.0)
    for _ in range(20):
        nearness.moved(SLICE_BYTES, waited_s=0.0, took_s=60.0)
    assert shown(nearness) == pytest.approx(2.0)


def test_a_site_that_has_become_slow_is_seen_after_one_transfer():
    nearness = Nearness()
    for _ in range(50):
        nearness.asked(0.0)
        nearness.began(0.002)
        nearness.moved(SLICE_BYTES, 0.003, 0.003)
    assert shown(nearness) < 0.01
    nearness.moved(SLICE_BYTES, 1.0, 1.0)
    assert shown(nearness) > 0.2


@given(seconds=st.floats(0.2, 600), span_s=st.floats(0, 3600))
def test_a_slow_site_comes_nearer_only_while_it_is_not_asked(seconds, span_s):
    nearness = Nearness()
    nearness.asked(0.0)
    nearness.began(seconds)
    later = shown(nearness, span_s)
    assert later <= seconds
    assert shown(nearness, span_s + 20 * FADES_HALF_S) < 0.001
    nearness.asked(span_s)  # and what it was then, it stays until it has shown something
    assert shown(nearness, span_s) == pytest.approx(later)
