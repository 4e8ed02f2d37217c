"""The total of a long list is exact or it is not said."""

import threading
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from gateway.index import totals
from gateway.index.scope import find_scope
from gateway.index.totals import count_studies
from gateway.records.engine import Records
from gateway.records.indexing import Cursor, IndexWriter
from gateway.records.studies import site_cursor, study
from tests.databases import open_without_rows
from tests.index.rows import START, element, study_row
from tests.records.conftest import database_url
from tests.waiting import wait_until

__all__ = ["database_url"]
SITES = ["north", "south"]
LONG_AGO, LATER = START - timedelta(days=2), START + timedelta(days=1)


@pytest.fixture
def index(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Records]:
    """An index whose lists are long from three studies on."""
    monkeypatch.setattr(totals, "SLICE", 3)
    monkeypatch.setattr(totals, "MANY", 3)
    monkeypatch.setattr(totals, "PAUSE_S", 0.0)
    records = open_without_rows(database_url)
    yield records
    records.close()


def add(index: Records, numbers: Iterable[int], seen: datetime, site_id: str = "north") -> None:
    records = {f"1.2.{number}": element("StudyInstanceUID", f"1.2.{number}") for number in numbers}
    rows = [study_row(site_id, uid, record, seen) for uid, record in records.items()]
    state = {
        "site_id": site_id, "seq": 1, "fingerprint": "", "phase": "following",
        "filled": 1, "to_fill": 1, "fill_began_at": LONG_AGO,
    }  # fmt: skip
    with index.write() as connection:
        known = index.insert(site_cursor).on_conflict_do_nothing()
        connection.execute(known, [state])
        connection.execute(sa.insert(study), rows)


def delete(index: Records, number: int, site_id: str = "north") -> None:
    """As the keeper does it."""
    writer = IndexWriter(index, site_id, None, threading.Lock())
    cursor = Cursor(1, "", "following", 0, 0, LONG_AGO)
    writer.save(cursor, gone=[f"1.2.{number}"], now=totals.utc_now())


def total(index: Records, as_of: datetime | None = None) -> int | None:
    with index.read() as connection:
        return count_studies(index, connection, find_scope(connection, SITES), as_of)


def counted(index: Records) -> int | None:
    """The total once somebody has counted."""
    wait_until(lambda: total(index) is not None, 60, "the count")
    return total(index)


def test_few_studies_are_counted_for_each_search(index: Records) -> None:
    add(index, [1, 2], LONG_AGO)
    add(index, [2], LONG_AGO, "south")
    assert (total(index), total(index, LONG_AGO - timedelta(days=1))) == (2, 0)


def test_the_total_of_many_is_not_said_until_they_are_counted(index: Records) -> None:
    add(index, range(8), LONG_AGO)
    add(index, range(4), LONG_AGO, "south")
    assert (total(index), counted(index)) == (None, 8)


def test_what_is_first_seen_after_the_count_is_in_the_total(index: Records) -> None:
    add(index, range(8), LONG_AGO)
    counted(index)
    now = totals.utc_now()
    add(index, [8, 9], now)
    add(index, [1], now, "south")  # another copy of what is known
    assert (total(index), total(index, LONG_AGO)) == (10, 8)


def test_more_new_studies_than_can_be_counted_make_the_total_unknown(index: Records) -> None:
    add(index, range(8), LONG_AGO)
    counted(index)
    add(index, range(8, 13), totals.utc_now())
    assert total(index) is None


def test_an_old_count_is_not_used(index: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    add(index, range(8), LONG_AGO)
    counted(index)
    now = totals.monotonic_s()
    with index.write() as connection:
        connection.execute(sa.delete(study).where(study.c.study_uid == "1.2.7"))
    monkeypatch.setattr(totals, "monotonic_s", lambda: now + 2 * totals.TOO_OLD_S)
    assert (total(index), counted(index)) == (None, 7)


def test_a_deletion_ends_the_count(index: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    add(index, range(8), LONG_AGO)
    add(index, range(2), LONG_AGO, "south")
    counted(index)
    monkeypatch.setattr(totals, "SHARE", 1e-9)  # it may not be counted anew for years
    delete(index, 1, "south")
    assert total(index) is None


def test_after_a_deletion_it_is_counted_anew(index: Records) -> None:
    add(index, range(8), LONG_AGO)
    add(index, range(2), LONG_AGO, "south")
    counted(index)
    delete(index, 7)
    delete(index, 1, "south")  # the other copy stays
    assert counted(index) == 7


def test_a_deletion_while_it_is_counted_ends_the_count_too(
    index: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(index, range(8), LONG_AGO)
    deletions = iter([0, 7])

    def delete_behind(_pause_s: float) -> None:
        for number in deletions:
            delete(index, number)

    monkeypatch.setattr(totals, "time", SimpleNamespace(sleep=delete_behind))
    assert counted(index) == 6


def test_what_another_site_deletes_leaves_the_count_as_it_is(
    index: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(index, range(8), LONG_AGO)
    add(index, range(3), LONG_AGO, "west")
    counted(index)
    monkeypatch.setattr(totals, "SHARE", 1e-9)
    delete(index, 1, "west")
    delete(index, 99)  # nobody has it
    assert total(index) == 8
