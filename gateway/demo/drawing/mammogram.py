"""Mammograms: fat, gland, ducts and vessels behind one skin line, 0..1."""

import numpy as np

from gateway.demo.drawing.shapes import (
    Array,
    axes,
    blur,
    oval,
    resize,
    seeded,
    smoothstep,
    soft,
    texture,
    to_segment,
)


def mammogram(rows: int, cols: int, name: str, side: str, view: str) -> Array:
    """One breast; the chest wall is on the left for side "l", on the right for side "r".

    name  the woman: both views of a side grow from it and the side
    view  "cc" or "mlo"; the second has the chest muscle in its upper corner
    """
    small_rows, small_cols = max(64, rows // 2), max(64, cols // 2)
    x, y = axes(small_rows, small_cols, 240 / small_rows)
    x = x - x[0, 0]
    rng = seeded(f"mammogram {name} {side} {view}")
    depth_mm, half_mm, sag = 105.0, 92.0, (0.0 if view == "cc" else 14.0)
    skin = np.sqrt(oval(x, y, -6, sag, depth_mm, half_mm))
    edge_mm = (1 - skin) * np.float32(90)
    breast = smoothstep(0, 5, edge_mm)
    clouds = texture(rng, small_rows, small_cols, 6, 6)
    strands = 1 - np.abs(texture(rng, small_rows, small_cols, 9, 5))
    cone = 1 - oval(x, y, 34, sag - 4, 58, 50)
    gland = smoothstep(0.0, 0.85, cone + 0.42 * clouds + 0.1 * strands)
    image = 0.30 + 0.05 * clouds + 0.09 * np.clip(strands, -1, 1)
    image = image + gland * (0.26 + 0.09 * clouds + 0.07 * strands)
    image = image + _threads(rng, x, y, sag)
    if view == "mlo":
        muscle = smoothstep(-4, 8, 62 - x - (y + 120) * np.float32(0.42))
        image = image * (1 - muscle) + muscle * (0.74 + 0.02 * clouds)
    nipple = oval(x, y, depth_mm - 6, sag, 6, 7)
    image = image + 0.22 * smoothstep(-1, 0, -nipple)
    thin = 0.42 + 0.58 * smoothstep(0, 34, edge_mm)
    skin_line = 0.16 * np.exp(-(((edge_mm - 1.4) / np.float32(1.1)) ** 2))
    image = image * breast * thin + skin_line
    image = resize(blur(image), rows, cols).copy()
    _specks(image, rng)
    image = image + rng.standard_normal(image.shape, np.float32) * np.float32(0.008) * (
        0.15 + (image > 0.06)
    )
    return image if side == "l" else image[:, ::-1]


def _threads(rng: np.random.Generator, x: Array, y: Array, sag: float) -> Array:
    """Ducts that gather at the nipple, and a few winding vessels."""
    total = np.zeros((y.shape[0], x.shape[1]), np.float32)
    for _ in range(26):
        at, radius = np.array([98.0, sag]), 0.9
        way = np.array([-1.0, rng.uniform(-0.75, 0.75)])
        for _ in range(7):
            to = at + way * rng.uniform(7, 13) + rng.normal(0, 1.8, 2)
            near = to_segment(x, y, *at, *to) / np.float32(radius**2)
            np.maximum(total, np.float32(0.13 * radius) * np.exp(-near), out=total)
            at, radius = to, radius * 0.93
    for _ in range(4):
        at = np.array([2.0, rng.uniform(-60, 60)])
        way = np.array([1.0, rng.uniform(-0.35, 0.35)])
        for _ in range(9):
            to = at + way * 9 + rng.normal(0, 2.4, 2)
            near = to_segment(x, y, *at, *to) / np.float32(1.5**2)
            np.maximum(total, np.float32(0.11) * np.exp(-near), out=total)
            at = to
    return soft(total, 2)


def _specks(image: Array, rng: np.random.Generator) -> None:
    """A cluster of microcalcifications, a pixel or three each."""
    rows, cols = image.shape
    size = max(1, rows // 900)
    for _ in range(9):
        row = int(rows * (0.44 + rng.normal(0, 0.012)))
        col = int(cols * (0.24 + rng.normal(0, 0.012)))
        image[row : row + size, col : col + size] += 0.22
