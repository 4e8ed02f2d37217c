"""When nobody may be asked to transcode, and what the gateway decodes itself."""

import io

import numpy as np
import pydicom
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydicom.encaps import generate_frames
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from gateway.dicom.part10 import glance
from gateway.dicom.transcode import (
    DANGEROUS,
    CannotDecode,
    Plan,
    native_frame,
    plan_transcoding,
    read_file,
    to_explicit_little_endian,
    with_one_frame,
)
from tests.studies import an_instance

SYNTAXES = st.sampled_from(
    [ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless, JPEGLSLossless, *DANGEROUS]
)


@given(wanted=SYNTAXES | st.just("*"), stored=st.frozensets(SYNTAXES, max_size=3))
def test_no_site_is_asked_to_transcode_from_or_to_jpeg_2000(
    wanted: str, stored: frozenset[str]
) -> None:
    if plan_transcoding(wanted, stored) is Plan.ASK and stored:
        assert (stored | {wanted}) & DANGEROUS == set()


@pytest.mark.parametrize(
    ("wanted", "stored", "plan"),
    [
        ("*", {JPEG2000Lossless}, Plan.AS_STORED),
        (JPEG2000Lossless, {JPEG2000Lossless}, Plan.AS_STORED),
        (ExplicitVRLittleEndian, {ExplicitVRLittleEndian}, Plan.AS_STORED),
        (ExplicitVRLittleEndian, {RLELossless}, Plan.ASK),
        (ExplicitVRLittleEndian, {JPEG2000Lossless, RLELossless}, Plan.DECODE),
        (JPEG2000Lossless, {ExplicitVRLittleEndian}, Plan.REFUSE),
        (JPEGLSLossless, {JPEG2000Lossless}, Plan.REFUSE),
        (ExplicitVRLittleEndian, set(), Plan.ASK),
    ],
)
def test_the_plan_follows_from_what_is_wanted_and_stored(
    wanted: str, stored: set[str], plan: Plan
) -> None:
    assert plan_transcoding(wanted, frozenset(stored)) is plan


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, RLELossless, ExplicitVRLittleEndian])
def test_a_decoded_instance_has_the_same_pixels_and_identity(syntax: str) -> None:
    instance = an_instance(1, syntax=syntax)
    ds = pydicom.dcmread(io.BytesIO(to_explicit_little_endian(instance.data)))
    found = (ds.file_meta.TransferSyntaxUID, ds.SOPInstanceUID, ds.PixelData, str(ds.PatientName))
    assert found == (
        ExplicitVRLittleEndian,
        instance.instance_uid,
        instance.pixels,
        "Иванов^Пётр^Ильич",
    )


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless, JPEG2000Lossless])
def test_a_frame_is_the_same_out_of_the_file_and_beside_its_header(syntax: str) -> None:
    instance = an_instance(1, frames=4, syntax=syntax)
    size = len(instance.pixels) // 4
    wanted = instance.pixels[2 * size : 3 * size]
    dataset = read_file(instance.data)
    stored = wanted
    if syntax != ExplicitVRLittleEndian:
        stored = list(generate_frames(dataset.PixelData, number_of_frames=4))[2]
    header = instance.data[: glance(instance.data, whole=True).header_bytes]
    found = (native_frame(dataset, 3), native_frame(with_one_frame(header, stored), 1))
    assert found == (wanted, wanted)


@pytest.mark.parametrize("planes", [0, 1])
@pytest.mark.parametrize("bits", [8, 16])
def test_colours_of_a_frame_are_in_the_order_that_the_header_names(planes: int, bits: int) -> None:
    image = read_file(an_instance(1).data)
    image.Rows, image.Columns, image.SamplesPerPixel = 2, 3, 3
    image.PhotometricInterpretation, image.PlanarConfiguration = "RGB", planes
    image.BitsAllocated = image.BitsStored = bits
    image.HighBit = bits - 1
    image.PixelRepresentation = 0
    colours = np.arange(18, dtype=f"u{bits // 8}").reshape(2, 3, 3)  # rows, columns, colours
    image.compress(RLELossless, colours, generate_instance_uid=False)
    image.PlanarConfiguration = planes
    wanted = colours.transpose(2, 0, 1) if planes else colours
    assert native_frame(image, 1) == wanted.tobytes()


def test_frames_of_single_bits_begin_at_a_byte_each() -> None:
    image = read_file(an_instance(1).data)
    image.Rows, image.Columns, image.NumberOfFrames = 3, 3, 2
    image.BitsAllocated = image.BitsStored = 1
    image.PixelData = bytes([0b10000001, 0b01111110, 0b00000001, 0])
    assert native_frame(image, 1) == bytes([0b10000001, 0])
    assert native_frame(image, 2) == bytes([0b10111111, 0b0])
    image.PixelData = image.PixelData[:2]
    with pytest.raises(CannotDecode):
        native_frame(image, 2)


@pytest.mark.parametrize("number", [0, 5])
def test_a_frame_that_is_not_there_is_a_lookup_error(number: int) -> None:
    with pytest.raises(LookupError):
        native_frame(read_file(an_instance(1, frames=4).data), number)


@pytest.mark.parametrize(
    ("bits", "vr", "big", "little"),
    [
        (16, "OW", b"\x12\x34\x56\x78", b"\x34\x12\x78\x56"),
        (32, "OW", b"\x12\x34\x56\x78", b"\x78\x56\x34\x12"),
        (8, "OW", b"\x12\x34\x56\x78", b"\x34\x12\x78\x56"),
        (8, "OB", b"\x12\x34\x56\x78", b"\x12\x34\x56\x78"),
    ],
)
def test_big_endian_pixels_become_little_endian(
    bits: int, vr: str, big: bytes, little: bytes
) -> None:
    image = read_file(an_instance(1).data)
    image.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    image.Rows, image.Columns, image.BitsAllocated = 1, 32 // bits, bits
    image.PixelData = big
    image["PixelData"].VR = vr
    assert native_frame(image, 1) == little


@example(760, b"\x01")  # a length that is odd for its kind of number
@given(st.integers(200, 2000), st.binary(min_size=1, max_size=20))
def test_a_damaged_image_is_refused_or_decoded_but_never_a_fault(at: int, damage: bytes) -> None:
    data = bytearray(an_instance(1, syntax=JPEG2000Lossless).data)
    data[at : at + len(damage)] = damage
    try:
        decoded = to_explicit_little_endian(bytes(data))
    except CannotDecode:
        return
    assert decoded[128:132] == b"DICM"


def test_an_image_that_claims_to_be_huge_is_refused() -> None:
    ds = pydicom.dcmread(io.BytesIO(an_instance(1, syntax=JPEG2000Lossless).data))
    ds.Rows = ds.Columns = 65535
    out = io.BytesIO()
    ds.save_as(out)
    with pytest.raises(CannotDecode):
        to_explicit_little_endian(out.getvalue())
