"""What of a query SQL can select, as terms with bound parameters over the study table's columns.

A term takes every row that gateway.dicom.query.matches takes. If it is exact, it takes no other
(of rows that are not `odd`), and nobody needs to read the record.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles

from gateway.dicom.attributes import Level
from gateway.dicom.matching import MIN_FUZZY, has_wildcard, name_forms, span_of_key
from gateway.dicom.names import latin
from gateway.dicom.query import Condition, Query
from gateway.records.studies import series, study

Column = sa.Column[str]
Term = sa.ColumnElement[bool]
HIGHEST = "\U0010ffff"
"""Above every letter that a key has."""


@dataclass(frozen=True)
class Selection:
    """`terms` hold together; `exact` says that they are the whole query."""

    terms: tuple[Term, ...]
    exact: bool


class _only_tested(sa.sql.functions.GenericFunction[Any]):
    """The same value, but no way into the table for SQLite: its planner has no statistics and would
    look up each of 300 sites, or half of all rows by their first_seen_at.
    """

    inherit_cache = True


@compiles(_only_tested)
def _plain(element: Any, compiler: Any, **how: Any) -> str:
    return str(compiler.process(element.clauses, **how))


@compiles(_only_tested, "sqlite")
def _with_plus(element: Any, compiler: Any, **how: Any) -> str:
    return f"+{_plain(element, compiler, **how)}"


FEW_SITES = 8
"""So many are a good way into the table; more are only a test of each row found otherwise."""


def scope_terms(site_ids: Sequence[str], as_of: datetime | None) -> list[Term]:
    """Rows of these sites, first seen by then."""
    wanted = sorted(set(site_ids))
    site, seen = study.c.site_id, study.c.first_seen_at
    many = len(wanted) > FEW_SITES
    terms: list[Term] = [(_only_tested(site, type_=site.type) if many else site).in_(wanted)]
    if as_of is not None:
        terms.append(_only_tested(seen, type_=seen.type) <= as_of)
    return terms


def select_by(query: Query) -> Selection:
    """The terms of a query at study or series level, without scope and time."""
    terms: list[Term] = []
    exact = not query.any_of and (query.level is Level.STUDY or not query.conditions)
    table = study if query.level is Level.STUDY else series
    if query.study_uid is not None:
        terms.append(table.c.study_uid == query.study_uid)
    if query.series_uid is not None and query.level is not Level.STUDY:
        terms.append(series.c.series_uid == query.series_uid)
    for condition in query.conditions:
        found = None if condition.path or condition.empty else _of_condition(condition, query.level)
        if found is None:
            exact = False
            continue
        term, is_exact = found
        terms.append(term)
        exact = exact and is_exact
    return Selection(tuple(terms), exact)


Found = tuple[Term, bool] | None


def _of_condition(condition: Condition, level: Level) -> Found:
    keyword = condition.keyword
    if keyword == "SeriesInstanceUID" and level is not Level.STUDY:
        return _joined(condition, lambda key: (series.c.series_uid == key, True))
    if keyword == "Modality" and level is not Level.STUDY:
        return _joined(condition, _modality)
    makers: dict[str, Callable[[str], Found]] = {
        "StudyInstanceUID": lambda key: (study.c.study_uid == key, True),
        "PatientID": lambda key: _text(study.c.patient_id, key),
        "AccessionNumber": lambda key: _text(study.c.accession_number, key),
        "PatientName": lambda key: _name(key, fuzzy=condition.fuzzy),
        "StudyDate": _date,
        "StudyTime": _time,
        "ModalitiesInStudy": _modalities,
    }
    maker = makers.get(keyword)
    found = None if maker is None else _joined(condition, maker)
    # The days alone are selected; the time on the first and the last is judged by the record.
    return found if found is None or condition.time is None else (found[0], False)


def _joined(condition: Condition, maker: Callable[[str], Found]) -> Found:
    """The keys of one condition: any is enough, or all must hold."""
    found = [maker(key) for key in condition.values]
    known = [one for one in found if one is not None]
    if condition.all_of:
        if not known:
            return None
        return sa.and_(*(term for term, _ in known)), len(known) == len(found) and all(
            exact for _, exact in known
        )
    if len(known) < len(found):
        return None
    return sa.or_(*(term for term, _ in known)), all(exact for _, exact in known)


def _prefix(column: Column, start: str) -> Term:
    return sa.and_(column >= start, column < start + HIGHEST)


def _like(column: Column, pattern: str) -> Term:
    """`*` and `?` as `%` and `_`, all else literal; the literal start is a range for the index."""
    pattern = re.sub(r"\*+", "*", pattern)
    escaped = "".join(
        {"*": "%", "?": "_"}.get(letter, f"\\{letter}" if letter in "\\%_" else letter)
        for letter in pattern
    )
    start = re.split(r"[*?]", pattern, maxsplit=1)[0]
    if pattern == start + "*" and start:
        return _prefix(column, start)
    like: Term = column.like(escaped, escape="\\")
    return sa.and_(_prefix(column, start), like) if start else like


def _text(column: Column, key: str) -> Found:
    if not has_wildcard(key):
        return column == key, True
    start_only = key.endswith("*") and not has_wildcard(key[:-1]) and len(key) > 1
    # SQLite's LIKE knows no case of ASCII letters: what has any is judged again.
    return _like(column, key), start_only or key.swapcase() == key


def _name(key: str, *, fuzzy: bool) -> Found:
    """matching.name_holds on the two columns of a name; groups are known to the record only."""
    if "=" in key:
        return None
    forms, latin_forms = name_forms(key)
    terms = [_form(study.c.name_latin, form) for form in latin_forms]
    terms += [_form(study.c.name_key, form) for form in forms if not latin_is_enough(form)]
    if fuzzy:
        terms += [_near(study.c.name_latin, form) for form in latin_forms]
        terms += [_near(study.c.name_key, form) for form in forms]
    return sa.or_(sa.false(), *terms), not fuzzy


_CLOSED = frozenset("abdefghlmnoruvwxq0123456789 ")


def latin_is_enough(form: str) -> bool:
    """Whether all names that the form takes are taken by its Latin form, so that one index does.

    Not if letters after the cut may be read with those before: "С*" is no beginning of "SH...".
    """
    start = form.removesuffix("*")
    spelled = latin(start)
    if has_wildcard(start) or not any(map(str.isalnum, spelled)):
        return False
    return start == form or spelled[-1] in _CLOSED


def _form(column: Column, form: str) -> Term:
    """matching.name_holds for one form and one column."""
    if form in ("*", "* *"):
        return column != ""
    if has_wildcard(form):
        if form.endswith(" *") and not has_wildcard(form[:-2]):
            return sa.or_(column == form[:-2], _prefix(column, form[:-1]))
        if form.endswith(" *"):
            return sa.or_(_like(column, form), _like(column, form[:-2]))
        return _like(column, form)
    words = form.split()
    shorter = [" ".join(words[:count]) for count in range(2, len(words) + 1)] or [form]
    same: Term = column.in_(shorter)
    return sa.or_(same, _prefix(column, form + " ")) if len(words) > 1 else same


def _near(column: Column, form: str) -> Term:
    """Takes too much: an error leaves one half of the longest word, or another word, whole."""
    if has_wildcard(form.strip("* ")):
        return sa.false()
    word = max(form.strip("* ").split(), key=len, default="")
    if len(word) < MIN_FUZZY:
        return sa.false()
    half = len(word) // 2
    # Two swapped letters may stand on both sides of the middle.
    first, last = word[: half - 1], word[half + 1 :]
    if not form.startswith("*") and form.startswith(word) and first:
        return sa.or_(_prefix(column, first), _like(column, f"*{last}*"))
    return sa.or_(_like(column, f"*{first}*"), _like(column, f"*{last}*"))


def _day(moment: datetime) -> str:
    return f"{moment.year:04}{moment.month:02}{moment.day:02}"


def _date(key: str) -> Found:
    span = span_of_key("DA", key)
    if span is None:
        return sa.false(), True
    first, last = map(_day, span)
    column = study.c.study_date
    return (column == first if first == last else column.between(first, last)), True


def _time(key: str) -> Found:
    """The column is the first moment of a value that may mean a whole hour."""
    span = span_of_key("TM", key)
    if span is None:
        return sa.false(), True
    hour = f"{span[0].hour:02}0000.000000"
    last = span[1].strftime("%H%M%S.%f") if span[1].year == 1 else HIGHEST
    return study.c.study_time.between(hour, last), False


def _modalities(key: str) -> Found:
    if key != key.upper() or has_wildcard(key) or "|" in key:
        return None
    return _like(study.c.modalities, f"*|{key}|*"), True


def _modality(key: str) -> Found:
    if has_wildcard(key) or len(key) > 16:
        return None
    return sa.or_(series.c.modality == key, series.c.modality == ""), False
