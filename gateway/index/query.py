"""Answers a search from the study index: the page, the exact total, and the records to show.

SQL selects and orders (index/terms.py); what it cannot judge is judged by dicom/query.py's
`matches` on the record, the same rule that live rows are judged by.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from gateway.dicom.attributes import Dataset, Level, belongs, keyword_of
from gateway.dicom.query import Query, matches
from gateway.index.terms import Selection, Term, scope_terms, select_by
from gateway.index.totals import count_studies
from gateway.model.answers import SitePage
from gateway.orthanc.feed import SERIES_FIELDS, STUDY_FIELDS
from gateway.records.engine import Records
from gateway.records.studies import series, study

KEPT = {
    Level.STUDY: frozenset(STUDY_FIELDS.split(",")),
    Level.SERIES: frozenset([*STUDY_FIELDS.split(","), *SERIES_FIELDS.split(",")]),
}
"""Tags that the records of each level are asked for."""
CHUNK = 2000
"""Rows read at a time where each must be judged."""


@dataclass(frozen=True)
class IndexPage:
    """What the index knows of one search.

    uids   of the page in their order, offset and limit applied; of series at series level
    total  matches over all sites, each UID once
    pages  every holder's record of these UIDs, also of a holder whose own record does not match:
           it holds the study all the same, and a conflict must be seen. Sites without one are left
           out. The order of their rows means nothing
    """

    uids: tuple[str, ...]
    total: int
    pages: tuple[SitePage, ...]


class _Place(NamedTuple):
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
    raises  RecordsUnavailable, RecordsRefused
    """
    if query.level is Level.INSTANCE:
        raise ValueError("the index knows no instances")
    selection = select_by(query)
    scope = scope_terms(site_ids, as_of)
    need = query.offset + query.limit
    with records.read() as connection:
        odd = _odd_places(connection, query, scope)
        terms = [*scope, *selection.terms]
        if odd is not None:
            terms.append(study.c.odd == sa.false())
        if selection.exact:
            places, total = _select(connection, query.level, terms, need)
            if total is None and not selection.terms and query.level is Level.STUDY:
                total = count_studies(records, connection, site_ids, as_of)
            elif total is None:
                total = _count(connection, query.level, terms)
        else:
            places, total = _judge(connection, query, terms, need)
        if odd:
            total += len(_uids(odd)) - _known(connection, query, selection, terms, _uids(odd))
            places = _in_order([*places, *odd])
        uids = list(dict.fromkeys(place.uid for place in places))[query.offset : need]
        pages = _describe(connection, query.level, scope, uids)
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
    terms = select_by(above).terms
    if not terms:
        return None
    holders = (
        sa.select(study.c.site_id)
        .distinct()
        .select_from(_source(Level.SERIES))
        .where(*scope_terms(list(site_ids), None))
        .where(sa.or_(sa.and_(*terms), study.c.odd == sa.true()))
    )
    with records.read() as connection:
        return frozenset(connection.execute(holders).scalars())


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
    asked = [query.level, query.study_uid, query.series_uid, conditions, sorted(site_ids)]
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()


def count_matching(
    records: Records, query: Query, site_ids: Sequence[str], uids: Collection[str]
) -> int:
    """How many of these UIDs the index finds for this query at these sites."""
    selection = select_by(query)
    terms = [*scope_terms(site_ids, None), *selection.terms]
    with records.read() as connection:
        odd = _odd_places(connection, query, scope_terms(site_ids, None))
        known = _uids(odd or []) & set(uids)
        rest = set(uids) - known
        return len(known) + _known(connection, query, selection, terms, rest)


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
    order: list[Any] = [study.c.study_date.desc(), study.c.study_time.desc(), study.c.study_uid]
    if level is not Level.STUDY:
        order += [number.is_(None), number, series.c.series_uid]
    return (
        sa.select(
            _uid(level),
            study.c.study_date,
            study.c.study_time,
            study.c.study_uid.label("s"),
            number,
        )
        .select_from(_source(level))
        .where(*terms)
        .order_by(*order)
    )


