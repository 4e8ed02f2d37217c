"""What Orthanc's POST /tools/find is asked for a search: a coarse filter that saves work, judged
again by dicom/query.py. Pure.
"""

import re
from collections.abc import Sequence

from gateway.dicom.attributes import Level, belongs
from gateway.dicom.matching import has_wildcard
from gateway.dicom.query import Condition, Query

# What POST /tools/find may be asked, beside UIDs. Measured on Orthanc 1.10.1.
_MAIN_TAGS: dict[Level, frozenset[str]] = {
    Level.STUDY: frozenset(
        {"PatientID", "AccessionNumber", "StudyDescription", "StudyDate", "StudyID"}
        | {"PatientBirthDate", "PatientSex"}
    ),
    Level.SERIES: frozenset({"Modality", "SeriesDescription", "BodyPartExamined"}),
    Level.INSTANCE: frozenset(),
}
_FOUND_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")


def to_find(query: Query) -> dict[str, str]:
    r"""The "Query" of Orthanc's POST /tools/find whose rows include all that `matches` accepts.

    Measured on 1.10.1 (DefaultEncoding Utf8; CaseSensitive absent = false):
    - The database holds PatientID, AccessionNumber and StudyDescription (and names) in capitals,
      without letters beyond ASCII, then without outer spaces ("Z я" is "Z"); what it gives is
      compared again in memory. So Russian names are found, but not by index: the cost grows with
      the number of patients. And a space beside a wildcard can miss ("*Z *").
    - `*` works on all letters. `?` stands for one byte: it misses a Cyrillic letter, and two of
      them miss it too. ё and е differ. Hence patterns keep only ASCII letters, digits and Russian
      letters but е and ё; all else becomes `*`.
    - PN is one text, compared letter by letter: no transliteration, no lost patronymic, no hyphen
      for a space. Names are left out.
    - `\` makes lists of exact values (UI, DA, CS, PatientID, ModalitiesInStudy); with wildcards or
      in names the answer is empty. Lists of those are left to `matches`.
    - ModalitiesInStudy works, with lists and wildcards, at Level Study only; at Series it finds
      nothing. Modality at Study finds nothing.
    - Ranges compare texts: right for DA (`-b` also gives rows without a date); wrong for TM of
      different precision ("1015" misses "101530"): times are left out.
    - IS compares texts ("01" misses "1"): numbers are left out.
    - Wildcards in a UID: 400; unknown keyword: 500; tags outside the main ones: no row at Study,
      a read of every file at Instance. All left out, as are sequences and empty matching.
    - Leading spaces of stored values count. Exact keys keep the index, so a PatientID stored as
      "  77" is found by `*77` only: the one row that `matches` takes and this does not ask for.
    """
    question: dict[str, str] = {}
    for condition in query.conditions:
        if not condition.path and not condition.empty:
            key = _find_key(query.level, condition)
            if key:
                question[condition.keyword] = key
    # The path wins over a key of the same name: it is narrower, and `matches` judges both.
    if query.study_uid is not None:
        question["StudyInstanceUID"] = query.study_uid
    if query.series_uid is not None:
        question["SeriesInstanceUID"] = query.series_uid
    return question


def _find_key(level: Level, condition: Condition) -> str:
    """One value for /tools/find; "" leaves the condition to `matches`."""
    name, vr, keys = condition.keyword, condition.vr, condition.values
    if condition.all_of:
        keys = keys[:1]  # a list means any-of there
    if name in _FOUND_UIDS:
        return "\\".join(keys)
    known = any(name in _MAIN_TAGS[above] for above in Level) and belongs(condition.tag, level)
    if not known and not (name == "ModalitiesInStudy" and level is Level.STUDY):
        return ""
    if len(keys) > 1 and not _is_list(name, vr, keys):
        return ""
    if has_wildcard(keys[0]):
        return _find_pattern(keys[0])
    return "\\".join(key.replace(" ", "") if vr == "DA" else key for key in keys)


def _is_list(name: str, vr: str, keys: Sequence[str]) -> bool:
    """Whether /tools/find takes these exact values as a list."""
    if name == "PatientID":
        return not any(has_wildcard(key) for key in keys)
    return vr in ("DA", "CS") and not any(set(key) & set("*?-") for key in keys)


def _find_pattern(key: str) -> str:
    """Pattern with `*` in front and for every letter that Orthanc may see otherwise than we do."""

    def kept(letter: str) -> bool:
        if letter.isascii():
            return letter.isalnum()
        return "а" <= letter.lower() <= "я" and letter.lower() != "е"

    pattern = "".join(letter if kept(letter) else "*" for letter in key)
    found = re.sub(r"\*+", "*", f"*{pattern}")
    return "" if found == "*" else found
