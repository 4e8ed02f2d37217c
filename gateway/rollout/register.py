"""Changes of the register: an import that was shown first, a form, a merge. All or nothing, and
only of what its author saw.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from threading import Lock

from gateway.errors import RegisterChanged
from gateway.model.rollout.checking import Fault
from gateway.model.rollout.columns import Cell
from gateway.model.rollout.import_plan import Mistake, Plan, Table, What
from gateway.model.rollout.importing import Progress, Terms, plan_import
from gateway.model.rollout.merging import (
    Merging,
    merge_facility,
    merge_unit,
    separate_facility,
    separate_unit,
)
from gateway.model.rollout.register import Facility, Revision, Unit, as_of
from gateway.model.rollout.timeline import Timelines
from gateway.records.engine import Records
from gateway.records.register import (
    Change,
    State,
    add_revisions,
    load_facilities,
    load_state,
    load_units,
)
from gateway.rollout.reading import read_tables

FORM = "form"
"""Name of the table that a form is read as."""


@dataclass(frozen=True)
class Register:
    """All that is known, and how far it was when it was read."""

    facilities: list[Revision[Facility]]
    units: list[Revision[Unit]]
    state: State

    _at: dict[date, "Standing"] = field(default_factory=dict, compare=False, repr=False)

    def standing(self, day: date) -> "Standing":
        """As each stands at a day; what only comes later is there already as it will be."""
        if day not in self._at:
            self._at[day] = Standing(
                as_of(self.facilities, date.max) | as_of(self.facilities, day),
                as_of(self.units, date.max) | as_of(self.units, day),
            )
        return self._at[day]


@dataclass(frozen=True)
class Standing:
    """Facilities and units by their ids."""

    facilities: Mapping[str, Facility]
    units: Mapping[str, Unit]


class Shelf:
    """The register as a process keeps it: a revision never changes, so only newer ones are read."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._turn = Lock()
        self._last = Register([], [], State(0, 0))

    def now(self) -> Register:
        """All that was written until now; not to be changed. raises RecordsUnavailable"""
        state, last = load_state(self._records), self._last
        if state == last.state:
            return last
        with self._turn:
            last = self._last
            if state.facilities < last.state.facilities or state.units < last.state.units:
                last = Register([], [], State(0, 0))  # it was emptied under our feet
            more = (
                load_facilities(self._records, last.state.facilities, state.facilities),
                load_units(self._records, last.state.units, state.units),
            )
            self._last = Register(last.facilities + more[0], last.units + more[1], state)
            return self._last


@dataclass(frozen=True)
class Author:
    """Who writes, and why.

    own  sites whose facilities the author may write; None: all
    """

    name: str
    reason: str
    own: frozenset[str] | None = None


@dataclass(frozen=True)
class File:
    name: str
    content: bytes


@dataclass(frozen=True)
class Shown:
    """An import as it is shown before it is applied.

    key  of these files, this day and this state of the register: who confirms it has seen this
    """

    plan: Plan
    state: State
    key: str


def load_register(records: Records) -> Register:
    """The state is read first: what is written meanwhile is refused later, never overlooked."""
    state = load_state(records)
    return Register(load_facilities(records), load_units(records), state)


def own_facilities(
    facilities: Sequence[Revision[Facility]], sites: frozenset[str] | None, day: date
) -> frozenset[str] | None:
    """Facilities of these sites at a day; None: all of them."""
    if sites is None:
        return None
    lines = Timelines(facilities)
    now = {facility_id: lines.at(facility_id, day) for facility_id in lines}
    return frozenset(key for key, one in now.items() if one is not None and one.site_id in sites)


def show_import(
    records: Records,
    files: Sequence[File],
    day: date,
    today: date,
    sites: frozenset[str] | None = None,
    progress: Progress = lambda done, total: None,
) -> Shown:
    """What these files would change; nothing is written.

    day    from which rows count that do not say it
    sites  whose facilities the author may write; None: all
    """
    return plan_files(load_register(records), files, day, today, sites, progress)


