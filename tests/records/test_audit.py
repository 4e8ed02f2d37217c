"""The audit: no line is lost, none is kept twice, and none can be changed unseen."""

import errno
import os
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from gateway.errors import AuditUnavailable, RecordsUnavailable
from gateway.model.audit import FIRST_HEAD, Entry, Head, from_line, next_chain
from gateway.model.audit_seals import Signer
from gateway.records import journal as journals
from gateway.records.audit import (
    append,
    append_seal,
    audit_cursor,
    audit_entry,
    chained,
    load_after,
    load_entries,
    verify,
)
from gateway.records.journal import Journal

NOW = datetime(2026, 1, 31, 12, 0, 0, 123456, tzinfo=UTC)


def entry(number: int, **changes) -> Entry:
    return replace(
        Entry(
            entry_id=f"{number:016x}", request="r", at=NOW + timedelta(seconds=number),
            actor="a1", kind="session", purpose="TREAT", action="retrieve", site_id="",
            study_uid=f"1.2.{number % 3}", outcome="began", reason="", status=0, detail="",
        ),
        **changes,
    )  # fmt: skip


def test_a_line_is_read_as_it_was_written():
    assert from_line(entry(7, detail="ключ").to_line()) == entry(7, detail="ключ")
    for torn in (b"", b"{}", b'{"entry_id":"1', b"[]", b"null"):
        with pytest.raises(ValueError):
            from_line(torn)


def test_lines_are_chained_and_kept_once(records):
    assert append(records, [entry(n) for n in range(5)]) == 5
    assert append(records, [entry(n) for n in range(3, 8)]) == 3
    assert append(records, []) == 0
    assert (verify(records).looked, verify(records).breaks) == (8, ())
    found = load_entries(records, study_uid="1.2.1", since=NOW, until=NOW + timedelta(seconds=5))
    assert found == [entry(1), entry(4)]
    assert load_entries(records, actor="a2", since=NOW, until=NOW + timedelta(days=1)) == []


def test_what_a_line_says_later_leaves_the_chain_of_older_lines_as_it_was():
    assert b"size_bytes" not in entry(1).to_line()
    assert b'"size_bytes":7' in entry(1, size_bytes=7).to_line()
    assert from_line(entry(1, target="x", size_bytes=7).to_line()).size_bytes == 7
    old = (
        b'{"action":"retrieve","actor":"a1","at":"2026-01-31T12:00:01.123456+00:00","detail":"",'
        b'"entry_id":"0000000000000001","kind":"session","outcome":"began","purpose":"TREAT",'
        b'"reason":"","request":"r","site_id":"","status":0,"study_uid":"1.2.1"}'
    )
    assert entry(1).to_line() == old


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        (sa.update(audit_entry).where(audit_entry.c.number == 4).values(study_uid="1.9"), (4,)),
        (sa.update(audit_entry).where(audit_entry.c.number == 2).values(at=NOW), (2,)),
        (sa.update(audit_entry).where(audit_entry.c.number == 2).values(size_bytes=1), (2,)),
        (sa.update(audit_entry).where(audit_entry.c.number == 5).values(chain="0" * 64), (5, 6)),
        (sa.delete(audit_entry).where(audit_entry.c.number == 3), (3,)),
        (sa.delete(audit_entry).where(audit_entry.c.number == 1), (1,)),
        (sa.delete(audit_entry).where(audit_entry.c.number.in_([3, 4])), (3,)),
        (sa.insert(audit_entry).values(chained(Head(8, "0" * 64), [entry(99)])[0]), (9,)),
        (sa.insert(audit_entry).values(chained(Head(-2, "0" * 64), [entry(99)])[0]), (-1, 0)),
    ],
    ids=[
        "another study", "another time", "another size", "another chain", "one less",
        "the first less", "two less", "one more behind", "one more in front",
    ],
)  # fmt: skip
def test_a_changed_row_is_found(records, change, broken):
    append(records, [entry(n) for n in range(8)])
    with records.write() as connection:
        connection.execute(change)
    assert verify(records).breaks == broken


def test_rows_that_changed_places_are_found(records):
    append(records, [entry(n) for n in range(8)])
    with records.write() as connection:
        for old, new in ((3, 100), (4, 3), (100, 4)):
            moved = sa.update(audit_entry).where(audit_entry.c.number == old)
            connection.execute(moved.values(number=new))
    assert verify(records).breaks == (3, 4, 5)


def test_rows_that_were_taken_off_the_end_are_missed_and_their_numbers_stay_free(records):
    append(records, [entry(n) for n in range(8)])
    with records.write() as connection:
        connection.execute(sa.delete(audit_entry).where(audit_entry.c.number > 5))
    assert verify(records).breaks == (6,)
    append(records, [entry(n) for n in range(20, 24)])
    assert verify(records).breaks == (6,)
    assert [row.number for row in load_after(records, 5, 9)] == [9, 10, 11, 12]


def test_an_audit_that_was_emptied_is_found(records):
    append(records, [entry(n) for n in range(8)])
    with records.write() as connection:
        connection.execute(sa.delete(audit_entry))
    assert verify(records).breaks == (1,)


def remake(records, changed: int) -> None:
    """What somebody does who knows how rows are chained, and may write to the table."""
    with records.write() as connection:
        rows = connection.execute(sa.select(audit_entry).order_by("number")).mappings().all()
        head = FIRST_HEAD
        for row in rows:
            names = Entry.__dataclass_fields__
            one = Entry(**{name: row[name] for name in names})
            if row["number"] == changed:
                one = replace(one, actor="somebody else")
            head = Head(row["number"], next_chain(head.chain, row["number"], one))
            kept = sa.update(audit_entry).where(audit_entry.c.number == head.number)
            connection.execute(kept.values(chain=head.chain, actor=one.actor))


