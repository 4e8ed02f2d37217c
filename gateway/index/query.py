"""Answers a search from the study index: the page, the exact total, and the records to show.

SQL selects and orders (index/terms.py); what it cannot judge is judged by dicom/query.py's
`matches` on the record, the same rule that live rows are judged by.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

import orjson
import sqlalchemy as sa

from gateway.dicom.attributes import Dataset, Level, belongs, keyword_of
from gateway.dicom.query import Query, matches
from gateway.errors import TooBroad
from gateway.index.patterns import Term, is_one_of, json_list
from gateway.index.scope import Scope, find_scope
from gateway.index.terms import QUICK, Selection, select_by
from gateway.index.totals import count_studies
from gateway.model.answers import SitePage
from gateway.orthanc.asking import SERIES_FIELDS, STUDY_FIELDS
from gateway.records.engine import Records
from gateway.records.studies import series, site_cursor, study

KEPT = {
    Level.STUDY: frozenset(STUDY_FIELDS.split(",")),
    Level.SERIES: frozenset([*STUDY_FIELDS.split(","), *SERIES_FIELDS.split(",")]),
}
"""Tags that the records of each level are asked for."""
CHUNK = 500
"""Rows read at a time where each must be judged."""
HANDFUL = 100
MANY = 10_000
"""Up to so many rows are sorted and counted; of more, the first are found by a walk in order."""
MOST_JUDGED = 20_000
"""Records read for one search: about a second. A search that needs more is refused."""
JUDGED_FOR_TOTAL = 2_000
"""A full page is given after so many, without a total."""
IN_ORDER = "INDEXED BY study_in_order"


@dataclass(frozen=True)
class IndexPage:
    """What the index knows of one search.

    uids   of the page in their order, offset and limit applied; of series at series level
    total  matches over all sites, each UID once; None if there are more than asked for, and too
           many to be counted
    pages  every holder's record of these UIDs, also of a holder whose own record does not match:
           it holds the study all the same, and a conflict must be seen. Sites without one are left
           out. The order of their rows means nothing
    """

    uids: tuple[str, ...]
    total: int | None
    pages: tuple[SitePage, ...]


class _Place(NamedTuple):  # its fields name the columns of _places
    """Where a row stands: newest study first, then its series by number."""

    uid: str
    study_date: str
    study_time: str
    study_uid: str
    series_number: int | None


def find_page(
    records: Records, query: Query, site_ids: Sequence[str], as_of: datetime | None = None
) -> IndexPage:
    """One page of what these sites are known to hold.

    query   at study or series level
    as_of   rows first seen later are left out, so that page 2 does not shift when studies arrive
    order   as query.sort_key: StudyDate and StudyTime newest first, StudyInstanceUID, then
            SeriesNumber and SeriesInstanceUID. A UID whose holders disagree stands where the first
            of its matching rows stands
    raises  TooBroad if more than MOST_JUDGED records would have to be read for this page;
            RecordsUnavailable, RecordsRefused
    """
    if query.level is Level.INSTANCE:
        raise ValueError("the index knows no instances")
    need = query.offset + query.limit
    with records.read() as connection:
        scope = find_scope(connection, site_ids)
        selection = select_by(connection, query)
        seen = scope.terms(as_of, has_way=selection.few is not None)
        if as_of is not None and query.level is not Level.STUDY:
            seen.append(series.c.first_seen_at <= as_of)
        judges_odd = scope.has_odd and bool(query.conditions)
        odd = _odd_places(connection, query, seen) if judges_odd else []
        clean = [study.c.odd == sa.false()] if judges_odd else []
        terms = [*seen, *selection.terms, *clean]
        few = None
        if selection.few is not None or (
            scope.is_way and _may_be_few(connection, selection, site_ids)
        ):
            few = [*seen, *(selection.few or selection.terms), *clean]
        find = _select if selection.exact else _judge
        places, total = find(connection, query, terms, few, need)
        if total is None and _is_open(query) and selection.exact:
            total = count_studies(records, connection, scope, as_of)
        if odd:
            if total is not None:
                total += len(_uids(odd)) - _known(connection, query, selection, terms, _uids(odd))
            places = _in_order([*places, *odd])
        uids = list(dict.fromkeys(place.uid for place in places))[query.offset : need]
        pages = _describe(connection, query.level, scope, seen, uids)
    return IndexPage(tuple(uids), total, pages)


def find_holders(
    records: Records, query: Query, site_ids: Collection[str]
) -> frozenset[str] | None:
    """Which of these sites may hold what a search for instances finds, by its studies and series.

    returns  None if no key of the query is one that the index knows
    raises   RecordsUnavailable, RecordsRefused
    """
    known = tuple(c for c in query.conditions if c.keyword != "SOPInstanceUID" and not c.path)
    above = replace(query, level=Level.SERIES, conditions=known)
    with records.read() as connection:
        selection = select_by(connection, above)
        if not selection.terms:
            return None
        seen = find_scope(connection, list(site_ids)).terms(None, has_way=selection.few is not None)
        holders = sa.select(study.c.site_id).select_from(_source(Level.SERIES)).where(*seen)
        found = sa.union(
            holders.where(*(selection.few or selection.terms)),
            holders.where(study.c.odd == sa.true()),
        )
        return frozenset(connection.execute(found).scalars()).intersection(site_ids)


def not_kept(query: Query) -> list[str]:
    """Keywords of the query's keys that the records of the index never hold."""
    heads = dict.fromkeys((*c.path, c.tag)[0] for c in query.conditions)
    return [keyword_of(tag) for tag in heads if tag not in KEPT[query.level]]


