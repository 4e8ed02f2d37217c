"""Images of far sites kept on this machine's disk: one folder, bounded, for all web processes.

An entry is a file: a line with the length and the media type of a body, and the body. It is written
beside its place and renamed when it is whole and on the disk, so a crash leaves no half of one. The
key says of which version of the study it is (web/opening.py); old versions are never asked for
again and go as whatever is not used. A disk that fails turns the cache off, and nothing else.
"""

import fcntl
import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

import gevent

from gateway.clock import utc_now
from gateway.log import log

LARGEST_SHARE = 20  # an entry may take a twentieth of all
LARGEST = 64 * 2**20
HEAD_LIMIT = 512
USED_AGAIN_S = 60.0
LEFT_BEHIND_S = 3600.0
"""A draft that is so old belongs to a process that has died."""
DRAFT = "draft-"
LOCK = "lock"

Result = TypeVar("Result")


class Kept:
    """A body that is read from the disk block by block. Close it."""

    def __init__(self, file: BinaryIO, content_type: str, length: int) -> None:
        self._file = file
        self.content_type = content_type
        self.length = length

    def read(self, size: int) -> bytes:
        """Up to `size` bytes, b"" at the end; raises OSError"""
        return _aside(self._file.read, size)

    def close(self) -> None:
        self._file.close()


class Draft:
    """A body on its way into the cache; whoever began it commits or discards it."""

    def __init__(self, cache: "ImageCache", key: str, content_type: str, length: int) -> None:
        self._cache = cache
        self._key = key
        self._left = length
        self.content_type = content_type
        descriptor, name = tempfile.mkstemp(prefix=DRAFT, dir=cache.folder)  # mode 0600
        self._name = Path(name)
        self._file: BinaryIO | None = open(descriptor, "wb", buffering=0)  # noqa: SIM115
        try:
            self._write(_head(length, content_type))
        except OSError:
            self.discard()
            raise

    def add(self, block: bytes) -> None:
        """Append a block; never raises because of the disk."""
        if self._file is None:
            return
        self._left -= len(block)
        try:
            self._write(block)
        except OSError as error:
            self.discard()
            self._cache.fail(error)

    def commit(self) -> None:
        """The body is whole: from now on it is found. One of another length is discarded."""
        if self._file is None:
            return
        if self._left:
            self.discard()
            return
        file, self._file = self._file, None
        try:
            _aside(self._finish, file)
        except OSError as error:
            file.close()
            self._name.unlink(missing_ok=True)
            self._cache.fail(error)

    def discard(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
            self._name.unlink(missing_ok=True)

    def _write(self, block: bytes) -> None:
        assert self._file is not None  # noqa: S101 - the callers have looked
        view = memoryview(block)
        while view:
            view = view[_aside(self._file.write, view) :]

    def _finish(self, file: BinaryIO) -> None:
        with file:
            os.fsync(file.fileno())
            size = os.fstat(file.fileno()).st_size
        place = self._cache.place(self._key)
        place.parent.mkdir(mode=0o700, exist_ok=True)
        self._name.rename(place)
        self._cache.grown(size)


class ImageCache:
    """The bounded folder; one object for each process.

    most_bytes  of the folder; the longest unused ones go first
    processes   that write into it: each looks again when it has written its share of a tenth
    """

    def __init__(self, folder: Path, most_bytes: int, processes: int) -> None:
        self.folder = folder
        self._most_bytes = most_bytes
        self._largest = min(LARGEST, most_bytes // LARGEST_SHARE)
        self._allowance = most_bytes // (10 * processes)
        self._grown = self._allowance  # what others left there is looked at with the first entry
        self._off = False
        try:
            _take_folder(folder)
        except OSError as error:
            self.fail(error)

    @property
    def is_on(self) -> bool:
        return not self._off

    def fail(self, error: OSError) -> None:
        """The disk is full, gone or not ours: go on without it."""
        if not self._off:
            self._off = True
            log.error("disk cache off", why=type(error).__name__, code=error.errno)

    def place(self, key: str) -> Path:
        return self.folder / key[:2] / key

    def find(self, key: str) -> Kept | None:
        """The entry of a key; never raises because of the disk."""
        if self._off:
            return None
        try:
            return _aside(self._open, key)
        except FileNotFoundError:
            return None
        except OSError as error:
            self.fail(error)
            return None

    def begin(self, key: str, content_type: str, length: int) -> Draft | None:
        """Start an entry of `length` bytes; None if it is too large, or the cache is off."""
        if self._off or not 0 < length <= self._largest:
            return None
        try:
            return Draft(self, key, content_type, length)
        except OSError as error:
            self.fail(error)
            return None

    def grown(self, size: int) -> None:
        """An entry has come; raises OSError. Runs aside, as `sweep` does."""
        self._grown += size
        if self._grown >= self._allowance:
            self._grown = 0
            self.sweep()

    def sweep(self) -> None:
        """Delete what was not used for the longest time, down to eight tenths; raises OSError"""
        with (self.folder / LOCK).open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            entries = sorted(_entries(self.folder))
            total = sum(size for _, size, _ in entries)
            now = utc_now().timestamp()
            for used_at, size, path in entries:
                is_left = path.name.startswith(DRAFT)
                if is_left and now - used_at < LEFT_BEHIND_S:
                    continue
                if is_left or total > self._most_bytes * 8 // 10:
                    path.unlink(missing_ok=True)
                    total -= size

    def _open(self, key: str) -> Kept | None:
        path = self.place(key)
        file = open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb")  # noqa: SIM115
        try:
            words = file.readline(HEAD_LIMIT).rstrip(b"\n").split(b" ", 1)
            facts = os.fstat(file.fileno())
            if len(words) == 2 and words[0].isdigit():
                length, content_type = int(words[0]), words[1].decode("latin-1")
                if facts.st_size == length + len(_head(length, content_type)):
                    _mark_used(file, facts)
                    return Kept(file, content_type, length)
            path.unlink(missing_ok=True)  # damaged, by whatever
        except BaseException:
            file.close()
            raise
        file.close()
        return None


def _head(length: int, content_type: str) -> bytes:
    return f"{length} {content_type}\n".encode("latin-1")


def _take_folder(folder: Path) -> None:
    """Make it ours alone; raises OSError if it is somebody else's."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    facts = folder.lstat()
    if facts.st_uid != os.geteuid() or not stat.S_ISDIR(facts.st_mode):
        raise PermissionError(1, "the folder is another user's")
    folder.chmod(0o700)


def _mark_used(file: BinaryIO, facts: os.stat_result) -> None:
    """By the time of change: that of reading is not kept on every disk."""
    if utc_now().timestamp() - facts.st_mtime > USED_AGAIN_S:
        os.utime(file.fileno())


def _entries(folder: Path) -> list[tuple[float, int, Path]]:
    """(last used, bytes, path) of all entries and drafts."""
    found = []
    for path in [*folder.glob(f"{DRAFT}*"), *folder.glob("??/*")]:
        try:
            facts = path.stat()
        except FileNotFoundError:  # another process was quicker
            continue
        found.append((facts.st_mtime, facts.st_size, path))
    return found


def _aside(work: Callable[..., Result], *arguments: Any) -> Result:
    """In a real thread: a disk that stalls must not hold up the other requests of the process."""

    def caught() -> tuple[Result | None, OSError | None]:
        try:
            return work(*arguments), None
        except OSError as error:  # gevent prints what leaves its threads
            return None, error

    result, error = gevent.get_hub().threadpool.apply(caught)
    if error is not None:
        raise error
    return cast(Result, result)
