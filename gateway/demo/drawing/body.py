"""An invented trunk from the loins to the shoulders, in Hounsfield units, one slice at a time.

z is 0 at the fourth lumbar vertebra and about 480 at the neck. The same trunk gives the CT slices
and, summed along one axis, the chest radiographs (radiographs.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gateway.demo.drawing.shapes import Array, ball, blur, oval, seeded, to_segment

LEVELS = [0, 120, 200, 300, 380, 420, 450, 480, 510]
SKIN_WIDTH = [150, 148, 155, 166, 176, 192, 176, 110, 72]
SKIN_DEPTH = [104, 106, 112, 116, 110, 100, 86, 74, 66]
CAGE_LEVELS = [60, 120, 200, 260, 320, 370, 410, 440, 460]
CAGE_WIDTH = [128, 134, 138, 139, 131, 112, 84, 52, 30]
CAGE_DEPTH = [84, 87, 91, 93, 89, 78, 62, 46, 34]
AIR, LUNG, FAT, WATER, MUSCLE, BONE = -1000, -850, -100, 5, 50, 420


@dataclass(frozen=True)
class Vessel:
    """One straight piece of a lung vessel between two points, with its radius in millimetres."""

    start: tuple[float, float, float]
    end: tuple[float, float, float]
    radius: float


@dataclass(frozen=True)
class Body:
    """One invented person's trunk.

    girth     breadth of the outline beside the plain one
    heart     size of the heart beside the plain one
    contrast  Hounsfield units that contrast medium adds to the blood
    nodule    (x, y, z, radius) of a node in the lung; radius 0: none
    """

    vessels: tuple[Vessel, ...]
    girth: float = 1.0
    heart: float = 1.0
    contrast: float = 0.0
    nodule: tuple[float, float, float, float] = (0, 0, 0, 0)


def grow_body(
    name: str,
    *,
    girth: float = 1.0,
    heart: float = 1.0,
    contrast: float = 0.0,
    nodule: tuple[float, float, float, float] = (0, 0, 0, 0),
) -> Body:
    """A person whose lung vessels grow from the name."""
    rng = seeded("vessels " + name)
    vessels: list[Vessel] = []
    for side in (-1, 1):
        for n in range(20):
            across, up = rng.uniform(-1.3, 1.3), -1 + 2 * (n + 0.5) / 20
            flat = float(np.sqrt(1 - up * up))
            way = np.array([side * flat * np.cos(across), flat * np.sin(across), up * 1.5])
            _grow(rng, vessels, np.array([side * 34.0, 4.0, 318.0]), way, 3.6, 3)
    return Body(tuple(vessels), girth, heart, contrast, nodule)


def _grow(
    rng: np.random.Generator,
    vessels: list[Vessel],
    start: np.ndarray,
    way: np.ndarray,
    radius: float,
    forks: int,
) -> None:
    for _ in range(2):
        end = start + way * rng.uniform(11, 17) + rng.normal(0, 1.6, 3)
        vessels.append(Vessel(tuple(start), tuple(end), radius))
        start, radius = end, radius * 0.86
    if forks:
        for _ in range(2):
            turned = way + rng.normal(0, 0.42, 3)
            turned *= np.linalg.norm(way) / np.linalg.norm(turned)
            _grow(rng, vessels, start, turned, radius * 0.78, forks - 1)


def slice_hu(body: Body, x: Array, y: Array, z: float) -> Array:
    """Hounsfield units of the plane z on the axes x (one row) and y (one column)."""
    width = float(np.interp(z, LEVELS, SKIN_WIDTH)) * body.girth
    depth = float(np.interp(z, LEVELS, SKIN_DEPTH)) * body.girth
    cage = oval(x, y, 0, 0, *_cage(z))
    skin = np.abs(x / np.float32(width)) ** 2.4 + np.abs(y / np.float32(depth)) ** 2.4
    hu = np.full(skin.shape, AIR, np.float32)
    hu[skin < 1] = FAT
    hu[skin < 1 - 4 / width] = FAT - 5
    hu[skin < 0.8 / body.girth**2] = MUSCLE
    if z < 330:
        hu[(cage > 1.06) & (cage < 1.22) & (np.abs(x) > 40)] = FAT
    inside = cage < 0.95
    hu[inside] = FAT + 10
    spine_y = float(np.interp(z, [0, 120, 300, 450], [38, 46, 62, 48]))
    _abdomen(hu, body, x, y, z, inside)
    lung = _lungs(x, y, z, cage, spine_y)
    hu[lung] = LUNG
    _draw_vessels(hu, body.vessels, lung, x, y, z)
    _chest(hu, body, x, y, z, spine_y)
    _muscles(hu, x, y, z, spine_y)
    _spine(hu, x, y, z, spine_y)
    _ribs(hu, x, y, z, cage)
    _shoulders(hu, x, y, z)
    nx, ny, nz, radius = body.nodule
    if radius and (r := radius * ball(z, nz, radius)):
        hu[oval(x, y, nx, ny, r, r * 0.9) < 1] = 35
    return hu


def scanned_hu(body: Body, x: Array, y: Array, z: float, rng: np.random.Generator) -> Array:
    """The plane as a scanner shows it: on its table, softened, with quantum noise."""
    hu = slice_hu(body, x, y, z)
    table = y - np.float32(150) + x * x / np.float32(1100)
    hu[(np.abs(table) < 1.6) & (np.abs(x) < 190)] = -200
    hu[(table > 1.6) & (table < 14) & (np.abs(x) < 185)] = -930
    hu = blur(hu)
    noise = blur(rng.standard_normal(hu.shape, np.float32)) * np.float32(26)
    scanned: Array = hu + noise * (np.float32(1) - np.clip((-hu - 200) / 1400, 0, 0.7))
    return scanned


def _cage(z: float) -> tuple[float, float]:
    return (
        float(np.interp(z, CAGE_LEVELS, CAGE_WIDTH)),
        float(np.interp(z, CAGE_LEVELS, CAGE_DEPTH)),
    )


def _lungs(x: Array, y: Array, z: float, cage: Array, spine_y: float) -> Array:
    width, depth = _cage(z)
    lung = np.zeros(cage.shape, bool)
    if not 130 < z < 446:
        return lung
    for side, top in ((-1, 238.0), (1, 226.0)):
        part = oval(x, y, side * 0.53 * width, 2, 0.5 * width, 0.92 * depth)
        # The dome of the diaphragm: the lung reaches lowest at its rim, most of all behind.
        floor = top - 52 * part - np.clip(y, 0, 80) * np.float32(0.35)
        lung |= (part < 1) & (z > floor) & (x * side > 10)
    lung &= (cage < 0.9) & (oval(x, y, 0, spine_y + 4, 30, 26) > 1)
    return lung


def _draw_vessels(
    hu: Array, vessels: Sequence[Vessel], lung: Array, x: Array, y: Array, z: float
) -> None:
    if not lung.any():
        return
    xs, ys = x[0], y[:, 0]
    for vessel in vessels:
        (ax, ay, az), (bx, by, bz) = vessel.start, vessel.end
        reach = vessel.radius
        if not min(az, bz) - reach <= z <= max(az, bz) + reach:
            continue
        # The plane cuts a steep piece as a point and a level piece along its length.
        t0, t1 = (
            (0.0, 1.0)
            if abs(bz - az) < 1e-6
            else sorted(((z - reach - az) / (bz - az), (z + reach - az) / (bz - az)))
        )
        t0, t1 = min(max(t0, 0), 1), min(max(t1, 0), 1)
        p = (ax + (bx - ax) * t0, ay + (by - ay) * t0, ax + (bx - ax) * t1, ay + (by - ay) * t1)
        c0, c1 = np.searchsorted(xs, (min(p[0], p[2]) - reach, max(p[0], p[2]) + reach))
        r0, r1 = np.searchsorted(ys, (min(p[1], p[3]) - reach, max(p[1], p[3]) + reach))
        if c0 == c1 or r0 == r1:
            continue
        window = np.s_[r0:r1, c0:c1]
        near = to_segment(x[:, c0:c1], y[r0:r1], *p) / np.float32(reach * reach)
        value = np.float32(30) - np.clip(near, 0, 1) * 250
        hu[window] = np.where((near < 1) & lung[window], np.maximum(hu[window], value), hu[window])


def _chest(hu: Array, body: Body, x: Array, y: Array, z: float, spine_y: float) -> None:
    blood = 45 + body.contrast
    if 205 < z < 445:
        middle = oval(x, y, 0, -15, 27, 62) < 1
        hu[middle & (hu < -300)] = FAT
    if r := ball(z, 262, 54 * body.heart) * body.heart:
        hu[oval(x, y, 24, -26, 62 * r, 46 * r, 32) < 1] = FAT
        hu[oval(x, y, 24, -26, 59 * r, 43 * r, 32) < 1] = MUSCLE + body.contrast * 0.25
    for cx, cy, cz, rx, ry, rz in (
        (46, -22, 254, 25, 19, 34),
        (4, -46, 256, 27, 18, 36),
        (-16, -18, 276, 20, 20, 26),
        (14, 14, 286, 26, 15, 20),
    ):
        if r := ball(z, cz, rz * body.heart) * body.heart:
            hu[oval(x, y, cx, cy, rx * r, ry * r, 28) < 1] = blood
    if z < 366:
        hu[oval(x, y, 22, spine_y - 26, 11.5, 11.5) < 1] = blood
    if z < 250:
        hu[oval(x, y, -22, spine_y - 30, 13, 10) < 1] = blood - body.contrast * 0.3
    if 280 < z < 366:
        hu[oval(x, y, -12, -28, 15, 15) < 1] = blood
        hu[oval(x, y, -30, -18, 8, 8) < 1] = blood
    if 344 < z < 372:
        hu[to_segment(x, y, -10, -26, 20, spine_y - 28) < 12**2] = blood
    if 366 <= z < 450:
        for cx in (-26, -8, 9, 24):
            hu[oval(x, y, cx, -14, 5.5, 5.5) < 1] = blood
    if 298 < z < 334:
        hu[to_segment(x, y, 16, -32, 30, 0) < 12**2] = blood
        hu[to_segment(x, y, 24, -10, -46, 6) < 9**2] = blood
        hu[to_segment(x, y, 24, -6, 52, 14) < 9**2] = blood
    hu[oval(x, y, 4, spine_y - 32, 9, 6) < 1] = 35
    if z > 336:
        hu[oval(x, y, 0, 4, 9, 8) < 1] = AIR
    elif z > 300:
        apart = (336 - z) * 0.95
        for side in (-apart, apart):
            hu[oval(x, y, side, 8, 7, 6.5) < 1] = AIR
    if 262 < z < 412:
        front = -0.955 * _cage(z)[1] - 4
        hu[oval(x, y, 0, front, 17, 7) < 1] = 520
        hu[oval(x, y, 0, front, 14, 4.5) < 1] = 160


def _abdomen(hu: Array, body: Body, x: Array, y: Array, z: float, inside: Array) -> None:
    fill = body.contrast
    if z < 215:
        rng = seeded(f"bowel {int(z // 45)}")
        for _ in range(16):
            cx, cy = rng.uniform(-95, 95), rng.uniform(-66, 8)
            r, gas = rng.uniform(10, 19), rng.uniform(0, 1) < 0.3
            swell = ball(z % 45, 22.5, 34) * r
            near = oval(x, y, cx, cy, swell, swell * 0.85)
            hu[inside & (near < 1)] = 48 + fill * 0.3
            hu[inside & (near < 0.66)] = 12
            if gas:
                hu[inside & (near < 0.62) & (y < cy - 1)] = -940
    if r := ball(z, 178, 62):
        near = oval(x, y, 58, -22, 46 * r, 42 * r, 20)
        hu[inside & (near < 1)] = 45 + fill * 0.3
        hu[inside & (near < 0.85)] = 15
        hu[inside & (near < 0.85) & (y < -38)] = -950
    if r := ball(z, 182, 52):
        hu[inside & (oval(x, y, 100, 34, 30 * r, 42 * r, -20) < 1)] = 50 + fill * 0.6
    if r := ball(z, 168, 78):
        liver = inside & (oval(x, y, -66, -2, 92 * r, 82 * r, -14) < 1)
        hu[liver] = 58 + fill * 0.45
        hu[inside & (oval(x, y, -8, -46, 66 * r, 30 * r) < 1)] = 58 + fill * 0.45
        rng = seeded("liver veins")
        for _ in range(16):
            cx, cy, lean = rng.uniform(-120, -20), rng.uniform(-50, 50), rng.uniform(-0.5, 0.5)
            hu[liver & (oval(x, y, cx + lean * (z - 168), cy, 5, 3.4) < 1)] = 46 + fill * 0.75
    if r := ball(z, 128, 30):
        hu[inside & (oval(x, y, -48, -44, 19 * r, 17 * r) < 1)] = WATER
    for side in (-1, 1):
        if r := ball(z, 108 + side * 6, 54):
            near = oval(x, y, side * (58 + (108 - z) * 0.12), 44, 29 * r, 25 * r, side * -35)
            hu[near < 1] = 34 + fill * 1.1
            hu[near < 0.52] = 30 + fill * 0.7
            hu[oval(x, y, side * 48, 40, 15 * r, 10 * r) < 1] = -60
    if r := ball(z, 138, 20):
        hu[to_segment(x, y, -26, -16, 62, 6) < (13 * r) ** 2] = 38 + fill * 0.5


def _muscles(hu: Array, x: Array, y: Array, z: float, spine_y: float) -> None:
    for side in (-1, 1):
        hu[oval(x, y, side * 30, spine_y + 40, 27, 18, side * -12) < 1] = MUSCLE + 5
        if z < 130:
            size = float(np.interp(z, [0, 130], [23, 9]))
            hu[oval(x, y, side * 38, spine_y - 2, size, size * 0.9) < 1] = MUSCLE + 5


def _spine(hu: Array, x: Array, y: Array, z: float, spine_y: float) -> None:
    size = float(np.interp(z, [0, 200, 400, 500], [25, 20, 16, 13]))
    pitch = float(np.interp(z, [0, 480], [36, 20]))
    step = (z % pitch) / pitch
    near = oval(x, y, 0, spine_y, size * 1.18, size * 0.9)
    if step < 0.16:
        hu[near < 0.96] = 85
    else:
        end_plate = step < 0.24 or step > 0.93
        hu[near < 1] = BONE + 260
        hu[near < 0.8] = BONE if end_plate else 190
    arch = spine_y + size * 0.9
    hu[oval(x, y, 0, arch + 9, 17, 15) < 1] = BONE + 130
    if step > 0.35:
        hu[to_segment(x, y, 0, arch + 20, 0, arch + 40) < 4.2**2] = BONE + 60
        for side in (-1, 1):
            hu[to_segment(x, y, side * 14, arch + 6, side * 35, arch + 14) < 4.6**2] = BONE
    hu[oval(x, y, 0, arch + 8, 11, 9) < 1] = 15
    hu[oval(x, y, 0, arch + 8, 6, 5) < 1] = 38


def _ribs(hu: Array, x: Array, y: Array, z: float, cage: Array) -> None:
    width, depth = _cage(z)
    if z > 445 or z < 70:
        return
    ring = np.nonzero((cage > 0.9) & (cage < 1.08))
    # 0 beside the spine, 1 at the breast bone; a rib sinks on its way to the front.
    px, py = x[0, ring[1]] / width, y[ring[0], 0] / depth
    way = np.abs(np.arctan2(px, py)) / np.float32(np.pi)
    rise = np.sqrt(np.maximum(cage[ring], 0))
    value = hu[ring]
    for number in range(12):
        start = 440 - number * 24.0
        end = 0.9 if number < 7 else 0.86 - 0.07 * (number - 6)
        if number > 9:
            end = 0.5 - 0.12 * (number - 10)
        sink = (38 + 9 * number) * way**1.25 * 1.25
        if number >= 2:
            sink = sink - np.clip(way - 0.78, 0, 1) * 150
        off = np.abs(z - (start - sink)) / 7.2
        thick = np.abs(rise - 0.992) / 0.037
        shape = off * off + thick * thick
        here = (shape < 1) & (way > 0.06) & (way < end)
        value[here] = np.where(shape[here] > 0.5, BONE + 380, 170)
        gristle = (shape < 0.9) & (way >= end) & (way < 0.96) & (number < 10)
        value[gristle] = 105
    hu[ring] = value


def _shoulders(hu: Array, x: Array, y: Array, z: float) -> None:
    for side in (-1, 1):
        if r := ball(z, 424, 24):
            near = oval(x, y, side * 163, 4, 23 * r, 23 * r)
            hu[near < 1] = BONE + 200
            hu[near < 0.75] = 230
        if 300 < z < 436:
            low = (436 - z) / 136
            inner, outer = 142 - 64 * (1 - abs(low - 0.35)), 142 - 30 * low
            near = to_segment(x, y, side * inner, 84, side * outer, 52 + 18 * low)
            hu[near < 3.4**2] = BONE + 120
        if 412 < z < 446:
            # The collar bone rises outwards: this plane meets it at one place of its length.
            t = (z - 418) / 20
            cx, cy = 16 + 128 * t, -74 + 62 * t
            hu[oval(x, y, side * cx, cy, 26, 6, side * 26) < 1] = BONE + 160
