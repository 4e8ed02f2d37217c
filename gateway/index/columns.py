"""What the index keeps of a record in columns, so that SQL can select and sort. Pure.

index/query.py trusts these columns: for a row that is not `odd` they hold all that the record says
about their attribute, in the form in which dicom/matching.py compares it.
"""

from datetime import datetime
from typing import Any

from gateway.dicom.attributes import Dataset, integer, values
from gateway.dicom.matching import MAX_KEY, name_groups, span_of_key
from gateway.dicom.names import MAX_READINGS, latin_readings, name_key
from gateway.model.persons import identity_of

LONGEST = MAX_KEY
"""Letters of a column; no key is longer, and PostgreSQL's indexes take no more than 2700 bytes."""
LONGEST_NAME = 128
LONGEST_NAMES = 256
"""A group has 64 letters at most (PS3.5 6.2); names and modalities stand in one index together."""


def study_columns(record: Dataset) -> dict[str, Any]:
    """Columns study_date to odd of a study's row, made of its (repaired) record."""
    columns = {"study_date": _date(record), "study_time": _time(record)}
    odd = False
    for column, keyword in (
        ("accession_number", "AccessionNumber"),
        ("patient_id", "PatientID"),
    ):
        columns[column], is_odd = _single(record, keyword)
        odd = odd or is_odd
    names = _names(record)
    joined, readings = "=".join(names), latin_readings(names[0])
    is_plain = len(names) == len(readings) == 1
    columns |= {
        "name_key": joined[:LONGEST_NAMES],
        "name_latin": readings[0][:LONGEST_NAME] if is_plain else "",
    }
    odd = odd or len(joined) > LONGEST_NAMES or any(map(_is_odd_name, names))
    modalities = sorted({_clean(str(m)) for m in values(record, "ModalitiesInStudy") if m})
    joined = f"|{'|'.join(modalities)}|" if modalities else ""
    columns["modalities"] = joined[:LONGEST_NAME]
    odd = odd or len(joined) > LONGEST_NAME
    odd = odd or any("|" in m for m in modalities)
    odd = odd or any(len(_values(record, keyword)) > 1 for keyword in ("StudyDate", "StudyTime"))
    return {**columns, **_person(record), "odd": odd}


def _person(record: Dataset) -> dict[str, str]:
    """What model/persons.py compares of a patient, beside patient_id."""
    found = identity_of(record)
    return {
        "issuer": _clean(found.issuer)[:LONGEST],
        "birth_date": found.birth_date,
        "sex": found.sex,
        "alike": _clean(found.alike)[:LONGEST],
        "numbers": " ".join(sorted(found.numbers)),
    }


def series_columns(record: Dataset) -> dict[str, Any]:
    """Columns modality and series_number of a series' row."""
    modality, odd = _single(record, "Modality")
    return {
        # "" is judged by the record: a Modality has one value of 16 letters at most.
        "modality": "" if odd or len(modality) > 16 else modality,
        "series_number": integer(record, "SeriesNumber"),
    }


def _values(record: Dataset, keyword: str) -> list[Any]:
    return [value for value in values(record, keyword) if value is not None]


def _clean(found: str) -> str:
    """A text that every database takes: no NUL, no half of a surrogate pair."""
    return found.strip(" \0").replace("\0", " ").encode("utf-8", "replace").decode()


def _single(record: Dataset, keyword: str) -> tuple[str, bool]:
    """The one value as it is compared, and whether that is not the whole truth."""
    found = _values(record, keyword)
    if not found:
        return "", False
    if isinstance(found[0], dict | list):
        return "", True
    value = str(found[0]).strip(" \0")
    kept = _clean(value)[:LONGEST]
    return kept, len(found) > 1 or kept != value


def _names(record: Dataset) -> list[str]:
    """Groups of the patient's names, folded: the alphabetic one, "" if there is none, then those
    that differ from it. Each is searched like a name (records/words.py).
    """
    found = values(record, "PatientName") or [None]
    first, *others = (name_key(group) for value in found for group in name_groups(value))
    return [first, *dict.fromkeys(name for name in others if name not in ("", first))]


def _is_odd_name(folded: str) -> bool:
    """Too long, with too many readings, or with a word that has none (Ь): the places of the others
    are not those of the folded name.
    """
    readings, words = latin_readings(folded), len(folded.split())
    return len(readings) >= MAX_READINGS or any(
        len(form) > LONGEST_NAME or len(form.split()) != words for form in (folded, *readings)
    )


def _date(record: Dataset) -> str:
    value = _moment(record, "StudyDate")
    return value if len(value) == 8 and span_of_key("DA", value) is not None else ""


def _time(record: Dataset) -> str:
    """The first moment that the value stands for, always in 13 letters."""
    value = _moment(record, "StudyTime")
    span = None if "-" in value else span_of_key("TM", value)
    if span is None:
        return ""
    first: datetime = span[0]
    return first.strftime("%H%M%S.%f")


def _moment(record: Dataset, keyword: str) -> str:
    found = _values(record, keyword)
    return str(found[0]).strip(" \0") if found and not isinstance(found[0], dict | list) else ""
