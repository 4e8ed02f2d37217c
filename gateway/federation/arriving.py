"""The parts of a store request as they come: read far enough to know whose they are, gathered in
groups that are looked at together. What of a large one has not come yet is read when it is sent.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

from gateway.clock import Deadline
from gateway.dicom.fingerprint import Fingerprint
from gateway.dicom.multipart import Part
from gateway.dicom.part10 import (
    DEFLATED,
    Identity,
    LengthCheck,
    MoreBytesNeeded,
    NotUnderstood,
    begins_as_program,
    identify,
    with_preamble,
)
from gateway.dicom.store_response import CANNOT_UNDERSTAND, TRANSFER_SYNTAX
from gateway.model.answers import Refused

PREFIX_STEPS = (64 * 1024, 1024 * 1024, 4 * 1024 * 1024)
"""How much of a part is kept, at most, until its UIDs have come; most need the first step."""
FIRST_BYTES, GROUP_BYTES, GROUP_PARTS, GROUP_S = 256 * 1024, 4 * 2**20, 64, 3.0
"""Parts that are looked at together, so that a site is asked once for all of them; no more than a
caller sends in that time, because the site waits meanwhile."""


@dataclass(slots=True)
class Entry:
    """One instance of the request.

    batch    number of the request in which it is sent
    content  set where it was compared instead of sent
    lengths  has seen the bytes that went by
    program  it begins as a program does
    """

    identity: Identity
    failure: int | None = None
    program: bool = False
    site_id: str = ""
    batch: int = 0
    content: Fingerprint | None = None
    lengths: LengthCheck | None = None

    @property
    def key(self) -> tuple[str, str]:
        return self.site_id, self.identity.study_uid


class File(NamedTuple):
    """The bytes of one instance: what is here already, and what still comes."""

    here: list[bytes]
    rest: Iterator[bytes]

    @property
    def blocks(self) -> Iterator[bytes]:
        return chain(self.here, self.rest)


Read = tuple[Entry, File]


def grouped(parts: Iterable[Part | Refused]) -> Iterator[deque[Read]]:
    """Parts as they come, some together; what of the last of them has not come is read later.

    The first groups are small: the site has something to do while the next ones are gathered.
    """
    group: deque[Read] = deque()
    most, size, time = FIRST_BYTES, 0, Deadline(GROUP_S)
    for part in parts:
        whole = True
        if isinstance(part, Refused):
            group.append((Entry(part.identity, part.failure), File([], iter(()))))
        else:
            prefix, identity, failure = _read_identity(part)
            begun, whole = [prefix], failure is not None
            size += len(prefix)
            while not whole and size < most and not time.passed:
                block = next(part.chunks, b"")
                begun.append(block)
                size += len(block)
                whole = not block
            group.append(
                _looked_through(Entry(identity, failure, begins_as_program(prefix)), begun, part)
            )
        if not whole or time.passed or len(group) >= GROUP_PARTS:
            yield group
            most = min(2 * most, GROUP_BYTES)
            group, size, time = deque(), 0, Deadline(GROUP_S)
    yield group


def _looked_through(entry: Entry, begun: list[bytes], part: Part) -> Read:
    """The entry with its bytes, which end before a nesting that a site could die of (H75), or
    before what says for a second time whose they are.

    Most files have come whole by now, and are refused at once. A larger one ends there, and its
    site refuses it as one that was cut.
    """
    if entry.failure is not None:
        return entry, File(begun, part.chunks)
    lengths = entry.lengths = LengthCheck(entry.identity)
    for block in begun:
        lengths.feed(block)
    if lengths.unsafe:
        entry.failure = CANNOT_UNDERSTAND

    def rest() -> Iterator[bytes]:
        for block in part.chunks:
            lengths.feed(block)
            if lengths.unsafe:
                return
            yield block

    return entry, File(begun, rest())


def _read_identity(part: Part) -> tuple[bytes, Identity, int | None]:
    """Read just enough of a part; (what was read, who it is, FailureReason or None)."""
    prefix = b""
    whole = False
    for step in PREFIX_STEPS:
        blocks = [prefix]
        size = len(prefix)
        while size < step and not whole:
            block = next(part.chunks, None)
            whole = block is None
            blocks.append(block or b"")
            size += len(blocks[-1])
        prefix = with_preamble(b"".join(blocks))
        try:
            return prefix, identify(prefix, whole=whole), None
        except MoreBytesNeeded:
            continue
        except NotUnderstood as error:
            identity = error.identity or Identity()
            deflated = identity.transfer_syntax in DEFLATED
            return b"", identity, TRANSFER_SYNTAX if deflated else CANNOT_UNDERSTAND
    return b"", Identity(), CANNOT_UNDERSTAND
