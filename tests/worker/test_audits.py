"""When a hospital is compared with its destinations: once a night of its own, in its own hours."""

from datetime import UTC, datetime

import pytest

from gateway.records.reconciling import Figures
from gateway.worker.audits import is_due
from tests.fakes import a_site

SITE = a_site("gkb1", time_zone="Asia/Yekaterinburg")  # UTC+5
CLOSED = a_site("gkb1", time_zone="Asia/Yekaterinburg", window="20:00-06:00")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def last(text: str) -> Figures:
    return Figures("gkb1", "archive", at(text), at(text))


@pytest.mark.parametrize(
    ("site", "before", "now", "expected"),
    [
        (SITE, None, "2026-11-22T12:00", True),
        (SITE, last("2026-11-21T20:30"), "2026-11-22T12:00", False),
        (SITE, last("2026-11-21T19:30"), "2026-11-21T20:01", True),
        (SITE, last("2026-11-20T20:30"), "2026-11-21T19:59", False),
        (SITE, last("2026-11-19T20:30"), "2026-11-21T10:00", True),
        (CLOSED, None, "2026-11-22T12:00", False),
        (CLOSED, None, "2026-11-21T22:00", True),
    ],
    ids=[
        "never before: at once",
        "tonight already",
        "one o'clock has struck",
        "not yet one o'clock",
        "the keeper was away at night",
        "not by day where heavy reading is not allowed",
        "within its hours",
    ],
)
def test_a_comparison_is_due(site, before, now, expected) -> None:
    assert is_due(site, before, at(now)) is expected
