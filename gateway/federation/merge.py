"""Makes one ordered list of what several sites answered. Pure.

Records are grouped by UID and one of them is chosen whole: attributes of two sites are never
blended, but for those that describe the federation itself (holders, availability, our URL) and
the counts and modalities that PS3.18 10.6.3.3 defines over all instances. Limit and offset apply
to the merged list (PS3.18 8.3.4.4), whose order is total (8.3.4.4.1: same question, same order).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from gateway.dicom.attributes import Dataset, Level, integer, make, text, values
from gateway.dicom.names import latin_key
from gateway.dicom.order import sort_key
from gateway.dicom.query import Query, matches, project
from gateway.model.answers import SitePage
from gateway.model.persons import find_different, identity_of
from gateway.model.sites import Site

KEY = {
    Level.STUDY: "StudyInstanceUID",
    Level.SERIES: "SeriesInstanceUID",
    Level.INSTANCE: "SOPInstanceUID",
}
COUNTS = (
    "NumberOfStudyRelatedSeries",
    "NumberOfStudyRelatedInstances",
    "NumberOfSeriesRelatedInstances",
)


@dataclass(frozen=True)
class Merged:
    """A page of the merged list.

    total      None: more than the page, and too many to be counted
    conflicts  UIDs whose holders name one patient in different ways
    parted     UIDs whose holders name different patients: the row is of one of them alone
    """

    rows: tuple[Dataset, ...]
    total: int | None
    conflicts: tuple[str, ...]
    parted: tuple[str, ...] = ()


def merge(
    pages: Sequence[SitePage],
    query: Query,
    sites: Mapping[str, Site],
    service_url: str,
    *,
    total: int | None = None,
    silent: Collection[str] = (),
    uids: Sequence[str] | None = None,
) -> Merged:
    """One page, each UID once, in the total order of query.sort_key.

    pages        at most one for each site, rows already filtered by the query
    service_url  our DICOMweb root, for RetrieveURL
    total        matches over all sites, if the pages do not hold every UID
    silent       sites that hold what they hold but do not answer now (InstanceAvailability)
    uids         those of the page in their order, if it is known already
    """
    groups = _groups(pages, sites, query.level)
    holders = _holders(pages)
    rows = []
    conflicts = []
    parted = []
    for uid in _page(groups, query) if uids is None else filter(groups.get, uids):
        records, held_by = groups[uid], holders[uid]
        if len(records) > 1 and find_different(identity_of(row) for _, row in records):
            parted.append(uid)
            others = {site.site_id for site, _ in records}
            records = _of_one_patient(records, query)
            others -= {site.site_id for site, _ in records}
            held_by = [site_id for site_id in held_by if site_id not in others]
        elif len(records) > 1 and _named_differently([record for _, record in records]):
            conflicts.append(uid)
        site, row = _choose(records)
        url = service_url
        if uid in parted:  # the common address refuses to open it: PatientsDiffer
            url = f"{service_url.removesuffix('/dicom-web')}/sites/{site.site_id}/dicom-web"
        merged = project(query, row)
        _describe(merged, site, row, records, query.level, url)
        _name_holders(merged, [sites[site_id] for site_id in held_by], silent)
        rows.append(dict(sorted(merged.items())))
    if total is None:
        total = len(frozenset().union(*(page.uids for page in pages)))
    return Merged(tuple(rows), total, tuple(conflicts), tuple(parted))


def uids_of_page(
    pages: Iterable[SitePage], query: Query, sites: Mapping[str, Site]
) -> frozenset[str]:
    """What merge() will show of these pages; rows that hold the keys of the order are enough."""
    return frozenset(_page(_groups(pages, sites, query.level), query))


def _groups(
    pages: Iterable[SitePage], sites: Mapping[str, Site], level: Level
) -> dict[str, list[tuple[Site, Dataset]]]:
    """The records of each UID, by site id."""
    groups: dict[str, list[tuple[Site, Dataset]]] = {}
    for page in sorted(pages, key=lambda page: page.site_id):
        for row in page.rows:
            groups.setdefault(text(row, KEY[level]), []).append((sites[page.site_id], row))
    return groups


def _page(groups: Mapping[str, Sequence[tuple[Site, Dataset]]], query: Query) -> list[str]:
    """UIDs of the page in their order.

    Holders may disagree about a date: the first place counts, because a holder that puts the
    record further back may not have sent it at all.
    """

    def place(uid: str) -> tuple[Any, ...]:
        return min(sort_key(query.level, row) for _, row in groups[uid])

    return sorted(groups, key=place)[query.offset : query.offset + query.limit]


def _choose(records: Sequence[tuple[Site, Dataset]]) -> tuple[Site, Dataset]:
    """The fullest copy, a hospital's before the archive's, then by site id."""
    if len(records) == 1:
        return records[0]

    def rank(record: tuple[Site, Dataset]) -> tuple[int, bool, str]:
        site, row = record
        size = max((integer(row, name) or 0 for name in COUNTS), default=0)
        return (-size, site.role == "archive", site.site_id)

    return min(records, key=rank)


def _of_one_patient(
    records: Sequence[tuple[Site, Dataset]], query: Query
) -> list[tuple[Site, Dataset]]:
    """The records of one of several patients under one UID: of one who was asked for."""
    asked = [(site, row) for site, row in records if matches(query, row)]
    site, row = _choose(asked or records)
    mine = {site.site_id: (site, row)}
    for site, row in records:
        if not find_different(identity_of(one) for _, one in [*mine.values(), (site, row)]):
            mine[site.site_id] = (site, row)
    return list(mine.values())


def _holders(pages: Iterable[SitePage]) -> dict[str, list[str]]:
    holders: dict[str, list[str]] = {}
    for page in sorted(pages, key=lambda page: page.site_id):
        for uid in page.uids:
            holders.setdefault(uid, []).append(page.site_id)
    return holders


def _named_differently(rows: Sequence[Dataset]) -> bool:
    """Whether records of one patient disagree about name, birth date or sex.

    An absent value disagrees with nothing. PatientID is left out: it differs between hospitals
    for the same person. A name in Latin letters is the same name.
    """
    for name in ("PatientName", "PatientBirthDate", "PatientSex"):
        said = {latin_key(text(row, name)) for row in rows} - {""}
        if len(said) > 1:
            return True
    return False


def _describe(
    merged: Dataset,
    site: Site,
    row: Dataset,
    records: Sequence[tuple[Site, Dataset]],
    level: Level,
    service_url: str,
) -> None:
    """Set what the federation knows better than any one site, in place."""
    url = f"{service_url}/studies/{text(row, 'StudyInstanceUID')}"
    if level is not Level.STUDY:
        url += f"/series/{text(row, 'SeriesInstanceUID')}"
    if level is Level.INSTANCE:
        url += f"/instances/{text(row, 'SOPInstanceUID')}"
    merged["00081190"] = make("RetrieveURL", url)
    if not text(row, "TimezoneOffsetFromUTC"):
        offset = _utc_offset(site.time_zone, text(row, "StudyDate"))
        if offset:
            merged["00080201"] = make("TimezoneOffsetFromUTC", offset)
    if level is Level.STUDY:
        modalities = sorted({m for _, r in records for m in values(r, "ModalitiesInStudy") if m})
        if modalities:
            merged["00080061"] = make("ModalitiesInStudy", *modalities)
    for tag, name in (("00201206", COUNTS[0]), ("00201208", COUNTS[1]), ("00201209", COUNTS[2])):
        if tag in merged:
            counts = [n for _, r in records if (n := integer(r, name)) is not None]
            if counts:
                merged[tag] = make(name, max(counts))


def _name_holders(merged: Dataset, holders: Sequence[Site], silent: Collection[str]) -> None:
    """Who holds it, and how near it is: PS3.3 C.4.23.1.1."""
    merged["00080054"] = make("RetrieveAETitle", *(site.ae_title for site in holders))
    roles = {site.role for site in holders if site.site_id not in silent}
    word = "ONLINE" if "hospital" in roles else "NEARLINE" if roles else "OFFLINE"
    merged["00080056"] = make("InstanceAvailability", word)


@lru_cache(maxsize=4096)  # days repeat from row to row
def _utc_offset(time_zone: str, study_date: str) -> str:
    """The zone's offset on that day as PS3.3 writes it, "+0500"; "" for a date that is none."""
    try:
        noon = datetime.strptime(study_date + "12", "%Y%m%d%H").replace(tzinfo=ZoneInfo(time_zone))
    except ValueError:
        return ""
    return noon.strftime("%z")
