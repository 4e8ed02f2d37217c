"""Child processes that decode and draw (child.py), so that a web process only moves bytes.

Bounded on every side: so many children, so many bytes on their way to them, so many seconds for a
job. A child that dies or is late is replaced, and its job is one that cannot be decoded.

A request is a length (4 bytes), JSON {job, options, sizes} and the parts; an answer is a word of
four letters, a length (8 bytes) and the bytes. Sockets, because they know timeouts under gevent.
"""

import json
import os
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gateway.clock import Deadline
from gateway.dicom.transcode import CannotDecode
from gateway.dicom.view_query import OutOfPicture
from gateway.errors import GatewayBusy
from gateway.log import log

CHILDREN = 2
JOB_S = 60.0
WAIT_S = 20.0
HELD_LIMIT = 768 * 2**20
ANSWER_LIMIT = 2**30
BLOCK = 2**20
HEAD = struct.Struct("!I")
ANSWER = struct.Struct("!4sQ")


class PixelWorkers:
    """Runs jobs in children; one for each process, safe for threads and greenlets."""

    def __init__(self, children: int = CHILDREN, job_s: float = JOB_S) -> None:
        self._job_s = job_s
        self._free = threading.BoundedSemaphore(children)
        self._idle: list[_Child] = []
        self._lock = threading.Lock()
        self._held = 0

    def run(self, job: str, options: Mapping[str, Any], *parts: bytes) -> bytes:
        """What the job (child.JOBS) makes of these parts.

        raises  CannotDecode, also for a child that dies of it or is late; LookupError for a frame
                that is not there; OutOfPicture; GatewayBusy if no child becomes free in time
        """
        if not self._free.acquire(timeout=WAIT_S):
            raise GatewayBusy("images are being decoded")
        try:
            with self._lock:
                child = self._idle.pop() if self._idle else None
            child = child or _Child()
            try:
                kind, answer = child.ask(job, options, parts, Deadline(self._job_s))
            except (OSError, EOFError) as error:
                child.kill()
                log.warning("decoding given up", job=job, why=type(error).__name__)
                raise CannotDecode("it takes too long, or breaks the decoder") from error
            except BaseException:
                child.kill()
                raise
            self._idle.append(child)
        finally:
            self._free.release()
        if kind == b"none":
            raise LookupError("frame")
        if kind == b"view":
            raise OutOfPicture
        if kind != b"done":
            raise CannotDecode(answer.decode("utf-8", "replace"))
        return answer

    @contextmanager
    def holding(self) -> Iterator["Holding"]:
        """Counts the bytes that are collected for jobs, in all requests of this process."""
        mine = Holding(self)
        try:
            yield mine
        finally:
            self._count(-mine.size)

    def _count(self, size: int) -> None:
        with self._lock:
            if size > 0 and self._held + size > HELD_LIMIT:
                raise GatewayBusy("too many images are being decoded")
            self._held += size

    def close(self) -> None:
        """End the children that wait."""
        while self._idle:
            self._idle.pop().kill()


class Holding:
    """The bytes that one request holds."""

    def __init__(self, workers: PixelWorkers) -> None:
        self._workers = workers
        self.size = 0

    def add(self, size: int) -> None:
        """raises GatewayBusy if the process would hold too much"""
        self._workers._count(size)
        self.size += size

    def keep_only(self, size: int) -> None:
        """What came after the first `size` bytes is not held any more."""
        self.add(size - self.size)


class _Child:
    """One child process and our end of its socket."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "gateway.pixels.child"],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                env=_environment(),
            )

    def ask(
        self, job: str, options: Mapping[str, Any], parts: tuple[bytes, ...], deadline: Deadline
    ) -> tuple[bytes, bytes]:
        """raises OSError (TimeoutError among them), EOFError"""
        asked = {"job": job, "options": options, "sizes": [len(part) for part in parts]}
        text = json.dumps(asked).encode()
        for piece in (HEAD.pack(len(text)) + text, *parts):
            self._socket.settimeout(max(deadline.remaining_s(), 0.001))
            self._socket.sendall(piece)
        kind, size = ANSWER.unpack(self._read(ANSWER.size, deadline))
        if size > ANSWER_LIMIT:
            raise EOFError
        return kind, self._read(size, deadline)

    def _read(self, size: int, deadline: Deadline) -> bytes:
        found = bytearray()
        while len(found) < size:
            self._socket.settimeout(max(deadline.remaining_s(), 0.001))
            block = self._socket.recv(min(size - len(found), BLOCK))
            if not block:
                raise EOFError
            found += block
        return bytes(found)

    def kill(self) -> None:
        self._socket.close()
        self._process.kill()
        self._process.wait()


def _environment() -> dict[str, str]:
    """Nothing of ours but where the code lies: secrets stay here."""
    return {
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "PATH": os.environ.get("PATH", ""),
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    }
