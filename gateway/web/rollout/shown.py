"""What the pages show: one snapshot, the register as it was known to it, and how it came there.

It is made once for each snapshot and state of the register, and then only read, by every page.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property

from gateway.model.rollout.figures import (
    REGION,
    Count,
    Evidence,
    Figures,
    Scope,
    ScopeKind,
    Share,
    Snapshot,
    UnitEvidence,
)
from gateway.model.rollout.register import X_RAY, Facility, Unit, english_of
from gateway.records.snapshots import Point, Taken

WIDTH, HEIGHT = 88, 20  # of a small curve


def spark(curve: Sequence[Point]) -> tuple[str, str]:
    """Paths of the declared and the proven share, of a picture of WIDTH by HEIGHT."""
    points = [one for one in curve if one.digital.whole]
    if len(points) < 2:
        return "", ""
    begin = points[0].day.toordinal()
    scale = WIDTH / max(points[-1].day.toordinal() - begin, 1)
    paths = []
    for which in ("digital", "connected"):
        path, last = [], None
        for n, one in enumerate(points):
            share: Share = getattr(one, which)
            y = round(HEIGHT - HEIGHT * share.part / share.whole)
            x = round((one.day.toordinal() - begin) * scale)
            if last is None:
                path.append(f"M{x} {y}")
            elif y != last:
                path.append(f"H{x}V{y}")
            elif n == len(points) - 1:
                path.append(f"H{x}")
            last = y
        paths.append("".join(path))
    return paths[0], paths[1]


@dataclass(frozen=True)
class Shown:
    """`mark` changes when anything of it does.

    facilities, units  as of the snapshot's day, as they were known when it was taken
    curves             points of a scope by day, the oldest first, until the snapshot's
    sparks             small curves of them, as paths
    renewed_on         since when a unit that the programme renewed is digital
    changed            units of which the register has said something new since
    months             every version of each frozen month, the oldest first
    """

    mark: str
    snapshot: Snapshot
    facilities: Mapping[str, Facility]
    units: Mapping[str, Unit]
    curves: Mapping[Scope, Sequence[Point]]
    sparks: Mapping[Scope, tuple[str, str]] = field(default_factory=dict)
    renewed_on: Mapping[str, date] = field(default_factory=dict)
    changed: frozenset[str] = frozenset()
    months: Sequence[Taken] = ()

    @cached_property
    def evidence(self) -> Mapping[str, UnitEvidence]:
        """By unit id."""
        return {one.unit_id: one for one in self.snapshot.units}

    @cached_property
    def units_of(self) -> Mapping[str, tuple[Unit, ...]]:
        """Units by facility, those that were merged into another left out."""
        found: dict[str, list[Unit]] = {name: [] for name in self.facilities}
        for unit in sorted(self.units.values(), key=lambda one: one.unit_id):
            if not unit.merged_into:
                found.setdefault(unit.facility_id, []).append(unit)
        return {name: tuple(units) for name, units in found.items()}

    @cached_property
    def english(self) -> Mapping[str, str]:
        """Municipalities and lines of funding, by their Russian names."""
        return english_of(self.facilities.values(), self.units.values())

    def curve(self, scope: Scope = REGION) -> Sequence[Point]:
        return self.curves.get(scope, ())

    def scopes(self, kind: ScopeKind) -> dict[str, Figures]:
        """Figures of each scope of a kind, by its name."""
        found = {s.name: f for s, f in self.snapshot.figures.items() if s.kind is kind}
        return dict(sorted(found.items()))

    def studies(self, scope: Scope = REGION) -> Count | None:
        """Of the last 30 days; None: not told."""
        return self.snapshot.told.studies.get(scope)

    def units_that(self, evidence: Evidence) -> list[tuple[Unit, UnitEvidence]]:
        """X-ray units of which the images say this, by facility."""
        return [
            (self.units[one.unit_id], one)
            for one in self.snapshot.units
            if one.evidence is evidence
            and one.unit_id in self.units
            and self.units[one.unit_id].kind in X_RAY
        ]
