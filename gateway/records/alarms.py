"""Alarms: one row for each cause, open until it has gone or, where nothing else can tell, until a
person says so.

Raising what is open already only moves `last_seen_at`; clearing what is not open does nothing. So
whoever looks may raise or clear as often as it looks.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from gateway.model.alarms import CLOSED_BY_WORD, Alarm
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
    # What people were told of it (records/notices.py): "", "opened" or "cleared".
    sa.Column("noted", sa.String(8), nullable=False, server_default=sa.text("''")),
)
_OPEN = alarm.c.cleared_at.is_(None)
sa.Index(
    "alarm_open", alarm.c.kind, alarm.c.subject, unique=True,
    sqlite_where=_OPEN, postgresql_where=_OPEN,
)  # fmt: skip


def write_alarm(
    connection: sa.Connection, kind: str, subject: str, facts: Mapping[str, Any], now: datetime
) -> bool:
    """There is an open alarm of this cause from now on; its facts are these.

    kind     of gateway.model.alarms
    subject  and facts: UIDs and ids of ours, never a patient's data
    returns  whether it was not open before
    """
    of = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    told = orjson.dumps(dict(facts), option=orjson.OPT_SORT_KEYS).decode()
    row = {"kind": kind, "subject": subject, "facts": told, "raised_at": now, "last_seen_at": now}
    raised_at = connection.execute(
        of(alarm)
        .values(row)
        .on_conflict_do_update(
            index_elements=["kind", "subject"],
            index_where=_OPEN,
            set_={"facts": told, "last_seen_at": now},
        )
        .returning(alarm.c.raised_at)
    ).scalar_one()
    return bool(raised_at == now)


def write_clearance(
    connection: sa.Connection, kind: str, subjects: Collection[str], now: datetime
) -> None:
    """These causes have gone."""
    of_kind = sa.and_(_OPEN, alarm.c.kind == kind)
    is_open = set(connection.execute(sa.select(alarm.c.subject).where(of_kind)).scalars())
    gone = [{"of_subject": subject} for subject in sorted(is_open.intersection(subjects))]
    if gone:
        ended = sa.update(alarm).where(of_kind, alarm.c.subject == sa.bindparam("of_subject"))
        connection.execute(ended.values(cleared_at=now), gone)


def close_alarms(
    records: Records, subject: str, by: str, now: datetime, reason: str = "",
    kinds: Collection[str] = CLOSED_BY_WORD,
) -> bool:  # fmt: skip
    """A person says that the causes of this subject are settled; who and why is kept as facts.

    reason   in the person's words; never patient data
    kinds    of them; others of the subject stay
    returns  whether there was an open alarm that a word can close
    """
    question = sa.select(alarm.c.id, alarm.c.facts).where(
        _OPEN, alarm.c.subject == subject, alarm.c.kind.in_(sorted(CLOSED_BY_WORD & {*kinds}))
    )
    with records.write() as connection:
        found = connection.execute(question.with_for_update()).all()
        for row in found:
            word = {"closed_by": by} | ({"closed_because": reason} if reason else {})
            told = orjson.dumps({**orjson.loads(row.facts), **word}).decode()
            ended = sa.update(alarm).where(alarm.c.id == row.id)
            connection.execute(ended.values(facts=told, cleared_at=now))
    return bool(found)


def load_alarms(records: Records, *, cleared: bool = False, limit: int = 1000) -> list[Alarm]:
    """Open alarms, newest first; with `cleared` also those that have gone."""
    question = sa.select(alarm).order_by(alarm.c.raised_at.desc(), alarm.c.id.desc()).limit(limit)
    if not cleared:
        question = question.where(_OPEN)
    names = tuple(Alarm.__dataclass_fields__)
    with records.read() as connection:
        rows = connection.execute(question).mappings().all()
    return [
        Alarm(**{name: row[name] for name in names} | {"facts": orjson.loads(row["facts"])})
        for row in rows
    ]
