"""Reports as trees of plain texts, whatever stands in them."""

import io
import json
import warnings

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from gateway.dicom.documents import DEPTH_LIMIT, read_document
from gateway.dicom.transcode import CannotDecode, read_file
from tests.documents import a_pdf, a_text_report
from tests.studies import a_study


def coded(value: str, meaning: str) -> Sequence:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, "99X", meaning
    return Sequence([code])


def an_item(kind: str, **elements: object) -> Dataset:
    item = Dataset()
    item.ValueType, item.ConceptNameCodeSequence = kind, coded("1", f"a {kind}")
    for keyword, value in elements.items():
        setattr(item, keyword, value)
    return item


def test_a_report_tells_who_what_and_where_its_images_are() -> None:
    image = a_study(1, (1,))[0]
    found = json.loads(read_document(read_file(a_text_report(1, [image]).data)))
    texts = [(item["concept"], item["kind"]) for item in found["items"]]
    assert (found["title"], found["facts"]["PatientName"], found["facts"]["CompletionFlag"]) == (
        "Diagnostic imaging report",
        "Иванов Пётр Ильич",
        "COMPLETE",
    )
    assert texts == [
        ("Findings", "TEXT"),
        ("Conclusions", "TEXT"),
        ("Best illustration of finding", "IMAGE"),
    ]
    assert found["items"][2]["references"] == [
        [image.study_uid, image.series_uid, image.instance_uid]
    ]


def test_each_kind_of_value_is_a_text() -> None:
    measured = Dataset()
    measured.NumericValue, measured.MeasurementUnitsCodeSequence = "12.5", coded("mm", "millimetre")
    items = [
        an_item("CODE", ConceptCodeSequence=coded("2", "Left lung")),
        an_item("NUM", MeasuredValueSequence=Sequence([measured])),
        an_item("DATE", Date="20260101"),
        an_item("PNAME", PersonName="Врачёва^Анна"),
        an_item("UIDREF", UID="1.2.3"),
        an_item("CONTAINER", ContentSequence=Sequence([an_item("TEXT", TextValue="inside")])),
    ]
    report = read_file(a_text_report(1, ContentSequence=Sequence(items)).data)
    found = json.loads(read_document(report))["items"]
    assert [item["value"] for item in found] == [
        "Left lung", "12.5 mm", "20260101", "Врачёва Анна", "1.2.3", "",
    ]  # fmt: skip
    assert found[5]["items"][0]["value"] == "inside"


@pytest.mark.parametrize(
    ("written", "named"),
    [
        ("ISO_IR 144", "ISO_IR 144"),
        (["", "ISO 2022 IR 144"], None),
        ("ISO_IR 144", "ISO_IR 100"),
        ("ISO_IR 192", "ISO_IR 100"),
    ],
    ids=["ISO 8859-5", "with code extensions", "under a wrong name", "UTF-8 under a wrong name"],
)
def test_a_report_is_read_in_whatever_alphabet(written: str | list[str], named: str | None) -> None:
    """H79"""
    items = [an_item("TEXT", TextValue="Лёгкие без очагов")]
    file = a_text_report(1, SpecificCharacterSet=written, ContentSequence=Sequence(items)).data
    if named is not None:
        file = file.replace(str(written).encode(), named.encode(), 1)
    found = json.loads(read_document(read_file(file)))
    assert found["facts"]["PatientName"] == "Иванов Пётр Ильич"
    assert [item["value"] for item in found["items"]] == ["Лёгкие без очагов"]


def test_a_part_of_a_report_may_name_its_own_alphabet() -> None:
    """PS3.3 C.12.1.1.2: of the items inside it."""
    item = an_item("TEXT", TextValue="Лёгкие без очагов", SpecificCharacterSet="ISO_IR 144")
    file = a_text_report(1, ContentSequence=Sequence([item])).data
    (read,) = json.loads(read_document(read_file(file)))["items"]
    assert read["value"] == "Лёгкие без очагов"


def test_a_reference_that_is_no_uid_leads_nowhere() -> None:
    report = read_file(a_text_report(1, a_study(1, (1,))).data)
    evidence = report.CurrentRequestedProcedureEvidenceSequence[0]
    with warnings.catch_warnings(action="ignore"):
        evidence.StudyInstanceUID = "../../viewer"
    assert json.loads(read_document(report))["items"][2]["references"] == []


def test_a_pdf_is_its_own_bytes_without_the_padding() -> None:
    stored = read_file(a_pdf(1).data)
    found = read_document(stored)
    assert (found[:5], found[-6:], len(found)) == (
        b"%PDF-",
        b"%%EOF\n",
        stored.EncapsulatedDocumentLength,
    )


@pytest.mark.parametrize("body", [b"<html><script>", b"MZ\x90\x00", b"<svg/>", b""])
def test_what_calls_itself_pdf_and_is_none_is_refused(body: bytes) -> None:
    """H36, H73"""
    file = a_pdf(1, EncapsulatedDocument=body, EncapsulatedDocumentLength=len(body)).data
    with pytest.raises(CannotDecode):
        read_document(read_file(file))


def test_a_report_without_a_bottom_is_refused() -> None:
    """H75"""
    item = an_item("TEXT", TextValue="x")
    for _ in range(DEPTH_LIMIT):
        item = an_item("CONTAINER", ContentSequence=Sequence([item]))
    report = pydicom.dcmread(io.BytesIO(a_text_report(1).data))
    report.ContentSequence = Sequence([item])
    with pytest.raises(CannotDecode):
        read_document(report)


@given(st.integers(300, 1500), st.binary(min_size=1, max_size=20))
def test_a_damaged_report_is_refused_or_read_but_never_a_fault(at: int, damage: bytes) -> None:
    data = bytearray(a_text_report(1).data)
    data[at : at + len(damage)] = damage
    try:
        found = read_document(read_file(bytes(data)))
    except CannotDecode:
        return
    assert isinstance(json.loads(found)["items"], list)
