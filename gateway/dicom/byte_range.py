"""Byte ranges of one representation (RFC 9110 14): one range of bytes, or the whole."""

import re

_ONE_RANGE = re.compile(r"bytes\s*=\s*(\d{0,18})\s*-\s*(\d{0,18})\s*\Z", re.ASCII | re.IGNORECASE)


class Unsatisfiable(Exception):
    """The range lies behind the end."""


def parse_range(value: str, size: int) -> tuple[int, int] | None:
    """First and last byte that a Range header asks for, of a representation of `size` bytes.

    None for everything that a server may ignore: another unit, several ranges (trust.md H22), words
    that are no range. raises Unsatisfiable
    """
    found = _ONE_RANGE.match(value)
    if found is None or not (found[1] or found[2]):
        return None
    if not found[1]:  # the last so many bytes
        first, last = max(size - int(found[2]), 0), size - 1
        if int(found[2]) == 0:
            raise Unsatisfiable
    else:
        first = int(found[1])
        last = min(int(found[2]), size - 1) if found[2] else size - 1
        if found[2] and int(found[2]) < first:
            return None
    if first >= size:
        raise Unsatisfiable
    return first, last
