"""The thin client against small servers that keep to HTTP, or do not."""

import errno
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from gateway.clock import Deadline
from gateway.errors import (
    BadRequest,
    SiteBusy,
    SiteError,
    SiteRefused,
    SiteSpeaksGarbage,
    SiteStreamCut,
    SiteTimeout,
    SiteUnreachable,
    SiteUntrusted,
)
from gateway.model.sites import Secret, Site, Timeouts
from gateway.model.standing import Standing
from gateway.orthanc import connection as connection_module
from gateway.orthanc import wire as wire_module
from gateway.orthanc.wire import Wire

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
OPEN_END = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"


class Server:
    """A site made of bytes: `talk(connection)` is run for each connection."""

    def __init__(self, talk: Callable[["Connection"], None]) -> None:
        self.talk = talk
        self.connections: list[Connection] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.threads: list[threading.Thread] = []
        self._run(self._accept)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def site(self, **changed: object) -> Site:
        timeouts = Timeouts(connect_s=1.0, first_byte_s=1.0, idle_s=1.0)
        values = {"url": self.url, "timeouts": timeouts, **changed}
        return Site(site_id="gkb1", name_ru="Первая", name_en="First", **values)  # type: ignore[arg-type]

    def _run(self, what: Callable[[], None]) -> None:
        thread = threading.Thread(target=what, daemon=True)
        self.threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            sock.settimeout(10)
            connection = Connection(sock, len(self.connections))
            self.connections.append(connection)
            self._run(lambda connection=connection: self._serve(connection))  # type: ignore[misc]

    def _serve(self, connection: "Connection") -> None:
        with connection.sock, suppress(OSError):
            self.talk(connection)

    def stop(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in self.connections:
            with suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join(5)


class Connection:
    """One connection as the server sees it; `got` is every byte that came."""

    def __init__(self, sock: socket.socket, number: int) -> None:
        self.sock = sock
        self.number = number
        self.got = b""

    def read_request(self, until: bytes = b"\r\n\r\n") -> bool:
        """Read up to a mark; False if the client has gone."""
        seen = len(self.got)
        while until not in self.got[seen:]:
            block = self.sock.recv(65536)
            if not block:
                return False
            self.got += block
        return True

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def wait_for_the_end(self) -> None:
        while self.sock.recv(65536):
            pass


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[Connection], None]], Server]]:
    servers: list[Server] = []

    def start(talk: Callable[[Connection], None]) -> Server:
        servers.append(Server(talk))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def wire() -> Iterator[Wire]:
    made = Wire()
    yield made
    for post in made._posts.values():
        for connection in post.idle:
            connection.close()


def answers(connection: Connection) -> None:
    """A good server that keeps its connections."""
    while connection.read_request():
        connection.send(OK)


def says(data: bytes) -> Callable[[Connection], None]:
    def talk(connection: Connection) -> None:
        connection.read_request()
        connection.send(data)

    return talk


def standing(wire: Wire) -> Standing:
    return wire._posts["gkb1"].standing


def ask(wire: Wire, site: Site, seconds: float = 5.0, **more: object) -> tuple[int, bytes]:
    with wire.open(site, "GET", "/studies/x", deadline=Deadline(seconds), **more) as answer:  # type: ignore[arg-type]
        return answer.status, answer.read_all(1 << 20)


# ---- pool


def test_a_connection_serves_one_exchange_after_another(wire, serve):
    server = serve(answers)
    assert [ask(wire, server.site()) for _ in range(5)] == [(200, b"ok")] * 5
    assert len(server.connections) == 1


def test_a_connection_that_was_idle_for_too_long_is_not_used_again(wire, serve, monkeypatch):
    server = serve(answers)
    ask(wire, server.site())
    monkeypatch.setattr(wire_module, "IDLE_LIMIT_S", 0.0)
    ask(wire, server.site())
    assert len(server.connections) == 2


def test_a_connection_to_a_former_address_of_the_site_is_not_used_again(wire, serve):
    old, new = serve(answers), serve(answers)
    ask(wire, old.site())
    ask(wire, new.site())
    assert (len(old.connections), len(new.connections)) == (1, 1)


