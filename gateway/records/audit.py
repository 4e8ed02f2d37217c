"""The audit: rows that are only ever added, each chained to the one before (model/audit.py).

A line goes into a file of its process first (records/journal.py) and from there into the table.
What auditors ask of it stands in records/audit_pages.py.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from gateway.model.audit import FIRST_HEAD, Entry, Head, Row, judged, next_chain
from gateway.model.audit_seals import Seal, Signer, entry_of, seal_of
from gateway.records.engine import BigId, Records, UtcDateTime, metadata

ONE_AT_A_TIME = 0x41554449  # key of PostgreSQL's advisory lock: "AUDI"
READ_AT_ONCE = 5000
MOST_BREAKS = 100
"""That are counted; where more is wrong the first are enough."""


def _said(name: str, kind: sa.types.TypeEngine[Any], nothing: str) -> sa.Column[Any]:
    """A column that migration 0020 added."""
    return sa.Column(name, kind, nullable=False, server_default=sa.text(nothing))


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
    _said("target", sa.String(128), "''"),
    _said("address", sa.String(64), "''"),
    _said("patient", sa.String(32), "''"),
    _said("size_bytes", sa.BigInteger(), "0"),
    _said("instances", sa.Integer(), "0"),
)
sa.Index("audit_entry_by_study", audit_entry.c.study_uid, audit_entry.c.at)
sa.Index("audit_entry_by_actor", audit_entry.c.actor, audit_entry.c.at)
sa.Index("audit_entry_by_action", audit_entry.c.action, audit_entry.c.at)
# In these words, so that SQLite sees that a question for them is the same.
REFUSED = audit_entry.c.outcome == sa.literal_column("'refused'")
SEARCHED = audit_entry.c.patient != sa.literal_column("''")
sa.Index(
    "audit_entry_refused", audit_entry.c.at, sqlite_where=REFUSED, postgresql_where=REFUSED
)  # fmt: skip
sa.Index(
    "audit_entry_by_patient", audit_entry.c.patient, audit_entry.c.at,
    sqlite_where=SEARCHED, postgresql_where=SEARCHED,
)  # fmt: skip
NAMES = tuple(Entry.__dataclass_fields__)
COLUMNS = [audit_entry.c[name] for name in ("number", "chain", *NAMES)]
"""As `row_of` takes them."""


def row_of(found: Sequence[Any]) -> Row:
    number, chain, *values = found
    return Row(number, Entry(*values), chain)


def append(records: Records, entries: Sequence[Entry]) -> int:
    """Add lines in this order; those that are there already are left out. Returns how many."""
    if not entries:
        return 0
    with records.write() as connection:
        head = _last(connection)
        ids = [entry.entry_id for entry in entries]
        there = sa.select(audit_entry.c.entry_id).where(audit_entry.c.entry_id.in_(ids))
        known = set(connection.execute(there).scalars())
        fresh = {entry.entry_id: entry for entry in entries if entry.entry_id not in known}
        _add(connection, records, head, list(fresh.values()))
    return len(fresh)


def _add(connection: sa.Connection, records: Records, head: Head, entries: Sequence[Entry]) -> None:
    if entries:
        connection.execute(sa.insert(audit_entry), chained(head, entries))
        write_cursor(connection, records, GIVEN, head.number + len(entries))


def chained(head: Head, entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """The rows that these lines become after that head."""
    number, chain = head
    rows = []
    for entry in entries:
        number += 1
        chain = next_chain(chain, number, entry)
        rows.append({**vars(entry), "number": number, "chain": chain})
    return rows


def _last(connection: sa.Connection) -> Head:
    """The head, which nobody else adds to until this transaction ends.

    A number is given once: where rows were taken off the end their numbers are missing for good.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(ONE_AT_A_TIME)))
    last = sa.select(audit_entry.c.number, audit_entry.c.chain)
    row = connection.execute(last.order_by(audit_entry.c.number.desc()).limit(1)).first()
    head = Head(row.number, row.chain) if row is not None else FIRST_HEAD
    return Head(max(head.number, _cursor(connection, GIVEN)), head.chain)


def append_seal(records: Records, signer: Signer, now: datetime) -> Seal:
    """Sign the head, and tell so in the next row."""
    with records.write() as connection:
        head = _last(connection)
        seal = signer.sign(head, now)
        _add(connection, records, head, [entry_of(seal)])
    return seal


@dataclass(frozen=True)
class Verified:
    """What was found in a look at the audit.

    looked  rows
    breaks  numbers of rows that were changed, taken out, put in, or are not what was sealed; the
            first ones
    head    the last row that was looked at
    sealed  the last row that a seal of this gateway vouches for; 0: none does
    """

    looked: int
    breaks: tuple[int, ...]
    head: Head
    sealed: int


