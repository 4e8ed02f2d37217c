"""The two-minute clock is kept in counts that add up."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model.rollout.figures import Minutes, Share
from gateway.model.rollout.minutes import LONGEST_S, WRONG, minutes_of, rounded_s, seconds_to

AT = datetime(2026, 3, 11, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("before_s", "seconds"),
    [(0, 0), (90, 90), (0.2, 1), (-30, 0), (-31, WRONG), (LONGEST_S, LONGEST_S),
     (LONGEST_S + 1, WRONG)],
)  # fmt: skip
def test_a_span_that_cannot_be_is_a_wrong_clock(before_s, seconds):
    assert seconds_to(AT - timedelta(seconds=before_s), AT) == seconds


@given(st.integers(0, LONGEST_S))
def test_spans_are_rounded_up_by_less_than_a_third_and_two_minutes_stay_two_minutes(seconds):
    rounded = rounded_s(seconds)
    assert seconds <= rounded < seconds + max(6, seconds / 3)
    assert (rounded <= 120) == (seconds <= 120)
    assert rounded_s(rounded) == rounded


def test_of_nothing_there_is_no_median():
    assert minutes_of({}) == minutes_of({WRONG: 7}) == Minutes(Share(0, 0))


def test_the_figures_of_ten_studies_by_hand():
    counts = {60: 4, 120: 2, 180: 3, 3600: 1, WRONG: 9}
    assert minutes_of(counts) == Minutes(Share(6, 10), median=2.0, p95=60.0)


@given(st.lists(st.integers(0, 600), min_size=1, max_size=50))
def test_half_of_the_studies_take_the_median_at_most(spans):
    counts = {}
    for seconds in map(rounded_s, spans):
        counts[seconds] = counts.get(seconds, 0) + 1
    found = minutes_of(counts)
    assert 2 * sum(seconds <= found.median * 60 + 1e-6 for seconds in map(rounded_s, spans)) >= len(
        spans
    )
    assert found.median <= found.p95
