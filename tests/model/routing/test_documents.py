"""Rule sets as documents: reading back, the line of each mistake, hostile YAML, words."""

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model.routing import words
from gateway.model.routing.actions import VERIFY, Action
from gateway.model.routing.document import Located, format_rule_set, parse_rule_set
from gateway.model.routing.fields import COMPUTED
from gateway.model.routing.mistakes import Mistake, Reader
from gateway.model.routing.operators import OPERATORS
from gateway.model.routing.rule_sets import RuleSet, read_rule_set

EXAMPLE = """\
site: gkb1
rules:
  - id: r-0042
    name: КТ и МР травмцентра в архив
    state: shadow
    trigger: {event: study_stable, quiet_s: 60, late_arrivals: send_delta, force_after_s: 3600}
    when:
      all:
        - {field: site, op: in, value: [gkb1]}
        - {field: ModalitiesInStudy, op: any_of, value: [CT, MR]}
        - {field: StudyDate, op: within_last_days, value: 30}
        - {field: instance_count, op: =, value: 30}
      none:
        - {field: StudyDescription, op: contains, value: фантом}
    then:
      - {do: set_tag, tag: IssuerOfPatientID, value: "${site.issuer}"}
      - {do: send, target: region-archive, verify: SET}
    on_error: hold
    stop: false
    schedule: {windows: ["20:00-06:00"], tz: site, lane: bulk}
otherwise:
  - {do: hold, reason: нет правила}
"""


def parse(text: str) -> RuleSet:
    found, mistakes = parse_rule_set(text)
    assert mistakes == ()
    assert found is not None
    return found


def test_the_example_reads_and_reads_back() -> None:
    found = parse(EXAMPLE)
    assert parse(format_rule_set(found)) == found
    assert words.rule_in_words(found.rules[0], "ru") == (
        "Если больница — одно из: gkb1 и модальности — есть хотя бы одно из: CT, MR и дата "
        "исследования за последние 30 дн. и число снимков равно 30 и (неверно всё: описание "
        "исследования содержит фантом), то записать «${site.issuer}» в поле «кто выдал номер "
        "пациента», отправить в region-archive, сверка SET (в фоне); время: 20:00-06:00"
    )


@pytest.mark.parametrize(
    ("old", "new", "line", "code"),
    [
        ("op: in,", "op: inn,", 9, "unknown_operator"),
        ("stop: false", "stop: 1", 19, "not_a_flag"),
        ("id: r-0042", "id: R 42", 3, "no_id"),
        ("then:", "than:", 15, "unknown_key"),
        ("verify: SET", "verify: instance_count", 17, "not_a_choice"),
        ("target: region-archive", "target: http://x", 17, "no_id"),
        ('value: "${site.issuer}"', 'value: "${7*7}"', 16, "unknown_place"),
        ("tag: IssuerOfPatientID", "tag: SOPInstanceUID", 16, "untouchable"),
        ("tag: IssuerOfPatientID", "tag: Rows", 16, "untouchable"),
        ('"20:00-06:00"', '"20:00-20:00"', 20, "no_window"),
        ("tz: site", "tz: Mars/Base", 20, "no_zone"),
        ("on_error: hold", "on_error: drop", 18, "not_a_choice"),
        ("state: shadow", "state: shadow\n    state: active", 6, "key_twice"),
        ("- {do: hold, reason: нет правила}", "- {do: drop, reason: x}", 22, "not_a_choice"),
        ("quiet_s: 60", "quiet_s: -1", 6, "out_of_range"),
        ("name: КТ и", 'name: "a\\u202Eb', 0, "not_yaml"),
    ],
)
def test_a_mistake_is_named_with_its_line_and_changes_nothing(
    old: str, new: str, line: int, code: str
) -> None:
    assert old in EXAMPLE
    found, mistakes = parse_rule_set(EXAMPLE.replace(old, new))
    assert found is None
    told = [(each.line, each.mistake.code) for each in mistakes]
    assert code in [each[1] for each in told]
    assert not line or (line, code) in told


def test_a_name_with_invisible_direction_marks_is_refused() -> None:
    _, mistakes = parse_rule_set(EXAMPLE.replace("name: КТ и", "name: КТ\u202e и"))
    assert [each.mistake.code for each in mistakes] in (["unprintable"], ["not_yaml"])


