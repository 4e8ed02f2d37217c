"""Reads what a caller asks of a rendering: `window`, `viewport`, `quality` (PS3.18 8.3.5)."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from gateway.errors import BadRequest

LARGEST_SIDE = 8192
SUPPORTED = ("window", "viewport", "quality")
IGNORED = {
    "annotation": re.compile(r"(?:patient|technique)(?:,(?:patient|technique))?"),
    "iccprofile": re.compile(r"no|yes|srgb|adobergb|rommrgb"),
}
"""Allowed by the standard, and not done here; the caller is told."""

_NUMBER = r"[+-]?(?:\d{1,9}(?:\.\d{0,9})?|\.\d{1,9})"
_WINDOW = re.compile(rf"({_NUMBER}),({_NUMBER}),(linear|linear-exact|sigmoid)", re.ASCII)
_VIEWPORT = re.compile(
    rf"(\d{{1,5}}),(\d{{1,5}})(?:,({_NUMBER})?,({_NUMBER})?(?:,({_NUMBER})?,({_NUMBER})?)?)?",
    re.ASCII,
)
_QUALITY = re.compile(r"[1-9]\d?|100", re.ASCII)


@dataclass(frozen=True)
class Window:
    """VOI window; function is linear, linear-exact or sigmoid (PS3.3 C.11.2.1.2, .3)."""

    center: float
    width: float
    function: str = "linear"


@dataclass(frozen=True)
class Viewport:
    """Part of the picture to show, and the size into which it shall fit (PS3.18 8.3.5.1.3).

    left, top      first pixel of the part
    across, down   size of the part; None: to the end; negative: mirrored
    relative       these four are shares of the picture's sides instead (WADO-URI's region)
    enlarge        a part that is smaller than the viewport is drawn larger
    """

    width: int
    height: int
    left: float = 0.0
    top: float = 0.0
    across: float | None = None
    down: float | None = None
    relative: bool = False
    enlarge: bool = True

    @property
    def is_part(self) -> bool:
        """Whether something is cut off."""
        return (self.left, self.top, self.across, self.down) != (0, 0, None, None)


@dataclass(frozen=True)
class View:
    """What a caller asks of a rendering; everything is optional."""

    window: Window | None = None
    viewport: Viewport | None = None
    quality: int | None = None


class OutOfPicture(Exception):
    """The viewport lies outside of the picture."""


def view_as_dict(view: View) -> dict[str, Any]:
    """For JSON; `view_of` reads it."""
    return asdict(view)


def view_of(written: Mapping[str, Any]) -> View:
    """The view that `view_as_dict` wrote."""
    window, viewport = written["window"], written["viewport"]
    return View(
        window=Window(**window) if window else None,
        viewport=Viewport(**viewport) if viewport else None,
        quality=written["quality"],
    )


def parse_view(arguments: Mapping[str, str]) -> View:
    """The view of a request; raises BadRequest that names the wrong parameter."""
    for name, form in IGNORED.items():
        if name in arguments and not form.fullmatch(arguments[name]):
            raise BadRequest(name, "is not written as PS3.18 8.3.5 says")
    window, viewport, quality = (arguments.get(name) for name in SUPPORTED)
    return View(
        window=None if window is None else _window(window),
        viewport=None if viewport is None else _viewport(viewport),
        quality=None if quality is None else parse_quality("quality", quality),
    )


def format_view(view: View) -> str:
    """The same as a query for a site: raw commas, because Orthanc does not decode them."""
    words = []
    if view.window is not None:
        w = view.window
        words.append(f"window={w.center:.9g},{w.width:.9g},{w.function}")
    if view.viewport is not None:
        v = view.viewport
        text = f"viewport={v.width},{v.height}"
        if v.is_part:
            across = "" if v.across is None else f"{v.across:.9g}"
            down = "" if v.down is None else f"{v.down:.9g}"
            text += f",{v.left:.9g},{v.top:.9g},{across},{down}"
        words.append(text)
    if view.quality is not None:
        words.append(f"quality={view.quality}")
    return "&".join(words)


def parse_window(field: str, center: str, width: str, function: str = "linear") -> Window:
    """raises BadRequest(field); a width is positive, and at least 1 if linear."""
    if not (re.fullmatch(_NUMBER, center, re.ASCII) and re.fullmatch(_NUMBER, width, re.ASCII)):
        raise BadRequest(field, "is no number")
    if float(width) <= 0 or (function == "linear" and float(width) < 1):
        raise BadRequest(field, "has a width that no window has (PS3.3 C.11.2.1.2)")
    return Window(float(center), float(width), function)


def parse_quality(field: str, value: str) -> int:
    if not _QUALITY.fullmatch(value):
        raise BadRequest(field, "is a whole number from 1 to 100")
    return int(value)


def check_side(field: str, side: int) -> int:
    """A width or height in pixels; raises BadRequest(field)."""
    if not 1 <= side <= LARGEST_SIDE:
        raise BadRequest(field, f"has a side that is not from 1 to {LARGEST_SIDE} pixels")
    return side


def _window(value: str) -> Window:
    found = _WINDOW.fullmatch(value)
    if found is None:
        raise BadRequest("window", "is center,width,function (PS3.18 8.3.5.1.4)")
    return parse_window("window", found[1], found[2], found[3])


def _viewport(value: str) -> Viewport:
    found = _VIEWPORT.fullmatch(value)
    if found is None:
        raise BadRequest("viewport", "is width,height[,left,top,across,down] (PS3.18 8.3.5.1.3)")
    width, height = (check_side("viewport", int(found[n])) for n in (1, 2))
    left, top = (float(found[n] or 0) for n in (3, 4))
    across, down = (float(found[n]) if found[n] else None for n in (5, 6))
    if left < 0 or top < 0 or across == 0 or down == 0:
        raise BadRequest("viewport", "shows nothing of the image")
    return Viewport(width, height, left, top, across, down)
