"""The register of facilities and modality units: every revision of each, and never one changed.

What counts at a day follows from the revisions (model/rollout/register.py, as_of). Numbers are
given one after the other under a lock, so that the last ones tell the state of the whole register.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import Any, Generic

import sqlalchemy as sa

from gateway.errors import RegisterChanged
from gateway.model.rollout.register import (
    Capture,
    Facility,
    FacilityKind,
    Revision,
    T,
    Unit,
    UnitKind,
    UnitState,
)
from gateway.records.engine import BigId, Records, UtcDateTime, metadata


def _of_a_revision() -> list[sa.Column[Any]]:
    return [
        sa.Column("number", BigId, primary_key=True, autoincrement=False),
        sa.Column("valid_from", sa.Date, nullable=False),
        sa.Column("recorded_at", UtcDateTime, nullable=False),
        sa.Column("author", sa.String(128), nullable=False),
        sa.Column("reason", sa.String(500), nullable=False),
    ]


facility_revision = sa.Table(
    "facility_revision",
    metadata,
    *_of_a_revision(),
    sa.Column("facility_id", sa.String(32), nullable=False),
    sa.Column("name_ru", sa.String(300), nullable=False),
    sa.Column("name_en", sa.String(300), nullable=False),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("municipality", sa.String(120), nullable=False),
    sa.Column("latitude", sa.Double),
    sa.Column("longitude", sa.Double),
    sa.Column("oid", sa.String(64), nullable=False),
    sa.Column("parent_id", sa.String(32), nullable=False),
    sa.Column("planned_on", sa.Date),
    sa.Column("joined_on", sa.Date),
    sa.Column("site_id", sa.String(32), nullable=False),
    sa.Column("merged_into", sa.String(32), nullable=False),
    sa.Column("municipality_en", sa.String(120), nullable=False, server_default=sa.text("''")),
)
sa.Index("facility_revision_by_facility", facility_revision.c.facility_id)

unit_revision = sa.Table(
    "unit_revision",
    metadata,
    *_of_a_revision(),
    sa.Column("unit_id", sa.String(32), nullable=False),
    sa.Column("facility_id", sa.String(32), nullable=False),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("manufacturer", sa.String(64), nullable=False),
    sa.Column("model", sa.String(64), nullable=False),
    sa.Column("serial", sa.String(64), nullable=False),
    sa.Column("year", sa.Integer),
    sa.Column("capture", sa.String(32), nullable=False),
    sa.Column("state", sa.String(32), nullable=False),
    sa.Column("funding", sa.String(120), nullable=False),
    sa.Column("cost", sa.BigInteger),
    sa.Column("renewed", sa.Boolean, nullable=False),
    sa.Column("renewal_on", sa.Date),
    sa.Column("merged_into", sa.String(32), nullable=False),
    sa.Column("funding_en", sa.String(120), nullable=False, server_default=sa.text("''")),
)
sa.Index("unit_revision_by_unit", unit_revision.c.unit_id)

ONE_WRITER = 0x52454749  # key of PostgreSQL's advisory lock: "REGI"


@dataclass(frozen=True)
class State:
    """How far the register is: the last number of each table; 0 of an empty one."""

    facilities: int
    units: int

    def __str__(self) -> str:
        return f"{self.facilities}.{self.units}"


@dataclass(frozen=True)
class Change(Generic[T]):
    """What is to be written of one facility or unit.

    based_on  number of the revision that its author saw last, 0 for a new one; None: does not ask
    """

    thing: T
    valid_from: date
    based_on: int | None = None


def load_facilities(
    records: Records, after: int = 0, until: int | None = None
) -> list[Revision[Facility]]:
    """Every revision of every facility, in the order in which they were written.

    after, until  only those with a number behind, and up to that one; None: without an end
    """
    return _load(
        records, facility_revision, _facility_of, *_between(facility_revision, after, until)
    )


def load_units(records: Records, after: int = 0, until: int | None = None) -> list[Revision[Unit]]:
    """Every revision of every unit, in the order in which they were written; see above."""
    return _load(records, unit_revision, _unit_of, *_between(unit_revision, after, until))


def _between(table: sa.Table, after: int, until: int | None) -> list[sa.ColumnElement[bool]]:
    found = [table.c.number > after] if after else []
    return found if until is None else [*found, table.c.number <= until]


def facility_history(records: Records, facility_id: str) -> list[Revision[Facility]]:
    """Of one facility, as they were written; empty if there is no such one."""
    mine = facility_revision.c.facility_id == facility_id
    return _load(records, facility_revision, _facility_of, mine)


def unit_history(records: Records, unit_id: str) -> list[Revision[Unit]]:
    """Of one unit, as they were written; empty if there is no such one."""
    return _load(records, unit_revision, _unit_of, unit_revision.c.unit_id == unit_id)


def load_state(records: Records) -> State:
    """How far the register is now."""
    with records.read() as connection:
        return _state(connection)


def add_revisions(
    records: Records,
    *,
    facilities: Sequence[Change[Facility]] = (),
    units: Sequence[Change[Unit]] = (),
    author: str,
    reason: str,
    now: datetime,
    seen: State | None = None,
) -> State:
    """Write all of them or none, in the order given; what they say must have been checked.

    seen     the state of the register that they were made from; None: does not ask
    returns  the state after them
    raises   RegisterChanged if somebody else wrote since, in the register or of one `based_on`
    """
    common = {"recorded_at": now, "author": author, "reason": reason}
    with records.write() as connection:
        if connection.dialect.name == "postgresql":  # SQLite's transaction does so by itself
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(ONE_WRITER)))
        state = _state(connection)
        if seen is not None and seen != state:
            raise RegisterChanged("")
        _check_bases(connection, facility_revision.c.facility_id, facilities)
        _check_bases(connection, unit_revision.c.unit_id, units)
        _write(connection, facility_revision, facilities, state.facilities, common)
        _write(connection, unit_revision, units, state.units, common)
        return State(state.facilities + len(facilities), state.units + len(units))


def _state(connection: sa.Connection) -> State:
    last = [
        sa.select(sa.func.coalesce(sa.func.max(table.c.number), 0)).scalar_subquery()
        for table in (facility_revision, unit_revision)
    ]
    return State(*connection.execute(sa.select(*last)).one())


def _check_bases(
    connection: sa.Connection, key: sa.Column[str], changes: Iterable[Change[T]]
) -> None:
    for change in changes:
        if change.based_on is None:
            continue
        thing_id = _id_of(change.thing)
        newest = sa.select(sa.func.max(key.table.c.number)).where(key == thing_id)
        if (connection.execute(newest).scalar() or 0) != change.based_on:
            raise RegisterChanged(thing_id)


def _write(
    connection: sa.Connection, table: sa.Table, changes: Sequence[Change[T]], last: int,
    common: Mapping[str, object],
) -> None:  # fmt: skip
    rows = [
        {**vars(change.thing), **common, "valid_from": change.valid_from, "number": number}
        for number, change in enumerate(changes, last + 1)
    ]
    if rows:
        connection.execute(sa.insert(table), rows)


def _id_of(thing: Facility | Unit) -> str:
    return thing.facility_id if isinstance(thing, Facility) else thing.unit_id


_FACILITY_KINDS = {str(kind): kind for kind in FacilityKind}
_UNIT_KINDS = {str(kind): kind for kind in UnitKind}
_CAPTURES = {str(capture): capture for capture in Capture}
_STATES = {str(state): state for state in UnitState}
_NAMES = {
    facility_revision: [field.name for field in fields(Facility)],
    unit_revision: [field.name for field in fields(Unit)],
}


def _load(
    records: Records, table: sa.Table, thing_of: Any, *where: sa.ColumnElement[bool]
) -> list[Any]:
    own = [table.c[name] for name in ("number", "valid_from", "recorded_at", "author", "reason")]
    body = [table.c[name] for name in _NAMES[table]]
    question = sa.select(*own, *body).where(*where).order_by(table.c.number)
    with records.read() as connection:
        rows = connection.execute(question).all()
    return [
        Revision(number, valid_from, recorded_at, author, reason, thing_of(*values))
        for number, valid_from, recorded_at, author, reason, *values in rows
    ]


def _facility_of(facility_id: str, name_ru: str, name_en: str, kind: str, *rest: Any) -> Facility:
    return Facility(facility_id, name_ru, name_en, _FACILITY_KINDS[kind], *rest)


def _unit_of(
    unit_id: str, facility_id: str, kind: str, manufacturer: str, model: str, serial: str,
    year: int | None, capture: str, state: str, *rest: Any,
) -> Unit:  # fmt: skip
    words = (_CAPTURES[capture], _STATES[state])
    return Unit(
        unit_id, facility_id, _UNIT_KINDS[kind], manufacturer, model, serial, year, *words, *rest
    )


def first_day(records: Records) -> date | None:
    """The first day of which the register says anything of a unit; None: it says nothing yet."""
    with records.read() as connection:
        found: date | None = connection.scalar(sa.select(sa.func.min(unit_revision.c.valid_from)))
    return found
