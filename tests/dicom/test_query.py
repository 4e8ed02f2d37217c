"""Searches: what viewers really send, what is refused, what matches, in which order."""

import contextlib
import functools
import itertools
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.dicom.attributes import DEFAULT_ATTRIBUTES, Level, make, tag_of
from gateway.dicom.find import to_find
from gateway.dicom.matching import has_wildcard
from gateway.dicom.order import sort_key
from gateway.dicom.query import Condition, Query, matches, parse_query, project
from gateway.errors import BadRequest

JUNK = st.none() | st.integers() | st.floats() | st.text(max_size=8) | st.just({"Alphabetic": 1})
DIRTY = st.dictionaries(
    st.sampled_from(
        ["00080020", "00080030", "00080061", "00100010", "0020000D", "0020000E", "00200011",
         "00200013", "00080018", "00400275", "00091001"]
    ),
    JUNK | st.fixed_dictionaries({"vr": st.text(max_size=2), "Value": JUNK | st.lists(JUNK)}),
)  # fmt: skip


def parse(*params: tuple[str, str], level: Level = Level.STUDY, **scope: str) -> Query:
    return parse_query(level, params, max_results=1000, **scope)


def row(**attributes: object) -> dict:
    made = {}
    for name, value in attributes.items():
        found = value if isinstance(value, list) else [value]
        made[tag_of(name)] = make(name, *found)
    return made


def test_ohif_study_list_is_understood():
    query = parse(
        ("limit", "101"),
        ("offset", "0"),
        ("fuzzymatching", "false"),
        ("includefield", "00081030,00080060,00080090,00100030"),
        ("PatientName", "*иванов*"),
        ("00100020", "*12*"),
        ("AccessionNumber", "*x*"),
        ("StudyDate", "19700102-20240105"),
        ("ModalitiesInStudy", "CT\\\\MR"),
    )
    assert query == Query(
        level=Level.STUDY,
        conditions=(
            Condition("00100010", "PatientName", "PN", ("*иванов*",)),
            Condition("00100020", "PatientID", "LO", ("*12*",)),
            Condition("00080050", "AccessionNumber", "SH", ("*x*",)),
            Condition("00080020", "StudyDate", "DA", ("19700102-20240105",)),
            Condition("00080061", "ModalitiesInStudy", "CS", ("CT", "MR")),
        ),
        include=("00081030", "00080090", "00100030"),
        limit=101,
        limit_given=True,
    )


def test_weasis_empty_parameter_is_no_parameter():
    query = parse(("", ""), ("includefield", "00080020"), ("limit", "10"), ("offset", "0"))
    assert (query.conditions, query.limit, query.notes) == ((), 10, ())


def test_no_parameters_ask_for_everything_up_to_the_cap():
    assert parse() == Query(level=Level.STUDY, limit=1000)


@pytest.mark.parametrize(
    "params",
    [
        [("StudyInstanceUID", "1.2,1.3")],
        [("StudyInstanceUID", "1.2\\1.3")],
        [("StudyInstanceUID", "1.2\\\\1.3")],
        [("StudyInstanceUID", "1.2"), ("0020000d", "1.3")],
        [("StudyInstanceUID", "1.2, 1.3,")],
    ],
    ids=["comma", "backslash", "two backslashes", "repeated", "with space and rest"],
)
def test_uids_are_a_list_in_every_form(params):
    (condition,) = parse(*params).conditions
    assert condition == Condition("0020000D", "StudyInstanceUID", "UI", ("1.2", "1.3"))


def test_a_comma_in_a_name_is_a_comma():
    (condition,) = parse(("PatientName", "DOE, JR*")).conditions
    assert condition.values == ("DOE, JR*",)


@pytest.mark.parametrize("value", ["", "*", "**", " ", "\\"])
def test_an_empty_value_or_a_star_matches_all_and_asks_for_the_attribute(value):
    query = parse(("OtherPatientIDs", value))
    assert (query.conditions, query.include) == ((), ("00101000",))


