"""`gateway sites` tells in one line how far a site is in the study index."""

from datetime import UTC, datetime, timedelta

from gateway.cli import _index_line
from gateway.records.studies import IndexState

BEGAN = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
NOW = BEGAN + timedelta(minutes=5)


def test_site_that_was_never_read_says_so():
    assert _index_line(None, NOW) == "не читан / not read yet"


def test_fill_shows_share_rate_and_time_left():
    state = IndexState("filling", 25_000, 100_000, BEGAN, None, None)
    assert _index_line(state, NOW).replace("\u00a0", " ") == (
        "заполняется / filling: 25 000 из / of 100 000 (25%), "
        "5 000 в минуту / per minute, ещё 15 мин / 15 min left"
    )


def test_fill_that_has_read_nothing_yet_promises_nothing():
    state = IndexState("filling", 0, 100_000, BEGAN, None, None)
    line = _index_line(state, NOW).replace("\u00a0", " ")
    assert line == "заполняется / filling: 0 из / of 100 000 (0%)"


def test_followed_site_shows_how_old_its_rows_are():
    read_at = NOW - timedelta(seconds=3)
    state = IndexState("following", 100_000, 100_000, BEGAN, read_at, BEGAN)
    assert _index_line(state, NOW).replace("\u00a0", " ") == (
        "полон / whole: 100 000; прочитан 3 с назад / read 3 s ago"
    )
