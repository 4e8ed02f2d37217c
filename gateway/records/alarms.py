"""Alarms: one row for each cause, open until it has gone (trust.md R5).

Raising what is open already only moves `last_seen_at`; clearing what is not open does nothing. So
whoever looks may raise or clear as often as it looks.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from gateway.model.alarms import Alarm
from gateway.records.engine import BigId, Records, UtcDateTime, metadata

alarm = sa.Table(
    "alarm",
    metadata,
    sa.Column("id", BigId, primary_key=True),
    sa.Column("kind", sa.String(64), nullable=False),
    sa.Column("subject", sa.String(128), nullable=False),  # a UID or an id of ours
    sa.Column("facts", sa.Text, nullable=False),  # JSON object
    sa.Column("raised_at", UtcDateTime, nullable=False),
    sa.Column("last_seen_at", UtcDateTime, nullable=False),
    sa.Column("cleared_at", UtcDateTime),
)
_OPEN = alarm.c.cleared_at.is_(None)
sa.Index(
    "alarm_open", alarm.c.kind, alarm.c.subject, unique=True,
    sqlite_where=_OPEN, postgresql_where=_OPEN,
)  # fmt: skip


def raise_alarm(
    records: Records, kind: str, subject: str, facts: Mapping[str, Any], now: datetime
) -> None:
    """There is an open alarm of this cause from now on; its facts are these.

    kind     of gateway.model.alarms
    subject  and facts: UIDs and ids of ours, never a patient's data
    """
    with records.write() as connection:
        write_alarm(connection, kind, subject, facts, now)


def clear_alarm(records: Records, kind: str, subject: str, now: datetime) -> None:
    """The cause has gone."""
    with records.write() as connection:
        write_clearance(connection, kind, [subject], now)


def write_alarm(
    connection: sa.Connection, kind: str, subject: str, facts: Mapping[str, Any], now: datetime
) -> None:
    """As raise_alarm, in the caller's transaction."""
    of = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    told = orjson.dumps(dict(facts), option=orjson.OPT_SORT_KEYS).decode()
    row = {"kind": kind, "subject": subject, "facts": told, "raised_at": now, "last_seen_at": now}
    connection.execute(
        of(alarm)
        .values(row)
        .on_conflict_do_update(
            index_elements=["kind", "subject"],
            index_where=_OPEN,
            set_={"facts": told, "last_seen_at": now},
        )
    )


def write_clearance(
    connection: sa.Connection, kind: str, subjects: Collection[str], now: datetime
) -> None:
    """As clear_alarm for several, in the caller's transaction."""
    these = sa.and_(_OPEN, alarm.c.kind == kind, alarm.c.subject.in_(sorted(subjects)))
    connection.execute(sa.update(alarm).where(these).values(cleared_at=now))


def load_alarms(records: Records, *, cleared: bool = False, limit: int = 1000) -> list[Alarm]:
    """Open alarms, newest first; with `cleared` also those that have gone."""
    with records.read() as connection:
        return find_alarms(connection, cleared=cleared, limit=limit)


def find_alarms(
    connection: sa.Connection, kind: str = "", *, cleared: bool = False, limit: int = 1000
) -> list[Alarm]:
    """The same in the caller's look, of one kind if it is given."""
    question = sa.select(alarm).order_by(alarm.c.raised_at.desc(), alarm.c.id.desc()).limit(limit)
    if kind:
        question = question.where(alarm.c.kind == kind)
    if not cleared:
        question = question.where(_OPEN)
    names = tuple(Alarm.__dataclass_fields__)
    return [
        Alarm(**{name: row[name] for name in names} | {"facts": orjson.loads(row["facts"])})
        for row in connection.execute(question).mappings()
    ]


def count_alarms(records: Records) -> dict[str, int]:
    """How many alarms of each kind are open."""
    question = sa.select(alarm.c.kind, sa.func.count()).where(_OPEN).group_by(alarm.c.kind)
    with records.read() as connection:
        return {kind: count for kind, count in connection.execute(question.order_by(alarm.c.kind))}
