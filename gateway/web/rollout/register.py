"""`/rollout/register`: facilities and units as they stand, and everything that was ever written of
them. Hospital IT sees its own facility, the ministry all of them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from flask import Blueprint, Response, request

from gateway.clock import utc_now
from gateway.errors import NotFound
from gateway.model.access import Action
from gateway.model.rollout.columns import FACILITY_COLUMNS, UNIT_COLUMNS, Column
from gateway.model.rollout.import_plan import Difference
from gateway.model.rollout.importing import differences
from gateway.model.rollout.register import (
    Facility,
    Revision,
    T,
    Unit,
    UnitState,
    as_of,
    english_of,
)
from gateway.model.rollout.writing import text_of as cell_text
from gateway.model.wording import Words
from gateway.rollout.register import Register, own_facilities
from gateway.web.console.frame import choice_of, reach, text_of, who
from gateway.web.permissions import needs
from gateway.web.rollout.frame import Desk

MOST = 100
"""Rows of a list; who wants another one says more of it."""
DONE: Mapping[str, Words] = {
    "saved": Words("Записано.", "Saved."),
    "imported": Words("Файл записан в реестр.", "The file was written into the register."),
    "merged": Words("Объединено.", "Merged."),
    "separated": Words("Снова отдельно.", "Separate again."),
}


@dataclass(frozen=True)
class Told:
    """One revision of a history, the newest first. differences: from the one before it."""

    revision: Revision[Facility] | Revision[Unit]
    by: str
    differences: Sequence[Difference]
    is_first: bool


class View:
    """The register as the reader of this request may see it, today."""

    def __init__(self, desk: Desk) -> None:
        self.today = utc_now().astimezone(desk.zone).date()
        self.register: Register = desk.shelf.now()
        self.own = own_facilities(self.register.facilities, reach(), self.today)
        standing = self.register.standing(self.today)
        self._all = standing.facilities
        self.facilities, self.units = self._all, standing.units
        if self.own is not None:
            self.facilities = {key: self._all[key] for key in self.own}
            units = self.units.items()
            self.units = {key: unit for key, unit in units if unit.facility_id in self.own}

    def name(self, facility_id: str) -> Words:
        """Also of one that the reader may not see: what theirs belongs to."""
        found = self._all.get(facility_id)
        return found.name if found else Words("—", "—")

    @cached_property
    def english(self) -> Mapping[str, str]:
        """Municipalities, by their Russian names."""
        return english_of(self._all.values(), ())

    def facility(self, facility_id: str) -> Facility:
        """raises  NotFound, also for one that the reader may not see"""
        found = self.facilities.get(facility_id)
        if found is None:
            raise NotFound("facility")
        return found

    def unit(self, unit_id: str) -> Unit:
        """raises  NotFound, also for one of a facility that the reader may not see"""
        found = self.units.get(unit_id)
        if found is None:
            raise NotFound("unit")
        return found

    def units_of(self, facility_id: str) -> list[Unit]:
        """Those that stand there, before those that were written off or merged."""
        found = [unit for unit in self.units.values() if unit.facility_id == facility_id]
        return sorted(found, key=lambda unit: (is_gone(unit), unit.kind, unit.unit_id))


def is_gone(unit: Unit) -> bool:
    return bool(unit.merged_into) or unit.state is UnitState.DECOMMISSIONED


def add_routes(door: Blueprint, desk: Desk) -> None:
    """/rollout/register, …/facilities/ID, …/units/ID"""

    @door.get("/register")
    @needs(Action.READ_REGISTER)
    def register() -> Response:
        view = View(desk)
        words = text_of(request.args, "words")
        facilities = _fitting_facilities(view, words)
        units = _fitting_units(view, words) if words else []
        counts: dict[str, int] = {}
        for unit in view.units.values():
            counts[unit.facility_id] = counts.get(unit.facility_id, 0) + (not is_gone(unit))
        return desk.plain_page(
            "register", view=view, words=words, facilities=facilities[:MOST], counts=counts,
            all_facilities=len(facilities), units=units[:MOST], all_units=len(units),
            done=DONE.get(choice_of(request.args, "done", DONE)),
        )  # fmt: skip

    @door.get("/register/facilities/<facility_id>")
    @needs(Action.READ_REGISTER)
    def register_facility(facility_id: str) -> Response:
        view = View(desk)
        one = view.facility(facility_id)
        history = [r for r in view.register.facilities if r.thing.facility_id == facility_id]
        return desk.plain_page(
            "register_facility", view=view, one=one, units=view.units_of(facility_id),
            history=_told(desk, history, FACILITY_COLUMNS), columns=FACILITY_COLUMNS,
            cell_text=cell_text, is_gone=is_gone,
            parts_of=[f for f in view.facilities.values() if f.parent_id == facility_id],
            done=DONE.get(choice_of(request.args, "done", DONE)),
        )  # fmt: skip

    @door.get("/register/units/<unit_id>")
    @needs(Action.READ_REGISTER)
    def register_unit(unit_id: str) -> Response:
        view = View(desk)
        one = view.unit(unit_id)
        history = [r for r in view.register.units if r.thing.unit_id == unit_id]
        return desk.plain_page(
            "register_unit", view=view, one=one, columns=UNIT_COLUMNS, cell_text=cell_text,
            history=_told(desk, history, UNIT_COLUMNS),
            done=DONE.get(choice_of(request.args, "done", DONE)),
        )  # fmt: skip


def _fitting_facilities(view: View, words: str) -> list[Facility]:
    asked = words.casefold()
    found = [
        one
        for one in view.facilities.values()
        if _holds(asked, one.facility_id, *one.name, one.oid, *_towns(one))
    ]
    return sorted(found, key=lambda one: (bool(one.merged_into), one.municipality, one.name_ru))


def _towns(one: Facility) -> tuple[str, str]:
    return one.municipality, one.municipality_en


def _fitting_units(view: View, words: str) -> list[Unit]:
    asked = words.casefold()
    found = [
        one
        for one in view.units.values()
        if _holds(asked, one.unit_id, one.manufacturer, one.model, one.serial)
    ]
    return sorted(found, key=lambda one: (is_gone(one), one.unit_id))


def _holds(asked: str, *texts: str) -> bool:
    return any(asked in text.casefold() for text in texts)


def _told(desk: Desk, history: Sequence[Revision[T]], columns: Iterable[Column]) -> list[Told]:
    """The newest first; each with what it changed against what counted at its day before it."""
    found = []
    for place, revision in enumerate(history):
        before = as_of(history[:place], revision.valid_from)
        changed = [d for one in before.values() for d in differences(columns, one, revision.thing)]
        by = who(desk.gateway, revision.author)
        found.append(Told(revision, by, changed, not before))
    return found[::-1]
