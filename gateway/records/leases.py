"""Leases: one row per name; who holds it leads until `until`.

Times come from gateway/clock.py, which follows the database's clock. A holder whose clock jumps,
or that was frozen beyond its time, is no danger, only a nuisance: it writes under the fence that it
was given, and with the next holder that fence is an old one.

No two holders write at one time. On SQLite the write lock sees to it. On PostgreSQL every fenced
transaction shares an advisory lock of its fence, and whoever takes the lease ends the sessions that
still hold one of the fence before: a frozen process would keep it, and its row locks, for ever.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from gateway.errors import LeaseLost
from gateway.records.engine import BUSY_S, Records, UtcDateTime, metadata

LONGEST = timedelta(minutes=1)

lease = sa.Table(
    "lease",
    metadata,
    sa.Column("name", sa.String(32), primary_key=True),
    sa.Column("holder", sa.String(128), nullable=False),
    sa.Column("fence", sa.BigInteger, nullable=False),
    sa.Column("until", UtcDateTime, nullable=False),
)


@dataclass(frozen=True)
class Fence:
    """A lease as its holder was given it."""

    name: str
    number: int

    def check(self, connection: sa.Connection) -> None:
        """Make sure, until the end of this transaction, that nobody has taken the lease since.

        raises  LeaseLost
        """
        if connection.dialect.name == "postgresql":
            # A statement of its own: the next one sees what was written before the lock was given.
            share = sa.func.pg_advisory_xact_lock_shared(sa.func.hashtext(self.name), self.number)
            connection.execute(sa.select(share))
        question = sa.select(lease.c.fence).where(lease.c.name == self.name)
        if connection.execute(question).scalar_one_or_none() != self.number:
            raise LeaseLost(f"{self.name} {self.number}")


def take_lease(records: Records, name: str, holder: str, now: datetime, span_s: float) -> int:
    """Take or prolong a lease in one transaction.

    returns  the fence, which grows with every change of holder; 0 if somebody else holds it.
             Nothing is written under an older fence any more
    raises   RecordsUnavailable; then the lease is not taken
    """
    until = now + timedelta(seconds=span_s)
    same = lease.c.holder == holder
    row = {"name": name, "holder": holder, "fence": 1, "until": until}
    take = records.insert(lease).values(row)
    take = take.on_conflict_do_update(
        index_elements=["name"],
        set_={
            "holder": holder,
            "fence": sa.case((same, lease.c.fence), else_=lease.c.fence + 1),
            "until": until,
        },
        # Nobody takes a lease for so long: it was taken before the clock was put back.
        where=sa.or_(same, lease.c.until < now, lease.c.until > until + LONGEST),
    )
    with records.write() as connection:
        fence = connection.execute(take.returning(lease.c.fence)).scalar_one_or_none() or 0
        if fence and connection.dialect.name == "postgresql":
            _end_writers(connection, name, fence - 1)
    return fence


END_SESSIONS = sa.text(
    """
    SELECT pg_terminate_backend(pid) FROM pg_locks
    WHERE locktype = 'advisory' AND objsubid = 2
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND classid = CAST(hashtext(:name) AS oid) AND objid = CAST(:number AS oid)
      AND pid <> pg_backend_pid()
    """
)


def _end_writers(connection: sa.Connection, name: str, number: int) -> None:
    """Wait until no transaction is left that has passed the check of this fence, and let none pass.

    Their sessions are ended, which PostgreSQL allows among sessions of one role. Time-outs would
    not do: idle_in_transaction_session_timeout does not count inside a pipeline of statements.
    """
    key = sa.func.hashtext(name), number
    if connection.execute(sa.select(sa.func.pg_try_advisory_xact_lock(*key))).scalar_one():
        return
    connection.execute(sa.text(f"SET LOCAL lock_timeout = '{BUSY_S}s'"))
    connection.execute(END_SESSIONS, {"name": name, "number": number})
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(*key)))


def release_lease(records: Records, name: str, holder: str, now: datetime) -> None:
    """Give a lease back early, so that a spare need not wait for its end."""
    ended = now - timedelta(microseconds=1)
    release = sa.update(lease).where(lease.c.name == name, lease.c.holder == holder)
    with records.write() as connection:
        connection.execute(release.values(until=ended))
