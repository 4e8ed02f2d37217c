"""Stores the parts of a request, each at the site of its study, and reports each instance by what
that site then holds.

Parts are forwarded while they come: some of them are looked at together,
of a large one only its first bytes.
No status proves a store (design.md 3.3): an instance counts as stored only if the site lists it
when asked again by another request. What a site holds already is never sent again, so that no
setting of the site can overwrite it: its content is compared instead.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import BinaryIO, NamedTuple, Protocol

from gateway.dicom.fingerprint import Fingerprint, fingerprint
from gateway.dicom.multipart import BLOCK, Part, closing, new_boundary, part_head
from gateway.dicom.part10 import (
    Identity,
    Whose,
    patient_of,
)
from gateway.dicom.store_response import (
    CANNOT_UNDERSTAND,
    DUPLICATE,
    OTHER_PATIENT,
    OTHER_STUDY,
    OUT_OF_RESOURCES,
    PROCESSING_FAILURE,
    InstanceResult,
)
from gateway.errors import NoRoom, NoSiteAnswered, PatientsDiffer, SiteError, SiteRefused
from gateway.federation.arriving import Entry, File, grouped
from gateway.model import persons
from gateway.model.answers import Copy, Place, Refused, SiteSaid

CHUNK_BYTES = 2**20
"""Of small instances, so many bytes go to a site together."""
BATCH = 1000
"""Instances in one request to a site: its answer takes 2 KB for each of them."""
FULL, NOT_UNDERSTOOD = 507, 400
"""What a site says to a request. Of one in which it could not read a file, Orthanc stores the
others, and does not say which it was."""


class Storage(Protocol):
    """The sites as storing sees them; every call may raise SiteError."""

    def place(self, study_uid: str) -> Place:
        """Where instances of this study go; asked once for each study of a request.

        raises  also PatientsDiffer: then none of its instances goes anywhere
        """

    def held_otherwise(
        self, site_id: str, instances: Sequence[Identity]
    ) -> Collection[tuple[str, str]]:
        """(study UID, SOP instance UID) of those that are held, as far as is known, under the same
        SOP instance UID in another study: by this site, or by another one of the region.
        """

    def send(self, site_id: str, boundary: str, body: Iterable[Sequence[bytes]]) -> SiteSaid:
        """Each item of the body holds pieces that can go together."""

    def held(
        self, site_id: str, study_uid: str, sent: Collection[Identity]
    ) -> Mapping[str, Sequence[str]]:
        """SOP instance UID -> paths of the copies, asked anew; those of `sent` are enough, if it
        names any.
        """

    def has_content(self, copy: Copy, content: Fingerprint) -> bool: ...

    def spool(self) -> BinaryIO:
        """A nameless file on disk, gone with the process; it and its `write` raise NoRoom."""


class _Ready(NamedTuple):
    """An instance to be sent; `more` if the next of its group is here as well."""

    entry: Entry
    file: File
    more: bool


def store(
    parts: Iterable[Part | Refused], study_uid: str | None, storage: Storage
) -> tuple[InstanceResult, ...]:
    """Store every part that can be identified; tell for each what became of it.

    study_uid  of the request's path; parts of another study are refused one by one
    raises     BadRequest if the request's framing breaks (then nothing is reported as stored),
               NoSiteAnswered if nothing was stored because a site failed, or if it cannot say
               what it holds: the client may repeat safely
    """
    request = _Request(study_uid, storage)
    for (site_id, batch), ready in groupby(request.ready(parts), key=_destination):
        request.send(site_id, batch, ready)
    return request.settle()


@dataclass
class _Request:
    """What is known of one store request while it passes."""

    study_uid: str | None
    storage: Storage
    entries: list[Entry] = field(default_factory=list)
    places: dict[str, Place | int] = field(default_factory=dict)
    patients: dict[str, list[persons.Identity]] = field(default_factory=dict)
    whose: dict[tuple[Whose, str], persons.Identity] = field(default_factory=dict)
    sent: dict[str, tuple[str, str]] = field(default_factory=dict)
    said: dict[str, SiteSaid] = field(default_factory=dict)
    failed: dict[str, SiteError] = field(default_factory=dict)
    refused: set[tuple[str, int]] = field(default_factory=set)
    """Site and number of each request in which it met a file that it cannot read."""

    def ready(self, parts: Iterable[Part | Refused]) -> Iterator[_Ready]:
        """Entries that are to be sent, with their bytes; the others are settled or compared."""
        for group in grouped(parts):
            for entry, _ in group:
                self.entries.append(entry)
                if entry.failure is None:
                    self._assign(entry)
            self._refuse_held_otherwise([entry for entry, _ in group if entry.failure is None])
            while group:  # none is kept longer than it must
                entry, file = group.popleft()
                to_send = self._judge(entry, file) if entry.failure is None else None
                if to_send is not None:
                    entry.batch = len(self.sent) // BATCH
                    self.sent[entry.identity.sop_instance_uid] = entry.key
                    yield _Ready(entry, to_send, more=bool(group))

    def _assign(self, entry: Entry) -> None:
        """Where it goes, if it is of the right study and patient."""
        identity = entry.identity
        if self.study_uid not in (None, identity.study_uid):
            entry.failure = OTHER_STUDY
            return
        place = self._place(identity.study_uid)
        if isinstance(place, int):
            entry.failure = place
            return
        entry.site_id = place.site_id
        patient = self._person(identity, place.issuer)
        patients = self.patients[identity.study_uid]
        if patients:
            is_other = patients != [patient] and persons.would_mix(patient, patients)
        else:
            others = [persons.are_different(patient, other) for other in place.others]
            is_other = bool(others) and all(others)
        if is_other:
            entry.failure = OTHER_PATIENT
        elif patient not in patients:
            patients.append(patient)

    def _person(self, identity: Identity, issuer: str) -> persons.Identity:
        """Most instances of a request are of one patient."""
        known = identity.patient, issuer
        if known not in self.whose:
            record = persons.with_issuer(patient_of(identity), issuer)
            self.whose[known] = persons.identity_of(record)
        return self.whose[known]

    def _refuse_held_otherwise(self, entries: Sequence[Entry]) -> None:
        """A SOP instance UID is of one instance in the world (PS3.5 9.1), so of one study."""
        for site_id in sorted({entry.site_id for entry in entries}):
            mine = [e for e in entries if e.site_id == site_id and not self._is_here(e)]
            asked = [entry.identity for entry in mine]
            try:
                held = self.storage.held_otherwise(site_id, asked) if asked else ()
            except SiteError as error:
                self.failed[site_id] = error
                for entry in mine:
                    entry.failure = PROCESSING_FAILURE
                continue
            for entry in mine:
                if (entry.identity.study_uid, entry.identity.sop_instance_uid) in held:
                    entry.failure = DUPLICATE

    def _is_here(self, entry: Entry) -> bool:
        place = self.places[entry.identity.study_uid]
        return isinstance(place, Place) and entry.identity.sop_instance_uid in place.here

    def _judge(self, entry: Entry, file: File) -> File | None:
        """The bytes if they are to be sent; else the entry tells why not."""
        uid = entry.identity.sop_instance_uid
        sent = self.sent.get(uid)
        if sent is not None and sent != entry.key:
            entry.failure = DUPLICATE
            return None
        if sent is not None or self._is_here(entry):
            entry.content = fingerprint(file.blocks)
            return None
        place = self.places[entry.identity.study_uid]
        copies = place.elsewhere.get(uid) if isinstance(place, Place) else None
        return file if copies is None else self._compared(entry, copies, file.blocks)

    def _place(self, study_uid: str) -> Place | int:
        """Or why none of the study can be stored; if its site is silent, and nothing went anywhere
        yet, the caller is told at once.
        """
        if study_uid not in self.places:
            place: Place | int
            try:
                place = self.storage.place(study_uid)
            except PatientsDiffer:
                place = OTHER_PATIENT
            except SiteError as error:
                if not any(entry.site_id for entry in self.entries):
                    raise NoSiteAnswered({error.site_id: error.code}) from error
                self.failed[error.site_id] = error
                place = PROCESSING_FAILURE
            self.places[study_uid] = place
            self.patients[study_uid] = list(place.patients) if isinstance(place, Place) else []
        return self.places[study_uid]

    def _compared(
        self, entry: Entry, copies: Sequence[Copy], blocks: Iterator[bytes]
    ) -> File | None:
        """The bytes, from disk, if another hospital's copy has the same content."""
        try:
            spool = self.storage.spool()
            content = fingerprint(_written(blocks, spool))
        except NoRoom:
            entry.failure = OUT_OF_RESOURCES
            return None
        entry.failure = self._difference(copies, content)
        if entry.failure is not None:
            spool.close()
            return None
        spool.seek(0)
        return File([], _read_back(spool))

    def _difference(self, copies: Iterable[Copy], content: Fingerprint) -> int | None:
        try:
            same = any(self.storage.has_content(copy, content) for copy in copies)
        except SiteError:
            return PROCESSING_FAILURE
        return None if same else DUPLICATE

    def send(self, site_id: str, batch: int, ready: Iterator[_Ready]) -> None:
        """Send what stands in a row for one site."""
        boundary = new_boundary()
        body = _body(boundary, ready)
        try:
            said = self.storage.send(site_id, boundary, body)
        except SiteError as error:
            self.failed[site_id] = error
        else:
            before = self.said.get(site_id, SiteSaid())
            self.said[site_id] = SiteSaid(
                {**before.failed, **said.failed}, {**before.warned, **said.warned}
            )
            if said.status == NOT_UNDERSTOOD:
                self.refused.add((site_id, batch))
        for _ in body:  # what the site did not take: the client hears our answer, and all is listed
            pass

    def settle(self) -> tuple[InstanceResult, ...]:
        """Each instance by what its site says now that it holds."""
        to_tell: dict[tuple[str, str], list[Entry]] = {}
        for entry in self.entries:
            if entry.failure is None:
                to_tell.setdefault(entry.key, []).append(entry)
        try:
            held = {
                key: self.storage.held(*key, _only_sent(entries))
                for key, entries in sorted(to_tell.items())
            }
        except SiteError as error:
            raise NoSiteAnswered({error.site_id: error.code}) from error
        results = tuple(self._result(entry, held) for entry in self.entries)
        broken = {site: error for site, error in self.failed.items() if not _is_full(error)}
        if broken and all(result.failure is not None for result in results):
            codes = {site: error.code for site, error in broken.items()}
            raise NoSiteAnswered(codes) from next(iter(broken.values()))
        return results

    def _result(
        self, entry: Entry, held: Mapping[tuple[str, str], Mapping[str, Sequence[str]]]
    ) -> InstanceResult:
        identity = entry.identity
        uid = identity.sop_instance_uid
        said = self.said.get(entry.site_id, SiteSaid())
        failure, warning = entry.failure, None
        if failure is None:
            paths = held[entry.key].get(uid, ())
            if entry.content is not None and paths:
                copies = [Copy(entry.site_id, path) for path in paths]
                failure = self._difference(copies, entry.content)
            elif not paths or uid in said.failed:
                failure = self._reason(entry, said)
            else:
                warning = said.warned.get(uid)
        return InstanceResult(
            identity.sop_class_uid,
            uid,
            identity.study_uid,
            identity.series_uid,
            failure,
            warning,
            entry.site_id,
            entry.program,
        )

    def _reason(self, entry: Entry, said: SiteSaid) -> int:
        """Why the site does not hold what was sent to it, as far as anybody can tell."""
        if entry.lengths is not None and not entry.lengths.adds_up:
            return CANNOT_UNDERSTAND  # Orthanc refuses a file that was cut without a word
        if entry.identity.sop_instance_uid in said.failed:
            return said.failed[entry.identity.sop_instance_uid]
        error = self.failed.get(entry.site_id)
        if error is not None and not _is_full(error):
            return PROCESSING_FAILURE
        if (entry.site_id, entry.batch) in self.refused and not self._explained(entry):
            return CANNOT_UNDERSTAND
        return OUT_OF_RESOURCES  # said yes and kept nothing: its disk is full (E13)

    def _explained(self, entry: Entry) -> bool:
        """Whether another file of its request is known to be one that no site can read: then that
        one may have been meant, and this one found no room."""
        beside = (e for e in self.entries if (e.key, e.batch) == (entry.key, entry.batch))
        return any(e.lengths is not None and not e.lengths.adds_up for e in beside)


