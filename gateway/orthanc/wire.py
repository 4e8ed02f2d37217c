"""The thin upstream client: one HTTP/1.1 exchange with a site, streamed both ways.

requests stays for control traffic (probe.py); here a call must end by a total deadline (requests'
timeouts are for each read), bytes must pass without being decoded, and a search over many sites
must not cost a millisecond for each (performance.md 2, 4). Sockets and their
waiting are in connection.py, the head is read by heads.py.

The user's headers never reach a site: the caller names each header that is sent.
"""

import base64
import http.client
import re
import socket
import ssl
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import islice
from types import TracebackType
from typing import Protocol, Self
from urllib.parse import urlsplit

from gateway.clock import Deadline, monotonic_s
from gateway.errors import (
    SiteBusy,
    SiteError,
    SiteRefused,
    SiteSpeaksGarbage,
    SiteStreamCut,
    SiteTimeout,
    SiteUnreachable,
    SiteUntrusted,
)
from gateway.log import REQUEST
from gateway.model.nearness import Nearness
from gateway.model.sites import Site
from gateway.model.standing import Standing
from gateway.orthanc.addresses import Addresses
from gateway.orthanc.connection import HEAD_BUFFER, Connection, connect
from gateway.orthanc.heads import HeadParsed
from gateway.orthanc.slots import Slots
from gateway.orthanc.splice import CannotSplice, Ended, move, pipe
from gateway.orthanc.trust import check_question, context_of

BLOCK = 256 * 1024
IDLE_LIMIT_S = 0.8  # Orthanc closes idle connections after one second (performance.md 5.2)
SLOTS_PER_SITE = 24  # two web processes stay below Orthanc's 50 threads (performance.md 5.9)
SLOTS_FOR_BODIES = 16
ABOUT_THE_REQUEST = frozenset({400, 406, 413, 414, 415, 416, 431})
"""Refusals that say more about what we asked than about the site."""
PATH = re.compile(r"[!-~]+", re.ASCII)
MOST_PIECES = 512
"""In one system call, which takes 1024."""

Chunk = bytes | Sequence[bytes]
"""What is sent of a body as one chunk: each costs Orthanc some twenty system calls (measured), so a
few large ones are better than many."""


class Copy(Protocol):
    """Takes a body beside its reader."""

    def add(self, block: bytes) -> None: ...

    def commit(self) -> None:
        """The body has come to its end."""

    def discard(self) -> None:
        """It has not, and will not."""


