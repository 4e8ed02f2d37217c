"""Rows of which evidence has not been counted yet, and how far it has come (sightings.py)."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile

import sqlalchemy as sa

from gateway.model.deliveries import State
from gateway.model.rollout.minutes import Moment, seconds_to
from gateway.model.rollout.senders import study_key
from gateway.records.deliveries import delivery, delivery_event
from gateway.records.engine import Records
from gateway.records.sightings import Books, evidence_cursor, insert_into, read_rows, seen_study
from gateway.records.studies import series, study

PORTION = 200
EVENTS = 1000


@dataclass(frozen=True)
class Uncounted:
    """A study of the index; records: DICOM JSON, of it and of its series."""

    study_uid: str
    study_date: str
    changed_at: datetime | None
    record: bytes
    series: Sequence[bytes]


@dataclass(frozen=True)
class Delivered:
    """A study is at a destination. number: of the event."""

    number: int
    study_uid: str
    at: datetime


def load_place(records: Records, name: str) -> tuple[str, bool]:
    """(how far it has come, whether that is the end); "" at the beginning."""
    question = sa.select(evidence_cursor.c.place, evidence_cursor.c.done_at)
    with records.read() as connection:
        row = connection.execute(question.where(evidence_cursor.c.name == name)).one_or_none()
    return ("", False) if row is None else (row.place, row.done_at is not None)


def save_place(
    connection: sa.Connection, name: str, place: str, done_at: datetime | None = None
) -> None:
    insert = insert_into(connection, evidence_cursor)
    moved = {"place": insert.excluded.place, "done_at": insert.excluded.done_at}
    upsert = insert.on_conflict_do_update(index_elements=["name"], set_=moved)
    connection.execute(upsert, [{"name": name, "place": place, "done_at": done_at}])


def load_uncounted(records: Records, site_id: str, after: str) -> tuple[list[Uncounted], str]:
    """The next PORTION of a site's studies in the order of their UIDs.

    returns  those that nobody has counted, or only an archive; the UID of the last one that was
             looked at, "" at the end
    """
    names = (study.c.study_uid, study.c.study_date, study.c.changed_at)
    page = sa.select(*names).where(study.c.site_id == site_id, study.c.study_uid > after)
    with records.read() as connection:
        rows = connection.execute(page.order_by(study.c.study_uid).limit(PORTION)).all()
        if not rows:
            return [], ""
        keys = {study_key(row.study_uid): row for row in rows}
        for seen in read_rows(connection, seen_study, keys):
            if seen.site_id == site_id or not seen.is_archive:
                del keys[seen.study]
        mine = [row.study_uid for row in keys.values()]
        told = _records_of(connection, study, site_id, mine)
        parts = _records_of(connection, series, site_id, mine)
    found = [
        Uncounted(row.study_uid, row.study_date, row.changed_at, told[row.study_uid][0],
                  parts.get(row.study_uid, []))
        for row in keys.values()
        if row.study_uid in told
    ]  # fmt: skip
    return found, rows[-1].study_uid


def _records_of(
    connection: sa.Connection, table: sa.Table, site_id: str, study_uids: Sequence[str]
) -> Mapping[str, list[bytes]]:
    mine = sa.and_(table.c.site_id == site_id, table.c.study_uid.in_(study_uids))
    found: dict[str, list[bytes]] = {}
    for row in connection.execute(sa.select(table.c.study_uid, table.c.record).where(mine)):
        found.setdefault(row.study_uid, []).append(row.record)
    return found


def last_event(records: Records) -> int:
    """The number of the newest event of a delivery; 0: there was none."""
    with records.read() as connection:
        return connection.execute(sa.select(sa.func.max(delivery_event.c.id))).scalar_one() or 0


def load_delivered(
    records: Records, after: int, until: datetime, destinations: Collection[str]
) -> list[Delivered]:
    """Studies that are proven to be at one of these since event number `after`, EVENTS at most, and
    none behind one that is younger than `until`.
    """
    names = (delivery_event.c.id, delivery.c.study_uid, delivery_event.c.at)
    question = (
        sa.select(*names)
        .join_from(delivery_event, delivery, delivery.c.delivery_id == delivery_event.c.delivery_id)
        .where(delivery_event.c.id > after, delivery_event.c.to_state == State.DELIVERED)
        .where(delivery.c.destination.in_(sorted(destinations)))
        .order_by(delivery_event.c.id)
        .limit(EVENTS)
    )
    with records.read() as connection:
        found = (Delivered(*row) for row in connection.execute(question).all())
        return [*takewhile(lambda one: one.at <= until, found)]


def write_archived(connection: sa.Connection, delivered: Sequence[Delivered]) -> None:
    """Stop the clock of these studies, of each the first time."""
    first: dict[bytes, datetime] = {}
    for one in delivered:
        first.setdefault(study_key(one.study_uid), one.at)
    books, moved = Books(), []
    for row in read_rows(connection, seen_study, first):
        if row.taken_at is None or row.archived_s is not None:
            continue
        seconds = seconds_to(row.taken_at, first[row.study])
        books.clock(row.day, row.site_id, Moment.ARCHIVED, seconds)
        moved.append({"of_study": row.study, "seconds": seconds})
    if moved:
        mine = sa.update(seen_study).where(seen_study.c.study == sa.bindparam("of_study"))
        connection.execute(mine.values(archived_s=sa.bindparam("seconds")), moved)
    books.write(connection)
