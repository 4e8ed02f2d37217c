"""What the images say of each unit at the end of a day, and of which senders no unit is known.

The figures are computed anew from what was counted of senders, by the register and the
fingerprints as they were known at a moment: whatever is put right changes every day at once, and
what was told in the past can be told again.
"""

from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from gateway.model.rollout.matching import Match, Matcher
from gateway.model.rollout.measures import Flow, add_flows
from gateway.model.rollout.minutes import Moment
from gateway.model.rollout.register import Facility, Revision, Unit
from gateway.model.rollout.suggestions import Suggester, Suggestion, facility_of_sites
from gateway.records.engine import Records
from gateway.records.evidence import (
    SenderFacts,
    load_clock,
    load_modalities,
    load_senders,
    load_studies,
    window_of,
)
from gateway.records.fingerprints import load_fingerprints, load_ignored


@dataclass(frozen=True)
class UnitFacts:
    """Studies of one unit up to a day; one of a unit that sends in two ways counts in both.

    first_on, last_on     days of the first and the last one
    studies, studies_30   of the day itself, and of the 30 days that end with it
    by_modality           of those 30 days
    """

    first_on: date
    last_on: date
    studies: int = 0
    studies_30: int = 0
    by_modality: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Looked:
    """What was seen by the end of a day.

    units    by unit id; of a unit that never sent anything there is no entry
    unknown  senders that no unit has and nobody ignores, those with most studies first
    matched  whose each sender is, by its number; without those that are ignored
    ignored  by number
    """

    day: date
    units: Mapping[str, UnitFacts]
    unknown: tuple[SenderFacts, ...]
    matched: Mapping[int, Match]
    ignored: Mapping[int, SenderFacts] = field(default_factory=dict)

    @property
    def unknown_30(self) -> int:
        """Unknown senders of the last 30 days."""
        return sum(1 for one in self.unknown if one.studies_30)

    @property
    def alive(self) -> frozenset[str]:
        """Units with images in the last 30 days."""
        return frozenset(unit_id for unit_id, facts in self.units.items() if facts.studies_30)


def homes_of(
    revisions: Iterable[Revision[Unit]], day: date, known_at: datetime | None = None
) -> dict[str, frozenset[str]]:
    """Facilities that each unit has had by the end of that day: its images move with it."""
    homes: dict[str, set[str]] = defaultdict(set)
    for one in revisions:
        if one.valid_from <= day and (known_at is None or one.recorded_at <= known_at):
            homes[one.thing.unit_id].add(one.thing.facility_id)
    return {unit_id: frozenset(found) for unit_id, found in homes.items()}


def look(
    records: Records, units: Mapping[str, Unit], facilities: Mapping[str, Facility], day: date,
    *, homes: Mapping[str, frozenset[str]] | None = None, known_at: datetime | None = None,
) -> Looked:  # fmt: skip
    """What the images say by the end of a day.

    units, facilities  as of that day (register.as_of)
    homes              by homes_of; None: units have always been where they are
    known_at           fingerprints as they stood then; None: now. What arrived is always all of it
    raises             RecordsUnavailable
    """
    matcher = Matcher(load_fingerprints(records, known_at), units, facilities, homes)
    ignored = load_ignored(records, known_at)
    return gather(load_senders(records, day), matcher, {*ignored}, day)


def gather(
    senders: Iterable[SenderFacts], matcher: Matcher, ignored: set[int], day: date
) -> Looked:
    """Senders to their units. Pure."""
    matched: dict[int, Match] = {}
    of_unit: dict[str, list[SenderFacts]] = defaultdict(list)
    unknown, put_aside = [], {}
    for one in senders:
        if one.sender_id in ignored:
            put_aside[one.sender_id] = one
            continue
        found = matched[one.sender_id] = matcher.match(one.sender)
        if found.unit_id is None:
            unknown.append(one)
        else:
            of_unit[found.unit_id].append(one)
    unknown.sort(key=by_studies)
    units = {unit_id: _facts(found) for unit_id, found in of_unit.items()}
    return Looked(day, units, tuple(unknown), matched, put_aside)


def by_studies(one: SenderFacts) -> tuple[int, int, int]:
    """Those with most studies first, then those that were seen last."""
    return -one.studies_30, -one.last_on.toordinal(), one.sender_id


def _facts(senders: Sequence[SenderFacts]) -> UnitFacts:
    by_modality: Counter[str] = Counter()
    for one in senders:
        by_modality.update(one.by_modality)
    return UnitFacts(
        first_on=min(one.first_on for one in senders),
        last_on=max(one.last_on for one in senders),
        studies=sum(one.studies for one in senders),
        studies_30=by_modality.total(),
        by_modality=dict(by_modality),
    )


def suggest(
    suggester: Suggester, senders: Iterable[SenderFacts], matched: Mapping[int, Match],
    alive: Container[str],
) -> dict[int, Suggestion]:  # fmt: skip
    """What each of these senders may be, by its number. Pure.

    alive  units whose images arrive
    """
    return {
        one.sender_id: suggester.suggest(
            one.sender, one.by_modality, rivals=matched[one.sender_id].rivals, with_images=alive
        )
        for one in senders
    }


def flows(records: Records, facilities: Mapping[str, Facility], day: date) -> dict[str, Flow]:
    """What reached each facility that has a site, up to the end of a day, by facility id.

    A study counts at the hospital where it arrived first. What came before this was counted, or
    has lain at a site before it was looked at, has a day and no clock.
    """
    first, last = window_of(day)
    studies = load_studies(records, first, last)
    modalities = load_modalities(records, first, last)
    clock = load_clock(records, first, last)
    found: dict[str, Flow] = {}
    for site_id, facility_id in facility_of_sites(facilities).items():
        days = studies.get(site_id, {})
        spans = (clock.get((site_id, moment), {}) for moment in Moment)
        flow = Flow(days.get(day, 0), sum(days.values()), modalities.get(site_id, {}), *spans)
        other = found.get(facility_id)
        found[facility_id] = flow if other is None else add_flows((other, flow))
    return found
