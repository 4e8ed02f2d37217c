"""Headers change, pixels pass as they are, whatever the blocks."""

import io
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, RLELossless

from gateway.dicom import header_edit
from gateway.dicom.content import read_content
from gateway.dicom.header_edit import CannotEdit, edited
from gateway.dicom.part10 import glance, identify
from tests.dicom.private import in_implicit_vr, with_unknown_sequence
from tests.documents import a_text_report
from tests.studies import an_instance

PLAIN = an_instance(1, frames=3).data
COMPRESSED = an_instance(2, frames=3, syntax=RLELossless).data
REPORT = a_text_report(3).data
FILES = st.sampled_from([PLAIN, COMPRESSED, REPORT])
TAIL = b"\xfc\xff\xfc\xffOB\0\0\x04\0\0\0\0\0\0\0"


MAKERS = Path(str(get_testdata_file("CT_small.dcm", download=False))).read_bytes()
"""A CT of GE with 75 private elements, by explicit VR."""


def cut(file: bytes, size: int) -> Iterator[bytes]:
    return (file[at : at + size] for at in range(0, len(file), size))


def rename(dataset: Dataset) -> None:
    dataset.PatientName = "Петров^Пётр"


def read(file: bytes) -> Dataset:
    return pydicom.dcmread(io.BytesIO(file))


@settings(max_examples=25)
@given(FILES, st.integers(1, 9000), st.booleans())
def test_only_what_is_changed_changes(file: bytes, size: int, drop_rest: bool) -> None:
    made = read(b"".join(edited(cut(file, size), rename, drop_rest=drop_rest)))
    before = read(file)
    assert str(made.PatientName) == "Петров^Пётр"
    before.PatientName = made.PatientName
    assert made == before
    assert made.file_meta.TransferSyntaxUID == before.file_meta.TransferSyntaxUID


@settings(max_examples=25)
@given(FILES, st.integers(1, 9000))
def test_the_same_change_gives_the_same_bytes(file: bytes, size: int) -> None:
    assert b"".join(edited(cut(file, size), rename)) == b"".join(edited([file], rename))


@pytest.mark.parametrize("file", [PLAIN, COMPRESSED])
@pytest.mark.parametrize("drop_rest", [True, False])
def test_what_stands_behind_the_pixels_goes_if_it_must(file: bytes, drop_rest: bool) -> None:
    made = b"".join(edited(cut(file + TAIL, 1000), rename, drop_rest=drop_rest))
    assert made.endswith(TAIL) is not drop_rest
    assert read(made).PixelData == read(file).PixelData


@pytest.mark.parametrize(
    "file", [b"", b"GIF89a" * 50, PLAIN[:400] + b"\xff" * 500], ids=["empty", "other", "broken"]
)
def test_what_is_no_instance_is_not_edited(file: bytes) -> None:
    with pytest.raises(CannotEdit, match="not_understood"):
        b"".join(edited([file], rename))


def test_a_header_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(header_edit, "HEADER_LIMIT", 100_000)

    def blocks() -> Iterator[bytes]:
        yield PLAIN[: glance(PLAIN, whole=True).header_bytes]
        while True:
            yield b"\x29\x00\x10\x10LO\x08\x00abcdefgh" * 1000

    with pytest.raises(CannotEdit, match="header_too_large"):
        b"".join(edited(blocks(), rename))


def test_another_encoding_of_the_same_says_the_same() -> None:
    out = io.BytesIO()
    other = read(PLAIN)
    other.file_meta.ImplementationVersionName = "ANOTHER"
    other.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2"
    pydicom.dcmwrite(out, other, implicit_vr=True, enforce_file_format=True)
    ours, theirs = read_content(iter([PLAIN])), read_content(cut(out.getvalue(), 777))
    assert out.getvalue() != PLAIN
    assert ours.same(theirs)


@pytest.mark.parametrize("other", [an_instance(1, frames=2).data, an_instance(9, frames=3).data])
def test_another_image_does_not_say_the_same(other: bytes) -> None:
    assert not read_content(iter([PLAIN])).same(read_content(iter([other])))
    assert ExplicitVRLittleEndian == read(other).file_meta.TransferSyntaxUID


def private_of(file: bytes) -> dict[int, bytes]:
    """Tag -> the bytes that stand there."""
    dataset = read(file)
    tags = [element.tag for element in read(file) if element.tag.is_private]
    return {int(tag): dataset.get_item(tag).value or b"" for tag in tags}


def number(dataset: Dataset) -> None:
    dataset.PatientID = "77"


def test_makers_elements_without_a_vr_pass_byte_by_byte() -> None:
    file = in_implicit_vr(MAKERS)
    made = b"".join(edited([file], number))
    assert read(made).PatientID == "77"
    assert len(private_of(file)) > 50
    assert private_of(made) == private_of(file) == private_of(MAKERS)


@pytest.mark.parametrize("size", [700, 10**6])
def test_a_makers_sequence_whose_vrs_nobody_knew_passes_whole(size: int) -> None:
    """PS3.5 6.2.2: within UN of undefined length no VR is written."""
    file = with_unknown_sequence(MAKERS)
    made = read(b"".join(edited(cut(file, size), number)))
    inner = made[0x00091199].value[0]
    assert inner[0x00091001].value == b"a maker's own "
    assert inner.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == "1.2.3"
    assert made.PixelData == read(MAKERS).PixelData


def test_the_identity_behind_such_a_sequence_is_read() -> None:
    known = identify(MAKERS, whole=True)
    found = identify(with_unknown_sequence(MAKERS), whole=True)
    assert (found.sop_instance_uid, found.study_uid) == (known.sop_instance_uid, known.study_uid)
