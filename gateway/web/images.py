"""Reads one instance as a site stores it: its header always, of its pixels one frame at most.

For what the gateway makes itself: renderings, decoded frames, reports. Nothing larger than the
limits below is ever held.
"""

import io
import warnings
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate

from gateway.dicom.multipart import check_boundary
from gateway.dicom.part10 import MoreBytesNeeded, NotUnderstood, pixels_at
from gateway.dicom.transcode import WHAT_PYDICOM_RAISES, CannotDecode
from gateway.errors import NotFound, SiteSpeaksGarbage
from gateway.federation.retrieve import Opened, unwrapped
from gateway.web.opening import WHOLE_AS_STORED, Opener, Target, frames_below, upstream_type
from gateway.web.scope import Scope

HEADER_LIMIT = 64 * 2**20  # an encapsulated document is part of the header
FRAME_LIMIT = 256 * 2**20


@dataclass
class StoredInstance:
    """The header of one instance, and how to come by its frames; close it.

    header  everything before the pixels
    frames  how many frames it has; 0 without pixels
    """

    header: Dataset
    frames: int
    opened: Opened
    _begun: bytes
    _rest: Iterator[bytes]
    _opener: Opener
    _target: Target

    def frame(self, number: int) -> Dataset:
        """The instance with one frame as its only pixels.

        raises  NotFound beyond the last frame; CannotDecode if it is too large; SiteError
        """
        if not 1 <= number <= self.frames:
            raise NotFound("frame")
        if self.frames == 1 and self._begun:
            body = bytearray(self._begun)
            for block in self._rest:
                body += block
                if len(body) > FRAME_LIMIT + HEADER_LIMIT:
                    raise CannotDecode("the image is too large to be decoded here")
            self._begun = b""
            return _parsed(bytes(body))
        return self._with_pixels(self._stored_frame(number))

    def close(self) -> None:
        self.opened.answer.close()

    def _stored_frame(self, number: int) -> bytes:
        """One frame as it is stored, from the site that gave the header."""
        self.close()
        accept = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'
        path = self._target.path + frames_below([number])
        site = self.opened.site
        answer = self._opener.ask(site, path, accept)
        if answer.status != 200:
            answer.close()
            raise CannotDecode(f"the site does not give its frame: HTTP {answer.status}")
        first = answer.read()
        answer.become_stream()
        found = bytearray()
        for block in _body(Opened(site, answer, first)):
            found += block
            if len(found) > FRAME_LIMIT:
                answer.close()
                raise CannotDecode("the frame is too large to be decoded here")
        return bytes(found)

    def _with_pixels(self, stored: bytes) -> Dataset:
        one = Dataset()
        one.update(self.header)
        one.file_meta = self.header.file_meta
        one.NumberOfFrames = 1
        compressed = one.file_meta.TransferSyntaxUID.is_compressed
        one.PixelData = encapsulate([stored]) if compressed else stored
        one["PixelData"].VR = "OB" if compressed or one.BitsAllocated <= 8 else "OW"
        one["PixelData"].is_undefined_length = compressed
        return one


def open_instance(opener: Opener, scope: Scope, target: Target) -> StoredInstance:
    """Read the header of one instance at its best holder.

    raises  CannotDecode if it is no DICOM file that can be read
    """
    opened = opener.open(scope, target, WHOLE_AS_STORED, "instance")
    try:
        rest = _body(opened)
        begun, at = _header(rest)
        header = _parsed(begun[:at])
        frames = _count(header) if at < len(begun) else 0
    except BaseException:
        opened.answer.close()
        raise
    return StoredInstance(header, frames, opened, begun, rest, opener, target)


def _body(opened: Opened) -> Iterator[bytes]:
    """The bytes of the only part."""
    _, parameters = upstream_type(opened)
    if "boundary" not in parameters:
        opened.answer.close()
        raise SiteSpeaksGarbage(opened.site.site_id, "an instance without a boundary")
    _, body = unwrapped(opened, check_boundary(parameters["boundary"]))
    return body


def _header(blocks: Iterator[bytes]) -> tuple[bytes, int]:
    """Bytes read so far and the place of the pixels among them; their end if there are none."""
    begun = bytearray()
    look_at = 0
    for block in blocks:
        begun += block
        if len(begun) > HEADER_LIMIT:
            raise CannotDecode("the header is too large")
        if len(begun) < look_at:
            continue
        try:
            found = bytes(begun)
            return found, pixels_at(found)
        except MoreBytesNeeded:
            look_at = 2 * len(begun)  # few looks, whatever the length
        except NotUnderstood as error:
            raise CannotDecode(str(error)) from error
    found = bytes(begun)
    try:
        return found, pixels_at(found)
    except MoreBytesNeeded:
        return found, len(found)
    except NotUnderstood as error:
        raise CannotDecode(str(error)) from error


def _parsed(file: bytes) -> Dataset:
    try:
        with warnings.catch_warnings(action="ignore"), closing(io.BytesIO(file)) as stream:
            dataset: Dataset = dcmread(stream)
            return dataset
    except WHAT_PYDICOM_RAISES as error:
        raise CannotDecode(f"broken: {type(error).__name__}") from error


def _count(header: Dataset) -> int:
    try:
        return max(int(header.get("NumberOfFrames") or 1), 1)
    except (TypeError, ValueError):
        return 1