def test_includefield_takes_lists_repeats_and_all_and_drops_lower_levels():
    query = parse(
        ("includefield", "StudyDescription,00080060, PatientComments"),
        ("includefield", "00081030"),
        ("includefield", "RequestedProcedureCodeSequence.CodeValue"),
    )
    assert query.include == ("00081030", "00104000", "00321064")
    assert not query.include_all
    assert parse(("includefield", "all")).include_all


def test_unknown_words_are_ignored_and_named():
    query = parse(
        ("PatientID", "1"), ("orderby", "x"), ("includefield", "NoSuchTag"), ("accept", "y")
    )
    assert query.notes == (
        "The parameter orderby is unknown and was ignored.",
        "The includefield NoSuchTag is unknown and was ignored.",
    )


def test_fuzzymatching_forgives_one_typing_error_in_names_only():
    fuzzy, plain = (
        parse(("PatientName", "Ивонов*"), ("PatientID", "78*"), ("fuzzymatching", flag))
        for flag in ("true", "false")
    )
    assert [condition.fuzzy for condition in fuzzy.conditions] == [True, False]
    assert not any(condition.fuzzy for condition in plain.conditions)
    assert fuzzy.notes == ()
    stored = row(PatientName="ИВАНОВ^ПЁТР", PatientID="78")
    assert matches(fuzzy, stored)
    assert not matches(plain, stored)
    assert not matches(fuzzy, stored | row(PatientID="87"))


@pytest.mark.parametrize("name", ["NoSuchTag", "SeriesInstanceUID", "0020000E", "Pationt.Name"])
def test_a_search_whose_only_key_is_unusable_is_refused(name):
    with pytest.raises(BadRequest) as caught:
        parse((name, "1.2"))
    assert caught.value.field == name


def test_a_key_of_a_lower_level_beside_others_is_ignored_and_named():
    query = parse(("PatientID", "1"), ("SeriesNumber", "2"))
    assert [condition.keyword for condition in query.conditions] == ["PatientID"]
    assert query.notes == ("SeriesNumber does not belong to this level and was ignored.",)


def test_modality_of_a_study_means_modalities_in_study():
    (condition,) = parse(("Modality", "CT")).conditions
    assert condition.keyword == "ModalitiesInStudy"


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ([("limit", "-1")], "limit"),
        ([("limit", "abc")], "limit"),
        ([("limit", "0")], "limit"),
        ([("limit", "1e9")], "limit"),
        ([("limit", "٣")], "limit"),
        ([("limit", "9" * 5000)], "limit"),
        ([("limit", "1"), ("limit", "2")], "limit"),
        ([("offset", "-1")], "offset"),
        ([("offset", str(10**18))], "offset"),
        ([("offset", "1000001")], "offset"),
        ([("fuzzymatching", "yes")], "fuzzymatching"),
        ([("StudyInstanceUID", "1.2.x")], "StudyInstanceUID"),
        ([("0020000D", "1.2*")], "0020000D"),
        ([("StudyInstanceUID", ",".join(f"1.{n}" for n in range(101)))], "StudyInstanceUID"),
        ([("StudyDate", "2024-01-05")], "StudyDate"),
        ([("StudyTime", "25")], "StudyTime"),
        ([("PatientName", "*a*a*a*a*a*")], "PatientName"),
        ([("0010,0020", "1")], "query"),
        ([("' OR 1=1--", "1")], "query"),
        ([("a" * 65, "1")], "query"),
        ([("RequestAttributesSequence", "1")], "RequestAttributesSequence"),
        ([("PatientID.PatientName", "1")], "query"),
        ([(".".join(["RequestAttributesSequence"] * 5), "1")], "query"),
        ([(".".join(["RequestAttributesSequence"] * 50), "1")], "query"),
        ([("includefield", ",".join(f"0009{n:04X}" for n in range(101)))], "includefield"),
        ([("x", "")] * 1001, "query"),
    ],
)
def test_a_wrong_parameter_is_refused_by_name(params, field):
    level = Level.SERIES if "RequestAttributesSequence" in params[0][0] else Level.STUDY
    with pytest.raises(BadRequest) as caught:
        parse(*params, level=level)
    assert caught.value.field == field


