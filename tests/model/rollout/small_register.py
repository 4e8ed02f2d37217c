"""A register small enough to be reckoned by hand: three facilities, ten units."""

from datetime import UTC, date, datetime

from gateway.model.rollout.measures import Flow, Inventory, Seen, UnitImages
from gateway.model.rollout.register import (
    Capture,
    Facility,
    FacilityKind,
    Revision,
    Unit,
    UnitKind,
    UnitState,
)

DAY = date(2026, 6, 30)
AT = datetime(2026, 7, 1, 2, tzinfo=UTC)


def facility(facility_id, kind=FacilityKind.HOSPITAL, municipality="Город", **more):
    return Facility(facility_id, facility_id, facility_id, kind, municipality, **more)


def unit(
    unit_id, facility_id, capture="digital", state="active", kind="radiography", serial="", **more
):  # fmt: skip
    return Unit(
        unit_id, facility_id, UnitKind(kind), "Maker", "Model", serial or unit_id, 2020,
        Capture(capture), UnitState(state), **more,
    )  # fmt: skip


def by_id(*things):
    key = "facility_id" if isinstance(things[0], Facility) else "unit_id"
    return {getattr(one, key): one for one in things}


FACILITIES = by_id(
    facility("h1", joined_on=date(2026, 1, 1), site_id="gkb1"),
    facility("h2", municipality="Район", planned_on=date(2026, 6, 29)),
    facility("p1", FacilityKind.FELDSHER_POINT, "Район", planned_on=DAY),
)
UNITS = by_id(
    # h1: seven X-ray units, six of them count; an MRI and an ultrasound are no X-ray equipment.
    unit("u1", "h1", renewed=True, funding="region", cost=10_000_000),
    unit("u2", "h1", "analogue+digitiser", "repair", renewed=True, funding="federal",
         cost=3_000_001),
    unit("u3", "h1", "digital", "idle", "ct", renewed=True, funding="region"),
    unit("u4", "h1", "analogue", kind="mammography", renewal_on=date(2026, 12, 1)),
    unit("u5", "h1", "analogue", "active", "fluorography"),
    unit("u6", "h1", "digital", "ordered", "fluorography", renewed=True, funding="region",
         cost=8_000_000, renewal_on=date(2027, 2, 1)),
    unit("u7", "h1", "digital", "decommissioned"),
    unit("u8", "h1", "digital", kind="mri"),
    unit("u9", "h1", "digital", kind="ultrasound"),
    # h2: one that counts.
    unit("v1", "h2", "analogue"),
)  # fmt: skip
SEEN = Seen(
    units={
        "u1": UnitImages(date(2026, 1, 2), date(2026, 6, 30), 4, 100),
        "u2": UnitImages(date(2026, 1, 2), date(2026, 5, 31), 0, 0),  # 30 days before: too old
        "u5": UnitImages(date(2026, 6, 1), date(2026, 6, 1), 0, 3),  # the first of the 30 days
        "u8": UnitImages(date(2026, 2, 1), date(2026, 6, 20), 0, 40),
    },
    facilities={
        "h1": Flow(
            4, 140, {"DX": 100, "MR": 40},
            visible={60: 70, 120: 45, 126: 17, 600: 8}, archived={600: 10},
        ),
        "h2": Flow(0, 3, {"CR": 3}, visible={30: 2, 300: 1}),
    },
    unknown_senders=2,
)  # fmt: skip
REGISTER = Inventory(FACILITIES, UNITS)


def revisions(things, valid_from=date(2026, 1, 1), recorded_at=AT):
    return [
        Revision(number, valid_from, recorded_at, "test", "", thing)
        for number, thing in enumerate(things.values(), 1)
    ]
