"""Draws one frame as a picture for a screen (PS3.18 8.3.5, PS3.3 C.7.6.3, C.11). Pure.

The way of a grey value: modality LUT or rescale, then VOI LUT or window, then 8 bits; inverted for
MONOCHROME1. It is computed once for each value that can be stored, not for each pixel.
"""

import io
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels import pixel_array
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi
from pydicom.pixels.utils import get_j2k_parameters

from gateway.dicom.transcode import (
    LARGEST_PICTURE,
    WHAT_PYDICOM_RAISES,
    CannotDecode,
    measure,
)
from gateway.dicom.view_query import OutOfPicture, View, Viewport, Window

ROWS_AT_ONCE = 256
REDUCIBLE = frozenset({"1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"})
TABLE_BITS = 16
FORMATS = {"image/jpeg": "JPEG", "image/png": "PNG", "image/gif": "GIF"}
DEFAULT_QUALITY = 90
SMALLEST_MARK, MARK_STRENGTH, LARGEST_MASK, GAP = 9, 110, 1500, "   "


def render(
    image: Dataset, media_type: str, view: View, number: int = 1, place: int = 1, mark: str = ""
) -> bytes:
    """A picture of one frame, in one of FORMATS.

    number  which frame of its instance it is: functional groups tell of each frame
    place   which of the frames in `image` (from 1)
    mark    text to be drawn all over it, in ASCII
    raises  CannotDecode; LookupError beyond the last frame; OutOfPicture
    """
    if not 1 <= place <= measure(image)[0]:
        raise LookupError("frame")
    try:
        with warnings.catch_warnings(action="ignore"):
            picture = _picture(image, view, number, place)
            if view.viewport is not None:
                picture = _fitted(picture, view.viewport)
            if mark:
                picture = _marked(picture, mark)
            return _encoded(picture, media_type, view.quality)
    except WHAT_PYDICOM_RAISES as error:
        raise CannotDecode(f"broken, or no decoder: {type(error).__name__}") from error


def _picture(image: Dataset, view: View, number: int, place: int) -> Image.Image:
    samples = int(image.SamplesPerPixel)
    if not 0 < int(image.Rows) * int(image.Columns) * samples <= LARGEST_PICTURE:
        raise CannotDecode("the image is too large to be rendered here")
    # Without a window the darkest and the brightest value decide: a small image has others.
    has_window = view.window is not None or _own_window(_tells_of(image, number)) is not None
    pixels = _reduced(image, view.viewport, place) if has_window else None
    if pixels is None:
        pixels = pixel_array(image, index=place - 1) if "PixelData" in image else image.pixel_array
    photometric = str(image.PhotometricInterpretation)
    if photometric == "PALETTE COLOR":
        pixels = apply_color_lut(pixels, image)
        if pixels.dtype.itemsize == 2:
            pixels = (pixels >> 8).astype(np.uint8)
    elif samples == 1:
        pixels = _grey(pixels, image, view.window, number, inverted=photometric == "MONOCHROME1")
    elif pixels.dtype != np.uint8:
        pixels = (pixels >> max(int(image.BitsStored) - 8, 0)).astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(pixels))


def _reduced(image: Dataset, viewport: Viewport | None, place: int) -> Any:
    """Stored values of a smaller JPEG 2000 image out of the same bytes; None if it is none.

    Each halving of the sides costs a quarter of the time: a thumbnail of a mammogram takes
    milliseconds instead of seconds. Pillow shifts values up to whole bytes and from below zero.
    """
    if image.file_meta.TransferSyntaxUID not in REDUCIBLE or viewport is None:
        return None
    grey = str(image.PhotometricInterpretation).startswith("MONOCHROME")
    if image.SamplesPerPixel != 1 or not grey or viewport.is_part:
        return None
    halvings = 0
    while max(image.Columns / viewport.width, image.Rows / viewport.height) >= 2 ** (halvings + 1):
        halvings += 1
    count = int(image.get("NumberOfFrames") or 1)
    frame = get_frame(image.PixelData, place - 1, number_of_frames=count)
    coded = get_j2k_parameters(frame)
    bits, signed = image.BitsStored, bool(image.PixelRepresentation)
    if not halvings or (coded.get("precision"), coded.get("is_signed")) != (bits, signed):
        return None
    try:
        picture = Image.open(io.BytesIO(frame), formats=["JPEG2000"])
        picture.reduce = halvings  # type: ignore[method-assign, assignment]
        values = np.asarray(picture)
    except WHAT_PYDICOM_RAISES:  # it has not so many resolutions
        return None
    if picture.mode not in ("L", "I;16"):
        return None
    shifted = values.astype(np.int32) >> (8 * values.itemsize - bits)
    return shifted - (1 << (bits - 1)) if signed else shifted


def _grey(pixels: Any, image: Dataset, window: Window | None, number: int, inverted: bool) -> Any:
    low, high = pixels.min(), pixels.max()
    about = _tells_of(image, number)
    integer = np.issubdtype(pixels.dtype, np.integer)
    if integer and int(high) - int(low) < 2**TABLE_BITS:
        stored = np.arange(int(low), int(high) + 1, dtype=pixels.dtype)
        table = _to_screen(stored, about, window)
        shown = np.empty(pixels.shape, np.uint8)
        for row in range(0, len(pixels), ROWS_AT_ONCE):  # indices take eight bytes each
            some = slice(row, row + ROWS_AT_ONCE)
            shown[some] = table[pixels[some].astype(np.int64) - int(low)]
    else:
        shown = _to_screen(pixels, about, window)
    return 255 - shown if inverted else shown


