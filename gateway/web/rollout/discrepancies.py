"""`/rollout/discrepancies`: where the register and the images do not say the same, each with the
way to put the register right.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from flask import Blueprint, Response, request

from gateway.clock import utc_now
from gateway.model.access import Action
from gateway.model.rollout.figures import Evidence, UnitEvidence
from gateway.model.rollout.register import Facility, Unit
from gateway.web.console.frame import choice_of, text_of
from gateway.web.permissions import needs
from gateway.web.rollout.frame import Desk
from gateway.web.rollout.language import Language
from gateway.web.rollout.senders import DONE, read_senders
from gateway.web.rollout.shown import Shown

KINDS = (Evidence.SILENT, Evidence.UNDECLARED, Evidence.NEVER)
MOST = 40
"""Units of a kind that are shown at once, until all of it are asked for."""


@dataclass(frozen=True)
class Row:
    """A unit of which the images say something else than the register."""

    unit: Unit
    facility: Facility
    evidence: UnitEvidence
    day: date
    changed: bool

    @property
    def days_silent(self) -> int | None:
        seen = self.evidence.last_on
        return None if seen is None else (self.day - seen).days


def add_routes(door: Blueprint, desk: Desk) -> None:
    """/rollout/discrepancies"""

    @door.get("/discrepancies")
    @needs(Action.READ_FIGURES)
    def discrepancies() -> Response:
        shown = desk.teller.now()
        municipality = text_of(request.args, "municipality")
        done = choice_of(request.args, "done", DONE)
        facts = {"whole": choice_of(request.args, "all", dict.fromkeys(KINDS)), "most": MOST}
        senders = read_senders(desk, utc_now())
        return desk.form_page(
            "discrepancies",
            shown,
            lambda language: {
                "senders": senders,
                "done": DONE.get(done),
                **facts,
                **_tell(shown, municipality, language),
            },
        )


def rows_of(shown: Shown, evidence: Evidence) -> list[Row]:
    """Units of which the images say this, those that have been silent for longest first."""
    found = [
        Row(unit, shown.facilities[unit.facility_id], said, shown.snapshot.day,
            unit.unit_id in shown.changed)
        for unit, said in shown.units_that(evidence)
        if unit.facility_id in shown.facilities
    ]  # fmt: skip
    return sorted(
        found,
        key=lambda row: (-(row.days_silent or 0), row.facility.municipality, row.unit.unit_id),
    )


def _tell(shown: Shown, municipality: str, language: Language) -> Mapping[str, Any]:
    tables = {kind: rows_of(shown, kind) for kind in KINDS}
    towns = {row.facility.municipality for rows in tables.values() for row in rows}
    named = {town: language.called(town, shown.english) for town in towns}
    return {
        "tables": {
            kind: [row for row in rows if municipality in ("", row.facility.municipality)]
            for kind, rows in tables.items()
        },
        "municipality": municipality,
        "municipalities": dict(sorted(named.items(), key=lambda one: one[1])),
    }
