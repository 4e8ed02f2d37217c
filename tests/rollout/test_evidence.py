"""What the images say of each unit: computed anew whenever somebody puts a word right."""

from dataclasses import replace
from datetime import date, timedelta

import pytest

from gateway.errors import BadRequest, NotFound
from gateway.model.rollout.measures import Inventory, Seen, whole_flows
from gateway.model.rollout.minutes import Moment
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
from gateway.model.rollout.senders import Fingerprint
from gateway.model.rollout.suggestions import Reason, Suggester
from gateway.records.evidence import load_senders
from gateway.records.fingerprints import load_history
from gateway.rollout import saying
from gateway.rollout.evidence import UnitFacts, flows, homes_of, look, suggest
from tests.databases import open_without_rows
from tests.sightings import NOW, TODAY, XRAY, Region, a_study

BORN = NOW - timedelta(days=400)
CT = {"Modality": "CT", "ManufacturerModelName": "Revolution", "DeviceSerialNumber": "C7"}
BARE = {"Modality": "DX", "StationName": "ROOM1"}
ME = "00aa11bb22cc33dd"


def a_facility(facility_id, site_id=""):
    return Facility(facility_id, facility_id, "", FacilityKind.HOSPITAL, "Город", site_id=site_id)


def a_unit(unit_id, facility_id="f1", **values):
    texts = dict.fromkeys(("manufacturer", "model", "serial"), "")
    rest = {"year": None, "capture": Capture.DIGITAL, "state": UnitState.ACTIVE}
    return Unit(unit_id, facility_id, UnitKind.RADIOGRAPHY, **{**texts, **rest, **values})


FACILITIES = {one.facility_id: one for one in (a_facility("f1", "gkb1"), a_facility("f2", "gkb2"))}
XRAY_UNIT = a_unit("x", manufacturer="Amico", model="програф", serial="42")
UNITS = {one.unit_id: one for one in (XRAY_UNIT, a_unit("y"), a_unit("z", "f2"))}


@pytest.fixture
def region(tmp_path):
    records = open_without_rows(f"sqlite:///{tmp_path / 'gateway.db'}")
    yield Region(records)
    records.close()


def seen(region, day=TODAY, units=UNITS, **known):
    return look(region.records, units, FACILITIES, day, **known)


def told(looked):
    """{unit: (first, last, studies of 30 days)}, and the stations of unknown senders"""
    units = {
        unit_id: (str(one.first_on), str(one.last_on), one.studies_30)
        for unit_id, one in looked.units.items()
    }
    return units, [one.sender.station for one in looked.unknown]


def suggested(looked, units=UNITS, facilities=FACILITIES):
    """What each unknown sender may be."""
    suggester = Suggester(units, facilities)
    return suggest(suggester, looked.unknown, looked.matched, looked.alive)


def number_of(region, station):
    found = (one for one in load_senders(region.records, TODAY) if one.sender.station == station)
    return next(found).sender_id


def test_units_have_what_arrived_of_them_up_to_the_day(region):
    for days, count in ((40, 3), (29, 2), (0, 1)):
        rows = [a_study(100 * days + at) for at in range(count)]
        region.show(*rows, now=NOW - timedelta(days=days))
    assert seen(region).units == {
        "x": UnitFacts(TODAY - timedelta(days=40), TODAY, 1, 3, {"DX": 3})
    }
    before = TODAY - timedelta(days=1)
    last = TODAY - timedelta(days=29)
    assert seen(region, before).units["x"].last_on == last
    assert seen(region, TODAY - timedelta(days=41)).units == {}


