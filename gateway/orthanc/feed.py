"""What the keeper reads of a site to keep the study index: feed, lists, counts, records.

Measured on Orthanc 1.10.1 and 1.12.7, a study of two series: `/studies/{id}` 0.1-0.2 ms, QIDO for
one study and its series 2.2 ms, QIDO for fifty of them 1.1 ms each. So records come by QIDO, up to
UIDS_PER_REQUEST at once, and everything else by the REST interface. Sites of the kind `dicomweb`
have no feed: they are listed by paged QIDO.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson

from gateway.clock import Deadline
from gateway.dicom.attributes import DEFAULT_ATTRIBUTES, Dataset, Level, integer, make, tag_of, text
from gateway.dicom.part10 import decoded
from gateway.dicom.uids import is_lenient_uid
from gateway.errors import (
    SiteRefused,
    SiteSpeaksGarbage,
    SiteStreamCut,
    SiteTimeout,
    SiteUnreachable,
)
from gateway.model.sites import Site
from gateway.orthanc.dicomweb import NEVER_ASKED
from gateway.orthanc.entries import series_row, study_row
from gateway.orthanc.wire import Wire

UIDS_PER_REQUEST = 50
DICOMWEB_PAGE = 500
ANSWER_LIMIT = 64 * 2**20
PAST_THE_END = 10**12
ALONE_S = 5.0  # for each question about a single study: one that hangs delays the others no longer
SHARE_S = 0.5  # and so much more for each of several
NOBODYS_UID = "1.2.826.0.1.3680043.10.999.0"
MOST_BYTES = 2**40
"""No study is larger: whoever says so must not spoil the sum of its site."""
ABOUT_ONE = (SiteRefused, SiteSpeaksGarbage, SiteStreamCut, SiteTimeout)
"""Errors of a question about several studies for which one of them may be to blame."""
ORTHANC_ID = re.compile(r"(?:[0-9a-f]{8}-){4}[0-9a-f]{8}", re.ASCII)
RETRIEVE_URL = "00081190"  # the site's own address of itself: ours are made for each answer

_STUDY_EXTRA = (
    "InstitutionName", "PhysiciansOfRecord", "IssuerOfPatientID", "PatientAge", "OtherPatientIDs",
    "OtherPatientIDsSequence",  # Orthanc 1.10 gives no sequences here; 1.12 does
)  # fmt: skip
_SERIES_EXTRA = (
    "SeriesDate", "SeriesTime", "BodyPartExamined", "Laterality", "ProtocolName", "Manufacturer",
    "ManufacturerModelName", "DeviceSerialNumber", "StationName", "InstitutionName",
    "PerformedProcedureStepID", "PerformingPhysicianName", "OperatorsName", "FrameOfReferenceUID",
)  # fmt: skip
# These are ours to say, not the site's.
_OURS = frozenset({RETRIEVE_URL, tag_of("RetrieveAETitle"), tag_of("InstanceAvailability")})


def _included(level: Level, extra: Sequence[str]) -> str:
    tags = {*DEFAULT_ATTRIBUTES[level], *(tag_of(name) or "" for name in extra)}
    tags -= _OURS | NEVER_ASKED
    return ",".join(sorted(filter(None, tags)))


STUDY_FIELDS = _included(Level.STUDY, _STUDY_EXTRA)
SERIES_FIELDS = _included(Level.SERIES, _SERIES_EXTRA)
# What a server repeats of the study in each of its series; some questions bring it, some do not.
_REPEATED = {*STUDY_FIELDS.split(",")} - {*SERIES_FIELDS.split(","), tag_of("StudyInstanceUID")}


@dataclass(frozen=True)
class Entry:
    """One line of `/changes`: something happened to that resource."""

    seq: int
    change: str
    level: str
    orthanc_id: str
    date: str

    @property
    def fingerprint(self) -> str:
        """Another database has, at this number, another of these."""
        return f"{self.date} {self.change} {self.level} {self.orthanc_id}"


@dataclass(frozen=True)
class Page:
    """A part of `/changes`. last: the number to go on from; done: nothing stands behind it yet."""

    entries: tuple[Entry, ...]
    last: int
    done: bool


@dataclass(frozen=True)
class Listed:
    """A study as the site's list names it.

    orthanc_id  "" at a site that is no Orthanc
    mark        the same as long as the study has not changed
    record      what a list of the kind `dicomweb` has said of it already
    arriving    images may still come: the last one is younger than Orthanc's StableAge
    """

    study_uid: str
    orthanc_id: str
    mark: str
    changed_at: datetime | None = None
    record: Dataset | None = None
    arriving: bool = False


@dataclass(frozen=True)
class Counts:
    """How much there is."""

    studies: int
    series: int
    instances: int

    def __sub__(self, other: "Counts") -> "Counts":
        return Counts(
            self.studies - other.studies,
            self.series - other.series,
            self.instances - other.instances,
        )


@dataclass(frozen=True)
class StudyRecord:
    """DICOM JSON of a study and of each of its series, as the site's QIDO gives them.

    Series do not repeat what stands in the study's record.
    """

    record: Dataset
    series: tuple[Dataset, ...]


def read_changes(wire: Wire, site: Site, since: int, limit: int) -> Page:
    """Entries with numbers above `since`. raises SiteError"""
    found = _object(site, _get(wire, site, f"/changes?since={since}&limit={limit}"))
    entries = found.get("Changes")
    last = found.get("Last")
    if not isinstance(entries, list) or not isinstance(last, int):
        raise SiteSpeaksGarbage(site.site_id, "changes")
    return Page(tuple(_entries(entries)), last, found.get("Done") is not False)


def _entries(found: Iterable[object]) -> Iterator[Entry]:
    for entry in found:
        if isinstance(entry, dict) and isinstance(entry.get("Seq"), int):
            names = (str(entry.get(key, "")) for key in ("ChangeType", "ResourceType", "ID"))
            change, level, orthanc_id = names
            yield Entry(entry["Seq"], change, level, orthanc_id, str(entry.get("Date", "")))


def read_position(wire: Wire, site: Site) -> tuple[int, str]:
    """(number, fingerprint) of the feed's end now; the fingerprint is "" if that entry is gone."""
    # `?last` would not do: its number falls when the newest study is deleted (measured).
    last = read_changes(wire, site, PAST_THE_END, 1).last
    newest = read_changes(wire, site, max(last - 1, 0), 1).entries
    return last, next((entry.fingerprint for entry in newest if entry.seq == last), "")


