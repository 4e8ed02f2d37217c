"""One value against one matching key (PS3.4 C.2.2.2), the same for every site.

Knows value representations and nothing of queries. Checking a key may raise; comparing with what
an archive holds never does.
"""

import calendar
import math
import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import lru_cache

from gateway.dicom.names import fold, latin_patterns, latin_readings, name_key
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


def key_holds(vr: str, key: str, found: object, *, fuzzy: bool = False) -> bool:
    """Whether one value of a dataset satisfies one checked key.

    Spaces at both ends mean nothing. A person's name is compared in its folded and in its Latin
    form (dicom/names.py), with or without the patronymic, and in each of its groups (PS3.4 leaves
    all of this to us; doctors type "Иванов Иван"). Other text is compared as the standard says:
    with case.
    """
    if vr == "PN":
        return _name_holds(key, found, fuzzy=fuzzy)
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


def _name_holds(key: str, found: object, *, fuzzy: bool) -> bool:
    """PN: each group named in the key must hold; a key with one group may hold in any."""
    names = name_groups(found)
    keys = key.split("=")
    if len(keys) == 1:
        return any(name_holds(key, name, fuzzy=fuzzy) for name in names if name)
    names += [""] * (len(keys) - len(names))
    pairs = [(k, name) for k, name in zip(keys, names, strict=False) if fold(k)]
    return bool(pairs) and all(name_holds(k, name, fuzzy=fuzzy) for k, name in pairs)


def name_groups(found: object) -> list[str]:
    """The alphabetic group of one value of a PN, "" if it has none, and the others."""
    groups: Iterable[object]
    if isinstance(found, dict):
        groups = (found.get(name) for name in ("Alphabetic", "Ideographic", "Phonetic"))
    else:
        groups = str(found).split("=") if found is not None else [""]
    return [group if isinstance(group, str) else "" for group in groups]


def name_holds(key: str, name: str, *, fuzzy: bool = False) -> bool:
    """One group of a name against one key, as folded, in the Latin form, or with a typing error.

    A key without wildcards is the whole name, as PS3.4 C.2.2.2.1 asks, but for the patronymic: a
    family name alone finds nobody who has a given name too.

    fuzzy  (PS3.18 8.3.4.2) one letter wrong, missing, too much or two changed places, in a word of
           four letters or more; and a family name alone finds all who bear it
    """
    folded = name_key(name)
    if not folded:
        return False
    forms, latin_forms = name_forms(key)
    pairs = [(form, folded) for form in forms]
    pairs += [(form, spelled) for spelled in latin_readings(folded) for form in latin_forms]
    if any(_form_holds(form, there) for form, there in pairs):
        return True
    return fuzzy and any(_nearly_holds(form, there) for form, there in pairs)


@lru_cache(maxsize=1024)
def name_forms(key: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What a key asks of names.name_key and what of names.latin_readings; either is enough.

    Each form is an exact text, or a pattern if it has wildcards. () finds nobody.
    """
    form = fold(key)
    return (form,) if form else (), tuple(
        pattern for pattern in latin_patterns(form) if any(map(str.isalnum, pattern))
    )


def _form_holds(form: str, name: str) -> bool:
    if has_wildcard(form):
        # "IVANOV^*" is meant to find IVANOV without a given name too.
        return glob(form, name) or (form.endswith(" *") and glob(form, name + " "))
    if form == name:
        return True
    # The patronymic may be missing here or there; a family name alone is not a whole name.
    shorter, longer = sorted((form, name), key=len)
    return " " in shorter and longer.startswith(shorter + " ")


MIN_FUZZY = 4
"""Letters of a word that may have an error: "Ли" with one error is half of all short names."""


def _nearly_holds(form: str, name: str) -> bool:
    """Whether the words of a form begin the name, with one typing error in one of them at most."""
    words = form.strip("* ").split()
    if not words or has_wildcard("".join(words)):
        return False
    there = name.split()
    starts = range(len(there)) if form.startswith("*") else range(1)
    return any(_words_nearly(words, there[start:], form) for start in starts)


def _words_nearly(words: Sequence[str], there: Sequence[str], form: str) -> bool:
    """With at most one error, and whatever names follow: a family name alone finds its bearers."""
    if len(words) > len(there):
        return False
    errors = 0
    for position, (word, other) in enumerate(zip(words, there, strict=False)):
        is_open = form.endswith("*") and position == len(words) - 1
        if other.startswith(word) if is_open else word == other:
            continue
        errors += 1
        if errors > 1 or not word_nearly_holds(word, other, is_open=is_open):
            return False
    return True


def word_nearly_holds(word: str, other: str, *, is_open: bool) -> bool:
    """Whether one error makes `word` the other, or a beginning of it if more letters may follow."""
    return len(word) >= MIN_FUZZY and one_error(word, other, is_open=is_open)


def one_error(one: str, other: str, *, is_open: bool = False) -> bool:
    """Whether one letter changed, added, left out, or two neighbours swapped, make the other.

    is_open  make a beginning of the other; so does what begins it already
    """
    if not is_open and (one == other or abs(len(one) - len(other)) > 1):
        return False
    start = 0
    for letter, there in zip(one, other, strict=False):
        if letter != there:
            break
        start += 1
    rest, other_rest = one[start:], other[start:]
    same = str.startswith if is_open else str.__eq__
    return (
        same(other_rest[1:], rest[1:])
        or same(other_rest, rest[1:])
        or same(other_rest[1:], rest)
        or (rest[1::-1] == other_rest[:2] and len(rest) > 1 and same(other_rest[2:], rest[2:]))
    )


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


def moment_holds(dates: str, times: str, date: str, time: str) -> bool:
    """Whether a date with its time lies in the range that both ranges make (PS3.4 C.2.2.2.5.4).

    dates, times  ranges of the same form, each end checked: `a-b`, `a-` or `-b`. The later time
                  may come first: from the evening of one day to the morning of the next
    time          where it is absent or dirty, the whole day counts
    """
    there, of_day = _span("DA", date.strip(" \0")), _span("TM", time.strip(" \0"))
    if there is None:
        return False
    if of_day is not None:
        there = _at(there, of_day)
    ends = zip(dates.split("-"), times.split("-"), strict=True)
    begin, end = (
        None if day is None or moment is None else _at(day, moment)
        for day, moment in ((_span("DA", d.strip()), _span("TM", t.strip())) for d, t in ends)
    )
    return _overlap((begin[0] if begin else datetime.min, end[1] if end else datetime.max), there)


def _at(day: Span, time: Span) -> Span:
    first, last = (datetime.combine(day[0].date(), moment.time()) for moment in time)
    return first, last


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
