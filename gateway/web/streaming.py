"""Sends a body whose end may fail: what breaks after the first byte cuts the connection.

Where the server's own socket can be had, bytes that nobody needs to look at go straight from the
site's socket into it (orthanc/splice.py): half the processor time of the same bytes read and sent.
"""

import errno
import ssl
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from socket import socket
from typing import TYPE_CHECKING

from flask import Response, request
from werkzeug.datastructures import Headers

from gateway.errors import GatewayError
from gateway.federation.retrieve import Opened, checked_blocks
from gateway.log import log
from gateway.orthanc.answer import SiteAnswer

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


class Streamed(Response):
    """An answer whose headers go out as they were written.

    Werkzeug looks through all of them for a length that it could count and for addresses that it
    should make absolute: here the length is the site's, and the addresses are.
    """

    outlet: "Outlet | None" = None

    def get_wsgi_headers(self, environ: "WSGIEnvironment") -> Headers:
        return self.headers


@dataclass
class Outlet:
    """The caller's connection, for the body of the current answer.

    Between two blocks of a body it may be written to: gunicorn sends each block before it asks for
    the next one, and its head before the first. It frames a body of unknown length in chunks.
    """

    socket: socket
    in_chunks: bool
    poured_bytes: int = 0
    _open_chunk: bool = False

    def pour(self, block: bytes, answer: SiteAnswer, count: int) -> int:
        """Send `block` and after it the next `count` bytes of a site's answer.

        returns  count, or 0 if nothing was sent: then they must go the usual way
        raises   SiteError if the answer breaks; OSError if the caller is gone or stalls
        """
        if self.in_chunks:
            block = b"%s%x\r\n%s" % (self._end_of_chunk, len(block) + count, block)
        poured = answer.pour(self.socket, count, block)
        self.poured_bytes += poured
        self._open_chunk |= poured > 0 and self.in_chunks
        return poured

    @property
    def _end_of_chunk(self) -> bytes:
        return b"\r\n" if self._open_chunk else b""

    def end_chunk(self) -> None:
        """Before the server writes again: the end of the chunk, which is sent with the next one."""
        if self._open_chunk:
            self._open_chunk = False
            self.socket.sendall(b"\r\n")


def untouched(opened: Opened, boundary: bytes | None, media_type: str) -> Response:
    """The site's own body, checked to its end (federation.retrieve.checked_blocks)."""
    length = opened.answer.length_of_body
    outlet = _outlet_to_caller(length)
    body = checked_blocks(opened, boundary, outlet.pour if outlet else None)
    return streamed(body, media_type, length, opened, outlet)


def _outlet_to_caller(length: int | None) -> Outlet | None:
    """Where the current request is answered; None if that is no plain HTTP/1 of our server."""
    sink, protocol = map(request.environ.get, ("gunicorn.socket", "SERVER_PROTOCOL"))
    if sink is None or isinstance(sink, ssl.SSLSocket) or protocol not in ("HTTP/1.0", "HTTP/1.1"):
        return None
    return Outlet(sink, in_chunks=length is None and protocol == "HTTP/1.1")


def streamed(
    body: Iterator[bytes],
    content_type: str,
    length: int | None,
    opened: Opened,
    outlet: Outlet | None = None,
) -> Response:
    """Stream a body; what goes wrong in it is logged and cuts the connection.

    outlet  that the body pours into beside the blocks that it gives
    """

    def told() -> Iterator[bytes]:
        try:
            if outlet is not None:
                yield b""  # the head is sent
            for block in body:
                if outlet is not None:
                    outlet.end_chunk()
                yield block
            if outlet is not None:
                outlet.end_chunk()
        except GatewayError as error:
            log.warning("download cut", site=opened.site.site_id, why=str(error))
            raise ConnectionResetError(errno.ECONNRESET, "the site's answer broke off") from error
        finally:  # also of a body that was never begun: its caller was gone before the head
            opened.answer.close()

    answer = Streamed(told(), content_type=content_type, direct_passthrough=True)
    answer.outlet = outlet
    answer.call_on_close(opened.answer.close)
    warn_of_silence(answer, opened)
    if length is not None:
        answer.headers.add("Content-Length", length)
    return answer


def warn_of_silence(answer: Response, opened: Opened) -> None:
    """Say in Warning 299 which sites could not be asked: they may hold more (dicomweb.md 2.7), and
    by 206 that they are known to (PS3.18 10.4.3)."""
    if opened.partial:
        answer.status_code = 206
    tell_silence(answer, opened.silent, opened.service_url)
    tell_differing(answer, opened.differing, opened.service_url)


def tell_differing(answer: Response, sites: Sequence[str], service_url: str) -> None:
    """trust.md F19: which sites hold something else under the same UIDs; the first of them wins."""
    if sites:
        text = f"299 {service_url}: Some instances have other content at {', '.join(sites[1:])}"
        answer.headers.add("Warning", f"{text}; those of {sites[0]} are preferred")


def tell_silence(answer: Response, silent: Mapping[str, str], service_url: str) -> None:
    for site_id, code in silent.items():
        text = f"299 {service_url}: Results incomplete, no answer from {site_id} ({code})"
        answer.headers.add("Warning", text)
