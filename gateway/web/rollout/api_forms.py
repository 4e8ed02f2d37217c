"""Figures of the rollout as JSON: what each answer of the open data looks like, with its schema and
an example. Every share stands there as its part, its whole and the whole percent.

Texts that come with images (names of stations and institutions) are in no answer: anything could
stand in them. Senders are told as a number.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from gateway.model.rollout.figures import (
    REGION,
    Clock,
    Count,
    Evidence,
    Figures,
    Forecast,
    Money,
    Scope,
    ScopeKind,
    Share,
    Snapshot,
)
from gateway.model.rollout.register import Capture, Facility, UnitState
from gateway.records.snapshots import Point, Taken

Json = dict[str, Any]


def share(found: Share) -> Json:
    return {"part": found.part, "whole": found.whole, "percent": found.percent}


def count(found: Count | None) -> Json | None:
    """Studies as they are told; None: they are not."""
    if found is None:
        return None
    return {"about": found.value, "text": found.text, "facilities_with_fewer": found.fewer}


def clock(found: Clock | None) -> Json | None:
    if found is None:
        return None
    within = found.share
    return {
        "studies": count(found.studies),
        "within_two_minutes": None if within is None else share(within),
        "median_minutes": found.median,
        "p95_minutes": found.p95,
    }


def money(found: Money) -> Json:
    return {
        "spent": found.spent,
        "by_funding": dict(found.by_funding),
        "renewed_units": found.renewed,
        "cost_per_renewed": found.cost_per_renewed,
        "saving_a_year": {"low": found.saving_low, "high": found.saving_high},
    }


def figures(snapshot: Snapshot, scope: Scope, found: Figures) -> Json:
    """All measures of one scope."""
    told = snapshot.told
    return {
        "digital": share(found.digital),
        "connected": share(found.connected),
        "proven_facilities": share(found.proven_facilities),
        "by_evidence": {str(name): count for name, count in found.by_evidence.items()},
        "by_capture": {str(name): count for name, count in found.by_capture.items()},
        "by_state": {str(name): count for name, count in found.by_state.items()},
        "facilities": {"joined": found.joined, "planned": found.planned, "late": found.late},
        "studies_30_days": count(told.studies.get(scope)),
        "visible": clock(told.visible.get(scope)),
        "archived": clock(told.archived.get(scope)),
        "told": clock(told.told.get(scope)),
        "money": money(found.money),
    }


def taken(found: Snapshot | Taken) -> Json:
    """Which snapshot it is."""
    return {
        "day": found.day.isoformat(),
        "kind": str(found.kind),
        "version": found.version,
        "taken_at": found.taken_at.isoformat(timespec="seconds"),
        "reason": found.reason,
    }


def region(snapshot: Snapshot) -> Json:
    told = {name: count(one) for name, one in snapshot.told.by_modality.items()}
    return {"figures": figures(snapshot, REGION, snapshot.region), "by_modality": told}


def named(snapshot: Snapshot, kind: ScopeKind) -> list[Json]:
    """Every scope of a kind, by name."""
    found = {scope.name: scope for scope in snapshot.figures if scope.kind is kind}
    return [
        {"name": name, "figures": figures(snapshot, found[name], snapshot.figures[found[name]])}
        for name in sorted(found)
    ]


def facility(snapshot: Snapshot, known: Facility) -> Json:
    """raises KeyError: it did not stand at that day"""
    scope = Scope(ScopeKind.FACILITY, known.facility_id)
    return {
        "facility_id": known.facility_id,
        "name": {"ru": known.name_ru, "en": known.name_en},
        "kind": str(known.kind),
        "municipality": known.municipality,
        "municipality_en": known.municipality_en,
        "figures": figures(snapshot, scope, snapshot.figures[scope]),
    }


def units(snapshot: Snapshot, facility_id: str) -> list[Json]:
    """What the images say of each unit of a facility that counts."""
    return [
        {
            "unit_id": one.unit_id,
            "evidence": str(one.evidence),
            "first_on": _day(one.first_on),
            "last_on": _day(one.last_on),
        }
        for one in snapshot.units
        if one.facility_id == facility_id
    ]


def _day(said: date | None) -> str | None:
    return None if said is None else said.isoformat()


def forecast(found: Forecast) -> Json:
    return {
        "straight": _day(found.straight),
        "straight_from": _day(found.straight_from),
        "straight_to": _day(found.straight_to),
        "by_plan": _day(found.by_plan),
        "unplanned_units": found.unplanned,
        "holding_back": [
            {"facility_id": facility_id, "units": units}
            for facility_id, units in found.holding_back
        ],
    }


def points(found: Sequence[Point]) -> list[Json]:
    return [
        {
            "day": one.day.isoformat(),
            "digital": share(one.digital),
            "connected": share(one.connected),
            "proven_facilities": share(one.proven_facilities),
            "studies_30_days": one.studies,
        }
        for one in found
    ]


def discrepancies(snapshot: Snapshot) -> Json:
    """How often register and images say different things: in the region, and where."""
    wrong = (Evidence.SILENT, Evidence.NEVER, Evidence.UNDECLARED)

    def counts(found: Figures) -> dict[str, int]:
        return {str(name): found.by_evidence.get(name, 0) for name in wrong}

    places = {
        scope.name: counts(found)
        for scope, found in sorted(snapshot.figures.items())
        if scope.kind is ScopeKind.FACILITY
    }
    return {
        "region": {**counts(snapshot.region), "unknown_senders": snapshot.unknown_senders},
        "facilities": [
            {"facility_id": name, **found} for name, found in places.items() if any(found.values())
        ],
    }


def _object(**members: Json) -> Json:
    return {"type": "object", "required": list(members), "properties": members}


def _list(of: Json) -> Json:
    return {"type": "array", "items": of}


def _or_null(of: Json) -> Json:
    return {"anyOf": [of, {"type": "null"}]}


NUMBER: Json = {"type": "integer", "minimum": 0}
TEXT: Json = {"type": "string"}
DAY: Json = {"type": "string", "format": "date"}
PERCENT: Json = {"anyOf": [{"type": "integer", "minimum": 0, "maximum": 100}, {"type": "null"}]}
MINUTES: Json = _or_null({"type": "number", "minimum": 0})
SHARE = _object(part=NUMBER, whole=NUMBER, percent=PERCENT)
COUNT = _or_null(_object(about=_or_null(NUMBER), text=TEXT, facilities_with_fewer=NUMBER))
CLOCK = _or_null(
    _object(
        studies=COUNT,
        within_two_minutes=_or_null(SHARE),
        median_minutes=MINUTES,
        p95_minutes=MINUTES,
    )
)
MONEY = _object(
    spent=NUMBER,
    by_funding={"type": "object", "additionalProperties": NUMBER},
    renewed_units=NUMBER,
    cost_per_renewed=_or_null(NUMBER),
    saving_a_year=_object(low=NUMBER, high=NUMBER),
)
FIGURES = _object(
    digital=SHARE,
    connected=SHARE,
    proven_facilities=SHARE,
    by_evidence=_object(**dict.fromkeys(map(str, Evidence), NUMBER)),
    by_capture=_object(**dict.fromkeys(map(str, Capture), NUMBER)),
    by_state=_object(**dict.fromkeys(map(str, UnitState), NUMBER)),
    facilities=_object(joined=NUMBER, planned=NUMBER, late=NUMBER),
    studies_30_days=COUNT,
    visible=CLOCK,
    archived=CLOCK,
    told=CLOCK,
    money=MONEY,
)
TAKEN = _object(
    day=DAY,
    kind={"type": "string", "enum": ["nightly", "month"]},
    version={"type": "integer", "minimum": 1},
    taken_at={"type": "string", "format": "date-time"},
    reason=TEXT,
)
NAMED = _object(name=TEXT, figures=FIGURES)
FACILITY = _object(
    facility_id=TEXT,
    name=_object(ru=TEXT, en=TEXT),
    kind=TEXT,
    municipality=TEXT,
    municipality_en=TEXT,
    figures=FIGURES,
)
UNIT = _object(
    unit_id=TEXT,
    evidence={"type": "string", "enum": list(map(str, Evidence))},
    first_on=_or_null(DAY),
    last_on=_or_null(DAY),
)
POINT = _object(
    day=DAY,
    digital=SHARE,
    connected=SHARE,
    proven_facilities=SHARE,
    studies_30_days=_or_null(NUMBER),
)
FORECAST = _object(
    straight=_or_null(DAY),
    straight_from=_or_null(DAY),
    straight_to=_or_null(DAY),
    by_plan=_or_null(DAY),
    unplanned_units=NUMBER,
    holding_back=_list(_object(facility_id=TEXT, units=NUMBER)),
)
AMISS = {"silent": NUMBER, "never": NUMBER, "undeclared": NUMBER}
DISCREPANCIES = _object(
    region=_object(**AMISS, unknown_senders=NUMBER),
    facilities=_list(_object(facility_id=TEXT, **AMISS)),
)


def of_snapshot(**members: Json) -> Json:
    """The schema of an answer that is of one snapshot."""
    return _object(snapshot=TAKEN, **members)


SCHEMAS: Mapping[str, Json] = {
    "region": of_snapshot(
        figures=FIGURES, by_modality={"type": "object", "additionalProperties": COUNT}
    ),
    "municipalities": of_snapshot(municipalities=_list(NAMED)),
    "facilities": of_snapshot(facilities=_list(FACILITY)),
    "one_facility": of_snapshot(**FACILITY["properties"], units=_list(UNIT)),
    "facility_kinds": of_snapshot(facility_kinds=_list(NAMED)),
    "unit_kinds": of_snapshot(unit_kinds=_list(NAMED)),
    "forecast": of_snapshot(**FORECAST["properties"]),
    "discrepancies": of_snapshot(**DISCREPANCIES["properties"]),
    "curve_of_region": _object(points=_list(POINT)),
    "facility_curve": _object(points=_list(POINT)),
    "snapshots": _object(snapshots=_list(TAKEN)),
    "month_versions": _object(versions=_list(TAKEN)),
}
"""By the name of the view."""