def test_a_limit_above_the_cap_is_lowered():
    assert parse(("limit", "1000000000")).limit == 1000


def test_repeated_includefields_count_once():
    assert parse(*[("includefield", "PatientID")] * 999).include == ("00100020",)


TEXTS = st.text(max_size=20) | st.sampled_from(["all", "true", "20240101-", "1.2", "*", "CT\\MR"])
NAMES = TEXTS | st.sampled_from(
    ["PatientName", "StudyDate", "StudyInstanceUID", "ModalitiesInStudy", "includefield", "limit",
     "offset", "fuzzymatching", "emptyvaluematching", "multiplevaluematching", "00091001",
     "RequestAttributesSequence.ScheduledProcedureStepID", "Rows", "SeriesNumber"]
)  # fmt: skip


@given(st.sampled_from(list(Level)), st.lists(st.tuples(NAMES, TEXTS), max_size=6), DIRTY)
@example(Level.STUDY, [("ModalitiesInStudy", "CT\\MR"), ("multiplevaluematching", "true")], {})
def test_any_words_become_a_usable_query_or_bad_request(level, params, dataset):
    with contextlib.suppress(BadRequest):
        query = parse(*params, level=level)
        assert matches(query, dataset) in (True, False)
        assert set(project(query, dataset)) <= set(dataset)
        assert all(to_find(query).values())
        assert sort_key(level, dataset) == sort_key(level, dataset)


IVANOV = row(
    PatientName="ИВАНОВ^ПЁТР^",
    PatientID="77",
    StudyDate="20240105",
    StudyTime="101530",
    ModalitiesInStudy=["CT", "SR"],
    StudyInstanceUID="1.2.3",
    OtherPatientIDs=["A1", "B2"],
)


@pytest.mark.parametrize(
    ("params", "found"),
    [
        ([], True),
        ([("PatientName", "иванов*")], True),
        ([("PatientName", "иванов петр")], True),
        ([("PatientName", "петров*")], False),
        ([("PatientID", "7?")], True),
        ([("StudyDate", "20240101-20240131"), ("StudyTime", "10")], True),
        ([("ModalitiesInStudy", "MR,SR")], True),
        ([("ModalitiesInStudy", "MR"), ("ModalitiesInStudy", "CT")], True),
        ([("ModalitiesInStudy", "MR,CT"), ("multiplevaluematching", "true")], False),
        ([("ModalitiesInStudy", "SR,CT"), ("multiplevaluematching", "true")], True),
        ([("OtherPatientIDs", "B2")], True),
        ([("AccessionNumber", "1")], False),
        ([("AccessionNumber", '""'), ("emptyvaluematching", "true")], True),
        ([("PatientID", '""'), ("emptyvaluematching", "true")], False),
        ([("PatientID", '""')], False),
        ([("StudyInstanceUID", "1.2.4,1.2.3")], True),
        ([("StudyInstanceUID", "1.2.4")], False),
        ([("AccessionNumber", "")], True),
    ],
)
def test_a_row_is_judged_by_every_condition(params, found):
    assert matches(parse(*params), IVANOV) is found


def test_the_path_is_a_condition_too():
    assert matches(parse(study_uid="1.2.3", level=Level.SERIES), IVANOV)
    assert not matches(parse(study_uid="1.2.4", level=Level.SERIES), IVANOV)
    assert not matches(parse(study_uid="1.2.3", series_uid="1.2.3.1", level=Level.INSTANCE), IVANOV)


def test_keys_of_one_sequence_must_hold_in_the_same_item():
    step = "RequestAttributesSequence.ScheduledProcedureStepID"
    procedure = "RequestAttributesSequence.00401001"
    dataset = {
        "00400275": {
            "vr": "SQ",
            "Value": [
                row(ScheduledProcedureStepID="S1", RequestedProcedureID="P1"),
                row(ScheduledProcedureStepID="S2", RequestedProcedureID="P2"),
            ],
        }
    }

    def found(one: str, other: str) -> bool:
        return matches(parse((step, one), (procedure, other), level=Level.SERIES), dataset)

    assert found("S2", "P2")
    assert not found("S1", "P2")


