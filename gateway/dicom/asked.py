"""Tells from the first bytes of a file whether it is of what a site was asked for (trust.md H84).

A site may answer with another study: by a fault of its database, or because somebody else answers
in its place. Only UIDs are compared, so that a download costs a search for some bytes in each file.
"""

import struct
from dataclasses import dataclass
from functools import lru_cache

from gateway.dicom.part10 import (
    INSTANCE,
    SERIES,
    STUDY,
    MoreBytesNeeded,
    NotUnderstood,
    identify,
)

SYNTAX_HEAD = b"\x02\x00\x10\x00UI"
HEADER_LIMIT = 64 * 1024
"""Of a file whose UIDs lie farther behind nothing is said."""


@dataclass(frozen=True)
class Asked:
    """The resource that was asked for; an instance only where its UID must have stayed the same.

    transfer_syntax  that every file must be in; None where any will do
    """

    study_uid: str
    series_uid: str | None = None
    instance_uid: str | None = None
    transfer_syntax: str | None = None

    def is_answered_by(self, begun: bytes, *, whole: bool) -> bool | None:
        """Whether a file that begins so is of it; None: more of its bytes may tell.

        whole  the bytes are all there is of it
        """
        pairs = ((STUDY, self.study_uid), (SERIES, self.series_uid), (INSTANCE, self.instance_uid))
        wanted = [(tag, uid) for tag, uid in pairs if uid is not None]
        if all(_stands_in(begun, tag, uid) for tag, uid in wanted):
            return True
        try:
            found = identify(begun, whole=whole)
        except MoreBytesNeeded:
            return None if len(begun) < HEADER_LIMIT else True
        except NotUnderstood as error:
            if error.identity is None:
                return True  # no DICOM: whoever reads it will see
            found = error.identity
        said = {STUDY: found.study_uid, SERIES: found.series_uid, INSTANCE: found.sop_instance_uid}
        return all(said[tag] in ("", uid) for tag, uid in wanted)


def coding_of(begun: bytes) -> str | None:
    """The transfer syntax that a file names which begins so (0002,0010); None if it does not yet.

    Group 2 is in Explicit VR Little Endian in every file (PS3.10 7.1).
    """
    at = begun.find(SYNTAX_HEAD)
    start = at + len(SYNTAX_HEAD) + 2
    length = int.from_bytes(begun[start - 2 : start], "little")
    if at < 0 or not length or len(begun) < start + length:
        return None
    return begun[start : start + length].rstrip(b"\0 ").decode("latin-1")


def _stands_in(begun: bytes, tag: int, uid: str) -> bool:
    """As Explicit VR Little Endian has it, the usual form; another one is read by `identify`."""
    return _element(tag, uid) in begun


@lru_cache(maxsize=256)  # the same for each file of an answer
def _element(tag: int, uid: str) -> bytes:
    value = uid.encode("ascii") + b"\0" * (len(uid) % 2)
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, b"UI", len(value)) + value
