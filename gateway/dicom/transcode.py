"""Decodes images to Explicit VR Little Endian, because asking a site to do it may kill it.

GDCM, with which Debian's Orthancs decode JPEG 2000, needs more stack than their web threads have:
the whole server dies or damages its memory (measured on 1.10.1 and 1.12.7). So the gateway takes
the stored bytes and decodes them here. Pure; one image at a time is held.
"""

import io
import struct
import warnings
from array import array
from enum import Enum

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.pixels import get_decoder
from pydicom.uid import ExplicitVRLittleEndian

DANGEROUS = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (90, 91, 92, 93, 201, 202, 203))
"""Transfer syntaxes of the JPEG 2000 family, Part 2 and high-throughput included."""

LARGEST_PIXELS = 512 * 2**20
LARGEST_PICTURE = 80_000_000
"""Samples of one frame that is drawn."""


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
    dataset = read_file(file)
    if "PixelData" in dataset:
        _decompress(dataset)
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    out = io.BytesIO()
    try:
        with warnings.catch_warnings(action="ignore"):
            dataset.save_as(out, enforce_file_format=True)
    except WHAT_PYDICOM_RAISES as error:
        raise CannotDecode(f"cannot be written: {type(error).__name__}") from error
    return out.getvalue()


def with_one_frame(header: bytes, stored: bytes) -> Dataset:
    """The instance that begins with these bytes, with one stored frame as its only pixels.

    header  of a PS3.10 file, up to the element with the pixels
    raises  CannotDecode
    """
    try:
        with warnings.catch_warnings(action="ignore"):
            one: Dataset = dcmread(io.BytesIO(header))
            compressed = one.file_meta.TransferSyntaxUID.is_compressed
            one.NumberOfFrames = 1
            one.PixelData = encapsulate([stored]) if compressed else stored
            one["PixelData"].VR = "OB" if compressed or one.BitsAllocated <= 8 else "OW"
            one["PixelData"].is_undefined_length = compressed
            return one
    except WHAT_PYDICOM_RAISES as error:
        raise CannotDecode(f"broken: {type(error).__name__}") from error


def native_frame(image: Dataset, number: int) -> bytes:
    """Little endian bytes of one frame (from 1), in the colours that the header names.

    raises  CannotDecode; LookupError beyond the last frame
    """
    count, size = measure(image)
    if not 1 <= number <= count:
        raise LookupError("frame")
    try:
        with warnings.catch_warnings(action="ignore"):
            syntax = image.file_meta.TransferSyntaxUID
            if syntax.is_compressed:
                frame, told = get_decoder(syntax).as_buffer(image, index=number - 1, raw=True)
                return _laid_out(bytes(frame), image, told.get("planar_configuration", 0))
            pixels = bytes(image.PixelData) if syntax.is_little_endian else _swapped(image)
    except WHAT_PYDICOM_RAISES as error:
        raise CannotDecode(f"broken, or no decoder: {type(error).__name__}") from error
    if image.BitsAllocated == 1 and count > 1:
        return _bits_of_frame(pixels, number, image.Rows * image.Columns * image.SamplesPerPixel)
    return pixels[(number - 1) * size : number * size]


def _bits_of_frame(pixels: bytes, number: int, bits: int) -> bytes:
    """Frames of single bits follow each other without a gap (PS3.5 8.1.1): one of them, from the
    begin of a byte."""
    first = (number - 1) * bits
    some = np.frombuffer(pixels[first // 8 : (first + bits + 7) // 8], np.uint8)
    unpacked = np.unpackbits(some, bitorder="little")[first % 8 :][:bits]
    if len(unpacked) < bits:
        raise CannotDecode("broken: too few pixels")
    return np.packbits(unpacked, bitorder="little").tobytes()


def _laid_out(frame: bytes, image: Dataset, planes: int) -> bytes:
    """Samples in the order that the header names: out of RLE they come plane by plane.

    planes  1 if they are in that order now (PS3.3 C.7.6.3.1.3)
    """
    samples = int(image.SamplesPerPixel)
    if samples == 1 or planes == int(image.get("PlanarConfiguration") or 0):
        return frame
    shape = (samples, -1) if planes else (-1, samples)
    values = np.frombuffer(frame, f"V{image.BitsAllocated // 8}").reshape(shape)
    return values.T.tobytes()


def read_file(file: bytes) -> Dataset:
    """A PS3.10 file; CannotDecode if it is none."""
    try:
        with warnings.catch_warnings(action="ignore"):  # dirty values in other elements
            dataset: Dataset = dcmread(io.BytesIO(file))
            return dataset
    except WHAT_PYDICOM_RAISES as error:
        raise CannotDecode(f"broken: {type(error).__name__}") from error


def measure(image: Dataset) -> tuple[int, int]:
    """How many frames there are, and the bytes of each one; CannotDecode above LARGEST_PIXELS."""
    try:
        count = int(image.get("NumberOfFrames") or 1)
        pixels = image.Rows * image.Columns * image.SamplesPerPixel
        size = (pixels * image.BitsAllocated + 7) // 8
    except WHAT_PYDICOM_RAISES as error:
        raise CannotDecode(f"broken: {type(error).__name__}") from error
    if count < 1 or pixels * count > LARGEST_PIXELS:
        raise CannotDecode("the image is too large to be decoded here")
    return count, size


def _decompress(dataset: Dataset) -> None:
    """Make the pixels native and little endian."""
    measure(dataset)
    try:
        with warnings.catch_warnings(action="ignore"):
            syntax = dataset.file_meta.TransferSyntaxUID
            if syntax.is_compressed:
                dataset.decompress(generate_instance_uid=False)
            elif not syntax.is_little_endian:
                raise CannotDecode("Explicit VR Big Endian")
    except WHAT_PYDICOM_RAISES as error:
        raise CannotDecode(f"broken, or no decoder: {type(error).__name__}") from error


def _swapped(dataset: Dataset) -> bytes:
    """Pixels of Explicit VR Big Endian in the order of Little Endian (PS3.5 8.1.1, 8.2)."""
    if dataset["PixelData"].VR == "OB":
        return bytes(dataset.PixelData)
    # OW of 8 bits: two pixels in each word.
    words = array("I" if dataset.BitsAllocated == 32 else "H")
    words.frombytes(dataset.PixelData)
    words.byteswap()
    return words.tobytes()


WHAT_PYDICOM_RAISES = (
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
