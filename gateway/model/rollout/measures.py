"""The measures of the rollout, of every scope, at the end of any day (rollout.md 3). Pure.

Shares, evidence, captures and states are of X-ray equipment (register.X_RAY); of a scope of the
kind unit_kind, of that equipment. Money is of all equipment: who bought an MRI has spent it.
What has been merged into another counts there, and nowhere twice; a unit whose facility the
register does not have at that day counts nowhere. A facility's figures are of its own units, not of
those of the facilities below it: so the facilities of a municipality add up to it.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import TypeVar

from gateway.model.rollout.figures import (
    Evidence,
    Figures,
    Money,
    Scope,
    ScopeKind,
    Share,
    UnitEvidence,
)
from gateway.model.rollout.minutes import minutes_of
from gateway.model.rollout.register import (
    X_RAY,
    Capture,
    Facility,
    FacilityKind,
    T,
    Unit,
    UnitKind,
    UnitState,
)

WINDOW = timedelta(days=30)
"""A unit is connected while its last study is not older; the day itself is the last of the 30."""
K = TypeVar("K", int, str)


@dataclass(frozen=True)
class UnitImages:
    """Studies of one unit that arrived until the end of the day.

    first_on, last_on    None: none ever
    studies, studies_30  on the day itself, and in the 30 days that end with it
    """

    first_on: date | None = None
    last_on: date | None = None
    studies: int = 0
    studies_30: int = 0


@dataclass(frozen=True)
class Flow:
    """What arrived of one facility.

    studies       on the day itself; studies_30: in the 30 days that end with it
    by_modality   studies of those 30 days; one that two machines made is there twice
    visible, …    those that have come so far, by the seconds since their acquisition
    """

    studies: int = 0
    studies_30: int = 0
    by_modality: Mapping[str, int] = field(default_factory=dict)
    visible: Mapping[int, int] = field(default_factory=dict)
    archived: Mapping[int, int] = field(default_factory=dict)
    told: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Seen:
    """What the images say at the end of a day: by unit id, by facility id, and of nobody's."""

    units: Mapping[str, UnitImages] = field(default_factory=dict)
    facilities: Mapping[str, Flow] = field(default_factory=dict)
    unknown_senders: int = 0


@dataclass(frozen=True)
class Savings:
    """Roubles that one renewed unit saves in a year, as the programme reckons."""

    low: int = 500_000
    high: int = 3_000_000


@dataclass(frozen=True)
class Inventory:
    """Facilities and units as of one day, by their ids: what register.as_of gives."""

    facilities: Mapping[str, Facility]
    units: Mapping[str, Unit]


def measure(
    inventory: Inventory, seen: Seen, day: date, savings: Savings
) -> tuple[dict[Scope, Figures], tuple[UnitEvidence, ...]]:
    """Every figure of that day.

    returns  figures of the region, each municipality, facility, kind of facility and kind of unit,
             those that have nothing too; the evidence of each unit that counts, by facility
    """
    units = whole_units(inventory)
    images = _merge_images(inventory.units, seen.units)
    evidence = evidence_of(units, images, day)
    tallies: dict[Scope, _Tally] = {}
    for facility in standing_facilities(inventory.facilities):
        for scope in scopes_of(facility):
            tallies.setdefault(scope, _Tally()).add_facility(facility, day)
    for facility_id, flow in whole_flows(inventory, seen).items():
        for scope in scopes_of(inventory.facilities[facility_id]):
            tallies[scope].flows.append(flow)
    for kind in FacilityKind:
        tallies.setdefault(Scope(ScopeKind.FACILITY_KIND, kind), _Tally())
    for unit_kind in UnitKind:
        tallies[Scope(ScopeKind.UNIT_KIND, unit_kind)] = _Tally(by_unit=True)
    tallies.setdefault(Scope(ScopeKind.REGION), _Tally())
    for unit in units:
        told = evidence.get(unit.unit_id)
        of_unit = images.get(unit.unit_id, UnitImages())
        tallies[Scope(ScopeKind.UNIT_KIND, unit.kind)].add_unit(unit, told, of_unit, shared=True)
        for scope in scopes_of(inventory.facilities[unit.facility_id]):
            tallies[scope].add_unit(unit, told, of_unit, shared=unit.kind in X_RAY)
    figures = {scope: tally.figures(savings) for scope, tally in tallies.items()}
    order = sorted(evidence.values(), key=lambda one: (one.facility_id, one.unit_id))
    return figures, tuple(order)


