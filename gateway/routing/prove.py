"""Proves that a destination holds what the source has: the set of instances, their sizes, hashes,
their bytes read back, the archive's commitment. More than the manifest may be there, but not less.

A proof asks by connections of its own: give it a Wire that did not send (routing.md 2.6).
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from gateway.clock import Deadline
from gateway.dicom.content import read_content
from gateway.dicom.fingerprint import fingerprint
from gateway.dicom.header_edit import CannotEdit
from gateway.errors import LeaseLost, SiteError, SiteRefused, SiteUntrusted
from gateway.model.deliveries import Event
from gateway.model.manifests import Instance
from gateway.model.routing.actions import Verify
from gateway.orthanc.copies import open_copy
from gateway.orthanc.manifests import Held, list_files
from gateway.orthanc.sending import ask_commitment, read_sop_class
from gateway.orthanc.wire import Wire
from gateway.routing.consignment import (
    SILENT_AT_SOURCE,
    Consignment,
    InstanceOutcome,
    Outcome,
    names_at,
    source_paths,
)
from gateway.routing.deliver import NOT_FOUND
from gateway.routing.passage import Alive, Pulse, Reading, SourceDiffers, SourceFailed

WHOLE_STUDIES = 0.01
"""The share of studies of which FETCH reads every instance back."""
NO_SUCH_INSTANCE = 0x0112

_draw = random.SystemRandom().random


def verify(
    wire: Wire, consignment: Consignment, alive: Alive, draw: Callable[[], float] = _draw
) -> Outcome:
    """Compare what is there with the manifest. Nothing is raised for what sites do wrong.

    draw  a number from 0 to 1 that decides what FETCH reads back: an archive cannot foresee it
    """
    if consignment.impossible is not None:
        event, reason = consignment.impossible
        return Outcome(event if event is Event.CONFLICT else Event.UNVERIFIED, reason)
    work = _Proof(wire, consignment, Pulse(alive), draw)
    try:
        return work.run()
    except LeaseLost:
        return Outcome(Event.ALIVE, "lease_lost")
    except SourceFailed:
        return Outcome(Event.UNVERIFIED, SILENT_AT_SOURCE)
    except SourceDiffers:
        return Outcome(Event.UNVERIFIED, "source_changed")
    except SiteUntrusted:
        return Outcome(Event.DENIED, "denied")
    except SiteError as error:
        return Outcome(Event.UNVERIFIED, error.code)


@dataclass
class _Proof:
    """One verification."""

    wire: Wire
    consignment: Consignment
    pulse: Pulse
    draw: Callable[[], float]

    def __post_init__(self) -> None:
        destination, rule = self.consignment.destination, self.consignment.verify
        self.editing = self.consignment.editing
        self.server = destination.server
        self.policies: tuple[Verify, ...] = ("SET", rule) if rule else destination.verify
        whole = rule == "FETCH" or self.draw() < WHOLE_STUDIES
        self.share = 1.0 if whole else destination.fetch_percent / 100
        self._paths: Mapping[str, str] | None = None

    def run(self) -> Outcome:
        self.pulse()
        if self.server is None and not {"SET", "COMMIT"}.issuperset(self.policies):
            return Outcome(Event.UNVERIFIED, "cannot_verify")
        held = self._held()
        found = {
            one.sop_uid: self._judge(one, held.get(self.editing.uid(one.sop_uid), ()))
            for one in self.consignment.manifest.instances
        }
        states = {one.state for one in found.values()}
        if "conflict" in states:
            return Outcome(Event.CONFLICT, "conflict", found)
        if "missing" in states:
            return Outcome(Event.INCOMPLETE, "missing", found)
        refused = self._commitment() if "COMMIT" in self.policies else None
        if refused is not None:
            return Outcome(refused, "not_committed", found)
        return Outcome(Event.PROVEN, "", found)

    def _held(self) -> dict[str, list[Held]]:
        """What the destination lists, by its own SOP instance UIDs."""
        if self.server is None:
            names = names_at(self.wire, self.consignment)
            return {name: [Held(Instance(name, ""), "")] for name in names}
        study_uid = self.editing.uid(self.consignment.manifest.study_uid)
        deadline = Deadline(self.server.timeouts.metadata_s)
        hashes = "CHECKSUM" in self.policies
        found: dict[str, list[Held]] = {}
        for held in list_files(self.wire, self.server, study_uid, deadline, hashes=hashes):
            found.setdefault(held.instance.sop_uid, []).append(held)
        return found

    def _judge(self, one: Instance, copies: Sequence[Held]) -> InstanceOutcome:
        """An archive may hold a UID twice, of two patients: one of them must be ours."""
        self.pulse()
        if not copies:
            return InstanceOutcome("missing", "missing")
        same = self._same_by_listing(one, copies)
        read_back = "FETCH" in self.policies and self.draw() < self.share
        if same is False or read_back:
            try:
                same = any(self._same_by_reading(one, copy) for copy in copies)
            except SiteRefused as error:
                if error.status != NOT_FOUND:
                    raise
                return InstanceOutcome("missing", "missing")  # listed, and not there
        if same is False:
            return InstanceOutcome("conflict", "conflict")
        return InstanceOutcome("proven")

    def _same_by_listing(self, one: Instance, copies: Sequence[Held]) -> bool | None:
        """By hashes or sizes alone; None: nothing to compare is asked for, or known."""
        hashes = [copy.instance.md5 for copy in copies if copy.instance.md5]
        if "CHECKSUM" in self.policies:
            if hashes:
                return self._md5(one) in hashes
            # Nobody keeps hashes there: what FETCH samples is all, unless CHECKSUM stands alone.
            return None if "FETCH" in self.policies else False
        if "SIZE" in self.policies and one.size and not self.editing.edits:
            return any(copy.instance.size == one.size for copy in copies)
        return None

    def _md5(self, one: Instance) -> str:
        """Of the file that should be there; read and edited again where that is not known."""
        if one.md5 and not self.editing.edits:
            return one.md5
        with self._source(one) as reading:
            return fingerprint(self._watched(reading.blocks())).file

    def _same_by_reading(self, one: Instance, copy: Held) -> bool:
        """Read the copy back: its bytes, or else what they say, are those of the source."""
        with self._copy(copy) as blocks:
            back = fingerprint(self._watched(blocks))
        if back.file == self._md5(one):
            return True
        try:
            with self._source(one) as reading:
                ours = read_content(self._watched(reading.blocks()))
            with self._copy(copy) as blocks:
                return ours.same(read_content(self._watched(blocks)))
        except CannotEdit:
            return False

    def _copy(self, copy: Held) -> AbstractContextManager[Iterator[bytes]]:
        assert self.server is not None  # noqa: S101 - `run` has refused to read from nobody
        deadline = Deadline(self.server.timeouts.first_byte_s)
        return open_copy(self.wire, self.server, copy.path, deadline)

    def _source(self, one: Instance) -> Reading:
        return Reading(self.wire, self.consignment.source, self._path(one), one, self.editing)

    def _path(self, one: Instance) -> str:
        try:
            return self.paths[one.sop_uid]
        except KeyError:  # deleted there since it was sent: nothing to compare with
            error = SiteRefused(self.consignment.source.site_id, NOT_FOUND)
            raise SourceFailed(error) from None

    @property
    def paths(self) -> Mapping[str, str]:
        """Where the source has its instances; asked once, and only if something must be read."""
        if self._paths is None:
            self._paths = source_paths(self.wire, self.consignment)
        return self._paths

    def _watched(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        for block in blocks:
            self.pulse()
            yield block

    def _commitment(self) -> Event | None:
        """None if the archive commits itself to every instance (PS3.4 J), by the UIDs that it has
        there: those of what was de-identified are new."""
        source, modality = self.consignment.source, self.consignment.destination.modality
        ids = {one.sop_uid: self._orthanc_id(one) for one in self.consignment.manifest.instances}
        asked: dict[str, list[Any]] = {"Resources": list(ids.values())}
        if self.editing.deidentifies:
            renamed = [[self._sop_class(ids[uid]), self.editing.uid(uid)] for uid in ids]
            asked = {"DicomInstances": renamed}
        said = ask_commitment(self.wire, source, modality, asked, self.pulse)
        answers = [said.get(self.editing.uid(uid), NO_SUCH_INSTANCE) for uid in ids]
        if not any(answers):
            return None
        return Event.INCOMPLETE if NO_SUCH_INSTANCE in answers else Event.UNVERIFIED

    def _orthanc_id(self, one: Instance) -> str:
        return self._path(one).rpartition("/")[2]

    def _sop_class(self, orthanc_id: str) -> str:
        self.pulse()
        return read_sop_class(self.wire, self.consignment.source, orthanc_id)
