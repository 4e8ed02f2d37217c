"""Answers with images that the gateway decodes itself (dicom/transcode.py says when and why)."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing as closing_at_end
from itertools import chain

from flask import Response

from gateway.dicom.media_types import EXPLICIT_LE, MULTIPART, OCTETS, Choice
from gateway.dicom.multipart import (
    MultipartReader,
    Part,
    closing,
    new_boundary,
    part_head,
)
from gateway.dicom.part10 import MoreBytesNeeded, NotUnderstood, identify
from gateway.dicom.transcode import DANGEROUS, CannotDecode
from gateway.errors import BadRequest, NotAcceptable, NotFound, SiteStreamCut
from gateway.federation.retrieve import Opened, checked_blocks
from gateway.pixels.workers import Holding, PixelWorkers
from gateway.web.opening import Opener, Target, boundary_of
from gateway.web.representation import in_parts, single
from gateway.web.stored import LARGEST, StoredInstance
from gateway.web.streaming import streamed

HEADER = 2**20
LITTLE_ENDIAN = f"transfer-syntax={EXPLICIT_LE}"


def decoded_instances(
    opened: Opened, choice: Choice, pixels: PixelWorkers, tag: str | None
) -> Response:
    """The instances of an as-stored answer in Explicit VR Little Endian, one at a time.

    raises  NotAcceptable if the first instance cannot be decoded; later ones cut the connection
    """
    items = instances(opened, pixels)
    return answer_of_items(items, opened, choice, tag, f"{choice.part_type}; {LITTLE_ENDIAN}")


def decoded_frames(
    opener: Opener,
    target: Target,
    opened: Opened,
    numbers: Sequence[int],
    choice: Choice,
    tag: str | None,
) -> Response:
    """Frames of the opened instance, little endian; as decoded_instances. raises NotFound"""
    items = _frames(opener, target, opened, numbers)
    return answer_of_items(items, opened, choice, tag, f"{choice.part_type}; {LITTLE_ENDIAN}")


Items = Generator[list[bytes] | Iterator[bytes], None, None]


def answer_of_items(
    items: Items, opened: Opened, choice: Choice, tag: str | None, content_type: str
) -> Response:
    """Items of one content type as they are made, in parts or the only one alone.

    raises  what the making of the first one does; later it cuts the connection
    """
    first = next(items, None)
    if first is None:
        raise NotFound("instance")
    if choice.single_part and content_type == OCTETS:
        return single(iter(first), content_type, None, opened, tag)  # it may be of any length
    if choice.single_part:
        whole = b"".join(first)
        items.close()
        return single(iter([whole]), content_type, len(whole), opened, tag)
    boundary = new_boundary()
    head = part_head(boundary, [("Content-Type", content_type)])

    def body() -> Iterator[bytes]:
        for item in chain([first], items):
            yield head
            yield from item
            yield b"\r\n"
        yield closing(boundary)

    media_type = f'{MULTIPART}; type="{choice.part_type}"; boundary="{boundary}"'
    return in_parts(streamed(body(), media_type, None, opened), opened, tag)


def pixel_data(opener: Opener, target: Target, opened: Opened) -> Items:
    """All frames of the opened instance, little endian, as one item; the first one is made before
    it is given. What cannot be decoded here the site is asked for.

    raises  NotAcceptable; NotFound if it has no pixels; SiteError
    """
    frames = _each_frame(opener, target, opened)
    try:
        first = next(frames, None)
    except CannotDecode as error:
        raise _refused(error) from error
    if first is None:
        raise NotFound("bulk data")
    yield chain([first], _later(frames))


def _later(frames: Iterator[bytes]) -> Iterator[bytes]:
    try:
        yield from frames
    except CannotDecode as error:
        raise _refused(error) from error


def _each_frame(opener: Opener, target: Target, opened: Opened) -> Iterator[bytes]:
    pixels = opener.gateway.pixels
    with (
        pixels.holding() as held,
        closing_at_end(StoredInstance(opener, target, opened, held)) as stored,
    ):
        for number in range(1, stored.about.frames + 1):
            before = held.size
            try:
                yield pixels.run("frame", {"number": number}, *stored.frame(number))
            except CannotDecode:
                if stored.about.transfer_syntax in DANGEROUS:
                    raise
                yield stored.frame_of_site(number)
            held.keep_only(before)


def _frames(opener: Opener, target: Target, opened: Opened, numbers: Sequence[int]) -> Items:
    pixels = opener.gateway.pixels
    try:
        with (
            pixels.holding() as held,
            closing_at_end(StoredInstance(opener, target, opened, held)) as stored,
        ):
            if max(numbers) > stored.about.frames:  # later it could only cut the answer off
                raise NotFound("frame")
            for number in numbers:
                before = held.size
                yield [pixels.run("frame", {"number": number}, *stored.frame(number))]
                held.keep_only(before)
    except LookupError:
        raise NotFound("frame") from None
    except CannotDecode as error:
        raise _refused(error) from error


def instances(opened: Opened, pixels: PixelWorkers) -> Items:
    """Each instance of an as-stored answer in Explicit VR Little Endian."""
    boundary = boundary_of(opened)
    blocks = checked_blocks(opened, boundary)
    try:
        for part in MultipartReader(lambda _size: next(blocks, b""), boundary):
            begun, is_explicit = _begin(part)
            if is_explicit:
                yield chain(begun, part.chunks)
            else:
                with pixels.holding() as held:
                    yield [pixels.run("instance", {}, _rest(begun, part, held))]
    except CannotDecode as error:
        raise _refused(error) from error
    except BadRequest as error:
        raise SiteStreamCut(opened.site.site_id, error.problem) from error
    finally:
        blocks.close()


def _refused(error: CannotDecode) -> NotAcceptable:
    return NotAcceptable("Accept", f"an image cannot be decoded ({error}); ask as stored")


def _begin(part: Part) -> tuple[list[bytes], bool]:
    """The first bytes of a file, and whether it is in Explicit VR Little Endian already."""
    begun = bytearray()
    for block in part.chunks:
        begun += block
        try:
            syntax = identify(bytes(begun), whole=False).transfer_syntax
            return [bytes(begun)], syntax == EXPLICIT_LE
        except MoreBytesNeeded:
            if len(begun) > HEADER:
                break
        except NotUnderstood:
            break
    return [bytes(begun)], False


def _rest(begun: list[bytes], part: Part, held: Holding) -> bytes:
    file = bytearray()
    for block in chain(begun, part.chunks):
        file += block
        held.add(len(block))
        if len(file) > LARGEST:
            raise CannotDecode("the image is too large to be decoded here")
    return bytes(file)
