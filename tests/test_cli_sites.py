"""`gateway sites` tells how far a site is in the study index, and forgets one that was removed."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Lock

import pytest
from click.testing import CliRunner

from gateway.cli import _index_line, _size_line, main
from gateway.clock import utc_now
from gateway.demo.servers import free_port
from gateway.records.indexing import Cursor, IndexWriter, load_sums
from gateway.records.leases import Fence, take_lease
from gateway.records.studies import IndexState, load_index_states
from tests.databases import open_without_rows
from tests.fakes import a_site
from tests.records.test_indexing import a_row
from tests.worker.conftest import write_region

BEGAN = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
NOW = BEGAN + timedelta(minutes=5)
SITE = a_site("gkb1", url="http://127.0.0.1:1")
FILLING = IndexState("filling", 25_000, 100_000, BEGAN, None, None)


def shown(state, site=SITE):
    return _index_line(state, NOW, site).replace("\u00a0", " ")


def test_site_that_was_never_read_says_so():
    assert shown(None) == "не читан / not read yet"


def test_fill_shows_share_rate_and_time_left():
    assert shown(FILLING) == (
        "заполняется / filling: 25 000 из / of 100 000 (25%), "
        "5 000 в минуту / per minute, ещё 15 мин / 15 min left"
    )


def test_fill_that_has_read_nothing_yet_promises_nothing():
    state = replace(FILLING, filled=0)
    assert shown(state) == "заполняется / filling: 0 из / of 100 000 (0%)"


def test_fill_outside_its_hours_says_what_it_waits_for():
    night = replace(SITE, window="20:00-06:00", time_zone="Asia/Yekaterinburg")
    assert shown(FILLING, night) == (
        "заполняется / filling: 25 000 из / of 100 000 (25%), "
        "ждёт своих часов / waits for its hours 20:00-06:00"
    )


def test_followed_site_shows_how_old_its_rows_are_and_what_cannot_be_read():
    read_at = NOW - timedelta(seconds=3)
    state = IndexState("following", 100_000, 100_000, BEGAN, read_at, BEGAN)
    whole = "полон / whole: 100 000; прочитан 3 с назад / read 3 s ago"
    assert shown(state) == whole
    assert shown(replace(state, aside=2)) == (
        whole + "; не читаются / unreadable: 2 (gateway keeper log)"
    )


@pytest.mark.parametrize(
    ("state", "says"),
    [
        (None, "пока не известен / not known yet"),
        (FILLING, "пока не известен / not known yet"),
        (
            replace(FILLING, size_bytes=1_234_000_000_000, sized=25_000),
            "1,2 ТБ / 1.2 TB; известен у исследований / known of studies: 25 000",
        ),
    ],
)
def test_size_is_that_of_the_studies_whose_size_is_known(state, says):
    assert _size_line(state).replace("\u00a0", " ") == says


@pytest.fixture
def records(tmp_path, monkeypatch):
    """An index with two studies of `gkb1` and one of `zlat`; region.toml names only `gkb1`."""
    url = f"sqlite:///{tmp_path / 'gateway.db'}"
    region = write_region(tmp_path / "region.toml", gkb1=f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("GATEWAY_DATABASE_URL", url)
    monkeypatch.setenv("GATEWAY_REGION", str(region))
    records = open_without_rows(url)
    fence = Fence("keeper", take_lease(records, "keeper", "test", utc_now(), 60))
    for site_id, rows in {"gkb1": [a_row(1), a_row(2)], "zlat": [a_row(1)]}.items():
        cursor = Cursor(5, "here", "following", len(rows), len(rows), BEGAN)
        IndexWriter(records, site_id, fence, Lock()).save(cursor, rows, now=BEGAN)
    yield records
    records.close()


def test_removed_site_is_shown_and_can_be_forgotten(records):
    listed = CliRunner().invoke(main, ["sites"]).output
    assert "zlat: нет в region.toml" in listed
    assert "gkb1: нет в region.toml" not in listed
    done = CliRunner().invoke(main, ["sites", "forget", "zlat"])
    assert (done.exit_code, done.output) == (
        0,
        "zlat: забыто исследований / studies forgotten: 1\n",
    )
    assert (load_sums(records, "zlat"), load_sums(records, "gkb1")[0]) == ((0, 0, 0), 2)
    assert list(load_index_states(records)) == ["gkb1"]
    assert "zlat" not in CliRunner().invoke(main, ["sites"]).output


@pytest.mark.parametrize(
    ("site_id", "says"), [("gkb1", "remove it there first"), ("nobody", "knows no such site")]
)
def test_site_that_is_followed_or_unknown_is_not_forgotten(records, site_id, says):
    refused = CliRunner().invoke(main, ["sites", "forget", site_id])
    assert refused.exit_code == 1
    assert says in refused.output
    assert load_sums(records, "gkb1")[0] == 2
