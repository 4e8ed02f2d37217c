"""Arrivals: one row for each study that a site was seen to hold, and what was decided of it.

The transaction that writes a study into the index touches its arrival (`touch_arrivals`), so none
can be missed: what was touched is due (`due_at`) until somebody has looked at it. A manifest is
what the study held when it was planned; another content is another epoch.
"""

import zlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from gateway.model.manifests import Instance, Manifest
from gateway.records.engine import Records, UtcDateTime, metadata
from gateway.records.studies import site_cursor

OLD = timedelta(hours=1)
PORTION = 1000


class Arrived(StrEnum):
    """What was decided of a study when it was last looked at.

    SEEN     nothing yet
    PLANNED  it has deliveries
    HELD     a rule, or the lack of one that fits, leaves it to a person
    DROPPED  a rule sends it nowhere
    UNRULED  its site has no active rules of its own: it is judged as soon as it has
    EXEMPT   it lies already where the rules would send it
    FAILED   it could not be judged and is tried again
    GONE     the site has it no more
    """

    SEEN = "seen"
    PLANNED = "planned"
    HELD = "held"
    DROPPED = "dropped"
    UNRULED = "unruled"
    EXEMPT = "exempt"
    FAILED = "failed"
    GONE = "gone"


arrival = sa.Table(
    "arrival",
    metadata,
    sa.Column("site_id", sa.String(32), primary_key=True),
    sa.Column("study_uid", sa.String(64), primary_key=True),
    sa.Column("first_seen_at", UtcDateTime, nullable=False),
    sa.Column("changed_at", UtcDateTime, nullable=False),  # when we last saw it change
    # What the index had when it was touched: as long as it has the same, nothing arrived.
    sa.Column("mark", sa.String(64), nullable=False),
    sa.Column("instance_count", sa.Integer, nullable=False),
    # Old already when the site was first filled: what is new does not wait behind it.
    sa.Column("backlog", sa.Boolean, nullable=False),
    sa.Column("due_at", UtcDateTime),  # when to look at it; NULL: nothing has changed since
    sa.Column("growing_since", UtcDateTime),  # the first change since it was last decided
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("rule", sa.String(96), nullable=False),  # "owner/rule id" of a hold or drop
    sa.Column("versions", sa.String(96), nullable=False),  # "ministry:2 gkb1:7"
    sa.Column("epoch", sa.Integer, nullable=False),  # 0: no manifest yet
    sa.Column("manifest_hash", sa.String(64), nullable=False),
    sa.Column("judged_at", UtcDateTime),
)
_DUE = arrival.c.due_at.is_not(None)
sa.Index(
    "arrival_due", arrival.c.site_id, arrival.c.backlog, arrival.c.due_at,
    sqlite_where=_DUE, postgresql_where=_DUE,
)  # fmt: skip
sa.Index("arrival_by_state", arrival.c.state, arrival.c.site_id)
sa.Index("arrival_judged", arrival.c.judged_at)