def paging_key(query: Query, site_ids: Iterable[str]) -> str:
    """The same for all pages of one list: the caller keeps `as_of` under it for a few minutes."""
    conditions = sorted(
        [
            [*condition.path, condition.tag],
            sorted(condition.values),
            [condition.all_of, condition.empty, condition.fuzzy, condition.time],
        ]
        for condition in query.conditions
    )
    scope = _scope_key(tuple(site_ids))
    asked = [query.level, query.study_uid, query.series_uid, conditions, scope]
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()


@lru_cache(maxsize=64)
def _scope_key(site_ids: tuple[str, ...]) -> str:
    return hashlib.sha256(json.dumps(sorted(site_ids)).encode()).hexdigest()


def count_matching(
    records: Records, query: Query, site_ids: Sequence[str], uids: Collection[str]
) -> int:
    """How many of these UIDs the index finds for this query at these sites."""
    with records.read() as connection:
        scope = find_scope(connection, site_ids)
        selection = select_by(connection, query)
        seen = scope.terms(None)
        terms = [*seen, *selection.terms]
        judges_odd = scope.has_odd and bool(query.conditions)
        odd = _odd_places(connection, query, seen) if judges_odd else []
        known = _uids(odd) & set(uids)
        rest = set(uids) - known
        return len(known) + _known(connection, query, selection, terms, rest)


def _is_open(query: Query) -> bool:
    """All studies are asked for; totals.py keeps their count."""
    return query.level is Level.STUDY and not query.conditions and query.study_uid is None


def _source(level: Level) -> sa.FromClause:
    if level is Level.STUDY:
        return study
    same_study = sa.and_(
        series.c.site_id == study.c.site_id, series.c.study_uid == study.c.study_uid
    )
    return study.join(series, same_study)


def _uid(level: Level) -> sa.Column[str]:
    return study.c.study_uid if level is Level.STUDY else series.c.series_uid


def _places(level: Level, terms: Iterable[Term]) -> sa.Select[Any]:
    number = sa.null() if level is Level.STUDY else series.c.series_number
    columns = (_uid(level), study.c.study_date, study.c.study_time, study.c.study_uid, number)
    named = [column.label(name) for column, name in zip(columns, _Place._fields, strict=True)]
    return sa.select(*named).select_from(_source(level)).where(*terms)


def _ordered(statement: sa.Select[Any], level: Level) -> sa.Select[Any]:
    """In the one order."""
    order: list[Any] = [study.c.study_date.desc(), study.c.study_time.desc(), study.c.study_uid]
    if level is not Level.STUDY:
        number = series.c.series_number
        order += [number.is_(None), number, series.c.series_uid]
    return statement.order_by(*order)


