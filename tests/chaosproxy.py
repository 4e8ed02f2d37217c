"""A TCP proxy between the gateway and a real site that does wrong what the test says.

It reads requests and answers only as far as it must know where they end, and hands the bytes on
untouched. `proxy.fault = cut(0.5)` holds for every request that begins after it; a fault is a
function that gets the `Talk` of one request and answers it, well or badly.
"""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import BinaryIO, Self

from gateway.demo.servers import free_port

BLOCK = 64 * 1024
RESET = struct.pack("ii", 1, 0)
LONGEST_S = 60.0
"""No socket of the proxy waits longer: a test that hangs must end."""


class Gone(Exception):
    """The gateway or the site has ended the connection, or the proxy stops."""


class Talk:
    """One request of the gateway, and what can be done with it."""

    def __init__(self, proxy: "ChaosProxy", client: socket.socket, reader: BinaryIO) -> None:
        self.proxy = proxy
        self.client = client
        self.reader = reader
        self.head = read_head(reader)
        self.keeps = True
        self._site: socket.socket | None = None
        self._answers: BinaryIO | None = None

    @property
    def line(self) -> bytes:
        """The request line."""
        return self.head.partition(b"\r\n")[0]

    def body(self) -> Iterator[bytes]:
        """The request's body as it comes, with its chunks if it has them."""
        if header(self.head, b"transfer-encoding") == b"chunked":
            return raw_chunks(self.reader)
        return exactly(self.reader, int(header(self.head, b"content-length") or 0))

    def ask_site(self, most: int | None = None) -> bytes:
        """Send the request on; the head of the site's answer. `most` bytes of its body go on."""
        self._site = socket.create_connection(("127.0.0.1", self.proxy.site_port), LONGEST_S)
        self.proxy.remember(self._site)
        self._site.sendall(self.head)
        left = most
        for block in self.body():
            part = block if left is None else block[:left]
            self._site.sendall(part)
            if left is not None:
                left -= len(part)
                if left <= 0:
                    raise Gone
        self._answers = self._site.makefile("rb")
        return read_head(self._answers)

    def answer_blocks(self, head: bytes) -> Iterator[bytes]:
        """The body of the site's answer, as it comes."""
        reader = self._answers
        assert reader is not None
        length = header(head, b"content-length")
        if header(head, b"transfer-encoding") == b"chunked":
            yield from raw_chunks(reader)
        elif length is not None:
            yield from exactly(reader, int(length))
        elif head.split(b" ", 2)[1] not in (b"204", b"304"):
            self.keeps = False
            while block := reader.read1(BLOCK):
                yield block

    def send(self, block: bytes) -> None:
        self.client.sendall(block)

    def wait(self, seconds: float) -> None:
        """Do nothing; ends early when the proxy stops or the gateway goes away."""
        self.client.settimeout(seconds)
        with suppress(TimeoutError):
            self.client.recv(1)
            raise Gone
        self.client.settimeout(LONGEST_S)
        if self.proxy.stopping.is_set():
            raise Gone

    def end(self, *, reset: bool = False) -> None:
        """End the gateway's connection: by FIN, or by RST."""
        self.keeps = False
        if reset:
            self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        else:
            with suppress(OSError):
                self.client.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        for end in (self._answers, self._site):
            if end is not None:
                end.close()
        if self._site is not None:
            self.proxy.forget(self._site)


Fault = Callable[[Talk], None]


