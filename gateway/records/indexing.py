"""Writes the study index (records/studies.py): rows and the place in the feed, together.

Every write is one transaction that begins with a look at the keeper's lease: who leads no longer
writes nothing, however late its thread wakes up.
"""

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa

from gateway.errors import LeaseLost
from gateway.model.persons import PersonId
from gateway.model.rollout.senders import NOTHING, Shown
from gateway.records.alarms import write_alarm, write_clearance
from gateway.records.arrivals import touch_arrivals, touch_gone
from gateway.records.engine import Records
from gateway.records.events import site_event
from gateway.records.leases import Fence
from gateway.records.persons import ask_for_check
from gateway.records.sightings import Sight, Witness, write_sightings
from gateway.records.studies import (
    modality_set,
    patient_name,
    series,
    site_cursor,
    study,
    study_deletion,
    word_ending,
    word_of_name,
)
from gateway.records.words import forget_names, names_of, save_words, wait_for_turn

PAGE = 1000

Phase = Literal["filling", "following"]


@dataclass(frozen=True)
class Cursor:
    """How far a site was read; see the columns of site_cursor."""

    seq: int
    fingerprint: str
    phase: Phase
    filled: int
    to_fill: int
    fill_began_at: datetime
    filled_before: int = 0
    swept_at: datetime | None = None
    issuer: str = ""
    aside: int = 0


@dataclass(frozen=True)
class IndexRow:
    """One study's row and those of its series, without site_id; and of which machines it is."""

    study: Mapping[str, Any]
    series: Sequence[Mapping[str, Any]]
    shown: Shown = NOTHING


@dataclass(frozen=True)
class Known:
    """What the index has of a study."""

    study_uid: str
    orthanc_id: str
    mark: str
    series_count: int
    instance_count: int
    arriving: bool = False


