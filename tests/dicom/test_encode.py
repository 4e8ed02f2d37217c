"""A dataset of JSON becomes a file that pydicom reads back as the same dataset."""

import io
import json
import math
import struct

import orjson
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from gateway.dicom.encode import Bulk, CannotEncode, encode, file_meta
from gateway.dicom.part10 import DEPTH_LIMIT, LengthCheck, identify

EXPLICIT = "1.2.840.10008.1.2.1"
UIDS = {
    "00080016": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.7"]},
    "00080018": {"vr": "UI", "Value": ["1.2.3.4"]},
    "0020000D": {"vr": "UI", "Value": ["1.2.3"]},
    "0020000E": {"vr": "UI", "Value": ["1.2.3.1"]},
}


def none_at_all(_uri: str) -> Bulk | None:
    return None


def file_of(dataset: dict, bulk: dict[str, Bulk] | None = None, *parts: bytes) -> bytes:
    pieces = encode(dataset, (bulk or {}).get)
    syntax = next((b.syntax for b in (bulk or {}).values() if b.syntax), EXPLICIT)
    return file_meta(dataset, syntax) + b"".join(
        piece if isinstance(piece, bytes) else parts[piece] for piece in pieces
    )


def read(data: bytes) -> Dataset:
    return pydicom.dcmread(io.BytesIO(data))


def whole(data: bytes) -> bool:
    check = LengthCheck(identify(data, whole=True))
    check.feed(data)
    return check.adds_up


def example() -> Dataset:
    """One of nearly every value representation."""
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID, ds.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", "1.2.3.4"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.3", "1.2.3.1"
    ds.ImageType = ["ORIGINAL", "PRIMARY", ""]
    ds.PatientName = "Иванов^Пётр=山田^太郎=ヤマダ^タロウ"
    ds.PatientID, ds.PatientAge, ds.PatientBirthDate = "N-1", "055Y", "19700101"
    ds.AcquisitionDateTime, ds.StudyTime = "20260101101010.5+0500", "101010"
    ds.PixelSpacing, ds.InstanceNumber = [0.123456789, 2], 7
    ds.Rows, ds.BitsAllocated = 2, 8
    ds.add_new(0x00189219, "SS", -5)
    ds.add_new(0x00189073, "FD", [math.pi, -1.5])
    ds.add_new(0x00186020, "SL", -70000)
    ds.add_new(0x00186060, "FL", 0.5)
    ds.add_new(0x00280009, "AT", [0x00181063, 0x00181065])
    ds.add_new(0x00091010, "UN", b"\1\2\3\4")
    ds.add_new(0x00090010, "LO", "OUR OWN")
    ds.add_new(0x0040A160, "UT", "Заключение \\ conclusion\r\n" * 4000)
    ds.add_new(0x00080120, "UR", "http://example.org/a")
    item = Dataset()
    item.CodeValue, item.CodeMeaning = "T-1", "лёгкое"
    item.ConceptNameCodeSequence = Sequence([Dataset()])
    ds.ProcedureCodeSequence = Sequence([item, Dataset()])
    ds.ReferencedStudySequence = Sequence([])
    ds.PatientComments = ""
    return ds


def test_every_value_comes_back() -> None:
    before = example()
    data = file_of(orjson.loads(json.dumps(before.to_json_dict())))
    after = read(data)
    assert (after.to_json_dict(), whole(data)) == (before.to_json_dict(), True)


def test_the_file_is_one_that_the_gateway_can_identify() -> None:
    found = identify(file_of(UIDS), whole=True)
    assert (found.sop_instance_uid, found.study_uid, found.transfer_syntax) == (
        "1.2.3.4",
        "1.2.3",
        EXPLICIT,
    )


