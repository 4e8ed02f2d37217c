"""When a destination stays silent, its deliveries go to the one that their rule names instead.

The first one is not given up: it is tried for ever, and gets the study as well when it answers.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

import orjson
import sqlalchemy as sa

from gateway.model.deliveries import State
from gateway.model.routing.actions import EDITS, Send, read_actions
from gateway.model.routing.mistakes import Reader
from gateway.records.arrivals import arrival, read_kept_manifest
from gateway.records.deliveries import Wanted, delivery, write_deliveries
from gateway.records.engine import Records
from gateway.records.leases import Fence

PATIENCE = timedelta(minutes=10)
PATIENCE_OF_EMERGENCIES = timedelta(minutes=1)
PORTION = 500
WAITING = (State.PLANNED, State.RETRY_WAIT, State.BLOCKED)


def write_failovers(
    records: Records, silent: Collection[str], now: datetime, fence: Fence | None
) -> int:
    """Plan the failover of what has waited too long for these destinations; how many are new.

    silent  destinations that rest or refuse us (model/pace.py)
    raises  LeaseLost if another keeper leads; RecordsUnavailable
    """
    if not silent:
        return 0
    with records.write() as connection:
        if fence:
            fence.check(connection)
        rows = connection.execute(_without_failover(silent, now)).all()
        return sum(_write_failover(connection, records, row, now) for row in rows)


def _without_failover(silent: Collection[str], now: datetime) -> sa.Select[Any]:
    """Deliveries of newest epochs whose rule names a failover that has no delivery yet."""
    d, other, of = delivery.c, delivery.alias().c, arrival.c
    name = sa.literal('"failover_target":"') + other.destination + sa.literal('"')
    same = sa.and_(
        other.site_id == d.site_id, other.study_uid == d.study_uid, other.epoch == d.epoch
    )
    urgent = sa.and_(d.lane == "emergency", d.made_at <= now - PATIENCE_OF_EMERGENCIES)
    newest = sa.and_(of.site_id == d.site_id, of.study_uid == d.study_uid, of.epoch == d.epoch)
    return (
        sa.select(delivery)
        .join(arrival, newest)
        .where(
            d.destination.in_(sorted(silent)),
            d.state.in_(sorted(WAITING)),
            sa.or_(urgent, d.made_at <= now - PATIENCE),
            d.plan.contains('"failover_target"'),
            ~sa.exists().where(same, d.plan.contains(name)),
        )
        .order_by(d.made_at)
        .limit(PORTION)
    )


def _write_failover(connection: sa.Connection, records: Records, row: Any, now: datetime) -> int:
    manifest = read_kept_manifest(connection, row.site_id, row.study_uid, row.epoch)
    told = orjson.loads(row.plan)
    *edits, send = read_actions(Reader(told["actions"]))
    if manifest is None or not isinstance(send, Send):
        return 0
    wanted = Wanted(
        send.failover, row.lane, row.rule, now,
        tuple(edit for edit in edits if isinstance(edit, EDITS)), send.verify,
        series=tuple(told["series"]), windows=tuple(told["windows"]), zone=told["zone"],
    )  # fmt: skip
    return write_deliveries(
        connection, records, row.site_id, manifest, row.epoch, row.versions, [wanted], now
    )
