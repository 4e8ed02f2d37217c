"""The streaming multipart reader against well-formed, cut and hostile bodies."""

import io
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dicom.asked import HEADER_LIMIT, Asked
from gateway.dicom.multipart import (
    Limits,
    MultipartReader,
    PassingParts,
    check_boundary,
    closing,
    new_boundary,
    part_head,
)
from gateway.errors import BadRequest, PayloadTooLarge
from tests.dicom.test_part10 import file_of

BOUNDARY = "b0undary"


def body_of(parts: list[bytes], boundary: str = BOUNDARY, eol: bytes = b"\r\n") -> bytes:
    head = part_head(boundary, [("Content-Type", "application/dicom")])
    return b"".join(head + part + eol for part in parts) + closing(boundary)


def reader_of(body: bytes, step: int = 7, limits: Limits | None = None) -> MultipartReader:
    stream = io.BytesIO(body)
    return MultipartReader(lambda n: stream.read(min(n, step)), BOUNDARY.encode(), limits)


def read_all(body: bytes, step: int = 7, limits: Limits | None = None) -> list[bytes]:
    return [part.read(2**20) for part in reader_of(body, step, limits)]


@given(
    parts=st.lists(
        st.binary(max_size=200)
        | st.lists(
            st.sampled_from([b"\r\n", b"--", BOUNDARY.encode()[:-1], b"\r", b"\n--b0un", b"x"]),
            max_size=30,
        ).map(b"".join),
        max_size=8,
    ),
    step=st.integers(min_value=1, max_value=300),
)
def test_every_part_comes_back_whatever_the_block_size(parts: list[bytes], step: int) -> None:
    assert read_all(body_of(parts), step) == parts


@given(
    parts=st.lists(st.binary(min_size=1, max_size=60), min_size=1, max_size=4),
    cut=st.integers(min_value=1, max_value=400),
    step=st.integers(min_value=1, max_value=50),
)
def test_a_body_without_its_closing_boundary_is_refused(
    parts: list[bytes], cut: int, step: int
) -> None:
    body = body_of(parts)
    whole = body[: -len(b"\r\n")]
    with pytest.raises(BadRequest):
        read_all(whole[: max(0, len(whole) - cut)], step)


@given(st.binary(max_size=500), st.integers(min_value=1, max_value=64))
def test_arbitrary_bytes_never_raise_anything_but_a_refusal(body: bytes, step: int) -> None:
    with pytest.raises(BadRequest):
        read_all(body, step)


def test_headers_are_read_without_regard_to_case() -> None:
    body = b"--b0undary\r\nCONTENT-type:  application/dicom \r\nX-A:b\r\n\r\nDATA\r\n--b0undary--"
    parts = [(part.headers, part.read(10)) for part in reader_of(body)]
    assert parts == [({"content-type": "application/dicom", "x-a": "b"}, b"DATA")]


def test_a_folded_header_is_one() -> None:
    """It may hold a colon, and must not pass for a header of its own."""
    head = b"Content-Type: application/dicom;\r\n\ttransfer-syntax=1.2;\r\n x:y=z\r\nX-A: b"
    body = b"--b0undary\r\n" + head + b"\r\n\r\nDATA\r\n--b0undary--"
    (headers,) = [part.headers for part in reader_of(body)]
    assert headers == {
        "content-type": "application/dicom; transfer-syntax=1.2; x:y=z",
        "x-a": "b",
    }


def test_a_block_without_a_boundary_is_given_out_as_it_came() -> None:
    pixels = b"\r\n--b0undarX" * 10
    blocks = iter([b"--b0undary\r\n\r\n", pixels, b"end\r\n--b0undary--"])
    given = [
        chunk
        for part in MultipartReader(lambda _size: next(blocks, b""), BOUNDARY.encode())
        for chunk in part.chunks
    ]
    assert given == [pixels, b"end"]
    assert given[0] is pixels


def test_preamble_and_epilogue_are_ignored() -> None:
    assert read_all(b"preamble\r\n" + body_of([b"one", b"two"]) + b"epilogue") == [b"one", b"two"]


def test_an_unread_part_is_skipped() -> None:
    seen = [part.headers for part in reader_of(body_of([b"x" * 1000, b"y"]))]
    assert len(seen) == 2


@pytest.mark.parametrize(
    ("body", "limits"),
    [
        pytest.param(body_of([b""] * 4), Limits(parts=3), id="too many parts"),
        pytest.param(body_of([b"x" * 100]), Limits(total_bytes=50), id="too many bytes"),
    ],
)
def test_limits_are_kept(body: bytes, limits: Limits) -> None:
    with pytest.raises(PayloadTooLarge):
        read_all(body, limits=limits)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(
            b"--b0undary\r\n" + b"A: b\r\n" * 21 + b"\r\n\r\n--b0undary--", id="21 headers"
        ),
        pytest.param(b"--b0undary\r\nA: " + b"b" * 9000 + b"\r\n\r\n", id="a header of 9 KB"),
        pytest.param(b"--b0undary\r\nno colon\r\n\r\nx\r\n--b0undary--", id="no colon"),
        pytest.param(b"--b0undaryX\r\n\r\nx\r\n--b0undary--", id="text behind the boundary"),
        pytest.param(b"\r" * 100_000, id="a flood of CR"),
        pytest.param(b"", id="empty"),
    ],
)
def test_broken_framing_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest):
        read_all(body, step=4096)


def test_a_part_larger_than_asked_for_is_refused() -> None:
    with pytest.raises(PayloadTooLarge):
        [part.read(10) for part in reader_of(body_of([b"x" * 11]))]


