"""The process of a JPEG stream is read from its frame header."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from gateway.dicom.jpeg import process_of

START = b"\xff\xd8\xff\xe0\x00\x04ab"


def a_photograph(**options: object) -> bytes:
    out = io.BytesIO()
    Image.new("L", (8, 8), 77).save(out, "JPEG", **options)
    return out.getvalue()


@pytest.mark.parametrize(
    ("head", "syntax"),
    [
        pytest.param(a_photograph(), "1.2.840.10008.1.2.4.50", id="baseline"),
        pytest.param(START + b"\xff\xc1\x00\x0b", "1.2.840.10008.1.2.4.51", id="extended"),
        pytest.param(START + b"\xff\xc3\x00\x0b", "1.2.840.10008.1.2.4.70", id="lossless"),
        pytest.param(a_photograph(progressive=True), "", id="progressive: not in DICOM"),
        pytest.param(b"\xff\xd8\xff", "", id="cut"),
        pytest.param(b"GIF89a", "", id="no JPEG"),
    ],
)
def test_the_process_names_the_transfer_syntax(head: bytes, syntax: str) -> None:
    assert process_of(head) == syntax


@given(st.binary(max_size=60))
def test_whatever_comes_is_read_to_an_end(tail: bytes) -> None:
    assert process_of(START + tail) in ("", *(f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 70)))
