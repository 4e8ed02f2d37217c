"""What runs in no computer any more, and what else passes byte by byte (trust.md H73)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dicom.multipart import closing, part_head
from gateway.dicom.preambles import BlankPreambles
from gateway.errors import BadRequest
from tests.dicom.test_multipart import BOUNDARY, body_of
from tests.dicom.test_part10 import file_of

PLAIN = file_of()
PROGRAM = b"MZ" + b"\x90" * 126 + PLAIN[128:]
NO_FILE = b"MZ" + b"\x90" * 300


def passed(body: bytes, step: int, boundary: bytes | None = BOUNDARY.encode()) -> bytes:
    blank = BlankPreambles(boundary)
    blocks = [blank.feed(body[at : at + step]) for at in range(0, len(body), step)]
    return b"".join([*blocks, blank.rest()])


@given(
    parts=st.lists(
        st.sampled_from([PROGRAM, PLAIN, NO_FILE, b"", b"\r\n--", PROGRAM[:131], PROGRAM[:132]]),
        max_size=5,
    ),
    step=st.integers(min_value=1, max_value=400),
    before=st.sampled_from([b"", b"preamble\r\n"]),
)
def test_each_file_has_an_empty_preamble_and_nothing_else_changes(
    parts: list[bytes], step: int, before: bytes
) -> None:
    expected = [bytes(128) + one[128:] if one[128:132] == b"DICM" else one for one in parts]
    assert passed(before + body_of(parts), step) == before + body_of(expected)


@given(step=st.integers(min_value=1, max_value=400))
def test_a_file_alone_has_an_empty_preamble_too(step: int) -> None:
    assert passed(PROGRAM, step, None) == bytes(128) + PROGRAM[128:]
    assert passed(NO_FILE, step, None) == NO_FILE


@given(body=st.binary(max_size=600), step=st.integers(min_value=1, max_value=100))
def test_whatever_comes_stays_as_long_as_it_was(body: bytes, step: int) -> None:
    assert len(passed(body, step)) == len(passed(body, step, None)) == len(body)


def test_a_head_without_end_is_not_kept() -> None:
    head = part_head(BOUNDARY, [("Content-Type", "x" * 10_000)])
    with pytest.raises(BadRequest):
        passed(head + PROGRAM + closing(BOUNDARY), 4096)
