"""An invented head in slices: as CT (Hounsfield units) and as MR (T1 and T2 brightness)."""

from typing import Literal

import numpy as np

from gateway.demo.drawing.shapes import Array, ball, blur, oval, seeded

Weighting = Literal["ct", "t1", "t2"]
_NAMES = ("air", "skin", "bone", "marrow", "csf", "grey", "white", "bleed")
# Brightness of each tissue: Hounsfield units for CT, arbitrary units for MR.
TISSUES: dict[Weighting, dict[str, float]] = {
    "ct": dict(zip(_NAMES, (-1000, -40, 1050, 550, 6, 39, 28, 68), strict=True)),
    "t1": dict(zip(_NAMES, (0, 760, 40, 420, 110, 390, 560, 660), strict=True)),
    "t2": dict(zip(_NAMES, (0, 520, 30, 260, 900, 480, 330, 210), strict=True)),
}


def head_slice(
    name: str,
    x: Array,
    y: Array,
    z: float,
    weighting: Weighting,
    *,
    bleed: tuple[float, float, float, float] = (0, 0, 0, 0),
) -> Array:
    """The plane z (0: ventricles, 90: crown) of the head that belongs to the name.

    bleed  (x, y, z, radius) of a haemorrhage; radius 0: none
    """
    value = TISSUES[weighting]
    image = np.full((y.shape[0], x.shape[1]), value["air"], np.float32)
    scale = ball(z, -12, 112)
    skin = np.sqrt(oval(x, y, 0, 0, 77 * scale, 96 * scale))
    depth_mm = (1 - skin) * np.float32(84 * scale)
    folds = _waves(name, x, y, z)
    image[depth_mm > 0] = value["skin"]
    image[depth_mm > 5] = value["bone"]
    image[(depth_mm > 6.8) & (depth_mm < 9.6)] = value["marrow"]
    image[depth_mm > 11.5] = value["csf"]
    brain = depth_mm - 13.5 - 1.2 * folds
    furrow = np.abs(folds) + np.clip(brain - 9, 0, 40) * 0.16
    image[(brain > 0) & (furrow > 0.16)] = value["grey"]
    image[(brain > 3.4) & (furrow > 0.85)] = value["white"]
    _middle(image, value, x, y, z)
    image[(np.abs(x) < 1.1) & (brain > 0) & (np.abs(y) > 36)] = (
        value["csf"] if weighting != "ct" else 62
    )
    bx, by, bz, radius = bleed
    if radius and (r := radius * ball(z, bz, radius)):
        near = oval(x, y, bx, by, r * 1.25, r) + folds * np.float32(0.14)
        image[near < 1.75] = (value["csf"] + value["white"]) / 2
        image[near < 1] = value["bleed"]
    return image


def scanned_head(image: Array, rng: np.random.Generator, noise: float) -> Array:
    """The slice as a scanner shows it: softened, with noise."""
    grain = blur(rng.standard_normal(image.shape, np.float32)) * np.float32(noise * 2.7)
    scanned: Array = blur(image) + grain
    return scanned


def _middle(image: Array, value: dict[str, float], x: Array, y: Array, z: float) -> None:
    for side in (-1, 1):
        if r := ball(z, 6, 26):
            image[oval(x, y, side * 15, 6, 8 * r, 15 * r) < 1] = value["grey"]
            image[oval(x, y, side * 25, -8, 6 * r, 17 * r, side * 18) < 1] = value["grey"]
        if r := ball(z, 18, 20):
            image[oval(x, y, side * (9 + 2 * r), -22, 5 * r, 17 * r, side * -16) < 1] = value["csf"]
            image[oval(x, y, side * (15 + 6 * r), 24, 6 * r, 17 * r, side * 24) < 1] = value["csf"]
        if r := ball(z, -48, 15):
            image[oval(x, y, side * 31, -78, 13 * r, 13 * r) < 1] = value["csf"]
    if r := ball(z, 2, 16):
        image[oval(x, y, 0, 0, 2.4 * r, 13 * r) < 1] = value["csf"]
    if r := ball(z, -42, 26):
        for side in (-1, 1):
            image[oval(x, y, side * 24, 48, 26 * r, 22 * r) < 1] = value["grey"]
        image[oval(x, y, 0, 18, 15 * r, 14 * r) < 1] = value["white"]
        image[oval(x, y, 0, 34, 7 * r, 5 * r) < 1] = value["csf"]


def _waves(name: str, x: Array, y: Array, z: float) -> Array:
    """Folds of the cortex: waves of many directions, continuous through the planes."""
    rng = seeded("folds " + name)
    total = np.zeros((y.shape[0], x.shape[1]), np.float32)
    for _ in range(14):
        way = rng.normal(0, 1, 3)
        way *= rng.uniform(0.24, 0.52) / np.linalg.norm(way)
        shift = way[2] * z + rng.uniform(0, 6.28)
        total += np.sin(np.float32(way[0]) * x + np.float32(way[1]) * y + np.float32(shift))
    folds: Array = total / np.float32(2.65)
    return folds
