"""What the pages show: one snapshot, the register as it was known to it, and how it came there.

It is made once for each snapshot and state of the register and then only read, by every page.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property
from typing import Protocol

from gateway.model.rollout.figures import (
    Figures,
    Scope,
    ScopeKind,
    Share,
    Snapshot,
    UnitEvidence,
)
from gateway.model.rollout.register import Facility, Unit

REGION = Scope(ScopeKind.REGION)


@dataclass(frozen=True)
class Point:
    """How a scope stood at the end of one day.

    renewed, spent  units renewed by the programme and roubles spent on them until then
    studies         in the 30 days until then, as it is told; None: too few
    """

    day: date
    digital: Share
    connected: Share
    joined: int = 0
    renewed: int = 0
    spent: int = 0
    studies: int | None = None


@dataclass(frozen=True)
class Frozen:
    """A monthly report that can be opened."""

    day: date
    version: int
    reason: str
    taken_at: datetime


@dataclass(frozen=True)
class Shown:
    """`mark` changes when anything of it does.

    curves  points of a scope by day, the oldest first
    """

    mark: str
    snapshot: Snapshot
    facilities: Mapping[str, Facility]
    units: Mapping[str, Unit]
    curves: Mapping[Scope, tuple[Point, ...]]
    months: tuple[Frozen, ...] = field(default=())

    @cached_property
    def evidence(self) -> Mapping[str, UnitEvidence]:
        return {one.unit_id: one for one in self.snapshot.units}

    @cached_property
    def units_of(self) -> Mapping[str, tuple[Unit, ...]]:
        """Units by facility, those that were merged into another left out."""
        found: dict[str, list[Unit]] = {name: [] for name in self.facilities}
        for unit in sorted(self.units.values(), key=lambda one: one.unit_id):
            if not unit.merged_into:
                found.setdefault(unit.facility_id, []).append(unit)
        return {name: tuple(units) for name, units in found.items()}

    def curve(self, scope: Scope = REGION) -> tuple[Point, ...]:
        return self.curves.get(scope, ())

    def scopes(self, kind: ScopeKind) -> dict[str, Figures]:
        """Figures of each scope of a kind, by its name."""
        found = {s.name: f for s, f in self.snapshot.figures.items() if s.kind is kind}
        return dict(sorted(found.items()))


class Teller(Protocol):
    """Where pages get what they tell; raises NotFound if there is no such snapshot."""

    def now(self) -> Shown: ...

    def month(self, day: date, version: int | None) -> Shown: ...
