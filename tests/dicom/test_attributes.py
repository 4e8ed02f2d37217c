"""The DICOM JSON model: names, reading dirty values, rewriting addresses."""

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dicom.attributes import (
    DEFAULT_ATTRIBUTES,
    Level,
    belongs,
    integer,
    keyword_of,
    level_of,
    make,
    rewrite_uris,
    tag_of,
    text,
    values,
    vr_of,
)

JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
TAGS = st.sampled_from(["00100010", "00080020", "00080061", "00200013", "00081190", "00400275"])
DIRTY = st.dictionaries(
    TAGS,
    JUNK
    | st.fixed_dictionaries(
        {"vr": st.sampled_from(["PN", "DA", "CS", "IS", "UR", "SQ"])},
        optional={"Value": JUNK | st.lists(JUNK, max_size=3), "BulkDataURI": JUNK},
    ),
)


@pytest.mark.parametrize(
    ("name", "tag"),
    [
        ("StudyInstanceUID", "0020000D"),
        ("0020000d", "0020000D"),
        ("0020000D", "0020000D"),
        ("00091001", "00091001"),
        ("0010,0020", None),
        ("GGGGEEEE", None),
        ("studyinstanceuid", None),
        ("", None),
        ("٠٠١٠٠٠٢٠", None),
        ("0x100010", None),
    ],
)
def test_a_name_is_a_keyword_or_eight_hexadecimal_digits(name, tag):
    assert tag_of(name) == tag


def test_dictionary_is_asked_for_keyword_and_vr():
    assert (keyword_of("00100010"), vr_of("00100010")) == ("PatientName", "PN")
    assert (keyword_of("00091001"), vr_of("00091001")) == ("00091001", "UN")
    assert vr_of("00280106") == "US"  # "US or SS"


@given(st.text(max_size=12))
def test_tag_of_is_total_and_stable(name):
    tag = tag_of(name)
    assert tag is None or tag_of(tag) == tag


def test_values_are_read_by_keyword_or_tag():
    dataset = {
        "00080061": make("ModalitiesInStudy", "CT", "SR"),
        "00100010": make("PatientName", " ИВАНОВ^ПЁТР "),
        "00200013": make("InstanceNumber", 7),
    }
    assert values(dataset, "ModalitiesInStudy") == ["CT", "SR"]
    assert values(dataset, "00080061") == ["CT", "SR"]
    assert text(dataset, "PatientName") == "ИВАНОВ^ПЁТР"
    assert text(dataset, "InstanceNumber") == "7"
    assert integer(dataset, "InstanceNumber") == 7
    assert (values(dataset, "StudyID"), text(dataset, "StudyID")) == ([], "")
    assert integer(dataset, "SeriesNumber") is None


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("12", 12), (" 12 ", 12), ("-3", -3), (5.0, 5), ("1.0", 1), ("1.5", None), ("", None),
        ("abc", None), (None, None), ("9" * 400, None), (float("nan"), None), ("١", None),
        ({"Alphabetic": "1"}, None), ([1], None),
    ],
)  # fmt: skip
def test_a_dirty_number_is_none(value, number):
    assert integer({"00200013": {"vr": "IS", "Value": [value]}}, "InstanceNumber") == number


@given(DIRTY)
def test_reading_never_raises_on_dirty_data(dataset):
    for tag in dataset:
        assert isinstance(values(dataset, tag), list)
        assert isinstance(text(dataset, tag), str)
        assert integer(dataset, tag) is None or isinstance(integer(dataset, tag), int)


def test_make_wraps_names_and_leaves_out_an_empty_value():
    assert make("PatientName", "A^B") == {"vr": "PN", "Value": [{"Alphabetic": "A^B"}]}
    assert make("PatientName", {"Ideographic": "山"}) == {
        "vr": "PN",
        "Value": [{"Ideographic": "山"}],
    }
    assert make("ModalitiesInStudy") == {"vr": "CS"}
    assert make("00201208", 3) == {"vr": "IS", "Value": [3]}


def test_addresses_are_rewritten_at_every_depth_and_nothing_else_is():
    url = "http://inner:8042/dicom-web/studies/1.2"
    dataset = {
        "00081190": {"vr": "UR", "Value": [url]},
        "00081030": {"vr": "LO", "Value": [url]},
        "7FE00010": {"vr": "OW", "BulkDataURI": url},
        "0040A730": {
            "vr": "SQ",
            "Value": [
                {
                    "0040e010": {"vr": "UR", "Value": [url]},
                    "00081199": {"vr": "SQ", "Value": [{"00081190": {"vr": "UR", "Value": [url]}}]},
                    "00420011": {"vr": "OB", "BulkDataURI": url},
                }
            ],
        },
    }
    before = copy.deepcopy(dataset)
    rewrite_uris([dataset], lambda found: found.replace("inner:8042", "region"))
    expected = json.dumps(before).replace("inner:8042", "region")
    expected = expected.replace(
        '"00081030": {"vr": "LO", "Value": ["http://region',
        '"00081030": {"vr": "LO", "Value": ["http://inner:8042',
    )
    assert dataset == json.loads(expected)


def test_a_thousand_nested_sequences_are_no_problem():
    dataset = {"7FE00010": {"vr": "OW", "BulkDataURI": "a"}}
    innermost = dataset
    for _ in range(5000):
        dataset = {"0040A730": {"vr": "SQ", "Value": [dataset]}}
    rewrite_uris(dataset, str.upper)
    assert innermost == {"7FE00010": {"vr": "OW", "BulkDataURI": "A"}}


@given(DIRTY)
def test_rewriting_with_the_same_address_changes_nothing(dataset):
    before = repr(dataset)
    rewrite_uris(dataset, lambda found: found)
    assert repr(dataset) == before


def test_levels_of_attributes():
    assert level_of(tag_of("StudyDate")) is Level.STUDY
    assert level_of(tag_of("Modality")) is Level.SERIES
    assert level_of(tag_of("SOPInstanceUID")) is Level.INSTANCE
    assert level_of(tag_of("Rows")) is Level.INSTANCE
    assert belongs(tag_of("Modality"), Level.INSTANCE)
    assert not belongs(tag_of("Modality"), Level.STUDY)


@pytest.mark.parametrize("level", list(Level))
def test_default_attributes_belong_to_their_level(level):
    assert [tag for tag in DEFAULT_ATTRIBUTES[level] if not belongs(tag, level)] == []
    assert len(set(DEFAULT_ATTRIBUTES[level])) == len(DEFAULT_ATTRIBUTES[level])
