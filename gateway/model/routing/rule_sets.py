"""Rules and rule sets: the ordered list of a hospital, and the ministry's list above it.

A rule set is data: `read_rule_set` takes the parsed document (document.py reads YAML) and names
every mistake; nothing of it is ever evaluated as code.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal
from zoneinfo import ZoneInfo

from gateway.model.routing.actions import Action, Drop, read_actions, write_actions
from gateway.model.routing.conditions import (
    Group,
    every_comparison,
    read_conditions,
    write_conditions,
)
from gateway.model.routing.mistakes import Reader
from gateway.model.sites import SITE_ID

State = Literal["draft", "shadow", "active", "retired"]
Lane = Literal["emergency", "routine", "bulk"]
STATES = ("draft", "shadow", "active", "retired")
LANES = ("emergency", "routine", "bulk")
LEVELS = ("study", "series")
MINISTRY = "ministry"
OTHERWISE = "otherwise"
SITE_ZONE = "site"
MAX_RULES = 500
_RULE_ID = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,46}[a-z0-9])?", re.ASCII)
_WINDOW = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-(?:([01]\d|2[0-3]):([0-5]\d)|24:00)", re.ASCII)
# Seconds without a new image after which a study counts as complete for now (routing.md 2.2).
QUIET_S: dict[str, int] = {"emergency": 0, "routine": 15, "bulk": 60}


@dataclass(frozen=True)
class Trigger:
    """When a study is judged.

    quiet_s        seconds without a new image; None: by the lane, QUIET_S
    force_after_s  judged then at the latest, though images still come
    """

    quiet_s: int | None = None
    force_after_s: int = 3600


@dataclass(frozen=True)
class Schedule:
    """When sending is allowed: local times "HH:MM-HH:MM"; over midnight is fine.

    zone  SITE_ZONE or a name of the time zone database
    """

    windows: tuple[str, ...] = ()
    zone: str = SITE_ZONE
    lane: Lane = "routine"


@dataclass(frozen=True)
class Rule:
    """One rule. Of `level` series it judges each series and sends those that it takes."""

    rule_id: str
    name: str
    when: Group
    then: tuple[Action, ...]
    state: State = "draft"
    level: Literal["study", "series"] = "study"
    stop: bool = False
    trigger: Trigger = field(default_factory=Trigger)
    schedule: Schedule = field(default_factory=Schedule)


@dataclass(frozen=True)
class RuleSet:
    """The rules of one owner in their order.

    owner      a site's id, or MINISTRY
    otherwise  the mandatory last rule: what happens to what no rule took; the ministry's set has
               none, since the hospital's comes after it
    """

    owner: str
    rules: tuple[Rule, ...]
    otherwise: tuple[Action, ...] = ()


def drops_anew(rule_set: RuleSet, before: RuleSet | None) -> tuple[Rule, ...]:
    """Rules that count and send studies nowhere, and do not stand word for word in the set before,
    behind the same rules: without one in front of it a rule drops what that one sent.
    """
    known = [rule for rule in before.rules if rule.state == "active"] if before else []
    counting = [rule for rule in rule_set.rules if rule.state == "active"]
    return tuple(
        rule
        for place, rule in enumerate(counting, 1)
        if any(isinstance(action, Drop) for action in rule.then)
        and counting[:place] != known[:place]
    )


def read_rule_set(reader: Reader) -> RuleSet | None:
    """The rule set of a document; None if there is a mistake (`reader.mistakes` has all)."""
    if not reader.table(("site", "rules", "otherwise")):
        return None
    owner = reader.at("site").text()
    if owner and not SITE_ID.fullmatch(owner):
        reader.at("site").wrong("no_id")
    entries = reader.at("rules").items(least=0, most=MAX_RULES)
    rules = tuple(read_rule(entry) for entry in entries)
    seen: set[str] = set()
    for entry, rule in zip(entries, rules, strict=True):
        if rule.rule_id in seen or rule.rule_id == OTHERWISE:
            entry.at("id").wrong("id_twice", rule.rule_id)
        seen.add(rule.rule_id)
    otherwise: tuple[Action, ...] = ()
    if owner != MINISTRY and not reader.has("otherwise"):
        reader.at("otherwise").wrong("no_otherwise")
    elif owner == MINISTRY and reader.has("otherwise"):
        reader.at("otherwise").wrong("otherwise_of_ministry")
    elif owner != MINISTRY:
        otherwise = read_actions(reader.at("otherwise"), of_last_rule=True)
    return None if reader.mistakes else RuleSet(owner, rules, otherwise)


def check_targets(reader: Reader, known: Collection[str]) -> None:
    """Name every destination of a document that none of `known` is; the document is right else."""
    rules = reader.at("rules").items(least=0, most=MAX_RULES)
    places = [rule.at("then") for rule in rules]
    places += [reader.at("otherwise")] if reader.has("otherwise") else []
    for place in places:
        for action in place.items():
            check_targets_of(action, known)


def check_targets_of(action: Reader, known: Collection[str]) -> None:
    """The same of one action."""
    named = [action.at(key) for key in ("target", "failover_target") if action.has(key)]
    named += action.at("targets").items() if action.has("targets") else []
    for one in named:
        if one.value not in known:
            one.wrong("unknown_destination", ", ".join(sorted(known)) or "-")


_RULE_KEYS = (
    "id", "name", "state", "level", "trigger", "when", "then", "on_error", "stop", "schedule",
)  # fmt: skip


def read_rule(reader: Reader) -> Rule:
    """One rule of a document; worth something only if `reader.mistakes` stays empty."""
    if not reader.table(_RULE_KEYS):
        return Rule("", "", Group("all", ()), ())
    rule_id = reader.at("id").text()
    if rule_id and not _RULE_ID.fullmatch(rule_id):
        reader.at("id").wrong("no_id")
    # An error always holds: a rule that could say otherwise could lose a study.
    reader.at("on_error").choice(("hold",), "hold")
    return Rule(
        rule_id=rule_id,
        name=reader.at("name").text(),
        when=read_conditions(reader.at("when")),
        then=read_actions(reader.at("then")),
        state=reader.at("state").choice(STATES, "draft"),  # type: ignore[arg-type]
        level=reader.at("level").choice(LEVELS, "study"),  # type: ignore[arg-type]
        stop=reader.at("stop").flag(False),
        trigger=_trigger(reader.at("trigger")),
        schedule=_schedule(reader.at("schedule")),
    )


def _trigger(reader: Reader) -> Trigger:
    known = ("event", "quiet_s", "late_arrivals", "force_after_s")
    if reader.value is None or not reader.table(known):
        return Trigger()
    reader.at("event").choice(("study_stable",), "study_stable")
    reader.at("late_arrivals").choice(("send_delta",), "send_delta")
    quiet = reader.at("quiet_s")
    return Trigger(
        quiet_s=None if quiet.value is None else quiet.whole(15, 0, 3600),
        force_after_s=reader.at("force_after_s").whole(3600, 60, 86_400),
    )


def _schedule(reader: Reader) -> Schedule:
    if reader.value is None or not reader.table(("windows", "tz", "lane")):
        return Schedule()
    windows: list[str] = []
    for entry in reader.at("windows").items(most=24) if reader.has("windows") else []:
        window = entry.text(most=11)
        match = _WINDOW.fullmatch(window)
        if window and (not match or window[:5] == window[6:]):
            entry.wrong("no_window")
        windows.append(window)
    zone = reader.at("tz").text(SITE_ZONE)
    if zone != SITE_ZONE and not _is_zone(zone):
        reader.at("tz").wrong("no_zone")
    # The whole day is no limit.
    kept = () if "00:00-24:00" in windows else tuple(windows)
    return Schedule(kept, zone, reader.at("lane").choice(LANES, "routine"))  # type: ignore[arg-type]


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (LookupError, ValueError, OSError):
        return False
    return True


def fields_asked(rule_sets: Iterable[RuleSet]) -> frozenset[str]:
    """What must be known of a study to judge it (Field.needs of all rules that are looked at)."""
    return frozenset().union(
        *(
            comparison.field.needs
            for rule_set in rule_sets
            for rule in rule_set.rules
            if rule.state in ("active", "shadow")
            for comparison in every_comparison(rule.when)
        )
    )


def write_rule_set(rule_set: RuleSet) -> dict[str, Any]:
    """The document, which `read_rule_set` reads back to an equal rule set."""
    written: dict[str, Any] = {
        "site": rule_set.owner,
        "rules": [write_rule(rule) for rule in rule_set.rules],
    }
    if rule_set.otherwise:
        written["otherwise"] = write_actions(rule_set.otherwise)
    return written


def write_rule(rule: Rule) -> dict[str, Any]:
    written: dict[str, Any] = {"id": rule.rule_id, "name": rule.name, "state": rule.state}
    if rule.level != "study":
        written["level"] = rule.level
    if rule.trigger != Trigger():
        quiet = {} if rule.trigger.quiet_s is None else {"quiet_s": rule.trigger.quiet_s}
        written["trigger"] = {**quiet, "force_after_s": rule.trigger.force_after_s}
    written["when"] = write_conditions(rule.when)
    written["then"] = write_actions(rule.then)
    if rule.stop:
        written["stop"] = True
    if rule.schedule != Schedule():
        windows = {"windows": list(rule.schedule.windows)} if rule.schedule.windows else {}
        written["schedule"] = {**windows, "tz": rule.schedule.zone, "lane": rule.schedule.lane}
    return written
