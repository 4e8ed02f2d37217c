"""What people are to be told, as rows: written with their cause, gone only when they were told.

A row is one notice to one address list by one way. Rows become a message when they are bundled; a
message keeps its rows and its id until it was taken, so that a try which nobody knows the end of
can be told apart from a new message. While one message of a list waits, the next ones gather: a
mail server that was away for a night gets two mails, not a hundred.
"""

import uuid
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import orjson
import sqlalchemy as sa

from gateway.model.notices import Event, Notice, alarm_key, study_key
from gateway.records.alarms import alarm
from gateway.records.engine import BigId, Records, UtcDateTime, metadata
from gateway.records.leases import Fence

Way = Literal["mail", "webhook"]
WAYS: tuple[Way, ...] = ("mail", "webhook")
BACK_OFF_S, BACK_OFF_CAP_S = 5.0, 900.0
MOST = 500  # notices of one message
KEPT = timedelta(days=90)

notice = sa.Table(
    "notice",
    metadata,
    sa.Column("id", BigId, primary_key=True),
    sa.Column("list_id", sa.String(32), nullable=False),
    sa.Column("way", sa.String(16), nullable=False),
    sa.Column("key", sa.String(96), nullable=False),  # what must not be told twice
    sa.Column("told", sa.Text, nullable=False),  # JSON, see Notice
    sa.Column("made_at", UtcDateTime, nullable=False),
    sa.Column("message", sa.String(32), nullable=False),  # "": not bundled yet
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("next_at", UtcDateTime),
    sa.Column("sent_at", UtcDateTime),
    sa.Column("reason", sa.Text, nullable=False),  # why the last try failed
    sa.UniqueConstraint("list_id", "way", "key"),
)
_UNSENT = notice.c.sent_at.is_(None)
sa.Index("notice_unsent", notice.c.list_id, notice.c.way, notice.c.id,
         sqlite_where=_UNSENT, postgresql_where=_UNSENT)  # fmt: skip


@dataclass(frozen=True)
class Bundle:
    """The message that a list gets next by one way."""

    message_id: str
    list_id: str
    way: Way
    notices: tuple[Notice, ...]


def write_notices(
    connection: sa.Connection, records: Records, list_id: str, told: Mapping[str, Notice],
    now: datetime, ways: Iterable[Way] = WAYS,
) -> None:  # fmt: skip
    """These are to be told to a list; what was already, or waits, stays as it is.

    told  key -> notice
    """
    rows = [
        {
            "list_id": list_id, "way": way, "key": key, "told": _written(one), "made_at": now,
            "message": "", "tries": 0, "reason": "",
        }
        for key, one in told.items()
        for way in ways
    ]  # fmt: skip
    if rows:
        connection.execute(records.insert(notice).values(rows).on_conflict_do_nothing())


def write_study_notices(
    connection: sa.Connection, records: Records, site_id: str, study_uid: str,
    named: Iterable[tuple[str, str]], now: datetime,
) -> None:  # fmt: skip
    """Rules name lists for a study: each is told once for each rule. named: (list, rule)"""
    for list_id, rule in named:
        one = Notice("study", rule, study_uid, {"site": site_id}, now)
        key = study_key(site_id, study_uid, rule)
        write_notices(connection, records, list_id, {key: one}, now)


def note_alarms(
    records: Records, lists: Collection[tuple[str, Way]], now: datetime, fence: Fence | None
) -> None:
    """What has happened to alarms since the last look is to be told; once, whoever looks.

    lists   those that are told of alarms, with the ways to each
    raises  LeaseLost if another keeper leads; RecordsUnavailable
    """
    opened, cleared = alarm.c.noted == "", alarm.c.cleared_at.is_not(None)
    question = sa.select(alarm).where(sa.or_(opened, sa.and_(cleared, alarm.c.noted == "opened")))
    with records.read() as connection:
        if connection.execute(question.limit(1)).first() is None:
            return
    with records.write() as connection:
        if fence:
            fence.check(connection)
        rows = connection.execute(question.order_by(alarm.c.id).limit(MOST)).all()
        told: dict[str, Notice] = {}
        for row in rows:
            facts = orjson.loads(row.facts)
            events: list[tuple[Event, datetime]] = [("cleared", row.cleared_at)]
            events = events if row.cleared_at is not None else []
            if row.noted == "":
                events.insert(0, ("opened", row.raised_at))
            for event, at in events:
                one = Notice(event, row.kind, row.subject, facts, at)
                told[alarm_key(row.id, event)] = one
            noted = "cleared" if row.cleared_at is not None else "opened"
            connection.execute(sa.update(alarm).where(alarm.c.id == row.id).values(noted=noted))
        for list_id, way in sorted(lists):
            write_notices(connection, records, list_id, told, now, (way,))


