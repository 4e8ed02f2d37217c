"""Lets time pass for what rests, where a test is about something else."""

import sqlalchemy as sa

from gateway.clock import utc_now
from gateway.records.arrivals import arrival
from gateway.records.deliveries import delivery
from gateway.records.dispatch import destination_pace
from gateway.records.engine import Records


def hurry(records: Records) -> None:
    """As if the rests were over: of arrivals, before the next tries, of destinations."""
    now = utc_now()
    with records.write() as connection:
        connection.execute(sa.update(destination_pace).values(rests_until=None))
        for table, column in ((delivery, delivery.c.next_at), (arrival, arrival.c.due_at)):
            connection.execute(sa.update(table).where(column > now).values({column.name: now}))


def end_leases(records: Records) -> None:
    """As if the leases of workers that are dead had ended."""
    now = utc_now()
    with records.write() as connection:
        late = sa.update(delivery).where(delivery.c.lease_until > now)
        connection.execute(late.values(lease_until=now))