class IndexWriter:
    """Writes the rows of one site as long as nobody takes the lease after `fence`.

    fence    None: of a site that no keeper follows
    turn     shared by all writers of a process: SQLite lets one write, and does not queue fairly
    witness  the site as one that gives evidence of its machines; None: it gives none
    """

    def __init__(
        self, records: Records, site_id: str, fence: Fence | None, turn: threading.Lock,
        witness: Witness | None = None,
    ) -> None:  # fmt: skip
        self._records = records
        self._site_id = site_id
        self._fence = fence
        self._turn = turn
        self._witness = witness
        self._closed = False

    def close(self) -> None:
        """From now on nothing is written."""
        self._closed = True

    def save(
        self,
        cursor: Cursor,
        rows: Sequence[IndexRow] = (),
        gone: Collection[str] = (),
        now: datetime | None = None,
    ) -> None:
        """Upsert rows, delete the studies in `gone`, move the cursor: all of it or nothing.

        What has changed is due for a decision with it (records/arrivals.py).

        now     when the rows were read; must be given with rows
        raises  LeaseLost if another keeper leads, or after close(); RecordsUnavailable
        """
        uids = sorted({*gone, *(row.study["study_uid"] for row in rows)})
        mine = {"site_id": self._site_id}
        studies = [
            {**row.study, **mine, "first_seen_at": now, "indexed_at": now}
            for row in sorted(rows, key=lambda row: str(row.study["study_uid"]))
        ]
        seen = {**mine, "first_seen_at": now}
        some = {one["series_uid"]: {**one, **seen} for row in rows for one in row.series}
        with self._write(uids) as connection:
            if now is not None:
                self._ask_for_check(connection, uids, studies, now)
                filling = cursor.phase == "filling"
                touch_arrivals(connection, self._site_id, studies, now, filling=filling)
                touch_gone(connection, self._site_id, gone, now)
                if self._witness is not None:
                    sights = map(_sight_of, rows)
                    write_sightings(connection, self._witness, sights, now, filling=filling)
            names: set[str] = set()
            for part in _parts(uids):
                held = sa.and_(study.c.site_id == self._site_id, study.c.study_uid.in_(part))
                names |= names_of(connection, held)
            self._delete(
                connection, series.c.series_uid, self._series_of(connection, uids) - {*some}
            )
            self._count_deleted(connection, self._delete(connection, study.c.study_uid, gone))
            if studies:
                connection.execute(_upsert(self._records, study, {"first_seen_at"}), studies)
                save_words(self._records, connection, studies)
            forget_names(connection, names)
            if some:
                upsert = _upsert(self._records, series, {"first_seen_at"})
                connection.execute(upsert, [some[uid] for uid in sorted(some)])
            connection.execute(
                _upsert(self._records, site_cursor, {"read_at", "size_bytes", "sized"}),
                [_row(cursor, mine)],
            )

    def tell(self, kind: str, *, is_so: bool, now: datetime) -> None:
        """An alarm about this site is open from now on, or is not; raises as `save` does."""
        with self._write(()) as connection:
            if is_so:
                write_alarm(connection, kind, self._site_id, {}, now)
            else:
                write_clearance(connection, kind, [self._site_id], now)

    def save_sizes(self, sizes: Mapping[str, Mapping[str, tuple[int, str, str]]]) -> None:
        """Bytes, content and mark of series by the UIDs of study and series; a study has their
        bytes.

        raises  LeaseLost if another keeper leads, or after close(); RecordsUnavailable
        """
        totals = {uid: sum(size for size, _, _ in found.values()) for uid, found in sizes.items()}
        studies = [{"uid": uid, "size": totals[uid]} for uid in sorted(sizes)]
        inside = sorted((uid, *told) for found in sizes.values() for uid, told in found.items())
        parts = [
            {"uid": uid, "size": size, "told": content, "state": mark}
            for uid, size, content, mark in inside
        ]
        with self._write(sorted(sizes)) as connection:
            for key, rows in ((study.c.study_uid, studies), (series.c.series_uid, parts)):
                table = sa.update(key.table).values(size_bytes=sa.bindparam("size"))
                if key.table is series:
                    table = table.values(content=sa.bindparam("told"), mark=sa.bindparam("state"))
                mine = sa.and_(key.table.c.site_id == self._site_id, key == sa.bindparam("uid"))
                connection.execute(table.where(mine), rows)

    @contextmanager
    def _write(self, uids: Sequence[str]) -> Iterator[sa.Connection]:
        """A transaction that changes these studies; the site's total size is kept in step."""
        with self._turn, self._records.write() as connection:
            if self._fence:
                self._fence.check(connection)
            if self._closed:
                raise LeaseLost(self._site_id)
            wait_for_turn(connection)
            size, sized = self._sizes_of(connection, uids)
            yield connection
            after, sized_after = self._sizes_of(connection, uids)
            if (after, sized_after) != (size, sized):
                total, count = site_cursor.c.size_bytes, site_cursor.c.sized
                moved = {total: total + after - size, count: count + sized_after - sized}
                mine = site_cursor.c.site_id == self._site_id
                connection.execute(sa.update(site_cursor).where(mine).values(moved))

    def _sizes_of(self, connection: sa.Connection, uids: Sequence[str]) -> tuple[int, int]:
        """Bytes of those of these studies whose size is known, and how many these are."""
        sizes: list[int] = []
        for part in _parts(uids):
            mine = sa.and_(study.c.site_id == self._site_id, study.c.study_uid.in_(part))
            known = sa.select(study.c.size_bytes).where(mine, study.c.size_bytes.is_not(None))
            sizes += connection.execute(known).scalars()
        return sum(sizes), len(sizes)

    def _ask_for_check(
        self, connection: sa.Connection, uids: Sequence[str], studies: Sequence[Mapping[str, Any]],
        now: datetime,
    ) -> None:  # fmt: skip
        """Have it judged who the patients of these studies were, and who they are now."""
        persons = {PersonId.of(row["issuer"], row["patient_id"]) for row in studies}
        before = sa.select(study.c.issuer, study.c.patient_id)
        for part in _parts(uids):
            where = sa.and_(study.c.site_id == self._site_id, study.c.study_uid.in_(part))
            persons |= {PersonId.of(*said) for said in connection.execute(before.where(where))}
        ask_for_check(connection, persons, uids, now)

    def _series_of(self, connection: sa.Connection, study_uids: Sequence[str]) -> set[str]:
        found: set[str] = set()
        for part in _parts(study_uids):
            mine = sa.and_(series.c.site_id == self._site_id, series.c.study_uid.in_(part))
            found |= {*connection.execute(sa.select(series.c.series_uid).where(mine)).scalars()}
        return found

    def _delete(self, connection: sa.Connection, key: sa.Column[str], uids: Collection[str]) -> int:
        deleted = 0
        for part in _parts(sorted(uids)):
            mine = sa.and_(key.table.c.site_id == self._site_id, key.in_(part))
            deleted += connection.execute(sa.delete(key.table).where(mine)).rowcount
        return deleted

    def _count_deleted(self, connection: sa.Connection, rows: int) -> None:
        if rows:
            insert = self._records.insert(study_deletion)
            more = study_deletion.c.rows + insert.excluded.rows
            raised = insert.on_conflict_do_update(index_elements=["site_id"], set_={"rows": more})
            connection.execute(raised, [{"site_id": self._site_id, "rows": rows}])

    def refresh_statistics(self) -> None:
        """Tell the database's planner what the tables hold now: after a first fill.

        A sample of the rows; some milliseconds on SQLite, about a second on PostgreSQL, which else
        looks by itself within minutes. No search depends on it for being right.
        """
        with self._turn, self._records.write() as connection:
            if connection.dialect.name == "sqlite":
                connection.execute(sa.text("PRAGMA analysis_limit = 1000"))
            for table in (study, series, patient_name, word_of_name, word_ending, modality_set):
                connection.execute(sa.text(f"ANALYZE {table.name}"))


