"""Changes the header of an instance while its bytes pass: pixels are never held.

What stands before the pixels is read whole (HEADER_LIMIT), changed as a pydicom data set and
written again in its own transfer syntax; the pixels follow byte by byte. The same header and the
same change give the same bytes each time, so that a delivery can be proven by reading its source
again.
"""

import io
import struct
import warnings
from collections.abc import Callable, Iterable, Iterator
from itertools import chain

from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset

from gateway.dicom.part10 import (
    EXPLICIT_BIG_ENDIAN,
    IMPLICIT,
    ITEM,
    LONG_VRS,
    SEQUENCE_END,
    UNDEFINED,
    Glance,
    MoreBytesNeeded,
    NotUnderstood,
    glance,
)
from gateway.dicom.transcode import WHAT_PYDICOM_RAISES

HEADER_LIMIT = 64 * 2**20
FIRST_LOOK = 64 * 1024
PREAMBLE = bytes(128)
_ITEM_HEAD = 8

Change = Callable[[Dataset], None]
"""Changes a data set in place; its file meta is `dataset.file_meta`."""


class CannotEdit(Exception):
    """The instance cannot be changed; `why` is a code."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


def edited(blocks: Iterable[bytes], change: Change, *, drop_rest: bool = False) -> Iterator[bytes]:
    """The file with its header changed.

    drop_rest  what stands behind the pixels is left out: trailing padding, signatures, and private
               groups that nobody can judge
    raises     CannotEdit, whatever `blocks` and `change` raise
    """
    source = iter(blocks)
    data, found = _read_header(source)
    head = data[: found.header_bytes]
    rest = chain([data[found.header_bytes :]], source)
    yield _changed(head, change)
    yield from _only_pixels(rest, found.transfer_syntax) if drop_rest else filter(None, rest)


def read_header(blocks: Iterator[bytes]) -> tuple[Dataset, str, Iterator[bytes]]:
    """The data set before the pixels, the transfer syntax, and the blocks from the pixels on.

    raises  CannotEdit, whatever `blocks` raise
    """
    data, found = _read_header(blocks)
    rest = chain([data[found.header_bytes :]], blocks)
    return _parsed(data[: found.header_bytes]), found.transfer_syntax, rest


def _read_header(source: Iterator[bytes]) -> tuple[bytes, Glance]:
    """All that was read so far, and what it says of where the pixels begin."""
    data, look_at = bytearray(), FIRST_LOOK
    try:
        for block in source:
            data += block
            if len(data) < look_at:
                continue
            try:
                return bytes(data), glance(bytes(data), whole=False)
            except MoreBytesNeeded:
                look_at = 2 * len(data)
            if len(data) > HEADER_LIMIT:
                raise CannotEdit("header_too_large")
        return bytes(data), glance(bytes(data), whole=True)
    except NotUnderstood as error:
        raise CannotEdit("not_understood") from error


def _parsed(head: bytes) -> Dataset:
    try:
        with warnings.catch_warnings(action="ignore"):  # dirty values in other elements
            dataset: Dataset = dcmread(io.BytesIO(head))
            return dataset
    except WHAT_PYDICOM_RAISES as error:
        raise CannotEdit("not_understood") from error


def _changed(head: bytes, change: Change) -> bytes:
    dataset = _parsed(head)
    dataset.preamble = PREAMBLE
    out = io.BytesIO()
    try:
        with warnings.catch_warnings(action="ignore"):
            change(dataset)
            dcmwrite(out, dataset, enforce_file_format=True)
    except WHAT_PYDICOM_RAISES as error:
        raise CannotEdit("not_written") from error
    return out.getvalue()


def _only_pixels(rest: Iterable[bytes], syntax: str) -> Iterator[bytes]:
    """The pixel element, and nothing behind it (PS3.5 7.1, A.4)."""
    reader = _Reader(rest)
    order = ">" if syntax == EXPLICIT_BIG_ENDIAN else "<"
    head = reader.take(8)
    if len(head) < 8:
        return
    length = struct.unpack(order + "I", head[4:])[0]
    if syntax not in IMPLICIT:
        if head[4:6] not in LONG_VRS:
            raise CannotEdit("not_understood")
        more = reader.take(4)
        head, length = head + more, struct.unpack(order + "I", more)[0]
    yield head
    if length != UNDEFINED:
        yield from reader.pass_on(length)
        return
    while True:
        head = reader.take(_ITEM_HEAD)
        if len(head) < _ITEM_HEAD:
            raise CannotEdit("not_understood")
        group, element, size = struct.unpack("<HHI", head)
        yield head
        if group << 16 | element == SEQUENCE_END:
            return
        if group << 16 | element != ITEM or size == UNDEFINED:
            raise CannotEdit("not_understood")
        yield from reader.pass_on(size)


class _Reader:
    """Takes exact counts out of blocks of any size."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks = iter(blocks)
        self._held = b""

    def take(self, count: int) -> bytes:
        """So many bytes; fewer at the end."""
        while len(self._held) < count:
            block = next(self._blocks, None)
            if block is None:
                break
            self._held += block
        taken, self._held = self._held[:count], self._held[count:]
        return taken

    def pass_on(self, count: int) -> Iterator[bytes]:
        while count:
            if not self._held:
                self._held = next(self._blocks, b"")
                if not self._held:
                    raise CannotEdit("not_understood")
            part, self._held = self._held[:count], self._held[count:]
            count -= len(part)
            yield part