def test_an_accepted_suggestion_changes_the_past_and_taking_it_back_does_too(region):
    """The history is recomputed: counts hang on senders, never on units."""
    past = TODAY - timedelta(days=60)
    region.show(a_study(1, BARE), now=NOW - timedelta(days=60))
    region.show(a_study(2, BARE))
    unknown = ({}, ["ROOM1"])
    assert (told(seen(region)), told(seen(region, past))) == (unknown, unknown)
    found = seen(region)
    sender_id = number_of(region, "ROOM1")
    suggestion = suggested(found)[sender_id]
    assert [(one.unit_id, one.reasons) for one in suggestion.near] == []
    assert (suggestion.new.facility_id, suggestion.new.kind) == ("f1", UnitKind.RADIOGRAPHY)

    made = saying.accept(region.records, sender_id, "y", author=ME, now=NOW)
    day, long_ago = str(TODAY), str(past)
    assert told(seen(region)) == ({"y": (long_ago, day, 1)}, [])
    assert told(seen(region, past)) == ({"y": (long_ago, long_ago, 1)}, [])
    earlier = NOW - timedelta(seconds=1)
    assert told(seen(region, known_at=earlier)) == unknown, "what was told then can be told again"

    later = NOW + timedelta(hours=1)
    saying.undo(region.records, made, author=ME, now=later)
    assert (told(seen(region)), told(seen(region, past))) == (unknown, unknown)
    assert told(seen(region, known_at=NOW))[0] == {"y": (long_ago, day, 1)}
    (said,) = load_history(region.records, "y")
    assert (said.author, said.at, said.undone_at, said.undone_by) == (ME, NOW, later, ME)
    with pytest.raises(NotFound):
        saying.undo(region.records, made, author=ME, now=later)


def test_a_wrong_match_by_the_register_can_be_denied(region):
    region.show(a_study(1))
    assert [*seen(region).units] == ["x"]
    (one,) = load_senders(region.records, TODAY)
    made = saying.deny(region.records, one.sender_id, "x", author=ME, now=NOW, reason="подменный")
    assert told(seen(region)) == ({}, [""])
    saying.undo(region.records, made, author=ME, now=NOW)
    assert [*seen(region).units] == ["x"]


def test_accepting_by_serial_number_survives_a_new_name_of_the_station(region):
    region.show(a_study(1, {**CT, "StationName": "CT1"}))
    saying.accept(region.records, number_of(region, "CT1"), "y", author=ME, now=NOW)
    region.show(a_study(2, {**CT, "StationName": "CT1-NEW", "InstitutionName": "ГКБ"}))
    assert seen(region).units["y"].studies_30 == 2


def test_accepting_decides_between_two_fingerprints(region):
    by_station = Fingerprint("", "x", station="CT1", serial="C7")
    saying.set_fingerprint(region.records, by_station, author=ME, now=NOW)
    region.show(a_study(1, {**CT, "StationName": "CT1"}))
    assert [*seen(region).units] == ["x"]
    saying.accept(region.records, number_of(region, "CT1"), "y", author=ME, now=NOW)
    assert [*seen(region).units] == ["y"]


def test_a_sender_that_a_person_ignores_is_no_longer_missed(region):
    region.show(a_study(1, {"StationName": "PHANTOM"}))
    sender_id = number_of(region, "PHANTOM")
    saying.ignore(region.records, sender_id, author=ME, reason=" тест ", now=NOW)
    found = seen(region)
    assert (told(found), found.unknown_30, [*found.ignored]) == (({}, []), 0, [sender_id])
    saying.heed(region.records, sender_id, author=ME, now=NOW + timedelta(hours=1))
    assert seen(region).unknown_30 == 1
    assert told(seen(region, known_at=NOW + timedelta(minutes=1))) == ({}, []), "as it was known"


def test_what_cannot_be_said_is_refused(region):
    records = region.records
    region.show(a_study(1))
    with pytest.raises(NotFound):
        saying.accept(records, 99, "x", author=ME, now=NOW)
    with pytest.raises(NotFound):
        saying.heed(records, 1, author=ME, now=NOW)
    with pytest.raises(BadRequest):
        saying.ignore(records, 1, author=ME, reason=" \n", now=NOW)
    empty = Fingerprint("", "x", site_id="gkb1", station=" \0")
    with pytest.raises(BadRequest):
        saying.set_fingerprint(records, empty, author=ME, now=NOW)
    assert load_history(records, "x") == []