def _sight_of(row: IndexRow) -> Sight:
    said = (row.study[name] for name in ("study_uid", "study_date", "changed_at"))
    study_uid, study_date, changed_at = said
    return Sight(study_uid, row.shown, study_date, changed_at)


def _row(cursor: Cursor, mine: Mapping[str, str]) -> dict[str, Any]:
    return {**vars(cursor), **mine, "read_at": None}


def _parts(uids: Sequence[str]) -> Iterator[Sequence[str]]:
    """Few enough for one statement of either database."""
    for start in range(0, len(uids), PAGE):
        yield uids[start : start + PAGE]


def _upsert(records: Records, table: sa.Table, kept: Collection[str] = ()) -> sa.Insert:
    """INSERT, or UPDATE of every column but `kept` where the row is there already."""
    insert = records.insert(table)
    keys = {column.name for column in table.primary_key}
    names = [column.name for column in table.columns if column.name not in keys]
    changed = {name: insert.excluded[name] for name in names if name not in kept}
    return insert.on_conflict_do_update(index_elements=sorted(keys), set_=changed)


def load_cursor(records: Records, site_id: str) -> Cursor | None:
    """How far a site was read; None if it never was."""
    names = [site_cursor.c[name] for name in Cursor.__dataclass_fields__]
    question = sa.select(*names).where(site_cursor.c.site_id == site_id)
    with records.read() as connection:
        row = connection.execute(question).mappings().one_or_none()
    return Cursor(**row) if row else None


def load_known(
    records: Records, site_id: str, uids: Collection[str] | None = None, after: str = ""
) -> dict[str, Known]:
    """Studies of a site in the index: these, or the next PAGE in the order of their UIDs."""
    names = [study.c[name] for name in Known.__dataclass_fields__]
    question = sa.select(*names).where(study.c.site_id == site_id)
    if uids is None:
        question = question.where(study.c.study_uid > after)
        question = question.order_by(study.c.study_uid).limit(PAGE)
    else:
        question = question.where(study.c.study_uid.in_(uids))
    with records.read() as connection:
        return {row["study_uid"]: Known(**row) for row in connection.execute(question).mappings()}


