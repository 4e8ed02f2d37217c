"""What is kept of metadata is bounded, and what is used stays longest."""

import gzip

from flask import Flask

from gateway.web.packed import LARGEST, PackedBodies, packed_answer


def test_a_body_comes_back_as_it_was() -> None:
    kept = PackedBodies()
    packed = kept.keep("one", b"metadata" * 1000)
    assert packed is not None
    assert len(packed) < 200
    assert (kept.find("one"), gzip.decompress(packed)) == (packed, b"metadata" * 1000)
    assert kept.find("two") is None


def test_the_longest_unused_body_goes_when_the_room_is_used_up() -> None:
    room = 3 * len(gzip.compress(b"0", 1))
    kept = PackedBodies(most_bytes=room)
    for tag in "abc":
        kept.keep(tag, tag.encode())
    kept.find("a")
    kept.keep("d", b"d")
    kept.keep("d", b"d")  # two requests at once: it is counted once
    assert [tag for tag in "abcd" if kept.find(tag)] == ["a", "c", "d"]


def test_a_body_that_is_too_large_is_not_kept() -> None:
    kept = PackedBodies()
    assert kept.keep("one", bytes(LARGEST + 1)) is None
    assert kept.find("one") is None


def test_a_caller_without_gzip_gets_the_plain_body() -> None:
    packed = gzip.compress(b"[]")
    app = Flask("test")
    for accepted, coding, body in (
        ("gzip", "gzip", packed),
        ("br", None, b"[]"),
        ("", None, b"[]"),
    ):
        with app.test_request_context(headers={"Accept-Encoding": accepted}):
            answer = packed_answer(packed, "application/dicom+json")
        assert (answer.content_encoding, answer.get_data()) == (coding, body)
        assert answer.vary.as_set() == {"accept-encoding"}