def test_numbers_keep_all_their_digits_and_may_be_texts() -> None:
    """XML has nothing but texts; FL and FD may hold what is no number (PS3.5 6.2)."""
    given = {
        "00189073": {"vr": "FD", "Value": ["NaN", "-inf", "1.5"]},
        "00289001": {"vr": "UL", "Value": ["5"]},
        "00091010": {"vr": "UV", "Value": [2**64 - 1, str(2**63)]},
        "00091011": {"vr": "SV", "Value": [-(2**63)]},
    }
    found = read(file_of(UIDS | given))
    assert math.isnan(found[0x00189073].value[0])
    assert list(found[0x00189073].value[1:]) == [-math.inf, 1.5]
    whole_numbers = [found[tag].value for tag in (0x00289001, 0x00091010, 0x00091011)]
    assert whole_numbers == [5, [2**64 - 1, 2**63], -(2**63)]


def test_pixels_come_from_their_part() -> None:
    dataset = UIDS | {"7FE00010": {"vr": "OW", "BulkDataURI": "a"}}
    data = file_of(dataset, {"a": Bulk([(0, 5)])}, b"12345")
    assert (read(data).PixelData, whole(data)) == (b"12345\0", True)


def test_compressed_frames_are_encapsulated() -> None:
    dataset = UIDS | {"7fe00010": {"vr": "OW", "BulkDataURI": "a"}}
    bulk = {"a": Bulk([(0, 5), (1, 2)], syntax="1.2.840.10008.1.2.4.50")}
    data = file_of(dataset, bulk, b"12345", b"ab")
    frames = list(pydicom.encaps.generate_frames(read(data).PixelData, number_of_frames=2))
    assert (frames, whole(data)) == ([b"12345\0", b"ab"], True)


def test_bulk_data_may_stand_in_a_sequence() -> None:
    item = {"00282000": {"vr": "OB", "BulkDataURI": "icc"}}
    dataset = UIDS | {"00480105": {"vr": "SQ", "Value": [item]}}
    data = file_of(dataset, {"icc": Bulk([(0, 4)])}, b"icc!")
    assert read(data)[0x00480105].value[0][0x00282000].value == b"icc!"


def test_file_meta_and_group_lengths_of_the_caller_are_left_out() -> None:
    stray = {
        "00020010": {"vr": "UI", "Value": ["1.2.840.10008.1.2"]},
        "00080000": {"vr": "UL", "Value": [99]},
    }
    assert file_of(UIDS | stray) == file_of(UIDS)


