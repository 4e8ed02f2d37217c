"""The bench's own HTTP/1.1 client: raw sockets and one buffer, so that what is timed is the server.

Only what Orthanc and the gateway send is understood: a length, chunks, or the end of the stream.
"""

import base64
import socket
from collections.abc import Iterable
from dataclasses import dataclass

CAPACITY = 2 * 2**20  # answers that are looked at are held whole
WRAP = 2**20  # a bulk answer runs through this much of the buffer, so that it stays in the cache
PIECE = WRAP // 2  # most of a chunk that is read at once
TAIL = 256  # last bytes of a bulk answer that are kept: its closing boundary
SPARE = 64  # bytes read beyond a chunk: its CRLF and the next chunk's size
TIMEOUT_S = 60.0


class Broken(Exception):
    """The answer cannot be read: cut, not HTTP, or larger than the buffer."""


@dataclass(frozen=True)
class Answer:
    """One answer; `body` is the client's own buffer and changes with the next answer.

    length  bytes of the body, without chunk framing
    start   where the body begins in `body`, -1 if the answer was bulk: then only `tail` is kept
    """

    status: int
    headers: dict[str, str]
    length: int
    body: bytearray
    start: int
    tail: bytes

    @property
    def content(self) -> bytes:
        """The whole body, copied."""
        return bytes(self.body[self.start : self.start + self.length])


class Client:
    """One connection that is kept between requests; opened again when the server closed it."""

    def __init__(self, port: int, username: str = "", password: str = "") -> None:
        self.port = port
        self._always = f"Host: 127.0.0.1:{port}\r\n"
        if username:
            token = base64.b64encode(f"{username}:{password}".encode()).decode()
            self._always += f"Authorization: Basic {token}\r\n"
        self._buffer = bytearray(CAPACITY)
        self._view = memoryview(self._buffer)
        self._socket: socket.socket | None = None
        self._head = b""

    def ask(
        self, method: str, target: str, headers: str = "", body: bytes = b"", *, bulk: bool = False
    ) -> Answer:
        """One exchange. Call `fresh` before: a server may have closed a connection kept long."""
        self.send(method, target, headers, body)
        return self.receive(bulk=bulk)

    def send(self, method: str, target: str, headers: str = "", body: bytes = b"") -> None:
        """Send a request; `headers` are whole lines with CRLF."""
        if body:
            headers += f"Content-Length: {len(body)}\r\n"
        self._connected().sendall(self._request(method, target, headers) + body)
        self._head = b""

    def send_chunked(
        self, method: str, target: str, headers: str, blocks: Iterable[memoryview]
    ) -> None:
        """Send a request on a fresh connection whose body has no length."""
        self.close()
        sock = self._connected()
        headers += "Transfer-Encoding: chunked\r\n"
        sock.sendall(self._request(method, target, headers))
        for block in blocks:
            sock.sendall(b"%x\r\n" % len(block))
            sock.sendall(block)
            sock.sendall(b"\r\n")
        sock.sendall(b"0\r\n\r\n")
        self._head = b""

    def receive(self, *, bulk: bool = False) -> Answer:
        """Read the answer to its end; `bulk` counts the bytes and keeps only the last ones."""
        status, headers = self._read_head()
        if "chunked" in headers.get("transfer-encoding", ""):
            length, end = self._read_chunks(bulk)
        else:
            said = headers.get("content-length")
            length, end = self._read_plain(None if said is None else int(said), bulk)
            if said is None:
                self.close()
        if headers.get("connection", "").lower() == "close":
            self.close()
        tail = bytes(self._view[max(0, end - TAIL) : end])
        return Answer(status, headers, length, self._buffer, -1 if bulk else 0, tail)

    def fresh(self) -> None:
        """Open a new connection now."""
        self.close()
        self._connected()

    def close(self) -> None:
        """Drop the connection; the next request opens another."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connected(self) -> socket.socket:
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self.port), TIMEOUT_S)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._socket

    def _request(self, method: str, target: str, headers: str) -> bytes:
        return f"{method} {target} HTTP/1.1\r\n{self._always}{headers}\r\n".encode("ascii")

    def _read_head(self) -> tuple[int, dict[str, str]]:
        sock = self._connected()
        received = b""
        while (end := received.find(b"\r\n\r\n")) < 0:
            block = sock.recv(64 * 1024)
            if not block:
                self.close()
                raise Broken("closed before the head of an answer")
            received += block
        self._head = received[end + 4 :]
        lines = received[:end].decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines[1:])
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        return int(lines[0].split(" ", 2)[1]), headers

    def _room(self, at: int, needed: int, bulk: bool) -> int:
        """Where the next bytes go: a bulk answer starts again at the front, past its tail."""
        if bulk and at > WRAP:
            self._view[:TAIL] = self._view[at - TAIL : at]
            at = TAIL
        if at + needed > CAPACITY:
            raise Broken("an answer is larger than the buffer")
        return at

    def _read_plain(self, length: int | None, bulk: bool) -> tuple[int, int]:
        sock = self._connected()
        at = total = len(self._head)
        self._view[:at] = self._head
        while length is None or total < length:
            at = self._room(at, 1, bulk)
            most = CAPACITY - at if length is None else min(length - total, CAPACITY - at)
            got = sock.recv_into(self._view[at:], min(most, WRAP))
            if not got:
                break
            at += got
            total += got
        if length is not None and total != length:
            self.close()
            raise Broken(f"{total} bytes of {length}")
        return total, at

    def _read_chunks(self, bulk: bool) -> tuple[int, int]:
        at = total = 0
        while True:
            size = self._chunk_size()
            left = size + 2
            while left:
                piece = min(left, PIECE)
                at = self._room(at, piece + SPARE, bulk)
                self._take(at, piece)
                at += piece
                left -= piece
            if self._buffer[at - 2 : at] != b"\r\n":
                raise Broken("a chunk does not end where it should")
            at -= 2
            if size == 0:
                return total, at
            total += size

    def _take(self, at: int, needed: int) -> None:
        """Put the next bytes of the stream at `at`; what came beyond them waits in _head."""
        got = min(len(self._head), needed + SPARE)
        self._view[at : at + got] = self._head[:got]
        rest = self._head[got:]
        got = self._fill(at, got, needed)
        self._head = bytes(self._view[at + needed : at + got]) + rest

    def _fill(self, at: int, got: int, needed: int) -> int:
        sock = self._connected()
        while got < needed:
            more = sock.recv_into(self._view[at + got :], needed + SPARE - got)
            if not more:
                self.close()
                raise Broken("cut inside a chunk")
            got += more
        return got

    def _chunk_size(self) -> int:
        while (end := self._head.find(b"\r\n")) < 0:
            block = self._connected().recv(SPARE)
            if not block:
                self.close()
                raise Broken("cut between two chunks")
            self._head += block
        size = int(self._head[:end].split(b";")[0], 16)
        self._head = self._head[end + 2 :]
        return size
