"""Rows of the study index and the place in the feed: written together, by the leader only."""

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from gateway.errors import LeaseLost
from gateway.records.arrivals import Arrived, load_due
from gateway.records.indexing import (
    Cursor,
    IndexRow,
    IndexWriter,
    last_bell,
    load_bells,
    load_cursor,
    load_known,
    load_sums,
    load_unsized,
    save_read_at,
    walk_known,
)
from gateway.records.leases import Fence, take_lease
from gateway.records.planning import Decided, save_looks
from gateway.records.studies import IndexState, load_index_states, series, study

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
CURSOR = Cursor(5, "here", "filling", 1, 4, NOW)


def a_row(number, mark="m", series_count=2):
    uid = f"1.2.{number}"
    moments = "study_date", "study_time"
    person = "patient_id", "issuer", "name_key", "name_latin", "birth_date", "sex", "alike"
    columns = dict.fromkeys((*moments, *person, "numbers", "accession_number"), "")
    record = {"modalities": "|CT|", "odd": False, "record": b"{}", "changed_at": None}
    counts = {"series_count": series_count, "instance_count": 10 * series_count}
    names = {"study_uid": uid, "orthanc_id": f"id-{number}", "mark": mark}
    rows = [
        {"series_uid": f"{uid}.{at}", "study_uid": uid, "modality": "CT", "series_number": at}
        | {"instance_count": 10, "record": b"{}"}
        for at in range(series_count)
    ]
    return IndexRow({**names, **columns, **record, **counts}, rows)


def a_fence(records, holder, now):
    return Fence("keeper", take_lease(records, "keeper", holder, now, 60))


@pytest.fixture
def writer(records):
    return IndexWriter(records, "gkb1", a_fence(records, "me", NOW), threading.Lock())


def test_the_planner_is_told_of_a_first_fill(records, writer):
    writer.save(CURSOR, [a_row(n) for n in range(9)], now=NOW)
    writer.refresh_statistics()
    rows = {
        "sqlite": "SELECT stat FROM sqlite_stat1 WHERE idx = 'study_by_uid'",
        "postgresql": "SELECT reltuples::int || ' ' FROM pg_class WHERE relname = 'study'",
    }[records.engine.dialect.name]
    with records.read() as connection:
        assert connection.execute(sa.text(rows)).scalar_one().split()[0] == "9"


def _series(records):
    with records.read() as connection:
        return set(connection.execute(sa.select(series.c.series_uid)).scalars())


def test_rows_and_cursor_are_written_together(records, writer):
    writer.save(CURSOR, [a_row(2), a_row(1)], now=NOW)
    assert load_cursor(records, "gkb1") == CURSOR
    assert load_sums(records, "gkb1") == (2, 4, 40)
    assert load_sums(records, "other") == (0, 0, 0)


def test_study_read_again_replaces_its_series_and_keeps_when_it_was_first_seen(records, writer):
    writer.save(CURSOR, [a_row(1)], now=NOW)
    writer.save(CURSOR, [a_row(1, "later", 1)], now=NOW + timedelta(hours=1))
    assert _series(records) == {"1.2.1.0"}
    with records.read() as connection:
        moments = sa.select(study.c.first_seen_at, study.c.indexed_at, study.c.mark)
        assert connection.execute(moments).one() == (NOW, NOW + timedelta(hours=1), "later")


def test_deleted_study_goes_with_its_series(records, writer):
    writer.save(CURSOR, [a_row(1), a_row(2)], now=NOW)
    writer.save(CURSOR, [], ["1.2.1"], NOW)
    assert list(load_known(records, "gkb1")) == ["1.2.2"]
    assert _series(records) == {"1.2.2.0", "1.2.2.1"}


def test_who_leads_no_longer_writes_nothing(records, writer):
    assert a_fence(records, "other", NOW + timedelta(seconds=61)).number
    with pytest.raises(LeaseLost):
        writer.save(CURSOR, [a_row(1)], now=NOW)
    assert (load_cursor(records, "gkb1"), load_sums(records, "gkb1")) == (None, (0, 0, 0))


def test_what_was_read_before_another_led_is_not_written_by_who_leads_again(records, writer):
    writer.save(CURSOR, now=NOW)
    old = Fence("keeper", 1)
    assert a_fence(records, "other", NOW + timedelta(seconds=61)).number
    assert a_fence(records, "me", NOW + timedelta(seconds=122)).number
    with pytest.raises(LeaseLost):
        writer.save(CURSOR, [a_row(1)], now=NOW)
    with pytest.raises(LeaseLost):
        save_read_at(records, {"gkb1": NOW}, old)
    assert load_index_states(records)["gkb1"].read_at is None


def test_who_takes_its_own_lease_again_goes_on(records, writer):
    assert a_fence(records, "me", NOW + timedelta(seconds=61)).number
    writer.save(CURSOR, [a_row(1)], now=NOW)
    assert load_sums(records, "gkb1") == (1, 2, 20)


