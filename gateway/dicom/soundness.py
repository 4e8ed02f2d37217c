"""What of a found row can be sent at all: elements that no reader can take are left out. Pure.

Archives hold numbers beyond 32 bits, NaN, dates that are none and texts of 64 KB; one such element
must not cost the whole list (trust.md H80). Only answers of searches are trimmed: what is
retrieved stays as it was stored.
"""

import math
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from gateway.dicom.attributes import Dataset, keyword_of
from gateway.dicom.matching import NUMBER_VRS, RANGE_VRS, span_of_key

LONGEST_TEXT = 10_240  # PS3.5 6.2: LT, the longest of the VRs that have a limit
DEEPEST = 8
_LIMITS = {
    "IS": 2**31, "SL": 2**31, "UL": 2**32, "US": 2**16, "SS": 2**15, "SV": 2**63, "UV": 2**64,
}  # fmt: skip
"""Whole numbers are below this and not below its negative (PS3.5 6.2)."""
_SMALL = min(_LIMITS.values())
_JUDGED = RANGE_VRS | NUMBER_VRS
_HALF_A_PAIR = re.compile("[\ud800-\udfff]")  # cannot be written in UTF-8


def keep_sound(rows: Sequence[Dataset]) -> tuple[list[Dataset], list[str]]:
    """The rows without their unsound elements, and the keywords of these, each once.

    An element with one bad value goes as a whole: the values that are left would change places.
    """
    left_out: dict[str, None] = {}
    kept = []
    for row in rows:
        bad = [
            tag for tag, element in row.items() if not (_is_plain(element) or _is_sound(element))
        ]
        left_out |= dict.fromkeys(bad)
        kept.append({tag: row[tag] for tag in row if tag not in bad} if bad else row)
    return kept, [keyword_of(tag) for tag in sorted(left_out)]


def _is_plain(element: Any) -> bool:
    """True for most elements, which are sound at a glance; False says nothing.

    A page of a hundred rows has two thousand elements: a microsecond is two milliseconds there.
    """
    try:
        vr, found = element["vr"], element["Value"]
        if type(vr) is not str or type(found) is not list or len(found) != 1 or len(element) != 2:
            return False
    except (KeyError, TypeError):
        return False
    value = found[0]
    if type(value) is str:
        return _text_is_sound(value) and (vr not in _JUDGED or _means_something(vr, value))
    return type(value) is int and 0 <= value < _SMALL


def _is_sound(element: Any, depth: int = 0) -> bool:
    if not isinstance(element, dict) or depth > DEEPEST:
        return False
    vr, found = element.get("vr"), element.get("Value")
    beside = [value for name, value in element.items() if name != "Value"]
    if not all(value is None or _text_is_sound(value) for value in beside):
        return False
    if found is None:
        return True
    if not isinstance(found, list) or not isinstance(vr, str):
        return False
    judged = vr in _JUDGED
    for value in found:
        if isinstance(value, str):
            if not _text_is_sound(value) or (judged and not _means_something(vr, value)):
                return False
        elif isinstance(value, dict):
            if not _group_is_sound(vr, value, depth):
                return False
        elif value is not None and not _number_is_sound(vr, value):
            return False
    return True


def _group_is_sound(vr: str, value: dict[str, Any], depth: int) -> bool:
    """An item of a sequence, or the groups of a name."""
    if vr == "SQ":
        return all(_is_sound(element, depth + 1) for element in value.values())
    return all(group is None or _text_is_sound(group) for group in value.values())


def _text_is_sound(value: object) -> bool:
    if not isinstance(value, str) or len(value) > LONGEST_TEXT:
        return False
    return value.isascii() or _HALF_A_PAIR.search(value) is None


def _number_is_sound(vr: str, value: object) -> bool:
    if not isinstance(value, int | float):
        return False
    most = _LIMITS.get(vr, 2**63)
    return math.isfinite(value) and -most <= value < most


@lru_cache(maxsize=16384)  # days and numbers repeat from row to row
def _means_something(vr: str, value: str) -> bool:
    """Whether a text is a date, a time or a number, as its VR asks; nothing at all is allowed."""
    value = value.strip(" \0")
    if not value:
        return True
    if vr in RANGE_VRS:
        # "2024.01.05" is what ACR-NEMA wrote, and viewers read it (PS3.5 6.2, note on DA).
        day = value.replace(".", "") if vr == "DA" and len(value) == 10 else value
        return span_of_key(vr, day) is not None and (vr == "DT" or "-" not in day)
    try:
        return "_" not in value and _number_is_sound(vr, float(value))
    except ValueError:
        return False
