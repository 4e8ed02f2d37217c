"""A keeper's process that is frozen in the middle of a write, and the spare that takes over."""

import os
import signal
import sqlite3
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context

import psycopg
import pytest
from psycopg.types.string import StrDumper

from gateway.errors import GatewayError, RecordsUnavailable
from gateway.index.rows import row_of
from gateway.orthanc.feed import Listed
from gateway.orthanc.study_records import StudyRecord
from gateway.records.engine import open_records
from gateway.records.indexing import Cursor, IndexWriter, load_known
from gateway.records.leases import Fence, take_lease
from tests.fakes import a_row

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(seconds=61)
CURSOR = Cursor(5, "here", "filling", 1, 4, NOW)
STUDIES = 300
AT = 250
"""Where the frozen one stops: some rows have reached the database."""


class Freezes(str):
    """A text whose process stops itself when the driver is about to send it."""

    __slots__ = ()

    def stop(self) -> str:
        os.kill(os.getpid(), signal.SIGSTOP)
        return str(self)


class FreezesDumper(StrDumper):
    def dump(self, obj):
        return super().dump(obj.stop() if isinstance(obj, Freezes) else obj)


def rows(mark, at_one=str):
    uids = [f"1.2.{1000 + at}" for at in range(STUDIES)]
    all_marks = [at_one(mark) if at == AT else mark for at in range(STUDIES)]
    return [
        row_of(Listed(uid, "id", one), StudyRecord(a_row(StudyInstanceUID=uid), ()), "")
        for uid, one in zip(uids, all_marks, strict=True)
    ]


def write_and_freeze(url):
    """In a process of its own: the leader's last write. Ends with 0 if the write was refused."""
    sqlite3.register_adapter(Freezes, Freezes.stop)
    psycopg.adapters.register_dumper(Freezes, FreezesDumper)
    writer = IndexWriter(open_records(url), "gkb1", Fence("keeper", 1), threading.Lock())
    try:
        writer.save(CURSOR, rows("of the frozen one", Freezes), now=NOW)
    except GatewayError:
        return
    raise SystemExit("it was written")


@pytest.fixture
def frozen(records, database_url):
    """The process of a leader that stands still inside the transaction of its write."""
    assert take_lease(records, "keeper", "frozen", NOW, 60) == 1
    process = get_context("spawn").Process(target=write_and_freeze, args=(database_url,))
    process.start()
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)
    yield process
    process.kill()
    process.join()


def take_over(records):
    """A spare leads and writes; raises RecordsUnavailable."""
    fence = Fence("keeper", take_lease(records, "keeper", "spare", LATER, 60))
    assert fence.number == 2
    writer = IndexWriter(records, "gkb1", fence, threading.Lock())
    writer.save(replace(CURSOR, seq=9), rows("of the spare"), now=LATER)


def marks(records):
    return {known.mark for known in load_known(records, "gkb1", after="1").values()}


@pytest.mark.parametrize("database_url", [pytest.param("postgresql", marks=pytest.mark.real)],
                         indirect=True)  # fmt: skip
def test_spare_leads_and_writes_while_the_leader_is_frozen_in_a_batch(records, frozen):
    take_over(records)
    os.kill(frozen.pid, signal.SIGCONT)
    frozen.join()
    assert frozen.exitcode == 0
    assert marks(records) == {"of the spare"}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_frozen_holder_of_sqlites_write_lock_must_be_killed(records, frozen):
    with pytest.raises(RecordsUnavailable):
        take_over(records)
    assert marks(records) == set()  # searches go on
    frozen.kill()
    frozen.join()
    take_over(records)
    assert marks(records) == {"of the spare"}
