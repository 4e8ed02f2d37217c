"""Pictures show the values that the standard's formulas give, and nothing is a fault."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless

from gateway.dicom.rendering import render
from gateway.dicom.transcode import CannotDecode, read_file
from gateway.dicom.view_query import OutOfPicture, View, Viewport, Window
from tests.studies import an_instance

VALUES = np.array([[-1000, -100, 0], [40, 100, 3000]], dtype=np.int16)


def a_grey_image(values: np.ndarray = VALUES, **elements: object) -> Dataset:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.Rows, ds.Columns = values.shape[-2:]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated = ds.BitsStored = 8 * values.itemsize
    ds.HighBit, ds.PixelRepresentation = ds.BitsStored - 1, int(values.dtype.kind == "i")
    if values.ndim == 3:
        ds.NumberOfFrames = len(values)
    for keyword, value in elements.items():
        setattr(ds, keyword, value)
    ds.PixelData = values.tobytes()
    ds["PixelData"].VR = "OW"
    return ds


def shown(image: Dataset, view: View | None = None, number: int = 1, place: int = 1) -> list[int]:
    picture = render(image, "image/png", view or View(), number, place)
    return list(np.asarray(Image.open(io.BytesIO(picture))).flatten())


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        (Window(0, 201, "linear"), [0, 1, 128, 179, 255, 255]),
        (Window(0, 200, "linear-exact"), [0, 0, 128, 179, 255, 255]),
        (Window(40, 1, "linear"), [0, 0, 0, 255, 255, 255]),
        (Window(0, 400, "sigmoid"), [0, 69, 128, 153, 186, 255]),
    ],
    ids=lambda value: getattr(value, "function", ""),
)
def test_a_window_maps_values_as_its_function_says(window: Window, expected: list[int]) -> None:
    """PS3.3 C.11.2.1.2.1, C.11.2.1.3."""
    assert shown(a_grey_image(), View(window=window)) == expected


def test_the_rescale_comes_before_the_window() -> None:
    image = a_grey_image(RescaleSlope="2", RescaleIntercept="-80")
    window = View(window=Window(0, 200, "linear-exact"))
    assert shown(image, window) == [0, 0, 25, 128, 255, 255]


def test_without_a_window_the_own_one_of_the_image_is_used_or_all_values_are_shown() -> None:
    own = a_grey_image(
        WindowCenter=["0", "9"], WindowWidth=["200", "9"], VOILUTFunction="LINEAR_EXACT"
    )
    assert shown(own) == [0, 0, 128, 179, 255, 255]
    assert shown(a_grey_image())[::5] == [0, 255]


@pytest.mark.parametrize("broken", [("", ""), ("0", "0"), ("0", "-5")])
def test_a_window_that_is_none_is_left_aside(broken: tuple[str, str]) -> None:
    image = a_grey_image(WindowCenter=broken[0], WindowWidth=broken[1])
    assert shown(image) == shown(a_grey_image())


def test_monochrome1_is_shown_inverted() -> None:
    image = a_grey_image(PhotometricInterpretation="MONOCHROME1")
    assert shown(image) == [255 - value for value in shown(a_grey_image())]


def test_a_voi_table_is_used() -> None:
    table = Dataset()
    table.LUTDescriptor = [3, 0, 8]
    table.LUTData = [10, 20, 200]
    image = a_grey_image(np.array([[0, 1, 2]], dtype=np.uint16), VOILUTSequence=Sequence([table]))
    assert shown(image) == [10, 20, 200]


def test_each_frame_is_shown_by_its_own_functional_groups() -> None:
    groups = []
    for intercept in ("0", "-100"):
        transform, group = Dataset(), Dataset()
        transform.RescaleIntercept, transform.RescaleSlope = intercept, "1"
        group.PixelValueTransformationSequence = Sequence([transform])
        groups.append(group)
    frames = np.array([[[0, 100]], [[0, 100]]], dtype=np.int16)
    image = a_grey_image(frames, PerFrameFunctionalGroupsSequence=Sequence(groups))
    window = View(window=Window(0, 200, "linear-exact"))
    assert [shown(image, window, n, n) for n in (1, 2)] == [[128, 255], [0, 128]]


def test_a_palette_and_colours_are_shown_in_colour() -> None:
    palette = a_grey_image(
        np.array([[0, 1]], dtype=np.uint8), PhotometricInterpretation="PALETTE COLOR"
    )
    for name, table in (("Red", [255, 0]), ("Green", [0, 255]), ("Blue", [0, 7])):
        setattr(palette, f"{name}PaletteColorLookupTableDescriptor", [2, 0, 8])
        setattr(palette, f"{name}PaletteColorLookupTableData", bytes(table))
    assert shown(palette) == [255, 0, 0, 0, 255, 7]


@pytest.mark.parametrize(
    ("viewport", "size", "corner"),
    [
        (Viewport(4, 4), (4, 3), 0),
        (Viewport(16, 3), (4, 3), 0),
        (Viewport(4, 3, left=4, top=3), (4, 3), 255),
        (Viewport(4, 3, left=0, top=0, across=-8, down=6), (4, 3), 50),
        (Viewport(100, 100, 0.5, 0.5, 0.5, 0.5, relative=True, enlarge=False), (4, 3), 255),
    ],
    ids=["keeps its shape", "fits into both sides", "a part", "mirrored", "shares of the sides"],
)
def test_a_viewport_cuts_and_scales(viewport: Viewport, size: tuple[int, int], corner: int) -> None:
    quarters = np.zeros((6, 8), dtype=np.uint8)
    quarters[:3, 4:] = 50
    quarters[3:, 4:] = 255
    picture = render(
        a_grey_image(quarters, WindowCenter="128", WindowWidth="256"),
        "image/png",
        View(viewport=viewport),
    )
    found = Image.open(io.BytesIO(picture))
    assert (found.size, found.getpixel((0, 0))) == (size, corner)


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
@pytest.mark.parametrize("side", [64, 61])
def test_a_small_picture_of_jpeg_2000_looks_like_the_large_one(
    bits: int, signed: bool, side: int
) -> None:
    """It is made of fewer resolutions of the same bytes, much faster."""
    y, x = np.mgrid[:side, :side] / side
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    kind = np.dtype(f"{'i' if signed else 'u'}{1 if bits == 8 else 2}")
    values = (low + (high - low) * (x + y) / 2).astype(kind)
    plain, coded = a_grey_image(values, BitsStored=bits), a_grey_image(values, BitsStored=bits)
    for image in (plain, coded):
        image.BitsStored, image.HighBit = bits, bits - 1
        image.SOPClassUID = image.SOPInstanceUID = "1.2.3"
    coded.compress(JPEG2000Lossless, generate_instance_uid=False)
    window = Window((low + high) / 2, high - low, "linear-exact")
    view = View(window=window, viewport=Viewport(16, 16))
    found, expected = (np.array(shown(image, view), dtype=int) for image in (coded, plain))
    assert (len(found), np.abs(found - expected).max() <= 12) == (len(expected), True)


def test_a_viewport_outside_of_the_picture_is_said_to_be() -> None:
    with pytest.raises(OutOfPicture):
        render(a_grey_image(), "image/png", View(viewport=Viewport(9, 9, left=50)))


def test_a_better_quality_is_a_longer_file_of_the_kind_that_was_asked() -> None:
    image = read_file(an_instance(1).data)
    files = [render(image, "image/jpeg", View(quality=quality)) for quality in (5, 95)]
    assert (files[0][:2], len(files[0]) < len(files[1])) == (b"\xff\xd8", True)
    assert render(image, "image/gif", View())[:3] == b"GIF"


@pytest.mark.parametrize(
    "change",
    [
        {"Rows": 65535, "Columns": 65535},
        {"Rows": 0},
        {"BitsAllocated": 7},
        {"SamplesPerPixel": 3},
    ],
    ids=str,
)
def test_what_cannot_be_drawn_is_refused(change: dict[str, object]) -> None:
    """H78: sizes are multiplied before anything is made of them."""
    image = a_grey_image()
    for keyword, value in change.items():
        setattr(image, keyword, value)
    with pytest.raises(CannotDecode):
        render(image, "image/png", View())


@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom says what is damaged
@given(st.integers(200, 900), st.binary(min_size=1, max_size=20))
def test_a_damaged_image_is_refused_or_drawn_but_never_a_fault(at: int, damage: bytes) -> None:
    data = bytearray(an_instance(1).data)
    data[at : at + len(damage)] = damage
    try:
        picture = render(read_file(bytes(data)), "image/png", View())
    except (CannotDecode, LookupError):
        return
    assert picture[1:4] == b"PNG"


@pytest.mark.parametrize("shape", [(1, 1), (7, 900), (900, 7), (64, 64), (2000, 1600)], ids=str)
@pytest.mark.parametrize("kind", ["image/png", "image/jpeg", "image/gif"])
def test_a_mark_is_drawn_over_a_picture_of_any_size(shape: tuple[int, int], kind: str) -> None:
    image = a_grey_image(np.full(shape, 100, np.int16), WindowCenter="100", WindowWidth="400")
    bare, marked = (
        np.asarray(Image.open(io.BytesIO(render(image, kind, View(), mark=mark))).convert("L"))
        for mark in ("", "ivanova 2026-01-31 12:00 UTC")
    )
    assert marked.shape == bare.shape == shape
    share = float((np.abs(marked.astype(int) - bare) > 20).mean())
    assert share < 0.3  # what lies below is seen
    if min(shape) >= 64:
        for part in np.array_split(marked, 3):
            assert int(np.ptp(part)) > 40
