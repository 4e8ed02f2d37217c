"""The Basic Profile of PS3.15 E: nothing that names a person or a place is left, at any depth."""

import io

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from gateway.dicom.deidentify import Pseudonyms, deidentify
from gateway.dicom.header_edit import CannotEdit, edited
from gateway.dicom.uids import is_uid
from tests.documents import a_text_report
from tests.studies import an_instance

NAMES = Pseudonyms("a key of tests alone")
CANARY = "ЗЗКАНАРЕЙКА"


def made(file: bytes) -> bytes:
    return b"".join(edited([file], lambda ds: deidentify(ds, NAMES), drop_rest=True))


def item(**elements: object) -> Dataset:
    found = Dataset()
    for keyword, value in elements.items():
        setattr(found, keyword, value)
    return found


def with_canaries() -> bytes:
    """Names in every place where people put them."""
    inner = item(ReferencedSOPClassUID="1.2.840.10008.5.1.4.1.1.2")
    inner.ReferencedSOPInstanceUID = an_instance(5, 1, 2).instance_uid
    inner.PatientName = CANARY
    ds = pydicom.dcmread(
        io.BytesIO(
            an_instance(
                5,
                PatientName=f"{CANARY}^А",
                PatientID="PCANARY",
                OtherPatientIDs="PCANARY",
                InstitutionName=CANARY,
                StudyDescription=CANARY,
                ImageComments=CANARY,
                ReferencedImageSequence=Sequence([inner]),
                RequestAttributesSequence=Sequence([item(ScheduledProcedureStepID=CANARY)]),
            ).data
        )
    )
    ds.private_block(0x0029, "CANARY", create=True).add_new(1, "LO", CANARY)
    ds.add_new(0x60003000, "OW", b"CANARY")
    out = io.BytesIO()
    pydicom.dcmwrite(out, ds, enforce_file_format=True)
    return out.getvalue()


def test_no_name_is_left_at_any_depth() -> None:
    before, after = with_canaries(), made(with_canaries())
    for name in (CANARY.encode(), b"PCANARY", b"CANARY", b"19700101", b"20260101"):
        assert name not in after, name
    assert CANARY.encode() in before


def test_what_makes_an_image_an_image_stays() -> None:
    file = with_canaries()
    before, after = (pydicom.dcmread(io.BytesIO(one)) for one in (file, made(file)))
    kept = ["SOPClassUID", "Modality", "Rows", "Columns", "BitsStored", "PixelData"]
    assert [after[name].value for name in kept] == [before[name].value for name in kept]
    assert after.ReferencedImageSequence[0].ReferencedSOPClassUID == before.SOPClassUID


def test_new_uids_are_the_same_wherever_they_are_named() -> None:
    after = pydicom.dcmread(io.BytesIO(made(with_canaries())))
    other = pydicom.dcmread(io.BytesIO(made(an_instance(5, 1, 2).data)))
    assert after.ReferencedImageSequence[0].ReferencedSOPInstanceUID == other.SOPInstanceUID
    assert (after.StudyInstanceUID, after.SeriesInstanceUID) == (
        other.StudyInstanceUID,
        other.SeriesInstanceUID,
    )
    assert after.file_meta.MediaStorageSOPInstanceUID == after.SOPInstanceUID


def test_it_says_of_itself_what_was_done() -> None:
    after = pydicom.dcmread(io.BytesIO(made(with_canaries())))
    code = after.DeidentificationMethodCodeSequence[0]
    assert (after.PatientIdentityRemoved, code.CodeValue, code.CodingSchemeDesignator) == (
        "YES",
        "113100",
        "DCM",
    )


def test_the_text_of_a_report_goes() -> None:
    report = a_text_report(6).data
    texts = {str(one.TextValue) for one in walk(pydicom.dcmread(io.BytesIO(report)))}
    after = made(report)
    assert texts
    assert not [text for text in texts if text.encode() in after]
    assert len(walk(pydicom.dcmread(io.BytesIO(after)))) == len(texts)


def walk(dataset: Dataset) -> list[Dataset]:
    found = [dataset] if "TextValue" in dataset else []
    for one in dataset.get("ContentSequence", ()):
        found += walk(one)
    return found


def test_an_image_with_names_burned_in_is_refused() -> None:
    with pytest.raises(CannotEdit, match="burned_in"):
        made(an_instance(7, BurnedInAnnotation="YES").data)


@given(st.text(max_size=64), st.text(min_size=1))
def test_pseudonyms_are_sound_and_tell_the_keys_apart(value: str, key: str) -> None:
    one, other = Pseudonyms(key), Pseudonyms(key + "2")
    assert is_uid(one.uid(value))
    assert len(one.person(value)) == 16
    assert (one.uid(value), one.person(value)) == (Pseudonyms(key).uid(value), one.person(value))
    assert one.uid(value) != other.uid(value)
