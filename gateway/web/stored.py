"""Reads one instance as a site stores it: its header always, of its pixels one frame at most.

For what the gateway makes itself: renderings, decoded frames, reports. What is read is counted
(pixels/workers.py), nothing larger than the limits below is ever held, and nothing is parsed here
beyond the places of a few elements.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from gateway.dicom.asked import coding_of
from gateway.dicom.media_types import DICOM, EXPLICIT_LE, MULTIPART, OCTETS
from gateway.dicom.part10 import DEFLATED, Glance, MoreBytesNeeded, NotUnderstood, glance
from gateway.dicom.transcode import CannotDecode
from gateway.errors import NotFound
from gateway.federation.retrieve import Opened, unwrapped
from gateway.model.answers import Location
from gateway.pixels.workers import Holding
from gateway.web.opening import WHOLE_AS_STORED, Opener, Target, boundary_of, frames_below
from gateway.web.scope import Scope

HEADER_LIMIT = 64 * 2**20  # an encapsulated document is part of the header
LARGEST = 256 * 2**20
WHOLE_INFLATED = f'{MULTIPART}; type="{DICOM}"; transfer-syntax={EXPLICIT_LE}'
FRAME_DECODED = f'{MULTIPART}; type="{OCTETS}"; transfer-syntax={EXPLICIT_LE}'
FRAME_AS_STORED = f'{MULTIPART}; type="{OCTETS}"; transfer-syntax=*'


class StoredInstance:
    """One instance at one site; its header has been read. Close it.

    about  what the header says of the pixels
    """

    def __init__(self, opener: Opener, target: Target, opened: Opened, held: Holding) -> None:
        """raises CannotDecode if it is no DICOM file that can be read; closes `opened` then"""
        self.opened = opened
        self._opener = opener
        self._target = target
        self._held = held
        try:
            self._rest = _only_part(opened)
            self._begun, self.about = self._read_header()
        except BaseException:
            opened.answer.close()
            raise

    def document(self) -> bytes:
        """The file of an instance without pixels."""
        return self._begun

    def frame(self, number: int) -> tuple[bytes, ...]:
        """What a pixel worker needs for one frame: the whole file, or the header and the frame.

        raises  NotFound beyond the last frame; CannotDecode if it is too large; SiteError
        """
        if not 1 <= number <= self.about.frames:
            raise NotFound("frame")
        if self.about.frames == 1:
            return (self._whole(),)
        self.close()
        site = self.opened.site
        path = self._target.path + frames_below([number])
        answer = self._opener.ask(site, path, FRAME_AS_STORED)
        if answer.status == 200:
            first = answer.read()
            answer.become_stream()
            stored = self._collected(_only_part(Opened(site, answer, first)))
            return self._begun[: self.about.header_bytes], stored
        answer.close()  # Orthanc has no frames of some codings: big-endian, MPEG2
        return (self._again_whole(),)

    def frame_of_site(self, number: int) -> bytes:
        """One frame as the site decodes it to Explicit VR Little Endian; raises as `frame`."""
        self.close()
        path = self._target.path + frames_below([number])
        return self._collected(self._part_at(path, FRAME_DECODED))

    def close(self) -> None:
        self.opened.answer.close()

    def _read_header(self) -> tuple[bytes, Glance]:
        begun = bytearray()
        look_at = 0
        for block in self._rest:
            begun += block
            self._held.add(len(block))
            if len(begun) > HEADER_LIMIT:
                raise CannotDecode("the header is too large")
            if len(begun) < look_at:
                continue
            try:
                return bytes(begun), glance(bytes(begun), whole=False)
            except MoreBytesNeeded:
                look_at = 2 * len(begun)  # few looks, whatever the length
            except NotUnderstood as error:
                raise CannotDecode(str(error)) from error
        try:
            return bytes(begun), glance(bytes(begun), whole=True)
        except NotUnderstood as error:
            raise CannotDecode(str(error)) from error

    def _whole(self) -> bytes:
        return self._begun + self._collected(self._rest)

    def _again_whole(self) -> bytes:
        return self._collected(self._part_at(self._target.path, WHOLE_AS_STORED))

    def _part_at(self, path: str, accept: str) -> Iterator[bytes]:
        site = self.opened.site
        answer = self._opener.ask(site, path, accept)
        if answer.status != 200:
            answer.close()
            raise CannotDecode(f"the site does not give it: HTTP {answer.status}")
        first = answer.read()
        answer.become_stream()
        return _only_part(Opened(site, answer, first))

    def _collected(self, blocks: Iterable[bytes]) -> bytes:
        found = bytearray()
        for block in blocks:
            found += block
            self._held.add(len(block))
            if len(found) > LARGEST:
                raise CannotDecode("the image is too large to be decoded here")
        return bytes(found)


def open_instance(
    opener: Opener, scope: Scope, target: Target, held: Holding, location: Location | None = None
) -> StoredInstance:
    """One instance at its best holder; raises what StoredInstance and Opener.open raise."""
    whole = replace(target, below="")
    opened = opener.open(scope, whole, WHOLE_AS_STORED, "instance", location)
    if coding_of(opened.first) in DEFLATED:  # nothing is inflated here (trust.md H74)
        opened.answer.close()
        opened = opener.open(scope, whole, WHOLE_INFLATED, "instance", location)
    return StoredInstance(opener, whole, opened, held)


def _only_part(opened: Opened) -> Iterator[bytes]:
    _, body = unwrapped(opened, boundary_of(opened))
    return body
