"""Deliveries: one row for each study, destination and epoch; it is the truth, Redis only a bell.

Every change of a state goes through gateway.model.deliveries.apply and is written WHERE the fence
and the state are those it was decided by: of two who change a row at one time one changes nothing.
Each change adds a row to `delivery_event`, which only grows.
"""

import random
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
import sqlalchemy as sa

from gateway.model.deliveries import LEASED, Delivery, Event, State, apply, plan
from gateway.model.manifests import Manifest
from gateway.model.routing.actions import Action, Send, Verify, read_actions, write_actions
from gateway.model.routing.mistakes import Reader
from gateway.model.routing.rule_sets import Lane
from gateway.records.arrivals import arrival, read_kept_manifest, touch_again
from gateway.records.engine import BigId, Records, UtcDateTime, metadata

SOURCE_CHANGED = "source_changed"  # what a worker read is not what the manifest says
MOST_INSTANCES = 1000  # of one delivery, whose trouble is kept one by one

delivery = sa.Table(
    "delivery",
    metadata,
    sa.Column("delivery_id", sa.String(32), primary_key=True),
    sa.Column("site_id", sa.String(32), nullable=False),
    sa.Column("study_uid", sa.String(64), nullable=False),
    sa.Column("destination", sa.String(32), nullable=False),
    sa.Column("epoch", sa.Integer, nullable=False),
    sa.Column("versions", sa.String(96), nullable=False),  # of the rules that wanted it
    sa.Column("rule", sa.String(96), nullable=False),
    sa.Column("lane", sa.String(16), nullable=False),
    sa.Column("plan", sa.Text, nullable=False),  # JSON, see Wanted
    sa.Column("instance_count", sa.Integer, nullable=False),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    # From here on: gateway/model/deliveries.py.
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("fence", sa.BigInteger, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("refusals", sa.Integer, nullable=False),
    sa.Column("next_at", UtcDateTime),
    sa.Column("lease_until", UtcDateTime),
    sa.Column("worker", sa.String(128), nullable=False),  # who took it; "": nobody yet
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("made_at", UtcDateTime, nullable=False),
    sa.Column("changed_at", UtcDateTime, nullable=False),
    sa.UniqueConstraint("site_id", "study_uid", "destination", "epoch"),
)
_IS_DUE, _IS_LEASED = delivery.c.next_at.is_not(None), delivery.c.lease_until.is_not(None)
sa.Index(
    "delivery_due", delivery.c.destination, delivery.c.lane, delivery.c.state,
    delivery.c.made_at, delivery.c.next_at, sqlite_where=_IS_DUE, postgresql_where=_IS_DUE,
)  # fmt: skip
sa.Index(
    "delivery_leased", delivery.c.lease_until, sqlite_where=_IS_LEASED, postgresql_where=_IS_LEASED
)
sa.Index("delivery_next", delivery.c.next_at, sqlite_where=_IS_DUE, postgresql_where=_IS_DUE)
sa.Index("delivery_by_study", delivery.c.study_uid)
sa.Index("delivery_made", delivery.c.made_at, delivery.c.delivery_id)
sa.Index("delivery_by_state", delivery.c.state, delivery.c.destination, delivery.c.changed_at)

delivery_event = sa.Table(
    "delivery_event",
    metadata,
    sa.Column("id", BigId, primary_key=True),
    sa.Column("delivery_id", sa.String(32), nullable=False),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("event", sa.String(24), nullable=False),
    sa.Column("from_state", sa.String(16), nullable=False),
    sa.Column("to_state", sa.String(16), nullable=False),
    sa.Column("fence", sa.BigInteger, nullable=False),
    sa.Column("by", sa.String(128), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
)
sa.Index("delivery_event_of", delivery_event.c.delivery_id, delivery_event.c.id)

# Instances of the last try that did not arrive, with the reason for each.
delivery_instance = sa.Table(
    "delivery_instance",
    metadata,
    sa.Column("delivery_id", sa.String(32), primary_key=True),
    sa.Column("sop_uid", sa.String(64), primary_key=True),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
)


@dataclass(frozen=True)
class Wanted:
    """One delivery as the rules want it.

    series   UIDs of the series to send; () is the whole study
    windows  "HH:MM-HH:MM" of `zone` in which it may begin; () is any time
    next_at  due then at the earliest
    """

    destination: str
    lane: Lane
    rule: str
    next_at: datetime
    edits: tuple[Action, ...] = ()
    verify: Verify | None = None
    failover: str = ""
    series: tuple[str, ...] = ()
    windows: tuple[str, ...] = ()
    zone: str = "UTC"

    def written(self) -> str:
        """The column `plan`; the actions stand in it as in a rule document."""
        send = Send((self.destination,), self.verify, self.failover)
        told = {
            "actions": write_actions((*self.edits, send)), "series": self.series,
            "windows": self.windows, "zone": self.zone,
        }  # fmt: skip
        return orjson.dumps(told).decode()


@dataclass(frozen=True)
class Work:
    """What a worker needs to know of the delivery that it has taken."""

    delivery_id: str
    fence: int
    state: State
    site_id: str
    destination: str
    lane: Lane
    made_at: datetime
    manifest: Manifest
    actions: tuple[Action, ...] = ()
    verify: Verify | None = None


@dataclass(frozen=True)
class Report:
    """A worker's last word on one try.

    trouble  SOP instance UID -> (state, reason) of what did not arrive
    """

    event: Event
    reason: str = ""
    trouble: Mapping[str, tuple[str, str]] = field(default_factory=dict)


def jitter(span_s: float) -> float:
    """Full jitter: any part of the span, so that retries do not march together."""
    return random.uniform(0.0, span_s)  # noqa: S311 - no secret


def state_of(row: Any) -> Delivery:
    """The part of a row that decides."""
    return Delivery(
        State(row.state), row.lane, row.fence, row.attempt, row.refusals, row.next_at,
        row.lease_until, row.reason,
    )  # fmt: skip


DECIDING = (
    delivery.c.delivery_id, delivery.c.state, delivery.c.lane, delivery.c.fence,
    delivery.c.attempt, delivery.c.refusals, delivery.c.next_at, delivery.c.lease_until,
    delivery.c.reason,
)  # fmt: skip


def change(
    connection: sa.Connection,
    row: Any,
    event: Event,
    now: datetime,
    *,
    fence: int | None = None,
    reason: str = "",
    by: str = "",
    worker: str | None = None,
) -> Delivery | None:
    """Let something happen to a delivery.

    row      with the columns DECIDING, read in this transaction
    returns  what it is then; None if the event does not count, and nothing was written
    """
    before = state_of(row)
    found = apply(before, event, now, fence=fence, reason=reason, spread=jitter)
    if found is None:
        return None
    values: dict[str, Any] = {
        "state": found.state, "fence": found.fence, "attempt": found.attempt,
        "refusals": found.refusals, "next_at": found.next_at, "lease_until": found.lease_until,
        "reason": found.reason,
    }  # fmt: skip
    if worker is not None:
        values["worker"] = worker
    if event is not Event.ALIVE:
        values["changed_at"] = now
    same = sa.and_(
        delivery.c.delivery_id == row.delivery_id,
        delivery.c.fence == before.fence,
        delivery.c.state == before.state,
    )
    if connection.execute(sa.update(delivery).where(same).values(values)).rowcount != 1:
        return None
    if event is not Event.ALIVE:
        _write_event(connection, row.delivery_id, event, before, found, now, by, reason)
    return found


def _write_event(
    connection: sa.Connection, delivery_id: str, event: str, before: Delivery | None,
    after: Delivery, now: datetime, by: str, reason: str,
) -> None:  # fmt: skip
    row = {
        "delivery_id": delivery_id, "at": now, "event": event,
        "from_state": before.state if before else "", "to_state": after.state,
        "fence": after.fence, "by": by, "reason": reason,
    }  # fmt: skip
    connection.execute(sa.insert(delivery_event).values(row))


def write_deliveries(
    connection: sa.Connection,
    records: Records,
    site_id: str,
    manifest: Manifest,
    epoch: int,
    versions: str,
    wanted: Sequence[Wanted],
    now: datetime,
) -> int:
    """Make the deliveries of one epoch; what is there already stays as it is.

    returns  how many are new
    """
    made = 0
    for one in wanted:
        sent = [i for i in manifest.instances if not one.series or i.series_uid in one.series]
        begun = plan(one.lane, one.next_at)
        delivery_id = uuid.uuid4().hex
        row = {
            "delivery_id": delivery_id, "site_id": site_id, "study_uid": manifest.study_uid,
            "destination": one.destination, "epoch": epoch, "versions": versions,
            "rule": one.rule, "lane": one.lane, "plan": one.written(),
            "instance_count": len(sent), "size_bytes": sum(i.size for i in sent),
            "state": begun.state, "fence": 0, "attempt": 0, "refusals": 0,
            "next_at": begun.next_at, "worker": "", "reason": "", "made_at": now,
            "changed_at": now,
        }  # fmt: skip
        insert = records.insert(delivery).values(row).on_conflict_do_nothing()
        if connection.execute(insert.returning(delivery.c.delivery_id)).first() is None:
            continue
        made += 1
        _write_event(connection, delivery_id, "planned", None, begun, now, one.rule, "")
    return made


def take_work(
    records: Records, delivery_id: str, fence: int, worker: str, now: datetime
) -> Work | None:
    """A worker's first act: make sure that the delivery is still his, and that the lease runs.

    returns  None if somebody else has it by now: there is nothing to do
    """
    with records.write() as connection:
        row = _locked(connection, delivery_id)
        if row is None or row.fence != fence or State(row.state) not in LEASED:
            return None
        if change(connection, row, Event.ALIVE, now, fence=fence, worker=worker) is None:
            return None
        return work_of(connection, row)


def work_of(connection: sa.Connection, row: Any) -> Work | None:
    """What a row of `delivery` brings; None if what its epoch held is not kept."""
    held = read_kept_manifest(connection, row.site_id, row.study_uid, row.epoch)
    if held is None:
        return None
    told = orjson.loads(row.plan)
    *edits, send = read_actions(Reader(told["actions"]))
    series = frozenset(told["series"])
    if series:
        some = tuple(one for one in held.instances if one.series_uid in series)
        held = Manifest(held.study_uid, some)
    return Work(
        row.delivery_id, row.fence, State(row.state), row.site_id, row.destination, row.lane,
        row.made_at, held, tuple(edits), send.verify if isinstance(send, Send) else None,
    )  # fmt: skip


def _locked(connection: sa.Connection, delivery_id: str) -> Any:
    mine = sa.select(delivery).where(delivery.c.delivery_id == delivery_id)
    return connection.execute(mine.with_for_update()).one_or_none()


def prolong(records: Records, delivery_id: str, fence: int, now: datetime) -> bool:
    """A worker's heartbeat. Returns whether the delivery is still his."""
    with records.write() as connection:
        row = _locked(connection, delivery_id)
        return row is not None and bool(change(connection, row, Event.ALIVE, now, fence=fence))


def write_report(
    connection: sa.Connection, delivery_id: str, fence: int, report: Report, now: datetime, by: str
) -> Delivery | None:
    """A worker's last word, if it still counts (`fence`), and the instances with trouble.

    What is proven of an epoch that is not the study's newest is no delivery of the study.
    """
    newest = _lock_newest_epoch(connection, delivery_id)
    row = _locked(connection, delivery_id)
    if row is None or row.fence != fence or State(row.state) not in LEASED:
        return None
    event, reason = report.event, report.reason
    if event is Event.PROVEN and row.epoch != newest:
        event, reason = Event.SUPERSEDED, "late_images"
    after = change(connection, row, event, now, fence=fence, reason=reason, by=by)
    if after is None:
        return None
    if event is Event.SOURCE_GONE or reason == SOURCE_CHANGED:
        touch_again(connection, row.site_id, row.study_uid, now)
    mine = delivery_instance.c.delivery_id == delivery_id
    connection.execute(sa.delete(delivery_instance).where(mine))
    rows = [
        {"delivery_id": delivery_id, "sop_uid": uid, "state": state, "reason": why}
        for uid, (state, why) in sorted(report.trouble.items())[:MOST_INSTANCES]
    ]
    if rows:
        connection.execute(sa.insert(delivery_instance), rows)
    return after


def _lock_newest_epoch(connection: sa.Connection, delivery_id: str) -> int | None:
    """Of the study; always locked before its deliveries, so that nobody waits in a ring."""
    of_study = sa.and_(
        arrival.c.site_id == delivery.c.site_id, arrival.c.study_uid == delivery.c.study_uid
    )
    question = sa.select(arrival.c.epoch).join(delivery, of_study)
    question = question.where(delivery.c.delivery_id == delivery_id)
    return connection.execute(question.with_for_update(of=arrival)).scalar_one_or_none()


def load_delivered(records: Records, site_id: str, study_uid: str) -> frozenset[str]:
    """Destinations where what the study holds now is proven to be."""
    mine = sa.and_(arrival.c.site_id == site_id, arrival.c.study_uid == study_uid)
    same = sa.and_(
        delivery.c.site_id == arrival.c.site_id,
        delivery.c.study_uid == arrival.c.study_uid,
        delivery.c.epoch == arrival.c.epoch,
        delivery.c.state == State.DELIVERED,
    )
    question = sa.select(delivery.c.destination).join(arrival, same).where(mine)
    with records.read() as connection:
        return frozenset(connection.execute(question).scalars())
