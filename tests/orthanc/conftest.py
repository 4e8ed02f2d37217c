"""A site made of bytes: what it says to every connection is written in the test."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from gateway.model.sites import Secret, Site, Timeouts

Say = Callable[[socket.socket], None]


def make_site(url: str, **values: object) -> Site:
    timeouts = Timeouts(connect_s=1.0, probe_s=5.0)
    return Site("gkb1", "Первая", "First", url, **{"timeouts": timeouts, **values})  # type: ignore[arg-type]


def as_site(server, **values: object) -> Site:
    """The site that a real OrthancServer is."""
    login = {"username": server.username, "password": Secret(server.password)}
    return make_site(server.url, **{**login, **values})


@pytest.fixture
def site_of_bytes() -> Iterator[Callable[[Say | bytes], str]]:
    """site_of_bytes(b"HTTP/1.1 200 OK...") -> URL of a server that says only that, then closes."""
    listeners: list[socket.socket] = []

    def start(say: Say | bytes) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def serve() -> None:
            while True:
                try:
                    sock, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=answer, args=(sock,), daemon=True).start()

        def answer(sock: socket.socket) -> None:
            with sock, suppress(OSError):
                while b"\r\n\r\n" not in sock.recv(65536):
                    pass
                if isinstance(say, bytes):
                    sock.sendall(say)
                else:
                    say(sock)

        threading.Thread(target=serve, daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield start
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
