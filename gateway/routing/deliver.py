"""Brings one study to one destination: asks what is there, sends what is missing, asks again.

No status proves a store (routing.md E13, E14): what counts as sent is what the destination lists
afterwards. Whether it holds the right content is told by prove.py, later and apart.
"""

from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing as ending
from contextvars import copy_context
from dataclasses import dataclass, field

from gateway.dicom.header_edit import CannotEdit
from gateway.dicom.multipart import closing, new_boundary, part_head
from gateway.errors import LeaseLost, SiteError, SiteRefused
from gateway.model.deliveries import Event
from gateway.model.manifests import Instance
from gateway.model.sites import Site
from gateway.orthanc.sending import UNKNOWN_MODALITY, post_instance, store_by_modality
from gateway.orthanc.storing import send_store
from gateway.orthanc.wire import Wire
from gateway.routing.consignment import (
    SILENT_AT_SOURCE,
    Consignment,
    InstanceOutcome,
    Outcome,
    State,
    event_of,
    event_of_reason,
    event_of_status,
    names_at,
    source_paths,
    worst,
)
from gateway.routing.passage import Alive, Pace, Pulse, Reading, SourceDiffers, SourceFailed

LANES = 2
BATCH = 50
BATCH_BYTES = 64 * 2**20
SMALL = 4 * 2**20
"""Up to this size an instance is held, and sent with its length on a connection that is kept."""
LONGEST_S = 6 * 3600.0
NOT_FOUND = 404

_Failure = tuple[Event, str]
_STATE: Mapping[Event, State] = {Event.REFUSED: "refused", Event.SOURCE_GONE: "missing"}


class _Stopped(Exception):
    """Nothing more can be sent in this try."""

    def __init__(self, failure: _Failure) -> None:
        super().__init__(failure[1])
        self.failure = failure


class _Spoilt(Exception):
    """One instance of a request cannot be sent; the request was broken off."""


def deliver(wire: Wire, consignment: Consignment, alive: Alive) -> Outcome:
    """Send what the destination lacks. Nothing is raised for what sites do wrong."""
    if consignment.impossible is not None:
        return Outcome(*consignment.impossible)
    work = _Work(wire, consignment, Pulse(alive))
    try:
        return work.run()
    except LeaseLost:
        return Outcome(Event.ALIVE, "lease_lost")
    except SourceFailed:
        return Outcome(Event.FAILED, SILENT_AT_SOURCE)
    except SiteError as error:
        return Outcome(*event_of(error))


