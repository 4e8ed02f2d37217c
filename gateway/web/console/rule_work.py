"""The working copy of a rule set: it travels with the page until its author saves it, so nothing
that is begun here counts or is kept, and two people never write into each other's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import orjson
from flask import g, request

from gateway.bootstrap import Gateway
from gateway.errors import BadRequest, NotFound
from gateway.model.access import LOCAL_OPERATOR
from gateway.model.routing.actions import Action, Hold
from gateway.model.routing.mistakes import Reader
from gateway.model.routing.rule_sets import (
    MAX_RULES,
    MINISTRY,
    STATES,
    Rule,
    RuleSet,
    read_rule_set,
    write_rule_set,
)
from gateway.model.sites import Region
from gateway.model.wording import Words
from gateway.records.rules import Version, load_version
from gateway.web.console.frame import actor, reach, text_of

MINISTRY_WORDS = Words("Министерство: правила для всех больниц", "Ministry: rules for all")
FILES_BYTES = 128_000_000
NOT_YET = "нет подходящего правила"


@dataclass(frozen=True)
class Work:
    """based_on: number of the version that its author began with, 0 for none."""

    rule_set: RuleSet
    based_on: int

    @property
    def owner(self) -> str:
        return self.rule_set.owner

    @property
    def document(self) -> str:
        """What a page carries along."""
        return orjson.dumps(write_rule_set(self.rule_set)).decode()

    def rule(self, rule_id: str) -> Rule:
        for rule in self.rule_set.rules:
            if rule.rule_id == rule_id:
                return rule
        raise NotFound("rule")

    def with_rules(self, rules: tuple[Rule, ...]) -> "Work":
        return replace(self, rule_set=replace(self.rule_set, rules=rules))

    def with_rule(self, rule: Rule, instead_of: str) -> "Work":
        """With this rule in the place of another, or as the last one."""
        if not instead_of:
            if len(self.rule_set.rules) >= MAX_RULES:
                raise BadRequest("rule", f"there are {MAX_RULES} rules already")
            return self.with_rules((*self.rule_set.rules, rule))
        self.rule(instead_of)
        rules = self.rule_set.rules
        return self.with_rules(tuple(rule if r.rule_id == instead_of else r for r in rules))

    def with_otherwise(self, actions: tuple[Action, ...]) -> "Work":
        return replace(self, rule_set=replace(self.rule_set, otherwise=actions))

    def without(self, rule_id: str) -> "Work":
        self.rule(rule_id)
        return self.with_rules(tuple(r for r in self.rule_set.rules if r.rule_id != rule_id))

    def moved(self, rule_id: str, by: int) -> "Work":
        rules = list(self.rule_set.rules)
        place = rules.index(self.rule(rule_id))
        rules.insert(min(max(place + by, 0), len(rules)), rules.pop(place))
        return self.with_rules(tuple(rules))

    def free_id(self) -> str:
        """For a new rule."""
        taken = {rule.rule_id for rule in self.rule_set.rules}
        return next(name for n in range(1, MAX_RULES + 2) if (name := f"r-{n:02}") not in taken)


def begin(gateway: Gateway, owner: str, number: int | None = None) -> tuple[Work, Version | None]:
    """A working copy of a version, and that version; of the newest if no number is given.

    raises  NotFound if there is no such owner or version
    """
    check_owner(gateway.region, owner)
    version = load_version(gateway.records, owner, number)
    newest = version if number is None else load_version(gateway.records, owner)
    if version is None and number is not None:
        raise NotFound("version of rules")
    otherwise = () if owner == MINISTRY else (Hold(NOT_YET),)
    rule_set = version.rule_set if version else RuleSet(owner, (), otherwise)
    return Work(rule_set, newest.number if newest else 0), version


def go_on(gateway: Gateway, owner: str, form: Mapping[str, str]) -> Work:
    """The working copy that a page brings back, with what its inputs change in it.

    raises  NotFound, BadRequest that names the input
    """
    check_owner(gateway.region, owner)
    try:
        document = orjson.loads(form.get("document", ""))
    except orjson.JSONDecodeError as error:
        raise BadRequest("document", "is missing or cannot be read") from error
    rule_set = read_rule_set(Reader(document))
    if rule_set is None or rule_set.owner != owner:
        raise BadRequest("document", "are no rules of this owner")
    based_on = form.get("based_on", "")
    if not (based_on.isascii() and based_on.isdecimal() and len(based_on) <= len("999999")):
        raise BadRequest("based_on", "is no number of a version")
    work = Work(rule_set, int(based_on))
    return _ordered(_with_states(work, form), form.get("order", ""))


def _with_states(work: Work, form: Mapping[str, str]) -> Work:
    rules = []
    for rule in work.rule_set.rules:
        state = form.get(f"state:{rule.rule_id}", rule.state)
        if state not in STATES:
            raise BadRequest("state", "is none of " + ", ".join(STATES))
        rules.append(replace(rule, state=state))  # type: ignore[arg-type]
    return work.with_rules(tuple(rules))


def _ordered(work: Work, order: str) -> Work:
    """As a person has dragged them: ids with spaces between."""
    names = order.split()
    if not names:
        return work
    if sorted(names) != sorted(rule.rule_id for rule in work.rule_set.rules):
        raise BadRequest("order", "does not name each rule once")
    return work.with_rules(tuple(map(work.rule, names)))


def check_owner(region: Region, owner: str) -> None:
    """raises NotFound unless it is the ministry, or a site within the actor's reach

    Everybody may read the ministry's rules; who writes them must reach every site.
    """
    within = reach()
    if owner == MINISTRY:
        found = within is None or request.method == "GET"
    else:
        found = region.site(owner) is not None and (within is None or owner in within)
    if not found:
        raise NotFound("owner of rules")


def author_of(form: Mapping[str, str]) -> str:
    """Who is recorded: the actor who signed in; on a gateway without accounts the name that was
    typed. raises BadRequest if there is neither"""
    return text_of(form, "by", required=True) if g.actor == LOCAL_OPERATOR else actor()


def owner_words(region: Region, owner: str) -> Words:
    site = region.site(owner)
    return Words(site.name_ru, site.name_en) if site else MINISTRY_WORDS
