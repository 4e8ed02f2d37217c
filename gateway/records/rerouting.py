"""Sends a study elsewhere than its rule said: the delivery is excluded with that word, and another
one, with the same edits and series, goes to the other destination. Images that come later follow.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson
import sqlalchemy as sa

from gateway.model.deliveries import FINAL, LEASED, Event, State
from gateway.model.routing.actions import read_actions
from gateway.model.routing.mistakes import Reader
from gateway.records.arrivals import read_kept_manifest
from gateway.records.deliveries import DECIDING, Wanted, change, delivery, write_deliveries
from gateway.records.delivery_desk import PORTION, Filter
from gateway.records.engine import Records

REROUTED = "rerouted: "
REROUTABLE = tuple(state for state in State if state not in FINAL | LEASED)
"""A delivery that a worker is at is let to its end first."""


def reroute(records: Records, chosen: Filter, destination: str, by: str, now: datetime) -> int:
    """Send these to another destination instead; how many that are.

    Those that go there already, lie there, have ended or are on their way are left alone.
    """
    d = delivery.c
    done, after = 0, ""
    able = sa.and_(
        chosen.where, d.state.in_(REROUTABLE), d.destination != destination,
        d.site_id != destination,
    )  # fmt: skip
    while True:
        question = (
            sa.select(delivery)
            .where(able, d.delivery_id > after)
            .order_by(d.delivery_id)
            .limit(PORTION)
            .with_for_update()
        )
        with records.write() as connection:
            rows: Sequence[Any] = connection.execute(question).all()
            done += sum(send_elsewhere(connection, records, r, destination, by, now) for r in rows)
        if len(rows) < PORTION:
            return done
        after = rows[-1].delivery_id


def send_elsewhere(
    connection: sa.Connection, records: Records, row: Any, destination: str, by: str, now: datetime
) -> bool:
    """One delivery; `row` has every column of `delivery`, read in this transaction.

    returns  False if its epoch is kept no more, or the delivery has changed meanwhile
    """
    held = read_kept_manifest(connection, row.site_id, row.study_uid, row.epoch)
    if held is None:
        return False
    reason = REROUTED + destination
    if row.state == State.EXCLUDED:  # told anew why: what is excluded cannot be so twice
        change(connection, row, Event.RETRIED, now, by=by)
        row = connection.execute(
            sa.select(delivery).where(delivery.c.delivery_id == row.delivery_id)
        ).one()
    if change(connection, row, Event.EXCLUDED, now, reason=reason, by=by) is None:
        return False
    told = orjson.loads(row.plan)
    *edits, _ = read_actions(Reader(told["actions"]))
    wanted = Wanted(
        destination, row.lane, row.rule, now, tuple(edits), series=tuple(told["series"]),
        windows=tuple(told["windows"]), zone=told["zone"],
    )  # fmt: skip
    new = write_deliveries(
        connection, records, row.site_id, held, row.epoch, row.versions, [wanted], now
    )
    if not new:
        _wake(connection, row, destination, by, now)
    return True


def _wake(
    connection: sa.Connection, row: Any, destination: str, by: str, now: datetime
) -> None:  # fmt: skip
    """It has a delivery there already: that one goes on if it waits for a person."""
    there = sa.select(*DECIDING).where(
        delivery.c.site_id == row.site_id, delivery.c.study_uid == row.study_uid,
        delivery.c.epoch == row.epoch, delivery.c.destination == destination,
    )  # fmt: skip
    found = connection.execute(there.with_for_update()).one()
    change(connection, found, Event.RETRIED, now, by=by)
