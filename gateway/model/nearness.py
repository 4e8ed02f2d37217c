"""How fast one site gives images, as its transfers have shown: near or far.

Pure: the caller brings the time. Nothing is asked of a site to find it out. What was seen fades
while a site is not asked, so that one that was slow gets another try after some minutes.
"""

from dataclasses import dataclass

SLICE_BYTES = 512 * 1024  # a CT slice: by which sites are compared
WORTH_TIMING = 64 * 1024  # less comes at once, whatever the line
NEW_SHARE = 0.3
FADES_HALF_S = 120.0


@dataclass
class Nearness:
    """Decaying means over one site's transfers; times are monotonic seconds."""

    _first_byte_s: float | None = None
    _s_per_byte: float | None = None
    _asked_at: float = 0.0

    def asked(self, now: float) -> None:
        """A transfer begins. From here on it is not faded any more: others are not sent after it
        before it has shown something."""
        faded = self._faded(now)
        self._asked_at = now
        if self._first_byte_s is not None:
            self._first_byte_s *= faded
        if self._s_per_byte is not None:
            self._s_per_byte *= faded

    def began(self, seconds: float) -> None:
        """The head of an answer came after so long; or did not, which counts as well."""
        self._first_byte_s = _mean(self._first_byte_s, seconds)

    def moved(self, size: int, waited_s: float, took_s: float) -> None:
        """A body of `size` bytes came, or what was read of it.

        waited_s  spent waiting for the site
        took_s    in all: a reader who takes his time says only "no slower than that"
        """
        if size < WORTH_TIMING:
            return
        fastest, slowest = waited_s / size, max(waited_s, took_s) / size
        seen = fastest if self._s_per_byte is None else self._s_per_byte
        self._s_per_byte = _mean(self._s_per_byte, min(max(seen, fastest), slowest))

    def slice_s(self, now: float) -> float | None:
        """Seconds that SLICE_BYTES are likely to take; None before the first transfer."""
        if self._first_byte_s is None:
            return None
        return self._faded(now) * (self._first_byte_s + SLICE_BYTES * (self._s_per_byte or 0.0))

    def _faded(self, now: float) -> float:
        return float(0.5 ** (max(now - self._asked_at, 0.0) / FADES_HALF_S))


def _mean(before: float | None, seen: float) -> float:
    return seen if before is None else before + NEW_SHARE * (seen - before)
