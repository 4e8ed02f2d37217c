"""Reads what the pages show out of the records, and keeps it until another snapshot is taken.

What a snapshot says, and what the register was to it, does not change with the register: only what
has been written since is looked up anew. A frozen month is shown as it was known when it was
frozen, its curve and its deliveries too: what is corrected later stands in a later version.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from threading import Lock

from gateway.bootstrap import Reread
from gateway.errors import NotFound
from gateway.model.rollout.figures import REGION, Scope, ScopeKind, Snapshot, SnapshotKind
from gateway.model.rollout.register import Revision, T, Unit, as_of
from gateway.records import snapshots
from gateway.records.engine import Records
from gateway.records.snapshots import Point, Taken
from gateway.rollout.register import Register, Shelf
from gateway.web.rollout.shown import Shown, spark

AGE_S = 2.0
MOST_KEPT = 4


class Teller:
    """One for each process; safe for threads and greenlets."""

    def __init__(self, records: Records, shelf: Shelf) -> None:
        self._records, self._shelf = records, shelf
        self._taken = Reread(lambda: snapshots.list_reports(records), AGE_S)
        self._said: OrderedDict[str, Shown] = OrderedDict()
        self._kept: OrderedDict[str, Shown] = OrderedDict()
        self._lock = Lock()

    def now(self) -> Shown:
        """As the last snapshot says; raises NotFound if none was taken yet."""
        taken = self._taken.get()
        if not taken:
            raise NotFound("snapshot")
        last = max(taken, key=lambda one: (one.day, one.kind is SnapshotKind.MONTH, one.version))
        return self._shown(last, taken)

    def month(self, day: date, version: int | None) -> Shown:
        """As a frozen month says, None: its last version; raises NotFound."""
        taken = self._taken.get()
        for one in reversed(_months(taken)):
            of_it = (one.day.year, one.day.month) == (day.year, day.month)
            if of_it and version in (None, one.version):
                return self._shown(one, taken, known_at=one.taken_at)
        raise NotFound("snapshot")

    def forget(self) -> None:
        """Something was written by this process: the next page reads."""
        self._taken.forget()

    def _shown(self, one: Taken, taken: Sequence[Taken], known_at: datetime | None = None) -> Shown:
        register = self._shelf.now()
        said = f"{one.day}-{one.kind}-{one.version}-{len(taken)}-{known_at}"
        mark = f"{said}-{register.state}"
        found = self._kept.get(mark)
        if found is None:
            told = self._said.get(said) or self._read(one, taken, register, known_at)
            self._keep(self._said, said, told)
            found = replace(told, mark=mark, changed=_changed(register, told.snapshot.taken_at))
        self._keep(self._kept, mark, found)
        return found

    def _keep(self, kept: OrderedDict[str, Shown], mark: str, shown: Shown) -> None:
        with self._lock:
            kept[mark] = shown
            kept.move_to_end(mark)
            while len(kept) > MOST_KEPT:
                kept.popitem(last=False)

    def _read(
        self, one: Taken, taken: Sequence[Taken], register: Register, known_at: datetime | None
    ) -> Shown:
        records = self._records
        snapshot = (
            snapshots.of_month(records, one.day, one.version)
            if one.kind is SnapshotKind.MONTH
            else snapshots.at(records, one.day)
        )
        if snapshot is None:
            raise NotFound("snapshot")
        units = _known(register.units, snapshot)
        standing = as_of(units, snapshot.day)
        curves = {
            scope: [point for point in points if point.day <= snapshot.day]
            for scope, points in _curves(records, known_at).items()
        }
        return Shown(
            mark="",
            snapshot=snapshot,
            facilities=as_of(_known(register.facilities, snapshot), snapshot.day),
            units=standing,
            curves=curves,
            sparks={scope: spark(points) for scope, points in curves.items()},
            renewed_on=_renewed_on(units, standing),
            months=_months(taken),
        )


def _curves(records: Records, known_at: datetime | None) -> Mapping[Scope, Sequence[Point]]:
    """Of the region and of each facility."""
    found = snapshots.curves(records, ScopeKind.FACILITY, known_at=known_at)
    curves = {Scope(ScopeKind.FACILITY, name): points for name, points in found.items()}
    return curves | {REGION: snapshots.curve(records, known_at=known_at)}


def _months(taken: Iterable[Taken]) -> list[Taken]:
    found = [one for one in taken if one.kind is SnapshotKind.MONTH]
    return sorted(found, key=lambda one: (one.day, one.version))


def _known(revisions: Iterable[Revision[T]], snapshot: Snapshot) -> list[Revision[T]]:
    """What counted by the snapshot's day, and was written when it was taken."""
    return [
        one
        for one in revisions
        if one.valid_from <= snapshot.day and one.recorded_at <= snapshot.taken_at
    ]


def _renewed_on(
    revisions: Iterable[Revision[Unit]], standing: Mapping[str, Unit]
) -> dict[str, date]:
    """Since when each unit that was renewed and counts is digital and counts."""
    wanted = {key for key, unit in standing.items() if unit.renewed and unit.is_digital}
    found: dict[str, date] = {}
    for one in sorted(revisions, key=lambda one: (one.valid_from, one.number)):
        unit = one.thing
        if unit.unit_id not in wanted:
            continue
        if not (unit.is_digital and unit.renewed and unit.counts):
            found.pop(unit.unit_id, None)
        else:
            found.setdefault(unit.unit_id, one.valid_from)
    return found


def _changed(register: Register, since: datetime) -> frozenset[str]:
    """Ids of which something was written after that moment."""
    places = {one.thing.facility_id for one in register.facilities if one.recorded_at > since}
    return frozenset(
        places | {one.thing.unit_id for one in register.units if one.recorded_at > since}
    )
