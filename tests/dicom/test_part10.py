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

from gateway.dicom.part10 import (
    DEPTH_LIMIT,
    LengthCheck,
    MoreBytesNeeded,
    NotUnderstood,
    dataset_start,
    identify,
    patient_of,
    with_preamble,
)
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
    """H74, E25"""
    with pytest.raises(NotUnderstood) as caught:
        fields(file_of(DeflatedExplicitVRLittleEndian))
    assert caught.value.identity is not None
    assert caught.value.identity.transfer_syntax == DeflatedExplicitVRLittleEndian


def test_deep_nesting_is_refused() -> None:
    """H75, E26"""
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


def undefined_lengths(syntax: str) -> bytes:
    """A file whose sequence and item have no length."""
    item = Dataset()
    item.is_undefined_length_sequence_item = True
    item.ReferencedSOPInstanceUID = "9.9.9"
    sequence = Sequence([item])
    sequence.is_undefined_length = True
    return file_of(syntax, ReferencedStudySequence=sequence)


def adds_up(data: bytes, step: int) -> bool:
    check = LengthCheck(identify(data, whole=True))
    for at in range(0, len(data), step):
        check.feed(data[at : at + step])
    return check.adds_up


@pytest.mark.parametrize("step", [1, 7, 64, 10_000])
@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian]
)
def test_the_elements_of_a_whole_file_add_up_however_its_bytes_come(syntax: str, step: int) -> None:
    assert adds_up(file_of(syntax, BitsAllocated=8, PixelData=bytes(4000)), step)


@pytest.mark.parametrize("step", [1, 7, 10_000])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_undefined_lengths_add_up_when_they_are_closed(syntax: str, step: int) -> None:
    assert adds_up(undefined_lengths(syntax), step)


def nested(depth: int, defined: bool, explicit: bool, group: int = 0x0040) -> bytes:
    """Sequences within sequences, as bytes: pydicom would take gigabytes for them."""
    inner = b""
    for _ in range(depth):
        size = len(inner) if defined else 0xFFFFFFFF
        end = b"" if defined else struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
        item = struct.pack("<HHI", 0xFFFE, 0xE000, size) + inner + end
        size = len(item) if defined else 0xFFFFFFFF
        end = b"" if defined else struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
        vr = b"SQ\0\0" if explicit else b""
        inner = struct.pack("<HH", group, 0x1115) + vr + struct.pack("<I", size) + item + end
    return inner


@pytest.mark.parametrize("step", [1, 64, 100_000])
@pytest.mark.parametrize("defined", [True, False], ids=["with lengths", "with delimiters"])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
@pytest.mark.parametrize(
    ("where", "group"), [(0x0010, 0x0008), (0x7FE0, 0x0040)], ids=["before the UIDs", "behind them"]
)
def test_a_nesting_that_is_too_deep_is_seen_before_its_end(
    syntax: str, defined: bool, step: int, where: int, group: int
) -> None:
    """H75"""
    file = file_of(syntax, BitsAllocated=8, PixelData=bytes(4000))
    at = file.index(struct.pack("<HH", where, 0x0010))
    for depth in (32, 33, 500):
        explicit = syntax == ExplicitVRLittleEndian
        data = file[:at] + nested(depth, defined, explicit, group) + file[at:]
        try:
            check = LengthCheck(identify(data, whole=True))
        except NotUnderstood:
            assert depth > 32
            continue
        for begin in range(0, len(data), step):
            check.feed(data[begin : begin + step])
        assert (check.unsafe, check.adds_up) == (depth > 32, depth <= 32)


def test_fragments_of_pixels_are_no_elements() -> None:
    noise = struct.pack("<HHI", 0xFFFE, 0xE000, 4) * 100
    fragment = struct.pack("<HHI", 0xFFFE, 0xE000, len(noise)) + noise
    file = file_of(BitsAllocated=8, PixelData=bytes(4000))
    at = file.index(struct.pack("<HH", 0x7FE0, 0x0010))
    head = struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF)
    end = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    assert adds_up(
        file[:at] + head + fragment[:8].replace(fragment[4:8], bytes(4)) + fragment + end, 64
    )


ITEM_OF_4 = struct.pack("<HHI", 0xFFFE, 0xE000, 4) + bytes(4)
OPEN_ITEM = struct.pack("<HHIHHI", 0xFFFE, 0xE000, 0xFFFFFFFF, 0xFFFE, 0xE00D, 0)


