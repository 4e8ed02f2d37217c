"""What may be told of counts of studies, at every door of the rollout alike. Pure.

A count of one to four studies could be somebody's (trust.md H41, rollout.md 4), and two larger
counts may differ by so few. Therefore

* nothing smaller than a facility is told: no studies of a unit or kind of unit, none of a modality
  but in the whole region, no single day's, and there is no filter that cuts it otherwise;
* a facility's count is told as 0, as "<5", or to the nearest five. 0 is told: that nothing came is
  what the evidence of its units says anyway, and there is nobody whom it would be about;
* everything above, the region too, is the sum of what is told of its facilities. So what is not
  told goes into no number at all: whichever of one to four it is, every answer is the same;
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
    UnitEvidence,
)
from gateway.model.rollout.measures import (
    Flow,
    Inventory,
    Seen,
    add_up,
    scopes_of,
    standing_facilities,
    whole_flows,
)
from gateway.model.rollout.minutes import minutes_of
from gateway.model.rollout.register import Facility

NO_FLOW = Flow()
OTHER = "other"


def tell(count: int) -> Count:
    """A count of studies, alone: 0, "<5", or to the nearest five."""
    if 0 < count < FEWEST:
        return Count(None)
    return Count((count + 2) // 5 * 5)


def tell_modalities(counts: Mapping[str, int]) -> dict[str, Count]:
    """Of one whole; none has fewer than five, and none is left out.

    returns  the small ones under OTHER; nothing at all if there are fewer than five in all. What
             has no study is left out
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


def tell_studies(inventory: Inventory, seen: Seen) -> Told:
    """All that may be told of the studies of one day's last 30 days."""
    standing = list(standing_facilities(inventory.facilities))
    flows = whole_flows(inventory, seen)
    of = {_own(one): flows.get(one.facility_id, NO_FLOW) for one in standing}
    studies = {scope: tell(flow.studies_30) for scope, flow in of.items()}
    shown = [of[scope].by_modality for scope, count in studies.items() if count.value]
    return Told(
        studies=studies | _sums(studies, standing),
        by_modality=tell_modalities(add_up(shown)),
        visible=_clocks({s: flow.visible for s, flow in of.items()}, studies, standing),
        archived=_clocks({s: flow.archived for s, flow in of.items()}, studies, standing),
        told=_clocks({s: flow.told for s, flow in of.items()}, studies, standing),
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


def withhold_unit(unit: UnitEvidence) -> UnitEvidence:
    """Without the number of its studies: nothing smaller than a facility is told."""
    return replace(unit, studies_30=0)


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


def _clocks(
    spans: Mapping[Scope, Mapping[int, int]],
    studies: Mapping[Scope, Count],
    standing: list[Facility],
) -> dict[Scope, Clock]:
    """Of each facility, and above them of what is told of those.

    spans  studies by their seconds, of facilities
    """
    minutes = {scope: minutes_of(counts) for scope, counts in spans.items()}
    timed = {
        scope: count if count.value is None else tell(minutes[scope].within_two.whole)
        for scope, count in studies.items()
    }
    within = {
        scope: Count(None) if count.value is None else tell(minutes[scope].within_two.part)
        for scope, count in timed.items()
    }
    # A median within two minutes says that half were: it would tell how many "<5" are.
    audible = {scope for scope, count in within.items() if count.value is not None}
    parts: dict[Scope, list[Mapping[int, int]]] = {}
    for facility in standing:
        own = _own(facility)
        if own in audible:
            for scope in scopes_of(facility):
                parts.setdefault(scope, []).append(spans[own])
    timed |= _sums(timed, standing)
    within |= _sums(within, standing)
    found = {}
    for scope, count in timed.items():
        whole = minutes_of(add_up(parts.get(scope, ())))
        found[scope] = Clock(within[scope], count, whole.median, whole.p95)
    return found
