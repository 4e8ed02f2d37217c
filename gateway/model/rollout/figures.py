"""What is told of the rollout at a day: the words of every page, export, metric and answer.

A snapshot holds the figures of each scope; pages read snapshots only. What `measure` counts is
exact; what a snapshot keeps of studies may be told (model/rollout/suppression.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum


class Evidence(StrEnum):
    """What the images say of a unit that counts."""

    PROVEN = "proven"  # declared digital, images in the last 30 days
    SILENT = "silent"  # declared digital, none for 30 days
    NEVER = "never"  # declared digital, none ever
    UNDECLARED = "undeclared"  # declared analogue, images in the last 30 days
    ANALOGUE = "analogue"  # declared analogue, and no images


class ScopeKind(StrEnum):
    REGION = "region"
    MUNICIPALITY = "municipality"
    FACILITY = "facility"
    FACILITY_KIND = "facility_kind"
    UNIT_KIND = "unit_kind"


@dataclass(frozen=True, order=True)
class Scope:
    """What figures are of; `name` is "" for the region, else an id, a kind or a municipality."""

    kind: ScopeKind
    name: str = ""


REGION = Scope(ScopeKind.REGION)
FEWEST = 5
"""Studies; fewer are not told (model/rollout/suppression.py)."""


@dataclass(frozen=True, slots=True)
class Share:
    """A part of a whole; both are always shown beside it."""

    part: int
    whole: int

    @property
    def percent(self) -> int | None:
        """Whole percent, half up, for display; None: of nothing there is no share."""
        return (200 * self.part + self.whole) // (2 * self.whole) if self.whole else None


@dataclass(frozen=True)
class Minutes:
    """How long studies took from acquisition to one of the moments.

    median, p95  minutes; None: of no study
    """

    within_two: Share
    median: float | None = None
    p95: float | None = None


NO_MINUTES = Minutes(Share(0, 0))


@dataclass(frozen=True)
class Money:
    """Roubles, whole.

    by_funding        spent on renewed units, by line of funding
    renewed           units
    cost_per_renewed  None: no unit with a known cost
    saving_…          a year
    """

    by_funding: Mapping[str, int] = field(default_factory=dict)
    renewed: int = 0
    cost_per_renewed: int | None = None
    saving_low: int = 0
    saving_high: int = 0

    @property
    def spent(self) -> int:
        return sum(self.by_funding.values())


@dataclass(frozen=True)
class Figures:
    """The measures of one scope at the end of one day (rollout.md 3).

    Shares, evidence and capture are of X-ray equipment; of a scope of the kind unit_kind, of that.
    by_…                units, but by_modality: studies that arrived in the last 30 days
    studies, studies_30  that arrived at that day, and in the last 30 days: exact when they are
                         measured; in a snapshot as they are told, and nothing of the day
    joined, planned, late  facilities: joined; with a day that is to come; with one that has passed
    """

    digital: Share
    connected: Share
    proven_facilities: Share
    by_evidence: Mapping[Evidence, int]
    by_capture: Mapping[str, int]
    by_state: Mapping[str, int]
    joined: int = 0
    planned: int = 0
    late: int = 0
    studies: int = 0
    studies_30: int = 0
    by_modality: Mapping[str, int] = field(default_factory=dict)
    visible: Minutes = NO_MINUTES
    archived: Minutes = NO_MINUTES
    told: Minutes = NO_MINUTES
    money: Money = Money()


@dataclass(frozen=True)
class Count:
    """A count of studies as it is told.

    value  0, or to the nearest five; None: one to four
    fewer  facilities whose studies are not in a sum because each has fewer than five
    """

    value: int | None
    fewer: int = 0

    @property
    def text(self) -> str:
        """As a program reads it; pages put their language's spaces into it."""
        if self.value is None:
            return f"<{(FEWEST - 1) * max(self.fewer, 1) + 1}"
        return str(self.value)

    @property
    def least(self) -> int:
        """The smallest number that is told so."""
        if self.value is None:
            return 1
        return 0 if self.value == 0 else max(FEWEST, self.value - 2)

    @property
    def most(self) -> int:
        """The largest number that is told so."""
        if self.value is None:
            return FEWEST - 1
        return 0 if self.value == 0 else self.value + 2


@dataclass(frozen=True)
class Clock:
    """How fast studies were, as it is told.

    within_two, studies  those within two minutes, and all that were timed
    median, p95          minutes; None: of fewer than five studies
    """

    within_two: Count = Count(0)
    studies: Count = Count(0)
    median: float | None = None
    p95: float | None = None

    @property
    def share(self) -> Share | None:
        """Of the numbers told; None where one of them is not."""
        part, whole = self.within_two.value, self.studies.value
        return None if part is None or not whole else Share(min(part, whole), whole)


@dataclass(frozen=True)
class Told:
    """All that is told of studies in one snapshot. What has no entry is not told.

    by_modality  of the region; two machines of one study count twice
    """

    studies: Mapping[Scope, Count] = field(default_factory=dict)
    by_modality: Mapping[str, Count] = field(default_factory=dict)
    visible: Mapping[Scope, Clock] = field(default_factory=dict)
    archived: Mapping[Scope, Clock] = field(default_factory=dict)
    told: Mapping[Scope, Clock] = field(default_factory=dict)


@dataclass(frozen=True)
class UnitEvidence:
    """What the images say of one unit at one day; only of units that count.

    first_on, last_on  days on which studies of it arrived first and last; None: never
    studies_30         that arrived in the last 30 days
    """

    unit_id: str
    facility_id: str
    evidence: Evidence
    first_on: date | None = None
    last_on: date | None = None
    studies_30: int = 0


@dataclass(frozen=True)
class Forecast:
    """When every unit is digital.

    straight           by the line through the shares of the past; None: it never gets there
    straight_from, …   the band of 95 %; None: no such end
    by_plan            by the planned renewals; None: some units have no plan
    unplanned          units that are not digital and have no plan
    holding_back       facilities with most of those, the worst first: (id, units not digital)
    """

    straight: date | None = None
    straight_from: date | None = None
    straight_to: date | None = None
    by_plan: date | None = None
    unplanned: int = 0
    holding_back: tuple[tuple[str, int], ...] = ()


class SnapshotKind(StrEnum):
    NIGHTLY = "nightly"
    MONTH = "month"  # of a month's last day; frozen


@dataclass(frozen=True)
class Snapshot:
    """Figures of the whole region at the end of a day, as they were known when it was taken.

    version          1, and one more with each correction; the earlier ones stay
    reason           why it was corrected, or ""
    unknown_senders  senders of the last 30 days that no unit has
    told             what doors tell of studies, in these words; the figures of a snapshot that was
                     kept have the same numbers, 0 where none is told (suppression.withhold)
    """

    day: date
    kind: SnapshotKind
    version: int
    taken_at: datetime
    reason: str
    figures: Mapping[Scope, Figures]
    units: tuple[UnitEvidence, ...]
    forecast: Forecast
    unknown_senders: int = 0
    told: Told = Told()

    @property
    def region(self) -> Figures:
        return self.figures[REGION]
