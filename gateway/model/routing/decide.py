"""What happens to a study by the rules: pure, and the same for real, for a trial and for a replay.

Order: the ministry's rules, then the hospital's, each as listed; `stop`, `hold` and `drop` end it.
What no active rule took falls to the hospital's last rule. Rules in the state `shadow` are judged
in their place and change nothing; what they would have sent is told apart.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal
from zoneinfo import ZoneInfo

from gateway.model.routing.actions import EDITS, Action, Drop, Hold, Notify, Send, Verify
from gateway.model.routing.conditions import Group, Outcome, Trace, trace
from gateway.model.routing.facts import Facts
from gateway.model.routing.rule_sets import LANES, OTHERWISE, Lane, Rule, RuleSet, Schedule

NO_RULE_SET = "no rule set"
UNREADABLE = "unreadable"
_ALWAYS = Group("all", ())


@dataclass(frozen=True)
class PlannedSend:
    """One delivery that the rules want.

    rule    "owner/rule id" of the first rule that wants it; its edits, verify and schedule hold
    lane    the most urgent of all rules that want it
    series  UIDs of the series to send; () is the whole study
    """

    target: str
    rule: str
    lane: Lane
    edits: tuple[Action, ...] = ()
    verify: Verify | None = None
    failover: str = ""
    schedule: Schedule = field(default_factory=Schedule)
    series: tuple[str, ...] = ()


@dataclass(frozen=True)
class Decision:
    """sends, or why not: a study without sends is always held or dropped, with a reason.

    reason  of the author, or NO_RULE_SET, or UNREADABLE: what the rule compares could not be read,
            so whether it takes the study is not known, and the later rules are not looked at
    rule    of the hold or the drop: "owner/rule id"
    unread  active and shadow rules that could not be judged, by the same names
    """

    sends: tuple[PlannedSend, ...] = ()
    notices: tuple[str, ...] = ()
    ended: Literal["", "held", "dropped"] = ""
    reason: str = ""
    rule: str = ""
    shadow: tuple[PlannedSend, ...] = ()
    unread: tuple[str, ...] = ()

    @property
    def is_unsure(self) -> bool:
        """Whether it is held because an active rule could not be judged."""
        return self.ended == "held" and self.rule in self.unread


@dataclass(frozen=True)
class RuleTrace:
    """Why one rule did or did not take a study.

    conditions  one trace for the study, or one for each series (rule of level series)
    reached     an earlier rule did not end the reading
    """

    owner: str
    rule: Rule
    outcome: Outcome
    conditions: tuple[Trace, ...]
    reached: bool


def decide(rule_sets: Sequence[RuleSet], facts: Facts, now: datetime) -> Decision:
    """Judge one study.

    rule_sets  in their order: the ministry's, then the hospital's; those there are
    now        aware UTC
    """
    now = _at_site(facts, now)
    decision, took = Decision(), False
    for rule_set in rule_sets:
        for rule in rule_set.rules:
            if rule.state not in ("active", "shadow"):
                continue
            outcome, taken = _judged(rule, facts, now)
            if outcome is Outcome.UNREAD:
                name = f"{rule_set.owner}/{rule.rule_id}"
                decision = replace(decision, unread=(*decision.unread, name))
                if rule.state == "active":
                    return replace(decision, ended="held", reason=UNREADABLE, rule=name)
            if outcome is not Outcome.TRUE:
                continue
            if rule.state == "shadow":
                planned = _sends(rule_set.owner, rule, rule.then, taken)
                decision = replace(decision, shadow=_joined(decision.shadow, planned))
                continue
            decision = _act(decision, rule_set.owner, rule, rule.then, taken)
            took = took or any(isinstance(action, Send | Hold | Drop) for action in rule.then)
            if rule.stop or decision.ended:
                return decision if took else _last(decision, rule_sets)
    return decision if took else _last(decision, rule_sets)


def _last(decision: Decision, rule_sets: Sequence[RuleSet]) -> Decision:
    """The mandatory last rule; without a rule set a study waits, and says why."""
    for rule_set in reversed(rule_sets):
        if rule_set.otherwise:
            rule = Rule(OTHERWISE, "", _ALWAYS, rule_set.otherwise)
            return _act(decision, rule_set.owner, rule, rule_set.otherwise, ())
    return replace(decision, ended="held", reason=NO_RULE_SET, rule=OTHERWISE)


def _judged(rule: Rule, facts: Facts, now: datetime) -> tuple[Outcome, tuple[str, ...]]:
    """What the rule says, and the UIDs of the series that it takes: () for the whole study."""
    if rule.level == "study":
        return rule.when.outcome(facts, now), ()
    said = {series.series_uid: rule.when.outcome(series, now) for series in facts.series}
    taken = tuple(uid for uid, outcome in said.items() if outcome is Outcome.TRUE)
    return _best(said.values()), taken


def _act(
    decision: Decision, owner: str, rule: Rule, actions: tuple[Action, ...], taken: tuple[str, ...]
) -> Decision:
    sends = _joined(decision.sends, _sends(owner, rule, actions, taken))
    lists = tuple(action.list_id for action in actions if isinstance(action, Notify))
    notices = tuple(dict.fromkeys(decision.notices + lists))
    decision = replace(decision, sends=sends, notices=notices)
    for action in actions:
        if isinstance(action, Hold | Drop):
            ended: Literal["held", "dropped"] = "held" if isinstance(action, Hold) else "dropped"
            name = f"{owner}/{rule.rule_id}"
            return replace(decision, ended=ended, reason=action.reason, rule=name)
    return decision


def _sends(
    owner: str, rule: Rule, actions: tuple[Action, ...], taken: tuple[str, ...]
) -> tuple[PlannedSend, ...]:
    edits: tuple[Action, ...] = ()
    planned: list[PlannedSend] = []
    for action in actions:
        if isinstance(action, EDITS):
            edits += (action,)
        elif isinstance(action, Send):
            planned += [
                PlannedSend(
                    target, f"{owner}/{rule.rule_id}", rule.schedule.lane, edits, action.verify,
                    action.failover, rule.schedule, taken,
                )
                for target in action.targets
            ]  # fmt: skip
    return tuple(planned)


def _joined(
    before: tuple[PlannedSend, ...], more: tuple[PlannedSend, ...]
) -> tuple[PlannedSend, ...]:
    """One send for each destination: the first rule's way, the widest content, the best lane."""
    found = {planned.target: planned for planned in before}
    for planned in more:
        first = found.setdefault(planned.target, planned)
        whole = not first.series or not planned.series
        series = () if whole else tuple(sorted({*first.series, *planned.series}))
        lane = min(first.lane, planned.lane, key=LANES.index)
        found[planned.target] = replace(first, series=series, lane=lane)
    return tuple(found.values())


