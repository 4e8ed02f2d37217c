"""The form of one rule and back: every input is named by its place, "when.0.op", "then.1.targets".

The form becomes the same document that a YAML file becomes, and the same reader judges it
(model/routing/mistakes.py); here nothing is judged, so that what is wrong comes back as it was
typed, with the mistake beside it. No input and no number of them can do more than that.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.errors import BadRequest
from gateway.model.routing.actions import Action, read_actions, write_actions
from gateway.model.routing.fields import Kind, find_field
from gateway.model.routing.mistakes import Mistake, Path, Reader
from gateway.model.routing.rule_sets import (
    OTHERWISE,
    SITE_ZONE,
    Rule,
    check_targets_of,
    read_rule,
    write_rule,
)

Document = dict[str, Any]
JOINS = ("all", "any", "none")
MOST_INPUTS = 3000
MOST_STEPS = 10
LISTS = ("in", "any_of", "all_of", "none_of")
VALUELESS = ("empty", "missing")
NEW_COMPARISON: Document = {"field": "ModalitiesInStudy", "op": "any_of", "value": []}
_FORM_NAMES = {"target": "targets", "failover_target": "failover"}
_TOP_NAMES: Mapping[Path, str] = {
    ("trigger", "quiet_s"): "quiet_s", ("trigger", "force_after_s"): "force_after_s",
    ("schedule", "windows"): "windows", ("schedule", "tz"): "zone", ("schedule", "lane"): "lane",
}  # fmt: skip


@dataclass
class Branch:
    """Inputs by the steps of their names."""

    values: list[str] = field(default_factory=list)
    below: dict[str, "Branch"] = field(default_factory=dict)

    def at(self, name: str) -> "Branch":
        return self.below.get(name) or Branch()

    def text(self, name: str) -> str:
        values = self.at(name).values
        return values[-1].strip() if values else ""

    def lines(self, name: str) -> list[str]:
        """What several inputs of one name hold, each line by itself."""
        found = (line.strip() for value in self.at(name).values for line in value.splitlines())
        return list(dict.fromkeys(line for line in found if line))

    def entries(self) -> list["Branch"]:
        """Those named by numbers, in their order."""
        return [self.below[key] for key in sorted(filter(_is_place, self.below), key=int)]


def _is_place(step: str) -> bool:
    return step.isascii() and step.isdecimal() and len(step) <= len("9999")


def branches(inputs: Iterable[tuple[str, str]]) -> Branch:
    """raises BadRequest for more inputs than any rule has"""
    root = Branch()
    for count, (name, value) in enumerate(inputs):
        steps = name.split(".")
        if count >= MOST_INPUTS or len(steps) > MOST_STEPS:
            raise BadRequest("form", "has more inputs than a rule can have")
        place = root
        for step in steps:
            place = place.below.setdefault(step, Branch())
        place.values.append(value)
    return root


def document_of(form: Branch) -> Document:
    """A rule as the form has it, right or wrong."""
    schedule: Document = {"lane": form.text("lane") or "routine", "tz": form.text("zone")}
    windows = [w.strip() for line in form.lines("windows") for w in line.split(",") if w.strip()]
    schedule |= {"windows": windows} if windows else {}
    schedule["tz"] = schedule["tz"] or SITE_ZONE
    quiet = {"quiet_s": _number(form.text("quiet_s"))} if form.text("quiet_s") else {}
    force = _number(form.text("force_after_s") or "3600")
    return {
        "id": form.text("id"),
        "name": form.text("name"),
        "state": form.text("state") or "draft",
        "level": form.text("level") or "study",
        "trigger": {**quiet, "force_after_s": force},
        "when": _group(form.at("when")),
        "then": actions_of(form),
        "stop": form.text("stop") == "yes",
        "schedule": schedule,
    }


def actions_of(form: Branch) -> list[Document]:
    return [_action(entry) for entry in form.at("then").entries()]


def _group(branch: Branch) -> Document:
    join = branch.text("join")
    members = [
        _group(entry) if "join" in entry.below else _comparison(entry) for entry in branch.entries()
    ]
    return {join if join in JOINS else "all": members}


def _comparison(branch: Branch) -> Document:
    name, vr, op = branch.text("field"), branch.text("vr"), branch.text("op")
    name = branch.text("other") if name in ("", "other") else name
    found: Document = {"field": name, "op": op} | ({"vr": vr} if vr else {})
    known = find_field(name, vr)
    value = _value(known.kind if known else "text", op, branch)
    return found if op in VALUELESS else {**found, "value": value}


def _value(kind: Kind, op: str, branch: Branch) -> Any:
    if op in LISTS:
        return branch.lines("value")
    if op == "between":
        ends = [branch.at("value").text(end) for end in ("0", "1")]
        return [_number(end) if kind == "number" else end for end in ends]
    if op == "has_item":
        code, scheme = (branch.at("value").text(part) for part in ("code", "scheme"))
        return {"code": code} | ({"scheme": scheme} if scheme else {})
    text = " ".join(branch.lines("value")[:1])
    if kind == "number" or op == "within_last_days":
        return _number(text)
    if kind == "flag":
        return {"yes": True, "no": False}.get(text)
    return text


def _number(text: str) -> Any:
    """A number, or what was typed instead."""
    for kind in (int, float):
        try:
            return kind(text.replace(",", ".").replace("\N{NO-BREAK SPACE}", ""))
        except ValueError:
            continue
    return text


def _action(branch: Branch) -> Document:
    do = branch.text("do")
    if do == "send":
        verify, failover = branch.text("verify"), branch.text("failover")
        return {
            "do": do, "targets": branch.lines("targets"),
            **({"verify": verify} if verify else {}),
            **({"failover_target": failover} if failover else {}),
        }  # fmt: skip
    if do == "set_tag":
        return {"do": do, "tag": branch.text("tag"), "value": branch.text("value")}
    if do == "map_tag":
        pairs = [line.partition("=") for line in branch.lines("map")]
        table = {old.strip(): new.strip() for old, _, new in pairs}
        return {"do": do, "tag": branch.text("tag"), "map": table}
    wanted = {"remove_tag": "tag", "notify": "list", "hold": "reason", "drop": "reason"}
    return {"do": do} | ({wanted[do]: branch.text(wanted[do])} if do in wanted else {})


def form_document(rule: Rule) -> Document:
    """A rule as the form shows it: with what is left out in a file, one join for each group."""
    trigger = {"force_after_s": rule.trigger.force_after_s}
    if rule.trigger.quiet_s is not None:
        trigger["quiet_s"] = rule.trigger.quiet_s
    schedule = {"lane": rule.schedule.lane, "tz": rule.schedule.zone}
    windows = {"windows": list(rule.schedule.windows)} if rule.schedule.windows else {}
    written = write_rule(rule)
    return {
        "level": rule.level, "stop": rule.stop, **written, "trigger": trigger,
        "schedule": {**schedule, **windows}, "when": _one_join(written["when"]),
        "then": form_actions(rule.then),
    }  # fmt: skip


def form_actions(actions: tuple[Action, ...]) -> list[Document]:
    """Actions as the form shows them: destinations are always a list."""
    found = []
    for action in write_actions(actions):
        target = action.pop("target", None)
        found.append({**action, "targets": [target]} if target else action)
    return found


def _one_join(node: Any) -> Document:
    if not isinstance(node, Mapping):
        return {"all": []}
    joins = [join for join in JOINS if join in node]
    if not joins:
        return dict(node)
    groups = [{join: [_one_join(member) for member in node[join]]} for join in joins]
    return groups[0] if len(groups) == 1 else {"all": list(groups)}


def judge_rule(document: Document, targets: Iterable[str]) -> tuple[Rule, list[Mistake]]:
    """The rule, worth something only without mistakes."""
    written = {**document, "when": document["when"] if _members(document["when"]) else "always"}
    reader = Reader(written)
    rule = read_rule(reader)
    for action in reader.at("then").items() if not reader.mistakes else ():
        check_targets_of(action, frozenset(targets))
    if rule.rule_id == OTHERWISE:
        reader.at("id").wrong("id_twice", OTHERWISE)
    return rule, reader.mistakes


def judge_otherwise(
    actions: list[Document], targets: Iterable[str]
) -> tuple[tuple[Action, ...], list[Mistake]]:
    """The actions of the last rule, worth something only without mistakes."""
    reader = Reader(actions, ("then",))
    found = read_actions(reader, of_last_rule=True)
    for action in reader.items() if not reader.mistakes else ():
        check_targets_of(action, frozenset(targets))
    return found, reader.mistakes


def _members(group: Document) -> list[Any]:
    return list(next(iter(group.values()), []))


def name_of(path: Path) -> str:
    """The input that a mistake belongs to; `nearest` finds the one that is shown."""
    if path[:2] in _TOP_NAMES:
        return _TOP_NAMES[path[:2]]
    steps = [step for step in path if not (path[0] == "when" and step in JOINS)]
    return ".".join(_FORM_NAMES.get(str(step), str(step)) for step in steps)


def nearest(mistakes: Sequence[Mistake], shown: frozenset[str]) -> dict[str, list[Mistake]]:
    """Mistakes by the input that the form shows, or what is above it; "" is the top."""
    found: dict[str, list[Mistake]] = {}
    for mistake in mistakes:
        name = name_of(mistake.path)
        while name and name not in shown:
            name = name.rpartition(".")[0]
        found.setdefault(name, []).append(mistake)
    return found


def edit(document: Document, act: str, where: str, what: str = "") -> None:
    """Add to, remove from or move in a rule, in place.

    act    "add" (a condition, a group or the action `what`), "remove", "up", "down"
    where  of the group or list for "add", else of the entry: "when", "when.0.1", "then", "then.2"
    raises BadRequest if there is no such place
    """
    steps = where.split(".")
    if steps[0] not in ("when", "then") or not all(map(_is_place, steps[1:])):
        raise BadRequest("act", "names no place of the rule")
    if act == "add":
        _entries(document, steps).append(_new(steps[0], what))
        return
    entries, place = _entries(document, steps[:-1]), int(steps[-1]) if steps[1:] else -1
    if not 0 <= place < len(entries):
        raise BadRequest("act", "names no place of the rule")
    entry = entries.pop(place)
    if act != "remove":
        entries.insert(max(place - 1, 0) if act == "up" else place + 1, entry)


def _new(root: str, what: str) -> Document:
    if root == "then":
        return {"do": what, "targets": []} if what == "send" else {"do": what}
    return {"any": [dict(NEW_COMPARISON)]} if what == "group" else dict(NEW_COMPARISON)


def _entries(document: Document, steps: Sequence[str]) -> list[Any]:
    if steps[:1] == ["then"] and len(steps) == 1:
        found: list[Any] = document["then"]
        return found
    node = document["when"] if steps[:1] == ["when"] else None
    for step in steps[1:]:
        members = _group_members(node)
        node = members[int(step)] if int(step) < len(members) else None
    return _group_members(node)


def _group_members(node: Any) -> list[Any]:
    for join in JOINS:
        if isinstance(node, dict) and isinstance(node.get(join), list):
            found: list[Any] = node[join]
            return found
    raise BadRequest("act", "names no group of the rule")
