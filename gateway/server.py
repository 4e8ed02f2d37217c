"""What the gateway needs of gunicorn beyond WSGI: how connections begin and end, and what a request
that never reached the application is told. gunicorn also reads `ssl_context` here, as its
configuration.

Imports nothing of the gateway: gunicorn's master loads this file before gevent has patched the
standard library.
"""

import errno
import json
import mmap
import resource
import socket
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache, lru_cache, partial
from typing import Any, NamedTuple

import gevent
from gevent import ssl
from gevent.event import Event
from gevent.pool import Pool
from gevent.server import StreamServer
from gevent.threadpool import ThreadPool
from gunicorn import sock as listening
from gunicorn.http import body, errors, message, wsgi
from gunicorn.util import http_date
from gunicorn.workers.ggevent import GeventWorker

STALL_S = 60.0
"""Longest wait for a caller to take a block of 256 KB, or to send more of its request."""
HEAD_S = 10.0
"""Longest that a new caller takes for TLS, and after it for its first request's head (H9)."""
END_IDLE_AFTER_S = 3.0
"""A process that goes away ends a kept connection when it has rested so long: longer than nginx
keeps one (2 s, nginx.conf), so that nginx never writes into one that we end."""
LOOK_AGAIN_S = 0.5
MOST_LOOKUPS = 256
"""Names that are looked up at a time: one thread for each, while it lasts."""
FILES_OF_ONE = 4
"""Descriptors of a download: the caller, the site, and a pipe between them (splice.py)."""
OWN_FILES = 64
TOO_MANY = 64
"""Callers that are told so at once, beyond those that are served; more are only let go."""
TOLD_S = 2.0

_NO_PROXY_SETS = {
    "secure_scheme_headers": {},
    "forwarder_headers": [],
    "forwarded_allow_ips": ["*"],
}
"""No header changes what a request is: GATEWAY_PUBLIC_URL says where we are. So gunicorn need not
parse the address of each caller to find out whether he may send one."""
_BYTES_RECEIVED = 128
"""Where Linux's tcp_info holds tcpi_bytes_received."""
_ages = memoryview(mmap.mmap(-1, 16)).cast("Q")
"""Seen by all processes: up to which age (gunicorn's count of them) the last SIGHUP replaces them,
and the age of the youngest that serves."""
_RESET = struct.pack("ii", 1, 0)
_FLUSH = struct.pack("ii", 0, 0)

_REFUSALS: tuple[tuple[type[Exception], int, str, str], ...] = (
    (errors.InvalidResponseHeader, 500, "Gateway failed", ""),
    (errors.InvalidResponseHeaderName, 500, "Gateway failed", ""),
    (errors.LimitRequestLine, 414, "URI Too Long", "request line"),
    (errors.LimitRequestHeaders, 431, "Request Header Fields Too Large", "headers"),
    (errors.ExpectationFailed, 417, "Expectation Failed", "Expect"),
    (errors.UnsupportedTransferCoding, 501, "Not Implemented", "Transfer-Encoding"),
    (errors.InvalidHeader, 400, "Bad Request", "headers"),
    (errors.InvalidHeaderName, 400, "Bad Request", "headers"),
    (errors.ObsoleteFolding, 400, "Bad Request", "headers"),
    (errors.ParseException, 400, "Bad Request", "request line"),
)


