"""What the dispatcher does to deliveries: claims those that are due, frees those whose worker is
gone, and remembers how each destination answers. Limits are kept here, by the rows themselves.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import sqlalchemy as sa

from gateway.model.deliveries import LEASE_S, Event, State
from gateway.model.destinations import Destination
from gateway.model.pace import EMERGENCY_PARALLEL, Pace, after
from gateway.model.routing.rule_sets import Lane
from gateway.model.windows import next_opening
from gateway.records.arrivals import arrival
from gateway.records.deliveries import DECIDING, Report, change, delivery, write_report
from gateway.records.engine import Records, UtcDateTime, metadata
from gateway.records.leases import Fence

SWEEP = 500
SOURCE_PARALLEL = 4
"""Deliveries of one hospital at once: its PACS has doctors to serve. Emergencies come on top."""
CLOCK_JUMP = timedelta(seconds=max(LEASE_S.values()) + 30)
"""What lies so far ahead of now was written by another clock: no lease is longer."""
UNHEARD, WORKER_GONE = "unheard", "worker_gone"

destination_pace = sa.Table(
    "destination_pace",
    metadata,
    sa.Column("destination", sa.String(32), primary_key=True),
    sa.Column("parallel", sa.Float, nullable=False),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("rests_until", UtcDateTime),
    sa.Column("blocked", sa.Boolean, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("changed_at", UtcDateTime, nullable=False),
)


@dataclass(frozen=True)
class Claim:
    """A delivery that somebody must work on now, under this fence.

    unheard  the bell of its last claim reached nobody
    """

    delivery_id: str
    fence: int
    queue: str
    state: State
    size_bytes: int
    unheard: bool


@dataclass(frozen=True)
class Capacity:
    """How much may be claimed at once.

    queues        queue -> jobs that its workers can take, those under way included
    destinations  destination -> deliveries at once (model/pace.py); one that is absent gets none
    emergencies   destinations that take emergencies now
    sites         ids of the sites of the region: others' studies wait for their site to come back
    """

    queues: Mapping[str, int]
    destinations: Mapping[str, int]
    emergencies: Collection[str]
    sites: Collection[str]


def queue_of(state: State, lane: str) -> str:
    """Which workers take it; an emergency never waits behind the proofs of others."""
    if lane == "emergency":
        return lane
    return "verify" if state in (State.SENT, State.VERIFYING) else lane


def sweep_leases(records: Records, now: datetime) -> int:
    """Free deliveries whose worker did not prolong his lease in time; how many."""
    ended = sa.select(*DECIDING, delivery.c.worker).where(delivery.c.lease_until <= now)
    with records.write() as connection:
        rows = connection.execute(ended.limit(SWEEP).with_for_update(skip_locked=True)).all()
        for row in rows:
            reason = WORKER_GONE if row.worker else UNHEARD
            change(connection, row, Event.LEASE_ENDED, now, reason=reason, by=row.worker)
    return len(rows)


def end_unheard(records: Records, now: datetime, fence: Fence | None) -> int:
    """Redis has forgotten every bell: a delivery that nobody has yet need not wait; how many.

    A worker that had heard it all the same finds another fence, and leaves the delivery alone.
    raises  LeaseLost; RecordsUnavailable
    """
    unheard = sa.and_(delivery.c.lease_until > now, delivery.c.worker == "")
    with records.write() as connection:
        if fence:
            fence.check(connection)
        end = sa.update(delivery).where(unheard).values(lease_until=now)
        return connection.execute(end).rowcount


def mend_moments(records: Records, now: datetime, fence: Fence | None) -> int:
    """The clock was put back: what would wait for an hour that has been already is due now; how
    many deliveries and arrivals.

    raises  LeaseLost; RecordsUnavailable
    """
    d, a, future = delivery.c, arrival.c, now + CLOCK_JUMP
    wrong = (
        (delivery, d.lease_until > future, {"lease_until": now}),
        (delivery, sa.and_(d.next_at > now, d.changed_at > future), {"next_at": now}),
        (arrival, sa.and_(a.due_at > now, a.changed_at > future), {"due_at": now}),
    )
    with records.read() as connection:
        looks = (sa.select(sa.literal(1)).select_from(t).where(w).limit(1) for t, w, _ in wrong)
        if not any(connection.execute(look).first() for look in looks):
            return 0
    with records.write() as connection:
        if fence:
            fence.check(connection)
        updates = [sa.update(table).where(where).values(values) for table, where, values in wrong]
        return sum(connection.execute(update).rowcount for update in updates)


def has_ended_lease(records: Records, now: datetime) -> bool:
    """Whether there is anything to sweep: looking costs no write lock."""
    question = sa.select(delivery.c.delivery_id).where(delivery.c.lease_until <= now).limit(1)
    with records.read() as connection:
        return connection.execute(question).first() is not None


def has_due(records: Records, now: datetime) -> bool:
    """Whether anything is due at all: looking costs no write lock."""
    question = sa.select(delivery.c.delivery_id).where(delivery.c.next_at <= now).limit(1)
    with records.read() as connection:
        return connection.execute(question).first() is not None


@dataclass
class _Taken:
    """What is under way, by (what, kind of place): counted down while more is claimed."""

    queues: Counter[str]
    destinations: Counter[tuple[str, str]]
    sites: Counter[tuple[str, str]]

    def add(self, site_id: str, destination: str, queue: str) -> None:
        self.queues[queue] += 1
        self.destinations[destination, _kind(queue)] += 1
        self.sites[site_id, _kind(queue)] += 1


def _kind(queue: str) -> str:
    """Sends share one limit, proofs have their own, emergencies too."""
    return queue if queue in ("emergency", "verify") else "send"


def _under_way(connection: sa.Connection) -> _Taken:
    keys = (delivery.c.site_id, delivery.c.destination, delivery.c.lane, delivery.c.state)
    question = sa.select(*keys).where(delivery.c.lease_until.is_not(None))
    taken = _Taken(Counter(), Counter(), Counter())
    for site_id, destination, lane, state in connection.execute(question):
        taken.add(site_id, destination, queue_of(State(state), lane))
    return taken


_DUE_STATES: Mapping[str, tuple[tuple[Lane, State], ...]] = {
    "emergency": tuple(("emergency", s) for s in (State.SENT, State.PLANNED, State.RETRY_WAIT)),
    "verify": (("routine", State.SENT), ("bulk", State.SENT)),
    "routine": (("routine", State.PLANNED), ("routine", State.RETRY_WAIT)),
    "bulk": (("bulk", State.PLANNED), ("bulk", State.RETRY_WAIT)),
}
"""Queue -> what it works on; emergencies first, and a proof before a new send."""


def claim(records: Records, capacity: Capacity, now: datetime, fence: Fence | None) -> list[Claim]:
    """Take what is due, as far as there is room: leases and fences are committed on return.

    fence   of the keeper that leads
    raises  LeaseLost; RecordsUnavailable
    """
    claims: list[Claim] = []
    with records.write() as connection:
        if fence:
            fence.check(connection)
        taken = _under_way(connection)
        for queue, parts in _DUE_STATES.items():
            for destination, room in _rooms(capacity, queue).items():
                for lane, state in parts:
                    free = min(
                        capacity.queues.get(queue, 0) - taken.queues[queue],
                        room - taken.destinations[destination, _kind(queue)],
                    )
                    if free > 0:
                        rows = _due(connection, destination, lane, state, now, capacity, 2 * free)
                        claims += _take(connection, rows, queue, free, taken, now)
    return claims


def _rooms(capacity: Capacity, queue: str) -> Mapping[str, int]:
    if queue == "emergency":
        return dict.fromkeys(sorted(capacity.emergencies), EMERGENCY_PARALLEL)
    return capacity.destinations


def _due(
    connection: sa.Connection, destination: str, lane: str, state: State, now: datetime,
    capacity: Capacity, most: int,
) -> Sequence[Any]:  # fmt: skip
    question = (
        sa.select(
            *DECIDING, delivery.c.site_id, delivery.c.destination, delivery.c.size_bytes,
            delivery.c.plan,
        )
        .where(
            delivery.c.destination == destination,
            delivery.c.lane == lane,
            delivery.c.state == state,
            delivery.c.next_at <= now,
            delivery.c.site_id.in_(sorted(capacity.sites)),
        )
        .order_by(delivery.c.made_at)
        .limit(most)
        .with_for_update(skip_locked=True)
    )  # fmt: skip
    return connection.execute(question).all()


def _take(
    connection: sa.Connection, rows: Sequence[Any], queue: str, free: int, taken: _Taken,
    now: datetime,
) -> list[Claim]:  # fmt: skip
    claims: list[Claim] = []
    at_source = EMERGENCY_PARALLEL if queue == "emergency" else SOURCE_PARALLEL
    for row in rows:
        if len(claims) == free:
            break
        if queue != "verify" and taken.sites[row.site_id, _kind(queue)] >= at_source:
            continue
        if queue != "emergency" and (opens_at := _opens_at(row, now)) is not None:
            wait = sa.update(delivery).where(delivery.c.delivery_id == row.delivery_id)
            connection.execute(wait.values(next_at=opens_at))
            continue
        verifies = row.state == State.SENT
        event = Event.VERIFY_CLAIMED if verifies else Event.CLAIMED
        found = change(connection, row, event, now, by="keeper", worker="")
        if found is None:
            continue
        taken.add(row.site_id, row.destination, queue)
        claims.append(
            Claim(
                row.delivery_id, found.fence, queue, found.state, row.size_bytes,
                row.reason == UNHEARD,
            )
        )  # fmt: skip
    return claims


def _opens_at(row: Any, now: datetime) -> datetime | None:
    """When the rule's hours begin again; None if it may go now. A proof may go at any hour."""
    if row.state == State.SENT:
        return None
    told = orjson.loads(row.plan)
    opens_at = next_opening(told["windows"], ZoneInfo(told["zone"]), now)
    return opens_at if opens_at > now else None