def read_counts(wire: Wire, site: Site, orthanc_id: str = "") -> Counts | None:
    """What the site holds, or of that study; None if it does not have it. raises SiteError"""
    raw = _get(wire, site, f"/studies/{orthanc_id}/statistics" if orthanc_id else "/statistics")
    if raw is None and orthanc_id:
        return None
    found = _object(site, raw)
    try:
        studies = 1 if orthanc_id else int(found["CountStudies"])
        return Counts(studies, int(found["CountSeries"]), int(found["CountInstances"]))
    except (KeyError, TypeError, ValueError) as error:
        raise SiteSpeaksGarbage(site.site_id, "statistics") from error


class SeriesSize(NamedTuple):
    """Bytes of a series, a digest of which instances it has, and one of its state at this site.

    mark  as long as it stays, none of its images has changed; "" while images may still come
    """

    size_bytes: int
    content: str
    mark: str


def read_sizes(wire: Wire, site: Site, orthanc_id: str) -> dict[str, SeriesSize]:
    """Bytes of a study's DICOM files as they are sent, by series UID; {} if it is gone.

    The same for every holder of the same images: not counted is what Orthanc stores beside them
    (1.12 does), nor does it matter whether it compresses its storage.

    raises  SiteError; one of ABOUT_ONE if the study may be to blame
    """
    ask = _Asker(wire, site, min(ALONE_S, site.timeouts.metadata_s))
    sizes = {}
    for series in _list(site, ask.get(f"/studies/{orthanc_id}/series") or b"[]"):
        tags, series_id = series.get("MainDicomTags"), str(series.get("ID"))
        if not isinstance(tags, dict) or not ORTHANC_ID.fullmatch(series_id):
            raise SiteSpeaksGarbage(site.site_id, "series")
        found = _object(site, ask.get(f"/series/{series_id}/statistics"))
        try:
            size = int(found["DicomUncompressedSize"])
        except (KeyError, TypeError, ValueError) as error:
            raise SiteSpeaksGarbage(site.site_id, "statistics") from error
        # Digests of PatientID and UIDs themselves: the same image has the same name everywhere.
        names = "\n".join(sorted(map(str, series.get("Instances") or ())))
        content = _digest(names) if names else ""
        # Only at rest: Orthanc's time has whole seconds, and an image may be replaced within one.
        changed, at_rest = str(series.get("LastUpdate", "")), series.get("IsStable") is True
        mark = _digest(f"{changed}\n{names}") if changed and at_rest else ""
        sizes[str(tags.get("SeriesInstanceUID"))] = SeriesSize(size, content, mark)
    found_bytes = [size.size_bytes for size in sizes.values()]
    if not all(0 <= size < MOST_BYTES for size in (*found_bytes, sum(found_bytes))):
        raise SiteSpeaksGarbage(site.site_id, "statistics")
    return sizes


