"""Writes a dataset of the DICOM JSON Model (PS3.18 Annex F) as a file (PS3.10) in Explicit VR
Little Endian. Pure: where bulk data belongs, a piece stands for it, so that pixels stream.

Our own writer, because pydicom wants every value in memory and only warns of wrong ones.
"""

import base64
import binascii
import math
import re
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.dicom.attributes import Dataset, text, vr_of
from gateway.dicom.part10 import (
    DEPTH_LIMIT,
    ITEM,
    ITEM_END,
    LONG_VRS,
    MARK,
    PREAMBLE,
    SEQUENCE_END,
    UNDEFINED,
)

UTF_8 = "ISO_IR 192"
IMPLEMENTATION = "2.25.147695128667308290287149530081362083649"
PIXELS = "7FE00010"
BINARY_VRS = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
TEXT_VRS = frozenset(
    {"AE", "AS", "CS", "DA", "DT", "LO", "LT", "SH", "ST", "TM", "UC", "UI", "UR", "UT"}
)
ONE_VALUE = frozenset({"LT", "ST", "UR", "UT"})
INTEGERS = {"US": "<H", "SS": "<h", "UL": "<I", "SL": "<i", "UV": "<Q", "SV": "<q"}
FLOATS = {"FL": "<f", "FD": "<d"}
VRS = BINARY_VRS | TEXT_VRS | INTEGERS.keys() | FLOATS.keys() | {"AT", "DS", "IS", "PN", "SQ"}
_VALUES = frozenset({"Value", "InlineBinary", "BulkDataURI"})
_TAG = re.compile(r"[0-9A-F]{8}", re.ASCII)
_NUMBER = re.compile(
    r"\s*[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|nan|inf(?:inity)?)\s*", re.ASCII | re.IGNORECASE
)
DS_LIMIT = 16  # characters (PS3.5 Table 6.2-1)
SHORT_LIMIT = 0xFFFE


class CannotEncode(Exception):
    """The dataset is none that could stand in a file; the text says what is wrong with it."""


@dataclass(frozen=True)
class Bulk:
    """Bytes that a BulkDataURI stands for, wherever they are.

    frames  (key, size) of each piece: one, or the frames of a compressed image in their order
    syntax  transfer syntax of compressed frames; "" for what is not encapsulated
    """

    frames: Sequence[tuple[int, int]]
    syntax: str = ""


FindBulk = Callable[[str], Bulk | None]
Piece = bytes | int
"""Bytes of the file, or the key of a bulk data part whose bytes stand here."""


def file_meta(dataset: Dataset, syntax: str) -> bytes:
    """Preamble, mark and file meta information (PS3.10 7.1) of a dataset's file."""
    version = _head("00020001", "OB", 2) + b"\0\1"
    uids = {
        "00020002": text(dataset, "SOPClassUID"),
        "00020003": text(dataset, "SOPInstanceUID"),
        "00020010": syntax,
        "00020012": IMPLEMENTATION,
    }
    group = version + b"".join(_short(tag, "UI", uid.encode()) for tag, uid in uids.items())
    return PREAMBLE + MARK + _short("00020000", "UL", struct.pack("<I", len(group))) + group


def encode(dataset: Dataset, find: FindBulk) -> list[Piece]:
    """The data set, without file meta information.

    Texts are written in UTF-8, whatever SpecificCharacterSet says: JSON and XML came in Unicode.
    raises  CannotEncode
    """
    given = {tag.upper(): element for tag, element in dataset.items()}
    given["00080005"] = {"vr": "CS", "Value": [UTF_8]}
    pieces: list[Piece] = []
    plain: list[bytes] = []
    for piece in _elements(given, find, 0):
        if isinstance(piece, bytes):
            plain.append(piece)
        else:
            pieces += [b"".join(plain), piece]
            plain.clear()
    return [*pieces, b"".join(plain)]


def _elements(dataset: Dataset, find: FindBulk, depth: int) -> Iterator[Piece]:
    if depth > DEPTH_LIMIT:
        raise CannotEncode(f"sequences are nested deeper than {DEPTH_LIMIT}")
    for tag, element in sorted(dataset.items()):
        number = _tag_number(tag)
        if number >> 16 <= 2 or number & 0xFFFF == 0:
            continue  # command and file meta groups, group lengths: ours to write or nobody's
        if not isinstance(element, dict) or number >> 16 == ITEM >> 16:
            raise CannotEncode(f"{tag} is no attribute")
        if len(element.keys() & _VALUES) > 1:
            raise CannotEncode(f"{tag} has a value in two forms (PS3.18 F.2.2)")
        vr = element.get("vr") or vr_of(tag)
        if not isinstance(vr, str) or vr not in VRS:
            raise CannotEncode(f"{tag} has no value representation")
        if "BulkDataURI" in element:
            uri = element["BulkDataURI"]
            yield from _bulk(tag, vr, find(uri) if isinstance(uri, str) else None, depth)
        elif vr == "SQ":
            yield from _sequence(tag, _given(element), find, depth)
        else:
            yield _short(tag, vr, _value(tag, vr, element))


