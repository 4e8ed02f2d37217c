"""Reads what the pages show out of the records, and keeps it until a snapshot or the register says
something new.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from threading import Lock

from gateway.bootstrap import Reread
from gateway.errors import NotFound
from gateway.model.rollout.figures import REGION, Scope, ScopeKind, Snapshot, SnapshotKind
from gateway.model.rollout.register import Facility, Revision, Unit, as_of
from gateway.records import snapshots
from gateway.records.engine import Records
from gateway.records.register import State, load_facilities, load_state, load_units
from gateway.records.snapshots import Point, Taken
from gateway.web.rollout.shown import Shown

AGE_S = 2.0
MOST_KEPT = 4


@dataclass(frozen=True)
class _Read:
    """What every snapshot is shown with; curves of the region and of each facility."""

    facilities: Sequence[Revision[Facility]]
    units: Sequence[Revision[Unit]]
    curves: Mapping[Scope, Sequence[Point]]


class Teller:
    """One for each process; safe for threads and greenlets."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._state = Reread(self._read_state, AGE_S)
        self._kept: OrderedDict[str, Shown] = OrderedDict()
        self._read_last: tuple[str, _Read] | None = None
        self._lock = Lock()

    def now(self) -> Shown:
        """As the last snapshot says; raises NotFound if none was taken yet."""
        taken, state = self._state.get()
        if not taken:
            raise NotFound("snapshot")
        last = max(taken, key=lambda one: (one.day, one.kind is SnapshotKind.MONTH, one.version))
        return self._shown(last, taken, state)

    def month(self, day: date, version: int | None) -> Shown:
        """As a frozen month says, None: its last version; raises NotFound."""
        taken, state = self._state.get()
        for one in reversed(_months(taken)):
            of_it = (one.day.year, one.day.month) == (day.year, day.month)
            if of_it and version in (None, one.version):
                return self._shown(one, taken, state)
        raise NotFound("snapshot")

    def forget(self) -> None:
        """Something was written by this process: the next page reads."""
        self._state.forget()

    def _read_state(self) -> tuple[list[Taken], State]:
        return snapshots.list_taken(self._records), load_state(self._records)

    def _shown(self, one: Taken, taken: Sequence[Taken], state: State) -> Shown:
        mark = f"{one.day}-{one.kind}-{one.version}-{len(taken)}-{state}"
        found = self._kept.get(mark)
        if found is None:
            found = self._read(one, taken, state, mark)
        with self._lock:
            self._kept[mark] = found
            self._kept.move_to_end(mark)
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        return found

    def _read_all(self, mark: str) -> _Read:
        """Months are looked at one after the other: they share what was read."""
        last = self._read_last
        if last is None or last[0] != mark:
            last = self._read_last = (mark, _read_everything(self._records))
        return last[1]

    def _read(self, one: Taken, taken: Sequence[Taken], state: State, mark: str) -> Shown:
        records = self._records
        snapshot = (
            snapshots.of_month(records, one.day, one.version)
            if one.kind is SnapshotKind.MONTH
            else snapshots.at(records, one.day)
        )
        if snapshot is None:
            raise NotFound("snapshot")
        read = self._read_all(f"{len(taken)}-{state}")
        facilities, units = read.facilities, read.units
        known = as_of(units, snapshot.day, snapshot.taken_at)
        return Shown(
            mark=mark,
            snapshot=snapshot,
            facilities=as_of(facilities, snapshot.day, snapshot.taken_at),
            units=known,
            curves={
                scope: [point for point in points if point.day <= snapshot.day]
                for scope, points in read.curves.items()
            },
            renewed_on=_renewed_on(units, known, snapshot),
            changed=_changed(facilities, units, snapshot),
            months=_months(taken),
        )


def _read_everything(records: Records) -> _Read:
    curves = {REGION: snapshots.curve(records)}
    for name, points in snapshots.curves(records, ScopeKind.FACILITY).items():
        curves[Scope(ScopeKind.FACILITY, name)] = points
    return _Read(load_facilities(records), load_units(records), curves)


def _months(taken: Iterable[Taken]) -> list[Taken]:
    found = [one for one in taken if one.kind is SnapshotKind.MONTH]
    return sorted(found, key=lambda one: (one.day, one.version))


def _renewed_on(
    revisions: Iterable[Revision[Unit]], known: Mapping[str, Unit], snapshot: Snapshot
) -> dict[str, date]:
    """Since when each unit that was renewed and counts is digital and counts."""
    wanted = {key for key, unit in known.items() if unit.renewed and unit.is_digital}
    found: dict[str, date] = {}
    for one in sorted(revisions, key=lambda one: (one.valid_from, one.number)):
        unit = one.thing
        if unit.unit_id not in wanted or one.valid_from > snapshot.day:
            continue
        if not (unit.is_digital and unit.renewed and unit.counts):
            found.pop(unit.unit_id, None)
        else:
            found.setdefault(unit.unit_id, one.valid_from)
    return found


def _changed(
    facilities: Iterable[Revision[Facility]], units: Iterable[Revision[Unit]], snapshot: Snapshot
) -> frozenset[str]:
    """Ids of which something was written after the snapshot was taken."""
    since = snapshot.taken_at
    of_facilities = {one.thing.facility_id for one in facilities if one.recorded_at > since}
    return frozenset(of_facilities | {o.thing.unit_id for o in units if o.recorded_at > since})