def load_paces(records: Records) -> Mapping[str, Pace]:
    """What is remembered of each destination; one that is absent was never asked."""
    with records.read() as connection:
        rows = connection.execute(sa.select(destination_pace)).all()
    return {row.destination: _pace(row) for row in rows}


def _pace(row: Any) -> Pace:
    return Pace(row.parallel, row.failures, row.rests_until, row.blocked, row.reason)


def save_report(
    records: Records, delivery_id: str, fence: int, report: Report, now: datetime, by: str,
    destination: Destination | None,
) -> bool:  # fmt: skip
    """A worker's last word, and what it says of the destination; whether it still counted."""
    with records.write() as connection:
        if write_report(connection, delivery_id, fence, report, now, by) is None:
            return False
        if destination is not None:
            _learn(connection, records, destination, report, now)
    return True


def _learn(
    connection: sa.Connection, records: Records, destination: Destination, report: Report,
    now: datetime,
) -> None:  # fmt: skip
    table, limits = destination_pace, destination.limits
    mine = table.c.destination == destination.destination_id
    row = connection.execute(sa.select(table).where(mine).with_for_update()).one_or_none()
    before = _pace(row) if row else Pace(float(limits.parallel))
    pace = after(before, report.event, report.reason, limits, now)
    if pace == before:
        return
    values = {**vars(pace), "changed_at": now}
    insert = records.insert(table).values(destination=destination.destination_id, **values)
    connection.execute(insert.on_conflict_do_update(index_elements=["destination"], set_=values))


def unblock(records: Records, destination: str, now: datetime, by: str) -> int:
    """Its entry is another one, or a person says so: deliveries that it refused go on; how many."""
    with records.write() as connection:
        forget = sa.delete(destination_pace).where(destination_pace.c.destination == destination)
        connection.execute(forget)
        rows = connection.execute(
            sa.select(*DECIDING)
            .where(delivery.c.destination == destination, delivery.c.state == State.BLOCKED)
            .with_for_update()
        ).all()
        for row in rows:
            change(connection, row, Event.DESTINATION_CHANGED, now, by=by)
    return len(rows)
