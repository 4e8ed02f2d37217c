"""Replays that somebody asked for: which rules over how many days, how far, and what came out.

The row is all there is of it: the console writes it, the keeper that leads works on it and looks
whether it is still wanted, everybody reads it. No patient data: studies are named by their UIDs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import uuid4

import orjson
import sqlalchemy as sa

from gateway.model.routing.mistakes import Reader
from gateway.model.routing.rule_sets import RuleSet, read_rule_set, write_rule_set
from gateway.records.engine import Records, UtcDateTime, metadata

WAITING, RUNNING, DONE, CANCELLED, FAILED = "waiting", "running", "done", "cancelled", "failed"
OPEN = (WAITING, RUNNING)
KEPT = timedelta(days=7)
SILENT = timedelta(seconds=30)
"""A running one that says nothing for so long has lost its keeper: another begins it anew."""

rule_replay = sa.Table(
    "rule_replay",
    metadata,
    sa.Column("replay_id", sa.String(32), primary_key=True),
    sa.Column("owner", sa.String(32), nullable=False),
    sa.Column("document", sa.Text, nullable=False),
    sa.Column("last_day", sa.Date, nullable=False),
    sa.Column("days", sa.Integer, nullable=False),
    sa.Column("asked_by", sa.String(128), nullable=False),
    sa.Column("asked_at", UtcDateTime, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("days_done", sa.Integer, nullable=False),
    sa.Column("studies", sa.BigInteger, nullable=False),
    sa.Column("told_at", UtcDateTime, nullable=False),
    sa.Column("result", sa.Text, nullable=False),
    sa.Index("rule_replay_by_state", "state", "asked_at"),
)


@dataclass(frozen=True)
class ReplayRow:
    """One replay.

    last_day  the newest day; the others lie before it
    told_at   aware UTC; when whoever works on it said so last
    result    of a DONE one, as `Replayed` has it (routing/replay.py); {} else
    """

    replay_id: str
    owner: str
    rule_set: RuleSet
    last_day: date
    days: int
    asked_by: str
    asked_at: datetime
    state: str
    days_done: int
    studies: int
    told_at: datetime
    result: Mapping[str, Any]

    @property
    def is_open(self) -> bool:
        return self.state in OPEN


def order_replay(
    records: Records, rule_set: RuleSet, last_day: date, days: int, by: str, now: datetime
) -> str:
    """Ask for a replay; returns its id. Those of KEPT ago are forgotten."""
    replay_id = uuid4().hex
    row = {
        "replay_id": replay_id, "owner": rule_set.owner,
        "document": orjson.dumps(write_rule_set(rule_set)).decode(), "last_day": last_day,
        "days": days, "asked_by": by, "asked_at": now, "state": WAITING, "days_done": 0,
        "studies": 0, "told_at": now, "result": "{}",
    }  # fmt: skip
    with records.write() as connection:
        old = sa.delete(rule_replay).where(rule_replay.c.asked_at < now - KEPT)
        connection.execute(old)
        connection.execute(sa.insert(rule_replay).values(row))
    return replay_id


def count_open_replays(records: Records) -> int:
    """How many wait or run."""
    question = sa.select(sa.func.count()).where(rule_replay.c.state.in_(OPEN))
    with records.read() as connection:
        return int(connection.execute(question).scalar_one())


def take_replay(records: Records, now: datetime) -> ReplayRow | None:
    """The oldest that waits, or whose keeper is gone; from now on it runs."""
    lost = sa.and_(rule_replay.c.state == RUNNING, rule_replay.c.told_at < now - SILENT)
    due = sa.or_(rule_replay.c.state == WAITING, lost)
    question = sa.select(rule_replay).where(due).order_by(rule_replay.c.asked_at).limit(1)
    with records.read() as connection:  # nearly always there is none
        if connection.execute(question).first() is None:
            return None
    with records.write() as connection:
        row = connection.execute(question.with_for_update()).mappings().first()
        if row is None:
            return None
        mine = rule_replay.c.replay_id == row["replay_id"]
        begun = {"state": RUNNING, "days_done": 0, "studies": 0, "told_at": now}
        connection.execute(sa.update(rule_replay).where(mine).values(begun))
        return _replay({**row, **begun})


def tell_progress(
    records: Records, replay_id: str, days_done: int, studies: int, now: datetime
) -> bool:
    """Write how far it is; returns whether it is still wanted."""
    told = {"days_done": days_done, "studies": studies, "told_at": now}
    return _change(records, replay_id, (RUNNING,), told)


def end_replay(records: Records, replay_id: str, state: str, result: object = None) -> bool:
    """DONE with its result, or FAILED; returns False if it was cancelled meanwhile."""
    told = {"state": state, "result": orjson.dumps(result or {}).decode()}
    return _change(records, replay_id, (RUNNING,), told)


def cancel_replay(records: Records, replay_id: str) -> bool:
    """Returns whether there was something to cancel."""
    return _change(records, replay_id, OPEN, {"state": CANCELLED})


def _change(
    records: Records, replay_id: str, states: tuple[str, ...], values: Mapping[str, object]
) -> bool:
    mine = sa.and_(rule_replay.c.replay_id == replay_id, rule_replay.c.state.in_(states))
    with records.write() as connection:
        return bool(connection.execute(sa.update(rule_replay).where(mine).values(values)).rowcount)


def load_replay(records: Records, replay_id: str) -> ReplayRow | None:
    question = sa.select(rule_replay).where(rule_replay.c.replay_id == replay_id)
    with records.read() as connection:
        row = connection.execute(question).mappings().first()
    return _replay(dict(row)) if row else None


def load_replays(records: Records, owner: str, most: int = 5) -> list[ReplayRow]:
    """Of an owner's rules, the newest first."""
    mine = sa.select(rule_replay).where(rule_replay.c.owner == owner)
    with records.read() as connection:
        rows = connection.execute(mine.order_by(rule_replay.c.asked_at.desc()).limit(most))
        return [_replay(dict(row)) for row in rows.mappings()]


def _replay(row: Mapping[str, Any]) -> ReplayRow:
    found = dict(row)
    rule_set = read_rule_set(Reader(orjson.loads(found.pop("document"))))
    assert rule_set is not None  # noqa: S101 - it was written from one
    return ReplayRow(**found | {"rule_set": rule_set, "result": orjson.loads(found["result"])})
