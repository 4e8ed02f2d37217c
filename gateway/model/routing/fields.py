"""Fields of a rule: any DICOM attribute by keyword or tag, and what is computed of the arrival.

A field has a kind, by its value representation (PS3.5 6.2); the kind decides which operators fit
(operators.py) and in which form values are compared.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, time
from functools import lru_cache
from typing import Any, Literal
from zoneinfo import ZoneInfo

import holidays

from gateway.dicom.attributes import tag_of, vr_of
from gateway.dicom.names import fold
from gateway.model.routing.facts import Facts

Kind = Literal["text", "name", "code", "number", "date", "time", "sequence", "flag"]
Found = tuple[Any, ...] | None
"""Values of a field in the form that is compared; () is present but empty, None is missing."""

_VRS: dict[Kind, str] = {
    "text": "LO LT SH ST UC UR UT AE AS",
    "code": "CS UI",
    "number": "DS FD FL IS SL SS SV UL US UV",
    "date": "DA DT",
    "name": "PN",
    "time": "TM",
    "sequence": "SQ",
}
KIND_OF_VR: dict[str, Kind] = {vr: kind for kind, vrs in _VRS.items() for vr in vrs.split()}

_DATE = re.compile(r"([12][0-9]{3})[.-]?(0[1-9]|1[0-2])[.-]?([0-3][0-9])", re.ASCII)
_TIME = re.compile(r"([01][0-9]|2[0-3]):?([0-5][0-9])?(?::?[0-5][0-9])?(?:\.[0-9]*)?", re.ASCII)
_PRIVATE = re.compile(r"[0-9A-F]{3}[13579BDF]xx[0-9A-F]{2}:[ -~]{1,64}")
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_REPORTS = frozenset({"SR", "DOC"})
_PDF = "1.2.840.10008.5.1.4.1.1.104.1"
_COUNTRY = "RU"
_MAX_TEXT = 1_000_000
_DAY_S = 86_400
_YEAR_DAYS = 365.2425
_AGE_UNITS = {"D": 1 / _YEAR_DAYS, "W": 7 / _YEAR_DAYS, "M": 1 / 12, "Y": 1.0}


@dataclass(frozen=True)
class Field:
    """A field that exists.

    name  as it is written in the rule
    vr    only for attributes without a keyword, where the rule has to say it
    read  (facts, now) -> its values
    """

    name: str
    kind: Kind
    vr: str = ""
    read: Callable[[Facts, datetime], Found] = field(
        compare=False, repr=False, default=lambda *_: None
    )


def find_field(name: str, vr: str = "") -> Field | None:
    """The field with this name; None if there is none, or if its kind of value has no operators.

    vr  needed for a tag without a keyword, refused (None) beside a keyword that has another
    """
    if name in COMPUTED and not vr:
        kind, read = COMPUTED[name]
        return Field(name, kind, read=read)
    if name.startswith(ALREADY_AT) and len(name) > len(ALREADY_AT) and not vr:
        target = name.removeprefix(ALREADY_AT)
        return Field(name, "flag", read=lambda facts, now: (target in facts.arrival.already_at,))
    tag = name if _PRIVATE.fullmatch(name) else tag_of(name)
    if tag is None:
        return None
    known = "UN" if _PRIVATE.fullmatch(name) else vr_of(tag)
    if vr and known not in (vr, "UN"):
        return None
    kind_of_vr = KIND_OF_VR.get(vr or known)
    return None if kind_of_vr is None else Field(name, kind_of_vr, vr, _attribute(tag, kind_of_vr))


def _attribute(tag: str, kind: Kind) -> Callable[[Facts, datetime], Found]:
    convert = _FORMS[kind]

    def read(facts: Facts, now: datetime) -> Found:
        forms = facts.forms
        if tag not in forms:
            raw = facts.values.get(tag)
            forms[tag] = None if raw is None else _converted(raw, convert)
        found: Found = forms[tag]
        return found

    return read


def _converted(raw: tuple[Any, ...], convert: Callable[[Any], list[Any]]) -> Found:
    made = tuple(dict.fromkeys(form for value in raw for form in convert(value)))
    # What cannot be read as its kind says nothing: that is missing, and not empty.
    return None if raw and not made else made


def plain(value: str) -> str:
    """A text without regard to case, ё/е and runs of spaces."""
    return " ".join(value.casefold().replace("ё", "е").split())


def _text(value: Any) -> list[str]:
    # Longer than any text a person writes: to compare a part of it would be to guess.
    if isinstance(value, dict) or len(str(value)) > _MAX_TEXT:
        return []
    found = plain(str(value))
    return [found] if found else []


def _name(value: Any) -> list[str]:
    groups = value.values() if isinstance(value, dict) else (value,)
    return [folded for group in groups if isinstance(group, str) and (folded := fold(group))]


def _number(value: Any) -> list[float]:
    try:
        number = float(value) if not isinstance(value, dict | bool) else None
    except (TypeError, ValueError, OverflowError):
        return []
    return [] if number is None or number != number or abs(number) == float("inf") else [number]


def read_date(value: Any) -> date | None:
    """A date of DICOM (also the old "2024.01.31") or of YAML, "2024-01-31"; a DT gives its day."""
    match = _DATE.match(str(value).strip())
    try:
        return date(*map(int, match.groups())) if match else None
    except ValueError:
        return None


def read_time(value: Any) -> time | None:
    """A time of DICOM, "081530.5", or of a rule, "08:15"; seconds do not count."""
    match = _TIME.fullmatch(str(value).strip())
    return time(int(match[1]), int(match[2] or 0)) if match else None


def _some(value: Any) -> list[Any]:
    return [] if value is None else [value]


_FORMS: dict[Kind, Callable[[Any], list[Any]]] = {
    "text": _text,
    "code": _text,
    "name": _name,
    "number": _number,
    "date": lambda value: _some(read_date(value)),
    "time": lambda value: _some(read_time(value)),
    "sequence": lambda value: _item_codes(value),
}


def _item_codes(item: Any) -> list[tuple[str, str]]:
    """(code value, coding scheme) of an item (PS3.3 8.8), both in plain form."""
    if not isinstance(item, dict):
        return []
    codes = [
        plain(str(value))
        for tag in ("00080100", "00080119", "00080120")
        for value in (item.get(tag) or {}).get("Value") or []
    ]
    schemes = [plain(str(v)) for v in (item.get("00080102") or {}).get("Value") or []]
    return [(code, schemes[0] if schemes else "") for code in codes]


def _site_local(facts: Facts) -> datetime:
    return facts.arrival.received_at.astimezone(_zone(facts.arrival.site.time_zone))


@lru_cache(maxsize=32)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def _is_holiday(facts: Facts, now: datetime) -> Found:
    return (_site_local(facts).date() in _holidays(),)


@lru_cache(maxsize=1)
def _holidays() -> holidays.HolidayBase:
    return holidays.country_holidays(_COUNTRY)


def _study_age_days(facts: Facts, now: datetime) -> Found:
    found = [read_date(value) for value in facts.values.get("00080020", ())]
    today = now.astimezone(_zone(facts.arrival.site.time_zone)).date()
    return tuple(float((today - day).days) for day in found if day) or None


def _patient_age_years(facts: Facts, now: datetime) -> Found:
    """Whole years at the study: by birth date, else by PatientAge ("045Y", "006M")."""
    born = [d for v in facts.values.get("00100030", ()) if (d := read_date(v))]
    at = [d for v in facts.values.get("00080020", ()) if (d := read_date(v))]
    day = at[0] if at else now.date()
    if born:
        return tuple(float(_years(birth, day)) for birth in born)
    ages = [str(v).strip().upper() for v in facts.values.get("00101010", ())]
    return (
        tuple(
            float(int(int(age[:-1]) * _AGE_UNITS[age[-1]] + 1e-9))
            for age in ages
            if age[:-1].isdecimal() and age[:-1].isascii() and age[-1:] in _AGE_UNITS
        )
        or None
    )


def _years(birth: date, day: date) -> int:
    return day.year - birth.year - ((day.month, day.day) < (birth.month, birth.day))


def _modalities(facts: Facts, now: datetime) -> Found:
    found = (form for value in facts.values.get("00080060", ()) for form in _text(value))
    return tuple(dict.fromkeys(found)) or None


def _has_report(facts: Facts, now: datetime) -> Found:
    found = set(map(str, facts.values.get("00080060", ())))
    return (bool(found & _REPORTS) or _PDF in facts.values.get("00080016", ()),)


def _known(value: Any) -> Found:
    return None if value is None or value == "" else (value,)


ALREADY_AT = "already_at:"

COMPUTED: dict[str, tuple[Kind, Callable[[Facts, datetime], Found]]] = {
    "site": ("code", lambda f, now: (f.arrival.site.site_id,)),
    "source_aet": ("code", lambda f, now: _known(plain(f.arrival.source_aet))),
    "source_ip": ("code", lambda f, now: _known(f.arrival.source_ip)),
    "received_at.hour": ("number", lambda f, now: (float(_site_local(f).hour),)),
    "received_at.weekday": ("code", lambda f, now: (_WEEKDAYS[_site_local(f).weekday()],)),
    "received_at.holiday": ("flag", _is_holiday),
    "study_age_days": ("number", _study_age_days),
    "patient_age_years": ("number", _patient_age_years),
    "instance_count": ("number", lambda f, now: (float(f.instance_count),)),
    "size_mb": (
        "number",
        lambda f, now: _known(None if (b := f.arrival.size_bytes) is None else b / 1_000_000),
    ),
    # Of what came, series by series: what the sender wrote into the attribute may be wrong.
    "ModalitiesInStudy": ("code", _modalities),
    "has_report": ("flag", _has_report),
    "transfer_syntax": ("code", lambda f, now: f.arrival.transfer_syntaxes or None),
    "charset_ok": ("flag", lambda f, now: _known(f.arrival.charset_ok)),
}