def test_a_chain_that_was_made_anew_is_found_by_its_seals(records):
    signer = Signer(b"k" * 32)
    append(records, [entry(n) for n in range(3)])
    seals = [append_seal(records, signer, NOW)]
    append(records, [entry(n) for n in range(3, 6)])
    seals.append(append_seal(records, signer, NOW))
    found = verify(records, signer=signer, seals=seals)
    assert (found.looked, found.breaks, found.sealed) == (8, (), 7)
    remake(records, 2)
    assert verify(records).breaks == ()
    assert verify(records, signer=signer).breaks == (4, 8)
    # The seals, too, are taken out of the table: a copy elsewhere has them.
    with records.write() as connection:
        connection.execute(sa.delete(audit_entry).where(audit_entry.c.number > 6))
        connection.execute(sa.update(audit_cursor).values(number=6))
        connection.execute(
            sa.update(audit_entry).where(audit_entry.c.number == 4).values(action="x")
        )
    remake(records, 2)
    assert verify(records, signer=signer).breaks == ()
    assert verify(records, signer=signer, seals=seals).breaks == (3, 7)


def test_a_seal_of_another_key_holds_nothing(records):
    append(records, [entry(1)])
    append_seal(records, Signer(b"x" * 32), NOW)
    assert verify(records, signer=Signer(b"k" * 32)).breaks == (2,)


def test_only_what_is_new_is_looked_at_again(records):
    signer = Signer(b"k" * 32)
    append(records, [entry(n) for n in range(4)])
    since = append_seal(records, signer, NOW).head
    append(records, [entry(n) for n in range(4, 8)])
    assert since.number == 4
    assert verify(records, signer=signer, since=since).looked == 5
    with records.write() as connection:
        change = sa.update(audit_entry).values(actor="x")
        connection.execute(change.where(audit_entry.c.number.in_([2, 7])))
    assert verify(records, signer=signer, since=since).breaks == (7,)
    with records.write() as connection:
        connection.execute(sa.delete(audit_entry).where(audit_entry.c.number == 4))
    assert verify(records, signer=signer, since=since).breaks == (4, 7)


def test_lines_come_into_the_table_and_their_files_go(records, tmp_path: Path):
    folder = tmp_path / "audit"
    journal = Journal(folder)
    for n in range(2500):
        journal.write(entry(n))
    assert journal.drain(records) == 2500
    journal.write(entry(2500), synced=True)
    assert journal.drain(records) == 1
    assert journal.drain(records) == 0
    assert (verify(records).looked, verify(records).breaks) == (2501, ())
    journal.close()
    assert len(list(folder.iterdir())) == 1


def test_a_line_that_is_half_in_the_table_is_not_kept_twice(records, tmp_path: Path, monkeypatch):
    journal = Journal(tmp_path / "audit")
    for n in range(6):
        journal.write(entry(n))
    monkeypatch.setattr(journals, "BATCH", 2)
    given = []

    def dies(to, entries):
        given.append(entries)
        if len(given) == 2:
            raise RecordsUnavailable("away")
        return append(to, entries)

    monkeypatch.setattr(journals, "append", dies)
    with pytest.raises(RecordsUnavailable):
        journal.drain(records)
    assert journal.drain(records) == 4
    assert (verify(records).looked, verify(records).breaks) == (6, ())
    journal.close()


def test_a_full_disk_is_told_and_spoils_no_other_line(records, tmp_path: Path, monkeypatch):
    journal = Journal(tmp_path / "audit")
    write = os.write
    journal.write(entry(1))
    with monkeypatch.context() as patched:
        patched.setattr(journals.os, "write", lambda file, line: write(file, line[:20]))
        with pytest.raises(AuditUnavailable):
            journal.write(entry(2))
    journal.write(entry(3))
    assert journal.drain(records) == 2
    journal.close()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_lines_wait_while_the_disk_takes_no_file(records, tmp_path: Path, monkeypatch, number: int):
    """F36, F37"""

    def refuse(*_: object) -> int:
        raise OSError(number, "the disk")

    journal = Journal(tmp_path / "audit")
    journal.write(entry(1))
    with monkeypatch.context() as patched:
        patched.setattr(journals.os, "open", refuse)
        with pytest.raises(AuditUnavailable):
            journal.drain(records)
    journal.write(entry(2))
    assert journal.drain(records) == 2
    journal.close()


WRITER = """
import sys
from dataclasses import replace
from pathlib import Path
from gateway.model.credentials import new_id
from gateway.records.journal import Journal
from tests.records.test_audit import entry
journal = Journal(Path(sys.argv[1]))
for n in range(10**9):
    journal.write(entry(n, entry_id=new_id()))
    print(n, flush=True)
"""


def test_kill_9_loses_no_line_that_was_written(records, tmp_path: Path):
    folder = tmp_path / "audit"
    root = Path(__file__).parents[2]
    survivor = Journal(folder)
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder)],
        cwd=root, stdout=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": str(root)},
    ) as writer:  # fmt: skip
        assert writer.stdout is not None
        while int(writer.stdout.readline()) < 300:
            assert survivor.drain(records) == 0  # its process lives
        os.kill(writer.pid, signal.SIGKILL)
        told = 300 + len(writer.stdout.read().split())
    assert survivor.drain(records) in (told + 1, told + 2)  # the last one was not told any more
    assert verify(records).breaks == ()
    survivor.close()
