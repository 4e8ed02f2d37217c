"""What an auditor asks of the audit: who touched this patient or study, what did this person open
between two moments; newest first, page by page, over ten million rows as fast as over ten.

The rows of a page are found in an index alone and looked up then: no question sorts whole rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from gateway.model.audit import Row
from gateway.records.audit import COLUMNS, REFUSED, SEARCHED, audit_entry, row_of
from gateway.records.engine import Records

MOST_COUNTED = 20_000
"""Lines that a summary is made of, the newest."""
MOST_GROUPS = 200
WRITTEN_AT_ONCE = 2000
MOST_AT_ONCE = 500
"""Studies in one IN list."""

row = audit_entry.c


@dataclass(frozen=True)
class Asked:
    """What lines are wanted; what is empty narrows nothing.

    studies   of a patient, or one; with `patients` lines of either
    patients  digests that a search by PatientID left (records/audit_patients.py)
    nobody    the patient is not known here, so that no line can be meant
    refused   only what was refused
    """

    since: datetime
    until: datetime
    studies: frozenset[str] = frozenset()
    patients: frozenset[str] = frozenset()
    nobody: bool = False
    actor: str = ""
    action: str = ""
    refused: bool = False

    @property
    def is_narrow(self) -> bool:
        """Whether an index leads to what is meant; a period alone is too much."""
        named = self.studies or self.patients or self.nobody or self.actor or self.action
        return bool(named) or self.refused


@dataclass(frozen=True)
class Sum:
    """What one actor did with one study, or with none: so many times, from when until when.

    times    requests, or lines that belong to none; `refused` lines of them were not let
    """

    actor: str
    kind: str
    action: str
    study_uid: str
    times: int
    refused: int
    size_bytes: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True)
class Place:
    """Where a page ended: the next one begins behind this line."""

    at: datetime
    number: int


def load_page(
    records: Records, asked: Asked, limit: int, after: Place | None = None
) -> list[Row]:  # fmt: skip
    """Lines, the newest first."""
    if asked.nobody:
        return []
    numbers = _numbers(asked, limit, after)
    question = sa.select(*COLUMNS).where(row.number.in_(numbers))
    with records.read() as connection:
        return [row_of(one) for one in connection.execute(question.order_by(*_NEWEST)).all()]


def load_sums(records: Records, asked: Asked) -> tuple[list[Sum], bool]:
    """Who did what with which study, the newest first; and whether there is more than counted."""
    if asked.nobody:
        return [], False
    who = (row.actor, row.kind, row.action, row.study_uid)
    last_at = sa.func.max(row.at)
    question = sa.select(
        *who,
        sa.func.count(sa.distinct(sa.func.nullif(row.request, "")))
        + sa.func.sum(sa.case((row.request == "", 1), else_=0)),
        sa.func.sum(sa.case((REFUSED, 1), else_=0)),
        sa.func.sum(row.size_bytes),
        sa.func.min(row.at),
        last_at,
        sa.func.count(),
    )
    numbers = _numbers(asked, MOST_COUNTED, None)
    grouped = question.where(row.number.in_(numbers)).group_by(*who).order_by(last_at.desc())
    with records.read() as connection:
        found = connection.execute(grouped).all()
    sums = [
        Sum(actor, kind, action, uid, int(times), int(denied), int(size), first_at, until)
        for actor, kind, action, uid, times, denied, size, first_at, until, _ in found[:MOST_GROUPS]
    ]
    counted = sum(one[9] for one in found)
    return sums, len(found) > MOST_GROUPS or counted >= MOST_COUNTED


def walk(records: Records, asked: Asked) -> Iterator[Row]:
    """All lines, the newest first; each page is a question of its own, so that nothing waits."""
    after: Place | None = None
    while True:
        page = load_page(records, asked, WRITTEN_AT_ONCE, after)
        yield from page
        if len(page) < WRITTEN_AT_ONCE:
            return
        after = Place(page[-1].entry.at, page[-1].number)


_NEWEST = (row.at.desc(), row.number.desc())


def _numbers(asked: Asked, limit: int, after: Place | None) -> sa.ScalarSelect[int]:
    """Numbers of the newest lines that are meant."""
    studies = sorted(asked.studies)
    arms: list[sa.ColumnElement[bool] | None] = [
        row.study_uid.in_(studies[n : n + MOST_AT_ONCE])
        for n in range(0, len(studies), MOST_AT_ONCE)
    ]
    if asked.patients:
        arms.append(SEARCHED & row.patient.in_(sorted(asked.patients)))
    found = [_arm(asked, one, after).limit(limit) for one in arms or [None]]
    if len(found) == 1:
        (only,) = found
        newest = only.subquery()
    else:
        each = [sa.select(one.subquery()) for one in found]
        both = sa.union(*each).subquery()
        order = (both.c.at.desc(), both.c.number.desc())
        newest = sa.select(both).order_by(*order).limit(limit).subquery()
    return sa.select(newest.c.number).scalar_subquery()


def _arm(
    asked: Asked, meant: sa.ColumnElement[bool] | None, after: Place | None
) -> sa.Select[tuple[datetime, int]]:
    question = sa.select(row.at, row.number).where(row.at >= asked.since, row.at < asked.until)
    if meant is not None:
        question = question.where(meant)
    if asked.actor:
        question = question.where(row.actor == asked.actor)
    if asked.action:
        question = question.where(row.action == asked.action)
    if asked.refused:
        question = question.where(REFUSED)
    if after is not None:
        earlier = (row.at < after.at) | ((row.at == after.at) & (row.number < after.number))
        question = question.where(row.at <= after.at, earlier)
    return question.order_by(*_NEWEST)