def plan_files(
    register: Register,
    files: Sequence[File],
    day: date,
    today: date,
    sites: frozenset[str] | None = None,
    progress: Progress = lambda done, total: None,
) -> Shown:
    """The same in a register that was read. Pure; a large workbook takes half a minute."""
    tables = [table for file in files for table in read_tables(file.name, file.content)]
    terms = Terms(day, today, own_facilities(register.facilities, sites, today))
    plan = plan_import(tables, register.facilities, register.units, terms, progress)
    return Shown(plan, register.state, _key(files, day, register.state))


def _key(files: Sequence[File], day: date, state: State) -> str:
    digests = sorted(hashlib.sha256(file.content).hexdigest() for file in files)
    return hashlib.sha256("\n".join([*digests, str(day), str(state)]).encode()).hexdigest()


def apply_import(records: Records, shown: Shown, author: Author, now: datetime) -> State:
    """Write what was shown; an import with a mistake writes nothing.

    raises  RegisterChanged if somebody else wrote since it was made
    """
    if not shown.plan.changes:
        return shown.state
    return add_revisions(
        records,
        facilities=[Change(one.thing, one.valid_from) for one in shown.plan.facilities],
        units=[Change(one.thing, one.valid_from) for one in shown.plan.units],
        author=author.name,
        reason=author.reason,
        now=now,
        seen=shown.state,
    )


def save_form(
    records: Records,
    sent: Mapping[str, Cell],
    based_on: int,
    author: Author,
    now: datetime,
    today: date,
) -> list[Mistake]:
    """Write one facility or unit as a form says it; what is wrong with it otherwise.

    sent      by the names of fields, with `valid_from`; all of a unit's if it has `unit_id`
    based_on  number of the revision that the form was made from, 0 for a new one
    raises    RegisterChanged if there is a newer one
    """
    register = load_register(records)
    kind = "unit_id" if "unit_id" in sent else "facility_id"
    table = Table(FORM, ((1, tuple(sent)), (2, tuple(sent.values()))))
    terms = Terms(today, today, own_facilities(register.facilities, author.own, today))
    plan = plan_import([table], register.facilities, register.units, terms)
    if plan.mistakes or not (plan.facilities or plan.units):
        return plan.mistakes
    if based_on == 0 and plan.rows[0].what is not What.NEW:
        raise RegisterChanged(str(sent[kind]))
    add_revisions(
        records,
        facilities=[Change(one.thing, one.valid_from, based_on) for one in plan.facilities],
        units=[Change(one.thing, one.valid_from, based_on) for one in plan.units],
        author=author.name,
        reason=author.reason,
        now=now,
        seen=register.state,
    )
    return []


def merge(
    records: Records, kind: str, one_id: str, into_id: str, day: date, author: Author,
    now: datetime,
) -> list[Fault]:  # fmt: skip
    """One facility or unit becomes a part of another from a day on; what is wrong otherwise.

    kind     "facility" or "unit"
    into_id  "": take an earlier merge of it back
    raises   RegisterChanged if somebody wrote meanwhile; try again
    """
    register = load_register(records)
    facilities, units = register.facilities, register.units
    if kind == "facility" and into_id:
        merging = merge_facility(facilities, units, one_id, into_id, day)
    elif kind == "facility":
        merging = separate_facility(facilities, units, one_id, day)
    elif into_id:
        merging = merge_unit(units, one_id, into_id, day)
    else:
        merging = separate_unit(units, one_id, day)
    if merging.faults:
        return merging.faults
    _write(records, merging, author, now, register.state)
    return []


def _write(records: Records, merging: Merging, author: Author, now: datetime, seen: State) -> None:
    add_revisions(
        records,
        facilities=[Change(thing, day) for thing, day in merging.facilities],
        units=[Change(thing, day) for thing, day in merging.units],
        author=author.name,
        reason=author.reason,
        now=now,
        seen=seen,
    )
