"""Attributes in the DICOM JSON model (PS3.18 Annex F): names, reading, making, rewriting.

A dataset is the dict that travels on the wire. Reading never raises on what real archives hold
(wrong types, missing values, numbers as texts); what is read wrong is judged by the caller.
"""

import re
from collections.abc import Callable, Sequence
from enum import StrEnum
from functools import lru_cache
from typing import Any

from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword

Dataset = dict[str, dict[str, Any]]

_INTEGER = re.compile(r"([+-]?[0-9]{1,18})(?:\.0*)?\Z", re.ASCII)
_MOST = 10**18


class Level(StrEnum):
    """What one row of a search stands for."""

    STUDY = "study"
    SERIES = "series"
    INSTANCE = "instance"


@lru_cache(maxsize=4096)
def tag_of(name: str) -> str | None:
    """ "StudyInstanceUID" or "0020000d" -> "0020000D"; None if it is neither.

    Eight hexadecimal digits are taken without a look into the dictionary: private attributes and
    those of a newer edition have no keyword here.
    """
    if len(name) == 8 and all(letter in "0123456789abcdefABCDEF" for letter in name):
        return name.upper()
    number = tag_for_keyword(name) if name.isascii() and name else None
    return None if number is None else f"{number:08X}"


@lru_cache(maxsize=4096)
def keyword_of(tag: str) -> str:
    """Keyword of a tag "GGGGEEEE"; the tag itself where the dictionary has none."""
    return keyword_for_tag(int(tag, 16)) or tag


@lru_cache(maxsize=4096)
def vr_of(tag: str) -> str:
    """Value representation by the dictionary; "UN" if unknown, the first where it has several."""
    try:
        return str(dictionary_VR(int(tag, 16))).partition(" or ")[0]
    except KeyError:
        return "UN"


def _tag(name: str) -> str:
    tag = tag_of(name)
    if tag is None:
        raise KeyError(name)
    return tag


def values(dataset: Dataset, name: str) -> list[Any]:
    """All values of an attribute (keyword or tag) as they stand; [] if absent or empty."""
    element = dataset.get(_tag(name))
    found = element.get("Value") if isinstance(element, dict) else None
    return found if isinstance(found, list) else []


def text(dataset: Dataset, name: str) -> str:
    """First value as text, stripped; of a person's name its Alphabetic group; "" if none."""
    for value in values(dataset, name):
        if isinstance(value, dict):
            value = value.get("Alphabetic")
        return "" if value is None else str(value).strip()
    return ""


def integer(dataset: Dataset, name: str) -> int | None:
    """First value as a whole number; None if absent or not a number (dirty IS)."""
    for value in values(dataset, name):
        if type(value) is int and abs(value) < _MOST:
            return value
        # IS as text, as number, and with a useless fraction are all seen.
        number = _INTEGER.match(str(value).strip())
        return None if number is None else int(number[1])
    return None


def make(name: str, *found: object) -> dict[str, Any]:
    """One element {"vr", "Value"}; without values there is no "Value" key.

    A text given for a person's name becomes {"Alphabetic": text}.
    """
    vr = vr_of(_tag(name))
    if not found:
        return {"vr": vr}
    if vr == "PN":
        return {"vr": vr, "Value": [{"Alphabetic": v} if isinstance(v, str) else v for v in found]}
    return {"vr": vr, "Value": list(found)}


_URI_TAGS = frozenset({"00081190", "0040E010"})  # RetrieveURL, RetrieveURI


def rewrite_uris(found: Dataset | Sequence[Dataset], rewrite: Callable[[str], str]) -> None:
    """Replace every URI that leads to a server: RetrieveURL, RetrieveURI, any BulkDataURI.

    Works in place, through items of sequences at any depth, without recursion (hostile sites nest).
    Texts in other attributes stay as they are, even if they look like a URL.
    standard  PS3.18 10.4.3.3.2, 10.6.3.3, Annex F
    """
    waiting: list[Any] = [found] if isinstance(found, dict) else list(found)
    while waiting:
        dataset = waiting.pop()
        for tag, element in dataset.items() if isinstance(dataset, dict) else ():
            if not isinstance(element, dict):
                continue
            if isinstance(element.get("BulkDataURI"), str):
                element["BulkDataURI"] = rewrite(element["BulkDataURI"])
            inside = element.get("Value")
            if not isinstance(inside, list):
                continue
            if tag.upper() in _URI_TAGS:
                element["Value"] = [rewrite(v) if isinstance(v, str) else v for v in inside]
            elif element.get("vr", "SQ") == "SQ":
                waiting.extend(inside)


