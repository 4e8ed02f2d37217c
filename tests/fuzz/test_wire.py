"""Any bytes on the wire, at a real gateway (trust.md H5-H12, H22, H23): an answer or a closed
connection, and in the end the same worker, hardly larger."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.faults.callers import raw_send
from tests.faults.conftest import GatewayProcess

pytestmark = pytest.mark.real

MORE_MB = 64
REGION = """
[region]
name_ru = "Область"
name_en = "Region"
[[site]]
id = "gkb1"
name_ru = "Первая"
name_en = "First"
url = "http://127.0.0.1:9"
"""
LINES = (
    b"Host: gateway", b"Host: a, b", b"Content-Length: 5", b"Content-Length: +5",
    b"Content-Length: 99999999999999", b"Transfer-Encoding: chunked",
    b"Transfer-Encoding : chunked",
    b"Transfer-Encoding: xchunked", b"Transfer-Encoding: chunked, identity", b" folded", b"\x00: a",
    b"Expect: 100-continue", b"Connection: keep-alive, upgrade", b"Upgrade: h2c",
    b"Range: bytes=0-",
    b"Accept: */*;q=", b"Content-Encoding: gzip", b"Cookie: " + b"a=b; " * 50,
    b'Content-Type: multipart/related; type="application/dicom"; boundary=b',
    b"Content-Type: multipart/related; boundary=" + b"b" * 200, b"Authorization: Bearer .",
)  # fmt: skip
TARGETS = (
    b"/dicom-web/studies", b"/dicom-web/studies?limit=1", b"*", b"http://evil/dicom-web/studies",
    b"//evil", b"/dicom-web/studies/1.2.3", b"/healthz", b"/\xff", b"/a b", b"/dicom-web/studies#f",
)  # fmt: skip
BODIES = (
    b"", b"abcde", b"0\r\n\r\n", b"5\r\nabcde\r\n0\r\n\r\n", b"ffffffffffffffff\r\n", b"-1\r\n",
    b"5;x=\r\nabcde\r\n", b"zz\r\n", b"--b\r\n\r\n\r\n--b--", b"1\r\naGET / HTTP/1.1\r\n\r\n",
)  # fmt: skip
methods = st.one_of(
    st.sampled_from([b"GET", b"POST", b"HEAD", b"OPTIONS", b"TRACE", b"PRI", b"get"]),
    st.binary(max_size=8),
)
versions = st.sampled_from([b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/1.", b""])
breaks = st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r"])
lines = st.lists(st.one_of(st.sampled_from(LINES), st.binary(max_size=30)), max_size=6)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    folder: Path = tmp_path_factory.mktemp("wire")
    region = folder / "region.toml"
    region.write_text(REGION, encoding="utf-8")
    with GatewayProcess(folder, region, GATEWAY_STATE_DIR=str(folder)) as running:
        running.get("/dicom-web/studies?limit=1")
        worker, before_mb = running.worker, running.rss_mb
        yield running
        assert running.worker == worker
        assert running.rss_mb - before_mb <= MORE_MB


@given(
    method=methods, target=st.one_of(st.sampled_from(TARGETS), st.binary(max_size=40)),
    version=versions, told=lines, end=breaks, body=st.one_of(st.sampled_from(BODIES), st.binary()),
)  # fmt: skip
def test_any_bytes_get_an_answer_or_a_closed_connection(
    gateway: GatewayProcess, method: bytes, target: bytes, version: bytes, told: list[bytes],
    end: bytes, body: bytes,
) -> None:  # fmt: skip
    head = end.join([b"%b %b %b" % (method, target, version), *told, b"Connection: close"])
    answer = raw_send(gateway.port, head + end + end + body)
    if not answer.head:
        return
    assert answer.head.startswith((b"HTTP/1.1 ", b"HTTP/1.0 ")), answer.head
    assert answer.status < 500 or answer.status in (501, 503, 505), answer.head
    assert b"Traceback" not in answer.body
