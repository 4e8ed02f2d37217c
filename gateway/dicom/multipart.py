"""multipart/related as PS3.18 8.6.1.2 uses it (RFC 2387, RFC 2046): a reader that never holds a
part, a writer, and the check that a length-less stream really reached its closing boundary.

The reader is linear in its input whatever the bytes are and bounds all that it keeps. Our own
scanner, because the well-kept parsers collect whole parts (performance.md 3, trust.md H16, H17).
"""

import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from gateway.dicom.asked import HEADER_LIMIT, Asked, coding_of
from gateway.errors import BadRequest, PayloadTooLarge

BLOCK = 256 * 1024
BOUNDARY_LIMIT = 70  # RFC 2046 5.1.1
CLOSE = b"--"
PART_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,18})[ \t]*\r\n", re.IGNORECASE)

LOOKED_AT = HEADER_LIMIT + 8 * 1024  # of a part, with its head


@dataclass(frozen=True)
class Limits:
    """What one body may hold; beyond it the request is refused (trust.md H16)."""

    parts: int = 100_000
    headers: int = 20
    header_bytes: int = 8 * 1024
    preamble_bytes: int = 8 * 1024
    total_bytes: int = 16 * 2**30


def check_boundary(boundary: str | None) -> bytes:
    """The boundary parameter as bytes; BadRequest if it is not one (RFC 2046 5.1.1)."""
    if not boundary:
        raise BadRequest("Content-Type", "the boundary parameter is missing")
    if len(boundary) > BOUNDARY_LIMIT or not boundary.isascii() or not boundary.isprintable():
        raise BadRequest("Content-Type", "the boundary is longer than 70 or not printable ASCII")
    return boundary.encode("ascii")


class Part:
    """One part: its headers (names in lower case) and its body, which is read once."""

    def __init__(self, headers: dict[str, str], chunks: Iterator[bytes]) -> None:
        self.headers = headers
        self.chunks = chunks

    def read(self, limit: int) -> bytes:
        """The whole body; PayloadTooLarge above `limit` bytes."""
        body = bytearray()
        for chunk in self.chunks:
            body += chunk
            if len(body) > limit:
                raise PayloadTooLarge("body", f"a part is larger than {limit} bytes")
        return bytes(body)