def test_the_same_fingerprint_twice_is_one(region):
    one = Fingerprint("", "x", station="ROOM1")
    made = {saying.set_fingerprint(region.records, one, author=ME, now=NOW) for _ in range(2)}
    assert len(made) == len(load_history(region.records, "x")) == 1


def test_a_unit_that_moves_keeps_its_images_and_its_new_hospital_does_not_get_others(region):
    region.show(a_study(1), now=NOW - timedelta(days=10))
    moved = Revision(2, TODAY - timedelta(days=5), BORN, ME, "", a_unit("x", "f2", serial="42"))
    before = Revision(1, date(2025, 1, 1), BORN, ME, "", XRAY_UNIT)
    region.show(a_study(2), site_id="gkb2")
    revisions = [before, moved]
    units = as_of(revisions, TODAY)
    homes = homes_of(revisions, TODAY)
    assert homes == {"x": {"f1", "f2"}}
    assert seen(region, units=units, homes=homes).units["x"].studies_30 == 2
    early = TODAY - timedelta(days=6)
    assert homes_of(revisions, early) == {"x": {"f1"}}


def test_unknown_senders_come_by_their_studies(region):
    region.show(a_study(1, BARE), a_study(2, {"StationName": "ROOM2"}), a_study(3, BARE))
    region.show(a_study(4, {"StationName": "OLD"}), now=NOW - timedelta(days=50))
    found = seen(region)
    assert told(found) == ({}, ["ROOM1", "ROOM2", "OLD"])
    assert found.unknown_30 == 2
    near = suggested(found)
    assert {one.unit_id for told in near.values() for one in told.near} == set()
    typo = {**UNITS, "x": a_unit("x", model="Прграф", serial="0010044", manufacturer="АМИКО")}
    region.show(a_study(5, {**XRAY, "DeviceSerialNumber": "10043"}))
    found = seen(region, units=typo)
    (sender_id,) = (one.sender_id for one in found.unknown if one.sender.serial == "10043")
    (likely,) = suggested(found, typo)[sender_id].near
    assert likely.unit_id == "x"
    assert Reason.SIMILAR_MODEL in likely.reasons


def test_a_facility_has_the_flow_of_its_site(region):
    timed = {**XRAY, "SeriesDate": "20260311", "SeriesTime": "012900"}
    region.show(a_study(1, timed), a_study(2, timed, CT))
    region.show(a_study(3), now=NOW - timedelta(days=29))
    region.show(a_study(4), now=NOW - timedelta(days=30))
    found = flows(region.records, FACILITIES, TODAY)
    assert found["f2"].studies_30 == 0
    assert (found["f1"].studies, found["f1"].studies_30) == (2, 3)
    assert found["f1"].by_modality == {"DX": 3, "CT": 1}, "two machines of a study count at both"
    assert (found["f1"].visible, found["f1"].archived) == ({60: 2}, {})
    assert region.clock() == {("gkb1", Moment.VISIBLE): {60: 2}}


def test_what_reaches_the_site_of_a_merged_facility_counts_where_it_went(region):
    """A merge moves no server: f1's Orthanc goes on, and its studies are f2's."""
    region.show(a_study(1), a_study(2))
    region.show(a_study(3), site_id="gkb2")
    merged = {**FACILITIES, "f1": replace(FACILITIES["f1"], merged_into="f2")}
    found = flows(region.records, merged, TODAY)
    assert {name: flow.studies_30 for name, flow in found.items()} == {"f2": 3}
    assert found["f2"].by_modality == {"DX": 3}
    assert whole_flows(Inventory(merged, {}), Seen({}, found))["f2"].studies == 3
    region.show(a_study(4, BARE))
    looked = look(region.records, {}, merged, TODAY)
    assert {one.new.facility_id for one in suggested(looked, {}, merged).values()} == {"f2"}
