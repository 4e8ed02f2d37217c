"""How long a hospital's Orthanc keeps a study before it makes room for others. Pure.

Orthanc deletes the patients that it got first as soon as it holds more than it may, and tells
nobody (routing.md E16). So what came after a study says how near its end is.
"""

from dataclasses import dataclass

from gateway.model.sites import QuirkProfile, Site

HOUR_S = 3600.0
LEAST_SPAN_S = HOUR_S
"""A rate is told by at least so long a time: the first minutes of a fill are no habit."""


@dataclass(frozen=True)
class Came:
    """What a hospital got in a span of time."""

    size_bytes: int
    studies: int
    span_s: float


@dataclass(frozen=True)
class Storage:
    """Where a server begins to delete; 0: not by this measure."""

    most_bytes: int
    most_patients: int

    def hours_left(self, since: Came, lately: Came) -> float | None:
        """Until what came just before `since` is deleted, if it goes on as lately.

        Each study counts as a patient of its own: rather too early than too late.

        since    what came after the study in question
        lately   what came in the last days: the habit
        returns  0 when it may be gone already; None if the server does not delete, or gets nothing
        """
        span_h = max(lately.span_s, LEAST_SPAN_S) / HOUR_S
        left = []
        for most, came, habit in (
            (self.most_bytes, since.size_bytes, lately.size_bytes),
            (self.most_patients, since.studies, lately.studies),
        ):
            if most and habit:
                left.append(max(most - came, 0) * span_h / habit)
        return min(left, default=None)


def storage_of(site: Site, profile: QuirkProfile) -> Storage:
    """As the server tells, or else as region.toml does."""
    return Storage(
        profile.recycles_bytes or site.recycles_gb * 10**9,
        profile.recycles_patients or site.recycles_patients,
    )