def _digest(words: str) -> str:
    return hashlib.blake2b(words.encode(), digest_size=16).hexdigest()


def has_resource(wire: Wire, site: Site, level: str, orthanc_id: str) -> bool:
    """Whether the site still has that resource. raises SiteError"""
    return _get(wire, site, f"{_path(level)}/{orthanc_id}") is not None


def find_study(wire: Wire, site: Site, entry: Entry) -> Listed | None:
    """The study that an entry's resource belongs to; None if it is gone. raises SiteError"""
    target = f"{_path(entry.level)}/{entry.orthanc_id}"
    raw = _get(wire, site, target if entry.level == "Study" else target + "/study")
    return None if raw is None else _listed(_object(site, raw))


def list_children(wire: Wire, site: Site, orthanc_id: str) -> frozenset[str]:
    """Orthanc's ids of all series and instances of a study. raises SiteError"""
    raw = _get(wire, site, f"/studies/{orthanc_id}/series")
    if raw is None:
        return frozenset()
    found = _list(site, raw)
    instances = (str(i) for series in found for i in series.get("Instances") or ())
    return frozenset([*(str(series.get("ID")) for series in found), *instances])


def list_studies(
    wire: Wire, site: Site, since: int, limit: int
) -> tuple[list[Listed], list[str], int]:
    """A page of the site's list of studies, from position `since` of an order of its own.

    returns  what can be indexed; ids of what cannot, because its UID is none; the page's length
    """
    if site.kind == "dicomweb":
        return _list_by_search(wire, site, since)
    raw = _get(wire, site, f"/studies?since={since}&limit={limit}&expand")
    found = _list(site, raw)
    listed = [(study, _listed(study)) for study in found]
    refused = [str(study.get("ID"))[:44] for study, known in listed if known is None]
    return [known for _, known in listed if known is not None], refused, len(found)


def _list_by_search(wire: Wire, site: Site, since: int) -> tuple[list[Listed], list[str], int]:
    page = f"/studies?limit={DICOMWEB_PAGE}&offset={since}"
    found = _Asker(wire, site).search(page, STUDY_FIELDS)
    listed = {}
    for record in found:
        uid = text(record, "StudyInstanceUID")
        if is_lenient_uid(uid):
            raw = orjson.dumps(record, option=orjson.OPT_SORT_KEYS)
            mark = hashlib.blake2b(raw, digest_size=16).hexdigest()
            listed[uid] = Listed(uid, "", mark, record=record)
    return list(listed.values()), [], len(found)


