import sqlite3
import threading
from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from gateway.demo.servers import free_port
from gateway.errors import RecordsRefused, RecordsUnavailable, SettingsError
from gateway.records import engine
from gateway.records.engine import open_records
from gateway.records.leases import lease

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def _row(**values):
    return {"name": "keeper", "holder": "a", "fence": 1, "until": NOON} | values


def test_moment_comes_back_aware_and_in_utc(records):
    chelyabinsk = datetime(2026, 3, 1, 17, 0, 0, 250, tzinfo=timezone(timedelta(hours=5)))
    with records.write() as connection:
        connection.execute(lease.insert().values(_row(until=chelyabinsk)))
    with records.read() as connection:
        moment = connection.execute(sa.select(lease.c.until)).scalar_one()
    assert (moment, moment.tzinfo) == (NOON.replace(microsecond=250), UTC)


def test_naive_moment_is_refused(records):
    with pytest.raises(RecordsRefused, match="time zone"), records.write() as connection:
        connection.execute(lease.insert().values(_row(until=datetime(2026, 3, 1))))


def test_constraint_is_our_mistake_and_shows_no_values(records):
    with records.write() as connection:
        connection.execute(lease.insert().values(_row(holder="ИВАНОВ")))
    with pytest.raises(RecordsRefused) as caught, records.write() as connection:
        connection.execute(lease.insert().values(_row(holder="ИВАНОВ")))
    assert "ИВАНОВ" not in str(caught.value)
    assert not caught.value.transient


def test_transaction_that_raises_leaves_nothing(records):
    def write_and_fail():
        with records.write() as connection:
            connection.execute(lease.insert().values(_row()))
            raise KeyError

    with pytest.raises(KeyError):
        write_and_fail()
    with records.read() as connection:
        assert connection.execute(sa.select(lease)).all() == []


def test_writers_wait_for_each_other_and_lose_nothing(records):
    with records.write() as connection:
        connection.execute(lease.insert().values(_row(fence=0)))

    def count_up():
        for _ in range(20):
            with records.write() as connection:
                seen = connection.execute(sa.select(lease.c.fence).with_for_update()).scalar_one()
                connection.execute(sa.update(lease).values(fence=seen + 1))

    threads = [threading.Thread(target=count_up) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with records.read() as connection:
        assert connection.execute(sa.select(lease.c.fence)).scalar_one() == 80


def test_sqlite_keeps_what_was_committed_through_a_power_cut(tmp_path):
    records = open_records(f"sqlite:///{tmp_path / 'gateway.db'}")
    pragmas = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
    with records.read() as connection:
        values = [connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in pragmas]
    records.close()
    assert values == ["wal", 2, 1, 5000]
    assert (tmp_path / "gateway.db").stat().st_mode & 0o777 == 0o600


def test_sqlite_maps_no_file_so_that_a_cold_page_costs_one_page(tmp_path):
    records = open_records(f"sqlite:///{tmp_path}/records.sqlite")
    with records.read() as connection:
        assert connection.execute(sa.text("PRAGMA mmap_size")).scalar_one() == 0
    records.close()


def test_change_to_wal_that_is_refused_is_tried_again(monkeypatch):
    answers = ["delete", sqlite3.OperationalError("database is locked"), "delete", "wal", "wal"]

    class Connection:
        def execute(self, _statement):
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return SimpleNamespace(fetchone=lambda: [answer])

    waits = []
    monkeypatch.setattr(engine.time, "sleep", waits.append)
    engine._use_wal(Connection())
    assert (answers, len(waits)) == ([], 1)


def test_database_that_is_away_is_a_transient_error():
    records = open_records(f"postgresql://gateway@127.0.0.1:{free_port()}/none")
    with pytest.raises(RecordsUnavailable) as caught, records.read():
        pass
    assert caught.value.transient
    records.close()


@pytest.mark.parametrize(
    "url",
    ["", "gateway.db", "mysql://x/y", "sqlite://", "oracle://x", "postgresql+asyncpg://x/y"],
)
def test_other_databases_are_refused_at_start(url):
    with pytest.raises(SettingsError, match="GATEWAY_DATABASE_URL"):
        open_records(url)
