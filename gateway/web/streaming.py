"""Sends a body whose end may fail: what breaks after the first byte cuts the connection."""

import errno
from collections.abc import Iterator

from flask import Response

from gateway.errors import GatewayError
from gateway.federation.retrieve import Opened
from gateway.log import log


def streamed(
    body: Iterator[bytes], content_type: str, length: int | None, opened: Opened
) -> Response:
    """Stream a body; what goes wrong in it is logged and cuts the connection."""

    def told() -> Iterator[bytes]:
        try:
            yield from body
        except GatewayError as error:
            log.warning("download cut", site=opened.site.site_id, why=str(error))
            raise ConnectionResetError(errno.ECONNRESET, "the site's answer broke off") from error

    answer = Response(told(), content_type=content_type, direct_passthrough=True)
    answer.call_on_close(opened.answer.close)
    warn_of_silence(answer, opened)
    if length is not None:
        answer.content_length = length
    return answer


def warn_of_silence(answer: Response, opened: Opened) -> None:
    """Say in Warning 299 which sites could not be asked: they may hold more (dicomweb.md 2.7)."""
    for site_id, code in opened.silent.items():
        text = f"299 {opened.service_url}: Results incomplete, no answer from {site_id} ({code})"
        answer.headers.add("Warning", text)