def test_an_answer_has_the_level_s_attributes_the_included_and_the_matched():
    query = parse(("OtherPatientIDs", "B2"), ("includefield", "PatientComments"))
    dataset = IVANOV | row(
        PatientComments="c", EthnicGroup="x", Modality="CT", ModalitiesInStudy=[]
    )
    assert sorted(project(query, dataset)) == sorted(
        tag_of(name)
        for name in (
            "PatientName", "PatientID", "StudyDate", "StudyTime", "StudyInstanceUID",
            "OtherPatientIDs", "PatientComments",
        )
    )  # fmt: skip
    everything = project(parse(("includefield", "all")), dataset)
    assert set(dataset) - set(everything) == {tag_of("Modality"), tag_of("ModalitiesInStudy")}


def test_a_search_outside_of_a_study_answers_with_its_attributes():
    study = frozenset(DEFAULT_ATTRIBUTES[Level.STUDY])
    series = frozenset(DEFAULT_ATTRIBUTES[Level.SERIES])
    assert study | series <= parse(level=Level.INSTANCE).wanted
    assert series <= parse(level=Level.INSTANCE, study_uid="1").wanted
    assert not study <= parse(level=Level.INSTANCE, study_uid="1").wanted
    assert parse(level=Level.INSTANCE, study_uid="1", series_uid="2").wanted == frozenset(
        DEFAULT_ATTRIBUTES[Level.INSTANCE]
    )


def test_newest_study_is_first_and_dirty_dates_are_last():
    rows = [
        row(StudyDate="20240105", StudyTime="1015", StudyInstanceUID="1.2"),
        row(StudyDate="20240105", StudyTime="1015", StudyInstanceUID="1.3"),
        row(StudyDate="20240105", StudyTime="09", StudyInstanceUID="1.1"),
        row(StudyDate="20240105", StudyInstanceUID="1.0"),
        row(StudyDate="20231231", StudyTime="2359", StudyInstanceUID="1.4"),
        row(StudyDate="2024.01.06", StudyInstanceUID="1.5"),
        row(StudyInstanceUID="1.6"),
    ]
    for shuffled in itertools.islice(itertools.permutations(rows), 0, 5040, 97):
        assert sorted(shuffled, key=lambda one: sort_key(Level.STUDY, one)) == rows


def test_instances_are_ordered_by_number_not_by_text():
    rows = [row(InstanceNumber=n, SOPInstanceUID=f"1.{u}") for n, u in ((2, 9), ("10", 1))]
    rows.append(row(SOPInstanceUID="1.0"))
    backwards = rows[::-1]
    assert sorted(backwards, key=lambda one: sort_key(Level.INSTANCE, one)) == rows


@given(st.sampled_from(list(Level)), st.lists(DIRTY, min_size=2, max_size=4))
def test_the_order_is_total_on_dirty_rows(level, rows):
    keys = [sort_key(level, one) for one in rows]
    for one, other in itertools.pairwise(keys):
        assert (one < other) + (one == other) + (one > other) == 1
    backwards = keys[::-1]
    assert sorted(keys) == sorted(backwards)


def test_orthanc_is_asked_only_what_it_judges_rightly():
    query = parse(
        ("PatientName", "Семёнов^П?"),
        ("PatientID", "77"),
        ("AccessionNumber", "?1"),
        ("StudyDescription", "Z я*"),
        ("StudyDate", "20240101 - 20240105"),
        ("StudyTime", "1015"),
        ("ModalitiesInStudy", "CT,MR"),
        ("ReferringPhysicianName", "Петров*SMITH"),
        ("OtherPatientIDs", "1"),
        ("StudyID", "a"), ("StudyID", "b"),
        ("StudyInstanceUID", "1.2,1.3"),
    )  # fmt: skip
    assert to_find(query) == {
        "StudyDescription": "*Z*я*",
        "PatientID": "77",
        "AccessionNumber": "*1",
        "StudyDate": "20240101-20240105",
        "ModalitiesInStudy": "CT\\MR",
        "StudyInstanceUID": "1.2\\1.3",
    }


