"""Writes the holder's bytes under a media type of ours: multipart untouched, or one part alone.

Single parts carry what a client needs to fetch them well: length, entity tag, byte ranges (served
here, because sites ignore Range: dicomweb.md 2), Content-Location.
"""

from collections.abc import Generator, Iterable
from functools import lru_cache

from flask import Response, request
from werkzeug.urls import iri_to_uri

from gateway.dicom.byte_range import Unsatisfiable, parse_range
from gateway.dicom.media_types import MULTIPART, Choice, parse_content_type
from gateway.errors import RangeNotSatisfiable, SiteSpeaksGarbage
from gateway.federation.retrieve import Opened, checked_blocks, unwrapped
from gateway.web.opening import SINGLE_KINDS, boundary_of, upstream_type
from gateway.web.streaming import streamed, untouched
from gateway.web.versions import stamp

# Whatever a site stored, a browser must not run it on our origin (trust.md H36, H73).
UNTRUSTED = {
    "Content-Disposition": "attachment",
    "Content-Security-Policy": "default-src 'none'; sandbox",
}


def passed_on(opened: Opened, choice: Choice, tag: str | None = None) -> Response:
    """The answer of a site; one part alone where the choice says so."""
    kind, parameters = upstream_type(opened)
    answer = opened.answer
    if kind != MULTIPART:
        if choice.media_type == MULTIPART or kind not in SINGLE_KINDS:
            answer.close()
            raise SiteSpeaksGarbage(opened.site.site_id, "an unexpected media type")
        return single(checked_blocks(opened, None), kind, answer.length_of_body, opened, tag)
    boundary = boundary_of(opened)
    if not choice.single_part:
        part_type = parameters.get("type", choice.part_type)
        media_type = f'{MULTIPART}; type="{part_type}"; boundary="{boundary.decode()}"'
        return in_parts(untouched(opened, boundary, media_type), opened, tag)
    headers, body = unwrapped(opened, boundary)
    single_type, parameters = parse_content_type(headers.get("content-type", choice.media_type))
    syntax = parameters.get("transfer-syntax", choice.transfer_syntax)
    if syntax not in (None, "*"):
        single_type += f"; transfer-syntax={syntax}"
    length = headers.get("content-length", "")
    return single(body, single_type, int(length) if length.isdecimal() else None, opened, tag)


def in_parts(answer: Response, opened: Opened, tag: str | None) -> Response:
    """An answer of several parts. Its boundary is new each time, so the tag is a weak one."""
    answer.headers.update(UNTRUSTED)  # a browser may take it for an archive of a web page
    return located(stamp(answer, tag, weak=True), opened)


def single(
    body: Iterable[bytes], media_type: str, length: int | None, opened: Opened, tag: str | None
) -> Response:
    """One body, or the range of it that was asked for.

    raises  RangeNotSatisfiable
    """
    try:
        asked = _range_of(length, tag)
    except RangeNotSatisfiable:
        opened.answer.close()
        raise
    if asked is not None and length is not None:
        first, last = asked
        answer = streamed(_cut_out(body, first, last + 1), media_type, last + 1 - first, opened)
        answer.status_code = 206
        answer.headers["Content-Range"] = f"bytes {first}-{last}/{length}"
    else:
        answer = streamed(iter(body), media_type, length, opened)
    if length is not None:
        answer.headers["Accept-Ranges"] = "bytes"
    if not media_type.startswith("image/"):
        answer.headers.update(UNTRUSTED)
    return located(stamp(answer, tag), opened)


def located(answer: Response, opened: Opened) -> Response:
    """Say where the answer's own resource lies (RFC 9110 8.7)."""
    return located_below(answer, opened.service_url)


def located_below(answer: Response, service_url: str) -> Response:
    below = request.path.partition("/dicom-web")[2]
    answer.headers.add("Content-Location", _ascii(service_url) + below)
    return answer


@lru_cache(maxsize=256)
def _ascii(service_url: str) -> str:
    return iri_to_uri(service_url)


def _range_of(length: int | None, tag: str | None) -> tuple[int, int] | None:
    asked = request.headers.get("Range")
    if asked is None or length is None or request.method != "GET":
        return None
    condition = request.headers.get("If-Range")
    if condition is not None and (tag is None or condition.strip() != f'"{tag}"'):
        return None  # it has changed, or nobody can say that it has not
    try:
        return parse_range(asked, length)
    except Unsatisfiable:
        raise RangeNotSatisfiable(length) from None


def _cut_out(body: Iterable[bytes], start: int, stop: int) -> Generator[bytes, None, None]:
    """The bytes from `start` up to `stop`; the rest is not read."""
    at = 0
    for block in body:
        piece = block[max(start - at, 0) : max(stop - at, 0)]
        at += len(block)
        if piece:
            yield piece
        if at >= stop:
            return
