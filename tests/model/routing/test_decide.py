"""What happens to a study: order, stop, hold and drop, shadow, the last rule, series."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model.routing.actions import SetTag
from gateway.model.routing.conditions import Outcome
from gateway.model.routing.decide import Decision, decide, explain
from gateway.model.routing.facts import gather
from gateway.model.routing.mistakes import Reader
from gateway.model.routing.rule_sets import RuleSet, read_rule_set
from tests.model.routing.studies import CT, arrival

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
STUDY = gather(arrival(), [CT])
IS_CT = {"all": [{"field": "Modality", "op": "equals", "value": "CT"}]}
IS_MR = {"all": [{"field": "Modality", "op": "equals", "value": "MR"}]}
SEND = {"do": "send", "target": "archive"}
HOLD = {"do": "hold", "reason": "look"}


def rule(rule_id: str, when: Any, *then: dict[str, Any], **rest: Any) -> dict[str, Any]:
    given = {"id": rule_id, "name": rule_id, "state": "active", "when": when, "then": list(then)}
    return given | rest


def rule_set(*rules: dict[str, Any], owner: str = "north", otherwise: Any = HOLD) -> RuleSet:
    document: dict[str, Any] = {"site": owner, "rules": list(rules)}
    if owner != "ministry":
        document["otherwise"] = [otherwise]
    reader = Reader(document)
    found = read_rule_set(reader)
    assert reader.mistakes == []
    assert found is not None
    return found


def targets(decision: Decision) -> list[str]:
    return [planned.target for planned in decision.sends]


def test_a_study_goes_where_every_matching_rule_sends_it() -> None:
    found = decide(
        [
            rule_set(
                rule("a", IS_CT, SEND),
                rule("b", IS_MR, SEND | {"target": "mr"}),
                rule("c", "always", {"do": "send", "targets": ["archive", "teaching"]}),
            )
        ],
        STUDY,
        NOW,
    )
    assert targets(found) == ["archive", "teaching"]
    assert [planned.rule for planned in found.sends] == ["north/a", "north/c"]
    assert found.ended == ""


def test_what_no_rule_took_falls_to_the_last_rule() -> None:
    held = decide([rule_set(rule("b", IS_MR, SEND))], STUDY, NOW)
    assert (held.sends, held.ended, held.reason, held.rule) == (
        (), "held", "look", "north/otherwise",
    )  # fmt: skip
    sent = decide([rule_set(rule("b", IS_MR, SEND), otherwise=SEND)], STUDY, NOW)
    assert targets(sent) == ["archive"]


def test_without_a_rule_set_a_study_is_held() -> None:
    assert decide([], STUDY, NOW).ended == "held"
    ministry = rule_set(rule("m", IS_MR, SEND), owner="ministry")
    assert decide([ministry], STUDY, NOW).ended == "held"


def test_the_ministry_comes_first_and_stays() -> None:
    ministry = rule_set(rule("m", IS_CT, SEND), owner="ministry")
    hospital = rule_set(rule("x", "always", {"do": "drop", "reason": "phantom"}))
    found = decide([ministry, hospital], STUDY, NOW)
    assert targets(found) == ["archive"]
    assert (found.ended, found.reason, found.rule) == ("dropped", "phantom", "north/x")


@pytest.mark.parametrize("ending", [{"stop": True}, {}], ids=["stop", "hold"])
def test_stop_and_hold_end_the_reading(ending: dict[str, Any]) -> None:
    first = rule("a", IS_CT, SEND, **ending) if ending else rule("a", IS_CT, SEND, HOLD)
    found = decide([rule_set(first, rule("b", "always", SEND | {"target": "late"}))], STUDY, NOW)
    assert targets(found) == ["archive"]


def test_a_rule_that_only_tells_someone_takes_nothing() -> None:
    found = decide([rule_set(rule("n", IS_CT, {"do": "notify", "list": "it"}))], STUDY, NOW)
    assert (found.notices, found.ended) == ((("it", "north/n"),), "held")


@pytest.mark.parametrize("state", ["draft", "retired"])
def test_drafts_and_retired_rules_do_nothing(state: str) -> None:
    found = decide([rule_set(rule("a", IS_CT, SEND, state=state))], STUDY, NOW)
    assert (found.sends, found.ended) == ((), "held")


def test_a_shadow_rule_changes_nothing_and_tells_what_it_would_send() -> None:
    shadow = rule("s", IS_CT, SEND | {"target": "new"}, state="shadow", stop=True)
    found = decide([rule_set(shadow, rule("a", IS_CT, SEND))], STUDY, NOW)
    assert targets(found) == ["archive"]
    assert [planned.target for planned in found.shadow] == ["new"]
    alone = decide([rule_set(shadow)], STUDY, NOW)
    assert (alone.sends, alone.ended) == ((), "held")


def test_edits_hold_for_the_sends_after_them_in_the_same_rule() -> None:
    issuer = {"do": "set_tag", "tag": "IssuerOfPatientID", "value": "${site.issuer}"}
    teaching = SEND | {"target": "teaching"}
    both = rule("a", IS_CT, SEND, issuer, teaching)
    found = decide([rule_set(both, rule("b", IS_CT, SEND | {"target": "c"}))], STUDY, NOW)
    assert [(planned.target, planned.edits) for planned in found.sends] == [
        ("archive", ()),
        ("teaching", (SetTag("IssuerOfPatientID", "${site.issuer}"),)),
        ("c", ()),
    ]


def test_one_destination_gets_one_delivery_by_the_first_rule_in_the_best_lane() -> None:
    slow = rule("a", IS_CT, SEND | {"verify": "FETCH"}, schedule={"lane": "bulk"})
    fast = rule("b", IS_CT, SEND, schedule={"lane": "emergency"})
    found = decide([rule_set(slow, fast)], STUDY, NOW).sends
    assert [(p.target, p.rule, p.lane, p.verify) for p in found] == [
        ("archive", "north/a", "emergency", "FETCH")
    ]


TWO_SERIES = gather(
    arrival(),
    [
        CT,
        CT
        | {
            "00080060": {"vr": "CS", "Value": ["SR"]},
            "0020000E": {"vr": "UI", "Value": ["1.2.3.2"]},
        },
    ],
)


def test_a_rule_of_level_series_sends_the_series_that_it_takes() -> None:
    reports = {"all": [{"field": "Modality", "op": "equals", "value": "SR"}]}
    series = rule("s", reports, SEND, level="series")
    found = decide([rule_set(series)], TWO_SERIES, NOW).sends
    assert [(planned.target, planned.series) for planned in found] == [("archive", ("1.2.3.2",))]
    # Together with a rule for the whole study, the whole study goes.
    found = decide([rule_set(series, rule("a", "always", SEND))], TWO_SERIES, NOW).sends
    assert [(planned.target, planned.series) for planned in found] == [("archive", ())]


def test_attributes_are_of_all_instances_never_of_the_first() -> None:
    has_sr = {"all": [{"field": "Modality", "op": "equals", "value": "SR"}]}
    assert targets(decide([rule_set(rule("a", has_sr, SEND))], TWO_SERIES, NOW)) == ["archive"]
    report = {"all": [{"field": "has_report", "op": "is", "value": True}]}
    assert targets(decide([rule_set(rule("a", report, SEND))], TWO_SERIES, NOW)) == ["archive"]


conditions = st.sampled_from(
    ["always", IS_CT, IS_MR, {"none": [{"field": "SeriesDescription", "op": "empty"}]}]
)
actions = st.sampled_from(
    [
        (SEND,),
        (SEND | {"target": "b"},),
        (HOLD,),
        ({"do": "drop", "reason": "x"},),
        ({"do": "notify", "list": "it"},),
    ]
)
rules = st.lists(
    st.tuples(conditions, actions, st.sampled_from(["draft", "shadow", "active"]), st.booleans()),
    max_size=6,
)


@given(rules, st.sampled_from([SEND, HOLD]))
def test_every_study_is_sent_held_or_dropped_and_the_explanation_agrees(
    given_rules: list[Any], otherwise: dict[str, Any]
) -> None:
    made = rule_set(
        *(
            rule(f"r{n}", when, *then, state=state, stop=stop)
            for n, (when, then, state, stop) in enumerate(given_rules)
        ),
        otherwise=otherwise,
    )
    found = decide([made], STUDY, NOW)
    assert found.sends or (found.ended in ("held", "dropped") and found.reason)
    acted = {
        f"north/{each.rule.rule_id}"
        for each in explain([made], STUDY, NOW)
        if each.reached and each.outcome is Outcome.TRUE and each.rule.state == "active"
    } | {"north/otherwise"}
    named = {planned.rule for planned in found.sends} | ({found.rule} if found.ended else set())
    assert named <= acted
