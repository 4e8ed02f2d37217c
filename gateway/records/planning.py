"""Writes what was decided of an arrival: state, epoch and deliveries, all of it or nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from gateway.model.deliveries import FINAL, Event, State
from gateway.model.manifests import Manifest
from gateway.records.arrivals import Arrival, Arrived, arrival, write_manifest
from gateway.records.deliveries import DECIDING, Wanted, change, delivery, write_deliveries
from gateway.records.engine import Records
from gateway.records.leases import Fence
from gateway.records.rerouting import REROUTED, send_elsewhere

BUSY = timedelta(seconds=2)  # a new epoch waits so long before it looks whether it may begin


@dataclass(frozen=True)
class Decided:
    """What becomes of an arrival.

    state     None: nothing was decided, it is only looked at later
    look_at   when it is looked at again; None: when something changes
    manifest  what the deliveries bring; needed with `wanted`
    """

    state: Arrived | None
    reason: str = ""
    rule: str = ""
    versions: str = ""
    look_at: datetime | None = None
    manifest: Manifest | None = None
    wanted: tuple[Wanted, ...] = ()


def save_decided(
    records: Records, seen: Arrival, decided: Decided, now: datetime, fence: Fence | None
) -> int:
    """Write what was decided of `seen`. What has changed since stays due.

    returns  how many deliveries are new
    raises   LeaseLost if another keeper leads; RecordsUnavailable
    """
    mine = sa.and_(arrival.c.site_id == seen.site_id, arrival.c.study_uid == seen.study_uid)
    with records.write() as connection:
        if fence:
            fence.check(connection)
        row = connection.execute(sa.select(arrival).where(mine).with_for_update()).one_or_none()
        if row is None:
            return 0
        same = row.changed_at == seen.changed_at
        if decided.state is None:
            look = {"due_at": decided.look_at if same else row.due_at}
            connection.execute(sa.update(arrival).where(mine).values(look))
            return 0
        values = {
            "state": decided.state, "reason": decided.reason, "rule": decided.rule,
            "versions": decided.versions, "judged_at": now,
            "due_at": decided.look_at if same else row.due_at,
            "growing_since": None if same and decided.look_at is None else row.growing_since,
        }  # fmt: skip
        made = 0
        if decided.manifest is not None:
            epoch = row.epoch
            if decided.manifest.hash != row.manifest_hash:
                if is_being_sent(connection, seen.site_id, seen.study_uid):
                    later = sa.update(arrival).where(mine).values(due_at=now + BUSY)
                    connection.execute(later)
                    return 0
                epoch += 1
                values |= {"epoch": epoch, "manifest_hash": decided.manifest.hash}
                write_manifest(connection, seen.site_id, epoch, decided.manifest, now)
            connection.execute(sa.update(arrival).where(mine).values(values))
            made = _write_epoch(connection, records, seen, epoch, decided, now)
        else:
            connection.execute(sa.update(arrival).where(mine).values(values))
    return made


def save_looks(
    records: Records, looks: Sequence[tuple[Arrival, Decided]], now: datetime, fence: Fence | None
) -> None:
    """Several at once, of which nothing is sent. raises LeaseLost, RecordsUnavailable"""
    with records.write() as connection:
        if fence:
            fence.check(connection)
        for seen, decided in looks:
            same = sa.and_(
                arrival.c.site_id == seen.site_id,
                arrival.c.study_uid == seen.study_uid,
                arrival.c.changed_at == seen.changed_at,
            )
            values: dict[str, object] = {"due_at": decided.look_at}
            if decided.state is not None:
                values |= {"state": decided.state, "reason": decided.reason, "judged_at": now}
            connection.execute(sa.update(arrival).where(same).values(values))


def _write_epoch(
    connection: sa.Connection, records: Records, seen: Arrival, epoch: int, decided: Decided,
    now: datetime,
) -> int:  # fmt: skip
    assert decided.manifest is not None  # noqa: S101 - the caller looked
    excluded = supersede(connection, seen.site_id, seen.study_uid, epoch, now)
    made = write_deliveries(
        connection, records, seen.site_id, decided.manifest, epoch, decided.versions,
        decided.wanted, now,
    )  # fmt: skip
    exclude_carried(connection, records, seen.site_id, seen.study_uid, epoch, excluded, now)
    return made


def supersede(
    connection: sa.Connection, site_id: str, study_uid: str, epoch: int, now: datetime
) -> Mapping[str, str]:
    """End what is still open of the epochs before this one.

    returns  destination -> reason of those that a person had excluded: his word goes on
    """
    rows = connection.execute(
        sa.select(*DECIDING, delivery.c.destination)
        .where(
            delivery.c.site_id == site_id,
            delivery.c.study_uid == study_uid,
            delivery.c.epoch < epoch,
            delivery.c.state.not_in(sorted(FINAL)),
        )
        .with_for_update()
    ).all()
    for row in rows:
        change(connection, row, Event.SUPERSEDED, now, reason=f"epoch_{epoch}", by="keeper")
    return {row.destination: row.reason for row in rows if row.state == State.EXCLUDED}


def exclude_carried(
    connection: sa.Connection, records: Records, site_id: str, study_uid: str, epoch: int,
    excluded: Mapping[str, str], now: datetime,
) -> None:  # fmt: skip
    """A person's word, excluded or sent elsewhere, holds for the images that came later, too."""
    for destination, reason in excluded.items():
        question = sa.select(delivery).where(
            delivery.c.site_id == site_id, delivery.c.study_uid == study_uid,
            delivery.c.epoch == epoch, delivery.c.destination == destination,
        )  # fmt: skip
        row = connection.execute(question).one_or_none()
        if row is None:
            continue
        if reason.startswith(REROUTED):
            instead = reason.removeprefix(REROUTED)
            send_elsewhere(connection, records, row, instead, "keeper", now)
        else:
            change(connection, row, Event.EXCLUDED, now, reason=reason, by="keeper")


def is_being_sent(connection: sa.Connection, site_id: str, study_uid: str) -> bool:
    """Whether a worker is at this study: its next epoch waits for him."""
    question = sa.select(delivery.c.delivery_id).where(
        delivery.c.study_uid == study_uid, delivery.c.site_id == site_id,
        delivery.c.lease_until.is_not(None),
    )  # fmt: skip
    return connection.execute(question.limit(1)).first() is not None
