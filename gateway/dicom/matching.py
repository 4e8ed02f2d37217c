"""One value against one matching key (PS3.4 C.2.2.2), the same for every site.

Knows value representations and nothing of queries. Checking a key may raise; comparing with what
an archive holds never does.
"""

import calendar
import math
import re
from datetime import datetime, timedelta
from functools import lru_cache

from gateway.errors import BadRequest

TEXT_VRS = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT", "UN"})
"""VRs on which `*` and `?` are wildcards (C.2.2.2.4). UN: private attributes, judged as text."""
NUMBER_VRS = frozenset({"IS", "DS", "FL", "FD", "SL", "SS", "SV", "UL", "US", "UV"})
RANGE_VRS = frozenset({"DA", "TM", "DT"})
UNMATCHABLE_VRS = frozenset({"SQ", "OB", "OD", "OF", "OL", "OV", "OW"})

MAX_WILDCARDS = 4
MAX_PATTERN = 64
MAX_KEY = 256
_TIME = re.compile(r"([01][0-9]|2[0-3])(?:([0-5][0-9])(?:([0-5][0-9]|60)(?:\.([0-9]{1,6}))?)?)?\Z")
_DATETIME = re.compile(r"([0-9]{4,14})(?:\.([0-9]{1,6}))?([+-][0-9]{4})?\Z")


def check_key(field: str, vr: str, key: str) -> None:
    """Refuse a matching key that its VR does not allow; key is stripped and not empty.

    raises  BadRequest naming field, never showing the key
    """
    if len(key) > MAX_KEY or any(ord(letter) < 32 or ord(letter) == 127 for letter in key):
        raise BadRequest(field, f"is longer than {MAX_KEY} or has control characters")
    if vr in UNMATCHABLE_VRS:
        raise BadRequest(field, "cannot be matched; name an attribute inside the sequence")
    if vr in RANGE_VRS and span_of_key(vr, key) is None:
        raise BadRequest(field, f"is not a valid {vr} value or range (PS3.5 6.2, PS3.4 C.2.2.2.5)")
    if vr in NUMBER_VRS and _number(key) is None:
        raise BadRequest(field, "is not a number")
    if vr in TEXT_VRS and has_wildcard(key):
        stars = re.sub(r"\*+", "*", key).count("*")
        if stars > MAX_WILDCARDS or len(key) > MAX_PATTERN:
            raise BadRequest(
                field, f"has more than {MAX_WILDCARDS} wildcards or {MAX_PATTERN} characters"
            )


def key_holds(vr: str, key: str, found: object) -> bool:
    """Whether one value of a dataset satisfies one checked key.

    Spaces at both ends mean nothing. A person's name is compared without case, with ё as е, with
    `^` and spaces as one separator, and in each of its groups (PS3.4 leaves all of this to us;
    doctors type "Иванов Иван"). Other text is compared as the standard says: with case.
    """
    if vr == "PN":
        return _name_holds(key, found)
    if found is None or isinstance(found, dict | list):
        return False
    text = str(found).strip(" \0")
    if vr in RANGE_VRS:
        wanted, there = span_of_key(vr, key), _span(vr, text)
        return wanted is not None and there is not None and _overlap(wanted, there)
    if vr in NUMBER_VRS:
        number = _number(text)
        return number is not None and number == _number(key)
    if vr in TEXT_VRS and has_wildcard(key):
        return glob(key, text)
    return key == text


def has_wildcard(key: str) -> bool:
    return "*" in key or "?" in key


def glob(pattern: str, text: str) -> bool:
    """Match with `*` and `?` by leftmost search of each literal piece: no backtracking."""
    first, *rest = pattern.split("*")
    if not rest:
        return len(first) == len(text) and _piece(first).match(text) is not None
    *middle, last = rest
    if len(first) + len(last) > len(text) or _piece(first).match(text) is None:
        return False
    position, end = len(first), len(text) - len(last)
    for literal in middle:
        hit = _piece(literal).search(text, position, end)
        if hit is None:
            return False
        position = hit.end()
    return position <= end and _piece(last).match(text, end) is not None


@lru_cache(maxsize=256)
def _piece(literal: str) -> re.Pattern[str]:
    return re.compile("".join("." if c == "?" else re.escape(c) for c in literal), re.DOTALL)


def fold_name(text: str) -> str:
    """A person's name as it is compared: no case, ё as е, `^` and runs of spaces as one space.

    Case is folded letter by letter, so that the folded text never grows.
    """
    return " ".join("".join(_fold(c) for c in text).split())


@lru_cache(maxsize=4096)
def _fold(letter: str) -> str:
    if letter == "^" or letter.isspace() or letter == "\0":
        return " "
    folded = letter.casefold()
    if len(folded) != 1:
        return letter
    return "е" if folded == "ё" else folded


