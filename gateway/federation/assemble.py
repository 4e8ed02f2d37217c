"""Makes files of the metadata and bulk data parts of a store request (PS3.18 10.5.2.1.1.2: the
media types application/dicom+json and application/dicom+xml).

Metadata may come before its bulk data, so bulk data waits on disk until the request has ended
well; only then files are made, and nothing of them is held in memory but their metadata. A
BulkDataURI that no part of the request answers to is never fetched from anywhere.
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO

import gevent
import orjson

from gateway.dicom.attributes import Dataset, integer, text
from gateway.dicom.encode import PIXELS, Bulk, CannotEncode, Piece, encode, file_meta
from gateway.dicom.jpeg import process_of
from gateway.dicom.media_types import (
    DICOM_JSON,
    EXPLICIT_LE,
    bulk_syntax,
    parse_content_type,
)
from gateway.dicom.multipart import BLOCK, Part
from gateway.dicom.native_model import from_xml
from gateway.dicom.part10 import Identity
from gateway.dicom.store_response import CANNOT_UNDERSTAND, OUT_OF_RESOURCES
from gateway.dicom.uids import is_uid
from gateway.errors import BadRequest, NoRoom
from gateway.model.answers import Refused

METADATA_LIMIT = 16 * 2**20
HEAD = 64 * 1024


def assemble(
    parts: Iterable[Part], kind: str, open_spool: Callable[[], BinaryIO]
) -> Iterator[Part | Refused]:
    """A part of application/dicom for each dataset, or why there is none.

    kind    media type of the metadata: DICOM_JSON, one part with a list of datasets; DICOM_XML,
            a part for each dataset
    raises  BadRequest, UnsupportedMediaType, PayloadTooLarge; whatever `parts` raise
    """
    with open_spool() as spool:
        received = _Received(spool)
        for part in parts:
            received.take(part, kind)
        if not received.datasets:
            raise BadRequest("body", "holds no metadata")
        for dataset in received.datasets:
            yield received.file_of(dataset)


@dataclass
class _Received:
    """What a request brought: datasets, and bulk data on disk by its Content-Location."""

    spool: BinaryIO
    datasets: list[Dataset] = field(default_factory=list)
    bulk: dict[str, Bulk] = field(default_factory=dict)
    metadata_bytes: int = 0
    places: list[tuple[int, int]] = field(default_factory=list)  # start and size
    end: int = 0
    full: bool = False

    def take(self, part: Part, kind: str) -> None:
        """Read one part to its end."""
        media_type, parameters = parse_content_type(part.headers.get("content-type", kind))
        if media_type != kind:
            self._take_bulk(part, media_type, parameters)
            return
        raw = part.read(METADATA_LIMIT - self.metadata_bytes)
        self.metadata_bytes += len(raw)
        self.datasets += _aside(_read_json, raw) if kind == DICOM_JSON else [_aside(from_xml, raw)]

    def _take_bulk(self, part: Part, media_type: str, parameters: dict[str, str]) -> None:
        syntax = bulk_syntax(media_type, parameters)
        location = part.headers.get("content-location", "").strip()
        if not location:
            raise BadRequest("body", "a bulk data part has no Content-Location")
        size, head = 0, b""
        for block in part.chunks:
            if len(head) < HEAD:
                head += block[:HEAD]
            size += len(block)
            self._write(block)
        if media_type == "image/jpeg" and "transfer-syntax" not in parameters:
            syntax = process_of(head) or syntax
        known = self.bulk.get(location, Bulk((), syntax))
        if known.syntax != syntax:
            raise BadRequest("body", "frames of one image have several transfer syntaxes")
        self.bulk[location] = replace(known, frames=[*known.frames, (len(self.places), size)])
        self.places.append((self.end, size))
        self.end += size

    def _write(self, block: bytes) -> None:
        try:
            if not self.full:
                self.spool.write(block)
        except NoRoom:
            self.full = True  # what is left is read all the same: the caller is to hear why

    def file_of(self, dataset: Dataset) -> Part | Refused:
        """The dataset as a file, once all parts have come."""
        identity = _identity(dataset)
        if self.full:
            return Refused(identity, OUT_OF_RESOURCES)
        try:
            pieces = _aside(encode, dataset, self.bulk.get)
            head = file_meta(dataset, self._syntax(dataset))
        except CannotEncode:
            return Refused(identity, CANNOT_UNDERSTAND)
        return Part({}, self._blocks([head, *pieces]))

    def _syntax(self, dataset: Dataset) -> str:
        uri = dataset.get(PIXELS, {}).get("BulkDataURI")
        pixels = self.bulk.get(uri) if isinstance(uri, str) else None
        if pixels is None:
            return EXPLICIT_LE
        if not pixels.syntax:
            if sum(size for _, size in pixels.frames) < _least_bytes(dataset):
                raise CannotEncode("the pixels were cut off")
            return EXPLICIT_LE
        if len(pixels.frames) not in (1, integer(dataset, "NumberOfFrames") or 1):
            raise CannotEncode("there are more or fewer frames than NumberOfFrames")
        return pixels.syntax

    def _blocks(self, pieces: Iterable[Piece]) -> Iterator[bytes]:
        for piece in pieces:
            if isinstance(piece, bytes):
                yield piece
                continue
            start, left = self.places[piece]
            self.spool.seek(start)
            while left and (block := self.spool.read(min(left, BLOCK))):
                left -= len(block)
                yield block


def _least_bytes(dataset: Dataset) -> int:
    """Of uncompressed pixels (PS3.5 8.1.1), as far as the dataset says how many there are."""
    sides = [integer(dataset, name) or 0 for name in ("Rows", "Columns", "BitsAllocated")]
    frames = integer(dataset, "NumberOfFrames") or 1
    subsampled = "_42" in text(dataset, "PhotometricInterpretation")  # PS3.3 C.7.6.3.1.2
    samples = 1 if subsampled else integer(dataset, "SamplesPerPixel") or 1
    return math.prod([*sides, frames, samples]) // 8


def _aside(work: Callable[..., Any], *args: Any) -> Any:
    """The result of pure work, done in a thread: 16 MB of metadata take seconds, and the process
    serves others meanwhile."""

    def caught() -> tuple[Any, BadRequest | CannotEncode | None]:
        try:
            return work(*args), None
        except (BadRequest, CannotEncode) as error:
            # gevent prints what leaves its threads, with the value of a patient that is no number.
            return None, error

    result, error = gevent.get_hub().threadpool.apply(caught)
    if error is not None:
        raise error
    return result


def _identity(dataset: Dataset) -> Identity:
    def uid(name: str) -> str:
        found = text(dataset, name)
        return found if is_uid(found) else ""

    return Identity(
        uid("SOPClassUID"), uid("SOPInstanceUID"), uid("StudyInstanceUID"), uid("SeriesInstanceUID")
    )


def _read_json(raw: bytes) -> list[Dataset]:
    try:
        found: Any = orjson.loads(raw)
        json.loads(raw, object_pairs_hook=_each_once)  # orjson takes the last one of two
    except (ValueError, RecursionError) as error:
        raise BadRequest("body", "the metadata is no JSON") from error
    datasets = [found] if isinstance(found, dict) else found
    if not isinstance(datasets, list) or not all(isinstance(item, dict) for item in datasets):
        raise BadRequest("body", "the metadata is no list of datasets (PS3.18 Annex F)")
    return [{tag.upper(): element for tag, element in item.items()} for item in datasets]


def _each_once(pairs: list[tuple[str, Any]]) -> None:
    """A patient's number that stands twice is a mixture of two patients (trust.md H40)."""
    if len({name.upper() for name, _ in pairs}) < len(pairs):
        raise ValueError("a key stands twice")
