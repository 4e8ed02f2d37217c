"""Operators of a rule's conditions, by kind of field, and how their values are read and shown.

No operator but `missing` is true of an attribute that is absent; conditions.py sees to that, so
a test here always has values, perhaps none of them (present but empty).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import Any

import re2

from gateway.dicom.names import fold
from gateway.model.routing.fields import Field, Kind, plain, read_date, read_time
from gateway.model.routing.mistakes import Reader

MAX_PATTERN = 200
_PATTERN_MEMORY = 1 << 18
_MAX_LIST = 200

Test = Callable[[tuple[Any, ...], Any, datetime], bool]


@dataclass(frozen=True)
class Operator:
    """How values of a field are compared with the value of the rule.

    read  the rule's value from a document, in the form that is compared; None after a mistake
    test  (found values, the rule's value, now in the site's zone) -> true or false
    """

    name: str
    kinds: frozenset[Kind]
    read: Callable[[Reader, Field], Any]
    test: Test


def find_operator(name: str, kind: Kind) -> Operator | None:
    operator = OPERATORS.get(_SPELLINGS.get(name, name))
    return operator if operator is not None and kind in operator.kinds else None


def operators_of(kind: Kind) -> list[str]:
    """Names of the operators that fit a kind, in the order in which an editor offers them."""
    return [operator.name for operator in OPERATORS.values() if kind in operator.kinds]


def _form(value: str, field: Field) -> str:
    return fold(value) if field.kind == "name" else plain(value)


def _read_text(reader: Reader, field: Field) -> str | None:
    value = reader.value
    # YAML turns an unquoted number into a number; a hospital's code 0612 must not become 612.
    if isinstance(value, bool | int | float):
        reader.wrong("quote_text")
        return None
    form = _form(reader.text(), field)
    if not form and isinstance(value, str) and value.strip():
        reader.wrong("not_a_text")
    return form or None


def _read_texts(reader: Reader, field: Field) -> frozenset[str]:
    texts = [_read_text(item, field) for item in reader.items(most=_MAX_LIST)]
    return frozenset(found for found in texts if found is not None)


def _read_pattern(reader: Reader, field: Field) -> Any:
    pattern = reader.text(most=MAX_PATTERN)
    if not pattern:
        return None
    try:
        return _compiled(pattern)
    except re2.error:
        reader.wrong("bad_pattern")
        return None


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> Any:
    """A pattern of RE2, which needs time linear in the text whatever the pattern is."""
    options = re2.Options()
    options.case_sensitive = False
    options.log_errors = False
    options.max_mem = _PATTERN_MEMORY
    return re2.compile(pattern.replace("ё", "е").replace("Ё", "Е"), options)


def _read_number(reader: Reader, field: Field) -> float | None:
    value = reader.value
    if value is None:
        reader.wrong("missing_key")
    elif isinstance(value, bool) or not isinstance(value, int | float):
        reader.wrong("not_a_number")
    elif not abs(value) <= 1e15:
        reader.wrong("out_of_range", "±1e15")
    else:
        return float(value)
    return None


def _read_day(reader: Reader, field: Field) -> date | time | None:
    read = read_time if field.kind == "time" else read_date
    value = reader.value
    # YAML makes a date of 2026-01-31 by itself.
    found = read(value.isoformat() if isinstance(value, date) else value)
    if value is None:
        reader.wrong("missing_key")
    elif found is None:
        reader.wrong("not_a_time" if field.kind == "time" else "not_a_date")
    return found


def _read_span(reader: Reader, field: Field) -> tuple[Any, Any] | None:
    one: Callable[[Reader, Field], Any] = _read_number if field.kind == "number" else _read_day
    ends = [one(item, field) for item in reader.items(least=2, most=2)]
    if len(ends) < 2 or ends[0] is None or ends[1] is None:
        return None
    if ends[0] > ends[1]:
        reader.wrong("span_reversed")
        return None
    return ends[0], ends[1]


def _read_days(reader: Reader, field: Field) -> int | None:
    if reader.value is None:
        reader.wrong("missing_key")
        return None
    return reader.whole(0, 0, 36_500)


def _read_flag(reader: Reader, field: Field) -> bool | None:
    if reader.value is None:
        reader.wrong("missing_key")
        return None
    return reader.flag(False)


def _read_code(reader: Reader, field: Field) -> tuple[str, str] | None:
    """{code: "51185008", scheme: "SCT"}, or the code alone as a text: then any scheme will do."""
    if isinstance(reader.value, str):
        return plain(reader.text()), ""
    if not reader.table(("code", "scheme")):
        return None
    return plain(reader.at("code").text()), plain(reader.at("scheme").text(""))


def _read_nothing(reader: Reader, field: Field) -> None:
    if reader.value is not None:
        reader.wrong("no_value_wanted")


def _matches(found: tuple[Any, ...], pattern: Any, now: datetime) -> bool:
    return any(pattern.search(value) for value in found)


def _within(found: tuple[Any, ...], days: int, now: datetime) -> bool:
    today = now.date()
    first = today - timedelta(days=days)
    return any(first <= day <= today for day in found)


def _has_item(found: tuple[Any, ...], wanted: tuple[str, str], now: datetime) -> bool:
    code, scheme = wanted
    return any(c == code and (not scheme or s == scheme) for c, s in found)


_TEXTS: frozenset[Kind] = frozenset({"text", "name"})
_WORDS: frozenset[Kind] = frozenset({"text", "name", "code"})
_NUMBERS: frozenset[Kind] = frozenset({"number"})
_DAYS: frozenset[Kind] = frozenset({"date", "time"})
_ALL: frozenset[Kind] = frozenset(
    {"text", "name", "code", "number", "date", "time", "sequence", "flag"}
)

_SPELLINGS = {"<=": "≤", ">=": "≥", "==": "="}

OPERATORS: dict[str, Operator] = {
    operator.name: operator
    for operator in (
        Operator("equals", _WORDS, _read_text, lambda found, v, now: v in found),
        Operator("in", _WORDS, _read_texts, lambda found, v, now: not v.isdisjoint(found)),
        Operator("contains", _TEXTS, _read_text, lambda found, v, now: any(v in x for x in found)),
        Operator(
            "starts", _TEXTS, _read_text, lambda found, v, now: any(x.startswith(v) for x in found)
        ),
        Operator(
            "ends", _TEXTS, _read_text, lambda found, v, now: any(x.endswith(v) for x in found)
        ),
        Operator("matches", _TEXTS, _read_pattern, _matches),
        Operator("any_of", _WORDS, _read_texts, lambda found, v, now: not v.isdisjoint(found)),
        Operator("all_of", _WORDS, _read_texts, lambda found, v, now: v.issubset(found)),
        Operator("none_of", _WORDS, _read_texts, lambda found, v, now: v.isdisjoint(found)),
        Operator("=", _NUMBERS, _read_number, lambda found, v, now: v in found),
        Operator("<", _NUMBERS, _read_number, lambda found, v, now: any(x < v for x in found)),
        Operator("≤", _NUMBERS, _read_number, lambda found, v, now: any(x <= v for x in found)),
        Operator(">", _NUMBERS, _read_number, lambda found, v, now: any(x > v for x in found)),
        Operator("≥", _NUMBERS, _read_number, lambda found, v, now: any(x >= v for x in found)),
        Operator("before", _DAYS, _read_day, lambda found, v, now: any(x < v for x in found)),
        Operator("after", _DAYS, _read_day, lambda found, v, now: any(x > v for x in found)),
        Operator(
            "between",
            _NUMBERS | _DAYS,
            _read_span,
            lambda found, v, now: any(v[0] <= x <= v[1] for x in found),
        ),
        Operator("within_last_days", frozenset({"date"}), _read_days, _within),
        Operator("has_item", frozenset({"sequence"}), _read_code, _has_item),
        Operator("is", frozenset({"flag"}), _read_flag, lambda found, v, now: v in found),
        Operator("empty", _ALL - {"flag"}, _read_nothing, lambda found, v, now: not found),
        Operator("missing", _ALL - {"flag"}, _read_nothing, lambda found, v, now: False),
    )
}
