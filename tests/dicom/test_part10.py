"""A file is identified from its first bytes, whatever its encoding and however hostile."""

import io
import struct
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from gateway.dicom.part10 import DEPTH_LIMIT, MoreBytesNeeded, NotUnderstood, identify
from gateway.dicom.uids import is_uid

UIDS = ("1.2.840.10008.5.1.4.1.1.7", "1.2.3.4", "1.2.3", "1.2.3.1")


def file_of(syntax: str = ExplicitVRLittleEndian, **changed: object) -> bytes:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = UIDS[:2]
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID, ds.SOPInstanceUID, ds.StudyInstanceUID, ds.SeriesInstanceUID = UIDS
    item = Dataset()
    item.ReferencedSOPInstanceUID = "9.9.9"
    ds.ReferencedStudySequence = Sequence([item])
    ds.PatientName = "Иванов^Пётр"
    ds.InstanceNumber = 1
    ds.Rows = 1
    for keyword, value in changed.items():
        with warnings.catch_warnings(action="ignore"):  # wrong values are wanted here
            setattr(ds, keyword, value)
    out = io.BytesIO()
    ds.save_as(out, enforce_file_format=True)
    return out.getvalue()


def fields(data: bytes, *, whole: bool = True) -> tuple[str, str, str, str]:
    found = identify(data, whole=whole)
    return found.sop_class_uid, found.sop_instance_uid, found.study_uid, found.series_uid


@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian]
)
def test_uids_are_read_in_every_encoding(syntax: str) -> None:
    assert fields(file_of(syntax)) == UIDS


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_sequences_of_undefined_length_are_walked(syntax: str) -> None:
    ds = Dataset()
    ds.is_undefined_length_sequence_item = True
    ds.ReferencedSOPInstanceUID = "9.9.9"
    seq = Sequence([ds])
    seq.is_undefined_length = True
    data = file_of(syntax, ReferencedStudySequence=seq)
    assert fields(data) == UIDS


@given(st.integers(min_value=0, max_value=2000))
def test_a_prefix_asks_for_more_or_already_knows(cut: int) -> None:
    prefix = file_of()[:cut]
    try:
        assert fields(prefix, whole=False) == UIDS
    except MoreBytesNeeded:
        assert len(prefix) < len(file_of())


def test_a_file_that_ends_in_its_header_is_not_understood() -> None:
    with pytest.raises(NotUnderstood):
        fields(file_of()[:200])


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\0" * 200, id="no DICM mark"),
        pytest.param(file_of(SOPInstanceUID=""), id="no instance UID"),
        pytest.param(file_of(StudyInstanceUID="1.02.3"), id="a UID with a leading zero"),
        pytest.param(b"\0" * 128 + b"DICM" + b"garbage" * 50, id="garbage"),
    ],
)
def test_what_cannot_be_identified_is_refused(data: bytes) -> None:
    with pytest.raises(NotUnderstood):
        fields(data)


def test_a_deflated_file_is_refused_without_being_inflated() -> None:
    with pytest.raises(NotUnderstood) as caught:
        fields(file_of(DeflatedExplicitVRLittleEndian))
    assert caught.value.identity is not None
    assert caught.value.identity.transfer_syntax == DeflatedExplicitVRLittleEndian


def test_deep_nesting_is_refused() -> None:
    start = file_of()
    at = start.index(struct.pack("<HH", 0x0008, 0x0016))
    head = struct.pack("<HH", 0x0008, 0x0006) + b"SQ\0\0" + b"\xff" * 4
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    with pytest.raises(NotUnderstood, match=str(DEPTH_LIMIT)):
        fields(start[:at] + (head + item) * 100 + start[at:])


@given(st.binary(max_size=400), st.booleans())
def test_arbitrary_bytes_end_in_one_of_three_outcomes(data: bytes, whole: bool) -> None:
    prefix = file_of()[:132] + data
    with pytest.raises((NotUnderstood, MoreBytesNeeded)):
        fields(prefix, whole=whole)


@given(st.integers(132, 500), st.binary(min_size=1, max_size=8))
def test_a_damaged_file_never_raises_anything_else(at: int, damage: bytes) -> None:
    data = bytearray(file_of())
    data[at : at + len(damage)] = damage
    try:
        found = fields(bytes(data))
    except NotUnderstood:
        return
    assert all(map(is_uid, found))
