"""Leases: one row per name; who holds it leads until `until`.

Times come from the callers' clocks: hosts that share the database keep them by NTP. A holder whose
clock is wrong, or that was frozen beyond its time, is no danger, only a nuisance: it writes under
the fence that it was given, and with the next holder that fence is an old one.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from gateway.errors import LeaseLost
from gateway.records.engine import Records, UtcDateTime, metadata

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
        question = sa.select(lease.c.fence).where(lease.c.name == self.name)
        if connection.dialect.name == "postgresql":  # SQLite lets nobody else write meanwhile
            question = question.with_for_update(read=True)
        if connection.execute(question).scalar_one_or_none() != self.number:
            raise LeaseLost(f"{self.name} {self.number}")


def take_lease(records: Records, name: str, holder: str, now: datetime, span_s: float) -> int:
    """Take or prolong a lease in one statement.

    returns  the fence, which grows with every change of holder; 0 if somebody else holds it
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
        where=sa.or_(same, lease.c.until < now),
    )
    with records.write() as connection:
        fence = connection.execute(take.returning(lease.c.fence)).scalar_one_or_none()
    return fence or 0


def release_lease(records: Records, name: str, holder: str, now: datetime) -> None:
    """Give a lease back early, so that a spare need not wait for its end."""
    ended = now - timedelta(microseconds=1)
    release = sa.update(lease).where(lease.c.name == name, lease.c.holder == holder)
    with records.write() as connection:
        connection.execute(release.values(until=ended))