def explain(rule_sets: Sequence[RuleSet], facts: Facts, now: datetime) -> tuple[RuleTrace, ...]:
    """Every rule with what each of its conditions said: "why did this study (not) go?"."""
    now = _at_site(facts, now)
    traces: list[RuleTrace] = []
    reached = True
    for rule_set in rule_sets:
        for rule in rule_set.rules:
            views = (facts,) if rule.level == "study" else facts.series
            found = tuple(trace(rule.when, view, now) for view in views)
            outcome = _best([each.outcome for each in found])
            traces.append(RuleTrace(rule_set.owner, rule, outcome, found, reached))
            ends = rule.stop or any(isinstance(action, Hold | Drop) for action in rule.then)
            ends = outcome is Outcome.UNREAD or (outcome is Outcome.TRUE and ends)
            if rule.state == "active" and ends:
                reached = False
    return tuple(traces)


def _best(outcomes: Collection[Outcome]) -> Outcome:
    """Of several series: one that cannot be judged holds them all."""
    for outcome in (Outcome.UNREAD, Outcome.TRUE, Outcome.MISSING):
        if outcome in outcomes:
            return outcome
    return Outcome.FALSE


def _at_site(facts: Facts, now: datetime) -> datetime:
    """Days of a rule are the hospital's days."""
    return now.astimezone(ZoneInfo(facts.arrival.site.time_zone))
