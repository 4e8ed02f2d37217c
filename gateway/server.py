"""What the gateway needs of gunicorn beyond WSGI: how connections end, and what a request that
never reached the application is told.

Imports nothing of the gateway: gunicorn's master loads this file before gevent has patched the
standard library.
"""

import errno
import json
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import gevent
from gunicorn.http import errors
from gunicorn.workers.base_async import AsyncWorker
from gunicorn.workers.ggevent import GeventWorker

STALL_S = 60.0
"""Longest wait for a caller to take a block of 256 KB, or to send more of its request."""
END_IDLE_AFTER_S = 1.5

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


class Worker(GeventWorker):
    """A gevent worker whose broken downloads look broken to every client.

    While an answer is on its way, any end of its connection is a reset: also when this process is
    killed, and also for HTTP/1.0, where the end of the connection is all that marks the end of a
    body of unknown length (trust.md R3, F32).
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._idle: set[gevent.Greenlet] = set()

    def init_process(self) -> None:
        # gunicorn looks up some twenty settings for each request, and each by three calls.
        self.cfg.__dict__.update({name: one.get() for name, one in self.cfg.settings.items()})
        super().init_process()

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> None:
        sock.settimeout(STALL_S)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        try:
            AsyncWorker.handle_request(self, listener_name, req, sock, addr)
        except StopIteration:  # gunicorn's word for "answered, and now close"
            _end_well(sock)
            raise
        except TimeoutError as error:
            raise ConnectionResetError(errno.ECONNRESET, "the caller stalled") from error
        except (gevent.GreenletExit, SystemExit):
            return
        _end_well(sock)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        """Answer what could not be parsed; never shows what was sent, here or in the log."""
        _end_well(client)
        known = (row[1:] for row in _REFUSALS if isinstance(exc, row[0]))
        status, title, field = next(known, (500, "Gateway failed", ""))
        if status == 500:
            self.log.exception("fault in the server")
        else:
            self.log.warning("request refused: %s %s", status, type(exc).__name__)
        facts: dict[str, object] = {"type": "about:blank", "title": title, "status": status}
        if field:
            facts |= {"field": field, "detail": "cannot be read, or is longer than is taken here"}
        body = json.dumps(facts).encode()
        head = (
            f"HTTP/1.1 {status} {title}\r\nContent-Type: application/problem+json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\nCache-Control: no-store\r\n\r\n"
        )
        with suppress(OSError):
            client.sendall(head.encode("ascii") + body)

    @contextmanager
    def timeout_ctx(self) -> Iterator[None]:
        """Around the wait for a connection's next request."""
        waiting = gevent.getcurrent()
        with gevent.Timeout(self.cfg.keepalive, False):
            self._idle.add(waiting)
            try:
                yield
            finally:
                self._idle.discard(waiting)

    def handle_exit(self, sig: int, frame: Any) -> None:
        """SIGTERM: what runs is finished; connections that only wait do not hold up the end."""
        super().handle_exit(sig, frame)
        gevent.spawn_later(END_IDLE_AFTER_S, self._end_idle)

    def _end_idle(self) -> None:
        for waiting in list(self._idle):
            gevent.kill(waiting, StopIteration)


def _end_well(sock: Any) -> None:
    """From now on the connection ends as usual: what is written is delivered first."""
    with suppress(OSError):
        sock.settimeout(None)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _FLUSH)
