"""Reads the head of a site's answer; http.client goes on with the body and its chunks.

http.client alone hands the head to the e-mail parser of the standard library: measured 0.25 ms of
1.5 for one frame, and for a multipart answer it even compiles a pattern for the boundary.
"""

import http.client
import re
from collections.abc import Iterator, Sequence

LINE_LIMIT = 64 * 1024
LINES_LIMIT = 100
STATUS_LINE = re.compile(r"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: [^\r]*)?", re.ASCII)
END = re.compile(rb"\n\r?\n")
NO_BODY = (204, 304)


class HeadParsed(http.client.HTTPResponse):
    """An answer whose head is read by `begin`; `fields` are its headers, names in lower case."""

    fields: dict[str, str]

    def begin(self) -> None:
        """Read the head (RFC 9112 4, 5, 6.3); interim answers are skipped.

        raises  RemoteDisconnected if nothing came; HTTPException if it is no head of HTTP/1
        """
        status = 100
        while status < 200:
            first, *lines = self._read_head()
            found = STATUS_LINE.fullmatch(first)
            if found is None:
                raise http.client.BadStatusLine("no status line of HTTP/1")
            minor, status, fields = int(found[1]), int(found[2]), _fields(lines)
        self.status, self.version, self.fields = status, 10 + minor, fields
        coding = fields.get("transfer-encoding", "").lower()
        self.chunked = coding == "chunked"
        self.chunk_left = None
        length = fields.get("content-length", "")
        self.length = int(length) if length.isdecimal() and not self.chunked else None
        if status in NO_BODY:
            self.length = 0
        options = {option.strip() for option in fields.get("connection", "").lower().split(",")}
        kept = "keep-alive" in options if minor == 0 else "close" not in options
        self.will_close = not kept or (self.length is None and not self.chunked)

    def _read_head(self) -> list[str]:
        """Lines of a head without their ends; mostly all of them come at once."""
        whole = END.search(self.fp.peek())
        head = self.fp.read(whole.end()) if whole else b"".join(self._read_lines())
        return [line.removesuffix("\r") for line in head.decode("latin-1").split("\n")[:-2]]

    def _read_lines(self) -> Iterator[bytes]:
        """The same from several packets, with their ends and that of the head."""
        for number in range(LINES_LIMIT + 2):
            line = self.fp.readline(LINE_LIMIT + 1)
            if number == 0 and not line:
                raise http.client.RemoteDisconnected("closed before an answer")
            if number == 0 and not line.startswith(b"HTTP/1."):
                raise http.client.BadStatusLine("no status line of HTTP/1")
            if len(line) > LINE_LIMIT:
                raise http.client.LineTooLong("head")
            if not line.endswith(b"\n"):
                raise http.client.HTTPException("a broken header line")
            yield line
            if line in (b"\r\n", b"\n"):
                return
        raise http.client.HTTPException("too many headers")


def _fields(lines: Sequence[str]) -> dict[str, str]:
    """Of a doubled name the first counts, as http.client has it; lengths may not disagree."""
    if len(lines) > LINES_LIMIT:
        raise http.client.HTTPException("too many headers")
    fields: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name[0] in " \t":
            raise http.client.HTTPException("a broken header line")
        name, value = name.strip().lower(), value.strip()
        if fields.setdefault(name, value) != value and name == "content-length":
            raise http.client.HTTPException("two lengths")
    return fields
