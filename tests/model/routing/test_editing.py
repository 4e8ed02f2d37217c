"""What a rule's edits do to one instance, and what they write down of what was there."""

import io
from datetime import UTC, datetime

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from gateway.dicom.header_edit import CannotEdit
from gateway.model.routing.actions import Action, Deidentify, MapTag, RemoveTag, Send, SetTag
from gateway.model.routing.editing import Editing
from tests.fakes import a_site
from tests.studies import an_instance

AT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
SITE = a_site("gkb1", patient_id_issuer="GKB1", ae_title="GKB1AE")


def an_image(**elements: object) -> Dataset:
    return pydicom.dcmread(io.BytesIO(an_instance(1, **elements).data))


def edit(dataset: Dataset, *actions: Action, key: str = "") -> Dataset:
    Editing(actions, SITE, AT, key).change(dataset)
    return dataset


def former(dataset: Dataset, at: int = 0) -> Dataset:
    return dataset.OriginalAttributesSequence[at].ModifiedAttributesSequence[0]


def test_a_value_may_hold_words_of_the_site_and_of_the_image() -> None:
    made = edit(an_image(), SetTag("AccessionNumber", "${site.issuer}-${AccessionNumber}"))
    assert (made.AccessionNumber, former(made).AccessionNumber) == ("GKB1-A1", "A1")


def test_what_was_not_there_is_written_down_without_a_value() -> None:
    made = edit(an_image(), SetTag("IssuerOfPatientID", "${site.issuer}"))
    assert made.IssuerOfPatientID == "GKB1"
    assert former(made)["IssuerOfPatientID"].is_empty


def test_a_map_compares_as_conditions_do_and_leaves_other_values() -> None:
    mapping = MapTag("StudyDescription", (("кт  ГРУДНОЙ клётки", "ОГК"),))
    assert edit(an_image(), mapping).StudyDescription == "ОГК"
    other = edit(an_image(StudyDescription="МРТ"), mapping)
    assert (other.StudyDescription, "OriginalAttributesSequence" in other) == ("МРТ", False)


def test_an_edit_that_changes_nothing_writes_nothing_down() -> None:
    made = edit(an_image(), SetTag("Modality", "CT"), RemoveTag("PatientComments"))
    assert "OriginalAttributesSequence" not in made


def test_of_two_edits_the_first_value_is_the_original() -> None:
    made = edit(an_image(), SetTag("StudyID", "2"), SetTag("StudyID", "3"))
    assert (made.StudyID, former(made).StudyID, len(made.OriginalAttributesSequence)) == (
        "3",
        "1",
        1,
    )


def test_what_others_have_written_down_before_stays() -> None:
    made = edit(edit(an_image(), SetTag("StudyID", "2")), SetTag("StudyID", "3"))
    assert [former(made, at).StudyID for at in (0, 1)] == ["1", "2"]


def test_after_deidentification_nothing_tells_what_was_there() -> None:
    actions = (SetTag("StudyID", "Петров"), Deidentify("basic"), SetTag("ClinicalTrialSiteID", "7"))
    made = edit(an_image(), *actions, key="a key of tests alone")
    assert [element.keyword for element in former(made)] == ["ClinicalTrialSiteID"]
    assert "Петров" not in made.to_json()


@pytest.mark.parametrize(
    ("action", "why"),
    [
        (SetTag("StudyID", "x" * 17), "value_does_not_fit"),
        (SetTag("Modality", "КТ"), "value_does_not_fit"),
    ],
)
def test_a_value_that_the_attribute_cannot_hold_is_refused(action: Action, why: str) -> None:
    with pytest.raises(CannotEdit, match=why):
        edit(an_image(), action)


def test_a_value_in_letters_that_the_image_cannot_write_is_refused() -> None:
    latin = an_image(
        charset="ISO_IR 100", PatientName="A", StudyDescription="CT", ReferringPhysicianName="B"
    )
    with pytest.raises(CannotEdit, match="value_not_in_charset"):
        edit(latin, SetTag("StudyDescription", "КТ"))


@given(st.sampled_from([(), (Send(("archive",)),)]))
def test_without_edits_nothing_changes(actions: tuple[Action, ...]) -> None:
    assert edit(an_image(), *actions) == an_image()
    assert Editing(actions, SITE, AT).uid("1.2.3") == "1.2.3"
