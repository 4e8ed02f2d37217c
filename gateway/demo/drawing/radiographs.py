"""Plain radiographs of the invented people: chest (summed from the trunk), hand, breast.

All give brightness 0..1, bone bright, as a grey picture that is stored with MONOCHROME2.
"""

from itertools import pairwise

import numpy as np

from gateway.demo.drawing.body import Body, slice_hu
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

CHEST_LEVELS = (120.0, 480.0)
STEP_MM = 2.4


def chest(body: Body, name: str, rows: int, cols: int, *, lateral: bool = False) -> Array:
    """The trunk seen from the front, or from the left side; attenuation summed along the beam."""
    low, high = CHEST_LEVELS
    levels = np.arange(high, low, -STEP_MM)
    width = 160 if not lateral else 128
    across = np.zeros((len(levels), width), np.float32)
    x, y = axes(128, 160, STEP_MM)
    for row, z in enumerate(levels):
        density = np.clip(slice_hu(body, x, y, float(z)) + 1000, 0, None) / np.float32(1000)
        # Bone stops more of the beam than its weight says.
        density += np.clip(density - 1.12, 0, None) * np.float32(2.2)
        across[row] = density.sum(axis=1 if lateral else 0)
    across *= np.float32(STEP_MM / 10)
    if lateral:
        across = across * np.float32(0.72)
    picture = resize(across, rows, cols)
    # A flat panel shows the logarithm; the window opens on lung and mediastinum.
    shown = 1 - np.exp(-picture / np.float32(13))
    shown = smoothstep(0.18, 0.99, shown) * np.float32(0.95)
    edges = shown - soft(shown, 24)
    return _exposed(shown + edges * np.float32(0.55), name, 0.009)


def hand(name: str, rows: int, cols: int) -> Array:
    """A hand from the front, fingers up."""
    x, y = axes(rows, cols, 240 / rows)
    flesh = np.zeros((rows, cols), np.float32)
    bone = np.zeros((rows, cols), np.float32)
    for root, tip, thick in _FINGERS:
        joints = np.linspace(root, tip, 5)[[0, 2, 3, 4]]
        wrist = np.array([root[0] * 0.45, 62.0])
        flesh = np.maximum(flesh, _rod(x, y, wrist, np.array(root), thick + 11))
        flesh = np.maximum(flesh, _rod(x, y, np.array(root), np.array(tip), thick + 5))
        chain = [wrist, *joints]
        for start, end in pairwise(chain):
            way = end - start
            gap = way / np.linalg.norm(way) * 2.2
            shaft = _rod(x, y, start + gap, end - gap, thick)
            hollow = _rod(x, y, start + gap * 4, end - gap * 4, thick * 0.55)
            bone = np.maximum(bone, shaft - hollow * np.float32(0.45))
            for knob in (start + gap * 1.6, end - gap * 1.6):
                bone = np.maximum(bone, _spot(x, y, knob, thick * 1.22) * np.float32(0.92))
    for cx, cy in ((-22, 72), (-8, 69), (7, 70), (20, 74), (-15, 86), (1, 84), (15, 88)):
        bone = np.maximum(bone, _spot(x, y, np.array([cx, cy], float), 8.6) * np.float32(0.85))
    for cx, thick in ((-14, 11.0), (14, 8.0)):
        forearm = (np.array([cx, 98.0]), np.array([cx * 1.1, 160.0]))
        bone = np.maximum(
            bone, _rod(x, y, *forearm, thick) - _rod(x, y, *forearm, thick * 0.6) * 0.4
        )
    flesh = np.maximum(flesh, _rod(x, y, np.array([0.0, 60.0]), np.array([0.0, 170.0]), 34))
    grain = texture(seeded("bone " + name), rows // 4, cols // 4, 60, 3)
    trabecular = 1 + resize(grain, rows, cols) * np.float32(0.05)
    shown = flesh * np.float32(0.3) + blur(bone, 3) * trabecular * np.float32(0.52)
    return _exposed(shown, name, 0.008)


_FINGERS = (
    ((38.0, 20.0), (66.0, -34.0), 6.4),
    ((24.0, -6.0), (34.0, -92.0), 6.2),
    ((4.0, -10.0), (6.0, -104.0), 6.6),
    ((-15.0, -6.0), (-22.0, -94.0), 6.0),
    ((-32.0, 6.0), (-48.0, -62.0), 5.2),
)


def breast(name: str, rows: int, cols: int, *, left: bool, oblique: bool) -> Array:
    """A breast under compression; the chest wall is at the edge of the picture."""
    rng = seeded("breast " + name)
    x, y = axes(rows, cols, 240 / rows)
    x = x + np.float32(cols * 120 / rows)  # the chest wall is x = 0
    height = 92.0
    if oblique:
        y = y - x * np.float32(0.18) + np.float32(14)
    rim = oval(x, y, 0, 0, 118, height)
    thickness = np.sqrt(np.clip(1 - rim, 0, 1))
    gland = texture(rng, rows // 4, cols // 4, 5, 6)
    gland = resize(gland, rows, cols) * smoothstep(1.05, 0.2, oval(x, y, 52, 4, 62, 60))
    strands = np.abs(resize(texture(rng, rows // 4, cols // 4, 9, 5), rows, cols))
    tissue = np.float32(0.3) + np.clip(gland, 0, 2.4) * np.float32(0.21)
    tissue += np.exp(-strands * 6) * np.float32(0.07)
    for _ in range(9):
        cx, cy = rng.uniform((40, -30), (74, 34))
        near = oval(x, y, cx, cy, 0.5, 0.5)
        tissue = tissue + np.exp(-near / 2) * np.float32(0.4)
    shown = tissue * smoothstep(0, 0.55, thickness)
    shown += np.exp(-oval(x, y, 117, 0, 4, 5)) * np.float32(0.22)
    if oblique:
        muscle = smoothstep(4, -6, x * np.float32(1.35) + (y + 48) * np.float32(0.62))
        shown = np.maximum(shown, muscle * np.float32(0.66) * (rim < 4))
    picture = _exposed(shown, name, 0.006)
    # The picture is drawn with the wall at its left: so lies the left breast on a light box.
    return picture if left else np.ascontiguousarray(picture[:, ::-1])


def _rod(x: Array, y: Array, start: np.ndarray, end: np.ndarray, radius: float) -> Array:
    """A round stick seen through: thick in its middle line."""
    distance = to_segment(x, y, *map(float, start), *map(float, end)) / np.float32(radius**2)
    seen: Array = np.sqrt(np.clip(1 - distance, 0, 1))
    return seen


def _spot(x: Array, y: Array, at: np.ndarray, radius: float) -> Array:
    seen: Array = np.sqrt(np.clip(1 - oval(x, y, float(at[0]), float(at[1]), radius, radius), 0, 1))
    return seen


def _exposed(shown: Array, name: str, noise: float) -> Array:
    """With the grain of the detector."""
    grain = seeded("grain " + name).standard_normal(shown.shape, np.float32) * np.float32(noise)
    picture: Array = np.clip(shown + grain, 0, 1)
    return picture
