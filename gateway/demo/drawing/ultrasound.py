"""Ultrasound clips: a sector of the liver that breathes, a thyroid with colour Doppler."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gateway.demo.drawing.shapes import Array, axes, oval, seeded, smoothstep, texture

DEPTH_MM = 160.0


def liver_clip(name: str, frames: int, rows: int, cols: int) -> Iterator[NDArray[np.uint8]]:
    """Grey frames of a curved probe; organs move with the breath."""
    x, y = axes(rows, cols, DEPTH_MM * 1.08 / rows)
    y = y + np.float32(DEPTH_MM / 2)
    radius, angle = np.hypot(x, y + 40), np.arctan2(x, y + 40)
    sector = smoothstep(0.62, 0.6, np.abs(angle)) * smoothstep(44, 46, radius)
    sector = sector * smoothstep(196, 193, radius)
    speckle = _speckle("liver " + name, rows, cols)
    for frame in range(frames):
        breath = 7 * np.sin(2 * np.pi * frame / frames)
        yield _grey(_liver(x, y - np.float32(breath), radius, speckle) * sector)


def _liver(x: Array, y: Array, radius: Array, speckle: Array) -> Array:
    echo = np.full(x.shape if x.shape == y.shape else (y.shape[0], x.shape[1]), 0.42, np.float32)
    echo[oval(x, y, 34, 92, 20, 34, 24) < 1] = 0.3  # kidney
    echo[oval(x, y, 34, 92, 9, 20, 24) < 1] = 0.62
    echo[oval(x, y, -30, 62, 13, 26, -30) < 1] = 0.03  # gall bladder
    behind = (oval(x, y, -44, 108, 12, 36, -24) < 1) & (radius > 90)
    echo[behind] += np.float32(0.2)
    for cx, cy, rx, ry in ((8, 48, 4, 9), (-6, 84, 6, 4), (22, 58, 3, 3), (-40, 96, 5, 3)):
        near = oval(x, y, cx, cy, rx, ry)
        echo[near < 1.5] = 0.6
        echo[near < 1] = 0.05
    line = np.abs(y - 128 - 0.12 * x + 0.0022 * x * x)
    echo = np.maximum(echo, smoothstep(3, 0, line) * np.float32(0.95))  # diaphragm
    echo *= np.where(y > 132 - 0.0022 * x * x, np.float32(0.55), np.float32(1))
    fall: Array = np.exp(-np.clip(radius - 60, 0, None) / np.float32(230))
    return echo * speckle * fall


def thyroid_clip(name: str, frames: int, rows: int, cols: int) -> Iterator[NDArray[np.uint8]]:
    """RGB frames of a straight probe with two vessels that pulse in colour."""
    x, y = axes(rows, cols, 46 / rows)
    y = y + np.float32(23)
    speckle = _speckle("thyroid " + name, rows, cols)
    echo = np.full((rows, cols), 0.3, np.float32)
    echo = np.maximum(echo, smoothstep(1.4, 0, np.abs(y - 3)) * np.float32(0.9))
    echo[(y[:, 0] > 5) & (y[:, 0] < 11)] = 0.24
    for side in (-1, 1):
        echo[oval(x, y, side * 11, 18, 9, 8) < 1] = 0.55
        echo[oval(x, y, side * 24, 22, 5, 4.6) < 1] = 0.04
    echo[oval(x, y, -12, 19, 3.4, 3) < 1] = 0.32
    echo[(np.abs(x) < 7) & (y > 14)] = 0.1
    picture = echo * speckle * np.exp(-y / np.float32(60))
    for frame in range(frames):
        beat = 0.55 + 0.45 * np.sin(4 * np.pi * frame / frames)
        rgb = np.repeat(_grey(picture)[:, :, None], 3, axis=2)
        for side, colour in ((-1, (230, 60, 30)), (1, (40, 90, 235))):
            flow = np.clip(1 - oval(x, y, side * 24, 22, 4.6, 4.2), 0, 1) * beat
            shown = (flow * speckle > 0.12)[:, :, None]
            rgb = np.where(shown, (np.array(colour) * (0.4 + 0.6 * beat)).astype(np.uint8), rgb)
        yield rgb.astype(np.uint8)


def _speckle(name: str, rows: int, cols: int) -> Array:
    rng = seeded(name)
    grain = texture(rng, rows, cols, rows // 4, 2)
    speckle: Array = np.clip(0.95 + grain * 0.36, 0.1, 2.2).astype(np.float32)
    return speckle


def _grey(echo: Array) -> NDArray[np.uint8]:
    return (np.clip(echo, 0, 1) ** np.float32(0.8) * 255).astype(np.uint8)
