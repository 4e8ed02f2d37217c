"""Versions of rule sets: never changed, activated at a moment, rolled back by another activation.

Both tables only grow. What counts at a moment follows from the activations before it, so a rule
that starts at midnight needs no job that might be late.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

import sqlalchemy as sa

from gateway.errors import RuleSetChanged, RuleSetRefused
from gateway.model.routing.document import Located, format_rule_set, parse_rule_set
from gateway.model.routing.rule_sets import MINISTRY, RuleSet
from gateway.records.engine import BigId, Records, UtcDateTime, metadata

rule_version = sa.Table(
    "rule_version",
    metadata,
    sa.Column("owner", sa.String(32), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("document", sa.Text, nullable=False),
    sa.Column("author", sa.String(128), nullable=False),
    sa.Column("comment", sa.Text, nullable=False),
    sa.Column("made_at", UtcDateTime, nullable=False),
)

rule_activation = sa.Table(
    "rule_activation",
    metadata,
    sa.Column("id", BigId, primary_key=True),
    sa.Column("owner", sa.String(32), nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("starts_at", UtcDateTime, nullable=False),
    sa.Column("author", sa.String(128), nullable=False),
    sa.Column("made_at", UtcDateTime, nullable=False),
    sa.Column("needs_approval", sa.Boolean, nullable=False),
    sa.Column("approved_by", sa.String(128), nullable=False),
    sa.Column("approved_at", UtcDateTime),
    sa.ForeignKeyConstraint(["owner", "number"], ["rule_version.owner", "rule_version.number"]),
    sa.Index("rule_activation_by_owner", "owner", "starts_at"),
)


@dataclass(frozen=True)
class Version:
    """One immutable version. `number` counts from 1 for each owner."""

    owner: str
    number: int
    author: str
    comment: str
    made_at: datetime
    rule_set: RuleSet


@dataclass(frozen=True)
class Activation:
    """A version that counts from `starts_at` on, once approved where that is needed."""

    activation_id: int
    owner: str
    number: int
    starts_at: datetime
    author: str
    made_at: datetime
    needs_approval: bool
    approved_by: str = ""
    approved_at: datetime | None = None


def save_version(
    records: Records, rule_set: RuleSet, author: str, comment: str, based_on: int, now: datetime
) -> int:
    """Keep a new version; it counts only once it is activated.

    based_on  number of the version that the author saw last, 0 for none (RFC 9110 13.1.1 If-Match)
    returns   its number; the last version's if nothing differs
    raises    RuleSetChanged if somebody saved another version since
    """
    document = format_rule_set(rule_set)
    owner = rule_set.owner
    with records.write() as connection:
        _one_at_a_time(connection, owner)
        last = connection.execute(
            sa.select(rule_version.c.number, rule_version.c.document)
            .where(rule_version.c.owner == owner)
            .order_by(rule_version.c.number.desc())
            .limit(1)
        ).one_or_none()
        number = last.number if last else 0
        if number != based_on:
            raise RuleSetChanged(owner, number)
        if last and last.document == document:
            return int(number)
        row = {"owner": owner, "number": number + 1, "document": document}
        row |= {"author": author, "comment": comment, "made_at": now}
        connection.execute(sa.insert(rule_version).values(row))
    return int(number) + 1


def _one_at_a_time(connection: sa.Connection, owner: str) -> None:
    """Two authors of one owner wait for each other; SQLite's transaction does so by itself."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtext(owner))))


def load_version(records: Records, owner: str, number: int | None = None) -> Version | None:
    """A version by its number, or the newest; None if there is none."""
    select = sa.select(rule_version).where(rule_version.c.owner == owner)
    if number is not None:
        select = select.where(rule_version.c.number == number)
    with records.read() as connection:
        row = connection.execute(select.order_by(rule_version.c.number.desc()).limit(1)).first()
    return _version(row) if row else None


def load_versions(records: Records, owner: str) -> list[Version]:
    """All versions, the newest first."""
    select = sa.select(rule_version).where(rule_version.c.owner == owner)
    with records.read() as connection:
        rows = connection.execute(select.order_by(rule_version.c.number.desc())).all()
    return [_version(row) for row in rows]