def _walk(connection: sa.Connection, level: Level, terms: Sequence[Term]) -> sa.Select[Any]:
    """The places read in their order, so that the first few cost little however many there are.

    SQLite has no statistics, and those of PostgreSQL do not know how often a part of a name occurs:
    both are told the way.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("SET LOCAL enable_sort = off"))
    return _ordered(_places(level, terms), level).with_hint(study, IN_ORDER, "sqlite")


def _few(
    connection: sa.Connection, level: Level, terms: Sequence[Term], need: int
) -> tuple[list[_Place], int] | None:
    """The first places and the total if no more than MANY rows match: they are sorted.

    A handful is sorted here. Of more the UIDs alone are read, and counted here: twice as fast as
    either database tells how many of them differ.
    """
    found = _places(level, terms)
    places = [_Place(*row) for row in connection.execute(found.limit(HANDFUL + 1)).all()]
    if len(places) <= HANDFUL:
        return _in_order(places), len(_uids(places))
    some = found.with_only_columns(_uid(level)).limit(MANY + 1).subquery()
    uids = orjson.loads(connection.execute(sa.select(json_list(*some.c))).scalar_one() or "[]")
    if len(uids) > MANY:
        return None
    total = len(set(uids))
    most = _enough(need)
    while True:
        ordered = _ordered(found, level).limit(most)
        places = [_Place(*row) for row in connection.execute(ordered).all()]
        if len(places) < most or len(_uids(places)) >= need:
            return places, total
        most *= 4


def _count(statement: sa.Select[Any]) -> sa.Select[int]:
    return sa.select(sa.func.count()).select_from(statement.subquery())


def _enough(need: int) -> int:
    return need + need // 2 + 100  # most studies have one holder


def _select(
    connection: sa.Connection,
    query: Query,
    terms: Sequence[Term],
    few: Sequence[Term] | None,
    need: int,
) -> tuple[list[_Place], int | None]:
    """The first places where SQL judges rightly, and the total if they are not too many."""
    if few is None and not _is_open(query) and _is_small(connection):
        few = terms
    if few is not None:
        found = _few(connection, query.level, few, need)
        if found is not None:
            return found
    statement = _walk(connection, query.level, terms)
    most = _enough(need)
    while True:
        places = [_Place(*row) for row in connection.execute(statement.limit(most)).all()]
        uids = len(_uids(places))
        if len(places) < most:
            return places, uids
        if uids > need:
            return places, None
        most *= 4


def _may_be_few(connection: sa.Connection, selection: Selection, site_ids: Sequence[str]) -> bool:
    """False if everything that these sites hold is asked for, and that is known to be much."""
    if selection.terms:
        return True
    held = sa.select(sa.func.sum(site_cursor.c.filled)).where(site_cursor.c.site_id.in_(site_ids))
    return (connection.execute(held).scalar_one() or 0) <= MANY


def _is_small(connection: sa.Connection) -> bool:
    """Whether all studies can be looked through."""
    some = sa.select(study.c.site_id).limit(MANY + 1)
    return connection.execute(_count(some)).scalar_one() <= MANY


def _judge(
    connection: sa.Connection,
    query: Query,
    terms: Sequence[Term],
    few: Sequence[Term] | None,
    need: int,
) -> tuple[list[_Place], int | None]:
    """The same where each record must be read; raises TooBroad."""
    statement = _walk(connection, query.level, terms)
    if few is not None:
        found = _places(query.level, few)
        count = connection.execute(_count(found.limit(MOST_JUDGED + 1))).scalar_one()
        if count <= MOST_JUDGED:
            statement = _ordered(found, query.level)
    places: dict[str, _Place] = {}
    for number, (place, holds) in enumerate(_judged(connection, query, statement)):
        if len(places) > need and number >= JUDGED_FOR_TOTAL:
            return list(places.values()), None
        if number == MOST_JUDGED:
            if len(places) < need:
                raise TooBroad(_slow_field(query), MOST_JUDGED)
            return list(places.values()), None
        if holds:
            places.setdefault(place.uid, place)
    return list(places.values()), len(places)


def _judged(
    connection: sa.Connection, query: Query, statement: sa.Select[Any]
) -> Iterator[tuple[_Place, bool]]:
    """The rows of a statement of places, read in chunks, and whether `matches` takes each."""
    columns = [study.c.record]
    if query.level is not Level.STUDY:
        columns.append(series.c.record)
    options = {"stream_results": True, "yield_per": CHUNK}
    with connection.execute(statement.add_columns(*columns), execution_options=options) as rows:
        for row in rows:
            yield _Place(*row[:5]), matches(query, _dataset(*row[5:]))


def _matching(connection: sa.Connection, query: Query, statement: sa.Select[Any]) -> list[_Place]:
    return [place for place, holds in _judged(connection, query, statement) if holds]


def _slow_field(query: Query) -> str:
    """The first key that the tables have no column for."""
    return next((c.keyword for c in query.conditions if c.keyword not in QUICK), "query")


def _dataset(study_record: bytes, series_record: bytes | None = None) -> Dataset:
    """The record as a live row would be: a series carries its study's attributes."""
    found = _read(study_record)
    if series_record is None:
        return found
    above = {tag: element for tag, element in found.items() if belongs(tag, Level.STUDY)}
    return {**_read(series_record), **above}


