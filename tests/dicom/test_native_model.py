"""The Native DICOM Model says what the DICOM JSON Model says: read back by another reader."""

import xml.etree.ElementTree as ET
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dicom.native_model import NAMESPACE, from_xml, to_xml
from gateway.errors import BadRequest
from tests.dicom.test_attributes import JUNK

NAME = f"{{{NAMESPACE}}}"
LETTERS = st.text(
    # What XML 1.0 can carry; names and their components without their separators.
    st.characters(codec="utf-8", min_codepoint=0x20, exclude_characters="^=\ufffe\uffff"),
    max_size=12,
)


def read(document: bytes) -> dict[str, Any]:
    """The document as DICOM JSON, by PS3.18 Table F.3.1-1 and PS3.19 A.1.5, not by our writer."""
    root = ET.fromstring(document)
    assert root.tag == f"{NAME}NativeDicomModel"
    return dataset_of(root)


def dataset_of(parent: ET.Element) -> dict[str, Any]:
    return {
        attribute.attrib["tag"]: element_of(attribute)
        for attribute in parent.findall(f"{NAME}DicomAttribute")
    }


def element_of(attribute: ET.Element) -> dict[str, Any]:
    found: dict[str, Any] = {"vr": attribute.attrib["vr"]}
    values = []
    for number, child in enumerate(attribute, 1):
        kind = child.tag.removeprefix(NAME)
        if kind == "BulkData":
            return {**found, "BulkDataURI": child.attrib["uri"]}
        if kind == "InlineBinary":
            return {**found, "InlineBinary": child.text or ""}
        assert child.attrib["number"] == str(number)
        if kind == "Item":
            values.append(dataset_of(child))
        elif kind == "PersonName":
            values.append(name_of(child))
        else:
            assert kind == "Value"
            values.append(child.text or "")
    return {**found, "Value": values} if values else found


def name_of(name: ET.Element) -> dict[str, str]:
    order = ["FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix"]
    return {
        group.tag.removeprefix(NAME): "^".join(
            group.findtext(NAME + part) or "" for part in order
        ).rstrip("^")
        for group in name
    }


TEXTS = st.lists(LETTERS | st.just("line\r\nand\ttab"), min_size=1, max_size=3)
PERSON = st.dictionaries(
    st.sampled_from(["Alphabetic", "Ideographic", "Phonetic"]),
    st.lists(LETTERS, min_size=1, max_size=5).map(lambda parts: "^".join(parts).rstrip("^")),
)
LEAVES: dict[str, Any] = {
    "00080050": st.fixed_dictionaries({"vr": st.just("SH"), "Value": TEXTS}),
    "00081030": st.fixed_dictionaries({"vr": st.just("LO"), "Value": TEXTS}),
    "00100010": st.fixed_dictionaries(
        {"vr": st.just("PN"), "Value": st.lists(PERSON, min_size=1, max_size=2)}
    ),
    "00091001": st.fixed_dictionaries({"vr": st.just("UN"), "Value": TEXTS}),
    "00090010": st.fixed_dictionaries({"vr": st.just("LO"), "Value": TEXTS.map(lambda v: v[:1])}),
    "00081190": st.just({"vr": "UR"}),
    "00420011": st.fixed_dictionaries({"vr": st.just("OB"), "InlineBinary": st.just("AQI=")}),
    "7FE00010": st.fixed_dictionaries({"vr": st.just("OW"), "BulkDataURI": LETTERS}),
}
DATASETS = st.recursive(
    st.fixed_dictionaries({}, optional=LEAVES),
    lambda inner: st.fixed_dictionaries(
        {
            "00400275": st.fixed_dictionaries(
                {"vr": st.just("SQ"), "Value": st.lists(inner, min_size=1, max_size=3)}
            )
        },
        optional=LEAVES,
    ),
    max_leaves=8,
)


@given(DATASETS)
def test_a_reader_gets_back_what_was_written(dataset):
    assert read(to_xml(dataset)) == dataset


def test_a_study_is_written_as_the_standard_writes_it():
    document = to_xml(
        {
            "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Иванов^Пётр^Ильич"}]},
            "00080061": {"vr": "CS", "Value": ["CT", "SR"]},
            "00090010": {"vr": "LO", "Value": ['ACME "1"']},
            "00091002": {"vr": "UN", "InlineBinary": "AQI="},
        }
    ).decode()
    assert document == (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<NativeDicomModel xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM"'
        ' xml:space="preserve">'
        '<DicomAttribute tag="00080061" vr="CS" keyword="ModalitiesInStudy">'
        '<Value number="1">CT</Value><Value number="2">SR</Value></DicomAttribute>'
        '<DicomAttribute tag="00090010" vr="LO"><Value number="1">ACME &quot;1&quot;</Value>'
        "</DicomAttribute>"
        '<DicomAttribute tag="00091002" vr="UN" privateCreator="ACME &quot;1&quot;">'
        "<InlineBinary>AQI=</InlineBinary></DicomAttribute>"
        '<DicomAttribute tag="00100010" vr="PN" keyword="PatientName"><PersonName number="1">'
        "<Alphabetic><FamilyName>Иванов</FamilyName><GivenName>Пётр</GivenName>"
        "<MiddleName>Ильич</MiddleName></Alphabetic></PersonName></DicomAttribute>"
        "</NativeDicomModel>"
    )