def _only_sent(entries: Sequence[Entry]) -> list[Identity]:
    """Those of a study; none if some were compared, which can be with each copy that is there."""
    if any(entry.content is not None for entry in entries):
        return []
    return [entry.identity for entry in entries]


def _destination(ready: _Ready) -> tuple[str, int]:
    return ready.entry.site_id, ready.entry.batch


def _is_full(error: SiteError) -> bool:
    return isinstance(error, SiteRefused) and error.status == FULL


def _body(boundary: str, ready: Iterator[_Ready]) -> Iterator[list[bytes]]:
    """The body for a site: our boundary, plain part headers, bytes of each part untouched.

    What is here goes together; nothing waits for what the caller has not sent yet.
    """
    head = part_head(boundary, [("Content-Type", "application/dicom")])
    end = b""  # of the part before
    chunk: list[bytes] = []
    for _, file, more in ready:
        chunk += [end + head, *file.here]
        file.here.clear()  # while the rest of a large one passes, its beginning is not kept
        if not more or sum(map(len, chunk)) >= CHUNK_BYTES:
            yield chunk
            chunk = []
        for block in file.rest:
            yield [*chunk, block]
            chunk = []
        end = b"\r\n"
    yield [*chunk, end + closing(boundary)]


def _written(blocks: Iterable[bytes], spool: BinaryIO) -> Iterator[bytes]:
    for block in blocks:
        spool.write(block)
        yield block


def _read_back(spool: BinaryIO) -> Iterator[bytes]:
    with spool:
        yield from iter(lambda: spool.read(BLOCK), b"")
