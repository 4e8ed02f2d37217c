"""The register: revisions that only grow, read back as they were written."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from gateway.errors import RegisterChanged
from gateway.model.rollout.register import (
    Capture,
    Facility,
    FacilityKind,
    Revision,
    Unit,
    UnitKind,
    UnitState,
    as_of,
)
from gateway.records.register import (
    Change,
    State,
    add_revisions,
    facility_history,
    load_facilities,
    load_state,
    load_units,
    unit_history,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(days=1)
DAY = date(2026, 3, 1)
HOSPITAL = Facility(
    "gkb1", "ГКБ № 1", "City Hospital 1", FacilityKind.HOSPITAL, "Вышегорск", 55.16, 61.4,
    "1.2.643.5.1.13.13.12.2.74.1", "", date(2025, 1, 1), date(2025, 2, 3), "gkb1",
)  # fmt: skip
POINT = Facility("fap-1", "ФАП", "", FacilityKind.FELDSHER_POINT, "Вышегорск", parent_id="gkb1")
CT = Unit(
    "gkb1-ct", "gkb1", UnitKind.CT, "SIEMENS", "SOMATOM go.Top", "119482", 2021, Capture.DIGITAL,
    UnitState.ACTIVE, "НП «Здравоохранение»", 48_000_000, True, date(2025, 5, 1),
)  # fmt: skip
OLD = Unit(
    "fap-1-x", "fap-1", UnitKind.RADIOGRAPHY, "", "", "", None, Capture.ANALOGUE, UnitState.IDLE
)


def add(records, **given):
    given = {"author": "ivanova", "reason": "аудит", "now": NOON} | given
    return add_revisions(records, **given)


def test_what_was_written_is_read_back_whole(records):
    state = add(
        records,
        facilities=[Change(HOSPITAL, DAY), Change(POINT, DAY)],
        units=[Change(CT, DAY), Change(OLD, date(2020, 1, 1))],
    )
    assert state == load_state(records) == State(2, 2)
    assert load_facilities(records) == [
        Revision(1, DAY, NOON, "ivanova", "аудит", HOSPITAL),
        Revision(2, DAY, NOON, "ivanova", "аудит", POINT),
    ]
    assert load_units(records) == [
        Revision(1, DAY, NOON, "ivanova", "аудит", CT),
        Revision(2, date(2020, 1, 1), NOON, "ivanova", "аудит", OLD),
    ]


def test_an_empty_register_has_state_nought(records):
    assert load_state(records) == State(0, 0)
    assert (load_facilities(records), load_units(records)) == ([], [])


def test_history_is_of_one_and_only_grows(records):
    add(records, facilities=[Change(HOSPITAL, DAY), Change(POINT, DAY)], units=[Change(CT, DAY)])
    broken = replace(CT, state=UnitState.REPAIR)
    add(records, units=[Change(broken, date(2026, 3, 5))], reason="трубка", now=LATER)
    assert unit_history(records, "gkb1-ct") == [
        Revision(1, DAY, NOON, "ivanova", "аудит", CT),
        Revision(2, date(2026, 3, 5), LATER, "ivanova", "трубка", broken),
    ]
    assert [one.thing for one in facility_history(records, "fap-1")] == [POINT]
    assert unit_history(records, "none") == []
    assert as_of(load_units(records), date(2026, 3, 4)) == {"gkb1-ct": CT}
    assert as_of(load_units(records), date(2026, 3, 5)) == {"gkb1-ct": broken}
    assert as_of(load_units(records), date(2026, 3, 5), NOON) == {"gkb1-ct": CT}


def test_who_did_not_see_the_last_revision_is_refused_and_nothing_is_written(records):
    add(records, units=[Change(CT, DAY, based_on=0)])
    add(records, units=[Change(replace(CT, serial="2"), DAY, based_on=1)])
    with pytest.raises(RegisterChanged) as refused:
        add(
            records,
            facilities=[Change(HOSPITAL, DAY)],
            units=[Change(replace(CT, serial="3"), DAY, based_on=1)],
        )
    assert refused.value.thing_id == "gkb1-ct"
    assert load_state(records) == State(0, 2)


def test_a_new_one_whose_id_is_taken_meanwhile_is_refused(records):
    add(records, facilities=[Change(HOSPITAL, DAY, based_on=0)])
    with pytest.raises(RegisterChanged):
        add(records, facilities=[Change(HOSPITAL, DAY, based_on=0)])


def test_an_import_made_from_another_state_is_refused(records):
    seen = add(records, units=[Change(CT, DAY)])
    add(records, facilities=[Change(HOSPITAL, DAY)])
    with pytest.raises(RegisterChanged):
        add(records, units=[Change(OLD, DAY)], seen=seen)
    assert add(records, units=[Change(OLD, DAY)], seen=load_state(records)) == State(1, 2)