def load_unsent(records: Records) -> Mapping[tuple[str, Way], tuple[int, datetime, str]]:
    """What waits to be told, by list and way: how many notices, since when, and why the last try
    failed."""
    keys = (notice.c.list_id, notice.c.way)
    of_all = (sa.func.count(), sa.func.min(notice.c.made_at), sa.func.max(notice.c.reason))
    question = sa.select(*keys, *of_all).where(_UNSENT)
    with records.read() as connection:
        rows = connection.execute(question.group_by(*keys)).all()
    return {(row[0], row[1]): (row[2], row[3], row[4]) for row in rows}


def next_bundle(
    records: Records, list_id: str, way: Way, now: datetime, rest_s: float, fence: Fence | None
) -> Bundle | None:
    """The message to try now, its rows bound to it; None if it is too early, or there is nothing.

    rest_s  after a message the next one of this list waits so long, and gathers
    raises  LeaseLost; RecordsUnavailable
    """
    mine = sa.and_(notice.c.list_id == list_id, notice.c.way == way)
    with records.write() as connection:
        if fence:
            fence.check(connection)
        question = sa.select(notice).where(mine, _UNSENT).order_by(notice.c.id)
        bound = connection.execute(question.where(notice.c.message != "")).all()
        if not bound:
            last = sa.select(sa.func.max(notice.c.sent_at)).where(mine, notice.c.message != "")
            sent_at = connection.execute(last).scalar_one()
            if sent_at is not None and sent_at > now - timedelta(seconds=rest_s):
                return None
            bound = connection.execute(question.limit(MOST)).all()
            message_id = uuid.uuid4().hex
            ids = [row.id for row in bound]
            bind = sa.update(notice).where(notice.c.id.in_(ids)).values(message=message_id)
            connection.execute(bind)
        elif bound[0].next_at is not None and bound[0].next_at > now:
            return None
        else:
            message_id = bound[0].message
    if not bound:
        return None
    return Bundle(message_id, list_id, way, tuple(_read(row.told) for row in bound))


def save_sent(records: Records, bundle: Bundle, now: datetime) -> None:
    """The message was taken."""
    mine = sa.and_(notice.c.message == bundle.message_id, _UNSENT)
    with records.write() as connection:
        connection.execute(sa.update(notice).where(mine).values(sent_at=now, reason=""))


def save_failed(records: Records, bundle: Bundle, reason: str, now: datetime) -> None:
    """It was not taken; it is tried again, ever more slowly, for ever."""
    mine = sa.and_(notice.c.message == bundle.message_id, _UNSENT)
    with records.write() as connection:
        tries = connection.execute(sa.select(sa.func.max(notice.c.tries)).where(mine)).scalar_one()
        wait_s = min(BACK_OFF_S * 2.0 ** min(tries or 0, 20), BACK_OFF_CAP_S)
        later = {"tries": (tries or 0) + 1, "next_at": now + timedelta(seconds=wait_s)}
        connection.execute(sa.update(notice).where(mine).values(later | {"reason": reason}))


def drop_unreachable(records: Records, list_id: str, way: Way) -> None:
    """The list has no such way: nothing is told by it."""
    mine = sa.and_(notice.c.list_id == list_id, notice.c.way == way, _UNSENT)
    with records.write() as connection:
        connection.execute(sa.delete(notice).where(mine))


def forget_notices(records: Records, now: datetime) -> None:
    """What was told long ago; of studies the row stays, so that they are not told again."""
    old = sa.and_(notice.c.sent_at < now - KEPT, notice.c.key.startswith("alarm "))
    with records.write() as connection:
        connection.execute(sa.delete(notice).where(old))


def _written(one: Notice) -> str:
    values = {"event": one.event, "kind": one.kind, "subject": one.subject, "at": one.at}
    return orjson.dumps(values | {"facts": dict(one.facts)}).decode()


def _read(told: str) -> Notice:
    values: dict[str, Any] = orjson.loads(told)
    return Notice(**values | {"at": datetime.fromisoformat(values["at"])})
