"""Bodies that are computed once for each content version and given compressed from memory.

Orthanc needs 100-150 ms for the metadata of 200 slices (performance.md): it reads every file. The
key is the entity tag (versions.py), so what the index sees change is asked for anew, and answers of
sites that the index does not follow are never kept.
"""

import gzip
from collections import OrderedDict
from threading import Lock

import gevent
from flask import Response, request

MOST_BYTES = 32 * 2**20  # for the common address, and once more for those of single hospitals
LARGEST = 32 * 2**20  # before it is compressed; some 8,000 instances


class PackedBodies:
    """Bodies by entity tag, in gzip form; safe for threads. The longest unused ones go first."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._lock = Lock()

    def find(self, tag: str) -> bytes | None:
        with self._lock:
            if tag in self._kept:
                self._kept.move_to_end(tag)
            return self._kept.get(tag)

    def keep(self, tag: str, body: bytes) -> bytes | None:
        """The body packed; None if it is too large to be kept."""
        if len(body) > LARGEST:
            return None
        # Aside: a large one takes some tenths of a second, and the process serves others meanwhile.
        packed: bytes = gevent.get_hub().threadpool.apply(gzip.compress, (body, 1))
        with self._lock:
            self._bytes += len(packed) - len(self._kept.pop(tag, b""))
            self._kept[tag] = packed
            while self._bytes > self._most_bytes:
                self._bytes -= len(self._kept.popitem(last=False)[1])
        return packed


def packed_answer(packed: bytes, content_type: str) -> Response:
    """As it is for who takes gzip (RFC 9110 12.5.3), else unpacked."""
    takes = request.accept_encodings.quality("gzip") > 0
    answer = Response(packed if takes else gzip.decompress(packed), content_type=content_type)
    if takes:
        answer.content_encoding = "gzip"
    answer.vary.add("Accept-Encoding")
    return answer
