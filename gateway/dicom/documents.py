"""Reads reports: structured ones (SR, PS3.3 A.35, C.17.3) as a tree of texts, and encapsulated PDF
(A.45.1) as its file. Pure; what comes out are plain words, the page is made elsewhere.
"""

import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import orjson
from pydicom.dataset import Dataset

from gateway.dicom.names import reread
from gateway.dicom.transcode import WHAT_PYDICOM_RAISES, CannotDecode
from gateway.dicom.uids import is_lenient_uid

DEPTH_LIMIT = 32
ITEMS_LIMIT = 20_000
PDF_MARK = b"%PDF-"
BEFORE_PDF = b"\xef\xbb\xbf\0 \r\n\t"
_FACTS = """PatientName PatientID PatientBirthDate PatientSex StudyDate StudyDescription
    AccessionNumber InstitutionName ReferringPhysicianName ContentDate CompletionFlag
    VerificationFlag"""
FACTS = tuple(_FACTS.split())
_EVIDENCE = ("CurrentRequestedProcedureEvidenceSequence", "PertinentOtherEvidenceSequence")
_PLAIN = {
    "TEXT": "TextValue",
    "DATE": "Date",
    "TIME": "Time",
    "DATETIME": "DateTime",
    "PNAME": "PersonName",
    "UIDREF": "UID",
}


def read_document(report: Dataset) -> bytes:
    """A PDF as it was encapsulated, or a structured report as JSON.

    JSON: {title, facts: {keyword: text}, observers: [{name, organization, at}], items: [item]};
    item: {concept, kind, value, references: [[study, series, instance]], items}, all of them text.
    raises  CannotDecode for what is neither
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # dirty values
            if "EncapsulatedDocument" in report:
                return _pdf(report)
            if report.get("ValueType") != "CONTAINER":
                raise CannotDecode("it has no pixels and is no report")
            return orjson.dumps(_structured(report))
    except WHAT_PYDICOM_RAISES as error:
        raise CannotDecode(f"the report is broken: {type(error).__name__}") from error


def _pdf(report: Dataset) -> bytes:
    file = bytes(report.EncapsulatedDocument)
    length = report.get("EncapsulatedDocumentLength")
    file = file[: int(length)] if length else file
    file = file.lstrip(BEFORE_PDF)
    if not file.startswith(PDF_MARK):
        raise CannotDecode("the encapsulated document is no PDF")
    return file


def _structured(report: Dataset) -> dict[str, Any]:
    places = dict(_evidence(report))
    budget = iter(range(ITEMS_LIMIT))
    return {
        "title": _meaning(report.get("ConceptNameCodeSequence")),
        "facts": {name: value for name in FACTS if (value := _text(report.get(name)))},
        "observers": [
            {
                "name": _text(item.get("VerifyingObserverName")),
                "organization": _text(item.get("VerifyingOrganization")),
                "at": _text(item.get("VerificationDateTime")),
            }
            for item in report.get("VerifyingObserverSequence") or ()
        ],
        "items": _items(report, places, budget, 1),
    }


def _items(
    parent: Dataset, places: Mapping[str, list[str]], budget: Iterator[int], depth: int
) -> list[dict[str, Any]]:
    if depth > DEPTH_LIMIT:
        raise CannotDecode(f"the report is nested deeper than {DEPTH_LIMIT}")
    found = []
    for item in parent.get("ContentSequence") or ():
        if next(budget, None) is None:
            raise CannotDecode(f"the report has more than {ITEMS_LIMIT} items")
        kind = _text(item.get("ValueType"))
        uids = [
            _text(reference.get("ReferencedSOPInstanceUID"))
            for reference in item.get("ReferencedSOPSequence") or ()
        ]
        found.append(
            {
                "concept": _meaning(item.get("ConceptNameCodeSequence")),
                "kind": kind,
                "value": _value(item, kind),
                "references": [
                    [*places[uid], uid]
                    for uid in uids
                    if uid in places and all(map(is_lenient_uid, [*places[uid], uid]))
                ],
                "items": _items(item, places, budget, depth + 1),
            }
        )
    return found


def _value(item: Dataset, kind: str) -> str:
    if kind == "CODE":
        return _meaning(item.get("ConceptCodeSequence"))
    if kind == "NUM":
        measured = list(item.get("MeasuredValueSequence") or ())[:1]
        if not measured:
            return _meaning(item.get("NumericValueQualifierCodeSequence"))
        units = list(measured[0].get("MeasurementUnitsCodeSequence") or ())[:1]
        unit = _text(units[0].get("CodeValue")) if units else ""
        number = _text(measured[0].get("NumericValue"))
        # UCUM: "1" is no unit, and what stands in braces is for people.
        return f"{number} {unit.strip('{}')}".strip() if unit != "1" else number
    return _text(item.get(_PLAIN[kind])) if kind in _PLAIN else ""


def _meaning(codes: Any) -> str:
    first = list(codes or ())[:1]
    if not first:
        return ""
    return _text(first[0].get("CodeMeaning")) or _text(first[0].get("CodeValue"))


def _evidence(report: Dataset) -> Iterator[tuple[str, list[str]]]:
    """Where each referenced instance lies: [study, series] by SOP instance UID (C.17.2.1)."""
    for name in _EVIDENCE:
        for study in report.get(name) or ():
            for series in study.get("ReferencedSeriesSequence") or ():
                place = [_text(study.get("StudyInstanceUID"))]
                place.append(_text(series.get("SeriesInstanceUID")))
                for item in series.get("ReferencedSOPSequence") or ():
                    yield _text(item.get("ReferencedSOPInstanceUID")), place


def _text(value: Any) -> str:
    return reread(_plain(value))  # a report may name another character set than it is written in


def _plain(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str | int | float):
        return str(value).strip()
    if hasattr(value, "alphabetic"):
        return " ".join(str(value).partition("=")[0].replace("^", " ").split())
    return ", ".join(map(_plain, value)) if hasattr(value, "__iter__") else str(value)