@dataclass
class _Work:
    """What is known of one delivery while it is brought."""

    wire: Wire
    consignment: Consignment
    pulse: Pulse
    paths: dict[str, str] = field(default_factory=dict)
    failures: dict[str, _Failure] = field(default_factory=dict)
    hashes: dict[str, tuple[str, int]] = field(default_factory=dict)
    stopped: _Failure | None = None

    def __post_init__(self) -> None:
        self.editing = self.consignment.editing
        self.pace = Pace(self.consignment.destination.limits.share_bytes_per_s, self.pulse)

    @property
    def server(self) -> Site:
        server = self.consignment.destination.server
        assert server is not None  # noqa: S101 - only kind dicom goes without
        return server

    def run(self) -> Outcome:
        self.pulse()
        before = names_at(self.wire, self.consignment)
        wanted = {one.sop_uid: one for one in self.consignment.manifest.instances}
        todo = [one for uid, one in wanted.items() if self.editing.uid(uid) not in before]
        if todo:
            self.paths = source_paths(self.wire, self.consignment)
            for one in todo:
                if one.sop_uid not in self.paths:
                    self.failures[one.sop_uid] = (Event.SOURCE_GONE, "source_gone")
            self._send([one for one in todo if one.sop_uid in self.paths])
        self.pulse()
        return self._settled(list(wanted), before, self._after(before) if todo else before)

    def _after(self, before: frozenset[str]) -> frozenset[str]:
        """What is listed now; if nobody can say, what stopped the sending says more than that."""
        try:
            return names_at(self.wire, self.consignment)
        except SiteError:
            if self.stopped is None:
                raise
            return before

    def _send(self, todo: Sequence[Instance]) -> None:
        """In lanes: one reads from the source while the other waits for the destination's disk."""
        work = deque(batches(todo, LANES))
        if len(work) == 1:
            self._lane(work)
            return
        with ThreadPoolExecutor(LANES, thread_name_prefix="lane") as pool:
            lanes = [
                pool.submit(copy_context().run, self._lane, work)
                for _ in range(min(LANES, len(work)))
            ]
        for lane in lanes:
            lane.result()  # raises LeaseLost

    def _lane(self, work: deque[list[Instance]]) -> None:
        send = {"dicomweb": self._stow, "orthanc": self._post, "dicom": self._c_store}
        try:
            while self.stopped is None and (batch := _next(work)):
                send[self.consignment.destination.kind](batch)
            return
        except _Stopped as error:
            stopped = error.failure
        except SourceFailed:
            stopped = (Event.FAILED, SILENT_AT_SOURCE)
        except SourceDiffers:
            stopped = (Event.FAILED, "source_changed")
        except SiteError as error:
            stopped = event_of(error)
        self.stopped = self.stopped or stopped

    def _stow(self, batch: Sequence[Instance]) -> None:
        boundary = new_boundary()
        with ending(self._body(boundary, batch)) as body:
            try:
                said = send_store(self.wire, self.server, boundary, body, LONGEST_S)
            except _Spoilt:
                self._stow([one for one in batch if one.sop_uid not in self.failures])
                return
        for one in batch:
            reason = said.failed.get(self.editing.uid(one.sop_uid))
            if reason is not None:
                self.failures.setdefault(one.sop_uid, event_of_reason(reason))
            else:
                self.failures.setdefault(one.sop_uid, self._not_listed(said.status))

    def _not_listed(self, status: int) -> _Failure:
        """What it means if an instance of which nothing bad was said is not there afterwards."""
        event, reason = event_of_status(status)
        full = reason == "not_stored" and self.server.kind == "orthanc"  # E13
        return (event, "destination_full") if full else (event, reason)

    def _body(self, boundary: str, batch: Sequence[Instance]) -> Generator[bytes, None, None]:
        head = part_head(boundary, [("Content-Type", "application/dicom")])
        for one in batch:
            with ending(self._blocks(one)) as blocks:
                begin = head
                for block in blocks:
                    yield begin + block if begin else block
                    begin = b""
            if not begin:
                yield b"\r\n"
        yield closing(boundary)

    def _blocks(self, one: Instance) -> Generator[bytes, None, None]:
        """An instance as it is to be sent; nothing, if it has gone or must not be sent."""
        source, begun = self.consignment.source, False
        try:
            with Reading(self.wire, source, self.paths[one.sop_uid], one, self.editing) as reading:
                for block in reading.blocks():
                    self.pace.passed(len(block))
                    begun = True
                    yield block
                self.hashes[one.sop_uid] = reading.sha256, reading.size
        except SourceFailed as error:
            if begun or getattr(error.error, "status", 0) != NOT_FOUND:
                raise
            self.failures[one.sop_uid] = (Event.SOURCE_GONE, "source_gone")
        except CannotEdit as error:
            self.failures[one.sop_uid] = (Event.REFUSED, error.why)
            if begun:
                raise _Spoilt from error

    def _post(self, batch: Sequence[Instance]) -> None:
        for one in batch:
            with ending(self._blocks(one)) as blocks:
                try:
                    self._post_one(one, blocks)
                except _Spoilt:
                    continue
                except SiteRefused as error:
                    if event_of(error)[0] is not Event.REFUSED:
                        raise
                    self.failures[one.sop_uid] = (Event.REFUSED, "not_understood")

    def _post_one(self, one: Instance, blocks: Iterator[bytes]) -> None:
        small = 0 < one.size <= SMALL and not self.editing.edits
        if small:
            body = b"".join(blocks)
            if body:
                post_instance(self.wire, self.server, body, LONGEST_S)
            return
        first = next(blocks, b"")
        if first:
            post_instance(self.wire, self.server, _rejoined(first, blocks), LONGEST_S)

    def _c_store(self, batch: Sequence[Instance]) -> None:
        source, modality = self.consignment.source, self.consignment.destination.modality
        ids = [self.paths[one.sop_uid].rpartition("/")[2] for one in batch]
        try:
            store_by_modality(self.wire, source, modality, ids, self.pulse)
        except SiteRefused as error:
            unknown = error.status == UNKNOWN_MODALITY
            failure = (Event.REFUSED, "no_modality") if unknown else (Event.FAILED, "unreachable")
            raise _Stopped(failure) from error
        except SiteError as error:
            raise SourceFailed(error) from error

    def _settled(
        self, wanted: Sequence[str], before: frozenset[str], after: frozenset[str]
    ) -> Outcome:
        found: dict[str, InstanceOutcome] = {}
        lacking: list[_Failure] = []
        for uid in wanted:
            name = self.editing.uid(uid)
            sha256, size = self.hashes.get(uid, ("", 0))
            if name in before:
                found[uid] = InstanceOutcome("there")
            elif name in after:
                found[uid] = InstanceOutcome("sent", "", sha256, size)
            else:
                fallback = self.stopped or (Event.FAILED, "not_stored")
                failure = self.failures.get(uid, fallback)
                lacking.append(failure)
                found[uid] = InstanceOutcome(_STATE.get(failure[0], "failed"), failure[1])
        event, reason = worst(lacking) or (Event.SENT, "")
        return Outcome(event, reason, found)


def _next(work: deque[list[Instance]]) -> list[Instance]:
    """[] if nothing is left."""
    try:
        return work.popleft()
    except IndexError:
        return []


def _rejoined(first: bytes, blocks: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from blocks


def batches(instances: Sequence[Instance], lanes: int = 1) -> Iterator[list[Instance]]:
    """In requests of at most BATCH instances or BATCH_BYTES; a larger instance goes alone.

    lanes  so many have something to do, if there are enough instances
    """
    batch: list[Instance] = []
    size = 0
    most = max(1, min(BATCH, -(-len(instances) // lanes)))
    for one in instances:
        if batch and (len(batch) >= most or size + one.size > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(one)
        size += one.size
    if batch:
        yield batch