def _name_holds(key: str, found: object) -> bool:
    """PN: each group named in the key must hold; a key with one group may hold in any."""
    if isinstance(found, dict):
        groups = [found.get(name) for name in ("Alphabetic", "Ideographic", "Phonetic")]
    else:
        groups = list(str(found).split("=")) if found is not None else []
    names = [fold_name(group) if isinstance(group, str) else "" for group in groups]
    keys = [fold_name(group) for group in key.split("=")]
    if len(keys) == 1:
        return any(_group_holds(keys[0], name) for name in names if name)
    names += [""] * (len(keys) - len(names))
    return all(_group_holds(k, name) for k, name in zip(keys, names, strict=False) if k)


def _group_holds(key: str, name: str) -> bool:
    if not has_wildcard(key):
        return key == name
    # "IVANOV^*" is meant to find IVANOV without a given name too.
    return glob(key, name) or (key.endswith(" *") and glob(key, name + " "))


Span = tuple[datetime, datetime]


def span_of_key(vr: str, key: str) -> Span | None:
    """First and last moment of a single value or a range `a-b`, `a-`, `-b`; None if invalid.

    A value of low precision stands for all moments inside it ("1015" is 10:15:00 to 10:15:59.9...).
    TM lies on the first day of the calendar.
    """
    single = _span(vr, key)
    # PS3.5 6.2: in DT, "20200101-0300" is a moment with an offset, not a range to the year 300.
    if single is not None or "-" not in key:
        return single
    for at in [n for n, letter in enumerate(key) if letter == "-"]:
        begin, end = key[:at].strip(), key[at + 1 :].strip()
        first = _span(vr, begin) if begin else (datetime.min, datetime.min)
        last = _span(vr, end) if end else (datetime.max, datetime.max)
        if first is not None and last is not None and (begin or end) and first[0] <= last[1]:
            return first[0], last[1]
    return None


def _overlap(one: Span, other: Span) -> bool:
    return one[0] <= other[1] and other[0] <= one[1]


def _span(vr: str, text: str) -> Span | None:
    try:
        return {"DA": _date_span, "TM": _time_span, "DT": _datetime_span}[vr](text)
    except (ValueError, OverflowError):
        return None


def _date_span(text: str) -> Span | None:
    if re.fullmatch(r"[0-9]{8}", text, re.ASCII) is None:
        return None
    day = datetime(int(text[:4]), int(text[4:6]), int(text[6:]))
    return day, day + timedelta(days=1, microseconds=-1)


def _time_span(text: str) -> Span | None:
    found = _TIME.match(text)
    if found is None:
        return None
    hour, minute, second, fraction = found.groups()
    return _padded((1, 1, 1), (hour, minute, second), fraction)


def _padded(
    day: tuple[int, int, int],
    clock: tuple[str | None, str | None, str | None],
    fraction: str | None,
) -> Span:
    """Earliest and latest moment that the given digits allow. A leap second counts as 59."""
    limits = (23, 59, 59)
    low = [min(int(part or 0), most) for part, most in zip(clock, limits, strict=True)]
    high = [
        most if part is None else min(int(part), most)
        for part, most in zip(clock, limits, strict=True)
    ]
    digits = fraction or ""
    return (
        datetime(*day, low[0], low[1], low[2], int(digits.ljust(6, "0"))),
        datetime(*day, high[0], high[1], high[2], int(digits.ljust(6, "9"))),
    )


def _datetime_span(text: str) -> Span | None:
    """DT; an offset shifts to UTC, without one the value is taken as it stands."""
    found = _DATETIME.match(text)
    if found is None or len(found[1]) % 2 or (found[2] and len(found[1]) < 14):
        return None
    digits, fraction, offset = found.groups()
    year, clock = int(digits[:4]), digits[8:]
    first_month, last_month = (int(digits[4:6]),) * 2 if len(digits) > 4 else (1, 12)
    if len(digits) > 6:
        first_day = last_day = int(digits[6:8])
    else:
        first_day, last_day = 1, calendar.monthrange(year, last_month)[1]
    parts = (clock[:2] or None, clock[2:4] or None, clock[4:6] or None)
    if clock and _TIME.match(clock) is None:
        return None
    low = _padded((year, first_month, first_day), parts, fraction)[0]
    high = _padded((year, last_month, last_day), parts, fraction)[1]
    if offset is None:
        return low, high
    shift = timedelta(hours=int(offset[1:3]), minutes=int(offset[3:]))
    if shift > timedelta(hours=14):
        return None
    return (low - shift, high - shift) if offset[0] == "+" else (low + shift, high + shift)


def _number(text: str) -> float | None:
    if len(text) > 64 or not text.isascii() or "_" in text:
        return None
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