def _tags(*names: str) -> tuple[str, ...]:
    return tuple(_tag(name) for name in names)


# PS3.18 Tables 10.6.3-3 to 10.6.3-5. StudyDescription, IssuerOfPatientID and RetrieveAETitle are
# ours to add: every viewer shows the first, a PatientID means nothing without the second, and the
# third names the sites. UIDs of the levels above are added to series and instances.
DEFAULT_ATTRIBUTES: dict[Level, tuple[str, ...]] = {
    Level.STUDY: _tags(
        "SpecificCharacterSet", "StudyDate", "StudyTime", "AccessionNumber", "RetrieveAETitle",
        "InstanceAvailability", "ModalitiesInStudy", "ReferringPhysicianName",
        "TimezoneOffsetFromUTC", "StudyDescription", "RetrieveURL", "PatientName", "PatientID",
        "IssuerOfPatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyID",
        "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances",
    ),
    Level.SERIES: _tags(
        "SpecificCharacterSet", "Modality", "TimezoneOffsetFromUTC", "SeriesDescription",
        "RetrieveAETitle", "InstanceAvailability", "RetrieveURL", "StudyInstanceUID",
        "SeriesInstanceUID", "SeriesNumber", "NumberOfSeriesRelatedInstances",
        "PerformedProcedureStepStartDate", "PerformedProcedureStepStartTime",
        "RequestAttributesSequence",
    ),
    Level.INSTANCE: _tags(
        "SpecificCharacterSet", "SOPClassUID", "SOPInstanceUID", "RetrieveAETitle",
        "InstanceAvailability", "TimezoneOffsetFromUTC", "RetrieveURL", "StudyInstanceUID",
        "SeriesInstanceUID", "InstanceNumber", "Rows", "Columns", "BitsAllocated",
        "NumberOfFrames",
    ),
}  # fmt: skip

_SERIES_ONLY = frozenset(_tags(
    "Modality", "SeriesInstanceUID", "SeriesNumber", "SeriesDescription", "SeriesDate",
    "SeriesTime", "SeriesDescriptionCodeSequence", "BodyPartExamined", "Laterality",
    "ProtocolName", "PatientPosition", "OperatorsName", "PerformingPhysicianName", "Manufacturer",
    "ManufacturerModelName", "StationName", "DeviceSerialNumber", "SoftwareVersions",
    "InstitutionName", "InstitutionAddress", "InstitutionalDepartmentName", "FrameOfReferenceUID",
    "NumberOfSeriesRelatedInstances", "PerformedProcedureStepStartDate",
    "PerformedProcedureStepStartTime", "PerformedProcedureStepID",
    "PerformedProcedureStepDescription", "RequestAttributesSequence", "SequenceName",
))  # fmt: skip
_INSTANCE_ONLY = frozenset(_tags(
    "SOPClassUID", "SOPInstanceUID", "InstanceNumber", "ImageType", "AcquisitionDate",
    "AcquisitionTime", "AcquisitionDateTime", "AcquisitionNumber", "ContentDate", "ContentTime",
    "InstanceCreationDate", "InstanceCreationTime", "ImagePositionPatient",
    "ImageOrientationPatient", "SliceLocation", "ImageComments", "ConceptNameCodeSequence",
    "CompletionFlag", "VerificationFlag", "ContentSequence",
))  # fmt: skip
# Acquisition, image presentation, waveforms, pixels: whole groups that describe instances.
_INSTANCE_GROUPS = frozenset({"0018", "0028", "5400", "7FE0"})

_DEPTH = {Level.STUDY: 0, Level.SERIES: 1, Level.INSTANCE: 2}


def level_of(tag: str) -> Level:
    """The level that an attribute describes; what is not known to be lower counts as study."""
    if tag in _SERIES_ONLY:
        return Level.SERIES
    if tag in _INSTANCE_ONLY or tag[:4] in _INSTANCE_GROUPS:
        return Level.INSTANCE
    return Level.STUDY


def belongs(tag: str, level: Level) -> bool:
    """Whether rows of this level may carry the attribute: it is of this level or one above."""
    return _DEPTH[level_of(tag)] <= _DEPTH[level]