def scopes_of(facility: Facility) -> tuple[Scope, ...]:
    """Where what a facility has counts."""
    return (
        Scope(ScopeKind.REGION),
        Scope(ScopeKind.MUNICIPALITY, facility.municipality),
        Scope(ScopeKind.FACILITY, facility.facility_id),
        Scope(ScopeKind.FACILITY_KIND, facility.kind),
    )


def standing_facilities(facilities: Mapping[str, Facility]) -> Iterator[Facility]:
    """Those that are no part of another."""
    return (one for one in facilities.values() if not one.merged_into)


def is_late(facility: Facility, day: date) -> bool:
    """Whether its day to join has passed, and it has not joined yet."""
    joined, planned = facility.joined_on, facility.planned_on
    return planned is not None and planned < day and (joined is None or joined > day)


def whole_units(inventory: Inventory) -> list[Unit]:
    """Units that were not found to be another one, each at the facility that has it now: of one
    that was merged, that into which it was.
    """
    ends = ends_of(inventory.facilities, lambda one: one.merged_into)
    homes = {one: end for one, end in ends.items() if not inventory.facilities[end].merged_into}
    return [
        unit
        if homes[unit.facility_id] == unit.facility_id
        else replace(unit, facility_id=homes[unit.facility_id])
        for unit in inventory.units.values()
        if not unit.merged_into and unit.facility_id in homes
    ]


def whole_flows(inventory: Inventory, seen: Seen) -> dict[str, Flow]:
    """What arrived, by the facilities that stand; of what no facility has nothing is told."""
    ends = ends_of(inventory.facilities, lambda facility: facility.merged_into)
    found: dict[str, Flow] = {}
    for facility_id, flow in seen.facilities.items():
        end = ends.get(facility_id)
        if end is None or inventory.facilities[end].merged_into:
            continue
        other = found.get(end)
        found[end] = flow if other is None else add_flows((flow, other))
    return found


def add_flows(flows: Sequence[Flow]) -> Flow:
    return Flow(
        sum(flow.studies for flow in flows),
        sum(flow.studies_30 for flow in flows),
        add_up(flow.by_modality for flow in flows),
        add_up(flow.visible for flow in flows),
        add_up(flow.archived for flow in flows),
        add_up(flow.told for flow in flows),
    )


def judge(unit: Unit, images: UnitImages, day: date) -> Evidence:
    """What the images say of a unit: proven, silent, never, undeclared or analogue.

    What an analogue unit sent more than 30 days ago says nothing against it: the register may have
    been put right since.
    """
    recent = images.last_on is not None and images.last_on > day - WINDOW
    if not unit.is_digital:
        return Evidence.UNDECLARED if recent else Evidence.ANALOGUE
    if recent:
        return Evidence.PROVEN
    return Evidence.NEVER if images.last_on is None else Evidence.SILENT


def evidence_of(
    units: Sequence[Unit], images: Mapping[str, UnitImages], day: date
) -> dict[str, UnitEvidence]:
    """Of each unit that counts, by its id."""
    found = {}
    for unit in units:
        if not unit.counts:
            continue
        of_unit = images.get(unit.unit_id, UnitImages())
        found[unit.unit_id] = UnitEvidence(
            unit.unit_id, unit.facility_id, judge(unit, of_unit, day),
            of_unit.first_on, of_unit.last_on, of_unit.studies_30,
        )  # fmt: skip
    return found


def money_of(units: Sequence[Unit], savings: Savings) -> Money:
    """Of units that the programme renewed.

    Spent is what was paid for those that are no longer only ordered, whatever became of them.
    Renewed, and what that saves in a year, are the digital ones that count today. The cost of one
    is the mean of those whose cost is known, half up.
    """
    bought = [u for u in units if u.renewed and u.state is not UnitState.ORDERED]
    costs = [u.cost for u in bought if u.cost is not None]
    spent: Counter[str] = Counter()
    for unit in bought:
        if unit.cost is not None:
            spent[unit.funding] += unit.cost
    renewed = sum(1 for unit in bought if unit.counts and unit.is_digital)
    mean = (2 * sum(costs) + len(costs)) // (2 * len(costs)) if costs else None
    return Money(
        dict(sorted(spent.items())), renewed, mean, renewed * savings.low, renewed * savings.high
    )


