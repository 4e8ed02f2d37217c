"""What a reader cannot take is left out of a row, and nothing else."""

import math

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dicom.soundness import LONGEST_TEXT, keep_sound

SOUND = {
    "a date": {"vr": "DA", "Value": ["20240105"]},
    "a date of ACR-NEMA": {"vr": "DA", "Value": ["2024.01.05"]},
    "an empty date": {"vr": "DA", "Value": [""]},
    "a time of an hour": {"vr": "TM", "Value": ["10"]},
    "a moment with an offset": {"vr": "DT", "Value": ["20240105101530.5+0500"]},
    "a number": {"vr": "IS", "Value": [512]},
    "a number as text": {"vr": "IS", "Value": [" 512 "]},
    "a decimal as text": {"vr": "DS", "Value": ["1e-3", None]},
    "a large number": {"vr": "UV", "Value": [2**64 - 1]},
    "no value": {"vr": "SH"},
    "a null": {"vr": "SH", "Value": None},
    "a Russian text": {"vr": "LO", "Value": ["КТ ОГК"]},
    "a long text": {"vr": "LT", "Value": ["я" * LONGEST_TEXT]},
    "a name": {"vr": "PN", "Value": [{"Alphabetic": "Иванов^Пётр", "Ideographic": None}]},
    "a name as text": {"vr": "PN", "Value": ["IVANOV"]},
    "bulk data": {"vr": "OB", "BulkDataURI": "http://here/bulk"},
    "an item": {"vr": "SQ", "Value": [{"00080060": {"vr": "CS", "Value": ["CT"]}}]},
}
UNSOUND = {
    "a day that is none": {"vr": "DA", "Value": ["20260230"]},
    "a range": {"vr": "DA", "Value": ["20260101-20260102"]},
    "words": {"vr": "DA", "Value": ["вчера"]},
    "an hour that is none": {"vr": "TM", "Value": ["25"]},
    "not a number": {"vr": "DS", "Value": [math.nan]},
    "not a number as text": {"vr": "DS", "Value": ["NaN"]},
    "without end": {"vr": "FD", "Value": [-math.inf]},
    "beyond 32 bits": {"vr": "IS", "Value": [2**31]},
    "beyond 32 bits as text": {"vr": "IS", "Value": ["1", "-2147483649"]},
    "400 digits": {"vr": "IS", "Value": ["9" * 400]},
    "beyond 64 bits": {"vr": "UN", "Value": [10**30]},
    "bytes that are a number": {"vr": "UI", "Value": ["1.2"], "InlineBinary": 10**30},
    "64 KB": {"vr": "LO", "Value": ["x" * 65_536]},
    "half a pair": {"vr": "PN", "Value": [{"Alphabetic": "I\ud800"}]},
    "no list": {"vr": "CS", "Value": "CT"},
    "a list in a list": {"vr": "CS", "Value": [["CT"]]},
    "a VR that is none": {"vr": ["CS"], "Value": ["CT"]},
    "no element": "CT",
    "inside of an item": {"vr": "SQ", "Value": [{"00200013": {"vr": "IS", "Value": [10**12]}}]},
}


@pytest.mark.parametrize("element", SOUND.values(), ids=list(SOUND))
def test_what_can_be_read_stays(element):
    row = {"00080060": element}
    assert keep_sound([row]) == ([row], [])


@pytest.mark.parametrize("element", UNSOUND.values(), ids=list(UNSOUND))
def test_what_cannot_be_read_is_left_out_and_named(element):
    rest = {"0020000D": {"vr": "UI", "Value": ["1.2"]}}
    rows, names = keep_sound([{"00080060": element} | rest, rest])
    assert (rows, names) == ([rest, rest], ["Modality"])


def test_items_are_read_to_a_depth():
    """A hostile site nests them: neither the stack nor a viewer should meet its end there."""
    element = {"vr": "SQ", "Value": []}
    for _ in range(5000):
        element = {"vr": "SQ", "Value": [{"00400275": element}]}
    assert keep_sound([{"00400275": element}]) == ([{}], ["RequestAttributesSequence"])


leaves = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=9)
)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)
elements = values | st.fixed_dictionaries(
    {"vr": st.sampled_from(["DA", "TM", "DT", "IS", "DS", "UN", "PN", "SQ", "LO"]) | values},
    optional={"Value": st.lists(values, max_size=3) | values, "InlineBinary": values},
)


@given(st.dictionaries(st.sampled_from(["00080020", "00100010", "00400275"]), elements))
def test_whatever_a_site_sends_what_is_kept_can_be_written_and_is_sound(row):
    rows, _ = keep_sound([row])
    orjson.dumps(rows)
    assert keep_sound(rows) == (rows, [])
