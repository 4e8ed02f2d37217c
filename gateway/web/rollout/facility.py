"""`/rollout/facilities/ID`: the units of one facility and what the images say of each, its curve,
what is on order and what holds it back. Equipment alone: no study stands here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from flask import Blueprint, Response, request

from gateway.clock import utc_now
from gateway.errors import NotFound
from gateway.model.access import Action
from gateway.model.rollout.figures import Evidence, Scope, ScopeKind, UnitEvidence
from gateway.model.rollout.forecast import COMING, planned
from gateway.model.rollout.measures import is_late
from gateway.model.rollout.register import X_RAY, Facility, Unit, UnitState
from gateway.web.console.frame import choice_of, reach
from gateway.web.permissions import may, needs
from gateway.web.rollout.charts import share_chart
from gateway.web.rollout.facilities import NOTHING, STANDINGS, standing_of
from gateway.web.rollout.frame import Desk
from gateway.web.rollout.language import Language
from gateway.web.rollout.senders import DONE, read_senders, said_of
from gateway.web.rollout.shown import Shown


@dataclass(frozen=True)
class Row:
    """One unit; evidence None: it does not count."""

    unit: Unit
    evidence: UnitEvidence | None
    day: date
    changed: bool

    @property
    def days_silent(self) -> int | None:
        """Since its last image; None: there was none, or it does not count."""
        seen = self.evidence.last_on if self.evidence else None
        return None if seen is None else (self.day - seen).days


def add_routes(door: Blueprint, desk: Desk) -> None:
    """/rollout/facilities/ID"""

    @door.get("/facilities/<facility_id>")
    @needs(Action.READ_REGISTER)
    def facility(facility_id: str) -> Response:
        shown, within = desk.teller.now(), reach()
        one = shown.facilities.get(facility_id)
        if one is None or (within is not None and one.site_id not in within):
            raise NotFound("facility")
        done = choice_of(request.args, "done", DONE)
        if not (done or may(Action.WRITE_REGISTER)):
            return desk.page("facility", shown, lambda language: _tell(shown, one, language))
        said = said_of(desk.gateway.records, shown.units_of.get(facility_id, ()))
        senders = read_senders(desk, utc_now(), one.site_id) if one.site_id else None
        return desk.form_page(
            "facility",
            shown,
            lambda language: {
                "said": said,
                "senders": senders,
                "done": DONE.get(done),
                **_tell(shown, one, language),
            },
        )


def rows_of(shown: Shown, facility_id: str) -> list[Row]:
    """Its units, X-ray first, those that need somebody before the others."""
    order = list(Evidence)
    urgent = {Evidence.NEVER: 0, Evidence.SILENT: 1, Evidence.UNDECLARED: 2}

    def place(row: Row) -> tuple[bool, bool, int, str]:
        found = row.evidence
        rank = urgent.get(found.evidence, 3 + order.index(found.evidence)) if found else 9
        return row.unit.kind not in X_RAY, found is None, rank, row.unit.unit_id

    rows = [
        Row(
            unit,
            shown.evidence.get(unit.unit_id),
            shown.snapshot.day,
            unit.unit_id in shown.changed,
        )
        for unit in shown.units_of.get(facility_id, ())
    ]
    return sorted(rows, key=place)


def hindrances(shown: Shown, facility: Facility, rows: list[Row]) -> list[tuple[str, int]]:
    """What holds a facility back: (code, how many), the codes of the page."""
    counted = [row for row in rows if row.unit.counts and row.unit.kind in X_RAY]
    coming = [row for row in rows if row.unit.state in COMING]
    film = [row for row in counted if not row.unit.is_digital]
    _, unplanned = planned((row.unit for row in counted + coming), shown.snapshot.day)
    found = {
        "film": len(film),
        "unplanned": unplanned,
        "never": sum(_says(row, Evidence.NEVER) for row in counted),
        "silent": sum(_says(row, Evidence.SILENT) for row in counted),
        "undeclared": sum(_says(row, Evidence.UNDECLARED) for row in counted),
        "waiting": sum(row.unit.state is UnitState.INSTALLED for row in rows),
        "late": int(is_late(facility, shown.snapshot.day)),
    }
    return [(code, count) for code, count in found.items() if count]


def _says(row: Row, evidence: Evidence) -> bool:
    return row.evidence is not None and row.evidence.evidence is evidence


def _tell(shown: Shown, facility: Facility, language: Language) -> Mapping[str, Any]:
    scope = Scope(ScopeKind.FACILITY, facility.facility_id)
    rows = rows_of(shown, facility.facility_id)
    figures = shown.snapshot.figures.get(scope, NOTHING)
    parent = shown.facilities.get(facility.parent_id)
    standing = standing_of(figures)
    return {
        "facility": facility,
        "parent": parent,
        "parts_of_it": [
            one for one in shown.facilities.values() if one.parent_id == facility.facility_id
        ],
        "figures": figures,
        "standing": (standing, *STANDINGS[standing]),
        "rows": rows,
        "coming": [row for row in rows if row.unit.state in COMING],
        "hindrances": hindrances(shown, facility, rows),
        "curve": share_chart(shown.curve(scope), language),
        "points": shown.curve(scope),
    }
