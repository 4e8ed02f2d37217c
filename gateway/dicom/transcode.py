"""Decodes images to Explicit VR Little Endian, because asking a site to do it may kill it.

GDCM, with which Debian's Orthancs decode JPEG 2000, needs more stack than their web threads have:
the whole server dies or damages its memory (measured on 1.10.1 and 1.12.7). So the gateway takes
the stored bytes and decodes them here. Pure; one image at a time is held.
"""

import io
import struct
import warnings
from collections.abc import Sequence
from enum import Enum

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.uid import ExplicitVRLittleEndian

DANGEROUS = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (90, 91, 92, 93, 201, 202, 203))
"""Transfer syntaxes of the JPEG 2000 family, Part 2 and high-throughput included."""

LARGEST_PIXELS = 512 * 2**20


class CannotDecode(Exception):
    """The image is broken, too large, or of a kind for which there is no decoder."""


class Plan(Enum):
    """How to give images in the transfer syntax that a caller wants."""

    ASK = "the site transcodes"
    AS_STORED = "nobody transcodes"
    DECODE = "the gateway decodes"
    REFUSE = "nobody can do it safely"


def plan_transcoding(wanted: str, stored: frozenset[str]) -> Plan:
    """Decide by what is wanted ("*": as stored) and what the series are stored in.

    stored  empty if it is not known: then the site is asked, as it is no Orthanc
    """
    if wanted == "*" or stored == {wanted}:
        return Plan.AS_STORED
    if not stored or (not stored & DANGEROUS and wanted not in DANGEROUS):
        return Plan.ASK
    return Plan.DECODE if wanted == ExplicitVRLittleEndian else Plan.REFUSE


def to_explicit_little_endian(file: bytes) -> bytes:
    """The same instance (PS3.10 file) with native pixels; CannotDecode."""
    dataset, _ = _decoded(file)
    out = io.BytesIO()
    try:
        with warnings.catch_warnings(action="ignore"):
            dataset.save_as(out, enforce_file_format=True)
    except _WHAT_PYDICOM_RAISES as error:
        raise CannotDecode(f"cannot be written: {type(error).__name__}") from error
    return out.getvalue()


def frames_of(file: bytes, numbers: Sequence[int]) -> list[bytes]:
    """Native little endian bytes of the frames with these numbers (from 1).

    raises  CannotDecode; LookupError if the image has fewer frames
    """
    dataset, count = _decoded(file)
    if max(numbers) > count:
        raise LookupError("frame")
    pixels = bytes(dataset.get("PixelData", b""))
    size = len(pixels) // count
    return [pixels[(n - 1) * size : n * size] for n in numbers]


def _decoded(file: bytes) -> tuple[Dataset, int]:
    """The instance with its pixels decompressed, and how many frames it has."""
    try:
        with warnings.catch_warnings(action="ignore"):  # dirty values in other elements
            dataset = dcmread(io.BytesIO(file))
            count = int(dataset.get("NumberOfFrames") or 1)
            pixels = dataset.Rows * dataset.Columns * dataset.SamplesPerPixel * count
            if pixels > LARGEST_PIXELS or count < 1:
                raise CannotDecode("the image is too large to be decoded here")
            syntax = dataset.file_meta.TransferSyntaxUID
            if syntax.is_compressed:
                dataset.decompress(generate_instance_uid=False)
            elif not syntax.is_little_endian:
                raise CannotDecode("Explicit VR Big Endian")
            dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            return dataset, count
    except _WHAT_PYDICOM_RAISES as error:
        raise CannotDecode(f"broken, or no decoder: {type(error).__name__}") from error


_WHAT_PYDICOM_RAISES = (
    ArithmeticError,
    AttributeError,
    BytesLengthException,
    EOFError,
    InvalidDicomError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
)
