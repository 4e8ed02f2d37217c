"""DICOM UIDs: what may stand in a path, and what may not (H1, H2)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dicom.uids import check_uid, is_lenient_uid, is_uid
from gateway.errors import BadRequest

HOSTILE = {
    "empty": "",
    "path": "../../system",
    "encoded path": "..%2f..",
    "encoded dots": "%2e%2e",
    "encoded zero": "1.2%00",
    "trailing newline": "1.2.3\n",
    "leading space": " 1.2.3",
    "Arabic digits": "١.٢.٣",
    "fullwidth digits": "１.２",
    "two dots": "1..2",
    "dot at the end": "1.2.",
    "dot at the start": ".1",
    "letters": "1.2.a",
    "65 characters": "1." + "2" * 63,
    "list": "1.2,1.3",
    "negative": "-1.2",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_what_is_no_uid_is_refused_and_never_shown(text):
    assert not is_uid(text)
    with pytest.raises(BadRequest) as caught:
        check_uid(text, "StudyInstanceUID")
    assert caught.value.field == "StudyInstanceUID"
    assert str(caught.value) == (
        "StudyInstanceUID: is not a DICOM UID (digits and dots, at most 64 characters)"
    )


@pytest.mark.parametrize("text", ["0", "1", "1.2.840.10008.1.2", "2.25.0", "1." + "2" * 62])
def test_a_uid_is_given_back(text):
    assert is_uid(text)
    assert check_uid(text, "x", lenient=False) == text


def test_leading_zeros_may_be_asked_for_but_not_stored():
    assert not is_uid("1.2.03")
    assert check_uid("1.2.03", "StudyInstanceUID") == "1.2.03"
    with pytest.raises(BadRequest):
        check_uid("1.2.03", "StudyInstanceUID", lenient=False)


@given(st.lists(st.integers(min_value=0, max_value=10**9), min_size=1, max_size=6))
def test_numbers_joined_by_dots_are_a_uid(numbers):
    assert is_uid(".".join(map(str, numbers)))


@given(st.text())
def test_a_uid_holds_only_digits_and_dots(text):
    if is_lenient_uid(text):
        assert set(text) <= set("0123456789.")
        assert 1 <= len(text) <= 64
