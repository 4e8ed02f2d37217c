"""The head of a site's answer is read as RFC 9112 says, and nothing else is taken for one."""

import http.client
import io
from typing import Any

import pytest

from gateway.orthanc.heads import LINE_LIMIT, HeadParsed


class Packets(io.BytesIO):
    """Gives at most so many bytes at a time."""

    size = 1 << 20

    def readinto(self, buffer: Any) -> int:
        return super().readinto(memoryview(buffer)[: self.size])


class Wire:
    """All that HTTPResponse asks of a socket."""

    def __init__(self, received: bytes, size: int) -> None:
        self.received = Packets(received)
        self.received.size = size

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self.received)  # type: ignore[arg-type]


def answer(received: bytes, size: int = 1 << 20) -> HeadParsed:
    response = HeadParsed(Wire(received, size))  # type: ignore[arg-type]
    response.begin()
    return response


def test_head_gives_status_fields_and_the_body_by_its_length() -> None:
    got = answer(b"HTTP/1.1 200 OK\r\nContent-Type: a/b; c=d\r\nContent-LENGTH: 3\r\n\r\nabcdef")
    assert (got.status, got.length, got.will_close) == (200, 3, False)
    assert got.fields == {"content-type": "a/b; c=d", "content-length": "3"}
    assert got.read1(100) == b"abc"


@pytest.mark.parametrize("end", [b"\r\n", b"\n"], ids=["CRLF", "LF"])
@pytest.mark.parametrize("size", [1, 7, 1000], ids=["bytes", "pieces", "one packet"])
def test_a_head_is_the_same_however_it_comes(end: bytes, size: int) -> None:
    lines = [
        b"HTTP/1.1 100 Go on",
        b"",
        b"HTTP/1.1 200 OK",
        b"A: 1",
        b"Content-Length: 3",
        b"",
        b"",
    ]
    got = answer(end.join(lines) + b"abcdef", size)
    assert (got.status, got.fields) == (200, {"a": "1", "content-length": "3"})
    assert got.read() == b"abc"


def test_head_gives_the_body_by_its_chunks() -> None:
    got = answer(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\nContent-Length: 9\r\n\r\n"
        b"2;x=y\r\nab\r\n1\r\nc\r\n0\r\nTrailer: t\r\n\r\n"
    )
    assert (got.chunked, got.length, got.will_close) == (True, None, False)
    assert got.read() == b"abc"


@pytest.mark.parametrize(
    ("head", "closes"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: x, Keep-Alive\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n", True),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\n\r\n", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", False),
    ],
    ids=["close", "kept", "old", "old but kept", "without a length", "without a body"],
)
def test_connection_is_kept_only_when_both_sides_know_the_end(head: bytes, closes: bool) -> None:
    assert answer(head).will_close is closes


def test_interim_answers_are_skipped() -> None:
    got = answer(b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n")
    assert (got.status, got.fields) == (404, {"content-length": "0"})


def test_first_of_doubled_fields_counts() -> None:
    got = answer(b"HTTP/1.1 200 OK\r\nContent-Type: a\r\nContent-Type: b\r\n\r\n")
    assert got.fields == {"content-type": "a"}


@pytest.mark.parametrize(
    "received",
    [
        b"HTTP/2 200 OK\r\n\r\n",
        b"<html>\r\n\r\n",
        b"HTTP/1.1 99 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: 1\r\n folded\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: 1\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"A: 1\r\n" * 101 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"1" * LINE_LIMIT + b"\r\n\r\n",
    ],
    ids=[
        "HTTP/2", "HTML", "no status", "no colon", "folded", "two lengths", "cut", "too many",
        "too long",
    ],
)  # fmt: skip
def test_what_is_no_head_is_refused(received: bytes) -> None:
    with pytest.raises(http.client.HTTPException):
        answer(received)


def test_silence_is_told_from_a_wrong_head() -> None:
    with pytest.raises(http.client.RemoteDisconnected):
        answer(b"")
