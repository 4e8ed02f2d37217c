"""When all X-ray equipment is digital: by the line through the past, and by what is planned. Pure.

The line is one of least squares through the declared shares of past month ends; its band is that of
95 % for a single later share. A programme that buys in batches is no line: that is what the band is
shown for, and why the plan stands beside it.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from math import sqrt

from gateway.model.rollout.figures import Forecast, Share
from gateway.model.rollout.measures import Inventory, whole_units
from gateway.model.rollout.register import X_RAY, Facility, Revision, T, Unit, UnitState

FEWEST = 3
"""Points of a line: of two nothing can be said on how far they lie beside it."""
LONGEST_DAYS = 36_525
"""A hundred years: what comes later is told as never."""
WORST = 20
"""Facilities that are named as those which hold the region back."""
_T_975 = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
    2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056,
    2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
"""Student's t, 97.5 %, of 1 to 30 degrees of freedom."""
_Z_975 = 1.959964
COMING = frozenset({UnitState.ORDERED, UnitState.INSTALLED})
Point = tuple[date, Share]


@dataclass(frozen=True)
class Line:
    """share(day) = level + slope * (day - middle), and how far a later share may lie beside it.

    middle   mean of the days of its points, as an ordinal
    spread   sum of the squares of their distances from it
    scatter  standard deviation of the shares around the line
    quantile Student's t for its band
    """

    points: int
    middle: float
    level: float
    slope: float
    spread: float
    scatter: float
    quantile: float

    def share(self, day: date) -> float:
        return self.level + self.slope * (day.toordinal() - self.middle)

    def band(self, day: date) -> float:
        """Half its width: a share of that day lies so near with 95 % probability."""
        away = (day.toordinal() - self.middle) ** 2 / self.spread
        return self.quantile * self.scatter * sqrt(1 + 1 / self.points + away)


def fit(points: Sequence[Point]) -> Line | None:
    """The line through those of the points that have a share; None of fewer than three days."""
    found = [(day.toordinal(), s.part / s.whole) for day, s in points if s.whole]
    count = len(found)
    if count < FEWEST:
        return None
    middle = sum(day for day, _ in found) / count
    level = sum(share for _, share in found) / count
    spread = sum((day - middle) ** 2 for day, _ in found)
    if not spread:
        return None
    slope = sum((day - middle) * (share - level) for day, share in found) / spread
    rest = sum((share - level - slope * (day - middle)) ** 2 for day, share in found)
    freedom = count - 2
    return Line(count, middle, level, slope, spread, sqrt(rest / freedom), _quantile(freedom))


def _quantile(freedom: int) -> float:
    if freedom <= len(_T_975):
        return _T_975[freedom - 1]
    z = _Z_975  # Abramowitz and Stegun 26.7.5: right to the third place from here on
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)


def straight(points: Sequence[Point], day: date) -> tuple[date | None, date | None, date | None]:
    """The day of 100 % by the line, and the first and the last by its band; None: never.

    day  today: what the line would have had before is today at the earliest; if the last share is
         whole, it is that day
    A line that does not rise gets nowhere, its band neither.
    """
    last = next((share for _, share in reversed(points) if share.whole), None)
    if last is not None and last.part == last.whole:
        return day, day, day
    line = fit(points)
    if line is None or line.slope <= 0:
        return None, None, None
    return (
        _first(day, line.share),
        _first(day, lambda at: line.share(at) + line.band(at)),
        _first(day, lambda at: line.share(at) - line.band(at)) if _rises(line) else None,
    )


def _rises(line: Line) -> bool:
    """Whether the lower edge of the band rises at all in the end; if so, it always does."""
    return line.slope > line.quantile * line.scatter / sqrt(line.spread)


def _first(day: date, share: Callable[[date], float]) -> date | None:
    """The first day from `day` on at which a share that only grows is 1; by halving."""
    if share(day) >= 1:
        return day
    low, high = 0, LONGEST_DAYS
    if share(day + timedelta(high)) < 1:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if share(day + timedelta(middle)) >= 1 else (middle, high)
    return day + timedelta(high)


