"""Brushes for the sample images: soft shapes, blur and seeded texture on numpy arrays.

Lengths are millimetres. x grows to the patient's left, y to the back, z to the head (PS3.3
C.7.6.2.1.1), so that the arrays need no turning before they are written.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[Any]


@dataclass(frozen=True)
class Picture:
    """Pixels as they are stored, and the attributes that only the drawing knows, by keyword."""

    pixels: NDArray[Any]
    attributes: Mapping[str, Any] = field(default_factory=dict)


def seeded(name: str) -> np.random.Generator:
    """A generator of numbers that depends on nothing but the name."""
    return np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]))


def axes(rows: int, cols: int, spacing: float) -> tuple[Array, Array]:
    """x as one row and y as one column, centred; they broadcast to the whole image."""
    x = (np.arange(cols, dtype=np.float32) - (cols - 1) / 2) * np.float32(spacing)
    y = (np.arange(rows, dtype=np.float32) - (rows - 1) / 2) * np.float32(spacing)
    return x[None, :], y[:, None]


def oval(
    x: Array, y: Array, cx: float, cy: float, rx: float, ry: float, turn_deg: float = 0.0
) -> Array:
    """Square of the distance from the centre, 1 on the rim of the ellipse."""
    dx, dy = x - np.float32(cx), y - np.float32(cy)
    if turn_deg:
        c, s = np.cos(np.radians(turn_deg)), np.sin(np.radians(turn_deg))
        dx, dy = dx * np.float32(c) + dy * np.float32(s), dy * np.float32(c) - dx * np.float32(s)
    ovals: Array = (dx / np.float32(rx)) ** 2 + (dy / np.float32(ry)) ** 2
    return ovals


def ball(z: float, cz: float, rz: float) -> float:
    """What is left of the radii of an ellipsoid in the plane z: 1 in its middle, 0 outside."""
    return float(np.sqrt(max(0.0, 1.0 - ((z - cz) / rz) ** 2)))


def to_segment(x: Array, y: Array, ax: float, ay: float, bx: float, by: float) -> Array:
    """Square of the distance from the segment a-b."""
    lx, ly = bx - ax, by - ay
    length = lx * lx + ly * ly or 1.0
    t = np.clip(((x - ax) * lx + (y - ay) * ly) / length, 0, 1)
    distance: Array = (x - ax - t * lx) ** 2 + (y - ay - t * ly) ** 2
    return distance


def blur(image: Array, times: int = 1) -> Array:
    """Soften edges with the kernel 1-2-1, `times` times in both directions."""
    for _ in range(times):
        padded = np.pad(image, 1, mode="edge")
        image = (padded[:-2, 1:-1] + padded[2:, 1:-1] + 2 * padded[1:-1, 1:-1]) * np.float32(0.25)
        padded = np.pad(image, 1, mode="edge")
        image = (padded[1:-1, :-2] + padded[1:-1, 2:] + 2 * padded[1:-1, 1:-1]) * np.float32(0.25)
    return image


def resize(image: Array, rows: int, cols: int) -> Array:
    """The image in another size, bicubic."""
    drawn = Image.fromarray(np.ascontiguousarray(image, dtype=np.float32))
    return np.asarray(drawn.resize((cols, rows), Image.Resampling.BICUBIC), dtype=np.float32)


def soft(image: Array, shrink: int) -> Array:
    """A wide blur: shrink and enlarge again."""
    rows, cols = image.shape
    small = resize(image, max(2, rows // shrink), max(2, cols // shrink))
    return resize(blur(small, 2), rows, cols)


def texture(rng: np.random.Generator, rows: int, cols: int, coarsest: int, octaves: int) -> Array:
    """Cloudy noise about 0 with a spread of about 1; the coarsest clouds are rows/coarsest high."""
    total = np.zeros((rows, cols), np.float32)
    for octave in range(octaves):
        n = min(coarsest * 2**octave, rows)
        m = min(max(2, n * cols // rows), cols)
        total += resize(rng.standard_normal((n, m), np.float32), rows, cols) / np.float32(
            1.6**octave
        )
    spread: Array = total / np.float32(max(float(total.std()), 1e-6))
    return spread


def smoothstep(low: float, high: float, values: Array) -> Array:
    """0 below low, 1 above high, smooth between."""
    t = np.clip((values - np.float32(low)) / np.float32(high - low), 0, 1)
    stepped: Array = t * t * (3 - 2 * t)
    return stepped


def stored(image: Array, bits: int) -> NDArray[np.uint16]:
    """Values 0..1 as unsigned numbers of `bits` bits."""
    return (np.clip(image, 0, 1) * np.float32(2**bits - 1) + np.float32(0.5)).astype(np.uint16)
