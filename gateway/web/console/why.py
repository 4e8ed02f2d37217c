"""`/console/studies/{uid}/why`: what each rule and each condition says of a study now.

The site is asked for what the index does not keep. Values that name a person are not shown: a
condition's outcome is enough to see why.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, request

from gateway.bootstrap import Gateway
from gateway.clock import utc_now
from gateway.errors import NotFound
from gateway.model.access import Action
from gateway.model.routing.conditions import Comparison, Group, Trace
from gateway.model.routing.decide import RuleTrace, decide, explain
from gateway.model.routing.fields import Field
from gateway.model.routing.words import (
    OUTCOMES,
    condition_in_words,
    reason_in_words,
)
from gateway.model.wording import Words
from gateway.records.deliveries import load_delivered
from gateway.records.rules import active_versions
from gateway.routing.gather import gather
from gateway.web.console.frame import check_site, show, text_of
from gateway.web.console.rule_telling import Teller
from gateway.web.console.rule_words import STATE_WORDS
from gateway.web.console.studies import find_story
from gateway.web.permissions import needs

MOST_VALUES = 5
MOST_LETTERS = 60
JOINS = {
    "all": Words("всё из этого", "all of these"),
    "any": Words("хотя бы одно", "any of these"),
    "none": Words("ничего из этого", "none of these"),
}
MARKS = {"true": "●", "false": "○", "missing": "?", "unread": "▲"}
OF_PERSONS = ("Patient", "Birth", "Person", "AccessionNumber")


@dataclass(frozen=True)
class Line:
    """One condition, `depth` groups below its rule; values as far as they may be shown."""

    depth: int
    outcome: str
    words: Words
    values: str


def add_routes(door: Blueprint, gateway: Gateway) -> None:
    """/console/studies/{uid}/why"""

    @door.get("/studies/<study_uid>/why")
    @needs(Action.READ_DELIVERIES)
    def why(study_uid: str) -> Response:
        story = find_story(gateway, study_uid)
        site = check_site(gateway, text_of(request.args, "site", required=True))
        if site.site_id not in {one.site_id for one in story.arrivals}:
            raise NotFound("site")
        now, records = utc_now(), gateway.records
        versions = active_versions(records, site.site_id, now)
        rule_sets = [version.rule_set for version in versions]
        there = load_delivered(records, site.site_id, study_uid)
        facts = gather(
            records, gateway.wire, site, study_uid, rule_sets, now, already_at=there, whole=True
        )
        traces = explain(rule_sets, facts, now)
        return show(
            gateway, "why", study_uid=study_uid, site=site, versions=versions,
            decision=decide(rule_sets, facts, now),
            traces=with_lines(traces), tell=Teller(gateway.region), states=STATE_WORDS,
            **WORDS_OF_TRACES,
        )  # fmt: skip


def with_lines(traces: Sequence[RuleTrace]) -> list[tuple[RuleTrace, list[Line]]]:
    """Each rule with what each of its conditions said."""
    return [(one, [line for each in one.conditions for line in _lines(each, 0)]) for one in traces]


WORDS_OF_TRACES: Mapping[str, Any] = {
    "outcomes": {name: Words(*pair) for name, pair in OUTCOMES.items()},
    "marks": MARKS,
    "rule_reason": lambda why: Words(reason_in_words(why, "ru"), reason_in_words(why, "en")),
}
"""What a page needs to show them."""


def _lines(trace: Trace, depth: int) -> Iterator[Line]:
    condition = trace.condition
    if isinstance(condition, Group):
        if trace.below:
            yield Line(depth, trace.outcome.value, JOINS[condition.join], "")
        for below in trace.below:
            yield from _lines(below, depth + 1)
        return
    words = Words(condition_in_words(condition, "ru"), condition_in_words(condition, "en"))
    yield Line(depth, trace.outcome.value, words, _values(condition, trace.found))


def _values(comparison: Comparison, found: tuple[object, ...] | None) -> str:
    if not found:
        return ""
    if names_a_person(comparison.field):
        return "скрыто · hidden"
    shown = [_shown(value)[:MOST_LETTERS] for value in found[:MOST_VALUES]]
    return ", ".join(shown) + (" …" if len(found) > MOST_VALUES else "")


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def names_a_person(field: Field) -> bool:
    """Whether values may tell who the patient is; without a keyword nobody knows."""
    return bool(field.vr) or field.kind == "name" or any(w in field.name for w in OF_PERSONS)
