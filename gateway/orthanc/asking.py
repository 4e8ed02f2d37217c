"""One question of the keeper to a site, and the attributes that it asks of studies and series."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from gateway.clock import Deadline
from gateway.dicom.attributes import DEFAULT_ATTRIBUTES, Dataset, Level, tag_of
from gateway.errors import SiteRefused, SiteSpeaksGarbage, SiteStreamCut, SiteTimeout
from gateway.model.sites import Site
from gateway.orthanc.dicomweb import NEVER_ASKED
from gateway.orthanc.wire import Wire

ANSWER_LIMIT = 64 * 2**20
ALONE_S = 5.0  # for each question about a single study: one that hangs delays the others no longer
ABOUT_ONE = (SiteRefused, SiteSpeaksGarbage, SiteStreamCut, SiteTimeout)
"""Errors of a question about several studies for which one of them may be to blame."""
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


@dataclass(frozen=True)
class Asker:
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
        rows = list_of(self.site, raw) if raw else []
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


def get(wire: Wire, site: Site, target: str) -> bytes | None:
    return Asker(wire, site).get(target)


def object_of(site: Site, raw: bytes | None) -> dict[str, Any]:
    found = json_of(site, raw)
    if not isinstance(found, dict):
        raise SiteSpeaksGarbage(site.site_id, "no JSON object")
    return found


def list_of(site: Site, raw: bytes | None) -> list[dict[str, Any]]:
    found = json_of(site, raw)
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise SiteSpeaksGarbage(site.site_id, "no list of objects")
    return found


def json_of(site: Site, raw: bytes | None) -> Any:
    if raw is None:
        raise SiteRefused(site.site_id, 404)
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise SiteSpeaksGarbage(site.site_id, "no JSON") from error
