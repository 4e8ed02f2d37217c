"""What a register says at any day, asked many times: the revisions of each id in their order."""

from bisect import bisect_right, insort
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Generic

from gateway.model.rollout.register import Facility, Revision, T, Unit


def id_of(thing: Facility | Unit) -> str:
    """The id of a facility or unit."""
    return thing.facility_id if isinstance(thing, Facility) else thing.unit_id


@dataclass(frozen=True)
class Span(Generic[T]):
    """A thing as it is from a day until the day before another; None: without an end."""

    start: date
    end: date | None
    thing: T

    def meets(self, start: date, end: date | None) -> bool:
        return (end is None or self.start < end) and (self.end is None or start < self.end)


class Timelines(Generic[T]):
    """The revisions of many things; of two from the same day the later written counts."""

    def __init__(self, revisions: Iterable[Revision[T]]) -> None:
        self._of: dict[str, list[tuple[date, int, T]]] = {}
        for revision in revisions:
            entry = (revision.valid_from, revision.number, revision.thing)
            self._of.setdefault(id_of(revision.thing), []).append(entry)
        for entries in self._of.values():
            entries.sort(key=_when)

    def __contains__(self, thing_id: str) -> bool:
        return thing_id in self._of

    def __iter__(self) -> Iterator[str]:
        return iter(self._of)

    def add(self, thing: T, valid_from: date, number: int) -> None:
        """As if it were written, with a number behind those that are."""
        entries = self._of.setdefault(id_of(thing), [])
        insort(entries, (valid_from, number, thing), key=_when)

    def at(self, thing_id: str, day: date) -> T | None:
        """As it is at the end of that day; None: it is not there yet."""
        entries = self._of.get(thing_id, [])
        place = bisect_right(entries, day, key=lambda entry: entry[0])
        return entries[place - 1][2] if place else None

    def next_after(self, thing_id: str, day: date) -> date | None:
        """The day of its next revision."""
        entries = self._of.get(thing_id, [])
        place = bisect_right(entries, day, key=lambda entry: entry[0])
        return entries[place][0] if place < len(entries) else None

    def spans(self, thing_id: str) -> Iterator[Span[T]]:
        """How it was and will be, in the order of days."""
        entries = self._of.get(thing_id, [])
        for place, (start, _, thing) in enumerate(entries):
            end = entries[place + 1][0] if place + 1 < len(entries) else None
            if start != end:
                yield Span(start, end, thing)


def _when(entry: tuple[date, int, T]) -> tuple[date, int]:
    return entry[:2]
