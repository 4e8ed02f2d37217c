"""What rules would have done in the last days, beside what the active ones would have: over the
index alone, so that a question about a month of a region needs no hospital.

A study counts for the day of its StudyDate, and is judged as of the moment when it came. What only
its site could tell is not guessed: such a study counts as unknown.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from gateway.model.routing.conditions import every_comparison
from gateway.model.routing.decide import Decision, decide
from gateway.model.routing.rule_sets import RuleSet, fields_asked
from gateway.model.sites import Site
from gateway.records.engine import Records
from gateway.records.held import HeldStudy, walk_held
from gateway.routing.from_index import FromIndex

SAMPLE = 20
NOWHERE = ""


@dataclass(frozen=True)
class Trial:
    """Rules to compare at one site: those that are active, and those that are tried."""

    site: Site
    active: Sequence[RuleSet]
    tried: Sequence[RuleSet]


@dataclass(frozen=True)
class Sampled:
    """One study of a sample. change: "gain", "loss", or "hit" if both would send it."""

    site_id: str
    study_uid: str
    study_date: date
    change: str


@dataclass
class Tally:
    """What one destination would have got.

    hits      studies that the tried rules send there; `gains` of them the active ones do not
    losses    studies that only the active rules send there
    unsized   hits whose size is not known yet: they are not in size_bytes
    sample    studies that change, else hits; SAMPLE at most, each as likely as the others
    """

    hits: int = 0
    gains: int = 0
    losses: int = 0
    size_bytes: int = 0
    unsized: int = 0
    sample: list[Sampled] = field(default_factory=list)
    _changes: int = 0

    def count(
        self, held: HeldStudy, day: date, *, before: bool, after: bool, dice: random.Random
    ) -> None:
        change = "hit" if before and after else "gain" if after else "loss"
        self.hits += after
        self.gains += change == "gain"
        self.losses += change == "loss"
        if after and held.size_bytes is not None:
            self.size_bytes += held.size_bytes
        elif after:
            self.unsized += 1
        self._sample(Sampled(held.site_id, held.study_uid, day, change), dice)

    def _sample(self, found: Sampled, dice: random.Random) -> None:
        """Reservoir sampling; the first change puts all hits out."""
        if found.change != "hit":
            if self._changes == 0:
                self.sample.clear()
            self._changes += 1
        elif self._changes:
            return
        seen = self._changes or self.hits
        if len(self.sample) < SAMPLE:
            self.sample.append(found)
        elif (place := dice.randrange(seen)) < SAMPLE:
            self.sample[place] = found


@dataclass
class Replayed:
    """The result.

    studies    that were judged; `decisions` is each of them with every rule of both sides
    undecided  of them, those that cannot be judged without their site; by the rules that need it:
               `unknown`
    sends      by destination; NOWHERE is what is held or dropped
    shadow     the same for the rules in the state `shadow`
    """

    days: int
    studies: int = 0
    decisions: int = 0
    undecided: int = 0
    unknown: dict[str, int] = field(default_factory=dict)
    sends: dict[str, Tally] = field(default_factory=dict)
    shadow: dict[str, Tally] = field(default_factory=dict)


def replay(
    records: Records,
    trials: Sequence[Trial],
    days: Sequence[date],
    tell: Callable[[int, int], None] = lambda day, studies: None,
) -> Replayed:
    """Judge every study of these days at the sites of the trials, by both sides.

    tell  is called after each day with how many days and how many studies are done
    """
    judges = {trial.site.site_id: _Judge(trial) for trial in trials}
    with_series = any(judge.wants_series for judge in judges.values())
    result, dice = Replayed(len(days)), random.Random(0)  # noqa: S311 - the same sample each time
    for number, day in enumerate(days, 1):
        for page in walk_held(records, judges.keys(), day, with_series=with_series):
            for held in page:
                judges[held.site_id].judge(held, day, result, dice)
        tell(number, result.studies)
    return result


class _Judge:
    """Both sides of one site."""

    def __init__(self, trial: Trial) -> None:
        self._trial = trial
        both = (*trial.active, *trial.tried)
        self._index = FromIndex(trial.site, fields_asked(both))
        looked_at = [
            rule for each in both for rule in each.rules if rule.state in ("active", "shadow")
        ]
        self._rules = len(looked_at)
        self.wants_series = self._index.wants_series or any(
            rule.level == "series" for rule in looked_at
        )

    def judge(self, held: HeldStudy, day: date, result: Replayed, dice: random.Random) -> None:
        facts = self._index.facts(held, None)
        moment = facts.arrival.received_at
        active = decide(self._trial.active, facts, moment)
        tried = decide(self._trial.tried, facts, moment)
        result.studies += 1
        result.decisions += self._rules
        for name in dict.fromkeys((*active.unread, *tried.unread)):
            result.unknown[name] = result.unknown.get(name, 0) + 1
        if active.is_unsure or tried.is_unsure:
            result.undecided += 1
            return
        _count(result.sends, held, day, _targets(active), _targets(tried), dice)
        if not (active.unread or tried.unread):
            before, after = ({one.target for one in side.shadow} for side in (active, tried))
            _count(result.shadow, held, day, before, after, dice)


def _targets(decision: Decision) -> set[str]:
    return {planned.target for planned in decision.sends} or {NOWHERE}


def _count(
    tallies: dict[str, Tally], held: HeldStudy, day: date, before: set[str], after: set[str],
    dice: random.Random,
) -> None:  # fmt: skip
    for target in before | after:
        tally = tallies.setdefault(target, Tally())
        tally.count(held, day, before=target in before, after=target in after, dice=dice)


def fields_beyond_index(trial: Trial) -> Mapping[str, tuple[str, ...]]:
    """Rules of the tried side that need their site's word -> the fields for which they do."""
    unread = FromIndex(trial.site, fields_asked(trial.tried)).unread
    found: dict[str, tuple[str, ...]] = {}
    for rule_set in trial.tried:
        for rule in rule_set.rules:
            asked = [one.field for one in every_comparison(rule.when)]
            names = dict.fromkeys(one.name for one in asked if not one.needs.isdisjoint(unread))
            if names and rule.state in ("active", "shadow"):
                found[f"{rule_set.owner}/{rule.rule_id}"] = tuple(names)
    return found
