"""Files without what stands in their preamble (PS3.10 7.1): its 128 bytes may hold anything, also
the head of a program or of a page, and some computers would run the file as such (trust.md H73).
"""

from gateway.dicom.multipart import CLOSE, Limits
from gateway.dicom.part10 import MARK, PREAMBLE
from gateway.errors import BadRequest

BEGIN = len(PREAMBLE + MARK)
END_OF_HEAD = b"\r\n\r\n"


class BlankPreambles:
    """Passes a body on, as long as it came, each file in it with a preamble of zeros.

    A part that has no preamble passes as it is. What is held back is a head or a delimiter long.

    boundary  of a multipart body; None: the body is one file
    """

    def __init__(self, boundary: bytes | None) -> None:
        self._delimiter = b"\r\n--" + (boundary or b"")
        # So that a boundary at the very start is found too.
        self._waiting = bytearray(b"\r\n" if boundary else b"")
        self._first = len(self._waiting)
        self._behind = self._to_delimiter if boundary else self._to_the_end
        self._step = self._to_delimiter if boundary else self._over_preamble

    def feed(self, block: bytes) -> bytes:
        """What of the body can be passed on by now; raises BadRequest for a head without end."""
        self._waiting += block
        passed = bytearray()
        while count := self._step():
            passed += self._waiting[:count]
            del self._waiting[:count]
        return self._begun(passed)

    def rest(self) -> bytes:
        """What was held back, once the body has come to its end."""
        passed, self._waiting = self._waiting, bytearray()
        return self._begun(passed)

    def _begun(self, passed: bytearray) -> bytes:
        """Without the line end that was put before the body."""
        ours, self._first = passed[: self._first], max(0, self._first - len(passed))
        return bytes(passed[len(ours) :])

    def _to_delimiter(self) -> int:
        """How many of the waiting bytes may go, as in each step; 0: more must come."""
        at = self._waiting.find(self._delimiter)
        if at < 0:
            return max(0, len(self._waiting) - len(self._delimiter) + 1)
        self._step = self._to_end_of_head
        return at + len(self._delimiter)

    def _to_end_of_head(self) -> int:
        if self._waiting.startswith(CLOSE):
            self._step = self._to_the_end
            return len(CLOSE)
        end = self._waiting.find(END_OF_HEAD)
        if (end if end >= 0 else len(self._waiting)) > Limits.header_bytes:
            raise BadRequest("body", "the header of a part is too long")
        if end < 0:
            return 0
        self._step = self._over_preamble
        return end + len(END_OF_HEAD)

    def _over_preamble(self) -> int:
        if len(self._waiting) < BEGIN:
            return 0
        self._step = self._behind
        if self._waiting[len(PREAMBLE) : BEGIN] == MARK:
            self._waiting[: len(PREAMBLE)] = PREAMBLE
            return BEGIN
        return self._step()

    def _to_the_end(self) -> int:
        return len(self._waiting)