def test_a_rule_set_without_its_last_rule_is_refused() -> None:
    text = EXAMPLE[: EXAMPLE.index("otherwise")]
    _, mistakes = parse_rule_set(text)
    assert mistakes == (Located(Mistake(("otherwise",), "no_otherwise"), 1),)


def test_two_rules_with_one_id_are_refused() -> None:
    rule = {"id": "a", "name": "a", "when": "always", "then": [{"do": "hold", "reason": "x"}]}
    hold = [{"do": "hold", "reason": "x"}]
    reader = Reader({"site": "x", "rules": [rule, rule], "otherwise": hold})
    assert read_rule_set(reader) is None
    assert reader.mistakes == [Mistake(("rules", 1, "id"), "id_twice", "a")]


@pytest.mark.parametrize(
    ("then", "code"),
    [
        ([{"do": "hold", "reason": "x"}, {"do": "send", "target": "a"}], "ends_before_end"),
        ([{"do": "remove_tag", "tag": "StudyID"}], "edit_without_send"),
        ([{"do": "send"}], "one_of_target_targets"),
        ([{"do": "send", "targets": ["a", "a"]}], "named_twice"),
        ([{"do": "send", "target": "a", "failover_target": "a"}], "named_twice"),
        ([{"do": "exec", "code": "x"}], "not_a_choice"),
        ([{"do": "drop"}], "missing_key"),
        (["send"], "not_a_table"),
        ([], "list_length"),
        (
            [{"do": "map_tag", "tag": "StudyID", "map": {1: "x"}}, {"do": "send", "target": "a"}],
            "quote_text",
        ),
    ],
)
def test_a_wrong_action_is_named(then: list[Any], code: str) -> None:
    rule = {"id": "a", "name": "a", "when": "always", "then": then}
    hold = [{"do": "hold", "reason": "x"}]
    reader = Reader({"site": "x", "rules": [rule], "otherwise": hold})
    assert read_rule_set(reader) is None
    assert [mistake.code for mistake in reader.mistakes] == [code]


@pytest.mark.parametrize(
    "text",
    [
        "!!python/object/apply:os.system [id]",
        "site: !!python/name:os.system ''",
        "a: &a [1]\nb: *a",
        "[" * 5000,
        "{a: " * 200,
        "site: x\n\ttab",
        "",
        "\x00",
        "rules: " + "9" * 5000,
        "'" + "x" * 1_100_000 + "'",
        "=",
        "? [a]\n: b",
        "rules: !!timestamp x",
        "rules: !!bool x",
        "rules: !!int ''",
        "rules: !!float ''",
    ],
    ids=lambda text: text[:16],
)
def test_hostile_yaml_is_refused_in_words(text: str) -> None:
    found, mistakes = parse_rule_set(text)
    assert found is None
    assert mistakes
    for language in words.LANGUAGES:
        assert all(words.mistake_in_words(each.mistake, language) for each in mistakes)


@pytest.mark.parametrize("number", [".nan", ".inf", "-.inf", "1e400", "9" * 400, "true", "'5'"])
def test_a_number_that_is_none_is_refused(number: str) -> None:
    rule = f"{{id: r, name: r, when: {{all: [{{field: size_mb, op: '>', value: {number}}}]}}"
    last = "otherwise: [{do: hold, reason: x}]"
    send = "then: [{do: send, target: a}]}"
    found, mistakes = parse_rule_set(f"site: x\nrules: [{rule}, {send}]\n{last}\n")
    assert found is None
    assert {each.mistake.code for each in mistakes} <= {"out_of_range", "not_a_number"}
    assert len(mistakes) == 1


@given(st.text(max_size=60))
def test_any_text_gives_a_rule_set_or_mistakes(text: str) -> None:
    found, mistakes = parse_rule_set(text)
    assert (found is None) == bool(mistakes)


