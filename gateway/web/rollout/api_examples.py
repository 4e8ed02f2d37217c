"""Examples of the open data for the OpenAPI document: a region of two hospitals, measured and told
by the same functions as the real one, so that no example can lag behind.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from functools import cache
from typing import Any

from gateway.model.rollout.figures import ScopeKind, Snapshot, SnapshotKind
from gateway.model.rollout.forecast import forecast
from gateway.model.rollout.measures import Flow, Inventory, Savings, Seen, UnitImages, measure
from gateway.model.rollout.register import (
    Capture,
    Facility,
    FacilityKind,
    Unit,
    UnitKind,
    UnitState,
)
from gateway.model.rollout.suppression import tell_studies, withhold
from gateway.records.snapshots import Point, Taken
from gateway.web.rollout import api_forms as forms

DAY = date(2026, 6, 30)
FACILITIES = {
    one.facility_id: one
    for one in (
        Facility(
            "gkb1", "ГКБ № 1", "City Hospital 1", FacilityKind.HOSPITAL, "Город",
            joined_on=date(2025, 3, 1), site_id="gkb1",
        ),
        Facility(
            "crb", "Районная больница", "District Hospital", FacilityKind.HOSPITAL, "Район",
            planned_on=date(2026, 9, 1),
        ),
    )
}  # fmt: skip


def _unit(unit_id: str, facility_id: str, capture: Capture, **more: Any) -> Unit:
    return Unit(
        unit_id, facility_id, UnitKind.RADIOGRAPHY, "АМИКО", "ПроГраф", unit_id, 2019, capture,
        UnitState.ACTIVE, **more,
    )  # fmt: skip


def _snapshot() -> Snapshot:
    new = {"renewed": True, "funding": "регион", "cost": 9_000_000}
    units = {
        one.unit_id: one
        for one in (
            _unit("a", "gkb1", Capture.DIGITAL, **new),
            _unit("b", "gkb1", Capture.DIGITISER),
            _unit("c", "crb", Capture.ANALOGUE, renewal_on=date(2026, 12, 1)),
        )
    }
    inventory = Inventory(FACILITIES, units)
    seen = Seen(
        {"a": UnitImages(date(2025, 3, 2), DAY, 12, 310)},
        {"gkb1": Flow(12, 310, {"DX": 310}, visible={60: 290, 240: 20}, archived={300: 310})},
        unknown_senders=1,
    )
    figures, evidence = measure(inventory, seen, DAY, Savings())
    told = tell_studies(inventory, seen)
    return Snapshot(
        DAY, SnapshotKind.MONTH, 1, datetime(2026, 7, 1, 1, tzinfo=UTC), "",
        {scope: withhold(one, scope, told) for scope, one in figures.items()}, evidence,
        forecast(inventory, [], DAY), seen.unknown_senders, told,
    )  # fmt: skip


@cache
def examples() -> Mapping[str, Any]:
    """An answer of each view, by the view's name."""
    snapshot = _snapshot()
    head = {"snapshot": forms.taken(snapshot)}
    region = snapshot.region
    point = Point(DAY, region.digital, region.connected, region.proven_facilities, 310)
    points = {"points": forms.points([point])}
    taken = Taken(DAY, SnapshotKind.MONTH, 1, snapshot.taken_at, "")
    corrected = Taken(
        DAY, SnapshotKind.MONTH, 2, snapshot.taken_at, "аппарат был установлен раньше"
    )
    places = [forms.facility(snapshot, one) for one in FACILITIES.values()]

    def named(kind: ScopeKind, most: int) -> list[forms.Json]:
        return forms.named(snapshot, kind)[:most]

    return {
        "region": head | forms.region(snapshot),
        "municipalities": head | {"municipalities": named(ScopeKind.MUNICIPALITY, 2)},
        "facilities": head | {"facilities": places},
        "one_facility": head | places[0] | {"units": forms.units(snapshot, "gkb1")},
        "facility_kinds": head | {"facility_kinds": named(ScopeKind.FACILITY_KIND, 1)},
        "unit_kinds": head | {"unit_kinds": named(ScopeKind.UNIT_KIND, 1)},
        "forecast": head | forms.forecast(snapshot.forecast),
        "discrepancies": head | forms.discrepancies(snapshot),
        "curve_of_region": points,
        "facility_curve": points,
        "snapshots": {"snapshots": [forms.taken(taken)]},
        "month_versions": {"versions": [forms.taken(taken), forms.taken(corrected)]},
    }
