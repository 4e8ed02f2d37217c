"""Whose images a sender's are."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model.rollout.likeness import folded, is_similar, normal
from gateway.model.rollout.matching import REGISTER, Match, Matcher, site_of_facility
from gateway.model.rollout.register import (
    Capture,
    Facility,
    FacilityKind,
    Unit,
    UnitKind,
    UnitState,
)
from gateway.model.rollout.senders import Fingerprint, Sender
from gateway.model.rollout.suggestions import (
    NearUnit,
    NewUnit,
    Reason,
    Suggester,
    facility_of_sites,
)


def a_facility(facility_id, site_id="", parent_id="", merged_into=""):
    return Facility(
        facility_id, facility_id, facility_id, FacilityKind.HOSPITAL, "Город",
        site_id=site_id, parent_id=parent_id, merged_into=merged_into,
    )  # fmt: skip


def a_unit(unit_id, facility_id="gkb1", kind=UnitKind.RADIOGRAPHY, **values):
    texts = dict.fromkeys(("manufacturer", "model", "serial"), "")
    rest = {"year": None, "capture": Capture.DIGITAL, "state": UnitState.ACTIVE}
    return Unit(unit_id, facility_id, kind, **{**texts, **rest, **values})


FACILITIES = {
    one.facility_id: one
    for one in (
        a_facility("gkb1", "gkb1"),
        a_facility("gkb2", "gkb2"),
        a_facility("clinic", parent_id="gkb1"),
        a_facility("old", merged_into="gkb2"),
        a_facility("private"),
    )
}
UNITS = {unit_id: a_unit(unit_id) for unit_id in ("u1", "u2", "u3")}


def matched(sender, fingerprints=(), units=UNITS, homes=None):
    return Matcher(fingerprints, units, FACILITIES, homes).match(sender)


SENDER = Sender("gkb1", "Siemens Healthineers", "Ysio Max", "00123", "ROOM1", "ГКБ №1")


# The register's own words


@pytest.mark.parametrize(
    ("values", "is_exact"),
    [
        pytest.param({"serial": "00123"}, True, id="to the letter"),
        pytest.param({"serial": "123"}, False, id="zeros in front"),
        pytest.param({"manufacturer": "SIEMENS", "model": "YSIO-MAX", "serial": "00123"}, False,
                     id="names of one maker, case and signs"),
        pytest.param({"manufacturer": "Сименс", "model": "Ysiо Мах", "serial": "00123"}, False,
                     id="Cyrillic letters that look alike"),
        pytest.param({"model": "Ysio Max"}, True, id="a model, where no serial number is known"),
    ],
)  # fmt: skip
def test_the_register_says_whose_images_they_are(values, is_exact):
    units = {"u1": a_unit("u1", **values)}
    assert matched(SENDER, units=units) == Match("u1", REGISTER, is_exact)


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({}, id="nothing is known"),
        pytest.param({"manufacturer": "Siemens"}, id="a maker alone"),
        pytest.param({"model": "Ysio Max", "serial": "124"}, id="another serial number"),
        pytest.param({"manufacturer": "GE", "serial": "00123"}, id="another maker"),
        pytest.param({"serial": "00123", "facility_id": "gkb2"}, id="another hospital's"),
        pytest.param({"serial": "00123", "facility_id": "private"}, id="of one without a site"),
    ],
)
def test_the_register_claims_no_images_of_others(values):
    assert matched(SENDER, units={"u1": a_unit("u1", **values)}) == Match()


@pytest.mark.parametrize("said", ["", "0", "none", "N/A", "12345"])
def test_images_without_a_serial_number_are_of_the_only_unit_of_that_model(said):
    bare = replace(SENDER, serial=said)
    units = {"u1": a_unit("u1", model="Ysio Max", serial="00123")}
    assert matched(bare, units=units).unit_id == "u1"
    units["u2"] = a_unit("u2", model="Ysio Max", serial="00124")
    assert matched(bare, units=units) == Match(is_exact=True, rivals=("u1", "u2"))
    assert matched(SENDER, units=units).unit_id == "u1"


def test_images_arrive_at_the_site_of_the_facility_above_and_of_the_one_merged_into():
    for home, site in (("clinic", "gkb1"), ("old", "gkb2")):
        units = {"u1": a_unit("u1", home, serial="00123")}
        assert matched(replace(SENDER, site_id=site), units=units).unit_id == "u1"
    circle = {"a": a_facility("a", parent_id="b"), "b": a_facility("b", parent_id="a")}
    assert site_of_facility("a", circle) == ""


def test_a_unit_that_has_moved_keeps_what_it_sent_before():
    units = {"u1": a_unit("u1", "gkb2", serial="00123")}
    assert matched(SENDER, units=units) == Match()
    homes = {"u1": frozenset({"gkb1", "gkb2"})}
    assert matched(SENDER, units=units, homes=homes).unit_id == "u1"


def test_a_unit_that_was_found_to_be_another_gives_its_images_to_that():
    units = {
        "u1": a_unit("u1", serial="00123", merged_into="u2"),
        "u2": a_unit("u2", serial="00123", merged_into="u3"),
        "u3": a_unit("u3"),
    }
    assert matched(SENDER, units=units).unit_id == "u3"


# Fingerprints


def test_a_fingerprint_of_another_hospitals_unit_fits_only_where_it_names_the_site():
    units = {"u1": a_unit("u1", "gkb2")}
    anywhere = Fingerprint("f1", "u1", serial="00123")
    assert matched(SENDER, [anywhere], units) == Match()
    named = replace(anywhere, site_id="gkb1")
    assert matched(SENDER, [named], units) == Match("u1", "f1", is_exact=True)
    assert matched(replace(SENDER, site_id="gkb2"), [named], units) == Match()


def test_what_says_more_wins_and_equals_leave_it_to_a_person():
    weak = Fingerprint("f1", "u1", manufacturer="Siemens Healthineers", model="Ysio Max")
    strong = Fingerprint("f2", "u2", serial="00123")
    assert matched(SENDER, [weak, strong]).unit_id == "u2"
    equal = Fingerprint("f3", "u3", serial="00123")
    assert matched(SENDER, [weak, strong, equal]) == Match(is_exact=True, rivals=("u2", "u3"))
    same_unit = Fingerprint("f4", "u2", serial="00123")
    assert matched(SENDER, [weak, strong, same_unit]).unit_id == "u2"


def test_a_person_can_say_that_images_are_not_a_units():
    units = {"u1": a_unit("u1", serial="00123"), "u2": a_unit("u2", model="Ysio Max")}
    assert matched(SENDER, units=units).unit_id == "u1"
    denial = Fingerprint("f1", "u1", **{**vars(SENDER)}, is_not=True)
    assert matched(SENDER, [denial], units).unit_id == "u2"
    other = replace(SENDER, station="ROOM2")
    assert matched(other, [denial], units).unit_id == "u1", "of these images only"


# Whatever is said

TEXTS = st.sampled_from(["", "A1", "a-1", "А1", "0A1", "Siemens", "SIEMENS AG", "none", "7", "007"])
FIELDS = ("manufacturer", "model", "serial", "station", "institution")
SITES = st.sampled_from(["gkb1", "gkb2"])
SENDERS = st.builds(Sender, SITES, TEXTS, TEXTS, TEXTS, TEXTS, TEXTS)
FINGERPRINTS = st.builds(
    Fingerprint, st.uuids().map(str), st.sampled_from(["u1", "u2", "u3", "gone"]),
    st.sampled_from(["", "gkb1", "gkb2"]), TEXTS, TEXTS, TEXTS, TEXTS, TEXTS,
    st.sampled_from([False, False, False, True]),
)  # fmt: skip
SOME = st.lists(FINGERPRINTS, max_size=6, unique_by=lambda one: one.fingerprint_id)


@given(SENDERS, SOME, st.randoms())
def test_the_order_in_which_they_were_said_does_not_matter(sender, some, random):
    other = [*some]
    random.shuffle(other)
    assert matched(sender, some) == matched(sender, other)


@given(SENDERS, SOME)
def test_the_index_of_fingerprints_finds_what_a_look_at_all_of_them_finds(sender, some):
    def alone(one):
        return matched(sender, [replace(one, is_not=False)]).unit_id is not None

    denied = {one.unit_id for one in some if one.is_not and alone(one)}
    fitting = {one.unit_id for one in some if not one.is_not and alone(one)} - denied
    found = matched(sender, some)
    assert {*found.rivals, *([found.unit_id] if found.unit_id else [])} <= fitting
    assert bool(fitting) == (found != Match())


@given(SENDERS, SOME)
def test_an_empty_fingerprint_fits_nothing(sender, some):
    empty = Fingerprint("empty", "u1")
    assert matched(sender, [*some, empty]) == matched(sender, some)
    assert matched(sender, [empty]) == Match()


@given(SENDERS, SOME, FINGERPRINTS)
def test_what_is_taken_back_leaves_no_trace(sender, some, one):
    before = matched(sender, some)
    matched(sender, [*some, one])
    assert matched(sender, [said for said in [*some, one] if said is not one]) == before


@given(SENDERS, SOME)
def test_all_that_a_sender_says_beats_whatever_fits_less_exactly(sender, some):
    others = [one for one in some if not one.is_not and not _is_exact(one, sender)]
    exact = Fingerprint("exact", "u1", **vars(sender))
    assert matched(sender, [*others, exact]) == Match("u1", "exact", is_exact=True)


def _is_exact(one, sender):
    return all(getattr(one, field) in ("", getattr(sender, field)) for field in FIELDS)


@given(st.sampled_from(FIELDS), st.text(max_size=30))
def test_the_normal_form_is_its_own(field, said):
    once = normal(field, said)
    assert normal(field, once) == once


@given(st.text(max_size=12), st.text(max_size=12))
def test_likeness_is_mutual(one, other):
    assert is_similar(folded(one), folded(other)) == is_similar(folded(other), folded(one))


@pytest.mark.parametrize(
    ("one", "other", "similar"),
    [
        ("12345", "12346", True), ("12345", "1234", True), ("12345", "12435", True),
        ("sn12345", "12345", True), ("12345", "13245x", False), ("12345", "54321", False),
        ("123", "124", False),
    ],
)  # fmt: skip
def test_a_typing_error_is_similar_and_another_number_is_not(one, other, similar):
    assert is_similar(one, other) is similar


# Suggestions


def suggested(sender, units, by_modality, with_images=()):
    rivals = Matcher((), units, FACILITIES).match(sender).rivals
    suggester = Suggester(units, FACILITIES)
    return suggester.suggest(sender, by_modality, rivals=rivals, with_images=with_images)


def test_units_that_nearly_fit_are_ranked_with_their_reasons():
    units = {
        "moved": a_unit("moved", "gkb2", serial="1234", model="Ysio Max"),
        "typo": a_unit("typo", serial="001324", model="Ysio"),
        "idle": a_unit("idle", model="Other"),
        "ct": a_unit("ct", kind=UnitKind.CT, manufacturer="Siemens"),
        "gone": a_unit("gone", serial="00123", state=UnitState.DECOMMISSIONED, facility_id="gkb2"),
        "busy": a_unit("busy", manufacturer="Siemens"),
    }
    sender = replace(SENDER, serial="001234")
    found = suggested(sender, units, {"DX": 9}, with_images=["busy", "typo"])
    assert found.near == (
        NearUnit(
            "moved", "gkb2",
            (Reason.SAME_SERIAL, Reason.SAME_MODEL, Reason.SAME_KIND, Reason.NO_IMAGES,
             Reason.OTHER_FACILITY), 78,
        ),
        NearUnit(
            "typo", "gkb1", (Reason.SIMILAR_SERIAL, Reason.SIMILAR_MODEL, Reason.SAME_KIND), 50
        ),
    )  # fmt: skip
    assert found.new == NewUnit(
        "gkb1", UnitKind.RADIOGRAPHY, Capture.DIGITAL, SENDER.manufacturer, "Ysio Max", "001234"
    )


def test_units_that_fit_equally_are_suggested_first():
    units = {
        unit_id: a_unit(unit_id, model="Ysio Max", serial=serial)
        for unit_id, serial in (("u1", "1001"), ("u2", "1002"))
    }
    found = suggested(replace(SENDER, serial=""), units, {"DX": 1}, with_images=["u1"])
    assert [(one.unit_id, one.reasons[0]) for one in found.near] == [
        ("u2", Reason.FITS_SEVERAL), ("u1", Reason.FITS_SEVERAL),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("by_modality", "kind", "capture"),
    [
        ({"CR": 3, "DX": 1}, UnitKind.RADIOGRAPHY, Capture.DIGITISER),
        ({"MG": 1}, UnitKind.MAMMOGRAPHY, Capture.DIGITAL),
        ({"MR": 1}, UnitKind.MRI, Capture.DIGITAL),
        ({"PX": 1}, UnitKind.DENTAL, Capture.DIGITAL),
        ({"OT": 1}, None, Capture.DIGITAL),
        ({}, None, Capture.DIGITAL),
    ],
)
def test_a_new_unit_is_proposed_as_its_images_describe_it(by_modality, kind, capture):
    new = suggested(replace(SENDER, serial="0", site_id="gkb9"), {}, by_modality).new
    assert (new.facility_id, new.kind, new.capture, new.serial) == ("", kind, capture, "")


def test_a_shared_site_is_that_of_the_facility_above():
    shared = {
        one.facility_id: one for one in (a_facility("a", "s", parent_id="b"), a_facility("b", "s"))
    }
    assert facility_of_sites(shared) == {"s": "b"}