@dataclass
class _Tally:
    """What is counted of one scope.

    by_unit  studies are those of its units: no facility's flow is of one kind of unit
    """

    by_unit: bool = False
    units: list[Unit] = field(default_factory=list)
    flows: list[Flow] = field(default_factory=list)
    evidence: Counter[Evidence] = field(default_factory=Counter)
    capture: Counter[str] = field(default_factory=Counter)
    state: Counter[str] = field(default_factory=Counter)
    facilities: set[str] = field(default_factory=set)
    proven: set[str] = field(default_factory=set)
    digital: int = 0
    connected: int = 0
    joined: int = 0
    planned: int = 0
    late: int = 0
    studies: int = 0
    studies_30: int = 0

    def add_facility(self, facility: Facility, day: date) -> None:
        self.facilities.add(facility.facility_id)
        if facility.joined_on is not None and facility.joined_on <= day:
            self.joined += 1
        elif facility.planned_on is not None:
            self.planned += facility.planned_on >= day
            self.late += is_late(facility, day)

    def add_unit(
        self, unit: Unit, told: UnitEvidence | None, images: UnitImages, *, shared: bool
    ) -> None:
        """told  None: it does not count; shared  the scope's shares are of it"""
        self.units.append(unit)
        if not shared:
            return
        self.state[unit.state] += 1
        if self.by_unit:
            self.studies += images.studies
            self.studies_30 += images.studies_30
        if told is None:
            return
        if self.by_unit:
            self.facilities.add(unit.facility_id)
        self.capture[unit.capture] += 1
        self.evidence[told.evidence] += 1
        self.digital += unit.is_digital
        self.connected += told.evidence in (Evidence.PROVEN, Evidence.UNDECLARED)
        if told.evidence is Evidence.PROVEN:
            self.proven.add(unit.facility_id)

    def figures(self, savings: Savings) -> Figures:
        whole, flow = self.evidence.total(), add_flows(self.flows)
        return Figures(
            digital=Share(self.digital, whole),
            connected=Share(self.connected, whole),
            proven_facilities=Share(len(self.proven), len(self.facilities)),
            by_evidence={one: self.evidence[one] for one in Evidence},
            by_capture={one: self.capture[one] for one in Capture},
            by_state={one: self.state[one] for one in UnitState},
            joined=self.joined,
            planned=self.planned,
            late=self.late,
            studies=self.studies + flow.studies,
            studies_30=self.studies_30 + flow.studies_30,
            by_modality=flow.by_modality,
            visible=minutes_of(flow.visible),
            archived=minutes_of(flow.archived),
            told=minutes_of(flow.told),
            money=money_of(self.units, savings),
        )


def ends_of(things: Mapping[str, T], merged_into: Callable[[T], str]) -> dict[str, str]:
    """Where each thing has come to at last; one that leads nowhere or in a circle stays itself."""
    found = {}
    for key, thing in things.items():
        passed, end, following = {key}, key, merged_into(thing)
        while following in things and following not in passed:
            passed.add(following)
            end, following = following, merged_into(things[following])
        found[key] = key if following else end
    return found


def _merge_images(
    units: Mapping[str, Unit], images: Mapping[str, UnitImages]
) -> dict[str, UnitImages]:
    """What was sent by a unit that is found to be another one was sent by that."""
    ends = ends_of(units, lambda unit: unit.merged_into)
    found: dict[str, UnitImages] = {}
    for unit_id, one in images.items():
        end = ends.get(unit_id, unit_id)
        other = found.get(end)
        if other is None:
            found[end] = one
            continue
        firsts = [on for on in (one.first_on, other.first_on) if on]
        lasts = [on for on in (one.last_on, other.last_on) if on]
        found[end] = UnitImages(
            min(firsts, default=None), max(lasts, default=None),
            one.studies + other.studies, one.studies_30 + other.studies_30,
        )  # fmt: skip
    return found


def add_up(counts: Iterable[Mapping[K, int]]) -> dict[K, int]:
    """One count of several, in the order of its keys."""
    found: Counter[K] = Counter()
    for one in counts:
        found.update(one)
    return dict(sorted(found.items()))
