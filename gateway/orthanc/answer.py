"""A site's answer: its head is here, its body is read or poured once, block by block."""

import http.client
import socket
import ssl
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from gateway.errors import SiteError, SiteSpeaksGarbage, SiteStreamCut, SiteTimeout
from gateway.model.sites import Site
from gateway.orthanc.connection import HEAD_BUFFER, Connection
from gateway.orthanc.heads import HeadParsed
from gateway.orthanc.splice import CannotSplice, Ended, move, pipe

BLOCK = 256 * 1024


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
