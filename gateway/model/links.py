"""Which identifiers of several hospitals are one person's: rules and people's decisions. Pure.

The same name, birth date and sex, and a state number in common, link by themselves; a patronymic
may be missing. The same name, birth date and sex alone are a suggestion, which a person confirms or
rejects. What is linked is one
group, however long the chain between two of its members; a group that joins two different state
numbers, or a pair that a person has rejected, is none, and its automatic links become suggestions.
Where more than MOST_ALIKE identifiers are alike, it is a stopgap ("unknown", 1 January 1900) that
says nothing. The answer does not depend on the order in which the records came.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations, product
from typing import Literal

from gateway.model.persons import (
    Identity,
    Pair,
    PersonId,
    contradict,
    find_different,
    may_be_one_name,
)

MOST_ALIKE = 40
MOST_SAID = 50
"""An identifier under which more than that is said is given to everybody."""

LinkState = Literal["automatic", "suggested", "confirmed", "rejected"]


@dataclass(frozen=True)
class Facts:
    """What all records of one identifier say together.

    alike  Identity.alike of those that have all of it; `names` are theirs, folded
    """

    alike: frozenset[str]
    names: frozenset[str]
    numbers: frozenset[str]


@dataclass(frozen=True)
class LinkPlan:
    """links   state of every pair that is worth a row
    groups  two members or more each; nobody is in two
    torn    confirmed links whose group has become impossible: a person must look
    """

    links: Mapping[Pair, LinkState]
    groups: tuple[frozenset[PersonId], ...]
    torn: tuple[frozenset[PersonId], ...]


def facts_of(identities: Collection[Identity]) -> Facts | None:
    """None if an identifier cannot be linked: its records are of different people, of two birth
    dates or sexes, or none has name (two words at least), birth date and sex.
    """
    if len(identities) > MOST_SAID or find_different(identities):
        return None
    dates = {one.birth_date for one in identities} - {""}
    sexes = {one.sex for one in identities} - {""}
    if len(dates) != 1 or len(sexes) != 1:
        return None
    whole = [one for one in identities if one.alike]
    numbers = frozenset[str]().union(*(one.numbers for one in identities))
    if not whole or contradict(numbers, frozenset()):
        return None
    return Facts(
        frozenset(one.alike for one in whole), frozenset(one.name for one in whole), numbers
    )


def plan_links(known: Mapping[PersonId, Facts], decided: Mapping[Pair, bool]) -> LinkPlan:
    """The links among these identifiers.

    known    must hold every identifier that is alike one of them or linked with one
    decided  what people have said: True for one person, False for two
    """
    proposed = _propose(known, decided)
    confirmed = {pair for pair, same in decided.items() if same and _both(pair, known)}
    automatic = {pair for pair, numbered in proposed.items() if numbered}
    rejected = {pair for pair, same in decided.items() if not same}
    groups: list[frozenset[PersonId]] = []
    torn: list[frozenset[PersonId]] = []
    for whole in _components(automatic | confirmed):
        if _is_sound(whole, known, rejected):
            groups.append(whole)
            continue
        for part in _components(pair for pair in confirmed if pair.first in whole):
            (groups if _is_sound(part, known, rejected) else torn).append(part)
    group_of = {member: number for number, group in enumerate(groups) for member in group}
    links: dict[Pair, LinkState] = {}
    for pair in proposed:
        joined = group_of.get(pair.first, -1) == group_of.get(pair.second, -2)
        links[pair] = "automatic" if joined and pair in automatic else "suggested"
    links |= {pair: "confirmed" if same else "rejected" for pair, same in decided.items()}
    return LinkPlan(links, tuple(groups), tuple(torn))


def _propose(known: Mapping[PersonId, Facts], decided: Mapping[Pair, bool]) -> dict[Pair, bool]:
    """Undecided pairs that are alike, and whether a state number says the same."""
    alike: dict[str, list[PersonId]] = {}
    for person_id in sorted(known):
        for key in known[person_id].alike:
            alike.setdefault(key, []).append(person_id)
    proposed: dict[Pair, bool] = {}
    for members in alike.values():
        for one, other in combinations(members if len(members) <= MOST_ALIKE else (), 2):
            pair = Pair.of(one, other)
            mine, theirs = known[one], known[other]
            named_alike = any(may_be_one_name(a, b) for a, b in product(mine.names, theirs.names))
            if pair in decided or not named_alike or contradict(mine.numbers, theirs.numbers):
                continue
            proposed[pair] = bool(mine.numbers & theirs.numbers)
    return proposed


def _both(pair: Pair, known: Mapping[PersonId, Facts]) -> bool:
    return pair.first in known and pair.second in known


def _components(pairs: Iterable[Pair]) -> list[frozenset[PersonId]]:
    """Members that hang together, in a fixed order."""
    group_of: dict[PersonId, set[PersonId]] = {}
    for one, other in sorted(pairs):
        joined = group_of.get(one, {one}) | group_of.get(other, {other})
        for member in joined:
            group_of[member] = joined
    found = {min(group): frozenset(group) for group in group_of.values()}
    return [found[first] for first in sorted(found)]


def _is_sound(
    group: Collection[PersonId], known: Mapping[PersonId, Facts], rejected: Collection[Pair]
) -> bool:
    numbers = frozenset[str]().union(*(known[member].numbers for member in group))
    if contradict(numbers, frozenset()):
        return False
    return not any(Pair.of(one, other) in rejected for one, other in combinations(group, 2))
