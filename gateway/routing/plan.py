"""What becomes of a study that arrived: pure, from its facts to the deliveries it gets, or to the
reason why it gets none. Nothing ends without a state that is counted and can be turned back.

A study is planned when no image has come for as long as the lane of its rules says (routing.md
2.2): an emergency at once, and again with every image that follows.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from gateway.model.routing.decide import Decision, PlannedSend, decide
from gateway.model.routing.facts import Facts
from gateway.model.routing.rule_sets import MINISTRY, QUIET_S, SITE_ZONE, RuleSet, Trigger
from gateway.model.sites import Site
from gateway.records.arrivals import Arrival, Arrived
from gateway.records.deliveries import Wanted
from gateway.records.planning import Decided
from gateway.records.rules import Version

IS_DESTINATION = "lies_at_its_destination"
NO_RULES, OF_ARCHIVE = "no_active_rules", "archive_without_rules"


def judge_unruled(site: Site, versions: Sequence[Version]) -> Decided | None:
    """What is known without a look at the study; None if there are rules to judge it by.

    The ministry's rules alone decide nothing: a hospital without its own has no last rule. They
    do not reach into an archive either, which holds what others have sent.
    """
    if any(version.owner != MINISTRY for version in versions):
        return None
    if site.role == "archive":
        return Decided(Arrived.UNRULED, OF_ARCHIVE)
    return Decided(Arrived.UNRULED, NO_RULES)


def first_look_at(rule_sets: Sequence[RuleSet], seen: Arrival) -> datetime:
    """Before this moment no rule would take the study: nobody need ask for its facts."""
    rules = [r for rule_set in rule_sets for r in rule_set.rules if r.state == "active"]
    spans = [_quiet_s(rule.trigger, rule.schedule.lane) for rule in rules]
    soon = timedelta(seconds=min([*spans, QUIET_S["routine"]]))
    return min(seen.changed_at + soon, _forced_at(rule_sets, seen))


def plan_study(
    rule_sets: Sequence[RuleSet], facts: Facts, seen: Arrival, versions: str, now: datetime
) -> Decided:
    """What becomes of a study by these rules; the caller adds the manifest where it is sent.

    versions  of the rules, "ministry:2 gkb1:7"
    """
    decision = decide(rule_sets, facts, now)
    triggers = _triggers(rule_sets)
    spans = [_quiet_s(triggers.get(s.rule, Trigger()), s.lane) for s in decision.sends]
    quiet_at = seen.changed_at + timedelta(seconds=min(spans, default=QUIET_S["routine"]))
    forced_at = _forced_at(rule_sets, seen)
    if now < min(quiet_at, forced_at):
        return Decided(None, look_at=min(quiet_at, forced_at))
    here = facts.arrival.site.site_id
    wanted = tuple(
        _wanted(send, seen, here_zone=facts.arrival.site.time_zone, span_s=span, now=now,
                forced=now >= forced_at)
        for send, span in zip(decision.sends, spans, strict=True)
        if send.target != here
    )  # fmt: skip
    return replace(
        _ended(decision, bool(wanted)), versions=versions, wanted=wanted, notices=decision.notices
    )


def _ended(decision: Decision, sends: bool) -> Decided:
    if sends:
        return Decided(Arrived.PLANNED, decision.reason, decision.rule)
    if decision.sends:
        return Decided(Arrived.EXEMPT, IS_DESTINATION)
    state = Arrived.DROPPED if decision.ended == "dropped" else Arrived.HELD
    return Decided(state, decision.reason, decision.rule)


def _wanted(
    send: PlannedSend, seen: Arrival, *, here_zone: str, span_s: float, now: datetime, forced: bool
) -> Wanted:
    quiet_at = seen.changed_at + timedelta(seconds=span_s)
    schedule = send.schedule
    return Wanted(
        destination=send.target,
        # What lay there before anybody followed the site does not stand in front of what is new.
        lane="bulk" if seen.backlog else send.lane,
        rule=send.rule,
        next_at=now if forced else max(now, quiet_at),
        edits=send.edits,
        verify=send.verify,
        failover=send.failover,
        series=send.series,
        windows=schedule.windows,
        zone=here_zone if schedule.zone == SITE_ZONE else schedule.zone,
    )


def _quiet_s(trigger: Trigger, lane: str) -> float:
    return trigger.quiet_s if trigger.quiet_s is not None else QUIET_S[lane]


def _triggers(rule_sets: Sequence[RuleSet]) -> dict[str, Trigger]:
    return {f"{s.owner}/{rule.rule_id}": rule.trigger for s in rule_sets for rule in s.rules}


def _forced_at(rule_sets: Sequence[RuleSet], seen: Arrival) -> datetime:
    """A study that never becomes quiet is judged all the same."""
    spans = [
        rule.trigger.force_after_s
        for rule_set in rule_sets
        for rule in rule_set.rules
        if rule.state == "active"
    ]
    begun = seen.growing_since or seen.changed_at
    return begun + timedelta(seconds=min(spans, default=Trigger().force_after_s))
