"""One byte range or the whole (RFC 9110 14, trust.md H22)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dicom.byte_range import Unsatisfiable, parse_range


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("bytes=0-9", (0, 9)),
        ("bytes=90-", (90, 99)),
        ("bytes=-10", (90, 99)),
        ("bytes=-1000", (0, 99)),
        ("Bytes = 5 - 2000", (5, 99)),
        ("bytes=9-5", None),
        ("bytes=-", None),
        ("bytes=0-,0-", None),
        ("bytes=" + "0-," * 1000, None),
        ("items=0-9", None),
        ("bytes=٠-٩", None),
        ("", None),
    ],
)
def test_a_range_is_read_or_ignored(value: str, expected: tuple[int, int] | None) -> None:
    assert parse_range(value, 100) == expected


@pytest.mark.parametrize(
    ("value", "size"), [("bytes=100-", 100), ("bytes=-0", 100), ("bytes=0-", 0)]
)
def test_a_range_behind_the_end_cannot_be_satisfied(value: str, size: int) -> None:
    with pytest.raises(Unsatisfiable):
        parse_range(value, size)


@given(st.text("bytes=-, 0129", max_size=20), st.integers(1, 200))
def test_any_words_give_a_range_inside_or_none(value: str, size: int) -> None:
    try:
        found = parse_range(value, size)
    except Unsatisfiable:
        return
    assert found is None or 0 <= found[0] <= found[1] < size
