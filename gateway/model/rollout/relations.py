"""What must be true between the facilities and units of a register, at every day. Pure.

Only what a change touches is looked at: a mistake that stands in the register already stops nobody
from mending another row.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Generic

from gateway.model.rollout.checking import Fault
from gateway.model.rollout.register import Facility, T, Unit, UnitState
from gateway.model.rollout.timeline import Span, Timelines, id_of
from gateway.model.wording import Words

MOST_STEPS = 20
"""Of parents above each other; more can only be a circle."""
_CIRCLE = Words("получается круг", "makes a circle")


@dataclass(frozen=True)
class Placed(Generic[T]):
    """A change that stands in the timelines; `row` tells where it came from."""

    row: int
    thing: T
    valid_from: date


def check_relations(
    facilities: Timelines[Facility],
    units: Timelines[Unit],
    new_facilities: Sequence[Placed[Facility]],
    new_units: Sequence[Placed[Unit]],
) -> Iterator[tuple[Placed[Facility] | Placed[Unit], Fault]]:
    """What is wrong with each change among all others.

    facilities, units  as the register would be, the changes among them
    """
    linked = {
        name: sorted(
            {
                span.start
                for facility_id in facilities
                for span in facilities.spans(facility_id)
                if getattr(span.thing, name)
            }
        )
        for name in ("parent_id", "merged_into")
        if any(getattr(one.thing, name) for one in new_facilities)
    }
    for facility in new_facilities:
        for fault in _facility_faults(facilities, facility, linked):
            yield facility, fault
    yield from _left_behind(units, new_facilities, facilities)
    for unit in new_units:
        for fault in _unit_faults(facilities, units, unit):
            yield unit, fault
    yield from _same_serials(units, new_units)


def _facility_faults(
    facilities: Timelines[Facility],
    placed: Placed[Facility],
    linked: Mapping[str, Sequence[date]],
) -> Iterator[Fault]:
    """linked  days from which any facility is a part of another, or merged into it"""
    day, facility = placed.valid_from, placed.thing
    end = facilities.next_after(facility.facility_id, day)
    for name in linked:
        other_id = getattr(facility, name)
        if not other_id or other_id == facility.facility_id:
            continue
        other = facilities.at(other_id, day)
        if other is None:
            yield name, _no_such(other_id, facilities, day)
            continue
        if name == "parent_id" and other.merged_into:
            yield name, _merged(other.merged_into)
            continue
        later = (one for one in linked[name] if one > day and (end is None or one < end))
        if any(
            _comes_back(facilities, facility.facility_id, other_id, name, one)
            for one in (day, *later)
        ):
            yield name, _CIRCLE


def _comes_back(
    facilities: Timelines[Facility], start: str, here: str, name: str, day: date
) -> bool:
    for _ in range(MOST_STEPS):
        there = facilities.at(here, day)
        here = getattr(there, name) if there else ""
        if not here or here == start:
            return here == start
    return True


def _unit_faults(
    facilities: Timelines[Facility], units: Timelines[Unit], placed: Placed[Unit]
) -> Iterator[Fault]:
    day, unit = placed.valid_from, placed.thing
    facility = facilities.at(unit.facility_id, day)
    if facility is None:
        yield "facility_id", _no_such(unit.facility_id, facilities, day)
    elif facility.merged_into and unit.counts:
        yield "facility_id", _merged(facility.merged_into)
    if unit.merged_into and unit.merged_into != unit.unit_id:
        other = units.at(unit.merged_into, day)
        if other is None:
            yield "merged_into", _no_such(unit.merged_into, units, day)
        elif other.merged_into:
            yield "merged_into", _merged(other.merged_into)


def _left_behind(
    units: Timelines[Unit],
    new_facilities: Sequence[Placed[Facility]],
    facilities: Timelines[Facility],
) -> Iterator[tuple[Placed[Facility], Fault]]:
    """Units that would count at a facility that counts no more."""
    merged = {one.thing.facility_id: one for one in new_facilities if one.thing.merged_into}
    if not merged:
        return
    for unit_id in units:
        for span in units.spans(unit_id):
            placed = merged.get(span.thing.facility_id)
            if placed is None or not span.thing.counts:
                continue
            end = facilities.next_after(placed.thing.facility_id, placed.valid_from)
            if span.meets(placed.valid_from, end):
                words = Words(
                    f"в ней остаётся аппарат {unit_id}; объединяйте командой или кнопкой",
                    f"unit {unit_id} would stay in it; merge by the command or the button",
                )
                yield placed, ("merged_into", words)


def _same_serials(
    units: Timelines[Unit], new_units: Sequence[Placed[Unit]]
) -> Iterator[tuple[Placed[Unit], Fault]]:
    """One machine under two ids at the same time."""
    asked = {key for one in new_units if (key := _machine(one.thing))}
    if not asked:
        return
    spans: dict[tuple[str, ...], list[Span[Unit]]] = {key: [] for key in asked}
    for unit_id in units:
        for span in units.spans(unit_id):
            if (key := _machine(span.thing)) in asked and key is not None:
                spans[key].append(span)
    twice = {key: found for key, found in spans.items() if len(_ids(found)) > 1}
    for one in new_units:
        key = _machine(one.thing)
        if key is None or key not in twice:
            continue
        end = units.next_after(one.thing.unit_id, one.valid_from)
        for span in twice[key]:
            other_id = span.thing.unit_id
            if other_id != one.thing.unit_id and span.meets(one.valid_from, end):
                words = Words(
                    f"такой же номер у аппарата {other_id} (тот же производитель и модель)",
                    f"unit {other_id} has it too (of the same manufacturer and model)",
                )
                yield one, ("serial", words)
                break


def _ids(spans: Iterable[Span[Unit]]) -> set[str]:
    return {id_of(span.thing) for span in spans}


def _machine(unit: Unit) -> tuple[str, ...] | None:
    """What no two units that stand somewhere share; None of one that stands nowhere."""
    if not unit.serial or unit.merged_into or unit.state is UnitState.DECOMMISSIONED:
        return None
    return tuple(text.casefold() for text in (unit.manufacturer, unit.model, unit.serial))


def _no_such(thing_id: str, timelines: Timelines[T], day: date) -> Words:
    if thing_id in timelines:
        shown = f"{day:%d.%m.%Y}"
        return Words(f"{thing_id}: {shown} ещё нет в реестре", f"{thing_id}: not yet at {day}")
    return Words(f"{thing_id}: нет в реестре", f"{thing_id}: not in the register")


def _merged(into: str) -> Words:
    return Words(f"объединено; пишите {into}", f"was merged; write {into}")