class ChaosProxy:
    """Listens on a port of 127.0.0.1 for the site on `site_port`; a context manager."""

    def __init__(self, site_port: int) -> None:
        self.site_port = site_port
        self.fault: Fault = passes
        self.seen: list[bytes] = []
        self.stopping = threading.Event()
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._threads: set[threading.Thread] = set()
        self._listener: socket.socket | None = None
        self._doorman: threading.Thread | None = None
        self.port = free_port()
        self.listen()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def open_connections(self) -> int:
        """Connections of the gateway that are open now."""
        return len(self._threads - {self._doorman})

    def listen(self) -> None:
        """Take connections (again, on the same port)."""
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
        self._doorman = self._start(self._accept, self._listener)

    def refuse(self) -> None:
        """Nobody listens any more, and what was open is reset: the machine is off."""
        if self._listener is not None and self._doorman is not None:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._doorman.join(LONGEST_S)
            self._listener = None
        self.drop()

    def drop(self) -> None:
        """End every open connection, on both sides."""
        with self._lock:
            open_now = list(self._sockets)
        for sock in open_now:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def reset(self) -> None:
        """Work again as if nothing had been."""
        self.fault = passes
        self.seen.clear()
        if self._listener is None:
            self.listen()

    def stop(self) -> None:
        """End everything and wait for it: no thread and no socket is left."""
        self.stopping.set()
        self.refuse()
        for thread in list(self._threads):
            thread.join(LONGEST_S)
            assert not thread.is_alive()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    def remember(self, sock: socket.socket) -> None:
        with self._lock:
            self._sockets.add(sock)

    def forget(self, sock: socket.socket) -> None:
        with self._lock:
            self._sockets.discard(sock)

    def _start(self, run: Callable[[socket.socket], None], sock: socket.socket) -> threading.Thread:
        def ends_by_itself() -> None:
            try:
                run(sock)
            finally:
                sock.close()
                self._threads.discard(threading.current_thread())

        thread = threading.Thread(target=ends_by_itself, name="chaosproxy", daemon=True)
        self._threads.add(thread)
        thread.start()
        return thread

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            self._start(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        client.settimeout(LONGEST_S)
        self.remember(client)
        try:
            with client.makefile("rb") as reader, suppress(Gone, OSError):
                while self._talk(client, reader):
                    pass
        finally:
            self.forget(client)

    def _talk(self, client: socket.socket, reader: BinaryIO) -> bool:
        talk = Talk(self, client, reader)
        self.seen.append(talk.line)
        try:
            self.fault(talk)
        finally:
            talk.close()
        return talk.keeps and not self.stopping.is_set()


def passes(talk: Talk) -> None:
    """No fault at all."""
    head = talk.ask_site()
    talk.send(head)
    for block in talk.answer_blocks(head):
        talk.send(block)


def only(word: str, fault: Fault, otherwise: Fault = passes) -> Fault:
    """The fault for requests whose request line holds `word`."""

    def judge(talk: Talk) -> None:
        (fault if word.encode() in talk.line else otherwise)(talk)

    return judge


def once(fault: Fault, otherwise: Fault = passes) -> Fault:
    """The fault for the first request alone."""
    waiting = iter([fault])

    def judge(talk: Talk) -> None:
        next(waiting, otherwise)(talk)

    return judge


def hangs(talk: Talk) -> None:
    """Take the request and never answer."""
    for _ in talk.body():
        pass
    talk.wait(LONGEST_S)


def resets(talk: Talk) -> None:
    """Connection reset by peer instead of an answer."""
    talk.end(reset=True)


def says(answer: bytes) -> Fault:
    """These bytes instead of the site's answer, then the end of the connection."""

    def say(talk: Talk) -> None:
        for _ in talk.body():
            pass
        talk.send(answer)
        talk.end()

    return say


def http(status: str, body: bytes, *headers: str) -> bytes:
    """The bytes of a whole answer, for `says`."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


HTML = http("200 OK", b"<html><body>Welcome to the router</body></html>", "Content-Type: text/html")


def delays(seconds: float) -> Fault:
    """A late but right answer."""

    def delay(talk: Talk) -> None:
        head = talk.ask_site()
        talk.wait(seconds)
        talk.send(head)
        for block in talk.answer_blocks(head):
            talk.send(block)

    return delay


def at_rate(bytes_s: float) -> Fault:
    """The right answer over a thin line."""

    def pass_slowly(talk: Talk) -> None:
        head = talk.ask_site()
        talk.send(head)
        for block in talk.answer_blocks(head):
            talk.send(block)
            talk.wait(len(block) / bytes_s)

    return pass_slowly


def drips(pause_s: float, *, whole_head: bool = False) -> Fault:
    """The right answer, one byte each `pause_s`."""

    def drip(talk: Talk) -> None:
        head = talk.ask_site()
        slow = b"" if whole_head else head
        if whole_head:
            talk.send(head)
        for block in (slow, *talk.answer_blocks(head)):
            for n in range(len(block)):
                talk.send(block[n : n + 1])
                talk.wait(pause_s)

    return drip


def cut(
    share: float, *, reset: bool = False, missing: int = 0, without_length: bool = False
) -> Fault:
    """The right answer up to a share of its body (less `missing` bytes), then FIN or RST.

    without_length  Content-Length is taken out, so that only the end of the connection tells the
                    end of the body
    """

    def cut_it(talk: Talk) -> None:
        head = talk.ask_site()
        body = b"".join(talk.answer_blocks(head))
        if without_length:
            kept = [line for line in head[:-4].split(b"\r\n") if not _names_length(line)]
            head = b"\r\n".join([*kept, b"Connection: close", b"", b""])
        talk.send(head + body[: int(len(body) * share) - missing])
        talk.end(reset=reset)

    return cut_it


def stalls(share: float) -> Fault:
    """The right answer up to a share of its body, then silence on an open connection."""

    def stall(talk: Talk) -> None:
        head = talk.ask_site()
        body = b"".join(talk.answer_blocks(head))
        talk.send(head + body[: int(len(body) * share)])
        talk.wait(LONGEST_S)

    return stall


def with_headers(*lines: str) -> Fault:
    """The right answer with more lines in its head."""

    def add(talk: Talk) -> None:
        head = talk.ask_site()
        more = "".join(f"{line}\r\n" for line in lines).encode("latin-1")
        talk.send(head[:-2] + more + b"\r\n")
        for block in talk.answer_blocks(head):
            talk.send(block)

    return add


def loses_answer(*, hang: bool = False) -> Fault:
    """The site gets the whole request and acts on it; the gateway never hears of it."""

    def lose(talk: Talk) -> None:
        for _ in talk.answer_blocks(talk.ask_site()):
            pass
        if hang:
            talk.wait(LONGEST_S)
        talk.end()

    return lose


def cuts_request(most: int) -> Fault:
    """Both connections end after `most` bytes of the request's body."""

    def cut_it(talk: Talk) -> None:
        with suppress(Gone):
            talk.ask_site(most)
        talk.end(reset=True)

    return cut_it


def read_head(reader: BinaryIO) -> bytes:
    """Up to and with the empty line; raises Gone if there is none."""
    lines = []
    while (line := reader.readline(64 * 1024)) not in (b"\r\n", b""):
        lines.append(line)
    if not line:
        raise Gone
    return b"".join(lines) + line


def header(head: bytes, name: bytes) -> bytes | None:
    for line in head.split(b"\r\n")[1:]:
        found, _, value = line.partition(b":")
        if found.strip().lower() == name:
            return value.strip().lower()
    return None


def _names_length(line: bytes) -> bool:
    return line.partition(b":")[0].lower() in (b"content-length", b"connection", b"keep-alive")


def exactly(reader: BinaryIO, count: int) -> Iterator[bytes]:
    while count:
        block = reader.read1(min(count, BLOCK))
        if not block:
            raise Gone
        count -= len(block)
        yield block


def raw_chunks(reader: BinaryIO) -> Iterator[bytes]:
    """A chunked body with its framing, to its last empty line."""
    while True:
        line = reader.readline()
        if not line:
            raise Gone
        size = int(line.partition(b";")[0], 16)
        yield line
        yield from exactly(reader, size + 2)
        if not size:
            return