@pytest.mark.parametrize("boundary", [None, "", "x" * 71, "ü", "a\r\nb"])
def test_a_bad_boundary_is_refused(boundary: str | None) -> None:
    with pytest.raises(BadRequest):
        check_boundary(boundary)


def test_boundaries_differ() -> None:
    assert new_boundary() != new_boundary()


def watched(
    stream: bytes, step: int, *, skipping: bool, asked: Asked | None = None
) -> PassingParts:
    """The stream has gone by in blocks of `step`; what need not be seen is skipped if wanted."""
    watch, at = PassingParts(BOUNDARY.encode(), asked), 0
    while at < len(stream):
        watch.feed(stream[at : at + step])
        at += step
        if skipping and not watch.must_see:
            unseen = max(0, min(watch.ahead, len(stream) - at))
            watch.skip(unseen)
            at += unseen
    return watch


@pytest.mark.parametrize(
    "with_length", [True, False], ids=["parts say their length", "they do not"]
)
@pytest.mark.parametrize("skipping", [True, False], ids=["unseen bytes skipped", "all seen"])
@given(parts=st.lists(st.binary(max_size=300), max_size=5), step=st.integers(1, 200))
def test_parts_and_the_end_are_counted_however_the_stream_is_cut(
    with_length: bool, skipping: bool, parts: list[bytes], step: int
) -> None:
    parts = [part.replace(b"-", b"+") for part in parts]
    body = b"".join(
        part_head(BOUNDARY, [("Content-Length", str(len(part)))] if with_length else [])
        + part
        + b"\r\n"
        for part in parts
    ) + closing(BOUNDARY)
    watch = watched(body, step, skipping=skipping)
    assert (watch.parts, watch.closed) == (len(parts), True)
    for missing in (3, len(closing(BOUNDARY)) + 1):
        assert not watched(body[:-missing], step, skipping=skipping).closed


def test_a_part_that_says_more_than_it_has_hides_the_end() -> None:
    head = part_head(BOUNDARY, [("Content-Length", "400")])
    body = head + b"x" * 4 + b"\r\n" + closing(BOUNDARY)
    assert not watched(body, len(head), skipping=True).closed
    assert watched(body, len(head), skipping=False).closed


def test_what_follows_the_end_changes_nothing() -> None:
    watch = watched(body_of([b"abc"]) + b"\r\n\r\n", 1, skipping=False)
    assert (watch.parts, watch.closed) == (1, True)


MINE = [file_of(SOPInstanceUID=f"1.2.3.{n}", TextValue="x" * 3000) for n in (4, 5)]
ASKED = Asked("1.2.3", "1.2.3.1")


@pytest.mark.parametrize("step", [1, 7, 300, 4096, 10**6])
@pytest.mark.parametrize("skipping", [True, False], ids=["unseen bytes skipped", "all seen"])
@pytest.mark.parametrize(
    ("syntax", "changed"),
    [
        ("1.2.840.10008.1.2.1", {"StudyInstanceUID": "1.2.33"}),
        ("1.2.840.10008.1.2", {"StudyInstanceUID": "1.2.33"}),
        ("1.2.840.10008.1.2.2", {"SeriesInstanceUID": "1.2.3.11"}),
    ],
    ids=["study", "study, implicit", "series, big-endian"],
)
def test_a_part_of_something_else_is_seen_however_the_stream_is_cut(
    step: int, skipping: bool, syntax: str, changed: dict[str, str]
) -> None:
    """H84"""
    mine = [*MINE, file_of(syntax, TextValue="x" * 3000)]
    foreign = file_of(syntax, TextValue="x" * 3000, **changed)
    for files, expected in ((mine, False), ([*mine, foreign], True), ([foreign, *mine], True)):
        body = b"".join(
            part_head(BOUNDARY, [("Content-Length", str(len(file)))]) + file + b"\r\n"
            for file in files
        ) + closing(BOUNDARY)
        watch = watched(body, step, skipping=skipping, asked=ASKED)
        assert (watch.foreign, watch.closed, watch.parts) == (expected, True, len(files))


def test_an_instance_is_told_from_its_neighbour_where_that_is_asked() -> None:
    for asked, foreign in ((ASKED, False), (Asked("1.2.3", "1.2.3.1", "1.2.3.4"), True)):
        assert watched(body_of(MINE[1:]), 64, skipping=False, asked=asked).foreign is foreign


@pytest.mark.parametrize("step", [1, 300, 10**6])
@pytest.mark.parametrize("skipping", [True, False], ids=["unseen bytes skipped", "all seen"])
def test_a_part_in_another_transfer_syntax_is_seen(step: int, skipping: bool) -> None:
    asked = replace(ASKED, transfer_syntax="1.2.840.10008.1.2.1")
    other = file_of("1.2.840.10008.1.2", TextValue="x" * 3000)
    for files, expected in ((MINE, None), ([*MINE, other], "1.2.840.10008.1.2")):
        watch = watched(body_of(files), step, skipping=skipping, asked=asked)
        assert (watch.recoded, watch.foreign, watch.closed) == (expected, False, True)


def test_what_cannot_be_told_from_the_beginning_of_a_part_is_let_pass() -> None:
    far = file_of(StudyInstanceUID="1.2.33", LongCodeValue="x" * 2 * HEADER_LIMIT)
    for part in (far, b"garbage" * 30_000, b""):
        watch = watched(body_of([part]), 4096, skipping=False, asked=ASKED)
        assert (watch.foreign, watch.must_see, watch.parts) == (False, False, 1)
