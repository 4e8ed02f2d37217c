"""The two-minute clock: how long a study takes from its acquisition to be seen, archived, told.

Kept as counts of studies by seconds, rounded up to steps that grow with the span, so that days,
sites and regions are added up, and a median of ten years is no longer work than that of a day.
Pure.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from gateway.model.rollout.figures import Minutes, Share
from gateway.model.rollout.senders import SOON

TWO_MINUTES_S = 120
WRONG = -1
"""Seconds of a study whose images say a time that cannot be: a clock is wrong, or they are old."""
LONGEST_S = 7 * 86_400
"""What was taken earlier was not on its way for so long: it lay somewhere."""
_STEPS = ((600, 6), (7_200, 60), (86_400, 1_800), (LONGEST_S, 21_600))
"""(up to, step): a tenth of a minute, a minute, half an hour, a quarter of a day."""


class Moment(StrEnum):
    """What a study takes its time to; told: to the record system, which no part tells of yet."""

    VISIBLE = "visible"
    ARCHIVED = "archived"
    TOLD = "told"


def seconds_to(taken_at: datetime, at: datetime) -> int:
    """Whole seconds, up; WRONG if they cannot be."""
    seconds = -int((taken_at - at).total_seconds() // 1)
    if seconds < -SOON.total_seconds() or seconds > LONGEST_S:
        return WRONG
    return max(seconds, 0)


def rounded_s(seconds: int) -> int:
    """Up to the step of that span; two minutes are the end of one."""
    if seconds <= 0:
        return seconds
    step = next(step for most, step in _STEPS if seconds <= most)
    return -(-seconds // step) * step


def minutes_of(counts: Mapping[int, int]) -> Minutes:
    """Studies by their (rounded) seconds; those whose clock is WRONG are left out.

    The median and the 95th percentile are values of studies (the nearest rank), no mean of two.
    """
    spans = sorted((seconds, studies) for seconds, studies in counts.items() if seconds >= 0)
    whole = sum(studies for _, studies in spans)
    within = sum(studies for seconds, studies in spans if seconds <= TWO_MINUTES_S)
    if not whole:
        return Minutes(Share(0, 0))
    return Minutes(Share(within, whole), _rank(spans, whole, 50), _rank(spans, whole, 95))


def _rank(spans: list[tuple[int, int]], whole: int, percent: int) -> float:
    """Minutes that so many percent of the studies took at most."""
    wanted, passed = -(-whole * percent // 100), 0
    for seconds, studies in spans:
        passed += studies
        if passed >= wanted:
            return round(seconds / 60, 1)
    raise AssertionError("more studies are wanted than there are")
