"""Rule sets as YAML texts: read with the line of every mistake, written so that people can edit.

Only plain YAML (1.1, safe tags): no aliases, no tags of Python, a limit of size and depth, no key
twice. What is refused changes nothing.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import yaml

from gateway.model.routing.mistakes import Mistake, Path, Reader
from gateway.model.routing.rule_sets import (
    RuleSet,
    check_targets,
    read_rule_set,
    write_rule_set,
)

MAX_SIZE = 1_000_000
MAX_DEPTH = 30


@dataclass(frozen=True)
class Located:
    """A mistake with its line (from 1) in the text."""

    mistake: Mistake
    line: int


def parse_rule_set(
    text: str, destinations: Collection[str] | None = None
) -> tuple[RuleSet | None, tuple[Located, ...]]:
    """A rule set of a YAML text, or None and every mistake with its line.

    destinations  ids of those that rules may name; None: not looked at
    """
    if len(text) > MAX_SIZE:
        return None, (Located(Mistake((), "too_long", str(MAX_SIZE)), 1),)
    tree = _Tree()
    try:
        node = yaml.compose(text, Loader=_PlainLoader)
        value = None if node is None else tree.value(node, ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        return None, (Located(Mistake((), "not_yaml"), mark.line + 1 if mark else 1),)
    except (yaml.YAMLError, RecursionError):
        return None, (Located(Mistake((), "not_yaml"), 1),)
    reader = Reader(value, (), tree.mistakes)
    rule_set = read_rule_set(reader)
    if rule_set is not None and destinations is not None:
        check_targets(reader, destinations)
        rule_set = None if reader.mistakes else rule_set
    located = [Located(mistake, tree.line(mistake.path)) for mistake in reader.mistakes]
    return rule_set, tuple(sorted(located, key=lambda each: each.line))


def format_rule_set(rule_set: RuleSet) -> str:
    """YAML that `parse_rule_set` reads back to an equal rule set."""
    document = write_rule_set(rule_set)
    return str(yaml.safe_dump(document, allow_unicode=True, sort_keys=False, width=100))


class _PlainLoader(yaml.SafeLoader):
    """Aliases can make a small text huge, so they are refused while reading."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            raise yaml.composer.ComposerError(None, None, "aliases are not taken", event.start_mark)
        return super().compose_node(parent, index)


class _Tree:
    """Values of a YAML tree, and the line of each place."""

    def __init__(self) -> None:
        self.lines: dict[Path, int] = {(): 1}
        self.mistakes: list[Mistake] = []
        self._scalars = yaml.SafeLoader("")

    def value(self, node: yaml.Node, path: Path) -> Any:
        self.lines.setdefault(path, node.start_mark.line + 1)
        if len(path) > MAX_DEPTH:
            raise yaml.MarkedYAMLError(problem_mark=node.start_mark)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(each, (*path, n)) for n, each in enumerate(node.value)]
        if node.tag == "tag:yaml.org,2002:value":
            # A lone "=" means something else to YAML 1.1; here it is the operator.
            return node.value
        try:
            return self._scalars.construct_object(node)
        except (ValueError, AttributeError, LookupError):
            # 2026-02-31 looks like a date to YAML; as a text it is told to be none. What is tagged
            # as something that it is not ends in whatever PyYAML stumbles over.
            return node.value

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, inside in node.value:
            # "yes:" and "1:" are keys of other kinds to YAML; none of ours is one.
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else "?"
            below = (*path, key)
            if key in found:
                self.mistakes.append(Mistake(below, "key_twice"))
            self.lines[below] = key_node.start_mark.line + 1
            found[key] = self.value(inside, below)
        return found

    def line(self, path: Path) -> int:
        """Of the place, or of the nearest one above it that the text has."""
        while path not in self.lines:
            path = path[:-1]
        return self.lines[path]
