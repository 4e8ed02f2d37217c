"""Draws one series of the catalogue: pixels and the attributes that belong to them."""

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from gateway.demo.drawing import head, radiographs, ultrasound
from gateway.demo.drawing.body import Body, grow_body, scanned_hu
from gateway.demo.drawing.shapes import Array, Picture, axes, seeded, stored

Draw = Callable[[str, int, bool], Iterator[Picture]]
"""(name of the person, number of images, small) -> images in order."""

AXIAL = [1, 0, 0, 0, 1, 0]
SMALL_SIDE = 96


def draw_series(drawing: str, name: str, count: int, small: bool) -> Iterator[Picture]:
    """The images of one series; the same arguments draw the same pixels.

    drawing  a key of DRAWINGS, as the catalogue names it
    small    small matrices for tests
    """
    return DRAWINGS[drawing](name, count, small)


@lru_cache(maxsize=4)
def _body(name: str, contrast: float) -> Body:
    rng = seeded("body " + name)
    x, z = float(rng.choice([-62, 58, 70])), float(rng.uniform(300, 390))
    return grow_body(
        name,
        girth=float(rng.uniform(0.94, 1.08)),
        heart=float(rng.uniform(0.95, 1.15)),
        contrast=contrast,
        nodule=(x, 8.0, z, 9.0),
    )


def _trunk(low: float, high: float, contrast: float, window: tuple[int, int]) -> Draw:
    def draw(name: str, count: int, small: bool) -> Iterator[Picture]:
        side = SMALL_SIDE if small else 512
        spacing = 400 / side
        x, y = axes(side, side, spacing)
        body = _body(name, contrast)
        step = (high - low) / count
        for n in range(count):
            z = low + step * (n + 0.5)
            hu = scanned_hu(body, x, y, z, seeded(f"{name} {z:.1f}"))
            yield _ct(hu, spacing, z, step, window)

    return draw


def _ct(hu: Array, spacing: float, z: float, step: float, window: tuple[int, int]) -> Picture:
    half = (hu.shape[0] - 1) / 2 * spacing
    return Picture(
        np.clip(hu + 1024, 0, 4095).astype(np.uint16),
        {
            "RescaleIntercept": -1024,
            "RescaleSlope": 1,
            "RescaleType": "HU",
            "WindowCenter": window[0],
            "WindowWidth": window[1],
            "KVP": 120,
            **_plane(spacing, half, z, step),
        },
    )


def _plane(spacing: float, half: float, z: float, step: float) -> dict[str, Any]:
    """Where the slice lies (PS3.3 C.7.6.2)."""
    return {
        "PixelSpacing": [round(spacing, 6)] * 2,
        "ImageOrientationPatient": AXIAL,
        "ImagePositionPatient": [round(-half, 4), round(-half, 4), round(z, 4)],
        "SliceThickness": round(abs(step), 4),
        "SpacingBetweenSlices": round(abs(step), 4),
        "SliceLocation": round(z, 4),
        "PatientPosition": "HFS",
    }


def _head(weighting: head.Weighting, bleeding: bool = False) -> Draw:
    def draw(name: str, count: int, small: bool) -> Iterator[Picture]:
        side = SMALL_SIDE if small else (512 if weighting == "ct" else 256)
        spacing = 230 / side
        x, y = axes(side, side, spacing)
        bleed = (28.0, -18.0, 20.0, 17.0) if bleeding else (0.0, 0.0, 0.0, 0.0)
        step = 140 / count
        for n in range(count):
            z = -60 + step * (n + 0.5)
            image = head.head_slice(name, x, y, z, weighting, bleed=bleed)
            rng = seeded(f"{name} {weighting} {z:.1f}")
            scanned = head.scanned_head(image, rng, 4 if weighting == "ct" else 14)
            if weighting == "ct":
                yield _ct(scanned, spacing, z, step, (38, 85))
            else:
                yield Picture(
                    np.clip(scanned, 0, 4095).astype(np.uint16),
                    {
                        "WindowCenter": 450,
                        "WindowWidth": 1000,
                        "ScanningSequence": "SE",
                        "SequenceVariant": "NONE",
                        "ScanOptions": "",
                        "MRAcquisitionType": "2D",
                        "RepetitionTime": 500 if weighting == "t1" else 4200,
                        "EchoTime": 12 if weighting == "t1" else 98,
                        **_plane(spacing, (side - 1) / 2 * spacing, z, step),
                    },
                )

    return draw


