"""How the bytes of one delivery pass: from the source, checked while they are read, at the rate
that the destination allows, and only as long as the worker holds its lease.
"""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

from gateway.clock import Deadline, monotonic_s
from gateway.dicom.header_edit import edited
from gateway.errors import LeaseLost, SiteError
from gateway.model.manifests import Instance
from gateway.model.routing.editing import Editing
from gateway.model.sites import Site
from gateway.orthanc.copies import open_copy
from gateway.orthanc.wire import Wire

LOOK_EVERY_S = 1.0
LONGEST_SLEEP_S = 0.5

Alive = Callable[[], bool]
"""Prolongs the lease, or says what the heartbeat last heard; False: it is lost."""


class SourceFailed(Exception):
    """Wraps what the source did wrong, so that it is not counted against the destination."""

    def __init__(self, error: SiteError) -> None:
        super().__init__(str(error))
        self.error = error


class SourceDiffers(Exception):
    """What was read is not what the manifest says; the manifest is of another time."""


class Pulse:
    """Asks now and then whether the lease is still held; raises LeaseLost once it is not.

    Safe for threads: all that work for one delivery end, and only one asks.
    """

    def __init__(self, alive: Alive) -> None:
        self._alive = alive
        self._asked_at = -LOOK_EVERY_S
        self._held = True
        self._turn = threading.Lock()

    def __call__(self) -> None:
        with self._turn:
            now = monotonic_s()
            if self._held and now - self._asked_at >= LOOK_EVERY_S:
                self._asked_at = now
                self._held = self._alive()
        if not self._held:
            raise LeaseLost("the delivery is another worker's")


class Pace:
    """Sleeps so that no more than so many bytes pass in a second; 0: it never sleeps.

    Safe for threads, which share the rate.
    """

    def __init__(
        self,
        bytes_per_s: float,
        pulse: Callable[[], None],
        now_s: Callable[[], float] = monotonic_s,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rate = bytes_per_s
        self._pulse, self._now_s, self._sleep = pulse, now_s, sleep
        self._due = now_s()
        self._turn = threading.Lock()

    def passed(self, size: int) -> None:
        """So many bytes have gone out."""
        self._pulse()
        if not self._rate:
            return
        with self._turn:
            due = self._due = max(self._due, self._now_s()) + size / self._rate
        while (wait_s := due - self._now_s()) > 0:
            self._sleep(min(wait_s, LONGEST_SLEEP_S))
            self._pulse()


class Reading:
    """One instance on its way out of the source; a context manager.

    sha256, size  of what went out, once it has been read to its end
    """

    def __init__(
        self, wire: Wire, source: Site, path: str, instance: Instance, editing: Editing
    ) -> None:
        self._wire, self._source, self._path = wire, source, path
        self._instance, self._editing = instance, editing
        self._open = ExitStack()
        self._out = hashlib.sha256()
        self.size = 0

    def __enter__(self) -> "Reading":
        """Raises SourceFailed, with SiteRefused 404 if it has gone."""
        deadline = Deadline(self._source.timeouts.first_byte_s)
        opening = open_copy(self._wire, self._source, self._path, deadline)
        try:
            self._blocks = self._open.enter_context(opening)
        except SiteError as error:
            raise SourceFailed(error) from error
        return self

    def __exit__(self, *_exc: object) -> None:
        self._open.close()

    def blocks(self) -> Iterator[bytes]:
        """What is to be sent.

        raises  SourceFailed, SourceDiffers (after the last block), CannotEdit
        """
        checked = self._checked()
        editing = self._editing
        if editing.edits:
            checked = edited(checked, editing.change, drop_rest=editing.deidentifies)
        for block in checked:
            self._out.update(block)
            self.size += len(block)
            yield block
        if editing.edits:  # what stands behind the pixels may have been left unread
            for _ in self._rest:
                pass

    def _checked(self) -> Iterator[bytes]:
        self._rest = self._compared()
        return self._rest

    def _compared(self) -> Iterator[bytes]:
        md5, size = hashlib.md5(usedforsecurity=False), 0
        try:
            for block in self._blocks:
                md5.update(block)
                size += len(block)
                yield block
        except SiteError as error:
            raise SourceFailed(error) from error
        said = self._instance
        if (said.size and size != said.size) or (said.md5 and md5.hexdigest() != said.md5):
            raise SourceDiffers

    @property
    def sha256(self) -> str:
        return self._out.hexdigest()