@pytest.mark.parametrize(
    ("element", "sound"),
    [
        pytest.param(ITEM_OF_4, False, id="an item outside of a sequence"),
        pytest.param(OPEN_ITEM, False, id="an open item outside of a sequence"),
        pytest.param(
            struct.pack("<HH2sHIHH2sH", 0x29, 0x10, b"SQ", 0, 8, 0x29, 0x11, b"LO", 0),
            False,
            id="a sequence without items",
        ),
        pytest.param(struct.pack("<HH2sH2s", 0x29, 0x10, b"ZZ", 2, b"ab"), False, id="a short ZZ"),
        pytest.param(
            struct.pack("<HH2sHI2s", 0x29, 0x10, b"ZZ", 0, 2, b"ab"), True, id="a long ZZ"
        ),
        pytest.param(struct.pack("<HH2sH2s", 0x29, 0x10, b"??", 2, b"ab"), True, id="no VR"),
    ],
)
def test_elements_are_read_as_sites_read_them(element: bytes, sound: bool) -> None:
    """H77; measured on Orthanc 1.10.1 and 1.12.7"""
    file = file_of(PixelData=bytes(4000), BitsAllocated=8)
    at = file.index(struct.pack("<HH", 0x7FE0, 0x0010))
    assert adds_up(file[:at] + element + file[at:], 64) is sound


TWICE = {
    0x00080016: ("UI", b"1.2.840.1\0"),
    0x00080018: ("UI", b"9.8.7\0"),
    0x0020000D: ("UI", b"9.8\0"),
    0x0020000E: ("UI", b"9.8.6\0"),
    0x00100010: ("PN", b"Other^Name"),
    0x00100020: ("LO", b"OTHER "),
    0x00100021: ("LO", b"ISSUER"),
    0x00100030: ("DA", b"19330101"),
}


@pytest.mark.parametrize("length", [8, 2000], ids=["short", "long"])
@pytest.mark.parametrize("tag", TWICE, ids=lambda tag: f"{tag:08X}")
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_whose_a_file_is_is_said_once(syntax: str, tag: int, length: int) -> None:
    """F20, H83: Orthanc believes the first of two, wherever they stand, and others the last."""
    vr, value = TWICE[tag]
    value = value.ljust(length, b" ") if vr in ("PN", "LO") else value
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF)
    size = struct.pack("<I", len(value))
    one = head + (vr.encode() + size[:2] if syntax == ExplicitVRLittleEndian else size) + value
    file = file_of(
        syntax, PatientID="1", IssuerOfPatientID="2", PatientBirthDate="19700101",
        BitsAllocated=8, PixelData=bytes(4000),
    )  # fmt: skip
    begin = dataset_start(file)
    for at in (file.index(head, begin), file.index(struct.pack("<HH", 0x0020, 0x0013), begin)):
        with pytest.raises(NotUnderstood):
            identify(file[:at] + one + file[at:], whole=True)
    at = file.index(struct.pack("<HH", 0x7FE0, 0x0010), begin)
    data = file[:at] + one + file[at:]
    for step in (1, 64, 10_000):
        check = LengthCheck(identify(data, whole=True))
        for start in range(0, len(data), step):
            check.feed(data[start : start + step])
        assert (check.unsafe, check.adds_up) == (True, False)


OPEN_IN_8 = struct.pack("<HH2sHIHHI", 0x10, 0x1002, b"SQ", 0, 8, 0xFFFE, 0xE000, 0xFFFFFFFF)
LONG_IN_8 = struct.pack("<HH2sHIHHI", 0x10, 0x1002, b"SQ", 0, 8, 0xFFFE, 0xE000, 200)


@pytest.mark.parametrize("step", [1, 64, 10_000])
@pytest.mark.parametrize("begun", [OPEN_IN_8, LONG_IN_8], ids=["an open item", "a long item"])
def test_uids_that_lie_within_a_sequence_for_a_site_are_none(begun: bytes, step: int) -> None:
    """F20, H83: measured, Orthanc took the study that followed, and its answer said refused."""
    file = file_of(PatientID="1")
    begin = dataset_start(file)
    study, after = (file.index(struct.pack("<HH", 0x20, tag), begin) for tag in (0x000D, 0x0013))
    end = struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
    hidden = file[study:after].replace(b"1.2.3", b"9.2.3")
    data = file[:study] + begun + file[study:after] + end + hidden + file[after:]
    check = LengthCheck(identify(data, whole=True))
    for start in range(0, len(data), step):
        check.feed(data[start : start + step])
    assert check.unsafe


def test_an_item_may_say_whose_another_instance_is() -> None:
    item = Dataset()
    item.SOPInstanceUID, item.PatientID = "9.9.9", "OTHER"
    assert adds_up(file_of(ReferencedImageSequence=Sequence([item])), 64)
    assert adds_up(file_of(SourceImageSequence=Sequence([item])), 64)