def _plain(
    rows: int, cols: int, height_mm: float, draw_one: Callable[[str, int, int], Array], **more: Any
) -> Draw:
    def draw(name: str, count: int, small: bool) -> Iterator[Picture]:
        r, c = (rows // 16, cols // 16) if small else (rows, cols)
        spacing = round(height_mm / r, 6)
        for n in range(count):
            image = draw_one(f"{name} {n}" if n else name, r, c)
            shown = {"WindowCenter": 2048, "WindowWidth": 4096, "ImagerPixelSpacing": [spacing] * 2}
            yield Picture(stored(image, 12), {**shown, "PixelSpacing": [spacing] * 2, **more})

    return draw


def _chest_pa(name: str, rows: int, cols: int) -> Array:
    return radiographs.chest(_body(name, 0), name, rows, cols)


def _chest_lateral(name: str, rows: int, cols: int) -> Array:
    return radiographs.chest(_body(name, 0), name, rows, cols, lateral=True)


def _mammogram(view: str) -> Draw:
    left, oblique = view[0] == "l", view.endswith("mlo")

    def one(name: str, rows: int, cols: int) -> Array:
        return radiographs.breast(f"{name} {view[0]}", rows, cols, left=left, oblique=oblique)

    # PS3.3 C.8.11.7: the row runs from the chest wall to the nipple, or back.
    turn = ["A" if left else "P", "FR" if oblique and not left else "FL" if oblique else "R"]
    more = {
        "ImageLaterality": view[0].upper(),
        "ViewPosition": "MLO" if oblique else "CC",
        "PatientOrientation": turn,
        "PresentationIntentType": "FOR PRESENTATION",
    }
    return _plain(2560, 1920, 240, one, **more)


def _clip(frames: int, rows: int, cols: int, colour: bool) -> Draw:
    def draw(name: str, count: int, small: bool) -> Iterator[Picture]:
        r, c = (rows // 5, cols // 5) if small else (rows, cols)
        make = ultrasound.thyroid_clip if colour else ultrasound.liver_clip
        total = 5 if small else frames
        for _ in range(count):
            pixels = np.stack(list(make(name, total, r, c)))
            yield Picture(pixels, {"NumberOfFrames": total, "FrameTime": 40, **_clip_facts(colour)})

    return draw


def _clip_facts(colour: bool) -> Mapping[str, Any]:
    return {
        "FrameIncrementPointer": 0x00181063,  # FrameTime
        "ImageType": ["ORIGINAL", "PRIMARY", "ABDOMINAL" if not colour else "SMALL PARTS"],
        "CineRate": 25,
        "RecommendedDisplayFrameRate": 25,
    }


DRAWINGS: Mapping[str, Draw] = {
    "ct-chest": _trunk(150, 440, 0, (40, 400)),
    "ct-abdomen": _trunk(20, 260, 130, (60, 360)),
    "ct-head": _head("ct"),
    "ct-head-bleed": _head("ct", bleeding=True),
    "mr-t1": _head("t1"),
    "mr-t2": _head("t2"),
    "chest-pa": _plain(2048, 1760, 430, _chest_pa, ViewPosition="PA"),
    "chest-lateral": _plain(2048, 1760, 430, _chest_lateral, ViewPosition="LL"),
    "hand": _plain(2000, 1600, 250, radiographs.hand, ViewPosition="PA"),
    **{f"mg-{view}": _mammogram(view) for view in ("rcc", "lcc", "rmlo", "lmlo")},
    "us-liver": _clip(30, 480, 640, colour=False),
    "us-doppler": _clip(30, 480, 640, colour=True),
}