def _select(
    connection: sa.Connection, level: Level, terms: Sequence[Term], need: int
) -> tuple[list[_Place], int | None]:
    """The first places where SQL judges rightly, and the total if these are all."""
    statement = _places(level, terms)
    most = need + need // 2 + 100  # most studies have one holder
    while True:
        places = [_Place(*row) for row in connection.execute(statement.limit(most))]
        found = len(_uids(places))
        if len(places) < most:
            return places, found
        if found >= need:
            return places, None
        most *= 4


def _count(connection: sa.Connection, level: Level, terms: Sequence[Term]) -> int:
    count = sa.select(sa.func.count(_uid(level).distinct()))
    return int(connection.execute(count.select_from(_source(level)).where(*terms)).scalar_one())


def _judge(
    connection: sa.Connection, query: Query, terms: Sequence[Term], need: int
) -> tuple[list[_Place], int]:
    """The same where each record must be read."""
    seen: set[str] = set()
    places: list[_Place] = []
    for place in _judged(connection, query, terms):
        if place.uid not in seen:
            seen.add(place.uid)
            if len(places) < need:
                places.append(place)
    return places, len(seen)


def _judged(connection: sa.Connection, query: Query, terms: Sequence[Term]) -> Iterator[_Place]:
    """Rows in order that `matches` takes, read in chunks."""
    columns = [study.c.record]
    if query.level is not Level.STUDY:
        columns.append(series.c.record)
    statement = _places(query.level, terms).add_columns(*columns)
    options = {"stream_results": True, "yield_per": CHUNK}
    for row in connection.execute(statement, execution_options=options):
        if matches(query, _dataset(*row[5:])):
            yield _Place(*row[:5])


def _dataset(study_record: bytes, series_record: bytes | None = None) -> Dataset:
    """The record as a live row would be: a series carries its study's attributes."""
    found: Dataset = json.loads(study_record)
    if series_record is None:
        return found
    above = {tag: element for tag, element in found.items() if belongs(tag, Level.STUDY)}
    return {**json.loads(series_record), **above}


def _odd_places(
    connection: sa.Connection, query: Query, scope: Sequence[Term]
) -> list[_Place] | None:
    """Matching rows whose columns do not tell all; None if no row of the index is such."""
    if not query.conditions:
        return None
    odd = study.c.odd == sa.true()  # in the words of the partial index
    if connection.execute(sa.select(study.c.site_id).where(odd).limit(1)).first() is None:
        return None
    return list(_judged(connection, query, [*scope, odd]))


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
        there = [*terms, _uid(query.level).in_(some)]
        rows: Iterable[_Place]
        if selection.exact:
            rows = (_Place(*row) for row in connection.execute(_places(query.level, there)))
        else:
            rows = _judged(connection, query, there)
        found |= {place.uid for place in rows}
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
    connection: sa.Connection, level: Level, scope: Sequence[Term], uids: Sequence[str]
) -> tuple[SitePage, ...]:
    columns = [study.c.site_id, _uid(level), study.c.record]
    if level is not Level.STUDY:
        columns.append(series.c.record)
    held: dict[str, dict[str, Dataset]] = {}
    for some in _batches(uids):
        statement = sa.select(*columns).select_from(_source(level))
        for site_id, uid, *found in connection.execute(
            statement.where(*scope, _uid(level).in_(some))
        ):
            held.setdefault(site_id, {})[uid] = _dataset(*found)
    return tuple(
        SitePage(site_id, tuple(rows.values()), frozenset(rows))
        for site_id, rows in sorted(held.items())
    )


def _batches(uids: Sequence[str], size: int = 500) -> Iterator[Sequence[str]]:
    return (uids[start : start + size] for start in range(0, len(uids), size))