def test_closed_writer_writes_nothing(records, writer):
    writer.close()
    with pytest.raises(LeaseLost):
        writer.save(CURSOR, [a_row(1)], now=NOW)
    assert load_sums(records, "gkb1") == (0, 0, 0)


def test_walk_meets_every_study_once(records, writer, monkeypatch):
    monkeypatch.setattr("gateway.records.indexing.PAGE", 3)
    writer.save(CURSOR, [a_row(number) for number in range(8)], now=NOW)
    pages = list(walk_known(records, "gkb1"))
    assert [known.study_uid for page in pages for known in page] == [f"1.2.{n}" for n in range(8)]
    assert [len(page) for page in pages] == [3, 3, 2]


def test_state_tells_how_far_a_site_is(records, writer):
    writer.save(CURSOR, now=NOW)
    save_read_at(records, {"gkb1": NOW}, Fence("keeper", 1))
    writer.save(replace(CURSOR, seq=9), now=NOW)
    state = load_index_states(records)["gkb1"]
    assert state == IndexState("filling", 1, 4, NOW, NOW, None)
    assert (state.share, state.time_left_s(NOW + timedelta(seconds=10))) == (0.25, 30.0)


def test_bells_are_heard_once(records):
    assert (last_bell(records), load_bells(records, 0)) == (0, (0, frozenset()))


def _sizes(records, key):
    with records.read() as connection:
        return dict(connection.execute(sa.select(key, key.table.c.size_bytes)).all())


def test_size_of_a_site_follows_its_studies(records, writer):
    def total():
        state = load_index_states(records)["gkb1"]
        return state.size_bytes, state.sized

    writer.save(CURSOR, [a_row(1), a_row(2)], now=NOW)
    assert total() == (0, 0)
    writer.save_sizes(
        {"1.2.1": {"1.2.1.0": (5, "a"), "1.2.1.1": (7, "b")}, "1.2.2": {"1.2.2.0": (100, "")}}
    )
    assert _sizes(records, study.c.study_uid) == {"1.2.1": 12, "1.2.2": 100}
    assert _sizes(records, series.c.series_uid) == {
        "1.2.1.0": 5, "1.2.1.1": 7, "1.2.2.0": 100, "1.2.2.1": None,
    }  # fmt: skip
    assert total() == (112, 2)
    writer.save(replace(CURSOR, seq=6), [a_row(1, "later")], now=NOW)  # its size is another one now
    assert _sizes(records, study.c.study_uid) == {"1.2.1": None, "1.2.2": 100}
    assert total() == (100, 1)
    writer.save(CURSOR, [], ["1.2.2"], NOW)
    assert total() == (0, 0)


def test_who_leads_no_longer_writes_no_size(records, writer):
    writer.save(CURSOR, [a_row(1)], now=NOW)
    assert a_fence(records, "other", NOW + timedelta(seconds=61)).number
    with pytest.raises(LeaseLost):
        writer.save_sizes({"1.2.1": {"1.2.1.0": (5, "a")}})
    assert _sizes(records, study.c.study_uid) == {"1.2.1": None}


def test_studies_without_a_size_are_found_newest_first(records, writer):
    for minute, number in enumerate((3, 1, 2, 4)):
        row = a_row(number)
        row = replace(row, study={**row.study, "arriving": number == 4})
        writer.save(CURSOR, [row], now=NOW + timedelta(minutes=minute))
    writer.save_sizes({"1.2.1": {"1.2.1.0": (1, "a")}})

    def unsized(since=None, without=(), limit=9):
        return [uid for uid, _ in load_unsized(records, "gkb1", since, without, limit)]

    assert unsized() == ["1.2.2", "1.2.3"]
    assert unsized(limit=1) == ["1.2.2"]
    assert unsized(without={"1.2.2"}) == ["1.2.3"]
    assert unsized(since=NOW) == ["1.2.2"]


def test_what_is_written_is_due_for_a_decision_with_it(records, writer):
    following = replace(CURSOR, phase="following")
    writer.save(following, [a_row(1), a_row(2)], now=NOW)
    assert {seen.study_uid for seen in load_due(records, "gkb1", NOW, 9)} == {"1.2.1", "1.2.2"}
    looked = [(seen, Decided(Arrived.HELD)) for seen in load_due(records, "gkb1", NOW, 9)]
    save_looks(records, looked, NOW, None)
    later = NOW + timedelta(minutes=1)
    writer.save(following, [a_row(1), a_row(2, mark="other")], now=later)
    assert [seen.study_uid for seen in load_due(records, "gkb1", later, 9)] == ["1.2.2"]
    writer.save(following, gone=["1.2.1"], now=later)
    assert {seen.study_uid for seen in load_due(records, "gkb1", later, 9)} == {"1.2.1", "1.2.2"}
