"""The audit: rows that are only ever added, each chained to the one before (model/audit.py).

A line goes into a file of its process first (records/journal.py) and from there into the table.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime

import sqlalchemy as sa

from gateway.model.audit import FIRST_CHAIN, Entry, find_break, next_chain
from gateway.records.engine import BigId, Records, UtcDateTime, metadata

ONE_AT_A_TIME = 0x41554449  # key of PostgreSQL's advisory lock: "AUDI"
READ_AT_ONCE = 5000

audit_entry = sa.Table(
    "audit_entry",
    metadata,
    sa.Column("number", BigId, primary_key=True, autoincrement=False),
    sa.Column("entry_id", sa.String(16), nullable=False, unique=True),
    sa.Column("request", sa.String(16), nullable=False),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("actor", sa.String(64), nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("purpose", sa.String(8), nullable=False),
    sa.Column("action", sa.String(32), nullable=False),
    sa.Column("site_id", sa.String(64), nullable=False),
    sa.Column("study_uid", sa.String(64), nullable=False),
    sa.Column("outcome", sa.String(16), nullable=False),
    sa.Column("reason", sa.String(64), nullable=False),
    sa.Column("status", sa.Integer, nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("chain", sa.String(64), nullable=False),
)
sa.Index("audit_entry_by_study", audit_entry.c.study_uid, audit_entry.c.at)
sa.Index("audit_entry_by_actor", audit_entry.c.actor, audit_entry.c.at)
_NAMES = tuple(Entry.__dataclass_fields__)


def append(records: Records, entries: Sequence[Entry]) -> int:
    """Add lines in this order; those that are there already are left out. Returns how many."""
    if not entries:
        return 0
    with records.write() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(ONE_AT_A_TIME)))
        ids = [entry.entry_id for entry in entries]
        there = sa.select(audit_entry.c.entry_id).where(audit_entry.c.entry_id.in_(ids))
        known = set(connection.execute(there).scalars())
        last = sa.select(audit_entry.c.number, audit_entry.c.chain)
        row = connection.execute(last.order_by(audit_entry.c.number.desc()).limit(1)).first()
        number, chain = (row.number, row.chain) if row is not None else (0, FIRST_CHAIN)
        rows = []
        for entry in entries:
            if entry.entry_id in known:
                continue
            number, known = number + 1, known | {entry.entry_id}
            chain = next_chain(chain, number, entry)
            values = {name: getattr(entry, name) for name in _NAMES}
            rows.append(values | {"number": number, "chain": chain})
        if rows:
            connection.execute(sa.insert(audit_entry), rows)
    return len(rows)


def verify(records: Records) -> tuple[int, int | None]:
    """(rows looked at, number of the first that is not as it was written; None if all are)."""
    looked = 0

    def rows() -> Iterator[tuple[int, Entry, str]]:
        nonlocal looked
        last = 0
        while True:
            question = sa.select(audit_entry).where(audit_entry.c.number > last)
            with records.read() as connection:
                page = connection.execute(
                    question.order_by(audit_entry.c.number).limit(READ_AT_ONCE)
                ).mappings().all()  # fmt: skip
            if not page:
                return
            for row in page:
                looked += 1
                last = row["number"]
                yield last, Entry(**{name: row[name] for name in _NAMES}), row["chain"]

    broken = find_break(rows())
    return looked, broken


def last_entry(records: Records) -> tuple[int, datetime] | None:
    """Number and moment of the newest row."""
    newest = sa.select(audit_entry.c.number, audit_entry.c.at)
    with records.read() as connection:
        row = connection.execute(newest.order_by(audit_entry.c.number.desc()).limit(1)).first()
    return None if row is None else (row.number, row.at)


def load_entries(
    records: Records, *, study_uid: str = "", actor: str = "", since: datetime, until: datetime,
    limit: int = 1000,
) -> list[Entry]:  # fmt: skip
    """Who touched a study, or what somebody opened, between two moments, the oldest first."""
    question = sa.select(audit_entry).where(audit_entry.c.at >= since, audit_entry.c.at < until)
    if study_uid:
        question = question.where(audit_entry.c.study_uid == study_uid)
    if actor:
        question = question.where(audit_entry.c.actor == actor)
    with records.read() as connection:
        found = connection.execute(question.order_by(audit_entry.c.at).limit(limit)).mappings()
        return [Entry(**{name: row[name] for name in _NAMES}) for row in found]
