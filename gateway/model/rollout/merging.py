"""Two facilities or units that are one, and how that is taken back: as revisions. Pure."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

from gateway.model.rollout.checking import Fault
from gateway.model.rollout.register import Facility, Revision, T, Unit, as_of
from gateway.model.rollout.timeline import Timelines
from gateway.model.wording import Words

_MOMENT = timedelta(microseconds=1)
_UNKNOWN = Words("нет в реестре в этот день", "is not in the register at that day")
_SAME = Words("это она сама", "is the same one")
_MERGED = Words(
    "уже объединено, в этот день или позже", "was merged already, at that day or a later one"
)
_SINGLE = Words("не объединено", "is not merged")


@dataclass
class Merging:
    """What a merge, or its undoing, writes; nothing if there are faults."""

    facilities: list[tuple[Facility, date]] = field(default_factory=list)
    units: list[tuple[Unit, date]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)


def merge_facility(
    facilities: Sequence[Revision[Facility]],
    units: Sequence[Revision[Unit]],
    one_id: str,
    into_id: str,
    day: date,
) -> Merging:
    """From a day on one facility is a part of another: its units and its parts move with it."""
    lines = Timelines(facilities)
    merging = Merging(faults=list(_faults(lines, one_id, into_id, day)))
    if merging.faults:
        return merging
    one = lines.at(one_id, day)
    above = one.parent_id if one else ""

    def edit(facility: Facility) -> Facility:
        if facility.facility_id == one_id:
            return replace(facility, merged_into=into_id)
        if facility.merged_into == one_id:
            facility = replace(facility, merged_into=into_id)
        if facility.parent_id != one_id:
            return facility
        return replace(facility, parent_id=above if facility.facility_id == into_id else into_id)

    def move(unit: Unit) -> Unit:
        return replace(unit, facility_id=into_id) if unit.facility_id == one_id else unit

    merging.facilities = list(_edited(lines, day, edit))
    merging.units = list(_edited(Timelines(units), day, move))
    return merging


def merge_unit(units: Sequence[Revision[Unit]], one_id: str, into_id: str, day: date) -> Merging:
    """From a day on one unit counts no more: it was another all the time."""
    lines = Timelines(units)
    merging = Merging(faults=list(_faults(lines, one_id, into_id, day)))

    def edit(unit: Unit) -> Unit:
        if one_id in (unit.unit_id, unit.merged_into):
            return replace(unit, merged_into=into_id)
        return unit

    if not merging.faults:
        merging.units = list(_edited(lines, day, edit))
    return merging


def separate_facility(
    facilities: Sequence[Revision[Facility]],
    units: Sequence[Revision[Unit]],
    one_id: str,
    day: date,
) -> Merging:
    """Take a merge back from a day on; what moved with it and is still there moves back."""
    lines, unit_lines = Timelines(facilities), Timelines(units)
    one = lines.at(one_id, day)
    if one is None or not one.merged_into:
        return Merging(faults=[("one", _SINGLE if one else _UNKNOWN)])
    into_id = one.merged_into
    before = _merged_at(facilities, one_id) - _MOMENT
    # Where they would be at that day if nobody had merged it.
    places, machines = as_of(facilities, day, before), as_of(units, day, before)
    parts = {key for key, place in places.items() if place.parent_id == one_id}
    moved = {key for key, machine in machines.items() if machine.facility_id == one_id}

    def edit(facility: Facility) -> Facility:
        if facility.facility_id == one_id:
            return replace(facility, merged_into="")
        if facility.facility_id in parts and facility.parent_id == into_id:
            return replace(facility, parent_id=one_id)
        return facility

    def move(unit: Unit) -> Unit:
        theirs = unit.unit_id in moved and unit.facility_id == into_id
        return replace(unit, facility_id=one_id) if theirs else unit

    return Merging(list(_edited(lines, day, edit)), list(_edited(unit_lines, day, move)))


def separate_unit(units: Sequence[Revision[Unit]], one_id: str, day: date) -> Merging:
    """Take a merge back from a day on."""
    lines = Timelines(units)
    one = lines.at(one_id, day)
    if one is None or not one.merged_into:
        return Merging(faults=[("one", _SINGLE if one else _UNKNOWN)])

    def edit(unit: Unit) -> Unit:
        return replace(unit, merged_into="") if unit.unit_id == one_id else unit

    return Merging(units=list(_edited(lines, day, edit)))


def _faults(lines: Timelines[T], one_id: str, into_id: str, day: date) -> Iterator[Fault]:
    if one_id == into_id:
        yield "into", _SAME
        return
    for name, thing_id in (("one", one_id), ("into", into_id)):
        thing = lines.at(thing_id, day)
        if thing is None:
            yield name, _UNKNOWN
        elif any(s.thing.merged_into for s in lines.spans(thing_id) if s.meets(day, None)):
            yield name, _MERGED


def _edited(lines: Timelines[T], day: date, edit: Callable[[T], T]) -> Iterator[tuple[T, date]]:
    """Each thing as it is edited from that day on, what is already planned for later too."""
    for thing_id in lines:
        for span in lines.spans(thing_id):
            if span.meets(day, None) and (edited := edit(span.thing)) != span.thing:
                yield edited, max(span.start, day)


def _merged_at(revisions: Sequence[Revision[Facility]], one_id: str) -> datetime:
    """When the merge was written that still counts; a later edit of its row does not hide it."""
    begun: Revision[Facility] | None = None
    for revision in revisions:
        if revision.thing.facility_id != one_id:
            continue
        if revision.thing.merged_into:
            begun = begun or revision
        elif begun is not None and revision.valid_from >= begun.valid_from:
            begun = None
    assert begun is not None, "asked of one that is merged"  # noqa: S101
    return begun.recorded_at
