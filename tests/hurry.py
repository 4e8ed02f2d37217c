"""Lets time pass for what rests, where a test is about something else."""

from datetime import timedelta

import sqlalchemy as sa

from gateway.clock import utc_now
from gateway.records.arrivals import arrival
from gateway.records.deliveries import delivery
from gateway.records.dispatch import destination_pace
from gateway.records.engine import Records

LONG = timedelta(minutes=2)
"""More than any study must be quiet."""


def hurry(records: Records) -> None:
    """As if the rests were over: of arrivals, before the next tries, of destinations."""
    now = utc_now()
    with records.write() as connection:
        connection.execute(sa.update(destination_pace).values(rests_until=None))
        connection.execute(sa.update(delivery).where(delivery.c.next_at > now).values(next_at=now))
        rests = sa.update(arrival).where(arrival.c.due_at > now)
        connection.execute(rests.values(due_at=now, changed_at=now - LONG))


def end_leases(records: Records) -> None:
    """As if the leases of workers that are dead had ended."""
    now = utc_now()
    with records.write() as connection:
        late = sa.update(delivery).where(delivery.c.lease_until > now)
        connection.execute(late.values(lease_until=now))