def _read(record: bytes) -> Dataset:
    found: Dataset
    try:
        found = orjson.loads(record)
    except orjson.JSONDecodeError:  # NaN or half a surrogate pair: dicom/soundness.py judges them
        found = json.loads(record)
    return found


def _odd_places(connection: sa.Connection, query: Query, seen: Sequence[Term]) -> list[_Place]:
    """Matching rows whose columns do not tell all."""
    odd = study.c.odd == sa.true()  # in the words of the partial index
    return _matching(connection, query, _ordered(_places(query.level, [*seen, odd]), query.level))


def _known(
    connection: sa.Connection,
    query: Query,
    selection: Selection,
    terms: Sequence[Term],
    uids: set[str],
) -> int:
    """How many of these UIDs match by another holder's row too."""
    found: set[str] = set()
    for some in _batches(sorted(uids)):
        there = [*terms, is_one_of(_uid(query.level), some)]
        statement = _places(query.level, there)
        if selection.exact:
            found |= {row.uid for row in connection.execute(statement)}
        else:
            found |= _uids(_matching(connection, query, statement))
    return len(found)


def _in_order(places: list[_Place]) -> list[_Place]:
    def inside(place: _Place) -> tuple[str, bool, int, str]:
        return (
            place.study_uid, place.series_number is None, place.series_number or 0, place.uid,
        )  # fmt: skip

    places = sorted(places, key=inside)
    return sorted(places, key=lambda place: (place.study_date, place.study_time), reverse=True)


def _uids(places: Iterable[_Place]) -> set[str]:
    return {place.uid for place in places}


def _describe(
    connection: sa.Connection,
    level: Level,
    scope: Scope,
    seen: Sequence[Term],
    uids: Sequence[str],
) -> tuple[SitePage, ...]:
    columns = [study.c.site_id, _uid(level), study.c.record]
    if level is not Level.STUDY:
        columns.append(series.c.record)
    held: dict[str, dict[str, Dataset]] = {}
    for some in _batches(uids):
        statement = sa.select(*columns).select_from(_source(level))
        where = (*seen, is_one_of(_uid(level), some))
        for site_id, uid, *found in connection.execute(statement.where(*where)).all():
            if site_id in scope.site_ids:  # not one that came while we looked
                held.setdefault(site_id, {})[uid] = _dataset(*found)
    return tuple(
        SitePage(site_id, tuple(rows.values()), frozenset(rows))
        for site_id, rows in sorted(held.items())
    )


def _batches(uids: Sequence[str], size: int = 500) -> Iterator[Sequence[str]]:
    return (uids[start : start + size] for start in range(0, len(uids), size))
