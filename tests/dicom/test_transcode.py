"""When nobody may be asked to transcode, and what the gateway decodes itself."""

import io

import pydicom
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydicom.uid import (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from gateway.dicom.transcode import (
    DANGEROUS,
    CannotDecode,
    Plan,
    frames_of,
    plan_transcoding,
    to_explicit_little_endian,
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


def test_frames_are_cut_out_by_their_numbers() -> None:
    instance = an_instance(1, frames=4, syntax=RLELossless)
    size = len(instance.pixels) // 4
    wanted = [instance.pixels[3 * size :], instance.pixels[:size]]
    assert frames_of(instance.data, [4, 1]) == wanted
    with pytest.raises(LookupError):
        frames_of(instance.data, [5])


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
