"""Takes a list of DICOM JSON datasets apart while it comes (PS3.18 F.2), so that metadata of
thousands of instances never stand in memory together.
"""

import re
from collections.abc import Iterable, Iterator

from gateway.errors import BadRequest

MAX_ROW = 16 * 2**20
# All up to the next brace that stands in no text; nothing, as long as that brace has not come.
_TEXT = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_TO_BRACE = re.compile(rb'[^"{}]*+(?:' + _TEXT + rb'[^"{}]*+)*+([{}])', re.DOTALL)


def split_rows(blocks: Iterable[bytes], most: int = MAX_ROW) -> Iterator[bytes]:
    """The JSON objects of a JSON list, one after the other, unparsed.

    raises  BadRequest if it is no list of objects, ends early, or has one larger than `most`
    """
    waiting, scanned, depth, begin, began = b"", 0, 0, 0, False
    for block in blocks:
        waiting += block
        if not began and waiting.strip():
            began = waiting.lstrip().startswith(b"[")
            if not began:
                raise BadRequest("body", "is no list")
        while brace := _TO_BRACE.match(waiting, scanned):
            scanned = brace.end()
            if brace[1] == b"{":
                begin = scanned - 1 if depth == 0 else begin
                depth += 1
                continue
            depth -= 1
            if depth < 0:
                raise BadRequest("body", "is no JSON")
            if depth == 0:
                yield waiting[begin:scanned]
        # What was given away is let go; what stands between two objects says nothing.
        keep = begin if depth else scanned
        waiting, scanned, begin = waiting[keep:], scanned - keep, 0
        if len(waiting) > most:
            raise BadRequest("body", f"has a dataset of more than {most} bytes")
    if depth or not began or not waiting.rstrip().endswith(b"]"):
        raise BadRequest("body", "ends early")
