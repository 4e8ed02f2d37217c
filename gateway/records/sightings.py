"""What arriving studies tell of the machines that made them (rollout.md 3): evidence by day.

The transaction that writes a study into the index writes it here too, so that none is missed and
none counts twice: not when it is read again, nor when it is deleted and sent again, nor a copy at
another hospital. The site where it first arrived keeps it; an archive gives way to a hospital.
Counts hang on senders, never on units: which unit a sender is can be judged anew at any time.
Nothing here names a patient or a study.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from gateway.model.alarms import SENDERS_WITHOUT_END
from gateway.model.rollout.minutes import Moment, rounded_s, seconds_to
from gateway.model.rollout.senders import Sender, Shown, at_site, day_of_old, study_key
from gateway.model.sites import Site
from gateway.records.alarms import write_alarm
from gateway.records.arrivals import arrival
from gateway.records.engine import BigId, UtcDateTime, metadata

NEW_IN_A_DAY = 500
"""New senders of a site in a day; what is beyond counts as images that do not say of whom."""
OF_ARCHIVE = 40
"""An archive may show so many times more: those of a region."""
AT_ALL = 20 * NEW_IN_A_DAY
FRESH = timedelta(hours=1)
PART = 500

sender = sa.Table(
    "sender",
    metadata,
    sa.Column("sender_id", BigId, primary_key=True),
    sa.Column("site_id", sa.String(32), nullable=False),
    sa.Column("machine", sa.LargeBinary(16), nullable=False),  # Sender.machine
    sa.Column("manufacturer", sa.String(64), nullable=False),
    sa.Column("model", sa.String(64), nullable=False),
    sa.Column("serial", sa.String(64), nullable=False),
    sa.Column("station", sa.String(64), nullable=False),
    sa.Column("institution", sa.String(64), nullable=False),
    sa.Column("noted_at", UtcDateTime, nullable=False),
    sa.UniqueConstraint("site_id", "machine"),
)

# Studies of a sender by the day on which they reached the gateway, or their site before it was
# looked at; of an image's modality. A row of no studies is no row.
sender_day = sa.Table(
    "sender_day",
    metadata,
    sa.Column("sender_id", BigId, primary_key=True, autoincrement=False),
    sa.Column("day", sa.Date, primary_key=True),
    sa.Column("modality", sa.String(16), primary_key=True),
    sa.Column("studies", sa.Integer, nullable=False),
    sqlite_with_rowid=False,
)
sa.Index("sender_day_by_day", sender_day.c.day)

# Studies of a site: here one that two machines made counts once.
study_day = sa.Table(
    "study_day",
    metadata,
    sa.Column("day", sa.Date, primary_key=True),
    sa.Column("site_id", sa.String(32), primary_key=True),
    sa.Column("studies", sa.Integer, nullable=False),
    sqlite_with_rowid=False,
)

# How long studies took to a moment (model/rollout/minutes.py): how many took so many seconds.
clock_day = sa.Table(
    "clock_day",
    metadata,
    sa.Column("day", sa.Date, primary_key=True),
    sa.Column("site_id", sa.String(32), primary_key=True),
    sa.Column("moment", sa.String(16), primary_key=True),
    sa.Column("seconds", sa.Integer, primary_key=True, autoincrement=False),  # rounded up; or WRONG
    sa.Column("studies", sa.Integer, nullable=False),
    sqlite_with_rowid=False,
)

# What has been counted, so that it is not again.
seen_study = sa.Table(
    "seen_study",
    metadata,
    sa.Column("study", sa.LargeBinary(16), primary_key=True),  # study_key
    sa.Column("site_id", sa.String(32), nullable=False),
    sa.Column("is_archive", sa.Boolean, nullable=False),
    sa.Column("day", sa.Date, nullable=False),
    # The two-minute clock, of those that came while we looked; NULL: not measured.
    sa.Column("taken_at", UtcDateTime),
    sa.Column("visible_s", sa.Integer),
    sa.Column("archived_s", sa.Integer),
    sqlite_with_rowid=False,
)
sighting = sa.Table(
    "sighting",
    metadata,
    sa.Column("study", sa.LargeBinary(16), primary_key=True),
    sa.Column("machine", sa.LargeBinary(16), primary_key=True),
    sa.Column("sender_id", sa.BigInteger, nullable=False),
    sa.Column("day", sa.Date, nullable=False),
    sa.Column("modality", sa.String(16), nullable=False),
    sqlite_with_rowid=False,
)

# How far what is done in portions has come (rollout/catching_up.py).
evidence_cursor = sa.Table(
    "evidence_cursor",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("place", sa.String(64), nullable=False),
    sa.Column("done_at", UtcDateTime),
)


@dataclass(frozen=True)
class Witness:
    """The site at which studies are seen. zone: its own, in which a day begins."""

    site_id: str
    is_archive: bool
    zone: tzinfo


def witness_of(site: Site) -> Witness:
    return Witness(site.site_id, site.role == "archive", ZoneInfo(site.time_zone))


@dataclass(frozen=True)
class Sight:
    """A study as it was read. study_date, changed_at: as in the index."""

    study_uid: str
    shown: Shown
    study_date: str
    changed_at: datetime | None


class Books:
    """What one transaction adds to the counters, or takes away."""

    def __init__(self) -> None:
        self._counts: dict[sa.Table, Counter[tuple[Any, ...]]] = {
            table: Counter() for table in (sender_day, study_day, clock_day)
        }

    def sender(self, sender_id: int, day: date, modality: str, more: int = 1) -> None:
        self._counts[sender_day][sender_id, day, modality] += more

    def study(self, day: date, site_id: str, more: int = 1) -> None:
        self._counts[study_day][day, site_id] += more

    def clock(self, day: date, site_id: str, moment: Moment, seconds: int, more: int = 1) -> None:
        self._counts[clock_day][day, site_id, moment, rounded_s(seconds)] += more

    def write(self, connection: sa.Connection) -> None:
        for table, counts in self._counts.items():
            keys = [column.name for column in table.primary_key]
            rows = [
                {**dict(zip(keys, key, strict=True)), "studies": more}
                for key, more in sorted(counts.items())
                if more
            ]
            if not rows:
                continue
            connection.execute(_adding(connection.dialect.name, table), rows)
            less = [{f"of_{key}": row[key] for key in keys} for row in rows if row["studies"] < 0]
            if less:
                mine = (table.c[key] == sa.bindparam(f"of_{key}") for key in keys)
                connection.execute(sa.delete(table).where(*mine, table.c.studies <= 0), less)


def insert_into(connection: sa.Connection, table: sa.Table) -> "sqlite.Insert | postgresql.Insert":
    return _insert(connection.dialect.name, table)


def _insert(dialect: str, table: sa.Table) -> "sqlite.Insert | postgresql.Insert":
    return sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)


# Statements are made once: to make one costs more than to execute it.


@cache
def _adding(dialect: str, table: sa.Table) -> "sqlite.Insert | postgresql.Insert":
    """Adds to a counter."""
    insert = _insert(dialect, table)
    keys = [column.name for column in table.primary_key]
    total = table.c.studies + insert.excluded.studies
    return insert.on_conflict_do_update(index_elements=keys, set_={"studies": total})


@cache
def _those(
    wanted: tuple[sa.Column[Any], ...], key: sa.Column[Any], *at: sa.Column[Any]
) -> sa.Select[Any]:
    """Columns of rows whose key is one of :keys, and whose site, if asked for, is :site_id."""
    some = key.in_(sa.bindparam("keys", expanding=True))
    return sa.select(*wanted).where(some, *(one == sa.bindparam("site_id") for one in at))


def _read(
    connection: sa.Connection, question: sa.Select[Any], keys: Collection[Any], **at: str
) -> list[sa.Row[Any]]:
    ordered = sorted(keys)
    return [
        row
        for start in range(0, len(ordered), PART)
        for row in connection.execute(question, {"keys": ordered[start : start + PART], **at})
    ]


def write_sightings(
    connection: sa.Connection, at: Witness, sights: Iterable[Sight], now: datetime, *, filling: bool
) -> None:
    """Count the machines of these studies, once each; touch_arrivals must have seen them.

    filling  the site is read for the first time: what lies there came before today
    What another hospital has shown first is its own, whatever the copy says of its machine.
    """
    found = {study_key(sight.study_uid): sight for sight in sights if sight.shown.senders}
    seen = {row.study: row for row in read_rows(connection, seen_study, found)}
    mine = {key: row for key, row in seen.items() if row.site_id == at.site_id}
    taken = {
        key: row
        for key, row in seen.items()
        if key not in mine and row.is_archive and not at.is_archive
    }
    marked = read_rows(connection, sighting, {*mine, *taken})
    books = Books()
    _give_way(connection, at, taken, [row for row in marked if row.study in taken], books)
    days = _note_studies(connection, at, found, seen, now, books, filling=filling)
    days |= {key: row.day for key, row in taken.items()}
    today = now.astimezone(at.zone).date()
    counted = {(row.study, row.machine) for row in marked if row.study in mine}
    wanted = [
        (key, one, modality, days.get(key) or (mine[key].day if filling else today))
        for key in (*mine, *days)
        for one, modality in found[key].shown.senders
        if (key, one.machine) not in counted
    ]
    _note_machines(connection, at, wanted, counted, now, books)
    books.write(connection)


def read_rows(
    connection: sa.Connection, table: sa.Table, studies: Collection[bytes]
) -> list[sa.Row[Any]]:
    """Rows of seen_study or sighting."""
    return _read(connection, _those(tuple(table.c), table.c.study), studies)


def _note_machines(
    connection: sa.Connection, at: Witness, wanted: Sequence[tuple[bytes, Sender, str, date]],
    counted: Collection[tuple[bytes, bytes]], now: datetime, books: Books,
) -> None:  # fmt: skip
    """Write machines of studies, with modality and day; not those that have been counted."""
    ids = _sender_ids(connection, at, {one.machine: one for _, one, _, _ in wanted}, now)
    rows: dict[tuple[bytes, bytes], dict[str, Any]] = {}
    for key, one, modality, day in wanted:
        machine, sender_id = ids[one.machine]
        if (key, machine) not in counted and (key, machine) not in rows:
            rows[key, machine] = {"study": key, "machine": machine, "sender_id": sender_id,
                                  "day": day, "modality": modality}  # fmt: skip
            books.sender(sender_id, day, modality)
    if rows:
        connection.execute(sa.insert(sighting), [*rows.values()])


def _give_way(
    connection: sa.Connection, at: Witness, taken: Mapping[bytes, sa.Row[Any]],
    marked: Iterable[sa.Row[Any]], books: Books,
) -> None:  # fmt: skip
    """A hospital shows what an archive showed before it: that is where the machine stands."""
    for row in marked:
        books.sender(row.sender_id, row.day, row.modality, -1)
    for row in taken.values():
        for site_id, more in ((row.site_id, -1), (at.site_id, 1)):
            books.study(row.day, site_id, more)
            for moment, seconds in _measured(row):
                books.clock(row.day, site_id, moment, seconds, more)
    keys = [{"of_study": key} for key in sorted(taken)]
    if keys:
        of_study: sa.BindParameter[bytes] = sa.bindparam("of_study")
        connection.execute(sa.delete(sighting).where(sighting.c.study == of_study), keys)
        moved = sa.update(seen_study).where(seen_study.c.study == of_study)
        connection.execute(moved.values(site_id=at.site_id, is_archive=False), keys)


def _measured(row: sa.Row[Any]) -> list[tuple[Moment, int]]:
    spans = ((Moment.VISIBLE, row.visible_s), (Moment.ARCHIVED, row.archived_s))
    return [(moment, seconds) for moment, seconds in spans if seconds is not None]


def _note_studies(
    connection: sa.Connection, at: Witness, found: Mapping[bytes, Sight],
    seen: Collection[bytes], now: datetime, books: Books, *, filling: bool,
) -> dict[bytes, date]:  # fmt: skip
    """Write the studies that nobody has shown yet; the day of each."""
    fresh = {key: sight for key, sight in found.items() if key not in seen}
    arrived = _arrivals_of(connection, at.site_id, [one.study_uid for one in fresh.values()])
    rows, days = [], {}
    for key, sight in fresh.items():
        first_at, is_backlog = arrived.get(sight.study_uid, (now, True))
        day = first_at.astimezone(at.zone).date()
        is_old = filling or is_backlog
        if is_old:
            day = day_of_old(sight.study_date, sight.changed_at, day, at.zone)
        books.study(day, at.site_id)
        taken_at, visible_s = None, None
        if sight.shown.taken_at is not None and not is_old and now - first_at < FRESH:
            taken_at = sight.shown.taken_at
            visible_s = seconds_to(taken_at, now)
            books.clock(day, at.site_id, Moment.VISIBLE, visible_s)
        days[key] = day
        rows.append(
            {"study": key, "site_id": at.site_id, "is_archive": at.is_archive, "day": day,
             "taken_at": taken_at, "visible_s": visible_s}
        )  # fmt: skip
    if rows:
        connection.execute(sa.insert(seen_study), rows)
    return days


def _arrivals_of(
    connection: sa.Connection, site_id: str, study_uids: Sequence[str]
) -> dict[str, tuple[datetime, bool]]:
    """When this site was first seen to hold each of them, and whether it was old by then."""
    columns = (arrival.c.study_uid, arrival.c.first_seen_at, arrival.c.backlog)
    question = _those(columns, arrival.c.study_uid, arrival.c.site_id)
    rows = _read(connection, question, study_uids, site_id=site_id)
    return {row.study_uid: (row.first_seen_at, row.backlog) for row in rows}


def _sender_ids(
    connection: sa.Connection, at: Witness, machines: Mapping[bytes, Sender], now: datetime
) -> dict[bytes, tuple[bytes, int]]:
    """(machine that it counts as, its number) of each; those not known yet are written.

    Who sends ever new ones fills no disk: beyond the limits they count as NOBODY.
    """
    known = _read_senders(connection, at.site_id, machines)
    new = {machine: one for machine, one in machines.items() if machine not in known}
    if new:
        room = room_for_new(connection, at, now)
        for machine in sorted(new)[:room]:
            known[machine] = (machine, _add_sender(connection, at, new[machine], now))
        if len(new) > room:
            nobody = Sender("")
            of_nobody = _read_senders(connection, at.site_id, [nobody.machine]).get(nobody.machine)
            number = of_nobody[1] if of_nobody else _add_sender(connection, at, nobody, now)
            known |= dict.fromkeys(sorted(new)[room:], (nobody.machine, number))
            write_alarm(connection, SENDERS_WITHOUT_END, at.site_id, {}, now)
    return known


def _read_senders(
    connection: sa.Connection, site_id: str, machines: Collection[bytes]
) -> dict[bytes, tuple[bytes, int]]:
    columns = (sender.c.machine, sender.c.sender_id)
    question = _those(columns, sender.c.machine, sender.c.site_id)
    rows = _read(connection, question, machines, site_id=site_id)
    return {row.machine: (row.machine, row.sender_id) for row in rows}


def room_for_new(connection: sa.Connection, at: Witness, now: datetime) -> int:
    """How many more senders this site may show today."""
    times = OF_ARCHIVE if at.is_archive else 1
    mine = sender.c.site_id == at.site_id
    today = sa.func.count().filter(sender.c.noted_at > now - timedelta(days=1))
    new, all_of_them = connection.execute(
        sa.select(today, sa.func.count()).select_from(sender).where(mine)
    ).one()
    return max(0, min(times * NEW_IN_A_DAY - new, times * AT_ALL - all_of_them))


def _add_sender(connection: sa.Connection, at: Witness, one: Sender, now: datetime) -> int:
    row = {**vars(at_site(one, at.site_id)), "machine": one.machine, "noted_at": now}
    added = sa.insert(sender).values(row).returning(sender.c.sender_id)
    return int(connection.execute(added).scalar_one())
