"""What a facility or unit must be to stand in the register: each by itself. Pure.

What must be true between them is checked in relations.py.
"""

import re
from collections.abc import Iterator
from datetime import date, timedelta

from gateway.model.rollout.columns import MISSING, as_text
from gateway.model.rollout.register import Facility, Unit
from gateway.model.wording import Words

Fault = tuple[str, Words]
"""Name of the field, and what is wrong with it."""

# Not a hyphen first: a spreadsheet program would take it for a formula.
ID = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
OID = re.compile(r"[0-2](?:\.(?:0|[1-9]\d*)){1,30}")
FIRST_DAY, LAST_DAY = date(1950, 1, 1), date(2100, 12, 31)
AHEAD = timedelta(days=3660)
"""How far in the future a row may begin to count: a mistyped century is no plan."""
MOST_COST = 10**12
LONGEST = {
    "name_ru": 300, "name_en": 300, "municipality": 120, "municipality_en": 120, "oid": 64,
    "manufacturer": 64, "model": 64, "serial": 64, "funding": 120, "funding_en": 120,
}  # fmt: skip
LONGEST_REASON = 500
_REQUIRED = ("name_ru", "municipality")
_COMMANDS = ("=", "+", "-", "@")

_WRONG_ID = Words(
    "от 1 до 32 знаков: строчные латинские буквы, цифры, дефис",
    "1 to 32 characters: lower-case letters, digits, hyphens",
)
_WRONG_DAY = Words("неправдоподобная дата", "is no plausible date")
_COMMAND = Words(
    "начинается как формула (= + - @): такой текст не принимается",
    "begins like a formula (= + - @): such a text is not taken",
)
_UNPRINTABLE = Words(
    "есть непечатаемые знаки, лишние пробелы или это слово пустоты",
    "has characters that cannot be printed, or needless blanks, or stands for nothing",
)
_ITSELF = Words("это она сама", "is the same one")


def check_facility(facility: Facility, valid_from: date, today: date) -> Iterator[Fault]:
    """What is wrong with it, whatever else the register holds."""
    yield from _check_common(facility, valid_from, today)
    for name in _REQUIRED:
        if not getattr(facility, name):
            yield name, MISSING
    latitude, longitude = facility.latitude, facility.longitude
    if (latitude is None) is not (longitude is None):
        missing = "latitude" if latitude is None else "longitude"
        yield missing, Words("нужны обе координаты", "both coordinates are needed")
    for name, value, most in (("latitude", latitude, 90), ("longitude", longitude, 180)):
        if value is not None and not -most <= value <= most:
            yield name, Words(f"от −{most} до {most}", f"must be from -{most} to {most}")
    if facility.oid and not OID.fullmatch(facility.oid):
        yield "oid", Words("не OID: числа через точки", "is no OID: numbers between dots")
    for name in ("parent_id", "merged_into"):
        if getattr(facility, name) == facility.facility_id:
            yield name, _ITSELF


def check_unit(unit: Unit, valid_from: date, today: date) -> Iterator[Fault]:
    """What is wrong with it, whatever else the register holds."""
    yield from _check_common(unit, valid_from, today)
    if unit.year is not None and not FIRST_DAY.year <= unit.year <= today.year + 1:
        text = f"{FIRST_DAY.year}–{today.year + 1}"
        yield "year", Words(f"год вне пределов {text}", f"must be within {text}")
    if unit.cost is not None and not 0 <= unit.cost <= MOST_COST:
        yield "cost", Words("от 0 до триллиона рублей", "must be from 0 to a trillion roubles")
    if unit.merged_into == unit.unit_id:
        yield "merged_into", _ITSELF


def check_reason(reason: str) -> Words | None:
    """A reason is one line; a person reads it years later."""
    if not reason:
        return MISSING
    if len(reason) > LONGEST_REASON:
        return _too_long(LONGEST_REASON)
    return None if reason.isprintable() else _UNPRINTABLE


def _check_common(thing: Facility | Unit, valid_from: date, today: date) -> Iterator[Fault]:
    if not FIRST_DAY <= valid_from <= today + AHEAD:
        yield "valid_from", _WRONG_DAY
    for name, value in vars(thing).items():
        if isinstance(value, date) and not FIRST_DAY <= value <= LAST_DAY:
            yield name, _WRONG_DAY
        if name.endswith("_id") or name == "merged_into":
            must_be = name in ("unit_id", "facility_id")
            if (value or must_be) and not ID.fullmatch(value):
                yield name, _WRONG_ID
        elif name in LONGEST:
            if len(value) > LONGEST[name]:
                yield name, _too_long(LONGEST[name])
            elif value.startswith(_COMMANDS):
                yield name, _COMMAND
            elif not value.isprintable() or value != as_text(value):
                yield name, _UNPRINTABLE


def _too_long(most: int) -> Words:
    return Words(f"длиннее {most} знаков", f"is longer than {most} characters")