class SiteAnswer:
    """A site's answer: status and headers are here, the body is read once, block by block.

    Whether it was an answer at all is told to the breaker once: `with` tells it by how its block
    ends, a stream when its first block has come.

    came  bytes of the body that were read or poured until now
    """

    def __init__(
        self,
        site: Site,
        response: HeadParsed,
        connection: Connection,
        release: Callable[[Connection | None], None],
        judge: Callable[[SiteError | None], None],
    ) -> None:
        self.site = site
        self.status = response.status
        self.headers = response.fields
        self.content_type = self.headers.get("content-type", "")
        self.length: int | None = response.length
        self.length_of_body = self.length
        self.came = 0
        self.chunked = bool(response.chunked)
        self._response = response
        self._connection = connection
        self._buffered = True
        self._release: Callable[[Connection | None], None] | None = release
        self._judge: Callable[[SiteError | None], None] | None = judge
        self._copy: Copy | None = None

    @property
    def ends_by_closing(self) -> bool:
        """Neither length nor chunks: the end of the body cannot be told from a cut."""
        return self.length is None and not self.chunked

    def become_stream(self) -> None:
        """The first block has come: the rest may take as long as it does not stop, and whatever
        becomes of it, the site has answered."""
        self._connection.reader.deadline = None
        self._connection.reader.idle_s = self.site.timeouts.idle_s
        self._judged(None)

    def _judged(self, error: SiteError | None) -> None:
        if self._judge is not None:
            judge, self._judge = self._judge, None
            judge(error)

    def read(self, size: int = BLOCK) -> bytes:
        """Up to `size` bytes, b"" at the end.

        raises  SiteTimeout, SiteStreamCut (shorter than its length), SiteUnreachable (reset)
        """
        if self._release is None:
            return b""
        before = self.length
        try:
            if self.chunked or self._buffered:
                block = self._response.read1(size)
            else:
                most = size if self.length is None else min(size, self.length)
                block = self._connection.reader.recv(most)
        except (http.client.HTTPException, OSError, ValueError) as error:
            raise self._cut(error) from error
        # read1 empties the buffer that the head was read with, and does not fill it again.
        self._buffered = self._buffered and size < HEAD_BUFFER
        self.came += len(block)
        if self._copy is not None and block:
            self._copy.add(block)
        if before is not None:
            self.length = before - len(block)
        if not block:
            if self.length:
                raise self.refuse(SiteStreamCut(self.site.site_id, f"{self.length} bytes missing"))
            self._finish()
        elif self.length == 0 or self._response.isclosed():
            self._finish()
        return block

    def pour(self, sink: socket.socket, count: int, first: bytes = b"") -> int:
        """Move the next `count` bytes of the body into a socket, past this process (splice.py).

        first    sent before them, unless 0 is returned
        returns  count, or 0 if this body cannot go that way: then it must be read
        raises   as `read` does; OSError if the sink fails
        """
        tls = isinstance(self._connection.sock, ssl.SSLSocket)
        if self._release is None or self.chunked or self._buffered or tls or self._copy:
            return 0
        try:
            with pipe() as through:
                move(self._connection.sock, sink, count, through, self._wait, first)
        except CannotSplice:
            return 0
        except Ended as error:
            raise self._cut(error) from error
        self.came += count
        if self.length is not None:
            self.length -= count
            if not self.length:
                self._finish()
        return count

    def _wait(self, came: int) -> None:
        try:
            self._connection.reader.wait(came)
        except OSError as error:
            raise self._cut(error) from error

    def _cut(self, error: Exception) -> SiteError:
        if isinstance(error, TimeoutError):
            return self.refuse(SiteTimeout(self.site.site_id, self._connection.reader.idle_s))
        return self.refuse(SiteStreamCut(self.site.site_id, type(error).__name__))

    def refuse(self, error: SiteError) -> SiteError:
        """Close it and count it as a failure; gives the error back, to be raised."""
        self._judged(error)
        self.close()
        return error

    def read_all(self, limit: int) -> bytes:
        """The whole body; SiteSpeaksGarbage above `limit` bytes."""
        body = bytearray()
        while block := self.read():
            body += block
            if len(body) > limit:
                raise self.refuse(SiteSpeaksGarbage(self.site.site_id, f"more than {limit} bytes"))
        return bytes(body)

    def copy_to(self, copy: Copy) -> None:
        """Give all that is read of the body to `copy` as well; it learns whether that was all."""
        self._copy = copy

    def _finish(self) -> None:
        if self._copy is not None:
            copy, self._copy = self._copy, None
            copy.commit()
        if self._release is not None:
            release, self._release = self._release, None
            release(None if self._response.will_close else self._connection)

    def close(self) -> None:
        """Give the connection back; an unread rest closes it. Safe to call twice."""
        self._judged(None)
        if self._copy is not None:
            copy, self._copy = self._copy, None
            copy.discard()
        if self._release is not None:
            release, self._release = self._release, None
            release(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        if isinstance(error, SiteError):
            self._judged(error)
        self.close()


class _Post:
    """What we keep for one site: breaker, nearness, our slots there, idle connections."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.standing = Standing()
        self.nearness = Nearness()
        self.slots = Slots(SLOTS_PER_SITE)
        self.body_slots = Slots(SLOTS_FOR_BODIES)
        self.idle: deque[Connection] = deque()

    def keep(self, connection: Connection) -> None:
        """Let the next exchange use it; those that have waited for too long are closed."""
        self.close_idle(IDLE_LIMIT_S)
        connection.idle_since = monotonic_s()
        self.idle.append(connection)

    def close_idle(self, longest_s: float) -> None:
        """Close what has been idle for that long; the oldest stand first."""
        now = monotonic_s()
        while self.idle and now - self.idle[0].idle_since >= longest_s:
            self.idle.popleft().close()


class Wire:
    """Opens exchanges with sites: pool, bulkhead and breaker for each site of this process."""

    def __init__(self) -> None:
        self._posts: dict[str, _Post] = {}
        self._addresses = Addresses()

    def standing(self, site: Site) -> Standing:
        """How the site stands with this process; nothing is asked."""
        return self._post(site).standing

    def slice_s(self, site: Site) -> float | None:
        """Seconds that an image from the site is likely to take; None if nothing is known."""
        return self._post(site).nearness.slice_s(monotonic_s())

    def is_idle(self, site: Site) -> bool:
        """Whether this process is asking the site for nothing now."""
        return self._post(site).slots.all_free

    def fallen(self) -> list[str]:
        """Ids of the sites of whom the last that this process knows is a failure."""
        posts = list(self._posts.items())
        return [
            site_id
            for site_id, post in posts
            if post.standing.last_failure_at is not None and not post.standing.answers
        ]

    def unresolved(self) -> frozenset[str]:
        """Ids of the sites whose name could not be looked up when it was last tried."""
        posts = list(self._posts.items())
        return frozenset(
            site_id
            for site_id, post in posts
            if self._addresses.is_failing(urlsplit(post.site.url).hostname or "")
        )

    def open(
        self,
        site: Site,
        method: str,
        target: str,
        *,
        deadline: Deadline,
        headers: Sequence[tuple[str, str]] = (),
        body: bytes | Iterable[Chunk] | None = None,
        answer_s: Callable[[], float] | None = None,
        carries_pixels: bool = False,
    ) -> SiteAnswer:
        """Send one request and return as soon as the head of the answer is there.

        target    path and query below the site's URL, already encoded: ASCII without blanks
        deadline  until the head of the answer has come; sending a body is part of it
        body      bytes go with a length, an iterable goes chunked (Orthanc holds a body with a
                  length whole in memory)
        answer_s  tells, once a chunked body is sent, the seconds for the head; None: what the
                  deadline leaves
        raises    SiteBusy, SiteUnreachable, SiteUntrusted, SiteTimeout, SiteSpeaksGarbage
        """
        post = self._post(site)
        if not post.standing.may_ask(monotonic_s()):
            raise SiteUnreachable(site.site_id, f"not asked after {post.standing.last_failure}")
        slots = [post.slots] + ([post.body_slots] if carries_pixels else [])
        _take(slots, site.site_id, min(deadline.remaining_s(), site.timeouts.first_byte_s))
        start = monotonic_s()
        timed = carries_pixels and method == "GET"
        if timed:
            post.nearness.asked(start)
        try:
            connection, response = self._exchange(
                site, post, method, target, headers, body, deadline, answer_s
            )
        except SiteError as error:
            _give_back(slots)
            if not isinstance(error, SiteBusy):  # that is our trouble, not the site's
                if timed:  # a refusal is quick, but brings nothing
                    post.nearness.began(deadline.total_s)
                at_once = isinstance(error, SiteUntrusted)
                post.standing.failed(monotonic_s(), error.code, at_once=at_once)
            raise
        except BaseException:
            _give_back(slots)
            raise

        seconds = monotonic_s() - start
        # Orthanc reads every file to list metadata: that says nothing of how near it is.
        timed = timed and response.status == 200 and not _is_json(response)
        if timed:
            post.nearness.began(seconds)
        waited_s = connection.reader.waited_s

        def release(reusable: Connection | None) -> None:
            if timed:
                took_s = monotonic_s() - start - seconds
                post.nearness.moved(answer.came, connection.reader.waited_s - waited_s, took_s)
            if reusable is None or self._posts.get(site.site_id) is not post:
                connection.close()
            else:
                post.keep(reusable)
            _give_back(slots)

        def judge(error: SiteError | None) -> None:
            if error is None or (
                isinstance(error, SiteRefused) and error.status in ABOUT_THE_REQUEST
            ):
                post.standing.answered(monotonic_s(), seconds)
            else:
                at_once = isinstance(error, SiteUntrusted)
                post.standing.failed(monotonic_s(), error.code, at_once=at_once)

        answer = SiteAnswer(site, response, connection, release, judge)
        if answer.status in (401, 403):
            raise answer.refuse(SiteUntrusted(site.site_id, f"HTTP {answer.status}"))
        if answer.headers.get("content-encoding", "identity").lower() != "identity":
            raise answer.refuse(SiteSpeaksGarbage(site.site_id, "a coding that was not asked for"))
        return answer

    def close(self) -> None:
        """Close what is idle; exchanges that run go on to their ends."""
        for post in list(self._posts.values()):
            post.close_idle(0.0)

    def _post(self, site: Site) -> _Post:
        """A site whose entry in region.toml has changed begins anew: it may have been mended."""
        post = self._posts.get(site.site_id)
        if post is None or (post.site is not site and post.site != site):
            former, post = post, _Post(site)
            self._posts[site.site_id] = post
            if former is not None:
                former.close_idle(0.0)
        return post

    def _exchange(
        self,
        site: Site,
        post: _Post,
        method: str,
        target: str,
        headers: Sequence[tuple[str, str]],
        body: bytes | Iterable[Chunk] | None,
        deadline: Deadline,
        answer_s: Callable[[], float] | None,
    ) -> tuple[Connection, HeadParsed]:
        head = _request_head(site, method, target, headers, body)
        pooled = self._pooled(post, site) if body is None or isinstance(body, bytes) else None
        if pooled is not None:
            try:
                return pooled, self._send(site, pooled, method, head, body, deadline, None)
            except (SiteUnreachable, SiteStreamCut):
                pooled.close()  # it was closed while idle; a fresh one tells the truth
            except BaseException:
                pooled.close()
                raise
        connection = connect(site, deadline, self._addresses, context_of)
        try:
            return connection, self._send(site, connection, method, head, body, deadline, answer_s)
        except BaseException:
            connection.close()
            raise

    def _pooled(self, post: _Post, site: Site) -> Connection | None:
        while post.idle:
            connection = post.idle.pop()
            young = monotonic_s() - connection.idle_since < IDLE_LIMIT_S
            if young and connection.url == site.url and connection.is_quiet():
                return connection
            connection.close()
        return None

    def _send(
        self,
        site: Site,
        connection: Connection,
        method: str,
        head: bytes,
        body: bytes | Iterable[Chunk] | None,
        deadline: Deadline,
        answer_s: Callable[[], float] | None,
    ) -> HeadParsed:
        connection.expect(deadline, deadline.total_s)
        response = HeadParsed(connection, method=method)  # type: ignore[arg-type]
        try:
            connection.sock.settimeout(max(deadline.remaining_s(), 0.001))
            whole = True
            if body is None or isinstance(body, bytes):
                connection.send(head + (body or b""))
            else:
                whole = _send_chunked(connection.sock, head, body, deadline, site.timeouts.idle_s)
                if answer_s is not None:
                    connection.reader.deadline = Deadline(answer_s())
            response.begin()
            response.will_close |= not whole
        except TimeoutError as error:
            raise SiteTimeout(site.site_id, deadline.total_s) from error
        except http.client.RemoteDisconnected as error:
            raise SiteUnreachable(site.site_id, "closed without an answer") from error
        except (http.client.HTTPException, ValueError) as error:
            raise SiteSpeaksGarbage(site.site_id, type(error).__name__) from error
        except OSError as error:
            raise SiteUnreachable(site.site_id, type(error).__name__) from error
        return response


def _request_head(
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


def _send_chunked(
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


def _is_json(response: HeadParsed) -> bool:
    return "json" in response.fields.get("content-type", "")


def _take(slots: Sequence[Slots], site_id: str, wait_s: float) -> None:
    deadline = Deadline(wait_s)
    for n, slot in enumerate(slots):
        if not slot.take(deadline):
            _give_back(slots[:n])
            raise SiteBusy(site_id, "all our slots there are taken")


def _give_back(slots: Sequence[Slots]) -> None:
    for slot in slots:
        slot.give_back()