@pytest.mark.parametrize(
    "element",
    [
        pytest.param({"0010001": {"vr": "LO"}}, id="a tag of seven digits"),
        pytest.param({"0010+010": {"vr": "LO"}}, id="a tag with a sign"),
        pytest.param({"0X080018": {"vr": "UI", "Value": ["1.2"]}}, id="a tag by another spelling"),
        pytest.param({"٠٠٠٨٠٠١٨": {"vr": "UI", "Value": ["1.2"]}}, id="a tag in other digits"),
        pytest.param({"FFFEE00D": {"vr": "LO"}}, id="an end of an item"),
        pytest.param({"00100010": "x"}, id="no attribute"),
        pytest.param({"00100010": {"vr": "XX"}}, id="an unknown VR"),
        pytest.param({"00100010": {"vr": ["PN"]}}, id="a VR that is no text"),
        pytest.param({"00100010": {"vr": "PN", "Value": [5]}}, id="a name that is a number"),
        pytest.param({"00100010": {"vr": "PN", "Value": [{"Alphabetic": 0}]}}, id="a name of 0"),
        pytest.param({"00100020": {"vr": "LO", "Value": "x"}}, id="a value that is no list"),
        pytest.param({"00100020": {"vr": "LO", "Value": ""}}, id="an empty value that is no list"),
        pytest.param({"00081115": {"vr": "SQ", "Value": 0}}, id="no items that are no list"),
        pytest.param({"00100020": {"vr": "LO", "Value": [{"a": 1}]}}, id="an object as text"),
        pytest.param({"00280010": {"vr": "US", "Value": [70000]}}, id="too large for US"),
        pytest.param({"00280010": {"vr": "US", "Value": [1.5]}}, id="half a row"),
        pytest.param({"00280010": {"vr": "US", "Value": [None]}}, id="a row of nothing"),
        pytest.param({"00280010": {"vr": "US", "Value": [True]}}, id="a true row"),
        pytest.param({"00280010": {"vr": "US", "Value": ["nan"]}}, id="a row that is no number"),
        pytest.param({"00280030": {"vr": "DS", "Value": [True]}}, id="a true decimal"),
        pytest.param({"00280030": {"vr": "DS", "Value": ["1_0"]}}, id="a decimal of Python"),
        pytest.param({"00280030": {"vr": "DS", "Value": ["１"]}}, id="a decimal in other digits"),
        pytest.param({"00200013": {"vr": "IS", "Value": ["1e309"]}}, id="no integer"),
        pytest.param({"00200013": {"vr": "IS", "Value": [2**31]}}, id="too large for IS"),
        pytest.param({"00280030": {"vr": "DS", "Value": ["x"]}}, id="no decimal"),
        pytest.param({"00280030": {"vr": "DS", "Value": ["inf"]}}, id="an infinite decimal"),
        pytest.param({"00280009": {"vr": "AT", "Value": ["zz"]}}, id="no tag"),
        pytest.param({"00091010": {"vr": "OB", "InlineBinary": "*"}}, id="no base64"),
        pytest.param({"00091010": {"vr": "OB", "InlineBinary": 5}}, id="binary that is a number"),
        pytest.param({"00091010": {"vr": "OB", "Value": [1]}}, id="binary as a list"),
        pytest.param({"00204000": {"vr": "LT", "Value": ["a", "b"]}}, id="two long texts"),
        pytest.param({"00102160": {"vr": "SH", "Value": ["x" * 70000]}}, id="a text too long"),
        pytest.param({"00081115": {"vr": "SQ", "Value": [7]}}, id="an item that is a number"),
        pytest.param({"00081115": {"vr": "SQ", "Value": {"a": 1}}}, id="items that are no list"),
        pytest.param({"7FE00010": {"vr": "OW", "BulkDataURI": "http://x"}}, id="bulk elsewhere"),
        pytest.param({"7FE00010": {"vr": "OW", "BulkDataURI": None}}, id="bulk nowhere"),
        pytest.param(
            {"00100020": {"vr": "LO", "Value": ["1"], "InlineBinary": "Mg=="}}, id="two values"
        ),
    ],
)
def test_what_cannot_stand_in_a_file_is_refused(element: dict) -> None:
    with pytest.raises(CannotEncode):
        encode(UIDS | element, none_at_all)


def test_deep_nesting_is_refused() -> None:
    """H75"""
    dataset: dict = {}
    for _ in range(DEPTH_LIMIT + 2):
        dataset = {"00081115": {"vr": "SQ", "Value": [dataset]}}
    with pytest.raises(CannotEncode, match=str(DEPTH_LIMIT)):
        encode(dataset, none_at_all)


@given(st.floats(-1e300, 1e300))
def test_a_decimal_always_fits_and_stays_near(number: float) -> None:
    dataset = {"00280030": {"vr": "DS", "Value": [number]}}
    (data,) = encode(dataset, none_at_all)
    assert isinstance(data, bytes)
    text = data[-struct.unpack_from("<H", data, len(data.split(b"DS")[0]) + 2)[0] :]
    assert len(text) <= 16
    assert math.isclose(float(text), number, rel_tol=1e-8, abs_tol=1e-300)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)
elements = st.dictionaries(
    st.sampled_from(["vr", "Value", "InlineBinary", "BulkDataURI"]),
    json_values | st.sampled_from(["PN", "US", "DS", "SQ", "OB", "AT"]),
)


@given(st.dictionaries(st.sampled_from(["00100010", "00280010", "0040A730", "x"]), elements))
def test_whatever_comes_is_written_or_refused(dataset: dict) -> None:
    try:
        assert encode(dataset, none_at_all)
    except CannotEncode:
        return
