"""What gunicorn itself refuses, before the application sees it: trust.md H5-H8, H10, H12, H48, H70,
H90.

The answers have the same shape as ours, show nothing of what was sent, and neither does the log.
"""

import json
import socket
import time

import pytest

from tests.faults.callers import raw_send, read_to_the_end

pytestmark = pytest.mark.real

CANARY = b"canary-zq"
HOST = b"Host: localhost\r\n"
CLOSE = b"Connection: close\r\n"
STORE = b"POST /dicom-web/studies HTTP/1.1\r\n" + HOST + CLOSE
KIND = b'Content-Type: multipart/related; type="application/dicom"; boundary=b\r\n'


def get(*lines: bytes, target: bytes = b"/dicom-web/studies") -> bytes:
    return b"GET " + target + b" HTTP/1.1\r\n" + HOST + b"".join(lines) + b"\r\n"


REQUESTS = {
    "a request line of 5 KB": (get(target=b"/dicom-web/studies?PatientName=" + CANARY * 560), 414),
    "150 headers": (get(*(b"X-%d: %s\r\n" % (n, CANARY) for n in range(150))), 431),
    "a header of 9 KB": (get(b"X: " + CANARY * 1000 + b"\r\n"), 431),
    "a token of a megabyte": (get(b"Authorization: Bearer " + CANARY * 110_000 + b"\r\n"), 431),
    "a thousand tokens": (get(*[b"Authorization: Bearer " + CANARY + b"\r\n"] * 1000), 431),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0" * 100, (400, 505)),
    "a header name with a blank": (get(b"X " + CANARY + b": a\r\n"), 400),
    "a folded header": (get(b"X: a\r\n " + CANARY + b"\r\n"), 400),
    "NUL in a header": (get(b"X: \x00" + CANARY + b"\r\n"), 400),
    "a blank in the address": (
        get(target=b"/dicom-web/studies?PatientName=" + CANARY + b" X"),
        400,
    ),
    "no HTTP": (CANARY + b"\r\n\r\n", 400),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    "HTTP/9.9": (b"GET / HTTP/9.9\r\n" + HOST + b"\r\n", 400),
    "length and chunks": (
        STORE + KIND + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    "two lengths": (STORE + KIND + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcde", 400),
    "a negative length": (STORE + KIND + b"Content-Length: -5\r\n\r\n", 400),
    "a length with a sign": (STORE + KIND + b"Content-Length: +5\r\n\r\nabcde", 400),
    "an unknown coding": (STORE + KIND + b"Transfer-Encoding: canary-zq\r\n\r\n", (400, 501)),
    "packed and chunked": (
        STORE + KIND + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        501,
    ),
    "packed, and chunked": (
        STORE + KIND + b"Transfer-Encoding: deflate\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        501,
    ),
    "an address at another host": (get(target=b"http://canary-zq.example/healthz"), 400),
    "chunked twice": (STORE + KIND + b"Transfer-Encoding: chunked, chunked\r\n\r\n", (400, 501)),
    "an expectation": (STORE + KIND + b"Expect: canary-zq\r\nContent-Length: 5\r\n\r\n", 417),
}


@pytest.mark.parametrize(("request_bytes", "status"), REQUESTS.values(), ids=list(REQUESTS))
def test_a_request_that_is_no_http_is_refused_as_a_problem(shared, request_bytes, status):
    answer = raw_send(shared.port, request_bytes)
    assert answer.status in ((status,) if isinstance(status, int) else status)
    assert b"application/problem+json" in answer.head
    told = json.loads(answer.body)
    assert (told["status"], bool(told["field"])) == (answer.status, True)
    assert CANARY not in answer.head + answer.body
    assert CANARY.decode() not in shared.log_text()
    assert shared.get("/healthz").status_code == 200


def test_a_body_of_ten_terabytes_is_refused_before_it_is_sent(shared):
    """H10: the caller hears it at once, with its whole body still to come."""
    with socket.create_connection(("127.0.0.1", shared.port), 5) as sock:
        start = time.monotonic()
        sock.sendall(STORE + KIND + b"Content-Length: 10995116277760\r\n\r\n--b\r\n")
        answer = read_to_the_end(sock)
    assert time.monotonic() - start < 2
    assert answer.status == 413
    assert json.loads(answer.body)["field"] == "Content-Length"


def test_nobody_is_led_to_http_2(shared):
    """H90: what HTTP/2 brings with it ends at the front proxy."""
    asked = (
        b"Connection: Upgrade, HTTP2-Settings\r\n",
        b"Upgrade: h2c\r\n",
        b"HTTP2-Settings: AA\r\n",
    )
    answer = raw_send(shared.port, get(*asked, target=b"/healthz"))
    assert (answer.status, b"upgrade" in answer.head.lower()) == (200, False)


def test_a_path_that_leads_out_of_the_service_stays_inside(shared):
    for target in (b"/dicom-web/studies/..%2f..%2fsystem", b"/dicom-web/studies/../../system"):
        answer = raw_send(shared.port, get(CLOSE, target=target))
        assert answer.status == 400
        assert json.loads(answer.body)["field"] == "study"
    assert raw_send(shared.port, get(CLOSE, target=b"//evil.example/studies")).status == 404


def test_a_search_is_not_written_to_the_log(shared):
    """H70: what is searched for is a patient."""
    shared.get("/dicom-web/studies?PatientName=canary-zq&limit=abc")
    shared.get("/dicom-web/studies?PatientName=canary-zq")
    shared.get("/canary-zq")
    assert CANARY.decode() not in shared.log_text()
