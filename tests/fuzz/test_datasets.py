"""Any bytes where a DICOM file, its XML or a rule set is expected (trust.md H29-H31, H40-H42,
H75-H80): refused by the errors that the doors know, never by another."""

from contextlib import suppress
from functools import cache
from xml.sax.saxutils import escape

from hypothesis import given
from hypothesis import strategies as st
from pydicom.data import get_testdata_file

from gateway.dicom.native_model import from_xml
from gateway.dicom.part10 import LengthCheck, MoreBytesNeeded, NotUnderstood, glance, identify
from gateway.errors import BadRequest
from gateway.model.routing.document import parse_rule_set
from tests.fuzz.words import texts

REAL = ("CT_small.dcm", "MR_small.dcm", "rtplan.dcm", "JPEG2000.dcm",
        "MR_small_bigendian.dcm", "nested_priv_SQ.dcm", "ExplVR_BigEnd.dcm")  # fmt: skip
KEYS = ("rules", "name", "when", "all", "any", "not", "field", "operator", "value", "then",
        "send", "lane", "default", "set", "map", "hold", "drop", "reason", "windows",
        "version")  # fmt: skip
ELEMENTS = (
    'DicomAttribute tag="00100010" vr="PN"', 'DicomAttribute tag="00081140" vr="SQ"',
    'DicomAttribute tag="00280010" vr="US"', 'DicomAttribute tag="zz" vr="??"', "DicomAttribute",
    'Value number="1"', 'Value number="-1"', 'Value number="99999999"', 'Item number="1"',
    'PersonName number="1"', "Alphabetic", "FamilyName", 'BulkData uri="http://evil"', "x",
)  # fmt: skip
HEADS = ("", '<?xml version="1.0"?>', '<!DOCTYPE x [<!ENTITY a "b">]>',
         '<?xml version="1.0" encoding="utf-16"?>')  # fmt: skip


@cache
def real(name: str) -> bytes:
    with open(str(get_testdata_file(name)), "rb") as file:
        return file.read()


def spoilt(data: bytes, wounds: list[tuple[int, bytes]]) -> bytes:
    for place, value in wounds:
        place %= len(data)
        data = data[:place] + value + data[place + len(value) :]
    return data


wounds = st.lists(
    st.tuples(
        st.integers(0, 6000),
        st.one_of(
            st.binary(min_size=1, max_size=8),
            st.sampled_from(
                [b"\xff\xff\xff\xff", b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0", b"SQ", b"UN"]
            ),
        ),
    ),
    max_size=6,
)


@given(name=st.sampled_from(REAL), wounds=wounds, whole=st.booleans())
def test_a_spoilt_file_is_understood_or_refused(
    name: str, wounds: list[tuple[int, bytes]], whole: bool
) -> None:
    data = spoilt(real(name), wounds)
    try:
        identity = identify(data, whole=whole)
        glance(data, whole=whole)
    except (MoreBytesNeeded, NotUnderstood):
        return
    check = LengthCheck(identity)
    for start in range(0, len(data), 1000):
        check.feed(data[start : start + 1000])
    assert check.adds_up or wounds or not whole


node = st.recursive(
    st.one_of(
        texts, st.integers().map(str), st.sampled_from(["~", "1e999", ".nan", "!!python/none"])
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda found: "[" + ", ".join(found) + "]"),
        st.dictionaries(st.sampled_from(KEYS), inner, max_size=4).map(
            lambda found: "{" + ", ".join(f"{k}: {v}" for k, v in found.items()) + "}"
        ),
    ),
    max_leaves=12,
)


@given(text=st.one_of(node, texts))
def test_a_text_is_a_rule_set_or_its_mistakes_are_told(text: str) -> None:
    found, mistakes = parse_rule_set(text)
    assert (found is None) == bool(mistakes)
    assert all(mistake.line >= 1 for mistake in mistakes)


element = st.recursive(
    texts.map(escape),
    lambda inner: st.tuples(st.sampled_from(ELEMENTS), st.lists(inner, max_size=3)).map(
        lambda found: f"<{found[0]}>{''.join(found[1])}</{found[0].split()[0]}>"
    ),
    max_leaves=8,
)


@given(inner=st.lists(element, max_size=4), head=st.sampled_from(HEADS))
def test_xml_is_a_dataset_or_is_refused(inner: list[str], head: str) -> None:
    document = f"{head}<NativeDicomModel>{''.join(inner)}</NativeDicomModel>"
    with suppress(BadRequest):
        assert isinstance(from_xml(document.encode()), dict)
