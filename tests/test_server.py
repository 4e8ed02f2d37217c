"""Callers that stop reading or sending do not hold a worker's connection for ever (F55, H9)."""

import http.client
import socket
import ssl
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from gateway.demo.servers import Program, free_port
from tests.authority import Authority
from tests.waiting import wait_until

pytestmark = pytest.mark.real
ON_PURPOSE = "ZeroDivisionError: "


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    yield from serving(tmp_path_factory.mktemp("gunicorn"))


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def tls_port(tmp_path_factory, authority):
    certificate, key = authority.issue("gateway")
    options = ["--certfile", str(certificate), "--keyfile", str(key)]
    yield from serving(tmp_path_factory.mktemp("tls"), *options)


def serving(folder: Path, *options: str) -> Iterator[int]:
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "--worker-class", "tests.impatient.Worker"]
    command += ["--bind", f"127.0.0.1:{port}", "--no-control-socket", *options]
    command += ["--config", "python:gateway.server", "tests.impatient:application"]
    root = Path(__file__).parents[1]
    with Program("gunicorn", command, folder / "log", folder=root) as program:
        wait_until(lambda: connects(port), 15, "gunicorn to listen")
        yield port
        program.ask_to_stop()
        wait_until(lambda: not program.alive, 8, "gunicorn to end")
    assert program.log_tail(1000).count("Traceback") == program.log_tail(1000).count(ON_PURPOSE)


def connects(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def read_answer(sock: socket.socket) -> bytes:
    with http.client.HTTPResponse(sock) as answer:
        answer.begin()
        return answer.read()


def test_a_caller_that_stops_reading_is_reset(port):
    with socket.create_connection(("127.0.0.1", port), 15) as sock:
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        time.sleep(2.5)  # the one wait that is the test
        with pytest.raises(ConnectionResetError):
            list(iter(lambda: sock.recv(1 << 20), b""))


@pytest.mark.parametrize("framing", [b"Content-Length: 9", b"Transfer-Encoding: chunked"])
def test_a_caller_that_stops_sending_is_let_go(port, framing):
    with socket.create_connection(("127.0.0.1", port), 15) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: a\r\n" + framing + b"\r\n\r\n3\r\n")
        start = time.monotonic()
        with pytest.raises(ConnectionResetError):
            assert sock.recv(1) == b"no answer expected"
        assert time.monotonic() - start < 5


def test_a_request_after_a_slow_one_has_its_own_patience(port):
    with socket.create_connection(("127.0.0.1", port), 15) as sock:
        for _ in range(2):
            sock.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n")
            time.sleep(0.7)
            sock.sendall(b"abc")
            assert read_answer(sock) == b"3"
        time.sleep(1.3)  # idle between two requests for longer than a request may stall
        sock.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
        assert read_answer(sock) == b"0"


def chunked(body: bytes, size: int) -> bytes:
    blocks = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(block), block) for block in [*blocks, b""])


@pytest.mark.parametrize("size", [0, 7, 8185, 100_000], ids=lambda n: f"{n} in a chunk" * (n > 0))
def test_a_body_that_is_read_as_it_comes_ends_where_it_ends(port, size):
    """Two requests go at once: nothing of the second is taken for the first."""
    bodies = [bytes(n % 251 for n in range(length)) for length in (300_007, 5)]
    with socket.create_connection(("127.0.0.1", port), 15) as sock:
        for body, rest in zip(bodies, (b"", b"Connection: close\r\n"), strict=True):
            length = b"Transfer-Encoding: chunked" if size else b"Content-Length: %d" % len(body)
            head = b"POST /read1 HTTP/1.1\r\nHost: a\r\n" + rest + length + b"\r\n\r\n"
            sock.sendall(head + (chunked(body, size) if size else body))
        answers = b"".join(iter(lambda: sock.recv(1 << 16), b"")).split(b"HTTP/1.1 200 OK\r\n")
    assert [answer.partition(b"\r\n\r\n")[2] for answer in answers[1:]] == bodies


def test_a_fault_in_the_middle_of_an_answer_is_reset(port):
    with socket.create_connection(("127.0.0.1", port), 15) as sock:
        sock.sendall(b"GET /broken HTTP/1.0\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            list(iter(lambda: sock.recv(1 << 20), b""))


def test_an_answer_without_a_body_does_not_wait_for_one(port):
    with socket.create_connection(("127.0.0.1", port), 15) as sock:
        sock.sendall(b"HEAD / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: https\r\n\r\n")
        head = sock.recv(1 << 16)
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert head.endswith(b"\r\n\r\n")
        assert b"\r\nX-Scheme: http\r\n" in head  # nor does a caller say how he came


def test_tls_is_spoken_with_the_certificate_of_the_gateway(tls_port, authority):
    context = ssl.create_default_context(cafile=str(authority.file))
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context.maximum_version = version
        link = http.client.HTTPSConnection("localhost", tls_port, context=context, timeout=15)
        for _ in range(2):  # over one connection
            link.request("POST", "/", b"abc")
            assert link.getresponse().read() == b"3"
        link.close()


def test_tls_leads_to_no_http_2(tls_port, authority):
    """H90"""
    context = ssl.create_default_context(cafile=str(authority.file))
    context.set_alpn_protocols(["h2", "http/1.1"])
    with (
        socket.create_connection(("127.0.0.1", tls_port), 15) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as sock,
    ):
        assert sock.selected_alpn_protocol() in (None, "http/1.1")


def test_an_old_tls_is_refused(tls_port):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    sock = socket.create_connection(("127.0.0.1", tls_port), 15)
    with sock, pytest.raises((ssl.SSLError, ConnectionError)):
        context.wrap_socket(sock)


@pytest.mark.parametrize("begun", [b"", b"GET / HTTP/1.1\r\nHost: a\r\n", b"\x16\x03\x01"])
@pytest.mark.parametrize("door", ["port", "tls_port"])
def test_a_caller_that_never_ends_its_head_is_let_go(request, door, begun):
    """Slowloris (H9): however it drips, its time is that of the whole head."""
    port = request.getfixturevalue(door)
    with socket.create_connection(("127.0.0.1", port), 15) as sock:
        assert drips_until_let_go(sock, begun) < 10


def drips_until_let_go(sock: socket.socket, begun: bytes) -> float:
    """Seconds until the server has closed; a byte is sent each fifth of a second."""
    start = time.monotonic()
    sock.settimeout(0.2)
    try:
        sock.sendall(begun)
        while time.monotonic() - start < 30:
            try:
                if not sock.recv(4096):
                    break
            except TimeoutError:
                sock.sendall(b"X")
    except ConnectionError:
        pass
    return time.monotonic() - start


def test_others_are_served_while_many_drip(port):
    with ExitStack() as dripping:
        for _ in range(300):
            sock = dripping.enter_context(socket.create_connection(("127.0.0.1", port), 15))
            sock.sendall(b"GET / HTTP/1.1\r\nX-")
        with socket.create_connection(("127.0.0.1", port), 15) as sock:
            sock.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
            assert read_answer(sock) == b"3"