def test_modalities_in_study_are_asked_of_studies_only():
    assert to_find(parse(("ModalitiesInStudy", "CT"), level=Level.SERIES)) == {}
    assert to_find(parse(("Modality", "CT"), level=Level.SERIES)) == {"Modality": "CT"}


def test_the_path_is_asked_too():
    query = parse(level=Level.INSTANCE, study_uid="1.2", series_uid="1.2.3")
    assert to_find(query) == {"StudyInstanceUID": "1.2", "SeriesInstanceUID": "1.2.3"}


def orthanc_takes(pattern: str, stored: str, *, fold: bool) -> bool:
    """Model of /tools/find for texts, as measured: bytes, `*`, case; `?` is never sent."""
    parts = [re.escape(part) for part in (pattern.lower() if fold else pattern).split("*")]
    return re.fullmatch(".*".join(parts), stored.lower() if fold else stored) is not None


TEXTS_STORED = st.text("ИиЕеЁёЙABab^= -'1", min_size=1, max_size=12)


@functools.lru_cache
def _keyed(name: str, key: str) -> Query | None:
    with contextlib.suppress(BadRequest):
        return parse((name, key))
    return None


@given(TEXTS_STORED, TEXTS_STORED, st.data())
def test_what_matches_is_among_what_orthanc_is_asked_for(stored, other, data):
    key = data.draw(
        st.sampled_from([stored, stored[:2] + "*", other]) | st.text("ИиЕеёAa^*? ", max_size=6)
    )
    query = _keyed("StudyDescription", key)
    if query is None or not matches(query, row(StudyDescription=stored)):
        return
    asked = to_find(query).get("StudyDescription", "*")
    assert "?" not in asked
    if has_wildcard(asked):  # an exact key is compared without outer spaces
        assert orthanc_takes(asked, stored, fold=True)
    else:
        assert asked == stored.strip()


@given(TEXTS_STORED)
def test_names_are_left_to_our_own_rule(key):
    query = _keyed("PatientName", key)
    assert query is None or to_find(query) == {}


@pytest.mark.parametrize(
    ("dates", "times", "date", "time", "found"),
    [
        ("20260705-20260707", "1000-1800", "20260706", "235959", True),
        ("20260705-20260707", "1000-1800", "20260705", "0959", False),
        ("20260705-20260707", "1000-1800", "20260705", "1000", True),
        ("20260705-20260707", "1000-1800", "20260707", "1800", True),
        ("20260705-20260707", "1000-1800", "20260707", "180100", False),
        ("20260705-20260706", "1800-0900", "20260706", "0830", True),
        ("20260705-20260706", "1800-0900", "20260706", "1200", False),
        ("20260705-", "1000-", "20260801", "0100", True),
        ("20260705-", "1000-", "20260705", "0900", False),
        ("-20260707", "-1800", "20260101", "2359", True),
        ("-20260707", "-1800", "20260707", "2359", False),
        ("20260705-20260707", "1000-1800", "20260705", "", True),
        ("20260705-20260707", "1000-1800", "", "1100", False),
        ("20260705-20260707", "1000-", "20260706", "0900", False),
        ("20260705", "1000-1800", "20260705", "0900", False),
    ],
)
def test_a_range_of_days_and_one_of_times_are_one_range(dates, times, date, time, found):
    """PS3.4 C.2.2.2.5.4; ranges of different forms are two, as is a single day."""
    query = parse(("StudyDate", dates), ("StudyTime", times))
    assert matches(query, row(StudyDate=date, StudyTime=time)) is found


@pytest.mark.parametrize("times", ["1800-0900", "18-xx", "-", "--", "1-2-3"])
def test_a_range_of_times_alone_that_is_none_is_refused(times):
    with pytest.raises(BadRequest, match="StudyTime"):
        parse(("StudyDate", "20260705"), ("StudyTime", times))