def verify(
    records: Records,
    *,
    signer: Signer | None = None,
    since: Head = FIRST_HEAD,
    seals: Sequence[Seal] = (),
    breathe: Callable[[], None] = lambda: None,
) -> Verified:
    """Look at all rows, or at those after `since`.

    signer   judges seals; None: they are not looked at
    seals    kept elsewhere: at each of their heads the table must stand as it stood then
    breathe  called between two pages
    raises   RecordsUnavailable
    """
    kept = defaultdict[int, set[str]](set)
    for seal in seals:
        if seal.number > since.number:
            kept[seal.number].add(seal.chain)
    breaks = {seal.number for seal in seals if signer and not signer.holds(seal)}
    before, looked, sealed = since, 0, 0
    given = load_cursor(records, GIVEN)
    if since.number and load_head(records, since.number) != since:
        breaks.add(since.number)
    for row, broken in judged(_rows(records, since.number, breathe), since):
        looked += 1
        if broken is not None:
            breaks.add(broken)
        if signer and (own := seal_of(row.entry, before.chain)):
            if own.number == before.number and signer.holds(own):
                sealed = own.number
            else:
                breaks.add(row.number)
        before = Head(row.number, row.chain)
        if kept.pop(row.number, {row.chain}) != {row.chain}:
            breaks.add(row.number)
        if len(breaks) >= MOST_BREAKS:
            break
    else:
        breaks |= set(kept)  # was sealed, and is not there any more
        if before.number < given:
            breaks.add(before.number + 1)  # the end is missing
    return Verified(looked, tuple(sorted(breaks)[:MOST_BREAKS]), before, sealed)


def _rows(records: Records, after: int, breathe: Callable[[], None]) -> Iterator[Row]:
    question = sa.select(*COLUMNS).order_by(audit_entry.c.number).limit(READ_AT_ONCE)
    last: int | None = after or None  # from the very first, even if somebody gave it a number < 1
    while True:
        asked = question if last is None else question.where(audit_entry.c.number > last)
        with records.read() as connection:
            page = connection.execute(asked).all()
        for found in page:
            yield row_of(found)
        if len(page) < READ_AT_ONCE:
            return
        last = page[-1][0]
        breathe()


def load_head(records: Records, number: int) -> Head | None:
    """A row's place in the chain; None if there is no such row."""
    question = sa.select(audit_entry.c.number, audit_entry.c.chain)
    with records.read() as connection:
        row = connection.execute(question.where(audit_entry.c.number == number)).first()
    return None if row is None else Head(row.number, row.chain)


def load_last(records: Records, action: str, **said: str) -> Row | None:
    """The newest row of an action, that says this too; None if there is none."""
    question = sa.select(*COLUMNS).where(audit_entry.c.action == action)
    for name, value in said.items():
        question = question.where(audit_entry.c[name] == value)
    newest = question.order_by(audit_entry.c.at.desc(), audit_entry.c.number.desc()).limit(1)
    with records.read() as connection:
        row = connection.execute(newest).first()
    return None if row is None else row_of(row)


def load_after(records: Records, number: int, limit: int) -> list[Row]:
    """The rows that follow, in their order."""
    question = sa.select(*COLUMNS).where(audit_entry.c.number > number)
    with records.read() as connection:
        found = connection.execute(question.order_by(audit_entry.c.number).limit(limit)).all()
    return [row_of(one) for one in found]


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
    question = sa.select(*COLUMNS).where(audit_entry.c.at >= since, audit_entry.c.at < until)
    wanted: Mapping[str, str] = {"study_uid": study_uid, "actor": actor}
    for name, value in wanted.items():
        if value:
            question = question.where(audit_entry.c[name] == value)
    with records.read() as connection:
        found = connection.execute(question.order_by(audit_entry.c.at).limit(limit)).all()
    return [row_of(one).entry for one in found]


audit_cursor = sa.Table(
    "audit_cursor",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("number", sa.BigInteger, nullable=False),
)
"""How far somebody who goes through all rows has come: the export, the digests of patients; and the
last number that was given to a row."""
GIVEN = "given"


def load_cursor(records: Records, name: str) -> int:
    """The last row that was done; 0: none yet."""
    with records.read() as connection:
        return _cursor(connection, name)


def _cursor(connection: sa.Connection, name: str) -> int:
    question = sa.select(audit_cursor.c.number).where(audit_cursor.c.name == name)
    return connection.execute(question).scalar() or 0


def write_cursor(connection: sa.Connection, records: Records, name: str, number: int) -> None:
    """Never back: two who do the same work do some of it twice, and leave none out."""
    there = audit_cursor.c.number
    insert = records.insert(audit_cursor).values(name=name, number=number)
    connection.execute(
        insert.on_conflict_do_update(
            index_elements=["name"],
            set_={"number": number},
            where=there < number,
        )
    )
