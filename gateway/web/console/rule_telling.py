"""Rules and what changed in them as sentences, with destinations by the names that people know."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gateway.model.routing.actions import Action, Send
from gateway.model.routing.rule_sets import Rule, RuleSet
from gateway.model.routing.words import (
    Language,
    action_in_words,
    difference_in_words,
    rule_in_words,
)
from gateway.model.sites import Region
from gateway.model.wording import Words


@dataclass(frozen=True)
class Teller:
    """Tells rules of a region; one that it does not name any more keeps its id."""

    region: Region

    def rule(self, rule: Rule) -> Words:
        return Words(*(rule_in_words(self._rule(rule, of), of) for of in _LANGUAGES))

    def actions(self, actions: Sequence[Action]) -> list[Words]:
        told = ([action_in_words(a, of) for a in self._actions(actions, of)] for of in _LANGUAGES)
        return [Words(*pair) for pair in zip(*told, strict=True)]

    def differences(self, old: RuleSet | None, new: RuleSet) -> list[Words]:
        """What changed, one sentence each."""
        told = (
            difference_in_words(
                self._rule_set(old, of) if old else None, self._rule_set(new, of), of
            )
            for of in _LANGUAGES
        )
        return [Words(*pair) for pair in zip(*told, strict=True)]

    def _rule_set(self, rule_set: RuleSet, of: Language) -> RuleSet:
        rules = tuple(self._rule(rule, of) for rule in rule_set.rules)
        return replace(rule_set, rules=rules, otherwise=self._actions(rule_set.otherwise, of))

    def _rule(self, rule: Rule, of: Language) -> Rule:
        return replace(rule, then=self._actions(rule.then, of))

    def _actions(self, actions: Sequence[Action], of: Language) -> tuple[Action, ...]:
        return tuple(self._send(a, of) if isinstance(a, Send) else a for a in actions)

    def _send(self, send: Send, of: Language) -> Send:
        targets = tuple(self._name(target, of) for target in send.targets)
        return replace(
            send, targets=targets, failover=self._name(send.failover, of) if send.failover else ""
        )

    def _name(self, target: str, of: Language) -> str:
        found = self.region.destination(target)
        if found is None:
            return target
        return f"«{found.name_ru}»" if of == "ru" else f'"{found.name_en}"'


_LANGUAGES: tuple[Language, Language] = ("ru", "en")