def _to_screen(stored: Any, about: Dataset, window: Window | None) -> Any:
    """8-bit values of stored ones; the darkest and the brightest of them are there."""
    values = apply_modality_lut(stored, about)
    if window is None and "VOILUTSequence" in about and "WindowCenter" not in about:
        voi = apply_voi(values, about)
        depth = int(about.VOILUTSequence[0].LUTDescriptor[2])
        return (voi.astype(np.float64) * 255 / (2**depth - 1)).clip(0, 255).astype(np.uint8)
    window = window or _own_window(about)
    if window is None:
        low, high = float(values.min()), float(values.max())
        window = Window((low + high) / 2, high - low or 1.0, "linear-exact")
    return (_windowed(values.astype(np.float64), window) * 255 + 0.5).astype(np.uint8)


def _own_window(about: Dataset) -> Window | None:
    """The first window of the image, if it is one."""
    center, width = _first(about.get("WindowCenter")), _first(about.get("WindowWidth"))
    if center is None or width is None or not np.isfinite([center, width]).all() or width <= 0:
        return None
    function = str(about.get("VOILUTFunction") or "LINEAR").strip().lower().replace("_", "-")
    if function not in ("linear", "linear-exact", "sigmoid") or width < 1:
        function = "linear-exact"
    return Window(center, width, function)


def _first(value: Any) -> float | None:
    if value is None or value == "":
        return None
    found = value[0] if hasattr(value, "__getitem__") and not isinstance(value, str) else value
    return float(found)


def _windowed(values: Any, window: Window) -> Any:
    """From 0 to 1 (PS3.3 C.11.2.1.2.1, C.11.2.1.3)."""
    center, width = window.center, window.width
    if window.function == "sigmoid":
        return 1 / (1 + np.exp(np.clip(-4 * (values - center) / width, -700, 700)))
    if window.function == "linear":
        if width <= 1:
            return (values > center - 0.5).astype(np.float64)
        return np.clip((values - (center - 0.5)) / (width - 1) + 0.5, 0, 1)
    return np.clip((values - center) / width + 0.5, 0, 1)


_GROUPS = ("PixelValueTransformationSequence", "FrameVOILUTSequence")


def _tells_of(image: Dataset, number: int) -> Dataset:
    """What transforms the values of this frame: its functional groups before the common ones."""
    about: Dataset = image.group_dataset(0x0028)
    for groups in _functional_groups(image, number):
        for name in _GROUPS:
            for item in list(groups.get(name) or [])[:1]:
                about.update(item)
    return about


def _functional_groups(image: Dataset, number: int) -> Iterator[Dataset]:
    yield from list(image.get("SharedFunctionalGroupsSequence") or [])[:1]
    yield from list(image.get("PerFrameFunctionalGroupsSequence") or [])[number - 1 : number]


def _fitted(picture: Image.Image, viewport: Viewport) -> Image.Image:
    """The asked part, scaled as a whole into the viewport."""
    wide, high = (picture.width, picture.height) if viewport.relative else (1, 1)
    left, top = round(viewport.left * wide), round(viewport.top * high)
    across = picture.width - left if viewport.across is None else viewport.across * wide
    down = picture.height - top if viewport.down is None else viewport.down * high
    right = min(round(left + abs(across)), picture.width)
    bottom = min(round(top + abs(down)), picture.height)
    if left >= right or top >= bottom:
        raise OutOfPicture
    picture = picture.crop((left, top, right, bottom))
    if across < 0:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if down < 0:
        picture = picture.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    factor = min(viewport.width / picture.width, viewport.height / picture.height)
    if factor > 1 and not viewport.enlarge:
        return picture
    size = (max(round(picture.width * factor), 1), max(round(picture.height * factor), 1))
    return picture.resize(size, Image.Resampling.BILINEAR if factor > 1 else Image.Resampling.BOX)


def _marked(picture: Image.Image, mark: str) -> Image.Image:
    """With the text in slanting rows from edge to edge, so that no cut is without it; light with a
    dark edge, and thin enough that what lies below is seen.
    """
    shrink = max(1.0, max(picture.size) / LARGEST_MASK)
    width, height = (max(round(edge / shrink), 1) for edge in picture.size)
    size = max(SMALLEST_MARK, min(width, height) // 24)
    font = ImageFont.load_default(size)
    side, length = int(np.hypot(width, height)) + 1, int(font.getlength(mark + GAP)) + 1
    text = (mark + GAP) * (side // length + 2)
    row = 5 * size
    for shift, shade in ((1, 0), (0, 255)):
        mask = Image.new("L", (side, side))
        pen = ImageDraw.Draw(mask)
        for number, top in enumerate(range(0, side, row)):
            # Each row begins elsewhere, or a cut between two words would be without one.
            left = shift - number * row % length
            pen.text((left, top + shift), text, fill=MARK_STRENGTH, font=font)
        slanted = mask.rotate(20, Image.Resampling.BILINEAR)
        left, top = (side - width) // 2, (side - height) // 2
        cut = slanted.crop((left, top, left + width, top + height)).resize(picture.size)
        picture.paste(shade if picture.mode == "L" else (shade,) * 3, mask=cut)
    return picture


def _encoded(picture: Image.Image, media_type: str, quality: int | None) -> bytes:
    out = io.BytesIO()
    form = FORMATS[media_type]
    options: dict[str, Any] = {}
    if form == "JPEG":
        options = {"quality": quality or DEFAULT_QUALITY}
    elif form == "PNG":
        options = {"compress_level": 3}
    picture.save(out, form, **options)
    return out.getvalue()
