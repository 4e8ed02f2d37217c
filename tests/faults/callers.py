"""Callers at the level of the socket: they see how an answer really ends."""

import socket
import struct
import time
from dataclasses import dataclass

RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class RawAnswer:
    """What came on the wire. `ended` is "FIN" or "RST"."""

    head: bytes
    body: bytes
    ended: str

    @property
    def status(self) -> int:
        return int(self.head.split(b" ", 2)[1])

    @property
    def chunked(self) -> bool:
        return b"transfer-encoding: chunked" in self.head.lower()

    @property
    def length(self) -> int | None:
        for line in self.head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                return int(line.partition(b":")[2])
        return None

    @property
    def is_whole(self) -> bool:
        """Whether a client of HTTP takes it for complete."""
        if self.length is not None:
            return len(self.body) >= self.length
        if self.chunked:
            return self.body.endswith(b"0\r\n\r\n")
        return self.ended == "FIN"


def open_request(port: int, path: str, *lines: str, version: str = "1.1") -> socket.socket:
    """Send one GET; the caller reads the answer and closes the socket."""
    sock = socket.create_connection(("127.0.0.1", port), 20)
    head = [f"GET {path} HTTP/{version}", "Host: localhost", "Connection: close", *lines, "", ""]
    sock.sendall("\r\n".join(head).encode("ascii"))
    return sock


def read_to_the_end(sock: socket.socket) -> RawAnswer:
    raw, ended = bytearray(), "FIN"
    try:
        while block := sock.recv(1 << 20):
            raw += block
    except ConnectionResetError:
        ended = "RST"
    head, _, body = bytes(raw).partition(b"\r\n\r\n")
    return RawAnswer(head, body, ended)


def raw_get(port: int, path: str, *lines: str, version: str = "1.1") -> RawAnswer:
    """GET, and every byte of what comes back."""
    with open_request(port, path, *lines, version=version) as sock:
        return read_to_the_end(sock)


def raw_send(port: int, request: bytes) -> RawAnswer:
    """Any bytes, and every byte of what comes back."""
    with socket.create_connection(("127.0.0.1", port), 20) as sock:
        sock.sendall(request)
        sock.shutdown(socket.SHUT_WR)
        return read_to_the_end(sock)


def vanish(sock: socket.socket) -> None:
    """The caller's machine is gone: RST instead of FIN."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    sock.close()


def read_slowly(sock: socket.socket, seconds: float, block: int = 64 * 1024) -> int:
    """Read a block every tenth of a second; how many bytes came."""
    until, got = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        got += len(sock.recv(block))
        time.sleep(0.1)
    return got
