"""Any body at STOW-RS, before a real Orthanc (trust.md H11-H20, H73-H77, H80)."""

import json
from functools import cache

from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.door import Door
from tests.fuzz.words import header_texts, texts
from tests.studies import a_study

TYPES = ("application/dicom", "application/dicom+json", "application/dicom+xml",
         "application/octet-stream", "text/html", "image/jpeg", "")  # fmt: skip
HEADERS = ("Content-Type", "Content-Location", "Content-Length", "Content-Encoding",
           "Content-Transfer-Encoding", "MIME-Version", "X")  # fmt: skip
SUCCESS = {200, 202}


@cache
def whole_file() -> bytes:
    return a_study(7100, (1,))[0].data


def damaged(places: list[tuple[int, int]], cut: int) -> bytes:
    """The file with some bytes changed, perhaps cut short."""
    data = bytearray(whole_file())
    for place, value in places:
        data[place % len(data)] = value
    return bytes(data[: len(data) - cut % len(data)])


files = st.one_of(
    st.builds(
        damaged,
        st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=8),
        st.one_of(st.just(0), st.integers(0, 10_000)),
    ),
    st.binary(max_size=200),
    texts.map(lambda word: json.dumps([{"00080018": {"vr": "UI", "Value": [word]}}]).encode()),
    texts.map(lambda word: f"<NativeDicomModel>{word}</NativeDicomModel>".encode()),
)
lines = st.tuples(st.sampled_from(HEADERS), st.one_of(st.sampled_from(TYPES), header_texts))
parts = st.tuples(st.sampled_from(TYPES), st.lists(lines, max_size=2), files)
ends = st.sampled_from(
    [b"\r\n--b--\r\n", b"\r\n--b--", b"\r\n--b", b"", b"\r\n--b--\r\nmore", b"\n--b--"]
)


def packed(found: list[tuple[str, list[tuple[str, str]], bytes]], end: bytes) -> bytes:
    told = b""
    for kind, more, data in found:
        head = [("Content-Type", kind), *more]
        told += b"\r\n--b\r\n"
        told += "".join(f"{name}: {value}\r\n" for name, value in head).encode("latin-1")
        told += b"\r\n" + data
    return told[2:] + end


@given(
    found=st.lists(parts, max_size=3),
    end=ends,
    kind=st.sampled_from(TYPES[:4]),
    path=st.sampled_from(["", "/1.2.840.9.1", "/..%2f", "/1.2.03"]),
)
def test_no_body_brings_a_fault_and_what_is_acknowledged_is_there(
    store_door: Door,
    found: list[tuple[str, list[tuple[str, str]], bytes]],
    end: bytes,
    kind: str,
    path: str,
) -> None:
    answer = store_door.ask(
        "POST",
        "/dicom-web/studies" + path,
        data=packed(found, end),
        content_type=f'multipart/related; type="{kind}"; boundary=b',
        headers={"Accept": "application/dicom+json"},
    )
    if answer.status_code not in SUCCESS:
        return
    for stored in answer.get_json().get("00081199", {}).get("Value", ()):
        uid = stored["00081155"]["Value"][0]
        held = store_door.ask("GET", "/dicom-web/instances", query_string={"SOPInstanceUID": uid})
        assert [row["00080018"]["Value"][0] for row in held.get_json()] == [uid]
