"""What of a query SQL can select, as terms with bound parameters over the study table's columns.

A term takes every row that gateway.dicom.query.matches takes. If it is exact, it takes no other
(of rows that are not `odd`), and nobody needs to read the record.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

import sqlalchemy as sa

from gateway.dicom.attributes import Level
from gateway.dicom.matching import has_wildcard, span_of_key
from gateway.dicom.query import Condition, Query
from gateway.index.names import names_of_key
from gateway.index.patterns import HIGHEST, Column, Term, among, like
from gateway.records.studies import modality_set, series, study


@dataclass(frozen=True)
class Part:
    """What one key, or one condition, asks of the tables.

    exact  `term` takes what the key takes and no more
    way    takes the same rows as `term`, found by an index; None if there is no such way
    """

    term: Term
    exact: bool = True
    way: Term | None = None


@dataclass(frozen=True)
class Selection:
    """`terms` hold together; `exact` says that they are the whole query.

    few  the same rows as `terms`, quickly found if they are few; None if the only way to them is
         through all rows
    """

    terms: tuple[Term, ...]
    few: tuple[Term, ...] | None
    exact: bool


def select_by(connection: sa.Connection, query: Query) -> Selection:
    """The terms of a query at study or series level, without scope and time.

    Reads the words of names: which of them a key with a wildcard or an error may mean.
    """
    parts: list[Part | None] = []
    table = study if query.level is Level.STUDY else series
    if query.study_uid is not None:
        parts.append(_direct(table.c.study_uid == query.study_uid))
    if query.series_uid is not None and query.level is not Level.STUDY:
        parts.append(_direct(series.c.series_uid == query.series_uid))
    for condition in query.conditions:
        plain = not condition.path and not condition.empty
        parts.append(_of_condition(connection, condition, query.level) if plain else None)
    known = [part for part in parts if part is not None]
    exact = not query.any_of and (query.level is Level.STUDY or not query.conditions)
    few = tuple(part.term if part.way is None else part.way for part in known)
    return Selection(
        tuple(part.term for part in known),
        few if any(part.way is not None for part in known) else None,
        exact and len(known) == len(parts) and all(part.exact for part in known),
    )


QUICK = frozenset({"StudyInstanceUID", "PatientID", "AccessionNumber", "PatientName", "StudyDate"})
"""Keys that lead to few rows."""


def _direct(term: Term) -> Part:
    return Part(term, way=term)


def _of_condition(connection: sa.Connection, condition: Condition, level: Level) -> Part | None:
    def name(key: str) -> Part | None:
        found = names_of_key(connection, key, fuzzy=condition.fuzzy)
        return None if found is None else Part(found.term, found.exact, found.way)

    keyword = condition.keyword
    if keyword == "SeriesInstanceUID" and level is not Level.STUDY:
        return _joined(condition, lambda key: _direct(series.c.series_uid == key))
    if keyword == "Modality" and level is not Level.STUDY:
        return _joined(condition, _modality)
    makers: dict[str, Callable[[str], Part | None]] = {
        "StudyInstanceUID": lambda key: _direct(study.c.study_uid == key),
        "PatientID": lambda key: _text(connection, study.c.patient_id, key),
        "AccessionNumber": lambda key: _text(connection, study.c.accession_number, key),
        "PatientName": name,
        "StudyDate": _date,
        "StudyTime": _time,
        "ModalitiesInStudy": _modalities,
    }
    maker = makers.get(keyword)
    found = None if maker is None else _joined(condition, maker)
    # The days alone are selected; the time on the first and the last is judged by the record.
    return found if found is None or condition.time is None else replace(found, exact=False)


def _joined(condition: Condition, maker: Callable[[str], Part | None]) -> Part | None:
    """The keys of one condition: any is enough, or all must hold."""
    found = [maker(key) for key in condition.values]
    if len(found) == 1:
        return found[0]
    parts = [part for part in found if part is not None]
    exact = len(parts) == len(found) and all(part.exact for part in parts)
    ways = [part.way for part in parts if part.way is not None]
    if condition.all_of and parts:
        term = sa.and_(*(part.term for part in parts))
        both = (part.term if part.way is None else part.way for part in parts)
        return Part(term, exact, sa.and_(*both) if ways else None)
    if len(parts) < len(found) or not parts:
        return None
    every = sa.or_(*ways) if len(ways) == len(parts) else None
    return Part(sa.or_(*(part.term for part in parts)), exact, every)


MANY_VALUES = 5_000
"""Ids with a part of a key; of more, the studies are not looked up id by id."""


def _text(connection: sa.Connection, column: Column, key: str) -> Part:
    """A key that begins with a wildcard is looked for in the whole index of the column: seconds
    for tens of millions, but a tenth of what the rows themselves would cost.
    """
    if not has_wildcard(key):
        return _direct(column == key)
    term = like(column, key)
    if key[0] not in "*?":
        return _direct(term)
    values = connection.execute(sa.select(column).where(term).limit(MANY_VALUES + 1)).scalars()
    found = values.all()
    return Part(term, way=among(column, found) if len(found) <= MANY_VALUES else None)


def _day(moment: datetime) -> str:
    return f"{moment.year:04}{moment.month:02}{moment.day:02}"


def _date(key: str) -> Part:
    span = span_of_key("DA", key)
    if span is None:
        return _direct(sa.false())
    first, last = map(_day, span)
    column = study.c.study_date
    return _direct(column == first if first == last else column.between(first, last))


def _time(key: str) -> Part:
    """The column is the first moment of a value that may mean a whole hour."""
    span = span_of_key("TM", key)
    if span is None:
        return _direct(sa.false())
    hour = f"{span[0].hour:02}0000.000000"
    last = span[1].strftime("%H%M%S.%f") if span[1].year == 1 else HIGHEST
    return Part(study.c.study_time.between(hour, last), exact=False)


def _modalities(key: str) -> Part | None:
    if key != key.upper() or has_wildcard(key) or "|" in key:
        return None
    pattern = f"*|{key}|*"
    sets = sa.select(modality_set.c.modalities).where(like(modality_set.c.modalities, pattern))
    return Part(like(study.c.modalities, pattern), way=study.c.modalities.in_(sets))


def _modality(key: str) -> Part | None:
    if has_wildcard(key) or len(key) > 16:
        return None
    return Part(sa.or_(series.c.modality == key, series.c.modality == ""), exact=False)