def forget_marks(records: Records, site_id: str) -> None:
    """The next comparison reads every study of this site again, whatever the site's list says."""
    with records.write() as connection:
        connection.execute(sa.update(study).where(study.c.site_id == site_id).values(mark=""))


def load_unsized(
    records: Records, site_id: str, since: datetime | None, without: Collection[str], limit: int
) -> Sequence[tuple[str, str]]:
    """(study UID, Orthanc's id) of studies whose size is not known, last read first.

    since  None: however long ago they were read; of those still arriving, none
    """
    question = sa.select(study.c.study_uid, study.c.orthanc_id).where(
        study.c.site_id == site_id,
        study.c.size_bytes.is_(None),
        study.c.arriving == sa.false(),
        study.c.study_uid.not_in(without),
    )
    if since is not None:
        question = question.where(study.c.indexed_at > since)
    with records.read() as connection:
        rows = connection.execute(question.order_by(study.c.indexed_at.desc()).limit(limit))
        return [(row.study_uid, row.orthanc_id) for row in rows]


def walk_known(records: Records, site_id: str) -> Iterator[list[Known]]:
    """All studies of a site in the index, page by page; rows may come and go meanwhile."""
    after = ""
    while page := list(load_known(records, site_id, after=after).values()):
        yield page
        after = page[-1].study_uid


def load_sums(records: Records, site_id: str) -> tuple[int, int, int]:
    """Studies, series and instances of a site in the index."""
    sums = (sa.func.coalesce(sa.func.sum(study.c[f"{name}_count"]), 0)
            for name in ("series", "instance"))  # fmt: skip
    question = sa.select(sa.func.count(), *sums).where(study.c.site_id == site_id)
    with records.read() as connection:
        studies, all_series, instances = connection.execute(question).one()
    return int(studies), int(all_series), int(instances)


def save_read_at(records: Records, read_at: Mapping[str, datetime], fence: Fence) -> None:
    """When each of these sites' feeds was last read to its end. raises LeaseLost"""
    moved = (
        sa.update(site_cursor)
        .where(site_cursor.c.site_id == sa.bindparam("of_site"))
        .values(read_at=sa.bindparam("moment"))
    )
    rows = [{"of_site": site_id, "moment": at} for site_id, at in sorted(read_at.items())]
    with records.write() as connection:
        fence.check(connection)
        connection.execute(moved, rows)


def load_bells(records: Records, after: int) -> tuple[int, frozenset[str]]:
    """(number of the last event, sites of all events after number `after`)."""
    question = sa.select(site_event.c.id, site_event.c.site_id).where(site_event.c.id > after)
    with records.read() as connection:
        rows = connection.execute(question).all()
    return max([after, *(row.id for row in rows)]), frozenset(row.site_id for row in rows)


def last_bell(records: Records) -> int:
    """The number of the newest event."""
    with records.read() as connection:
        return connection.execute(sa.select(sa.func.max(site_event.c.id))).scalar_one() or 0


def forget_site(records: Records, site_id: str, now: datetime) -> int:
    """Delete all that the index knows of a site that nobody follows; how many studies.

    Works in portions: broken off, it leaves a site that would be filled again.
    """
    writer = IndexWriter(records, site_id, None, threading.Lock())
    forgotten = 0
    for page in walk_known(records, site_id):
        cursor = Cursor(0, "", "filling", 0, 0, now)
        writer.save(cursor, gone=[known.study_uid for known in page], now=now)
        forgotten += len(page)
    with records.write() as connection:
        connection.execute(sa.delete(site_cursor).where(site_cursor.c.site_id == site_id))
    return forgotten
