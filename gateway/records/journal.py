"""Lines of the audit on their way into the table: a file for each process, written at once.

A line is in the kernel's hands before the request goes on, so that kill -9 loses none; what must
also outlive a power cut is synced to the disk first. The table gets them in batches, and the file
of a dead process is taken over by the next one that looks: who lives holds a lock on its own.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Lock

from gateway.errors import AuditUnavailable
from gateway.log import log
from gateway.model.audit import Entry, from_line
from gateway.model.credentials import new_id
from gateway.records.audit import append
from gateway.records.engine import Records

BATCH = 1000
PATTERN = "audit-*.jsonl"


class Journal:
    """The file of this process; safe for threads and greenlets, not over a fork."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._lock = Lock()
        self._path, self._file = self._open()

    def write(self, entry: Entry, *, synced: bool = False) -> None:
        """Keep a line; raises AuditUnavailable if it cannot be: then nothing may be given out."""
        line = entry.to_line() + b"\n"
        try:
            with self._lock:
                written = os.write(self._file, line)
                if written != len(line):  # half a line would spoil the next one
                    os.ftruncate(self._file, os.fstat(self._file).st_size - written)
                    raise AuditUnavailable("the audit's file is full")
                if synced:
                    os.fdatasync(self._file)
        except OSError as error:
            raise AuditUnavailable(
                f"the audit cannot be written ({type(error).__name__})"
            ) from error

    def drain(self, records: Records) -> int:
        """Put all lines into the table, also those of processes that died; returns how many.

        raises  RecordsUnavailable, AuditUnavailable; then the lines stay where they are
        """
        try:
            with self._lock:
                own_file = self._file
                if os.fstat(own_file).st_size:
                    self._path, self._file = self._open()
                    os.close(own_file)  # and with it the lock: from here on it is like any other
            others = [one for one in sorted(self._folder.glob(PATTERN)) if one != self._path]
            return sum(_take(path, records) for path in others)
        except OSError as error:
            raise AuditUnavailable(f"the audit's files ({type(error).__name__})") from error

    def close(self) -> None:
        with self._lock:
            os.close(self._file)

    def _open(self) -> tuple[Path, int]:
        path = self._folder / f"audit-{new_id()}.jsonl"
        unseen = path.with_suffix(".new")  # nobody takes it over before it is locked
        file = os.open(unseen, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND, 0o600)
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        unseen.rename(path)
        return path, file


def _take(path: Path, records: Records) -> int:
    """Put a file that nobody writes any more into the table."""
    with suppress(FileNotFoundError), path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return 0  # its process lives
        done, batch = 0, list[Entry]()
        for entry in _lines(path, file.read()):
            batch.append(entry)
            if len(batch) == BATCH:
                done, batch = done + append(records, batch), []
        done += append(records, batch)
        path.unlink()
        return done
    return 0


def _lines(path: Path, text: bytes) -> Iterator[Entry]:
    for line in text.splitlines():
        try:
            yield from_line(line)
        except ValueError:
            log.error("a line of the audit is not whole", file=path.name)