def planned(units: Iterable[Unit], day: date) -> tuple[date | None, int]:
    """The day at which the last analogue X-ray unit is renewed by plan, and how many have no plan.

    An analogue unit without a plan of its own has that of a digital one that is ordered or
    installed for the same facility, of the same kind: one for each. A plan whose day has passed is
    none any more.
    returns  None while any unit has no plan; `day` if all are digital already
    """
    wanting: Counter[tuple[str, str]] = Counter()
    coming: dict[tuple[str, str], list[date]] = defaultdict(list)
    days = [day]
    counted = 0
    for unit in units:
        if unit.kind not in X_RAY:
            continue
        place, on = (unit.facility_id, str(unit.kind)), unit.renewal_on
        has_plan = on is not None and on >= day
        if unit.counts:
            counted += 1
            if not unit.is_digital:
                if on is not None and has_plan:
                    days.append(on)
                else:
                    wanting[place] += 1
        elif unit.state in COMING and unit.is_digital and on is not None and has_plan:
            coming[place].append(on)
    unplanned = 0
    for place, count in wanting.items():
        taken = sorted(coming[place])[:count]
        days += taken
        unplanned += count - len(taken)
    return (max(days) if counted and not unplanned else None), unplanned


def holding_back(units: Iterable[Unit]) -> tuple[tuple[str, int], ...]:
    """Facilities with most X-ray units that are not digital, the worst first: (id, units)."""
    found = Counter(
        unit.facility_id
        for unit in units
        if unit.counts and unit.kind in X_RAY and not unit.is_digital
    )
    return tuple(sorted(found.items(), key=lambda one: (-one[1], one[0]))[:WORST])


def forecast(inventory: Inventory, points: Sequence[Point], day: date) -> Forecast:
    """When every unit is digital, as it looks at the end of that day.

    points  declared shares of the month ends before, and of that day
    """
    units = whole_units(inventory)
    by_line, earliest, latest = straight(points, day)
    by_plan, unplanned = planned(units, day)
    return Forecast(by_line, earliest, latest, by_plan, unplanned, holding_back(units))


def month_ends(first: date, last: date) -> Iterator[date]:
    """The last days of the months from that of `first` on, those that are not after `last`."""
    year, month = first.year, first.month
    while True:
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)
        end = date(year, month, 1) - timedelta(1)
        if end > last:
            return
        yield end


def declared_shares(
    facilities: Iterable[Revision[Facility]],
    units: Iterable[Revision[Unit]],
    days: Iterable[date],
    known_at: datetime | None = None,
) -> list[Point]:
    """The region's declared share at the end of each of the days, the same as `measure` tells.

    days  in their order; all the revisions are gone through once, however many days there are
    """

    def known(revisions: Iterable[Revision[T]]) -> list[Revision[T]]:
        found = (r for r in revisions if known_at is None or r.recorded_at <= known_at)
        return sorted(found, key=lambda one: (one.valid_from, one.number))

    places, changes = known(facilities), known(units)
    standing: set[str] = set()
    counted: dict[str, tuple[str, bool]] = {}
    at_place = at_change = 0
    points = []
    for day in days:
        while at_place < len(places) and places[at_place].valid_from <= day:
            standing.add(places[at_place].thing.facility_id)
            at_place += 1
        while at_change < len(changes) and changes[at_change].valid_from <= day:
            unit = changes[at_change].thing
            at_change += 1
            if unit.counts and unit.kind in X_RAY:
                counted[unit.unit_id] = (unit.facility_id, unit.is_digital)
            else:
                counted.pop(unit.unit_id, None)
        here = [digital for facility_id, digital in counted.values() if facility_id in standing]
        points.append((day, Share(sum(here), len(here))))
    return points
