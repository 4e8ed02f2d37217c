"""Conditions: operators by kind of field, missing as its own outcome, limits."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model.routing.conditions import Outcome, join_outcomes, read_conditions, trace
from gateway.model.routing.facts import Facts, gather
from gateway.model.routing.mistakes import Reader
from tests.model.routing.studies import CT, arrival

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)


def outcome(facts: Facts, field: str, op: str, value: Any = None, **rest: str) -> Outcome:
    condition: dict[str, Any] = {"field": field, "op": op, **rest}
    if value is not None:
        condition["value"] = value
    reader = Reader({"all": [condition]})
    group = read_conditions(reader)
    assert reader.mistakes == []
    return group.outcome(facts, NOW)


STUDY = gather(
    arrival(source_aets=("CT1",), size_bytes=52_400_000, already_at=frozenset({"archive"})),
    [
        CT
        | {
            "00081030": {"vr": "LO", "Value": ["КТ  Чёрепа"]},
            "00100010": {"vr": "PN", "Value": [{"Alphabetic": "ИВАНОВ-Петров^Пётр"}]},
            "00100030": {"vr": "DA", "Value": ["19800229"]},
            "00180050": {"vr": "DS", "Value": [thickness]},
            "00400260": {
                "vr": "SQ",
                "Value": [
                    {
                        "00080100": {"vr": "SH", "Value": ["51185008"]},
                        "00080102": {"vr": "SH", "Value": ["SCT"]},
                    }
                ],
            },
            "00080090": {"vr": "PN"},
            "00090010": {"vr": "LO", "Value": ["MAKER 1"]},
            "0009101A": {"vr": "LO", "Value": ["Б-7"]},
        }
        for thickness in ("5", 0.625)
    ],
)


@pytest.mark.parametrize(
    ("field", "op", "value", "expected"),
    [
        ("StudyDescription", "equals", "кт черепа", True),
        ("StudyDescription", "equals", "кт", False),
        ("StudyDescription", "in", ["МРТ", "КТ ЧЕРЕПА"], True),
        ("StudyDescription", "contains", "ЧЕРЕП", True),
        ("StudyDescription", "starts", "кт ч", True),
        ("StudyDescription", "ends", "ё", False),
        ("StudyDescription", "matches", "^кт .*ЧЁРЕПА?$", True),
        ("StudyDescription", "matches", "мрт|пэт", False),
        ("PatientName", "starts", "иванов петров", True),
        ("Modality", "equals", "ct", True),
        ("ModalitiesInStudy", "any_of", ["MR", "CT"], True),
        ("ModalitiesInStudy", "all_of", ["MR", "CT"], False),
        ("ModalitiesInStudy", "none_of", ["MR", "US"], True),
        ("SliceThickness", "<", 1, True),
        ("SliceThickness", "=", 5, True),
        ("SliceThickness", ">", 5, False),
        ("SliceThickness", "≥", 5, True),
        ("SliceThickness", "<=", 0.625, True),
        ("SliceThickness", "between", [1, 4], False),
        ("StudyDate", "before", "2026-11-22", True),
        ("StudyDate", "after", "20261120", True),
        ("StudyDate", "between", ["2026-11-21", "2026-11-21"], True),
        ("StudyDate", "within_last_days", 1, True),
        ("StudyDate", "within_last_days", 0, False),
        ("StudyTime", "between", ["08:00", "08:30"], True),
        ("StudyTime", "after", "08:15", False),
        ("ProcedureCodeSequence", "missing", None, True),
        ("PerformedProtocolCodeSequence", "has_item", {"code": "51185008", "scheme": "SCT"}, True),
        ("PerformedProtocolCodeSequence", "has_item", {"code": "51185008", "scheme": "SRT"}, False),
        ("PerformedProtocolCodeSequence", "has_item", "51185008", True),
        ("ReferringPhysicianName", "empty", None, True),
        ("ReferringPhysicianName", "missing", None, False),
        ("StudyDescription", "empty", None, False),
        ("site", "equals", "north", True),
        ("source_aet", "equals", "ct1", True),
        ("received_at.hour", "between", [11, 13], True),
        ("received_at.weekday", "in", ["sat", "sun"], True),
        ("received_at.holiday", "is", False, True),
        ("study_age_days", "=", 1, True),
        ("patient_age_years", "=", 46, True),
        ("instance_count", "=", 2, True),
        ("size_mb", "between", [52.3, 52.5], True),
        ("has_report", "is", False, True),
        ("already_at:archive", "is", True, True),
        ("already_at:other", "is", True, False),
    ],
)
def test_operators_compare_by_the_kind_of_the_field(
    field: str, op: str, value: Any, expected: bool
) -> None:
    assert outcome(STUDY, field, op, value) is (Outcome.TRUE if expected else Outcome.FALSE)


def test_a_private_attribute_is_found_by_tag_and_by_its_creator() -> None:
    assert outcome(STUDY, "0009101A", "equals", "б-7", vr="LO") is Outcome.TRUE
    assert outcome(STUDY, "0009xx1A:MAKER 1", "equals", "б-7", vr="LO") is Outcome.TRUE
    assert outcome(STUDY, "0009xx1A:MAKER 2", "equals", "б-7", vr="LO") is Outcome.MISSING


@pytest.mark.parametrize("op", ["equals", "contains", "matches", "empty"])
def test_nothing_but_missing_is_true_of_an_absent_attribute(op: str) -> None:
    value = None if op == "empty" else "x"
    assert outcome(STUDY, "SeriesDescription", op, value) is Outcome.MISSING
    assert outcome(STUDY, "SeriesDescription", "missing") is Outcome.TRUE


def test_none_does_not_turn_missing_into_a_match() -> None:
    phantom = {"field": "SeriesDescription", "op": "contains", "value": "фантом"}
    group = read_conditions(Reader({"none": [phantom]}))
    assert group.outcome(STUDY, NOW) is Outcome.MISSING
    said = {"any": [{"field": "SeriesDescription", "op": "missing"}, {"none": [phantom]}]}
    assert read_conditions(Reader(said)).outcome(STUDY, NOW) is Outcome.TRUE


@pytest.mark.parametrize("value", ["abc", "1e999", {"x": 1}, True], ids=repr)
def test_what_cannot_be_read_as_its_kind_is_neither_true_nor_false_nor_missing(value: Any) -> None:
    facts = gather(arrival(), [CT | {"00180050": {"vr": "DS", "Value": ["5", value]}}])
    assert {outcome(facts, "SliceThickness", op, 0) for op in ("<", ">")} == {Outcome.UNREAD}
    assert outcome(facts, "SliceThickness", "missing") is Outcome.UNREAD


outcomes = st.lists(st.sampled_from(Outcome), max_size=6)


@given(outcomes)
def test_joins_are_kleenes_logic(found: list[Outcome]) -> None:
    undecided = Outcome.UNREAD if Outcome.UNREAD in found else Outcome.MISSING
    order = [Outcome.FALSE, undecided, Outcome.TRUE]
    ranks = [order.index(each) if each in order else 1 for each in found]
    assert join_outcomes("all", found) is order[min(ranks, default=2)]
    assert join_outcomes("any", found) is order[max(ranks, default=0)]
    assert join_outcomes("none", found) is order[2 - max(ranks, default=0)]


def test_a_trace_says_what_each_condition_said() -> None:
    reader = Reader(
        {
            "any": [
                {"field": "Modality", "op": "equals", "value": "MR"},
                {"field": "SeriesDescription", "op": "contains", "value": "x"},
            ]
        }
    )
    found = trace(read_conditions(reader), STUDY, NOW)
    assert found.outcome is Outcome.MISSING
    assert [(each.outcome, each.found) for each in found.below] == [
        (Outcome.FALSE, ("ct",)),
        (Outcome.MISSING, None),
    ]


def nested(depth: int) -> Any:
    inside: Any = {"field": "Modality", "op": "equals", "value": "CT"}
    for _ in range(depth):
        inside = {"all": [inside]}
    return inside


def mistakes(value: Any) -> list[tuple[Any, str]]:
    reader = Reader(value)
    read_conditions(reader)
    return [(mistake.path, mistake.code) for mistake in reader.mistakes]


def test_groups_are_five_deep_at_most() -> None:
    assert mistakes(nested(5)) == []
    assert [code for _, code in mistakes(nested(6))] == ["too_deep"]


def test_conditions_are_two_hundred_at_most() -> None:
    one = {"field": "Modality", "op": "equals", "value": "CT"}
    assert mistakes({"all": [one] * 199}) == []
    assert mistakes({"any": [{"all": [one] * 150}, {"all": [one] * 150}]}) == [
        ((), "too_many_conditions")
    ]


@pytest.mark.parametrize(
    ("condition", "place", "code"),
    [
        ({"field": "Nonsense", "op": "equals", "value": "x"}, "field", "unknown_field"),
        ({"field": "__import__", "op": "equals", "value": "x"}, "field", "unknown_field"),
        ({"field": "PixelData", "op": "empty"}, "field", "unknown_field"),
        ({"field": "00091001", "op": "equals", "value": "x"}, "field", "unknown_field"),
        ({"field": "Modality", "op": "contains", "value": "x"}, "op", "unknown_operator"),
        ({"field": "Modality", "op": "eval", "value": "x"}, "op", "unknown_operator"),
        ({"field": "AccessionNumber", "op": "equals", "value": 612}, "value", "quote_text"),
        ({"field": "AccessionNumber", "op": "equals", "value": "--"}, None, ""),
        ({"field": "PatientName", "op": "equals", "value": "--"}, "value", "not_a_text"),
        ({"field": "StudyDescription", "op": "matches", "value": "(a"}, "value", "bad_pattern"),
        ({"field": "StudyDescription", "op": "matches", "value": r"(a)\1"}, "value", "bad_pattern"),
        (
            {"field": "StudyDescription", "op": "matches", "value": "((a{500}){500}){9}"},
            "value",
            "bad_pattern",
        ),
        ({"field": "StudyDate", "op": "before", "value": "2026-02-31"}, "value", "not_a_date"),
        ({"field": "StudyTime", "op": "before", "value": "25:00"}, "value", "not_a_time"),
        ({"field": "instance_count", "op": ">", "value": "9**9**9"}, "value", "not_a_number"),
        ({"field": "instance_count", "op": ">", "value": float("nan")}, "value", "out_of_range"),
        ({"field": "instance_count", "op": "between", "value": [5, 1]}, "value", "span_reversed"),
        ({"field": "Modality", "op": "missing", "value": "x"}, "value", "no_value_wanted"),
        ({"field": "Modality", "op": "equals"}, "value", "missing_key"),
        ({"field": "received_at.holiday", "op": "is"}, "value", "missing_key"),
    ],
)
def test_a_wrong_condition_is_named(
    condition: dict[str, Any], place: str | None, code: str
) -> None:
    wanted = [] if place is None else [(("all", 0, place), code)]
    assert mistakes({"all": [condition]}) == wanted


@pytest.mark.parametrize("value", [{}, [], None, "all", {"all": []}, {"maybe": []}], ids=repr)
def test_a_rule_without_conditions_says_always(value: Any) -> None:
    assert mistakes(value) != []
    assert mistakes("always") == []


def test_a_regular_expression_needs_linear_time() -> None:
    facts = gather(arrival(), [CT | {"00104000": {"vr": "LT", "Value": ["a" * 100_000 + "!"]}}])
    assert outcome(facts, "PatientComments", "matches", "^(a+)+$") is Outcome.FALSE
