"""How one rule is shown in its form: for each condition the operators that fit and the input that
takes its value, for each action its inputs, and beside each input what is wrong with it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.model.routing.fields import ALREADY_AT, find_field, read_date, read_time
from gateway.model.routing.mistakes import Mistake
from gateway.model.routing.operators import find_operator, operators_of
from gateway.model.sites import Region
from gateway.model.wording import Words
from gateway.web.console.rule_form import JOINS, LISTS, VALUELESS, Document, nearest
from gateway.web.console.rule_words import (
    CHOICES,
    CHOICES_OF,
    FIELD_GROUPS,
    OTHER,
    field_words_of,
    mistake_words,
    operator_words,
)

Choices = Mapping[str, Words]


@dataclass(frozen=True)
class GroupView:
    """name  of its inputs; depth from 0 for the whole condition"""

    name: str
    depth: int
    join: str
    members: "tuple[GroupView | ComparisonView, ...]"


@dataclass(frozen=True)
class ComparisonView:
    """One condition.

    chosen    as the list of fields has it, or OTHER; then `other` is what was typed
    op        one of `ops`; "" if it is none of them
    widget    which input takes the value
    values    as typed; of "code" they are code and scheme
    choices   values that are offered; `rest` of `values` are none of them
    """

    name: str
    chosen: str
    other: str
    vr: str
    op: str
    ops: Choices
    widget: str
    values: tuple[str, ...]
    choices: Choices = field(default_factory=dict)

    @property
    def rest(self) -> tuple[str, ...]:
        return tuple(value for value in self.values if value not in self.choices)


@dataclass(frozen=True)
class RuleView:
    """The form.

    wrong  what is wrong, by the name of the input
    """

    document: Document
    when: GroupView | None
    then: tuple[Document, ...]
    fields: Sequence[tuple[Words, Choices]]
    targets: Choices
    sites: Choices
    wrong: Mapping[str, Sequence[Words]]


def view_of(document: Document, mistakes: Sequence[Mistake], region: Region) -> RuleView:
    """The form of a rule, or of the last rule, which has actions only."""
    sites = {site.site_id: Words(site.name_ru, site.name_en) for site in region.sites}
    targets = {d.destination_id: Words(d.name_ru, d.name_en) for d in region.destinations}
    when = _group(document["when"], "when", 0, sites) if "when" in document else None
    then = tuple({"name": f"then.{n}", **action} for n, action in enumerate(document["then"]))
    found = nearest(mistakes, _names(when) | _names_of_actions(then) | _TOP)
    wrong = {name: [mistake_words(each) for each in of_name] for name, of_name in found.items()}
    fields = [(words, {name: field_words_of(name) for name in names})
              for words, names in FIELD_GROUPS]  # fmt: skip
    already = {ALREADY_AT + target: field_words_of(ALREADY_AT + target) for target in targets}
    fields.append((Words("Уже доставлено", "Delivered already"), already))
    return RuleView(document, when, then, fields, targets, sites, wrong)


_TOP = frozenset(
    {
        "id", "name", "state", "level", "stop", "quiet_s", "force_after_s", "windows", "zone",
        "lane", "then",
    }
)  # fmt: skip


def _group(node: Document, name: str, depth: int, sites: Choices) -> GroupView:
    join, entries = next(iter(node.items()))
    members = tuple(
        _group(entry, f"{name}.{n}", depth + 1, sites)
        if any(each in entry for each in JOINS)
        else _comparison(entry, f"{name}.{n}", sites)
        for n, entry in enumerate(entries)
    )
    return GroupView(name, depth, join, members)


def _comparison(entry: Document, name: str, sites: Choices) -> ComparisonView:
    asked, vr = str(entry.get("field", "")), str(entry.get("vr", ""))
    offered = _is_offered(asked) and not vr
    known = find_field(asked, vr)
    ops = {op: operator_words(op) for op in operators_of(known.kind if known else "text")}
    operator = find_operator(str(entry.get("op", "")), known.kind) if known else None
    op = operator.name if operator else ""
    choices = sites if asked == "site" else CHOICES.get(CHOICES_OF.get(asked, asked), {})
    widget = _widget(known.kind if known else "text", op, bool(choices))
    return ComparisonView(
        name, asked if offered else OTHER, "" if offered else asked, vr, op, ops, widget,
        _typed(entry.get("value"), widget), choices,
    )  # fmt: skip


def _is_offered(name: str) -> bool:
    return name.startswith(ALREADY_AT) or any(name in names for _, names in FIELD_GROUPS)


def _widget(kind: str, op: str, has_choices: bool) -> str:
    if op in VALUELESS or not op:
        return ""
    if op in LISTS:
        return "choices" if has_choices else "lines"
    if op == "within_last_days":
        return "number"
    if op == "between":
        return f"{kind}s"
    if kind == "code" and has_choices:
        return "choice"
    return {"number": "number", "date": "date", "time": "time", "flag": "flag",
            "sequence": "code"}.get(kind, "text")  # fmt: skip


def _typed(value: Any, widget: str) -> tuple[str, ...]:
    if isinstance(value, dict):
        return str(value.get("code", "")), str(value.get("scheme", ""))
    if isinstance(value, bool):
        return ("yes" if value else "no",)
    values = value if isinstance(value, list) else [] if value is None else [value]
    found = tuple(_shown(each, widget) for each in values)
    return found + ("",) * (2 - len(found)) if widget in _PAIRS else found


_PAIRS = ("numbers", "dates", "times", "code")


def _shown(value: Any, widget: str) -> str:
    """As its input wants it: a browser takes dates and times in one form only."""
    if widget.startswith("date"):
        day = read_date(value)
        return day.isoformat() if day else str(value)
    if widget.startswith("time"):
        moment = read_time(value)
        return f"{moment:%H:%M}" if moment else str(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _names(view: GroupView | None) -> frozenset[str]:
    """Of all inputs, groups and conditions that the form shows."""
    if view is None:
        return frozenset()
    found = {view.name}
    for member in view.members:
        if isinstance(member, GroupView):
            found |= _names(member)
        else:
            found |= {member.name, *(f"{member.name}.{each}" for each in ("field", "op", "value"))}
    return frozenset(found)


def _names_of_actions(actions: Sequence[Document]) -> frozenset[str]:
    inputs = ("do", "targets", "verify", "failover", "tag", "value", "map", "list", "reason")
    return frozenset(
        name for one in actions for name in (one["name"], *(f"{one['name']}.{i}" for i in inputs))
    )
