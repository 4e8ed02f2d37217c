"""Versions of rule sets: immutable, one author after another, active by the last decision."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from gateway.errors import RuleSetChanged, RuleSetRefused
from gateway.model.routing.document import parse_rule_set
from gateway.model.routing.rule_sets import RuleSet
from gateway.records.rules import (
    activate,
    active_version,
    active_versions,
    approve,
    load_activations,
    load_version,
    load_versions,
    rule_version,
    save_version,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def rules(owner: str, reason: str) -> RuleSet:
    last = "" if owner == "ministry" else f"otherwise: [{{do: hold, reason: {reason}}}]"
    rule = "{id: a, name: a, when: always, then: [{do: send, target: archive}]}"
    found, mistakes = parse_rule_set(f"site: {owner}\nrules: [{rule}]\n{last}")
    assert mistakes == ()
    assert found is not None
    return found


def save(records, reason: str, based_on: int, owner: str = "north") -> int:
    return save_version(records, rules(owner, reason), "ivanova", "why", based_on, NOON)


def test_versions_count_up_and_stay_as_they_were(records):
    assert save(records, "one", 0) == 1
    assert save(records, "two", 1) == 2
    assert [(v.number, v.rule_set) for v in load_versions(records, "north")] == [
        (2, rules("north", "two")),
        (1, rules("north", "one")),
    ]
    first = load_version(records, "north", 1)
    assert first is not None
    assert (first.author, first.comment, first.made_at) == ("ivanova", "why", NOON)
    assert load_version(records, "north", 3) is None
    assert load_versions(records, "south") == []


def test_an_author_who_did_not_see_the_last_version_is_refused(records):
    save(records, "one", 0)
    with pytest.raises(RuleSetChanged) as raised:
        save(records, "two", 0)
    assert raised.value.number == 1
    assert len(load_versions(records, "north")) == 1


def test_the_same_rules_are_no_new_version(records):
    assert save(records, "one", 0) == 1
    assert save(records, "one", 1) == 1


def numbers(records, *moments: datetime) -> list[int | None]:
    found = (active_version(records, "north", moment) for moment in moments)
    return [version.number if version else None for version in found]


def test_a_version_counts_from_its_moment_on(records):
    save(records, "one", 0)
    save(records, "two", 1)
    assert numbers(records, NOON) == [None]
    activate(records, "north", 1, NOON, "ivanova", NOON)
    activate(records, "north", 2, NOON + 10 * HOUR, "ivanova", NOON)
    assert numbers(records, NOON, NOON + 9 * HOUR, NOON + 10 * HOUR) == [1, 1, 2]


def test_a_rollback_ends_what_was_planned(records):
    save(records, "one", 0)
    save(records, "two", 1)
    activate(records, "north", 2, NOON + 10 * HOUR, "ivanova", NOON)
    activate(records, "north", 1, NOON + HOUR, "petrov", NOON + HOUR)
    assert numbers(records, NOON + 11 * HOUR) == [1]
    assert [a.number for a in load_activations(records, "north")] == [1, 2]


def test_a_version_that_needs_a_second_person_waits_for_one(records):
    save(records, "one", 0)
    made = activate(records, "north", 1, NOON, "ivanova", NOON, needs_approval=True)
    with pytest.raises(RuleSetRefused, match="not_to_approve"):
        approve(records, made, "ivanova", NOON + HOUR)
    assert numbers(records, NOON + HOUR) == [None]
    approve(records, made, "petrov", NOON + 2 * HOUR)
    assert numbers(records, NOON + HOUR, NOON + 2 * HOUR) == [None, 1]
    with pytest.raises(RuleSetRefused, match="not_to_approve"):
        approve(records, made, "sidorov", NOON + 3 * HOUR)
    with pytest.raises(RuleSetRefused, match="not_to_approve"):
        approve(records, made + 1, "sidorov", NOON)


def test_what_was_decided_later_overtakes_what_waits_for_a_second_person(records):
    save(records, "one", 0)
    save(records, "two", 1)
    waits = activate(records, "north", 2, NOON, "ivanova", NOON, needs_approval=True)
    activate(records, "north", 1, NOON + HOUR, "ivanova", NOON)
    with pytest.raises(RuleSetRefused, match="not_to_approve"):
        approve(records, waits, "petrov", NOON + 2 * HOUR)
    assert numbers(records, NOON + 2 * HOUR) == [1]


def test_what_cannot_be_activated_is_refused(records):
    save(records, "one", 0)
    with pytest.raises(RuleSetRefused, match="no_such_version"):
        activate(records, "north", 2, NOON, "ivanova", NOON)
    with pytest.raises(RuleSetRefused, match="starts_in_the_past"):
        activate(records, "north", 1, NOON - HOUR, "ivanova", NOON)
    assert load_activations(records, "north") == []


def test_the_ministry_comes_first(records):
    save(records, "one", 0)
    save(records, "", 0, owner="ministry")
    activate(records, "north", 1, NOON, "ivanova", NOON)
    activate(records, "ministry", 1, NOON, "ministry", NOON)
    assert [v.owner for v in active_versions(records, "north", NOON)] == ["ministry", "north"]
    assert [v.owner for v in active_versions(records, "south", NOON)] == ["ministry"]


def test_rules_of_a_newer_gateway_are_not_guessed(records):
    save(records, "one", 0)
    with records.write() as connection:
        newer = rule_version.c.document + "\nnew_key: 1\n"
        connection.execute(sa.update(rule_version).values(document=newer))
    with pytest.raises(RuleSetRefused, match="unknown_key"):
        load_version(records, "north", 1)
