"""Numbers and spans of time as people read them, Russian first with English beside it. Pure."""

from typing import NamedTuple

_UNITS = ((86_400, "дн", "d"), (3600, "ч", "h"), (60, "мин", "min"), (1, "с", "s"))
_VOLUMES = (
    (10**12, "ТБ", "TB"), (10**9, "ГБ", "GB"), (10**6, "МБ", "MB"), (10**3, "КБ", "KB"),
    (1, "Б", "B"),
)  # fmt: skip
ROUGHLY = 2
"""From two of a unit on, the smaller unit says nothing more: "3 h", but "90 min"."""
TENTHS = 9.95
"""Below that a tenth is told: "9.9 GB", but "10 GB"."""


class Words(NamedTuple):
    """The same said twice."""

    ru: str
    en: str


def span(seconds: float) -> Words:
    """How long that is, in the one unit that fits: never more exact than it is known."""
    seconds = max(seconds, 0.0)
    for size, ru, en in _UNITS:
        if seconds >= ROUGHLY * size or size == 1:
            count = number(round(seconds / size))
            return Words(f"{count} {ru}", f"{count} {en}")
    raise AssertionError("a second is the last unit")


def volume(size_bytes: int) -> Words:
    """How much that is, in the one unit that fits, two digits at least."""
    for size, ru, en in _VOLUMES:
        if size_bytes >= size:
            count = size_bytes / size
            digits = f"{count:.1f}" if count < TENTHS and size > 1 else number(count)
            return Words(f"{digits.replace('.', ',')} {ru}", f"{digits} {en}")
    return Words("0 Б", "0 B")


def number(count: float) -> str:
    """Whole, its thousands apart."""
    return f"{count:,.0f}".replace(",", "\N{NO-BREAK SPACE}")