def test_connections_of_a_busy_hour_do_not_stay_open(wire, serve, monkeypatch):
    server = serve(answers)
    held = [wire.open(server.site(), "GET", "/studies/x", deadline=Deadline(5)) for _ in range(8)]
    for answer in held:
        answer.read_all(10)
    assert len(wire._posts["gkb1"].idle) == 8
    monkeypatch.setattr(wire_module, "IDLE_LIMIT_S", 0.0)
    ask(wire, server.site())
    assert len(wire._posts["gkb1"].idle) == 1


def test_bytes_that_nobody_asked_for_are_not_the_next_answer(wire, serve):
    answered, sent = threading.Event(), threading.Event()

    def talk(connection):
        connection.read_request()
        connection.send(OK)
        if connection.number == 0:
            assert answered.wait(5)
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong")
            sent.set()
        connection.wait_for_the_end()

    server = serve(talk)
    assert ask(wire, server.site()) == (200, b"ok")
    answered.set()
    assert sent.wait(5)
    assert ask(wire, server.site()) == (200, b"ok")
    assert len(server.connections) == 2


@pytest.mark.parametrize("body", [None, b'{"a": 1}'], ids=["no body", "bytes"])
def test_an_exchange_on_a_dead_pooled_connection_is_repeated_once(wire, serve, body):
    def talk(connection):
        connection.read_request()
        connection.send(OK)
        if connection.number == 0:
            connection.read_request()  # and closes without an answer: it was idle for too long
        else:
            connection.wait_for_the_end()

    server = serve(talk)
    ask(wire, server.site())
    assert ask(wire, server.site(), body=body) == (200, b"ok")
    assert len(server.connections) == 2
    assert server.connections[0].got.count(b"GET /studies/x") == 2
    assert standing(wire).last_failure == ""