def _sequence(tag: str, items: Any, find: FindBulk, depth: int) -> Iterator[Piece]:
    if not isinstance(items, list):
        raise CannotEncode(f"{tag} is no list of items")
    yield _head(tag, "SQ", UNDEFINED)
    for item in items:
        if not isinstance(item, dict | None):
            raise CannotEncode(f"{tag} has an item that is none")
        yield _delimiter(ITEM, UNDEFINED)
        inside = {name.upper(): element for name, element in (item or {}).items()}
        yield from _elements(inside, find, depth + 1)
        yield _delimiter(ITEM_END, 0)
    yield _delimiter(SEQUENCE_END, 0)


def _bulk(tag: str, vr: str, bulk: Bulk | None, depth: int) -> Iterator[Piece]:
    if bulk is None:
        raise CannotEncode(f"{tag} refers to bulk data that is not in the request")
    if bulk.syntax:
        if tag != PIXELS or depth:
            raise CannotEncode(f"{tag} cannot be compressed")
        yield _head(tag, "OB", UNDEFINED) + _delimiter(ITEM, 0)  # an empty table of offsets
        for key, size in bulk.frames:
            yield from (_delimiter(ITEM, size + size % 2), key, b"\0" * (size % 2))
        yield _delimiter(SEQUENCE_END, 0)
        return
    if len(bulk.frames) != 1:
        raise CannotEncode(f"{tag} refers to several parts")
    key, size = bulk.frames[0]
    length = size + size % 2
    if length >= UNDEFINED or (vr.encode() not in LONG_VRS and length > SHORT_LIMIT):
        raise CannotEncode(f"{tag} is too long")
    yield from (_head(tag, vr, length), key, b"\0" * (size % 2))


def _value(tag: str, vr: str, element: dict[str, Any]) -> bytes:
    try:
        if "InlineBinary" in element:
            return base64.b64decode(element["InlineBinary"], validate=True)
        values = _given(element)
        if not isinstance(values, list):
            raise TypeError
        return _packed(vr, values)
    except (TypeError, ValueError, OverflowError, struct.error, binascii.Error) as error:
        raise CannotEncode(f"{tag} has a value that is no {vr[:2]}") from error


def _given(element: dict[str, Any]) -> Any:
    """What stands as values; no value at all is an empty list."""
    found = element.get("Value")
    return [] if found is None else found


def _packed(vr: str, values: Sequence[Any]) -> bytes:
    """All values of one element; ValueError, TypeError or struct.error if one is none."""
    if vr in INTEGERS:
        return b"".join(struct.pack(INTEGERS[vr], _whole(v)) for v in values)
    if vr in FLOATS:
        return b"".join(struct.pack(FLOATS[vr], _number(v)) for v in values)
    if vr == "AT":
        numbers = [int(v, 16) for v in values]
        return b"".join(struct.pack("<HH", n >> 16, n & 0xFFFF) for n in numbers)
    if vr in BINARY_VRS:
        if values:
            raise ValueError
        return b""
    if vr in ONE_VALUE and len(values) > 1:
        raise ValueError
    make = {"PN": _name, "IS": _integer, "DS": _decimal}.get(vr, _text)
    return "\\".join("" if v is None else make(v) for v in values).encode()


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _name(value: Any) -> str:
    if isinstance(value, str):
        return value
    if not isinstance(value, dict):
        raise TypeError
    groups = [value.get(name) for name in ("Alphabetic", "Ideographic", "Phonetic")]
    return "=".join("" if group is None else _text(group) for group in groups).rstrip("=")


def _number(value: Any) -> float:
    """What is said as a number; Python's own reading of a text knows `1_0` and other digits."""
    if isinstance(value, bool) or (isinstance(value, str) and not _NUMBER.fullmatch(value)):
        raise TypeError
    return float(value)


def _whole(value: Any) -> int:
    _number(value)
    number = int(value)
    if isinstance(value, float) and number != value:
        raise ValueError
    return number


def _integer(value: Any) -> str:
    number = _whole(value)
    if not -(2**31) <= number < 2**31:
        raise ValueError
    return str(number)


def _decimal(value: Any) -> str:
    """The shortest text that fits; a number that a client wrote as text stays as it is."""
    number = _number(value)
    if not math.isfinite(number):
        raise ValueError
    texts = [value.strip() if isinstance(value, str) else repr(value)]
    texts += [f"{number:.{digits}g}" for digits in range(15, 8, -1)]
    return next(text for text in texts if len(text) <= DS_LIMIT)


def _short(tag: str, vr: str, value: bytes) -> bytes:
    """One whole element whose value is at hand."""
    if len(value) % 2:
        value += b"\0" if vr == "UI" or vr in BINARY_VRS else b" "
    if len(value) > SHORT_LIMIT and vr.encode() not in LONG_VRS:
        raise CannotEncode(f"{tag} is too long")
    return _head(tag, vr, len(value)) + value


def _head(tag: str, vr: str, length: int) -> bytes:
    """Head of an element (PS3.5 7.1.2)."""
    number, code = _tag_number(tag), vr.encode()
    start = struct.pack("<HH", number >> 16, number & 0xFFFF) + code
    if code in LONG_VRS:
        return start + struct.pack("<HI", 0, length)
    return start + struct.pack("<H", length)


def _delimiter(tag: int, length: int) -> bytes:
    return struct.pack("<HHI", tag >> 16, tag & 0xFFFF, length)


def _tag_number(tag: str) -> int:
    if _TAG.fullmatch(tag) is None:
        raise CannotEncode("a tag is not eight hexadecimal digits")
    return int(tag, 16)
