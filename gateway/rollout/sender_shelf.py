"""What the images say now, as a process keeps it between two pages: whose they are follows every
word of a person at once, how many there are within AGE_S.

Whose a sender is follows from what is known of its own site. So a word of a person, or a change of
the register, has the senders of that site judged anew, and not a region's thousands.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import takewhile
from threading import Lock

from gateway.clock import Deadline
from gateway.model.rollout.matching import Match, Matcher
from gateway.model.rollout.register import Facility, Revision, T, Unit, as_of
from gateway.model.rollout.senders import Fingerprint, Sender
from gateway.model.rollout.suggestions import Suggester
from gateway.model.rollout.timeline import id_of
from gateway.records.engine import Records
from gateway.records.evidence import (
    MOST_NAMED,
    SenderFacts,
    load_alive,
    load_names,
    load_senders,
)
from gateway.records.fingerprints import Ignored, load_fingerprints, load_ignored
from gateway.records.register import State
from gateway.rollout.evidence import by_studies, homes_of
from gateway.rollout.register import Register

AGE_S = 30.0


@dataclass(frozen=True)
class Standing:
    """The register of a day and what its senders are by it; not to be changed.

    unknown  senders that no unit has and nobody ignores, those with most studies first
    ignored  each with who said so
    matched  whose each sender is, by its number
    alive    units with images in the last 30 days
    """

    units: Mapping[str, Unit]
    facilities: Mapping[str, Facility]
    unknown: Sequence[SenderFacts]
    ignored: Sequence[tuple[SenderFacts, Ignored]]
    matched: Mapping[int, Match]
    alive: frozenset[str]
    suggester: Suggester


@dataclass(frozen=True)
class _Known:
    """What senders are judged by: the register of a day, and what persons said."""

    day: date
    state: State
    prints: Sequence[Fingerprint]
    units: Mapping[str, Unit]
    facilities: Mapping[str, Facility]
    homes: Mapping[str, frozenset[str]]
    matcher: Matcher
    suggester: Suggester


class SenderShelf:
    """Safe for threads and greenlets: one looks, the others wait for what it finds."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._turn = Lock()
        self._known: _Known | None = None
        self._names: dict[int, Sender] = {}
        self._matched: dict[int, Match] = {}
        self._ignored: Mapping[int, Ignored] = {}
        self._last: Standing | None = None
        self._fresh = Deadline(0.0)

    def now(self, register: Register, today: date) -> Standing:
        """By the register as it is now. Raises RecordsUnavailable."""
        with self._turn:
            ignored = load_ignored(self._records)
            known = _known_now(self._known, register, today, load_fingerprints(self._records))
            same = known is self._known and ignored == self._ignored
            if self._last is None or not same or self._fresh.passed:
                self._forget_matches(known)
                self._known, self._ignored = known, ignored
                self._last = self._look(known, ignored)
                self._fresh = Deadline(AGE_S)
            return self._last

    def _forget_matches(self, known: _Known) -> None:
        """Of senders whose site is not known as it was."""
        if self._known is None or known is self._known:
            return
        sites = {one.site_id for one in self._names.values()}
        changed = {one for one in sites if known.matcher.differs(self._known.matcher, one)}
        found = self._matched.items()
        self._matched = {n: m for n, m in found if self._names[n].site_id not in changed}

    def _look(self, known: _Known, ignored: Mapping[int, Ignored]) -> Standing:
        self._names |= load_names(self._records, self._names.keys())
        matched = dict(self._matched)
        for number in self._names.keys() - matched.keys():
            matched[number] = known.matcher.match(self._names[number])
        self._matched = matched
        nobodys = [n for n, match in matched.items() if match.unit_id is None or n in ignored]
        facts = self._facts(nobodys, known.day)
        of_units = (
            matched[number].unit_id
            for number in load_alive(self._records, known.day)
            if number in matched and number not in ignored
        )
        return Standing(
            known.units,
            known.facilities,
            sorted((one for one in facts if one.sender_id not in ignored), key=by_studies),
            [(one, ignored[one.sender_id]) for one in facts if one.sender_id in ignored],
            matched,
            frozenset(unit_id for unit_id in of_units if unit_id),
            known.suggester,
        )

    def _facts(self, numbers: Collection[int], day: date) -> list[SenderFacts]:
        if len(numbers) <= MOST_NAMED:
            return load_senders(self._records, day, numbers)
        asked = set(numbers)
        return [one for one in load_senders(self._records, day) if one.sender_id in asked]


def _known_now(
    last: _Known | None, register: Register, today: date, prints: Sequence[Fingerprint]
) -> _Known:
    """What was known last, if it still is."""
    same = last is not None and (last.day, last.state) == (today, register.state)
    if last is not None and same:
        if last.prints == prints:
            return last
        units, facilities, homes = last.units, last.facilities, last.homes
        suggester = last.suggester
    else:
        base = _BEGIN
        if last is not None and last.day == today and _goes_on(last.state, register.state):
            base = last
        places = _of_changed(register.facilities, base.state.facilities)
        machines = _of_changed(register.units, base.state.units)
        facilities = {**base.facilities, **as_of(places, today)}
        units = {**base.units, **as_of(machines, today)}
        homes = {**base.homes, **homes_of(machines, today)}
        suggester = Suggester(units, facilities)
    matcher = Matcher(prints, units, facilities, homes)
    return _Known(today, register.state, prints, units, facilities, homes, matcher, suggester)


def _goes_on(before: State, now: State) -> bool:
    """Not if the register was emptied under our feet."""
    return before.facilities <= now.facilities and before.units <= now.units


def _of_changed(revisions: Sequence[Revision[T]], last: int) -> list[Revision[T]]:
    """All revisions of the things that have one behind that number."""
    newer = takewhile(lambda one: one.number > last, reversed(revisions))
    changed = {id_of(one.thing) for one in newer}
    return [one for one in revisions if id_of(one.thing) in changed] if changed else []


_BEGIN = _Known(date.min, State(0, 0), (), {}, {}, {}, Matcher((), {}, {}), Suggester({}, {}))