class Body(body.Body):
    """A request's body that can be had as it comes. gunicorn's own `read` waits for just the size
    that is asked for, and copies each byte four times on its way there.
    """

    def read1(self, size: int) -> bytes:
        """Some bytes, as soon as there are any: at most `size`, or a MiB of one chunk; b"" at the
        end.
        """
        try:
            if not self.buf.tell():
                if isinstance(self.reader, body.ChunkedReader):
                    return self._of_chunk(self.reader, size)
                if isinstance(self.reader, body.LengthReader):
                    return self._of_length(self.reader, size)
        except Exception:
            self.failed = True
            raise
        return bytes(self.read(size))

    @staticmethod
    def _of_chunk(reader: Any, size: int) -> bytes:
        if reader.buf.tell():
            return bytes(reader.read(min(size, reader.buf.tell())))
        for piece in reader.parser or ():
            if piece:  # an empty one comes where a chunk begins, and is not the end
                return bytes(piece)
        reader.parser = None
        return b""

    @staticmethod
    def _of_length(reader: Any, size: int) -> bytes:
        unreader = reader.unreader
        here = unreader.buf.tell()
        if here or reader.length <= unreader.mxchunk:  # so much may be of the next request
            return bytes(reader.read(min(size, here or size)))
        block = bytes(unreader.chunk(min(size, reader.length)))
        reader.length -= len(block)
        return block


class Answer(wsgi.Response):
    """An answer whose head leaves with the first bytes of its body: one packet, and one time that
    the caller wakes up. Not where no length tells the end: of what breaks off, the head is told.
    """

    headers_sent: bool

    def send_headers(self) -> None:
        if self.headers_sent:
            return
        self.headers_sent = True
        lines = [
            f"HTTP/{self.req.version[0]}.{self.req.version[1]} {self.status}",
            f"Server: {self.version}",
            f"Date: {_date(int(time.time()))}",
            "Connection: close" if self.should_close() else "Connection: keep-alive",
            *(f"{name}: {value}" for name, value in self.headers),
        ]
        if self.chunked:
            lines.append("Transfer-Encoding: chunked")
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        follows = self.response_length and not self._omits_body
        send(self.sock, head, socket.MSG_MORE if follows else 0)


def ssl_context(config: Any, _default: Any) -> ssl.SSLContext:
    """gunicorn's hook: read in each new web process, so that SIGHUP takes a renewed certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(config.certfile, config.keyfile)
    return context


def on_reload(arbiter: Any) -> None:
    """gunicorn's hook: SIGHUP has come to the master, and its processes will hear SIGTERM."""
    _ages[0] = arbiter.worker_age


class _Listener(NamedTuple):
    """What gunicorn asks of a listening socket; still there when that one is closed."""

    name: Any

    def getsockname(self) -> Any:
        return self.name


class _Rest(NamedTuple):
    """A kept connection between two requests: since when, and what had come by the last look."""

    client: Any
    since: float
    received: int = -1


