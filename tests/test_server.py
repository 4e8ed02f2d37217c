"""Callers that stop reading or sending do not hold a worker's connection for ever (F55, H9)."""

import http.client
import socket
import sys
import time
from pathlib import Path

import pytest

from gateway.demo.servers import Program, free_port
from tests.waiting import wait_until

pytestmark = pytest.mark.real
ON_PURPOSE = "ZeroDivisionError: "


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "--worker-class", "tests.impatient.Worker"]
    command += ["--bind", f"127.0.0.1:{port}", "--no-control-socket", "tests.impatient:application"]
    root = Path(__file__).parents[1]
    log = tmp_path_factory.mktemp("gunicorn") / "log"
    with Program("gunicorn", command, log, folder=root) as program:
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