manifest = sa.Table(
    "manifest",
    metadata,
    sa.Column("site_id", sa.String(32), primary_key=True),
    sa.Column("study_uid", sa.String(64), primary_key=True),
    sa.Column("epoch", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("hash", sa.String(64), nullable=False),
    sa.Column("taken_at", UtcDateTime, nullable=False),
    sa.Column("instances", sa.LargeBinary, nullable=False),  # zlib of JSON
)


@dataclass(frozen=True)
class Arrival:
    """A row of `arrival`, as far as a decision needs it."""

    site_id: str
    study_uid: str
    first_seen_at: datetime
    changed_at: datetime
    instance_count: int
    backlog: bool
    due_at: datetime | None
    growing_since: datetime | None
    state: Arrived
    reason: str
    rule: str
    versions: str
    epoch: int
    manifest_hash: str
    judged_at: datetime | None


def touch_arrivals(
    connection: sa.Connection,
    site_id: str,
    studies: Iterable[Mapping[str, Any]],
    now: datetime,
    *,
    filling: bool,
) -> None:
    """Make those of these studies due that are new or hold something else than before.

    studies  rows of the index
    filling  the site is read for the first time: what is old there is backlog
    """
    rows = [
        {
            "site_id": site_id, "study_uid": row["study_uid"], "first_seen_at": now,
            "changed_at": now, "mark": row["mark"], "instance_count": row["instance_count"],
            "backlog": filling and _is_old(row["changed_at"], now), "due_at": now,
            "growing_since": now, "state": Arrived.SEEN, "reason": "", "rule": "", "versions": "",
            "epoch": 0, "manifest_hash": "",
        }
        for row in studies
    ]  # fmt: skip
    if not rows:
        return
    insert = _insert(connection, arrival)
    same = sa.and_(
        arrival.c.mark == insert.excluded.mark,
        arrival.c.instance_count == insert.excluded.instance_count,
    )
    changed: dict[str, Any] = {
        name: insert.excluded[name] for name in ("changed_at", "mark", "due_at")
    }
    changed["instance_count"] = insert.excluded.instance_count
    changed["growing_since"] = sa.func.coalesce(
        arrival.c.growing_since, insert.excluded.growing_since
    )
    changed["backlog"] = sa.false()
    keys = ["site_id", "study_uid"]
    connection.execute(
        insert.on_conflict_do_update(index_elements=keys, set_=changed, where=~same), rows
    )


def _is_old(changed_at: datetime | None, now: datetime) -> bool:
    return changed_at is None or now - changed_at > OLD


def touch_gone(
    connection: sa.Connection, site_id: str, study_uids: Collection[str], now: datetime
) -> None:
    """The index lost these studies: somebody looks whether the site has."""
    mine = sa.and_(arrival.c.site_id == site_id, arrival.c.study_uid == sa.bindparam("of_study"))
    rows = [{"of_study": study_uid} for study_uid in sorted(study_uids)]
    if rows:
        moved = sa.update(arrival).where(mine).values(due_at=now, changed_at=now, mark="")
        connection.execute(moved, rows)


def touch_again(connection: sa.Connection, site_id: str, study_uid: str, now: datetime) -> None:
    """A worker found something else at the site than what was planned: it is looked at anew."""
    mine = sa.and_(arrival.c.site_id == site_id, arrival.c.study_uid == study_uid)
    moved = {"due_at": now, "changed_at": now}
    growing = sa.func.coalesce(arrival.c.growing_since, now)
    connection.execute(sa.update(arrival).where(mine).values(**moved, growing_since=growing))


def _insert(connection: sa.Connection, table: sa.Table) -> "sqlite.Insert | postgresql.Insert":
    of = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    return of(table)


def load_due_sites(records: Records, now: datetime) -> frozenset[str]:
    """Sites of which a study is due."""
    mine = arrival.c.site_id == site_cursor.c.site_id
    due = sa.exists().where(mine, arrival.c.due_at <= now)
    with records.read() as connection:
        rows = connection.execute(sa.select(site_cursor.c.site_id).where(due))
        return frozenset(rows.scalars())


def load_unruled_sites(records: Records) -> frozenset[str]:
    """Sites of which a study waits for rules."""
    mine = arrival.c.site_id == site_cursor.c.site_id
    waits = sa.and_(mine, arrival.c.state == Arrived.UNRULED, arrival.c.due_at.is_(None))
    with records.read() as connection:
        question = sa.select(site_cursor.c.site_id).where(sa.exists().where(waits))
        return frozenset(connection.execute(question).scalars())


def load_due(records: Records, site_id: str, now: datetime, most: int) -> list[Arrival]:
    """Studies to look at: new ones before the backlog, and who waits longest first."""
    mine = sa.and_(arrival.c.site_id == site_id, arrival.c.due_at <= now)
    order = (arrival.c.backlog, arrival.c.due_at)
    with records.read() as connection:
        return read_arrivals(
            connection, sa.select(arrival).where(mine).order_by(*order).limit(most)
        )


def load_arrival(records: Records, site_id: str, study_uid: str) -> Arrival | None:
    """What is known of one study of one site; None if it was never seen there."""
    mine = sa.and_(arrival.c.site_id == site_id, arrival.c.study_uid == study_uid)
    with records.read() as connection:
        found = read_arrivals(connection, sa.select(arrival).where(mine))
    return found[0] if found else None


def load_arrivals(records: Records, study_uid: str) -> list[Arrival]:
    """What is known of one study, at every site that was seen to hold it."""
    mine = sa.select(arrival).where(arrival.c.study_uid == study_uid)
    with records.read() as connection:
        return read_arrivals(connection, mine.order_by(arrival.c.site_id))


def count_arrivals(records: Records) -> Mapping[tuple[str, Arrived], int]:
    """How many studies stand where, by site."""
    groups = (arrival.c.site_id, arrival.c.state)
    with records.read() as connection:
        rows = connection.execute(sa.select(*groups, sa.func.count()).group_by(*groups)).all()
    return {(site_id, Arrived(state)): count for site_id, state, count in rows}


def read_arrivals(connection: sa.Connection, question: sa.Select[Any]) -> list[Arrival]:
    """The rows of a question for all columns of `arrival`."""
    names = tuple(Arrival.__dataclass_fields__)
    return [
        Arrival(**{name: row[name] for name in names} | {"state": Arrived(row["state"])})
        for row in connection.execute(question).mappings()
    ]


def look_again(
    records: Records, site_id: str, now: datetime, *states: Arrived, study_uid: str = ""
) -> int:
    """Make studies of a site that are in these states due, PORTION of them at most; how many.

    study_uid  only this one
    """
    mine = sa.and_(
        arrival.c.site_id == site_id, arrival.c.state.in_(states), arrival.c.due_at.is_(None)
    )
    if study_uid:
        mine = sa.and_(mine, arrival.c.study_uid == study_uid)
    some = sa.select(arrival.c.study_uid).where(mine).limit(PORTION)
    moved = sa.update(arrival).where(arrival.c.site_id == site_id, arrival.c.study_uid.in_(some))
    with records.write() as connection:
        return connection.execute(moved.values(due_at=now)).rowcount


def write_manifest(
    connection: sa.Connection, site_id: str, epoch: int, found: Manifest, now: datetime
) -> None:
    """Keep what an epoch holds."""
    listed = [(one.sop_uid, one.series_uid, one.size, one.md5) for one in found.instances]
    row = {
        "site_id": site_id, "study_uid": found.study_uid, "epoch": epoch, "hash": found.hash,
        "taken_at": now, "instances": zlib.compress(orjson.dumps(listed)),
    }  # fmt: skip
    connection.execute(sa.insert(manifest).values(row))


def read_kept_manifest(
    connection: sa.Connection, site_id: str, study_uid: str, epoch: int
) -> Manifest | None:
    """What an epoch of a study held; None if there is no such epoch."""
    question = sa.select(manifest.c.instances).where(
        manifest.c.site_id == site_id,
        manifest.c.study_uid == study_uid,
        manifest.c.epoch == epoch,
    )
    packed = connection.execute(question).scalar_one_or_none()
    if packed is None:
        return None
    return Manifest(
        study_uid, tuple(Instance(*one) for one in orjson.loads(zlib.decompress(packed)))
    )