texts = st.text("абвёЁ xyz'\"#:-{}[]&*!|>%@,?", min_size=1, max_size=12).filter(str.strip)
leaves = st.one_of(
    st.builds(
        lambda op, value: {"field": "StudyDescription", "op": op, "value": value},
        st.sampled_from(["equals", "contains", "starts", "ends"]), texts,
    ),
    st.builds(
        lambda value: {"field": "InstitutionName", "op": "in", "value": value},
        st.lists(texts, min_size=1, max_size=3),
    ),
    st.builds(
        lambda a, b: {"field": "instance_count", "op": "between", "value": sorted((a, b))},
        st.integers(0, 99), st.floats(0, 99),
    ),
    st.dates().map(lambda d: {"field": "StudyDate", "op": "after", "value": d.isoformat()})
    .filter(lambda c: "1000" <= c["value"] < "2999"),
    st.just({"field": "ProcedureCodeSequence", "op": "has_item", "value": {"code": "a"}}),
    st.just({"field": "00091001", "vr": "LO", "op": "missing"}),
    st.just({"field": "charset_ok", "op": "is", "value": False}),
)  # fmt: skip
groups = st.recursive(
    leaves,
    lambda below: st.dictionaries(
        st.sampled_from(["all", "any", "none"]),
        st.lists(below, min_size=1, max_size=3),
        min_size=1,
        max_size=3,
    ),
    max_leaves=8,
)
one_action = st.sampled_from(
    [
        [{"do": "send", "targets": ["a", "b"], "verify": "FETCH", "failover_target": "c"}],
        [{"do": "map_tag", "tag": "BodyPartExamined", "map": {"ГОЛОВА": "HEAD"}},
         {"do": "deidentify", "profile": "basic"}, {"do": "send", "target": "a"}],
        [{"do": "notify", "list": "it"}, {"do": "hold", "reason": "x"}],
        [{"do": "remove_tag", "tag": "StudyID"}, {"do": "send", "target": "a"},
         {"do": "drop", "reason": "y"}],
    ]
)  # fmt: skip


def depth(tree: Any) -> int:
    if isinstance(tree, dict) and "field" not in tree:
        return 1 + max(depth(each) for below in tree.values() for each in below)
    return 0


@given(
    groups.filter(lambda tree: "field" not in tree and depth(tree) <= 5),
    one_action,
    st.booleans(),
    st.sampled_from(["study", "series"]),
    texts,
)
def test_what_is_written_reads_back_equal(
    when: Any, then: Any, stop: bool, level: str, name: str
) -> None:
    rule = {"id": "a", "name": name, "when": when, "then": then, "stop": stop, "level": level}
    hold = [{"do": "hold", "reason": "x"}]
    reader = Reader({"site": "x", "rules": [rule], "otherwise": hold})
    found = read_rule_set(reader)
    assert (found is None) == bool(reader.mistakes)
    if found is not None:
        assert parse(format_rule_set(found)) == found
        assert words.difference_in_words(found, found, "en") == []


def test_a_difference_is_told_in_words() -> None:
    old = parse(EXAMPLE)
    new = parse(
        EXAMPLE.replace("[CT, MR]", "[CT, MR, PT]")
        .replace("state: shadow", "state: active")
        .replace("target: region-archive", "target: other")
        .replace("reason: нет правила", "reason: ждёт врача")
    )
    rule = 'rule "КТ и МР травмцентра в архив": '
    assert words.difference_in_words(old, new, "en") == [
        rule + "state: shadow → active",
        rule + "added: modalities has any of: CT, MR, PT",
        rule + "removed: modalities has any of: CT, MR",
        rule + "added: send to other, verify by SET",
        rule + "removed: send to region-archive, verify by SET",
        "the last rule is now: hold: ждёт врача",
    ]
    assert words.difference_in_words(None, new, "ru")[0].startswith("добавлено правило «КТ и МР")


def test_everything_has_words_in_both_languages() -> None:
    assert set(COMPUTED) <= set(words.FIELDS)
    assert set(OPERATORS) == set(words.OPERATORS)
    for table in (words.MISTAKES, words.FIELDS, words.OPERATORS, words.STATES, words.LANES):
        assert all(ru and en for ru, en in table.values())
    assert len(get_args(Action)) == 8
    assert set(VERIFY) == {"SET", "SIZE", "CHECKSUM", "FETCH", "COMMIT"}