def test_two_transfer_syntaxes_are_none() -> None:
    file = file_of()
    at = file.index(b"\x02\x00\x10\x00UI")
    with pytest.raises(NotUnderstood):
        identify(file[:at] + file[at : at + 28] + file[at:], whole=True)


@pytest.mark.parametrize("missing", [1, 3999, 4003])
def test_a_file_that_was_cut_does_not_add_up(missing: int) -> None:
    """H76, E27"""
    assert not adds_up(file_of(BitsAllocated=8, PixelData=bytes(4000))[:-missing], 512)


def test_a_length_beyond_the_end_does_not_add_up() -> None:
    """H76"""
    data = file_of(BitsAllocated=8, PixelData=bytes(4000))
    at = data.index(struct.pack("<HH", 0x7FE0, 0x0010)) + 8
    lying = data[:at] + struct.pack("<I", 0xFFFFFFF0) + data[at + 4 :]
    assert not adds_up(lying, 512)


def test_encapsulated_frames_add_up() -> None:
    frames = struct.pack("<HHI", 0xFFFE, 0xE000, 0) + struct.pack("<HHI", 0xFFFE, 0xE000, 4)
    end = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    head = struct.pack("<HH", 0x7FE0, 0x0010) + b"OB\0\0" + b"\xff" * 4
    whole = file_of() + head + frames + b"\0\1\2\3" + end
    assert (adds_up(whole, 5), adds_up(whole[: -len(end)], 5)) == (True, False)


@given(st.integers(132, 500), st.binary(min_size=1, max_size=8), st.integers(1, 600))
def test_the_check_of_lengths_never_raises(at: int, damage: bytes, step: int) -> None:
    data = bytearray(file_of())
    data[at : at + len(damage)] = damage
    try:
        assert adds_up(bytes(data), step) in (True, False)
    except NotUnderstood:
        return


@pytest.mark.parametrize("left_out", [128, 132], ids=["no preamble", "neither preamble nor mark"])
def test_a_preamble_that_was_left_out_is_put_back(left_out: int) -> None:
    assert with_preamble(file_of()[left_out:]) == file_of()


@pytest.mark.parametrize("data", [file_of(), b"", b"garbage" * 40, b"MZ" + file_of()[2:]])
def test_nothing_else_is_changed(data: bytes) -> None:
    assert with_preamble(data) == data


def with_value(data: bytes, number: int, vr: bytes, value: bytes) -> bytes:
    """The file with other bytes in the first element (gggg,number) of that VR."""
    at = data.index(struct.pack("<H2s", number, vr)) + 4
    (length,) = struct.unpack_from("<H", data, at)
    value += b" " * (len(value) % 2)
    return data[:at] + struct.pack("<H", len(value)) + value + data[at + 2 + length :]


@pytest.mark.parametrize(
    ("charset", "encoding"),
    [
        ("ISO_IR 192", "utf-8"),
        ("ISO_IR 144", "iso8859_5"),
        ("\\ISO 2022 IR 144", "iso8859_5"),
        ("ISO_IR 144", "cp1251"),
        ("", "cp1251"),
        ("ISO_IR 192", "cp1251"),
        ("ISO_IR 100", "utf-8"),
        ("NO_SUCH", "utf-8"),
    ],
)
def test_the_patient_is_told_in_whatever_alphabet(charset: str, encoding: str) -> None:
    """H79: a wrong character set is no reason not to know whose an image is."""
    name = "Иванов^Пётр".encode(encoding)
    if "2022" in charset:
        name = b"^".join(b"\x1b-L" + word for word in name.split(b"^"))
    raw = with_value(file_of(PatientBirthDate="19700101"), 0x0010, b"PN", name)
    raw = with_value(raw, 0x0005, b"CS", charset.encode())
    patient = patient_of(identify(raw, whole=True))
    assert patient["00100010"]["Value"] == [{"Alphabetic": "Иванов^Пётр"}]
    assert patient["00100030"] == {"vr": "DA", "Value": ["19700101"]}


def test_the_walk_ends_at_the_first_element_after_the_uids() -> None:
    data = file_of()
    at = identify(data, whole=True).known_to
    assert data[at:].startswith(struct.pack("<HH", 0x0020, 0x0013))


@pytest.mark.parametrize("data", [file_of(), file_of(ImplicitVRLittleEndian)])
def test_the_data_set_begins_after_the_file_meta_information(data: bytes) -> None:
    assert data[dataset_start(data) :].startswith(struct.pack("<HH", 0x0008, 0x0005))
    assert dataset_start(data[:140]) == dataset_start(b"garbage" * 40) == 0
