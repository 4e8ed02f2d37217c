"""Answers with images that the gateway decodes itself (dicom/transcode.py says when and why)."""

from collections.abc import Generator, Iterator, Sequence
from itertools import chain

from flask import Response

from gateway.dicom.media_types import MULTIPART, Choice, parse_content_type
from gateway.dicom.multipart import (
    MultipartReader,
    check_boundary,
    closing,
    new_boundary,
    part_head,
)
from gateway.dicom.part10 import MoreBytesNeeded, NotUnderstood, identify
from gateway.dicom.transcode import CannotDecode, frames_of, to_explicit_little_endian
from gateway.errors import BadRequest, NotAcceptable, NotFound, SiteStreamCut
from gateway.federation.retrieve import Opened, checked_blocks
from gateway.web.streaming import streamed

LARGEST_INSTANCE = 1024 * 2**20
EXPLICIT = "1.2.840.10008.1.2.1"


def decoded_answer(opened: Opened, choice: Choice, frames: Sequence[int]) -> Response:
    """The instances of an as-stored answer in Explicit VR Little Endian, one at a time.

    frames  numbers of frames of the only instance; empty: whole instances
    raises  NotAcceptable if the first instance cannot be decoded; later ones cut the connection
    """
    items = _decoded(opened, frames)
    first = next(items, None)
    if first is None:
        raise NotFound("instance")
    part_type = choice.part_type or choice.media_type
    if choice.single_part:
        items.close()
        return Response(first, content_type=part_type)
    boundary = new_boundary()
    head = part_head(boundary, [("Content-Type", part_type)])

    def body() -> Iterator[bytes]:
        for item in chain([first], items):
            yield head + item + b"\r\n"
        yield closing(boundary)

    media_type = f'{MULTIPART}; type="{part_type}"; boundary="{boundary}"'
    return streamed(body(), media_type, None, opened)


def _decoded(opened: Opened, frames: Sequence[int]) -> Generator[bytes, None, None]:
    _, parameters = parse_content_type(opened.answer.content_type)
    boundary = check_boundary(parameters.get("boundary"))
    blocks = checked_blocks(opened, boundary)
    try:
        for part in MultipartReader(lambda _size: next(blocks, b""), boundary):
            file = part.read(LARGEST_INSTANCE)
            if frames:
                yield from frames_of(file, frames)
            else:
                yield file if _is_explicit(file) else to_explicit_little_endian(file)
    except CannotDecode as error:
        raise NotAcceptable(
            "Accept", f"an image cannot be decoded ({error}); ask as stored"
        ) from error
    except BadRequest as error:
        raise SiteStreamCut(opened.site.site_id, error.problem) from error
    except LookupError:
        raise NotFound("frame") from None
    finally:
        blocks.close()


def _is_explicit(file: bytes) -> bool:
    try:
        return identify(file[: 2**20], whole=True).transfer_syntax == EXPLICIT
    except (MoreBytesNeeded, NotUnderstood):
        return False