def _listed(study: Mapping[str, Any]) -> Listed | None:
    tags = study.get("MainDicomTags")
    uid = str(tags.get("StudyInstanceUID", "")) if isinstance(tags, dict) else ""
    orthanc_id = str(study.get("ID"))
    if not is_lenient_uid(uid) or not ORTHANC_ID.fullmatch(orthanc_id):
        return None
    changed = str(study.get("LastUpdate", ""))[:32]
    try:
        changed_at = datetime.strptime(changed, "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        changed_at = None
    return Listed(uid, orthanc_id, changed, changed_at, arriving=study.get("IsStable") is False)


def read_studies(
    wire: Wire, site: Site, studies: Sequence[Listed], within_s: float | None = None
) -> dict[str, StudyRecord]:
    """The records of these studies, at most UIDS_PER_REQUEST of them, at an Orthanc.

    within_s  for each of the few questions; None: the longer the more studies there are
    returns   by study UID, without those that the site does not have
    raises    SiteError; one of ABOUT_ONE if a single study may be to blame
    """
    within_s = within_s or min(ALONE_S + SHARE_S * len(studies), site.timeouts.metadata_s)
    ask = _Asker(wire, site, within_s)
    found = _read_together(ask, [study.study_uid for study in studies])
    return {uid: _with_name(ask, uid, found[uid], studies) for uid in found}


def read_study(wire: Wire, site: Site, study: Listed) -> StudyRecord | None:
    """One study's record, within ALONE_S for each question; None if the site does not have it.

    raises  SiteError; one of ABOUT_ONE if the site cannot tell of this study, but of others
    """
    within_s = min(ALONE_S, site.timeouts.metadata_s)
    ask = _Asker(wire, site, within_s)
    try:
        if site.kind == "orthanc":
            return read_studies(wire, site, [study], within_s).get(study.study_uid)
        return _read_alone(ask, study).get(study.study_uid)
    except ABOUT_ONE:
        # A question that no study answers to: if that fails too, it is the site.
        try:
            ask.search(f"/studies?StudyInstanceUID={NOBODYS_UID}", STUDY_FIELDS)
        except ABOUT_ONE as error:
            raise SiteUnreachable(site.site_id, f"search: {error.code}") from error
        raise


def read_entry(wire: Wire, site: Site, study: Listed) -> StudyRecord | None:
    """What an Orthanc knows of a study without its files, of which one is damaged or gone; None if
    the study is. raises SiteError
    """
    ask = _Asker(wire, site, min(ALONE_S, site.timeouts.metadata_s))
    raw = ask.get(f"/studies/{study.orthanc_id}")
    if raw is None:
        return None
    entry = _object(site, raw)
    series = _list(site, ask.get(f"/studies/{study.orthanc_id}/series"))
    rows = [series_row({}, one) for one in series]
    uid = make("StudyInstanceUID", study.study_uid)
    return StudyRecord(study_row(entry, series), tuple({**row, "0020000D": uid} for row in rows))


def _read_together(ask: "_Asker", uids: Sequence[str]) -> dict[str, StudyRecord]:
    some = f"?StudyInstanceUID={','.join(uids)}"
    records = _by_uid(ask.search("/studies" + some, STUDY_FIELDS), uids)
    rows = ask.search("/series" + some, SERIES_FIELDS) if records else []
    series: dict[str, list[Dataset]] = {}
    for row in rows:
        series.setdefault(text(row, "StudyInstanceUID"), []).append(_lean(row))
    return {uid: StudyRecord(row, tuple(series.get(uid, ()))) for uid, row in records.items()}


def _with_name(
    ask: "_Asker", uid: str, found: StudyRecord, studies: Sequence[Listed]
) -> StudyRecord:
    """The record with the patient's name from the file, where Orthanc has dropped its letters.

    It drops what its DefaultEncoding cannot read in a file that names no character set: of
    "Иван^Ян" in windows-1251 it leaves "^" (measured on both generations).
    """
    name = text(found.record, "PatientName")
    if not name or name.strip("^= "):
        return found
    orthanc_id = next((study.orthanc_id for study in studies if study.study_uid == uid), "")
    for series in _list(ask.site, ask.get(f"/studies/{orthanc_id}/series") or b"[]"):
        for instance in (series.get("Instances") or ())[:1]:
            if ORTHANC_ID.fullmatch(str(instance)):
                raw = ask.get(f"/instances/{instance}/content/0010-0010") or b""
                charset = ask.get(f"/instances/{instance}/content/0008-0005") or b""
                name = _decode(raw, charset.decode("latin-1"))
                record = {**found.record, "00100010": make("PatientName", name)}
                return StudyRecord(record, found.series) if name.strip("^= ") else found
    return found


def _decode(raw: bytes, charset: str) -> str:
    """A name as it stands in a file; windows-1251 is what Russian devices write unnamed."""
    try:
        if b"\x1b" not in raw:  # escape sequences are ASCII too
            return raw.decode("utf-8").strip(" \0")
    except UnicodeDecodeError:
        pass
    named = decoded(raw, charset.strip(" \0").split("\\"))
    return (named or raw.decode("cp1251", "replace")).strip(" \0")


def _read_alone(ask: "_Asker", study: Listed) -> dict[str, StudyRecord]:
    uid = study.study_uid
    one = f"/studies?StudyInstanceUID={uid}"
    rows = [study.record] if study.record else ask.search(one, STUDY_FIELDS)
    records = _by_uid(rows, [uid])
    if not records:
        return {}
    series = ask.search(f"/studies/{uid}/series?", SERIES_FIELDS)
    mine = (_lean(row) for row in series if text(row, "StudyInstanceUID") in ("", uid))
    return {uid: StudyRecord(records[uid], tuple(mine))}


def _lean(series: Dataset) -> Dataset:
    return {tag: element for tag, element in series.items() if tag not in _REPEATED}


def _by_uid(rows: Iterable[Dataset], uids: Sequence[str]) -> dict[str, Dataset]:
    """One record for each UID: one UID of two patients at one site is taken once, never blended."""
    found: dict[str, Dataset] = {}
    for row in sorted(rows, key=_rank):
        uid = text(row, "StudyInstanceUID")
        if uid in uids:
            found[uid] = row
    return found


def _rank(record: Dataset) -> tuple[int, str]:
    return integer(record, "NumberOfStudyRelatedInstances") or 0, text(record, "PatientID")


@dataclass(frozen=True)
class _Asker:
    """Asks one site; within_s: for each question, None: as long as metadata may take there."""

    wire: Wire
    site: Site
    within_s: float | None = None

    def search(self, target: str, fields: str) -> list[Dataset]:
        """One QIDO question; below a study that is gone, 404 is an empty list."""
        mark = "" if target.endswith("?") else "&"
        raw = self.get(f"{self.site.dicomweb_root}{target}{mark}includefield={fields}")
        if raw is None:
            if "/studies/" not in target:
                raise SiteRefused(self.site.site_id, 404, "search")
            return []
        rows = _list(self.site, raw) if raw else []
        return [
            {
                tag: element
                for tag, element in row.items()
                if tag not in _OURS and isinstance(element, dict)
            }
            for row in rows
        ]

    def get(self, target: str) -> bytes | None:
        """The body of the answer; None for 404. raises SiteError"""
        is_search = target.startswith(self.site.dicomweb_root + "/")
        headers = [("Accept", "application/dicom+json" if is_search else "*/*")]
        deadline = Deadline(self.within_s or self.site.timeouts.metadata_s)
        opened = self.wire.open(self.site, "GET", target, deadline=deadline, headers=headers)
        with opened as answer:
            if answer.status in (200, 204):
                return answer.read_all(ANSWER_LIMIT)
            if answer.status == 404:
                return None
            what = target.partition("?")[0].split("/")[1]
            raise SiteRefused(self.site.site_id, answer.status, what)


def _path(level: str) -> str:
    return {"Study": "/studies", "Series": "/series", "Patient": "/patients"}.get(
        level, "/instances"
    )


def _get(wire: Wire, site: Site, target: str) -> bytes | None:
    return _Asker(wire, site).get(target)


def _object(site: Site, raw: bytes | None) -> dict[str, Any]:
    found = _json(site, raw)
    if not isinstance(found, dict):
        raise SiteSpeaksGarbage(site.site_id, "no JSON object")
    return found


def _list(site: Site, raw: bytes | None) -> list[dict[str, Any]]:
    found = _json(site, raw)
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise SiteSpeaksGarbage(site.site_id, "no list of objects")
    return found


def _json(site: Site, raw: bytes | None) -> Any:
    if raw is None:
        raise SiteRefused(site.site_id, 404)
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise SiteSpeaksGarbage(site.site_id, "no JSON") from error
