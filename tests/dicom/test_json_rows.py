"""A list of datasets is taken apart while it comes, wherever the blocks are cut."""

from collections.abc import Iterator

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dicom.json_rows import split_rows
from gateway.errors import BadRequest

TEXTS = st.text(st.sampled_from('{}[]",:\\ ая\n'), max_size=8)
JSON = st.recursive(
    TEXTS | st.none() | st.integers(0, 9),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(TEXTS, inside, max_size=3),
    max_leaves=6,
)
ROWS = st.lists(st.dictionaries(TEXTS, JSON, max_size=3), max_size=4)


def cut(raw: bytes, size: int) -> Iterator[bytes]:
    return (raw[at : at + size] for at in range(0, len(raw), size))


@given(ROWS, st.integers(1, 40), st.booleans())
def test_every_row_comes_as_it_was_written(rows: list[object], size: int, indented: bool) -> None:
    raw = orjson.dumps(rows, option=orjson.OPT_INDENT_2 if indented else None)
    assert [orjson.loads(row) for row in split_rows(cut(raw, size))] == rows


@pytest.mark.parametrize(
    "raw",
    [b"", b"  ", b"{}", b'{"Message": "no"}', b"<html>", b"[{}", b'[{"a": 1}, {"b"', b'[{"a": "}]',
     b"[}]", b"[{}}]"],
    ids=repr,
)  # fmt: skip
def test_what_is_no_whole_list_is_refused(raw: bytes) -> None:
    with pytest.raises(BadRequest):
        list(split_rows(cut(raw, 3)))


def test_a_row_without_end_is_not_kept() -> None:
    taken = 0

    def endless() -> Iterator[bytes]:
        nonlocal taken
        yield b'[{"a": "'
        while True:
            taken += 1
            yield b"x" * 1000

    with pytest.raises(BadRequest, match="more than 50000 bytes"):
        list(split_rows(endless(), 50_000))
    assert taken <= 51
