"""What the keeper reads of a site to keep the study index: feed, lists, counts, sizes.

Measured on Orthanc 1.10.1 and 1.12.7, a study of two series: `/studies/{id}` 0.1-0.2 ms, QIDO for
one study and its series 2.2 ms, QIDO for fifty of them 1.1 ms each. So records come by QIDO, many
at once (study_records.py), and everything else by the REST interface. Sites of the kind `dicomweb`
have no feed: they are listed by paged QIDO.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson

from gateway.dicom.attributes import Dataset, text
from gateway.dicom.uids import is_lenient_uid
from gateway.errors import SiteSpeaksGarbage
from gateway.model.sites import Site
from gateway.orthanc.asking import ALONE_S, STUDY_FIELDS, Asker, get, list_of, object_of
from gateway.orthanc.wire import Wire

DICOMWEB_PAGE = 500
PAST_THE_END = 10**12
MOST_BYTES = 2**40
"""No study is larger: whoever says so must not spoil the sum of its site."""
ORTHANC_ID = re.compile(r"(?:[0-9a-f]{8}-){4}[0-9a-f]{8}", re.ASCII)


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


def read_changes(wire: Wire, site: Site, since: int, limit: int) -> Page:
    """Entries with numbers above `since`. raises SiteError"""
    found = object_of(site, get(wire, site, f"/changes?since={since}&limit={limit}"))
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
    raw = get(wire, site, f"/studies/{orthanc_id}/statistics" if orthanc_id else "/statistics")
    if raw is None and orthanc_id:
        return None
    found = object_of(site, raw)
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
    ask = Asker(wire, site, min(ALONE_S, site.timeouts.metadata_s))
    sizes = {}
    for series in list_of(site, ask.get(f"/studies/{orthanc_id}/series") or b"[]"):
        tags, series_id = series.get("MainDicomTags"), str(series.get("ID"))
        if not isinstance(tags, dict) or not ORTHANC_ID.fullmatch(series_id):
            raise SiteSpeaksGarbage(site.site_id, "series")
        found = object_of(site, ask.get(f"/series/{series_id}/statistics"))
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
    return get(wire, site, f"{_path(level)}/{orthanc_id}") is not None


def find_study(wire: Wire, site: Site, entry: Entry) -> Listed | None:
    """The study that an entry's resource belongs to; None if it is gone. raises SiteError"""
    target = f"{_path(entry.level)}/{entry.orthanc_id}"
    raw = get(wire, site, target if entry.level == "Study" else target + "/study")
    return None if raw is None else _listed(object_of(site, raw))


def list_children(wire: Wire, site: Site, orthanc_id: str) -> frozenset[str]:
    """Orthanc's ids of all series and instances of a study. raises SiteError"""
    raw = get(wire, site, f"/studies/{orthanc_id}/series")
    if raw is None:
        return frozenset()
    found = list_of(site, raw)
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
    raw = get(wire, site, f"/studies?since={since}&limit={limit}&expand")
    found = list_of(site, raw)
    listed = [(study, _listed(study)) for study in found]
    refused = [str(study.get("ID"))[:44] for study, known in listed if known is None]
    return [known for _, known in listed if known is not None], refused, len(found)


def _list_by_search(wire: Wire, site: Site, since: int) -> tuple[list[Listed], list[str], int]:
    page = f"/studies?limit={DICOMWEB_PAGE}&offset={since}"
    found = Asker(wire, site).search(page, STUDY_FIELDS)
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


def _path(level: str) -> str:
    return {"Study": "/studies", "Series": "/series", "Patient": "/patients"}.get(
        level, "/instances"
    )
