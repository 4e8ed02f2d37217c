"""What people see of deliveries and do with them: list, one study's story, retry, exclude.

Each act is recorded with who did it. The command line and the console call nothing else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
import sqlalchemy as sa

from gateway.model.deliveries import Event, State
from gateway.records.arrivals import Arrival, arrival, load_arrivals
from gateway.records.deliveries import (
    DECIDING,
    change,
    delivery,
    delivery_event,
    delivery_instance,
)
from gateway.records.dispatch import unblock
from gateway.records.engine import Records

PORTION = 500


@dataclass(frozen=True)
class Filter:
    """Which deliveries are meant; an empty field does not narrow."""

    states: tuple[State, ...] = ()
    destination: str = ""
    site_id: str = ""
    lane: str = ""
    study_uid: str = ""
    delivery_ids: tuple[str, ...] = ()
    within: frozenset[str] | None = None  # sites that may be seen at all; None: every one

    @property
    def where(self) -> sa.ColumnElement[bool]:
        """As a condition on the rows of `delivery`."""
        d = delivery.c
        parts: list[sa.ColumnElement[bool]] = [sa.true()]
        for column, wanted in (
            (d.destination, self.destination), (d.site_id, self.site_id), (d.lane, self.lane),
            (d.study_uid, self.study_uid),
        ):  # fmt: skip
            if wanted:
                parts.append(column == wanted)
        if self.states:
            parts.append(d.state.in_(sorted(self.states)))
        if self.delivery_ids:
            parts.append(d.delivery_id.in_(self.delivery_ids))
        if self.within is not None:
            parts.append(d.site_id.in_(sorted(self.within)))
        return sa.and_(*parts)


@dataclass(frozen=True)
class Shown:
    """One delivery as a list shows it; `plan` are edits, series and hours as the rule said."""

    delivery_id: str
    site_id: str
    study_uid: str
    destination: str
    epoch: int
    versions: str
    rule: str
    lane: str
    state: State
    attempt: int
    refusals: int
    next_at: datetime | None
    lease_until: datetime | None
    worker: str
    reason: str
    instance_count: int
    size_bytes: int
    made_at: datetime
    changed_at: datetime
    plan: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Happened:
    """One line of a delivery's history."""

    at: datetime
    event: str
    from_state: str
    to_state: str
    by: str
    reason: str


@dataclass(frozen=True)
class Told:
    """One delivery with its history and its instances that did not arrive: UID, state, reason."""

    shown: Shown
    history: tuple[Happened, ...]
    trouble: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class Story:
    """All that is known of one study: where it was seen, what was decided, where it went."""

    arrivals: tuple[Arrival, ...]
    deliveries: tuple[Told, ...]


def count_deliveries(records: Records) -> Mapping[tuple[str, State], int]:
    """How many deliveries stand where, by destination."""
    keys = (delivery.c.destination, delivery.c.state)
    with records.read() as connection:
        rows = connection.execute(sa.select(*keys, sa.func.count()).group_by(*keys)).all()
    return {(destination, State(state)): count for destination, state, count in rows}


def list_deliveries(
    records: Records, chosen: Filter, most: int = 100, skip: int = 0
) -> list[Shown]:
    """Those that the filter means, the last changed first."""
    question = sa.select(delivery).where(chosen.where)
    question = question.order_by(delivery.c.changed_at.desc(), delivery.c.delivery_id)
    with records.read() as connection:
        return read_shown(connection, question.limit(most).offset(skip))


def read_shown(connection: sa.Connection, question: sa.Select[Any]) -> list[Shown]:
    """The rows of a question for all columns of `delivery`."""
    names = tuple(Shown.__dataclass_fields__)
    return [
        Shown(
            **{name: row[name] for name in names}
            | {"state": State(row["state"]), "plan": orjson.loads(row["plan"])}
        )
        for row in connection.execute(question).mappings()
    ]


def load_story(records: Records, study_uid: str) -> Story:
    """One study's whole story, the oldest delivery first."""
    mine = sa.select(delivery).where(delivery.c.study_uid == study_uid)
    with records.read() as connection:
        found = read_shown(connection, mine.order_by(delivery.c.made_at, delivery.c.destination))
        told = tuple(_told(connection, one) for one in found)
    return Story(tuple(load_arrivals(records, study_uid)), told)


def _told(connection: sa.Connection, shown: Shown) -> Told:
    e, i = delivery_event.c, delivery_instance.c
    columns = (e.at, e.event, e.from_state, e.to_state, e.by, e.reason)
    history = sa.select(*columns).where(e.delivery_id == shown.delivery_id).order_by(e.id)
    trouble = sa.select(i.sop_uid, i.state, i.reason).where(i.delivery_id == shown.delivery_id)
    return Told(
        shown,
        tuple(Happened(*row) for row in connection.execute(history)),
        tuple((r.sop_uid, r.state, r.reason) for r in connection.execute(trouble)),
    )


def retry(records: Records, chosen: Filter, by: str, now: datetime) -> int:
    """Try these again now, however they ended; how many that are.

    A destination that had refused us is asked again with them. Those that are on their way, or
    delivered, are left alone.
    """
    done = _act(records, chosen, Event.RETRIED, by, "", now)
    for destination in sorted({row.destination for row in done if row.state == State.BLOCKED}):
        unblock(records, destination, now, by)
    return len(done)


def exclude(records: Records, chosen: Filter, reason: str, by: str, now: datetime) -> int:
    """Do not send these, because a person says so; how many that are.

    It holds for images that come later, too, until somebody retries.

    reason  of the person; never patient data
    """
    return len(_act(records, chosen, Event.EXCLUDED, by, reason, now))


def reopen(
    records: Records, site_id: str, study_uid: str, destination: str, reason: str, now: datetime
) -> bool:
    """What was delivered is not there any more (routing.md, trust.md F24): send what is missing.

    returns  whether anything had to be done; an open delivery goes on as it is
    """
    newest = sa.select(arrival.c.epoch).where(
        arrival.c.site_id == site_id, arrival.c.study_uid == study_uid
    )
    question = sa.select(*DECIDING).where(
        delivery.c.site_id == site_id, delivery.c.study_uid == study_uid,
        delivery.c.destination == destination, delivery.c.epoch == newest.scalar_subquery(),
    )  # fmt: skip
    with records.write() as connection:
        row = connection.execute(question.with_for_update()).one_or_none()
        if row is None:
            return False
        return bool(change(connection, row, Event.REOPENED, now, reason=reason, by="audit"))


def _act(
    records: Records, chosen: Filter, event: Event, by: str, reason: str, now: datetime
) -> Sequence[Any]:
    """Rows that changed, as they were before; in portions, so that nobody waits for the lock."""
    done: list[Any] = []
    after = ""
    while True:
        question = (
            sa.select(*DECIDING, delivery.c.destination)
            .where(chosen.where, delivery.c.delivery_id > after)
            .order_by(delivery.c.delivery_id)
            .limit(PORTION)
            .with_for_update()
        )
        with records.write() as connection:
            rows = connection.execute(question).all()
            done += [
                row
                for row in rows
                if change(connection, row, event, now, reason=reason, by=by) is not None
            ]
        if len(rows) < PORTION:
            return done
        after = rows[-1].delivery_id
