"""Orthanc's own entries of studies, series and instances: what its index knows of them.

No file is opened for an entry. QIDO opens one for each row (measured: whatever is asked that is no
main DICOM tag), and refuses the whole question, of up to fifty studies, if a single file is damaged
or gone; the rows that only such a file could complete are made of entries.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import orjson

from gateway.clock import Deadline
from gateway.dicom.attributes import Dataset, Level, make, tag_of
from gateway.errors import SiteRefused, SiteSpeaksGarbage
from gateway.model.sites import Site
from gateway.orthanc.wire import Wire

SEARCH_LIMIT_BYTES = 32 * 2**20  # trust.md F7
FIND_LEVEL = {Level.STUDY: "Study", Level.SERIES: "Series", Level.INSTANCE: "Instance"}
PARENT = {Level.SERIES: Level.STUDY, Level.INSTANCE: Level.SERIES}
KEY = {
    Level.STUDY: "StudyInstanceUID",
    Level.SERIES: "SeriesInstanceUID",
    Level.INSTANCE: "SOPInstanceUID",
}
PATH = {Level.STUDY: "/studies", Level.SERIES: "/series", Level.INSTANCE: "/instances"}
PLAIN = re.compile(r"[A-Za-z0-9._~-]+", re.ASCII)
UTF_8 = "ISO_IR 192"

Entry = Mapping[str, Any]


def find_entries(
    wire: Wire,
    site: Site,
    level: Level,
    keys: Mapping[str, str],
    deadline: Deadline,
    page: Mapping[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """Orthanc's own entries of what matches, from its index (POST /tools/find); raises SiteError.

    page  which of them, and what each is to have
    """
    question = {"Level": FIND_LEVEL[level], "Query": dict(keys), "Expand": True, **(page or {})}
    body = orjson.dumps(question)
    with wire.open(
        site,
        "POST",
        "/tools/find",
        deadline=deadline,
        headers=[("Content-Type", "application/json")],
        body=body,
    ) as answer:
        if answer.status != 200:
            raise SiteRefused(site.site_id, answer.status, "tools/find")
        return read_list(site, answer.read_all(SEARCH_LIMIT_BYTES))


def read_list(site: Site, raw: bytes) -> list[dict[str, Any]]:
    """A JSON list of objects; raises SiteSpeaksGarbage for anything else."""
    try:
        found = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise SiteSpeaksGarbage(site.site_id, "no JSON") from error
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise SiteSpeaksGarbage(site.site_id, "no list of datasets")
    return found


def read_object(raw: bytes) -> dict[str, Any]:
    """A JSON object; an empty one for whatever else a site says."""
    try:
        found = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def main_tags(entry: Entry, name: str = "MainDicomTags") -> dict[str, str]:
    """Tags of one found resource; whatever is no text is left out (hostile sites, H84)."""
    tags = entry.get(name)
    if not isinstance(tags, dict):
        return {}
    return {keyword: value for keyword, value in tags.items() if isinstance(value, str)}


def row_of(tags: Mapping[str, str]) -> Dataset:
    """DICOM JSON of tags by keyword; what is empty, or no attribute, is left out."""
    named = [(tag_of(keyword), keyword, value) for keyword, value in tags.items()]
    return {tag: make(keyword, value) for tag, keyword, value in named if tag and value}


def study_row(study: Entry, series: Sequence[Entry]) -> Dataset:
    """The row of a study, as far as the entries of it and of its series tell."""
    row = row_of(main_tags(study) | main_tags(study, "PatientMainDicomTags"))
    modalities = sorted({main_tags(one).get("Modality", "") for one in series} - {""})
    return row | {
        "00080005": make("SpecificCharacterSet", UTF_8),
        "00080061": make("ModalitiesInStudy", *modalities),
        "00201206": make("NumberOfStudyRelatedSeries", len(series)),
        "00201208": make(
            "NumberOfStudyRelatedInstances", sum(len(instance_ids(one)) for one in series)
        ),
    }


def series_row(study: Entry, series: Entry) -> Dataset:
    """The row of a series, with what its study's entry tells."""
    tags = main_tags(study) | main_tags(study, "PatientMainDicomTags") | main_tags(series)
    return row_of(tags) | {
        "00080005": make("SpecificCharacterSet", UTF_8),
        "00201209": make("NumberOfSeriesRelatedInstances", len(instance_ids(series))),
    }


def instance_ids(series: Entry) -> list[str]:
    """Orthanc's ids of the instances of a series."""
    found = series.get("Instances")
    return list(map(str, found)) if isinstance(found, list) else []


def find_rows(
    wire: Wire, site: Site, level: Level, uids: Sequence[str], deadline: Deadline
) -> list[Dataset]:
    """Rows of these UIDs, made of entries alone; what has gone is left out. raises SiteError"""
    keys = {KEY[level]: "\\".join(uids)}
    found = find_entries(wire, site, level, keys, deadline)
    if level is Level.STUDY:
        series = find_entries(wire, site, Level.SERIES, keys, deadline)
        return [
            study_row(study, [one for one in series if one.get("ParentStudy") == study.get("ID")])
            for study in found
        ]

    @cache
    def entry(path: str) -> Entry:
        with wire.open(site, "GET", path, deadline=deadline) as answer:
            if answer.status != 200:
                raise SiteRefused(site.site_id, answer.status, "an entry")
            return read_object(answer.read_all(SEARCH_LIMIT_BYTES))

    def above(one: Entry, parent: Level) -> Entry:
        orthanc_id = str(one.get(f"Parent{FIND_LEVEL[parent]}"))
        if not PLAIN.fullmatch(orthanc_id):
            raise SiteSpeaksGarbage(site.site_id, "an entry without its parent")
        return entry(f"{PATH[parent]}/{orthanc_id}")

    rows = []
    for one in found:
        within = one if level is Level.SERIES else above(one, Level.SERIES)
        row = series_row(above(within, Level.STUDY), within)
        rows.append(row if level is Level.SERIES else row | row_of(main_tags(one)))
    return rows
