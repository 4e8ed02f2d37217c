"""Imports, forms and merges against both databases: all or nothing, and only of what was seen."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from gateway.errors import RegisterChanged
from gateway.model.rollout.register import Capture, UnitState, as_of
from gateway.records.register import load_facilities, load_state, load_units
from gateway.records.register_drafts import drop_draft, keep_draft, load_draft
from gateway.rollout.register import (
    Author,
    File,
    Shelf,
    apply_import,
    merge,
    save_form,
    show_import,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TODAY = date(2026, 3, 1)
ALL = Author("ivanova", "аудит")
FACILITIES = File(
    "f.csv", "facility_id;name_ru;kind;municipality\na;А;больница;М\nb;Б;ФАП;М\n".encode()
)
UNITS = File("u.csv", "unit_id;facility_id;kind;capture;state\nu;a;КТ;цифровой;работает\n".encode())


@pytest.fixture
def filled(records):
    shown = show_import(records, [FACILITIES, UNITS], TODAY, TODAY)
    apply_import(records, shown, ALL, NOW)
    return records


def test_what_is_applied_is_what_was_shown(filled):
    again = show_import(filled, [FACILITIES, UNITS], TODAY, TODAY)
    assert (again.plan.changes, [row.what for row in again.plan.rows]) == (False, ["same"] * 3)
    year = File("y.csv", b"unit_id;year\nu;2020\n")
    shown = show_import(filled, [year], TODAY, TODAY)
    assert show_import(filled, [year], TODAY, TODAY).key == shown.key
    assert show_import(filled, [File("y.csv", b"unit_id;year\nu;2021\n")], TODAY, TODAY).key != (
        shown.key
    )
    assert show_import(filled, [year], TODAY - timedelta(days=1), TODAY).key != shown.key
    save_form(
        filled, {"unit_id": "u", "model": "М", "valid_from": "2026-03-01"}, 1, ALL, NOW, TODAY
    )
    assert show_import(filled, [year], TODAY, TODAY).key != shown.key
    with pytest.raises(RegisterChanged):
        apply_import(filled, shown, ALL, NOW)
    assert [one.thing.year for one in load_units(filled)] == [None, None]


def test_a_form_writes_one_revision_and_keeps_what_it_does_not_say(filled):
    before = load_state(filled)
    sent = {"unit_id": "u", "state": "repair", "valid_from": "2026-03-01"}
    assert save_form(filled, sent, 1, ALL, NOW, TODAY) == []
    last = as_of(load_units(filled), TODAY)["u"]
    assert (last.state, last.capture) == (UnitState.REPAIR, Capture.DIGITAL)
    assert load_state(filled) == replace(before, units=before.units + 1)
    with pytest.raises(RegisterChanged):
        save_form(filled, sent | {"state": "idle"}, 1, ALL, NOW, TODAY)


def test_a_hospital_writes_its_own(filled):
    own = Author("it", "сверка", frozenset({"site-a"}))
    sent = {"unit_id": "u", "state": "repair", "valid_from": "2026-03-01"}
    assert [m.name for m in save_form(filled, sent, 1, own, NOW, TODAY)] == ["facility_id"]
    place = {"facility_id": "a", "site_id": "site-a", "valid_from": "2026-03-01"}
    assert save_form(filled, place, 1, ALL, NOW, TODAY) == []
    assert save_form(filled, sent, 1, own, NOW, TODAY) == []


def test_a_merge_is_written_whole_and_taken_back(filled):
    soon, later = NOW + timedelta(hours=1), NOW + timedelta(hours=2)
    assert merge(filled, "facility", "a", "b", TODAY, ALL, soon) == []
    assert as_of(load_units(filled), TODAY)["u"].facility_id == "b"
    assert merge(filled, "facility", "a", "", TODAY, ALL, later) == []
    assert as_of(load_units(filled), TODAY)["u"].facility_id == "a"
    before = load_state(filled)
    assert [name for name, _ in merge(filled, "unit", "u", "none", TODAY, ALL, NOW)] == ["into"]
    assert load_state(filled) == before


def test_a_draft_waits_a_day_for_its_author_alone(records):
    pair = ("аппараты.csv", bytes(1000))
    draft_id = keep_draft(records, [pair, ("f.csv", b"x")], TODAY, "ivanova", NOW)
    assert load_draft(records, draft_id, "ivanova") == (TODAY, [pair, ("f.csv", b"x")])
    assert load_draft(records, draft_id, "petrov") is None
    other = keep_draft(records, [pair], TODAY, "petrov", NOW + timedelta(days=2))
    assert load_draft(records, draft_id, "ivanova") is None
    drop_draft(records, other)
    assert load_draft(records, other, "petrov") is None


def test_a_process_reads_only_what_is_new(filled):
    shelf = Shelf(filled)
    first = shelf.now()
    assert (first.facilities, first.units) == (load_facilities(filled), load_units(filled))
    assert shelf.now() is first
    save_form(filled, {"unit_id": "u", "year": "2020", "valid_from": "2026-03-01"}, 1, ALL, NOW,
              TODAY)  # fmt: skip
    second = shelf.now()
    assert second.units == load_units(filled)
    assert second.standing(TODAY).units["u"].year == 2020
    assert first.standing(TODAY).units["u"].year is None
    assert second.state == load_state(filled)


def test_what_is_planned_does_not_stand_there_yet(filled):
    planned = {"unit_id": "u", "state": "decommissioned", "valid_from": "2026-09-01"}
    assert save_form(filled, planned, 1, ALL, NOW, TODAY) == []
    new = File("n.csv", "unit_id;facility_id;kind;capture;state\nn;a;КТ;digital;ordered\n".encode())
    autumn = show_import(filled, [new], date(2026, 9, 1), TODAY)
    apply_import(filled, autumn, ALL, NOW)
    units = Shelf(filled).now().standing(TODAY).units
    assert (units["u"].state, units["n"].state) == (UnitState.ACTIVE, UnitState.ORDERED)