class MultipartReader:
    """Iterates over the parts of a body without holding any of them.

    read    returns up to n bytes, b"" at the end
    raises  BadRequest("body", ...) when the framing is broken or the closing boundary is missing,
            PayloadTooLarge when a limit is passed. Parts that came before were already given out:
            the caller must not report them as stored until the iteration has ended well.
    """

    def __init__(
        self, read: Callable[[int], bytes], boundary: bytes, limits: Limits | None = None
    ) -> None:
        self._read = read
        self._limits = limits or Limits()
        self._delimiter = b"\r\n--" + boundary
        self._block = b"\r\n"  # so that a boundary at the very start is found too
        self._at = 0  # of the block, what was not given out yet
        self._total = 0

    def __iter__(self) -> Iterator[Part]:
        self._skip_preamble()
        count = 0
        while not self._at_close():
            count += 1
            if count > self._limits.parts:
                raise PayloadTooLarge("body", f"more than {self._limits.parts} parts")
            body = self._body()
            yield Part(self._headers(), body)
            for _ in body:  # whatever the caller left unread
                pass
        while self._fill():  # the epilogue is ignored, within the total limit
            self._at = len(self._block)

    def _fill(self) -> bool:
        block = self._read(BLOCK)
        self._total += len(block)
        if self._total > self._limits.total_bytes:
            raise PayloadTooLarge("body", f"more than {self._limits.total_bytes} bytes")
        rest = self._block[self._at :]
        self._block, self._at = rest + block if rest else block, 0
        return bool(block)

    def _more(self) -> None:
        if not self._fill():
            raise BadRequest("body", "the closing boundary is missing; nothing counts as stored")

    def _skip_preamble(self) -> None:
        for _ in self._body():
            if self._total > self._limits.preamble_bytes + BLOCK:
                raise BadRequest("body", "the first boundary is missing")

    def _at_close(self) -> bool:
        """Read the rest of a delimiter line; tell whether it was the closing one."""
        while len(self._block) - self._at < 2:
            self._more()
        if self._block.startswith(CLOSE, self._at):
            return True
        line = self._line(limit=64)
        if line.strip(b" \t"):  # RFC 2046: only white space may follow
            raise BadRequest("body", "a boundary line holds something else")
        return False

    def _line(self, limit: int) -> bytes:
        seen = 0
        while (end := self._block.find(b"\r\n", self._at + seen)) < 0:
            seen = len(self._block) - self._at
            if seen > limit:
                break
            seen = max(0, seen - 1)
            self._more()
        if end < 0 or end - self._at > limit:
            raise BadRequest("body", "a header line is too long or does not end in CRLF")
        line = self._block[self._at : end]
        self._at = end + 2
        return line

    def _headers(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        left, name = self._limits.header_bytes, ""
        while line := self._line(limit=left):
            left -= len(line) + 2
            if name and line.startswith((b" ", b"\t")):  # a folded one goes on (RFC 5322 2.2.3)
                headers[name] += " " + line.strip().decode("latin-1")
                continue
            raw_name, colon, value = line.partition(b":")
            name = raw_name.strip().decode("latin-1").lower()
            if not colon or not name or name in headers or len(headers) >= self._limits.headers:
                raise BadRequest("body", "the header of a part is broken, doubled or too long")
            headers[name] = value.strip().decode("latin-1")
        return headers

    def _body(self) -> Iterator[bytes]:
        """Bytes up to the next delimiter, which is taken away with its CRLF."""
        while True:
            found = self._block.find(self._delimiter, self._at)
            end = found if found >= 0 else self._safe_end()
            begin, self._at = self._at, end
            if end > begin:
                yield self._block[begin:end]  # without a copy where that is all of it
            if found >= 0:
                self._at += len(self._delimiter)
                return
            self._more()

    def _safe_end(self) -> int:
        """Where the delimiter may begin that ends in the next block; else the end of this one."""
        at = max(self._at, len(self._block) - len(self._delimiter) + 1)
        while (at := self._block.find(b"\r", at)) >= 0:
            if self._delimiter.startswith(self._block[at:]):
                return at
            at += 1
        return len(self._block)


def new_boundary() -> str:
    """An unpredictable boundary (dicomweb.md 2.26)."""
    return "gateway-" + secrets.token_hex(16)


def part_head(boundary: str, headers: Iterable[tuple[str, str]]) -> bytes:
    """The delimiter line and headers that stand before a part's bytes."""
    lines = [f"--{boundary}", *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode("latin-1")


def closing(boundary: str) -> bytes:
    return f"--{boundary}--\r\n".encode("ascii")


class PassingParts:
    """Watches a multipart body go by: how many parts came, and whether it reached its end.

    Orthanc sends studies and series without a length, so a server that dies looks like one that
    has finished (performance.md 5.1): only the closing delimiter tells. Where a part says how long
    it is, `ahead` bytes need not be shown: they may pass by splice(2), unseen, and are skipped.
    A part that says more than it has hides the closing delimiter and so counts as broken.

    asked  what every part must be a file of; `foreign` once one is not, and `recoded` the transfer
           syntax of one that is of it but in another
    """

    def __init__(self, boundary: bytes, asked: Asked | None = None) -> None:
        self._delimiter = b"\r\n--" + boundary
        self._seam = b"\r\n"  # the end of what was seen: a delimiter may lie across two blocks
        self._in_head = False
        self._tells_length = True
        self.parts = 0
        self.closed = False
        self.foreign = False
        self.recoded: str | None = None
        self.ahead = 0
        self._asked = asked
        self._begun: bytes | None = None  # of a part of which it cannot be told yet

    @property
    def must_see(self) -> bool:
        """Whether the next bytes are needed to tell what a part is of."""
        return self._begun is not None

    @property
    def is_at_head(self) -> bool:
        """Whether the next bytes begin with a part's head, or with the rest of one: behind it there
        may be bytes that need not be seen."""
        return self._in_head or (self._tells_length and not self.ahead)

    def feed(self, block: bytes) -> None:
        """Look at the next bytes of the body."""
        if self.closed:
            return  # the epilogue
        text = self._seam + block
        if self._asked is not None and not self.foreign:
            self._judge(text, block, self._asked)
        at = text.rfind(self._delimiter)
        if at >= 0:
            self.parts += text.count(self._delimiter)
            self._in_head = True
            text = text[at + len(self._delimiter) :]
        else:
            self.ahead = max(0, self.ahead - len(block))
        if self._in_head:
            self._read_head(text)
        self._seam = text if self._in_head else text[1 - len(self._delimiter) :]

    def _judge(self, text: bytes, block: bytes, asked: Asked) -> None:
        """The part that goes on in this block, and each that begins in it."""
        at = text.find(self._delimiter)
        if self._begun is not None:
            end = len(block) if at < 0 else max(0, at - len(self._seam))
            self._tell(self._begun + block[: min(end, LOOKED_AT)], at >= 0, asked)
        while at >= 0:
            start = at + len(self._delimiter)
            at = text.find(self._delimiter, start)
            if not text.startswith(CLOSE, start):
                end = at if at >= 0 else len(text)
                whole = 0 <= at <= start + LOOKED_AT
                self._tell(text[start : min(end, start + LOOKED_AT)], whole, asked)

    def _tell(self, part: bytes, whole: bool, asked: Asked) -> None:
        head, blank, begun = part.partition(b"\r\n\r\n")
        verdict = asked.is_answered_by(begun, whole=whole) if blank else None
        self.foreign |= verdict is False
        if verdict and asked.transfer_syntax not in (None, coding := coding_of(begun)):
            self.recoded = coding or self.recoded
        unclear = verdict is None and not whole and len(head) <= Limits.header_bytes
        self._begun = part if unclear else None

    def _read_head(self, text: bytes) -> None:
        """Headers of the part that begins here, once all of them have come."""
        self.ahead = 0
        if text.startswith(CLOSE):
            self.closed = True
            self.parts -= 1
        end = text.find(b"\r\n\r\n")
        self._in_head = end < 0 and len(text) <= Limits.header_bytes
        said = PART_LENGTH.search(text, 0, end + 2) if end >= 0 else None
        self._tells_length = said is not None
        if said is not None:
            self.ahead = max(0, int(said[1]) - (len(text) - end - 4))

    def skip(self, count: int) -> None:
        """So many bytes of the current part have passed unseen."""
        self.ahead -= count
        if count:
            self._seam = b""