def test_a_body_that_can_be_sent_only_once_gets_a_new_connection(wire, serve):
    def talk(connection):
        while connection.read_request(b"0\r\n\r\n" if connection.number else b"\r\n\r\n"):
            connection.send(OK)

    server = serve(talk)
    ask(wire, server.site())
    assert ask(wire, server.site(), body=iter([b"abc", b"", b"de"])) == (200, b"ok")
    assert len(server.connections) == 2
    assert server.connections[1].got.endswith(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
    assert b"content-length" not in server.connections[1].got.lower()


def test_the_pieces_of_a_chunk_go_together_however_many_they_are(wire, serve):
    def talk(connection):
        connection.read_request(b"0\r\n\r\n")
        connection.send(OK)

    server = serve(talk)
    body = iter([[b"abc", b"", b"de"], [], [b"x" * 7] * 3000, b"f"])
    assert ask(wire, server.site(), body=body) == (200, b"ok")
    chunks = b"5\r\nabcde\r\n" + b"5208\r\n" + b"x" * 21_000 + b"\r\n1\r\nf\r\n0\r\n\r\n"
    assert server.connections[0].got.endswith(b"\r\n\r\n" + chunks)


def test_a_half_read_answer_is_not_reused(wire, serve):
    server = serve(says(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + b"a" * 50))
    with wire.open(server.site(), "GET", "/studies/x", deadline=Deadline(5)) as answer:
        assert answer.read(10) == b"a" * 10
    with pytest.raises(SiteStreamCut):
        ask(wire, server.site())
    assert len(server.connections) == 2


# ---- time


def drip(connection: Connection, prefix: bytes) -> None:
    connection.read_request()
    connection.send(prefix)
    while True:
        connection.send(b"a")
        time.sleep(0.02)


@pytest.mark.parametrize(
    "prefix",
    [b"HTTP/1.1 200 OK\r\nX-Slow: ", b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"],
    ids=["head", "body"],
)
def test_the_deadline_is_for_the_whole_exchange_and_not_for_each_read(wire, serve, prefix):
    server = serve(lambda connection: drip(connection, prefix))
    start = time.monotonic()
    with pytest.raises(SiteTimeout):
        ask(wire, server.site(), seconds=0.4)
    assert 0.3 < time.monotonic() - start < 2


def test_a_stream_has_no_deadline_but_an_idle_limit(wire, serve):
    def talk(connection):
        connection.read_request()
        connection.send(OPEN_END)
        for _ in range(6):
            connection.send(b"a")
            time.sleep(0.1)
        connection.wait_for_the_end()

    site = serve(talk).site(timeouts=Timeouts(idle_s=0.3))
    got = []
    with wire.open(
        site, "GET", "/studies/x", deadline=Deadline(0.3), carries_pixels=True
    ) as answer:
        got.append(answer.read())
        answer.become_stream()
        start = time.monotonic()
        with pytest.raises(SiteTimeout):
            got.extend(iter(answer.read, b""))
    assert b"".join(got) == b"aaaaaa"
    assert time.monotonic() - start > 0.5
    # A stream that has begun was an answer, whatever became of it.
    assert (standing(wire).answers, standing(wire).last_failure) == (True, "")


def test_a_stream_slower_than_the_lowest_rate_ends(wire, serve, monkeypatch):
    monkeypatch.setattr(connection_module, "SLOWEST_WINDOW_S", 0.2)
    server = serve(lambda connection: drip(connection, OPEN_END))
    with wire.open(server.site(), "GET", "/studies/x", deadline=Deadline(5)) as answer:
        answer.read()
        answer.become_stream()
        with pytest.raises(SiteTimeout):
            list(iter(answer.read, b""))


# ---- pouring past this process


def poured(wire: Wire, site: Site, count: int, read: int) -> tuple[int, bytes, bytes]:
    """(what pour says, what came out, what was then read): after one read of `read` bytes."""
    sink, out = socket.socketpair()
    with sink, out, wire.open(site, "GET", "/studies/x", deadline=Deadline(5)) as answer:
        sink.settimeout(5)
        out.settimeout(5)
        answer.read(read)
        said = answer.pour(sink, count, b"first ")
        sink.shutdown(socket.SHUT_WR)
        return said, out.recv(100), answer.read_all(100)


LONG = b"HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n" + b"a" * 19_990 + b"0123456789"


def test_bytes_are_poured_into_a_socket_and_the_rest_is_read(wire, serve):
    def talk(connection):
        while connection.read_request():
            connection.send(LONG)

    server = serve(talk)
    site = server.site()
    sink, out = socket.socketpair()
    with sink, out:
        sink.settimeout(5)
        for rest in (b"789", b""):  # and the connection serves another exchange after both
            with wire.open(site, "GET", "/studies/x", deadline=Deadline(5)) as answer:
                got = 0
                while got < 19_990:
                    got += len(answer.read(19_990 - got if got else 1 << 14))
                count = 10 - len(rest)
                assert answer.pour(sink, count, b"first ") == count
                assert out.recv(100) == b"first " + b"0123456789"[:count]
                assert answer.read_all(100) == rest
    assert len(server.connections) == 1


def test_nothing_is_poured_past_bytes_that_were_read_with_the_head(wire, serve):
    server = serve(says(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789"))
    assert poured(wire, server.site(), 8, read=2) == (0, b"", b"23456789")


def test_chunks_are_not_poured(wire, serve):
    body = b"a\r\n0123456789\r\n0\r\n\r\n"
    server = serve(says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body))
    assert poured(wire, server.site(), 8, read=1 << 16)[0] == 0


@pytest.mark.parametrize("head", [LONG[:-10], OPEN_END + b"a"], ids=["length", "no length"])
def test_a_body_that_ends_while_it_is_poured_is_cut(wire, serve, head):
    site = serve(says(head)).site()
    with pytest.raises(SiteStreamCut):
        poured(wire, site, 20_000, read=1 << 20)


def test_a_body_that_stops_while_it_is_poured_is_not_waited_for(wire, serve):
    def talk(connection):
        connection.read_request()
        connection.send(OPEN_END + b"a")
        connection.wait_for_the_end()

    site = serve(talk).site(timeouts=Timeouts(idle_s=0.3))
    sink, out = socket.socketpair()
    with sink, out, wire.open(site, "GET", "/studies/x", deadline=Deadline(5)) as answer:
        answer.read()
        answer.become_stream()
        with pytest.raises(SiteTimeout):
            answer.pour(sink, 100)


# ---- sending


def test_a_body_that_breaks_off_is_not_ended_by_a_last_chunk(wire, serve):
    done = threading.Event()

    def talk(connection):
        while connection.read_request(b"never"):
            pass
        done.set()

    def body():
        yield b"abc"
        raise BadRequest("body", "the closing boundary is missing")

    server = serve(talk)
    with pytest.raises(BadRequest):
        wire.open(server.site(), "POST", "/instances", deadline=Deadline(5), body=body())
    assert done.wait(5)
    assert server.connections[0].got.endswith(b"3\r\nabc\r\n")
    assert standing(wire).last_failure == ""


def test_an_answer_that_comes_before_the_body_has_gone_is_heard(wire, serve):
    def talk(connection):
        connection.read_request()
        connection.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig")
        connection.sock.shutdown(socket.SHUT_RD)

    server = serve(talk)
    blocks = (b"x" * 65536 for _ in range(2000))
    # Either is right: the kernel may throw the answer away when it resets the connection.
    try:
        with wire.open(
            server.site(), "POST", "/instances", deadline=Deadline(10), body=blocks
        ) as answer:
            told = (answer.status, answer.read_all(10))
    except SiteUnreachable as error:
        told = error.code
    assert told in ((413, b"big"), "unreachable")
    assert wire._posts["gkb1"].idle == type(wire._posts["gkb1"].idle)()


def test_a_site_that_stops_reading_is_a_timeout(wire, serve):
    go_on = threading.Event()
    server = serve(lambda connection: go_on.wait(10))
    site = server.site(timeouts=Timeouts(idle_s=0.3))
    blocks = (b"x" * 65536 for _ in range(2000))
    try:
        with pytest.raises(SiteTimeout):
            wire.open(site, "POST", "/instances", deadline=Deadline(30), body=blocks)
    finally:
        go_on.set()


@pytest.mark.parametrize(
    ("target", "headers"),
    [
        ("/studies/x HTTP/1.1\r\nX-Evil: 1\r\n\r\n", []),
        ("/studies/x\nX-Evil: 1", []),
        ("/studies/x y", []),
        ("/иванов", []),
        ("/studies/x\x00", []),
        ("/studies/x", [("Accept", "a\r\nX-Evil: 1")]),
        ("/studies/x", [("Accept\r\nX-Evil", "1")]),
        ("/studies/x", [("Accept", "иванов")]),
    ],
)
def test_a_head_with_a_line_too_many_is_never_sent(wire, serve, target, headers):
    server = serve(answers)
    with pytest.raises(ValueError, match="ASCII"):
        wire.open(server.site(), "GET", target, deadline=Deadline(5), headers=headers)
    assert all(connection.got == b"" for connection in server.connections)
    assert ask(wire, server.site()) == (200, b"ok")


def test_a_site_gets_its_own_password_and_nothing_else_of_ours(wire, serve):
    server = serve(answers)
    ask(wire, server.site(username="gw", password=Secret("tä:st")), headers=[("Accept", "a/b")])
    lines = server.connections[0].got.decode().split("\r\n")
    assert lines == [
        "GET /studies/x HTTP/1.1",
        f"Host: {server.url.removeprefix('http://')}",
        "Accept-Encoding: identity",
        "Authorization: Basic Z3c6dMOkOnN0",
        "Accept: a/b",
        "",
        "",
    ]


# ---- what is no answer

NO_ANSWER = {
    "closes without a word": (b"", SiteUnreachable),
    "speaks no HTTP": (b"SSH-2.0-OpenSSH\r\n\r\n", SiteSpeaksGarbage),
    "a line of 70 KB": (b"HTTP/1.1 200 OK\r\nA: " + b"a" * 70_000 + b"\r\n\r\n", SiteSpeaksGarbage),
    "150 headers": (
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 150 + b"\r\n",
        SiteSpeaksGarbage,
    ),
    "compressed": (
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nok",
        SiteSpeaksGarbage,
    ),
    "401": (b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n", SiteUntrusted),
    "403": (b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", SiteUntrusted),
    "cut": (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", SiteStreamCut),
    "cut in a chunk": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nok",
        SiteStreamCut,
    ),
    "broken chunk size": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nok",
        SiteStreamCut,
    ),
    "no last chunk": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
        SiteStreamCut,
    ),
    "larger than it may be": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 1100000\r\n\r\n" + b"a" * 1_100_000,
        SiteSpeaksGarbage,
    ),
}


@pytest.mark.parametrize("pixels", [False, True], ids=["search", "pixels"])
@pytest.mark.parametrize(("data", "error"), NO_ANSWER.values(), ids=list(NO_ANSWER))
def test_what_is_no_answer_is_counted_and_gives_its_slot_back(
    wire, serve, monkeypatch, data, error, pixels
):
    monkeypatch.setattr(wire_module, "SLOTS_PER_SITE", 1)
    monkeypatch.setattr(wire_module, "SLOTS_FOR_BODIES", 1)
    server = serve(says(data))
    with pytest.raises(error) as caught:
        ask(wire, server.site(), carries_pixels=pixels)
    assert type(caught.value) is error
    stands = standing(wire)
    assert (stands.last_failure, stands.answers) == (error.code, False)
    assert stands.state == ("open" if error is SiteUntrusted else "closed")

    stands.answered(time.monotonic(), 0.1)
    server.talk = answers
    assert ask(wire, server.site(), carries_pixels=pixels) == (200, b"ok")


def test_all_slots_taken_is_busy_and_no_failure_of_the_site(wire, serve, monkeypatch):
    monkeypatch.setattr(wire_module, "SLOTS_FOR_BODIES", 1)
    server = serve(answers)
    with wire.open(server.site(), "GET", "/studies/x", deadline=Deadline(5), carries_pixels=True):
        with pytest.raises(SiteBusy):
            ask(wire, server.site(), seconds=0.1, carries_pixels=True)
        assert ask(wire, server.site()) == (200, b"ok")
    assert ask(wire, server.site(), carries_pixels=True) == (200, b"ok")
    assert standing(wire).last_failure == ""


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE], ids=["process", "machine"])
def test_no_descriptor_left_is_busy_and_no_failure_of_the_site(wire, serve, monkeypatch, number):
    """F56"""
    site = serve(answers).site()

    def refuse(*_: object) -> socket.socket:
        raise OSError(number, "Too many open files")

    monkeypatch.setattr(connection_module, "_open_socket", refuse)
    for _ in range(5):  # as many failures would open the breaker
        with pytest.raises(SiteBusy):
            ask(wire, site)
    monkeypatch.undo()
    assert ask(wire, site) == (200, b"ok")


