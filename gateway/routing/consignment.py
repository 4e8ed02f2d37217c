"""The words between a worker and its transport: what is to be brought, and what became of it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from gateway.clock import Deadline
from gateway.errors import SiteError, SiteRefused, SiteUntrusted
from gateway.model.deliveries import Event
from gateway.model.destinations import Destination
from gateway.model.manifests import Manifest
from gateway.model.routing.actions import Action, Verify
from gateway.model.routing.editing import Editing
from gateway.model.sites import Site
from gateway.orthanc.holdings import list_copies
from gateway.orthanc.sending import find_by_modality
from gateway.orthanc.storing import FULL
from gateway.orthanc.wire import Wire
from gateway.routing.passage import SourceFailed

SILENT_AT_SOURCE = "source_silent"
State = Literal["there", "sent", "proven", "missing", "failed", "refused", "conflict"]


@dataclass(frozen=True)
class Consignment:
    """One study, from one site, to one destination.

    planned_at  of the delivery: the time that stands in OriginalAttributesSequence, so that the
                same edit gives the same bytes at every try
    actions     edits of the rule before its `send`; others are ignored
    verify      of the rule, instead of the destination's
    """

    source: Site
    destination: Destination
    manifest: Manifest
    planned_at: datetime
    actions: tuple[Action, ...] = ()
    verify: Verify | None = None

    @property
    def editing(self) -> Editing:
        key = self.destination.pseudonym_key
        return Editing(self.actions, self.source, self.planned_at, key)

    @property
    def impossible(self) -> tuple[Event, str] | None:
        """Why it need not be tried, by its plan alone."""
        if self.manifest.doubled:
            return Event.CONFLICT, "source_holds_two"
        if self.editing.deidentifies and not self.destination.pseudonym_key:
            return Event.REFUSED, "no_pseudonym_key"
        if self._commits and not (self.destination.modality and self.source.kind == "orthanc"):
            return Event.REFUSED, "no_commitment"
        if self.destination.kind != "dicom":
            return None
        if self.editing.edits:
            return Event.REFUSED, "no_edits_by_c_store"
        return (Event.REFUSED, "no_modality") if self.source.kind != "orthanc" else None

    @property
    def _commits(self) -> bool:
        return "COMMIT" in ((self.verify,) if self.verify else self.destination.verify)


@dataclass(frozen=True)
class InstanceOutcome:
    """What became of one instance.

    state   there: the destination had it. sent: it went and is listed there. proven: what is there
            is what the source has
    reason  a code of model/delivery_words.py, "" if nothing is wrong
    sha256  of what went to the destination in this try, with its size in bytes
    """

    state: State
    reason: str = ""
    sha256: str = ""
    size: int = 0


@dataclass(frozen=True)
class Outcome:
    """What a worker says of its delivery.

    event      SENT FAILED REFUSED DENIED CONFLICT SOURCE_GONE of `deliver`;
               PROVEN INCOMPLETE UNVERIFIED DENIED CONFLICT of `verify`;
               ALIVE of both: the lease was lost, and nothing is to be written
    reason     a code of model/delivery_words.py, never patient data
    instances  by SOP instance UID of the source
    """

    event: Event
    reason: str = ""
    instances: Mapping[str, InstanceOutcome] = field(default_factory=dict)


def event_of(error: SiteError) -> tuple[Event, str]:
    """What an error of the destination means for a delivery (routing.md 1, 2.7)."""
    if isinstance(error, SiteUntrusted):
        return Event.DENIED, "denied"
    if isinstance(error, SiteRefused):
        return event_of_status(error.status)
    return Event.FAILED, error.code


def event_of_status(status: int) -> tuple[Event, str]:
    """What an HTTP status of the destination means for what it does not list afterwards."""
    if status == FULL:
        return Event.FAILED, "destination_full"
    if status in (401, 403):
        return Event.DENIED, "denied"
    if status >= 500 or status in (408, 429):
        return Event.FAILED, "failed"
    if status == 415:
        return Event.REFUSED, "media_type"
    return (Event.REFUSED, "refused") if status >= 400 else (Event.FAILED, "not_stored")


def event_of_reason(failure: int) -> tuple[Event, str]:
    """What a FailureReason means (PS3.18 Table I.2-2, PS3.4 Table B.2-1)."""
    if failure & 0xFF00 == 0xA700:
        return Event.FAILED, "destination_full"
    if failure & 0xFF00 == 0xA900 or failure == 0x0122:
        return Event.REFUSED, "sop_class"
    if failure & 0xF000 == 0xC000:
        return Event.REFUSED, "not_understood"
    if failure == 0x0124:
        return Event.DENIED, "denied"
    return Event.FAILED, "failed"


def worst(found: Iterable[tuple[Event, str]]) -> tuple[Event, str] | None:
    """What decides for the whole delivery: what may still come goes before what cannot."""
    ranked = sorted(found, key=lambda one: _ORDER.index(one[0]))
    return ranked[0] if ranked else None


_ORDER = (Event.DENIED, Event.CONFLICT, Event.FAILED, Event.REFUSED, Event.SOURCE_GONE)


def names_at(wire: Wire, consignment: Consignment) -> frozenset[str]:
    """SOP instance UIDs that the destination lists of the study, asked anew; raises SiteError."""
    destination = consignment.destination
    study_uid = consignment.editing.uid(consignment.manifest.study_uid)
    if destination.server is None:
        source, modality = consignment.source, destination.modality
        return find_by_modality(wire, source, modality, study_uid)
    deadline = Deadline(destination.server.timeouts.metadata_s)
    return frozenset(list_copies(wire, destination.server, study_uid, deadline))


def source_paths(wire: Wire, consignment: Consignment) -> dict[str, str]:
    """SOP instance UID -> where the source has it now; raises SourceFailed."""
    source = consignment.source
    deadline = Deadline(source.timeouts.metadata_s)
    try:
        copies = list_copies(wire, source, consignment.manifest.study_uid, deadline)
    except SiteError as error:
        raise SourceFailed(error) from error
    return {uid: paths[0] for uid, paths in copies.items()}
