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

from gateway.dicom.attributes import tag_of, values, vr_of
from gateway.dicom.names import fold
from gateway.errors import Unreadable
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

    name   as it is written in the rule
    vr     only for attributes without a keyword, where the rule has to say it
    needs  what it is made of: tags, private names, names of what is known of the arrival
    """

    name: str
    kind: Kind
    vr: str = ""
    needs: frozenset[str] = field(compare=False, repr=False, default=frozenset())
    _read: Callable[[Facts, datetime], Found] = field(
        compare=False, repr=False, default=lambda *_: None
    )

    def read(self, facts: Facts, now: datetime) -> Found:
        """Its values; raises Unreadable if they were not read, or stand for nothing of its kind."""
        if facts.unread and not self.needs.isdisjoint(facts.unread):
            raise Unreadable(self.name)
        return self._read(facts, now)


def find_field(name: str, vr: str = "") -> Field | None:
    """The field with this name; None if there is none, or if its kind of value has no operators.

    vr  needed for a tag without a keyword, refused (None) beside a keyword that has another
    """
    if name in COMPUTED and not vr:
        kind, read = COMPUTED[name]
        return Field(name, kind, needs=MADE_OF.get(name, frozenset({name})), _read=read)
    if name.startswith(ALREADY_AT) and len(name) > len(ALREADY_AT) and not vr:
        target = name.removeprefix(ALREADY_AT)
        needs = frozenset({name})
        return Field(
            name, "flag", "", needs, lambda facts, now: (target in facts.arrival.already_at,)
        )
    tag = name if _PRIVATE.fullmatch(name) else tag_of(name)
    if tag is None:
        return None
    known = "UN" if _PRIVATE.fullmatch(name) else vr_of(tag)
    if vr and known not in (vr, "UN"):
        return None
    kind_of_vr = KIND_OF_VR.get(vr or known)
    if kind_of_vr is None:
        return None
    return Field(name, kind_of_vr, vr, frozenset({tag}), _attribute(tag, kind_of_vr))


def _attribute(tag: str, kind: Kind) -> Callable[[Facts, datetime], Found]:
    convert = _FORMS[kind]

    def read(facts: Facts, now: datetime) -> Found:
        forms = facts.forms
        if tag not in forms:
            raw = facts.values.get(tag)
            forms[tag] = None if raw is None else _converted(raw, convert)
        if forms[tag] is _NONSENSE:
            raise Unreadable(tag)
        found: Found = forms[tag]
        return found

    return read


def _converted(raw: tuple[Any, ...], convert: Callable[[Any], list[Any] | None]) -> Any:
    """() of blanks alone. One value that is nothing of its kind spoils all: `none` would else be
    true of a study because of what could not be read."""
    made: dict[Any, None] = {}
    for value in raw:
        forms = convert(value)
        if forms is None:
            return _NONSENSE
        made.update(dict.fromkeys(forms))
    return tuple(made)


def plain(value: str) -> str:
    """A text without regard to case, ё/е and runs of spaces."""
    return " ".join(value.casefold().replace("ё", "е").split())


def _text(value: Any) -> list[str] | None:
    # Longer than any text a person writes: to compare a part of it would be to guess.
    if isinstance(value, dict | list) or len(str(value)) > _MAX_TEXT:
        return None
    found = plain(str(value))
    return [found] if found else []


def _name(value: Any) -> list[str] | None:
    groups = list(value.values()) if isinstance(value, dict) else [value]
    if not all(isinstance(group, str) for group in groups):
        return None
    return [folded for group in groups if (folded := fold(group))]


def _number(value: Any) -> list[float] | None:
    if isinstance(value, str) and not value.strip():
        return []
    try:
        number = float(value) if not isinstance(value, dict | list | bool) else None
    except (TypeError, ValueError, OverflowError):
        return None
    return None if number is None or number != number or abs(number) == float("inf") else [number]


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


def _moment(value: Any, read: Callable[[Any], Any]) -> list[Any] | None:
    if not str(value).strip():
        return []
    found = read(value)
    return None if found is None else [found]


_NONSENSE = object()
_FORMS: dict[Kind, Callable[[Any], list[Any] | None]] = {
    "text": _text,
    "code": _text,
    "name": _name,
    "number": _number,
    "date": lambda value: _moment(value, read_date),
    "time": lambda value: _moment(value, read_time),
    "sequence": lambda value: _item_codes(value),
}


def _item_codes(item: Any) -> list[tuple[str, str]] | None:
    """(code value, coding scheme) of an item (PS3.3 8.8), both in plain form."""
    if not isinstance(item, dict):
        return None
    codes = [
        plain(str(value))
        for keyword in ("CodeValue", "LongCodeValue", "URNCodeValue")
        for value in values(item, keyword)
    ]
    schemes = [plain(str(value)) for value in values(item, "CodingSchemeDesignator")]
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


_study_dates = _attribute("00080020", "date")
_birth_dates = _attribute("00100030", "date")
_series_modalities = _attribute("00080060", "code")


def _study_age_days(facts: Facts, now: datetime) -> Found:
    today = now.astimezone(_zone(facts.arrival.site.time_zone)).date()
    return tuple(float((today - day).days) for day in _study_dates(facts, now) or ()) or None


def _patient_age_years(facts: Facts, now: datetime) -> Found:
    """Whole years at the study: by birth date, else by PatientAge ("045Y", "006M")."""
    born, at = _birth_dates(facts, now), _study_dates(facts, now)
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
    return _series_modalities(facts, now) or None


def _has_report(facts: Facts, now: datetime) -> Found:
    found = set(map(str, facts.values.get("00080060", ())))
    return (bool(found & _REPORTS) or _PDF in facts.values.get("00080016", ()),)


def _known(value: Any) -> Found:
    return None if value is None or value == "" else (value,)


ALREADY_AT = "already_at:"

COMPUTED: dict[str, tuple[Kind, Callable[[Facts, datetime], Found]]] = {
    "site": ("code", lambda f, now: (f.arrival.site.site_id,)),
    "source_aet": ("code", lambda f, now: tuple(map(plain, f.arrival.source_aets)) or None),
    "source_ip": ("code", lambda f, now: f.arrival.source_ips or None),
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

MADE_OF: dict[str, frozenset[str]] = {
    "study_age_days": frozenset({"00080020"}),
    "patient_age_years": frozenset({"00080020", "00100030", "00101010"}),
    "ModalitiesInStudy": frozenset({"00080060"}),
}
"""Tags that a computed field is made of; all others are known of the arrival by their own name."""