class Worker(GeventWorker):
    """A gevent worker whose broken downloads look broken to every client.

    While an answer is on its way, any end of its connection is a reset: also when this process is
    killed, and also for HTTP/1.0, where the end of the connection is all that marks the end of a
    body of unknown length (trust.md R3, F32).
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._clients: dict[gevent.Greenlet, Any] = {}
        self._idle: dict[gevent.Greenlet, _Rest] = {}
        self._asked_to_end = Event()
        self._is_hurried = self._leaves = False
        self._tls: ssl.SSLContext | None = None
        self._new: set[gevent.Greenlet] = set()
        self._served = self._told = 0
        self.worker_connections += TOO_MANY
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # the usual 1024 are few

    def run(self) -> None:
        """Serve until SIGTERM; then end so that no short request fails (F34)."""
        # On threads of their own: when a resolver hangs, disks and compression still find theirs.
        gevent.get_hub().resolver.pool = ThreadPool(MOST_LOOKUPS)
        self._tls = listening.ssl_context(self.cfg) if self.cfg.is_ssl else None
        servers = [self._open(sock) for sock in self.sockets]
        _ages[1] = max(_ages[1], self.age)
        while self.alive:
            self.notify()
            self._asked_to_end.wait(1.0)
        self._await_successor()
        self._leaves = True
        for server in servers:
            # Nobody may be left to take them: of the last process the kernel would reset them.
            while taken := server.do_read():
                server.do_handle(*taken)
            server.close()
        gevent.spawn(self._end_idle)
        end = time.monotonic() + self.cfg.graceful_timeout
        while any(len(server.pool) for server in servers) and time.monotonic() < end:
            self.notify()
            gevent.sleep(0.1)
        for server in servers:
            server.stop(timeout=1)

    def _await_successor(self) -> None:
        """Go on until a new process serves, if one is to come: nobody waits while it starts.

        Not after a second SIGTERM: gunicorn sends it when none has come for 30 s, and at its end.
        """
        while self.age <= _ages[0] >= _ages[1] and not self._is_hurried:
            self.notify()
            gevent.sleep(0.1)

    def _open(self, sock: Any) -> StreamServer:
        """Take what comes to a listening socket; TLS begins in `handle`."""
        sock.setblocking(1)
        serve = partial(self.handle, _Listener(sock.getsockname()))
        server = StreamServer(sock, handle=serve, spawn=Pool(self.worker_connections))
        if self.cfg.workers > 1:
            server.max_accept = 1
        server.start()
        return server

    def handle(self, listener: Any, client: Any, addr: Any) -> None:
        """Serve a connection, or say at once that there are too many: nobody waits unheard until
        a descriptor is free (trust.md F56).
        """
        client.setblocking(1)
        if self._tls:
            # gevent would shake hands here, and wait for it without end.
            client = self._tls.wrap_socket(client, server_side=True, do_handshake_on_connect=False)
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        room = (files - OWN_FILES - TOO_MANY) // FILES_OF_ONE
        if self._served >= min(self.worker_connections - TOO_MANY, room):
            self._refuse(client)
            return
        this = gevent.getcurrent()
        self._served += 1
        self._new.add(this)
        self._clients[this] = client
        try:
            if self._is_greeted(client):
                super().handle(listener, client, addr)
        finally:
            del self._clients[this]
            self._new.discard(this)
            self._served -= 1

    def _is_greeted(self, client: Any) -> bool:
        """Whether the caller may go on to its first request: over TLS, after the handshake."""
        if isinstance(client, ssl.SSLSocket):
            try:
                client.settimeout(HEAD_S)
                client.do_handshake()
            except OSError as error:  # a port scanner, plain HTTP, or somebody who says nothing
                self.log.debug("no TLS handshake: %s", error)
                client.close()
                return False
        return True

    def _refuse(self, client: Any) -> None:
        """503, unread; what the caller sends is taken, so that it hears the answer."""
        answer = _problem(503, "Gateway is busy", {"detail": "too many at once"}, "Retry-After: 5")
        self._told += 1
        try:
            with gevent.Timeout(TOLD_S, False), suppress(OSError):
                client.sendall(answer)
                client.shutdown(socket.SHUT_WR)
                while self._told <= TOO_MANY and client.recv(64 * 1024):
                    pass
        finally:
            self._told -= 1
            client.close()

    def init_process(self) -> None:
        # gunicorn looks up some twenty settings for each request, and each by three calls.
        self.cfg.__dict__.update({name: one.get() for name, one in self.cfg.settings.items()})
        self.cfg.__dict__.update(_NO_PROXY_SETS)
        message.Body = Body
        wsgi.WSGIErrorsWrapper = cache(wsgi.WSGIErrorsWrapper)  # and the same log for each
        super().init_process()

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> None:
        for name, value in req.headers:
            # gunicorn takes packed bodies and leaves them packed: nobody here would unpack them.
            if name == "TRANSFER-ENCODING" and value.strip().lower() != "chunked":
                raise errors.UnsupportedTransferCoding(value)
        sock.settimeout(STALL_S)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        answer, environ = wsgi.create(req, sock, addr, listener_name, self.cfg, Answer)
        if self._leaves:
            answer.force_close()
            environ["gateway.leaves"] = True  # for /readyz
        try:
            self._answer(answer, environ)
        except TimeoutError as error:
            raise ConnectionResetError(errno.ECONNRESET, "the caller stalled") from error
        except (gevent.GreenletExit, SystemExit):
            raise StopIteration from None  # cut off: nothing further is served on it
        _end_well(sock)
        if answer.should_close():
            raise StopIteration  # gunicorn's word for "answered, and now close"

    def _answer(self, answer: Answer, environ: dict[str, Any]) -> None:
        """Send what the application says; raises OSError if that breaks off."""
        try:
            body = self.wsgi(environ, answer.start_response)
            try:
                for block in body:
                    answer.write(block)
                answer.close()
            finally:
                if hasattr(body, "close"):
                    body.close()
        except OSError:
            raise
        except Exception as error:
            if not answer.headers_sent:
                raise
            self.log.exception("fault in an answer")
            raise ConnectionResetError(errno.ECONNRESET, "a fault in an answer") from error

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        """Answer what could not be parsed; never shows what was sent, here or in the log."""
        _end_well(client)
        known = (row[1:] for row in _REFUSALS if isinstance(exc, row[0]))
        status, title, field = next(known, (500, "Gateway failed", ""))
        if status == 500:
            self.log.exception("fault in the server")
        else:
            self.log.warning("request refused: %s %s", status, type(exc).__name__)
        detail = {"field": field, "detail": "cannot be read, or is longer than is taken here"}
        with suppress(OSError):
            client.sendall(_problem(status, title, detail if field else {}))

    @contextmanager
    def timeout_ctx(self) -> Iterator[None]:
        """Around the wait for a connection's next request, and around reading its head.

        A connection that has brought one request may rest (a proxy keeps it for the next); a new
        one has a request at once.
        """
        waiting = gevent.getcurrent()
        is_new = waiting in self._new
        self._new.discard(waiting)
        with gevent.Timeout(HEAD_S if is_new else self.cfg.keepalive, False):
            if not is_new:
                self._idle[waiting] = _Rest(self._clients[waiting], time.monotonic())
            try:
                yield
            finally:
                self._idle.pop(waiting, None)

    def handle_exit(self, sig: int, frame: Any) -> None:
        """SIGTERM: what runs is finished; connections that only rest do not hold up the end."""
        super().handle_exit(sig, frame)
        self._is_hurried = self._asked_to_end.is_set()
        self._asked_to_end.set()

    def _end_idle(self) -> None:
        """Again and again until the process ends. A connection on which anything came since the
        last look, read or unread, is answered, and told to come to another process next time.
        """
        while True:
            for waiting, rest in list(self._idle.items()):
                received = _received(rest.client)
                rests_s = time.monotonic() - rest.since
                if rests_s >= END_IDLE_AFTER_S and received == rest.received:
                    gevent.kill(waiting, StopIteration)
                else:
                    self._idle[waiting] = rest._replace(received=received)
            gevent.sleep(LOOK_AGAIN_S)


def _received(sock: Any) -> int:
    """Bytes that have come over a connection, by the kernel's count; -1 when it is gone."""
    try:
        told = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES_RECEIVED + 8)
    except OSError:
        return -1
    return int.from_bytes(told[_BYTES_RECEIVED:], sys.byteorder)


def send(sock: Any, block: bytes, flags: int = 0) -> None:
    """Send all of it: mostly at once, and only then without a look at the socket's buffer."""
    if isinstance(sock, ssl.SSLSocket):
        flags = 0  # TLS makes packets of its own
    sent = sock.send(block, flags)
    if sent < len(block):
        sock.sendall(block[sent:], flags)


@lru_cache(maxsize=2)
def _date(second: int) -> str:
    return str(http_date(second))


def _problem(status: int, title: str, facts: dict[str, str], *lines: str) -> bytes:
    """A whole answer (RFC 9457), after which the connection ends."""
    body = json.dumps({"type": "about:blank", "title": title, "status": status, **facts}).encode()
    head = [
        f"HTTP/1.1 {status} {title}",
        "Content-Type: application/problem+json",
        f"Content-Length: {len(body)}",
        "Connection: close",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        "Referrer-Policy: no-referrer",
        "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'",
        *lines,
    ]
    return "\r\n".join([*head, "", ""]).encode("ascii") + body


def _end_well(sock: Any) -> None:
    """From now on the connection ends as usual: what is written is delivered first."""
    with suppress(OSError):
        sock.settimeout(None)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _FLUSH)