def _version(row: sa.Row) -> Version:  # type: ignore[type-arg]
    rule_set, mistakes = _parsed(row.document)
    if rule_set is None:
        # Written by a newer gateway: to route by half of it would be to guess.
        raise RuleSetRefused(row.owner, row.number, mistakes[0].mistake.code)
    return Version(row.owner, row.number, row.author, row.comment, row.made_at, rule_set)


@lru_cache(maxsize=256)
def _parsed(document: str) -> tuple[RuleSet | None, Sequence[Located]]:
    """A version never changes, and every study that arrives asks for it."""
    return parse_rule_set(document)


def activate(
    records: Records,
    owner: str,
    number: int,
    starts_at: datetime,
    author: str,
    now: datetime,
    *,
    needs_approval: bool = False,
) -> int:
    """Let a version count from a moment on; the one before counts until then. A rollback is the
    activation of an older number.

    returns  the id of the activation
    raises   RuleSetRefused if there is no such version, or if `starts_at` has passed
    """
    if starts_at < now:
        raise RuleSetRefused(owner, number, "starts_in_the_past")
    row = {"owner": owner, "number": number, "starts_at": starts_at, "author": author}
    row |= {"made_at": now, "needs_approval": needs_approval, "approved_by": ""}
    with records.write() as connection:
        known = sa.select(rule_version.c.number).where(
            rule_version.c.owner == owner, rule_version.c.number == number
        )
        if connection.execute(known).first() is None:
            raise RuleSetRefused(owner, number, "no_such_version")
        made = connection.execute(
            sa.insert(rule_activation).values(row).returning(rule_activation.c.id)
        )
        return int(made.scalar_one())


def approve(records: Records, activation_id: int, approver: str, now: datetime) -> None:
    """The second person's word.

    raises  RuleSetRefused if the activation is unknown, approved already, needs nobody, is the
            approver's own, or is overtaken: what was decided after it counts, so it never would
    """
    table, later = rule_activation, rule_activation.alias()
    overtaken = sa.exists().where(
        later.c.owner == table.c.owner, later.c.id > table.c.id, later.c.starts_at <= now,
        sa.or_(~later.c.needs_approval, later.c.approved_at.is_not(None)),
    )  # fmt: skip
    change = (
        sa.update(table)
        .where(
            table.c.id == activation_id,
            table.c.needs_approval,
            table.c.approved_at.is_(None),
            table.c.author != approver,
            ~overtaken,
        )
        .values(approved_by=approver, approved_at=now)
    )
    with records.write() as connection:
        if connection.execute(change).rowcount != 1:
            raise RuleSetRefused("", activation_id, "not_to_approve")


def load_activations(records: Records, owner: str) -> list[Activation]:
    """All activations, the newest first."""
    select = sa.select(rule_activation).where(rule_activation.c.owner == owner)
    with records.read() as connection:
        rows = connection.execute(select.order_by(rule_activation.c.id.desc())).all()
    return [Activation(*row) for row in rows]


def active_version(records: Records, owner: str, moment: datetime) -> Version | None:
    """The version that counts at a moment: of the activations that have begun, the last decided.

    So a rollback also ends what was planned before it: every version holds the ones before it, and
    the last decision is the one that its author had in mind.
    """
    table = rule_activation
    same = sa.and_(table.c.owner == rule_version.c.owner, table.c.number == rule_version.c.number)
    approved = sa.or_(~table.c.needs_approval, table.c.approved_at <= moment)
    begun = sa.and_(table.c.starts_at <= moment, table.c.made_at <= moment)
    select = (
        sa.select(rule_version)
        .join(table, same)
        .where(table.c.owner == owner, begun, approved)
        .order_by(table.c.id.desc())
        .limit(1)
    )
    with records.read() as connection:
        row = connection.execute(select).first()
    return _version(row) if row else None


def active_versions(records: Records, site_id: str, moment: datetime) -> tuple[Version, ...]:
    """What a study of this site is judged by: the ministry's version, then the hospital's."""
    found = (active_version(records, owner, moment) for owner in (MINISTRY, site_id))
    return tuple(version for version in found if version)