@pytest.mark.parametrize(
    "letter", [*map(chr, range(0x20)), "\x7f", "\ud800", "\ufffe", "\uffff"], ids=ascii
)
def test_a_letter_that_xml_forbids_is_shown_as_replaced(letter):
    written = read(to_xml({"00081030": {"vr": "LO", "Value": [f"a{letter}b"]}}))
    kept = letter if letter in "\t\n\r\x7f" else "\ufffd"
    assert written["00081030"]["Value"] == [f"a{kept}b"]


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (["a", None, "c"], ["a", "", "c"]),
        ([None], [""]),
        ([1, 2.5, -3], ["1", "2.5", "-3"]),
        ([{"Alphabetic": "not a name"}], [""]),
    ],
    ids=["a gap keeps its number", "only a gap", "numbers", "a dict where none belongs"],
)
def test_values_keep_their_places(value, written):
    found = read(to_xml({"00081030": {"vr": "LO", "Value": value}}))
    assert found["00081030"]["Value"] == written


def test_a_name_given_as_text_is_a_name():
    found = read(to_xml({"00100010": {"vr": "PN", "Value": ["Yamada^Tarou=山田^太郎"]}}))
    assert found["00100010"]["Value"] == [
        {"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎"}
    ]


def test_a_deep_sequence_needs_no_recursion():
    dataset: dict[str, Any] = {}
    for _ in range(5000):
        dataset = {"00400275": {"vr": "SQ", "Value": [dataset]}}
    assert to_xml(dataset).count(b"<Item ") == 5000


@given(st.dictionaries(st.sampled_from(["00100010", "00091001", "0040", "ZZZZZZZZ"]), JUNK))
def test_what_is_no_dataset_is_still_well_formed(dataset):
    ET.fromstring(to_xml(dataset))


def test_what_was_written_is_read_back() -> None:
    dataset = {
        "00080005": {"vr": "CS", "Value": ["ISO_IR 192"]},
        "00080008": {"vr": "CS", "Value": ["ORIGINAL", None, "AXIAL"]},
        "00100010": {
            "vr": "PN",
            "Value": [{"Alphabetic": "Иванов^Пётр^Ильич", "Ideographic": "山田"}],
        },
        "00100020": {"vr": "LO", "Value": ["<&> \t x"]},
        "00104000": {"vr": "LT"},
        "00400275": {
            "vr": "SQ",
            "Value": [{"00400009": {"vr": "SH", "Value": ["S1"]}}, {}],
        },
        "00091010": {"vr": "OB", "InlineBinary": "AQID"},
        "7FE00010": {"vr": "OW", "BulkDataURI": "pixels"},
    }
    assert from_xml(to_xml(dataset)) == dataset


def test_a_number_of_a_thousand_digits_is_none() -> None:
    value = b'<Value number="' + b"9" * 5000 + b'">a</Value>'
    attribute = b'<DicomAttribute tag="00100020" vr="LO">' + value + b"</DicomAttribute>"
    found = from_xml(b"<NativeDicomModel>" + attribute + b"</NativeDicomModel>")
    assert found == {"00100020": {"vr": "LO", "Value": ["a"]}}


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"<a", id="no XML"),
        pytest.param(b"<html/>", id="another document"),
        pytest.param(b"<NativeDicomModel><b/></NativeDicomModel>", id="another element"),
        pytest.param(
            b'<NativeDicomModel><DicomAttribute tag="1" vr="LO"/></NativeDicomModel>', id="no tag"
        ),
        pytest.param(
            b'<NativeDicomModel><DicomAttribute tag="00100020" vr="LO"><b/></DicomAttribute>'
            b"</NativeDicomModel>",
            id="no value",
        ),
        pytest.param(
            b'<!DOCTYPE a [<!ENTITY x "y">]><NativeDicomModel>&x;</NativeDicomModel>', id="entities"
        ),
        pytest.param(
            b"<!DOCTYPE a [<!ENTITY a 'aaaaaaaaaa'>"
            + b"".join(b"<!ENTITY a%d '%s'>" % (n, b"&a;" * 10) for n in range(9))
            + b"]><NativeDicomModel>&a8;</NativeDicomModel>",
            id="a billion laughs",
        ),
        pytest.param(
            b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
            b"<NativeDicomModel>&x;</NativeDicomModel>",
            id="a file of ours",
        ),
        pytest.param(
            b'<!DOCTYPE a SYSTEM "http://127.0.0.1:9/a.dtd"><NativeDicomModel/>',
            id="from elsewhere",
        ),
        pytest.param(b'<?xml version="1.0" encoding="no-such"?><NativeDicomModel/>', id="no code"),
        pytest.param(b'<?xml version="1.0" encoding="hex"?><NativeDicomModel/>', id="no letters"),
        pytest.param(
            b"<NativeDicomModel>"
            + b'<DicomAttribute tag="00100020" vr="LO"/>' * 2
            + b"</NativeDicomModel>",
            id="an attribute twice",
        ),
        pytest.param(
            b"<NativeDicomModel>"
            + b'<DicomAttribute tag="00081115" vr="SQ"><Item number="1">' * 40
            + b"</Item></DicomAttribute>" * 40
            + b"</NativeDicomModel>",
            id="nested deeply",
        ),
    ],
)
def test_other_xml_is_refused(document: bytes) -> None:
    with pytest.raises(BadRequest):
        from_xml(document)
