"""What may be told of counts of studies, at every door of the rollout alike. Pure.

A count of one to four studies could be somebody's (trust.md H41, rollout.md 4), and two larger
counts may differ by so few. Therefore

* nothing smaller than a facility is told: no studies of a unit or kind of unit, none of a modality
  but in the whole region, no single day's, and there is no filter that cuts it otherwise;
* a facility's count is told as 0, as "<5", or to the nearest five. 0 is told: that nothing came is
  what the evidence of its units says anyway, and there is nobody whom it would be about;
* the count of a municipality or of a kind of facility is the sum of what is told of its facilities,
  so it says nothing that they do not say;
* the region's count is to the nearest five, if from it and all that is told of facilities two
  numbers at least are possible for each "<5"; else it is such a sum, too;
* modalities that have fewer than five studies are told together, with the next larger ones until
  they have five.

So two answers, of whatever two days, scopes or versions, never differ by a certain number of
studies from one to four. The same holds of the studies within two minutes, and times are told of
five studies at least. Counts of units and facilities are no patient's, and exact.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from gateway.model.rollout.figures import (
    FEWEST,
    REGION,
    Clock,
    Count,
    Figures,
    Minutes,
    Scope,
    ScopeKind,
    Share,
    Told,
)
from gateway.model.rollout.measures import scopes_of
from gateway.model.rollout.register import Facility

OTHER = "other"


def tell(count: int) -> Count:
    """A count of studies, alone: 0, "<5", or to the nearest five."""
    if 0 < count < FEWEST:
        return Count(None)
    return Count((count + 2) // 5 * 5)


def tell_modalities(counts: Mapping[str, int]) -> dict[str, Count]:
    """Of one whole; none has fewer than five, and none is left out.

    returns  the small ones under OTHER; nothing at all if there are fewer than five in all
    """
    small = {name for name, count in counts.items() if 0 < count < FEWEST}
    rest = sorted((count, name) for name, count in counts.items() if count >= FEWEST)
    while small and rest and sum(counts[name] for name in small) < FEWEST:
        small.add(rest.pop(0)[1])
    together = sum(counts[name] for name in small)
    if small and together < FEWEST:
        return {}
    found = {name: tell(count) for count, name in sorted(rest, key=lambda one: one[1])}
    return found | ({OTHER: tell(together)} if small else {})


def tell_studies(figures: Mapping[Scope, Figures], facilities: Iterable[Facility]) -> Told:
    """All that may be told of studies.

    figures     exact, of every scope
    facilities  those that stand, as of the same day
    """
    standing = list(facilities)
    studies = {scope: tell(figures[scope].studies_30) for scope in map(_own, standing)}
    summed = _sums(studies, standing)
    modalities = tell_modalities(figures[REGION].by_modality)
    region = tell(figures[REGION].studies_30)
    if not _is_safe(region.most, region, studies.values()):
        region, modalities = summed.get(REGION, Count(0)), {}
    elif not _is_safe(sum(c.most for c in modalities.values()), region, studies.values()):
        modalities = {}  # each study has one machine at least: they are no fewer than the studies
    return Told(
        studies=studies | summed | {REGION: region},
        by_modality=modalities,
        visible=_clocks({s: f.visible for s, f in figures.items()}, studies, standing),
        archived=_clocks({s: f.archived for s, f in figures.items()}, studies, standing),
        told=_clocks({s: f.told for s, f in figures.items()}, studies, standing),
    )


def withhold(figures: Figures, scope: Scope, told: Told) -> Figures:
    """The same figures with no number of studies but those that are told; 0 where none is.

    So nothing that is kept in a snapshot can leave by mistake.
    """

    def minutes(clock: Clock | None) -> Minutes:
        if clock is None:
            return Minutes(Share(0, 0))
        return Minutes(clock.share or Share(0, 0), clock.median, clock.p95)

    of_region = told.by_modality if scope == REGION else {}
    return replace(
        figures,
        studies=0,
        studies_30=told.studies[scope].value or 0 if scope in told.studies else 0,
        by_modality={name: count.value or 0 for name, count in of_region.items()},
        visible=minutes(told.visible.get(scope)),
        archived=minutes(told.archived.get(scope)),
        told=minutes(told.told.get(scope)),
    )


def _own(facility: Facility) -> Scope:
    return Scope(ScopeKind.FACILITY, facility.facility_id)


def _sums(counts: Mapping[Scope, Count], facilities: Iterable[Facility]) -> dict[Scope, Count]:
    """What is told of facilities, added up for the scopes above them."""
    values: dict[Scope, int] = {}
    fewer: dict[Scope, int] = {}
    for facility in facilities:
        own = _own(facility)
        count = counts[own]
        for scope in scopes_of(facility):
            if scope != own:
                values[scope] = values.get(scope, 0) + (count.value or 0)
                fewer[scope] = fewer.get(scope, 0) + (count.value is None)
    return {
        scope: Count(None if not value and fewer[scope] else value, fewer[scope])
        for scope, value in values.items()
    }


def _is_safe(most: int, region: Count, cells: Iterable[Count]) -> bool:
    """Whether each "<5" among the cells can be two numbers at least, as their sum is told.

    most  the largest that the sum can be
    """
    told = list(cells)
    hidden = [cell for cell in told if cell.value is None]
    if not hidden:
        return True
    shown = [cell for cell in told if cell.value is not None]
    others = len(hidden) - 1
    high = min(FEWEST - 1, most - sum(cell.least for cell in shown) - others)
    low = region.least - sum(cell.most for cell in shown) - others * (FEWEST - 1)
    return high > max(1, low)


def _clocks(
    minutes: Mapping[Scope, Minutes], studies: Mapping[Scope, Count], standing: list[Facility]
) -> dict[Scope, Clock]:
    """Of each facility, and above them the sums of what is told of those."""
    timed = {
        scope: count if count.value is None else tell(minutes[scope].within_two.whole)
        for scope, count in studies.items()
    }
    within = {
        scope: Count(None) if count.value is None else tell(minutes[scope].within_two.part)
        for scope, count in timed.items()
    }
    timed |= _sums(timed, standing)
    within |= _sums(within, standing)
    found = {}
    for scope, count in timed.items():
        enough = count.value is not None and minutes[scope].within_two.whole >= FEWEST
        median, p95 = (minutes[scope].median, minutes[scope].p95) if enough else (None, None)
        found[scope] = Clock(within[scope], count, median, p95)
    return found
