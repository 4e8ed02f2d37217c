"""What persons said of senders: whose images they are (fingerprints), and which are nobody's.

Nothing is deleted: what was said and taken back stays, so that the figures of any moment can be
computed again as they were known then.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from gateway.model.rollout.senders import Fingerprint
from gateway.records.engine import BigId, Records, UtcDateTime, metadata

unit_fingerprint = sa.Table(
    "unit_fingerprint",
    metadata,
    sa.Column("fingerprint_id", sa.String(32), primary_key=True),
    sa.Column("unit_id", sa.String(64), nullable=False),
    # What images of the unit say; "": anything (model/rollout/senders.py: Fingerprint).
    sa.Column("site_id", sa.String(32), nullable=False),
    sa.Column("manufacturer", sa.String(64), nullable=False),
    sa.Column("model", sa.String(64), nullable=False),
    sa.Column("serial", sa.String(64), nullable=False),
    sa.Column("station", sa.String(64), nullable=False),
    sa.Column("institution", sa.String(64), nullable=False),
    sa.Column("is_not", sa.Boolean, nullable=False),
    sa.Column("origin", sa.String(16), nullable=False),
    sa.Column("author", sa.String(64), nullable=False),
    sa.Column("reason", sa.String(200), nullable=False),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("undone_at", UtcDateTime),
    sa.Column("undone_by", sa.String(64)),
)
sa.Index("unit_fingerprint_of", unit_fingerprint.c.unit_id)

ignored_sender = sa.Table(
    "ignored_sender",
    metadata,
    sa.Column("ignored_id", BigId, primary_key=True),
    sa.Column("sender_id", sa.BigInteger, nullable=False),
    sa.Column("author", sa.String(64), nullable=False),
    sa.Column("reason", sa.String(200), nullable=False),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("undone_at", UtcDateTime),
    sa.Column("undone_by", sa.String(64)),
)
sa.Index("ignored_sender_of", ignored_sender.c.sender_id)


class Origin(StrEnum):
    HAND = "hand"
    SUGGESTION = "suggestion"


@dataclass(frozen=True)
class Said:
    """A fingerprint and who said it; undone_at: when it was taken back, or None."""

    fingerprint: Fingerprint
    origin: Origin
    author: str
    reason: str
    at: datetime
    undone_at: datetime | None = None
    undone_by: str | None = None


@dataclass(frozen=True)
class Ignored:
    """A sender that is no unit's, and why: a phantom, a test machine."""

    sender_id: int
    author: str
    reason: str
    at: datetime
    undone_at: datetime | None = None
    undone_by: str | None = None


def save_fingerprint(records: Records, said: Said) -> str:
    """Keep it; its id, or that of the same that stands already."""
    one = vars(said.fingerprint)
    same = [unit_fingerprint.c[name] == one[name] for name in one if name != "fingerprint_id"]
    row = {**vars(said), **one}
    del row["fingerprint"]
    with records.write() as connection:
        stands = sa.select(unit_fingerprint.c.fingerprint_id).where(
            *same, unit_fingerprint.c.undone_at.is_(None)
        )
        found = connection.execute(stands).scalar()
        if found is None:
            connection.execute(sa.insert(unit_fingerprint).values(row))
    return found or said.fingerprint.fingerprint_id


def undo_fingerprint(records: Records, fingerprint_id: str, by: str, now: datetime) -> bool:
    """It was wrong; whether it was there and stood until now."""
    mine = unit_fingerprint.c.fingerprint_id == fingerprint_id
    return _undo(records, unit_fingerprint, mine, by, now)


def save_ignored(records: Records, ignored: Ignored) -> bool:
    """Nobody misses a unit for this sender; whether that is new."""
    stands = sa.and_(
        ignored_sender.c.sender_id == ignored.sender_id, ignored_sender.c.undone_at.is_(None)
    )
    with records.write() as connection:
        if connection.execute(sa.select(sa.literal(1)).where(stands)).first():
            return False
        connection.execute(sa.insert(ignored_sender).values(vars(ignored)))
    return True


def undo_ignored(records: Records, sender_id: int, by: str, now: datetime) -> bool:
    """The sender is one to be looked after; whether it was ignored until now."""
    return _undo(records, ignored_sender, ignored_sender.c.sender_id == sender_id, by, now)


def _undo(
    records: Records, table: sa.Table, mine: sa.ColumnElement[bool], by: str, now: datetime
) -> bool:
    undone = sa.update(table).where(mine, table.c.undone_at.is_(None))
    with records.write() as connection:
        return connection.execute(undone.values(undone_at=now, undone_by=by)).rowcount > 0


def _known(table: sa.Table, known_at: datetime | None) -> sa.ColumnElement[bool]:
    """What stood at that moment; None: now."""
    if known_at is None:
        return table.c.undone_at.is_(None)
    later = sa.or_(table.c.undone_at.is_(None), table.c.undone_at > known_at)
    return sa.and_(table.c.at <= known_at, later)


def load_fingerprints(records: Records, known_at: datetime | None = None) -> list[Fingerprint]:
    """Those that stood at that moment; None: now."""
    names = Fingerprint.__dataclass_fields__
    question = sa.select(*(unit_fingerprint.c[name] for name in names))
    question = question.where(_known(unit_fingerprint, known_at))
    with records.read() as connection:
        rows = connection.execute(question.order_by(unit_fingerprint.c.fingerprint_id))
        return [Fingerprint(**row) for row in rows.mappings()]


def load_ignored(records: Records, known_at: datetime | None = None) -> Mapping[int, Ignored]:
    """Senders that were nobody's at that moment, by their number; None: now."""
    names = Ignored.__dataclass_fields__
    question = sa.select(*(ignored_sender.c[name] for name in names))
    with records.read() as connection:
        rows = connection.execute(question.where(_known(ignored_sender, known_at))).mappings()
        return {row["sender_id"]: Ignored(**row) for row in rows}


def load_history(records: Records, unit_id: str) -> list[Said]:
    """All that was ever said of a unit's images, the newest first."""
    question = sa.select(unit_fingerprint).where(unit_fingerprint.c.unit_id == unit_id)
    order = (unit_fingerprint.c.at.desc(), unit_fingerprint.c.fingerprint_id)
    with records.read() as connection:
        return [_said(row) for row in connection.execute(question.order_by(*order)).mappings()]


def load_fingerprint(records: Records, fingerprint_id: str) -> Said | None:
    question = sa.select(unit_fingerprint).where(
        unit_fingerprint.c.fingerprint_id == fingerprint_id
    )
    with records.read() as connection:
        row = connection.execute(question).mappings().one_or_none()
    return None if row is None else _said(row)


def _said(row: sa.RowMapping) -> Said:
    told: dict[str, Any] = dict(row)
    one = Fingerprint(**{name: told.pop(name) for name in Fingerprint.__dataclass_fields__})
    return Said(one, Origin(told.pop("origin")), **told)