def test_a_peer_that_has_vanished_is_noticed_by_the_kernel(wire, serve):
    """F10: a cable that was pulled sends neither FIN nor RST."""
    site = serve(answers).site()
    with wire.open(site, "GET", "/studies/x", deadline=Deadline(5.0)) as answer:
        sock = answer._connection.sock
        asked = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        options = [sock.getsockopt(socket.IPPROTO_TCP, option) for option in asked]
        assert options == [15, 5, 3]
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 30_000


def test_five_answers_of_garbage_open_the_breaker_though_each_was_http(wire, serve):
    server = serve(answers)

    def misunderstand() -> None:
        with wire.open(server.site(), "GET", "/studies/x", deadline=Deadline(5)) as answer:
            answer.read_all(100)
            raise SiteSpeaksGarbage("gkb1", "no JSON")

    for _ in range(5):
        with pytest.raises(SiteSpeaksGarbage):
            misunderstand()
    with pytest.raises(SiteUnreachable, match="not asked after garbage"):
        ask(wire, server.site())
    assert sum(connection.got.count(b"GET") for connection in server.connections) == 5


@pytest.mark.parametrize(
    ("status", "counts"), [(400, False), (414, False), (404, True), (503, True)]
)
def test_a_refusal_of_what_we_asked_is_no_fault_of_the_site(wire, serve, status, counts):
    server = serve(says(b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % status))
    with (
        pytest.raises(SiteError),
        wire.open(server.site(), "GET", "/studies/x", deadline=Deadline(5)) as answer,
    ):
        raise SiteRefused("gkb1", answer.status)
    assert standing(wire).answers is not counts


def test_nobody_listening_is_unreachable(wire):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    site = Site(site_id="gkb1", name_ru="П", name_en="F", url=f"http://127.0.0.1:{port}")
    with pytest.raises(SiteUnreachable):
        ask(wire, site)


def test_the_end_of_a_tls_handshake_is_no_wrong_certificate(wire, serve):
    server = serve(lambda connection: connection.sock.recv(1))
    site = server.site(url=server.url.replace("http:", "https:"))
    with pytest.raises(SiteUnreachable):
        ask(wire, site)
    assert standing(wire).state == "closed"
