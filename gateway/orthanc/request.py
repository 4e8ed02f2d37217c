"""A request to a site as it goes out: its head, and a body that may come in chunks.

The user's headers never reach a site: the caller names each header that is sent.
"""

import base64
import re
import socket
import ssl
from collections import deque
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import islice
from urllib.parse import urlsplit

from gateway.clock import Deadline
from gateway.log import REQUEST
from gateway.model.sites import Site
from gateway.orthanc.trust import check_question

PATH = re.compile(r"[!-~]+", re.ASCII)
MOST_PIECES = 512
"""In one system call, which takes 1024."""

Chunk = bytes | Sequence[bytes]
"""What is sent of a body as one chunk: each costs Orthanc some twenty system calls (measured), so a
few large ones are better than many."""


def request_head(
    site: Site,
    method: str,
    target: str,
    headers: Sequence[tuple[str, str]],
    body: bytes | Iterable[Chunk] | None,
) -> bytes:
    path, always = _always(site.url, site.username, site.password, tuple(headers))
    path += target
    if not PATH.fullmatch(path):
        raise ValueError("a request may name only printable ASCII")  # a fault of ours
    check_question(site, method, target)
    named = REQUEST.get()
    framing = f"X-Request-Id: {named}\r\n" if named else ""
    if isinstance(body, bytes):
        framing += f"Content-Length: {len(body)}\r\n"
    elif body is not None:
        framing += "Transfer-Encoding: chunked\r\n"
    return f"{method} {path} HTTP/1.1\r\n{always}{framing}\r\n".encode("ascii")


@lru_cache(maxsize=4096)
def _always(
    url: str, username: str, password: str, headers: tuple[tuple[str, str], ...]
) -> tuple[str, str]:
    """Path of a site's root, and the header lines that all requests of one kind have in common."""
    parts = urlsplit(url)
    lines = [("Host", parts.netloc), ("Accept-Encoding", "identity")]
    if username:
        pair = f"{username}:{password}".encode()
        lines.append(("Authorization", "Basic " + base64.b64encode(pair).decode("ascii")))
    lines += headers
    text = "".join(f"{name}: {value}\r\n" for name, value in lines)
    if not (text.isascii() and text.count("\r\n") == len(lines)):
        raise ValueError("a request head may hold only printable ASCII")  # a fault of ours
    return parts.path.rstrip("/"), text


def size_of(chunk: Chunk) -> int:
    return len(chunk) if isinstance(chunk, bytes) else sum(map(len, chunk))


def send_chunked(
    sock: socket.socket,
    head: bytes,
    chunks: Iterable[Chunk],
    deadline: Deadline,
    idle_s: float,
) -> bool:
    """Send chunks as they come; the last one only if the iterable ends well.

    returns  False if the site has ended its reading: it may have answered early (413, 507), and
             its words are worth more than the broken pipe
    """
    sock.sendall(head)
    for chunk in chunks:
        if size := size_of(chunk):
            pieces = [chunk] if isinstance(chunk, bytes) else chunk
            try:
                # With its end: a server may hand a chunk on only when it has read that too.
                _send_pieces(sock, [b"%x\r\n" % size, *pieces, b"\r\n"], deadline, idle_s)
            except (BrokenPipeError, ConnectionResetError):
                return False
    sock.sendall(b"0\r\n\r\n")
    return True


def _send_pieces(
    sock: socket.socket, pieces: Sequence[bytes], deadline: Deadline, idle_s: float
) -> None:
    """Send all of them, without joining them where no TLS needs that."""
    tls = isinstance(sock, ssl.SSLSocket)
    unsent = deque(memoryview(piece) for piece in ([b"".join(pieces)] if tls else pieces))
    while unsent:
        sock.settimeout(max(min(deadline.remaining_s(), idle_s), 0.001))
        if tls:
            sock.sendall(unsent.popleft())
            continue
        count = sock.sendmsg(list(islice(unsent, MOST_PIECES)))
        while unsent and count >= len(unsent[0]):
            count -= len(unsent.popleft())
        if count:
            unsent[0] = unsent[0][count:]
