"""Conditions of a rule: a tree of all / any / none over typed comparisons, with four outcomes.

Missing is its own outcome (Kleene's logic): a comparison with an absent attribute is neither true
nor false, and neither is `none` of it. A rule takes a study only if the whole tree is true, so an
absent attribute never becomes a match behind the author's back; who wants it says `missing`.
What could not be read is an outcome too: whoever acts on it holds the study (decide.py).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from datetime import date, datetime
from enum import Enum
from typing import Any, Literal

from gateway.errors import Unreadable
from gateway.model.routing.facts import Facts
from gateway.model.routing.fields import Field, find_field
from gateway.model.routing.mistakes import MAX_TEXT, Reader
from gateway.model.routing.operators import Operator, find_operator, operators_of

MAX_DEPTH = 5
MAX_NODES = 200
ALWAYS = "always"
_JOINS = ("all", "any", "none")


class Outcome(Enum):
    """What a condition says of a study."""

    TRUE = "true"
    FALSE = "false"
    MISSING = "missing"
    UNREAD = "unread"


@dataclass(frozen=True)
class Comparison:
    """field, operator, value. `given` is the value as the author wrote it."""

    field: Field
    operator: Operator
    given: Any
    value: Any = dataclass_field(compare=False, repr=False, default=None)

    def outcome(self, facts: Facts, now: datetime) -> Outcome:
        try:
            found = self.field.read(facts, now)
        except Unreadable:
            return Outcome.UNREAD
        if self.operator.name == "missing":
            return Outcome.TRUE if found is None else Outcome.FALSE
        if found is None:
            return Outcome.MISSING
        return Outcome.TRUE if self.operator.test(found, self.value, now) else Outcome.FALSE


@dataclass(frozen=True)
class Group:
    """all / any / none of what stands below; a group without members is true (`always`)."""

    join: Literal["all", "any", "none"]
    members: "tuple[Condition, ...]"

    def outcome(self, facts: Facts, now: datetime) -> Outcome:
        # Lazily: what decides the group ends the reading of it.
        return join_outcomes(self.join, (member.outcome(facts, now) for member in self.members))


Condition = Comparison | Group


@dataclass(frozen=True)
class Trace:
    """One condition with what it said of one study, for the person who asks why.

    found  the values that were compared; None if missing or not read. Patient data: shown, never
           logged
    """

    condition: Condition
    outcome: Outcome
    found: tuple[Any, ...] | None = None
    below: "tuple[Trace, ...]" = ()


def join_outcomes(join: str, outcomes: Iterable[Outcome]) -> Outcome:
    """Kleene's all, any, none; of two that are undecided, what was not read weighs more."""
    decisive = Outcome.FALSE if join == "all" else Outcome.TRUE
    undecided = None
    for outcome in outcomes:
        if outcome is decisive:
            return Outcome.TRUE if join == "any" else Outcome.FALSE
        if outcome is Outcome.UNREAD or (outcome is Outcome.MISSING and undecided is None):
            undecided = outcome
    if undecided is not None:
        return undecided
    return Outcome.FALSE if join == "any" else Outcome.TRUE


def trace(condition: Condition, facts: Facts, now: datetime) -> Trace:
    """The same decision as `outcome`, with every condition's own answer."""
    if isinstance(condition, Comparison):
        outcome = condition.outcome(facts, now)
        found = None if outcome is Outcome.UNREAD else condition.field.read(facts, now)
        return Trace(condition, outcome, found)
    below = tuple(trace(member, facts, now) for member in condition.members)
    outcome = join_outcomes(condition.join, [each.outcome for each in below])
    return Trace(condition, outcome, below=below)


def read_conditions(reader: Reader) -> Group:
    """`when` of a rule: `always`, or a table of all / any / none.

    limits  MAX_DEPTH groups inside each other, MAX_NODES conditions
    """
    if reader.value == ALWAYS:
        return Group("all", ())
    if reader.value is None:
        reader.wrong("missing_key")
        return Group("all", ())
    left = [MAX_NODES]
    found = _group(reader, 1, left)
    if left[0] < 0:
        reader.wrong("too_many_conditions", str(MAX_NODES))
    return found or Group("all", ())


def _group(reader: Reader, depth: int, left: list[int]) -> Group | None:
    if depth > MAX_DEPTH:
        reader.wrong("too_deep", str(MAX_DEPTH))
        return None
    if not reader.table(_JOINS):
        return None
    groups: list[Group] = []
    for join in _JOINS:
        if reader.has(join):
            entries = reader.at(join).items(most=MAX_NODES)
            members = [_member(entry, depth, left) for entry in entries]
            groups.append(Group(join, tuple(m for m in members if m)))  # type: ignore[arg-type]
    if not groups:
        reader.wrong("no_conditions")
        return None
    return groups[0] if len(groups) == 1 else Group("all", tuple(groups))


def _member(reader: Reader, depth: int, left: list[int]) -> Condition | None:
    left[0] -= 1
    if left[0] < 0:
        return None
    if any(reader.has(join) for join in _JOINS):
        return _group(reader, depth + 1, left)
    return _comparison(reader)


def _comparison(reader: Reader) -> Comparison | None:
    if not reader.table(("field", "op", "value", "vr")):
        return None
    name, vr = reader.at("field").text(), reader.at("vr").text("")
    if not name:
        return None
    found = find_field(name, vr)
    if found is None:
        reader.at("field").wrong("unknown_field", name[:MAX_TEXT])
        return None
    written = reader.at("op").text()
    operator = find_operator(written, found.kind) if written else None
    if operator is None:
        if written:
            reader.at("op").wrong("unknown_operator", ", ".join(operators_of(found.kind)))
        return None
    value = operator.read(reader.at("value"), found)
    return Comparison(found, operator, _kept(reader.at("value").value), value)


def _kept(given: Any) -> Any:
    """The author's value, frozen so that rules compare and hash; a date as people write it, since
    YAML makes one of 2026-01-31 and an editor's form does not."""
    if isinstance(given, date):
        return given.isoformat()
    if isinstance(given, list):
        return tuple(_kept(item) for item in given)
    if isinstance(given, dict):
        return tuple(sorted((str(key), _kept(item)) for key, item in given.items()))
    return given


def write_conditions(condition: Condition) -> Any:
    """The document form, which `read_conditions` reads back to an equal tree."""
    if isinstance(condition, Group):
        if not condition.members:
            return ALWAYS
        merged = condition.join == "all" and all(
            isinstance(member, Group) and member.members for member in condition.members
        )
        joins = [m.join for m in condition.members if isinstance(m, Group)]
        if (
            merged
            and len(joins) > 1
            and len(set(joins)) == len(joins)
            and joins == sorted(joins, key=_JOINS.index)
        ):
            return {
                member.join: [write_conditions(each) for each in member.members]
                for member in condition.members
                if isinstance(member, Group)
            }
        return {condition.join: [write_conditions(member) for member in condition.members]}
    written: dict[str, Any] = {"field": condition.field.name, "op": condition.operator.name}
    if condition.field.vr:
        written["vr"] = condition.field.vr
    if condition.given is not None:
        written["value"] = _given(condition.given)
    return written


def _given(value: Any) -> Any:
    if isinstance(value, tuple):
        if value and all(isinstance(item, tuple) and len(item) == 2 for item in value):
            return {key: _given(item) for key, item in value}
        return [_given(item) for item in value]
    return value


def every_comparison(condition: Condition) -> list[Comparison]:
    """All comparisons of a tree, in the order in which they are written."""
    if isinstance(condition, Comparison):
        return [condition]
    return [found for member in condition.members for found in every_comparison(member)]
