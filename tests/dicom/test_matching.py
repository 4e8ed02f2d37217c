"""One value against one key (PS3.4 C.2.2.2)."""

import contextlib
from datetime import datetime
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dicom.matching import check_key, glob, key_holds, one_error, span_of_key
from gateway.errors import BadRequest


def slow_glob(pattern: str, text: str) -> bool:
    """What `*` and `?` mean, letter by letter."""

    @cache
    def holds(p: int, t: int) -> bool:
        if p == len(pattern):
            return t == len(text)
        if pattern[p] == "*":
            return holds(p + 1, t) or (t < len(text) and holds(p, t + 1))
        return t < len(text) and pattern[p] in ("?", text[t]) and holds(p + 1, t + 1)

    return holds(0, 0)


@given(st.text("ab*?\n.^", max_size=8), st.text("ab\n.^", max_size=10))
def test_wildcards_mean_what_a_slow_reference_says(pattern, text):
    assert glob(pattern, text) == slow_glob(pattern, text)


def test_a_hostile_pattern_on_a_huge_value_is_quick():
    assert not glob("*a?a*a?a*a?b*", "a" * 100_000)


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("ИВАНОВ^ПЁТР", {"Alphabetic": "Иванов^Петр"}),
        ("иванов пётр", {"Alphabetic": "ИВАНОВ^ПЁТР^^"}),
        ("*иванов*", {"Alphabetic": "ИВАНОВ^ПЁТР"}),
        ("Иванов^П?тр", {"Alphabetic": "ИВАНОВ^ПЁТР"}),
        ("ivanov^petr", {"Alphabetic": "IVANOV^PETR^^"}),
        ("IVANOV^*", {"Alphabetic": "Ivanov"}),
        ("DOE, JR*", {"Alphabetic": "Doe, Jr^John"}),
        ("山田*", {"Alphabetic": "Yamada", "Ideographic": "山田^太郎"}),
        ("Yamada=山田*", {"Alphabetic": "Yamada", "Ideographic": "山田^太郎"}),
        ("A=B", "a=b"),
        ("müller*", {"Alphabetic": "MÜLLER^JÖRG"}),
        ("Muller Jorg", {"Alphabetic": "MÜLLER^JÖRG"}),
        ("Иванов Пётр", {"Alphabetic": "ИВАНОВ^ПЕТР^ИЛЬИЧ"}),
        ("ИВАНОВ^ПЕТР*", {"Alphabetic": "ИВАНОВ^ПЕТР^ИЛЬИЧ"}),
        ("Иванов Петр Ильич", {"Alphabetic": "ИВАНОВ^ПЕТР"}),
        ("IVANOV PYOTR", {"Alphabetic": "ИВАНОВ^ПЁТР^ИЛЬИЧ"}),
        ("Иванов Пётр", {"Alphabetic": "IVANOV^PETR^ILYICH"}),
        ("*IVANOV*", {"Alphabetic": "Иванов^Пётр"}),
        ("Петрова Водкина*", {"Alphabetic": "ПЕТРОВА-ВОДКИНА^АННА"}),
        ("петрова-водкина анна", {"Alphabetic": "ПЕТРОВА ВОДКИНА^АННА^ИЛЬИНИЧНА"}),
        ("OConnor*", {"Alphabetic": "O'CONNOR^MARY"}),
        ("Иванов П.И.", {"Alphabetic": "ИВАНОВ^П^И"}),
        ("Shcherbakova^Yu*", {"Alphabetic": "Щербакова^Юлия"}),
        ("ALI*", {"Alphabetic": "Алиев^Али"}),
        ("*NICOLAI*", {"Alphabetic": "Петров^Николай"}),
        ("Петров Николай", {"Alphabetic": "PETROV^NICOLAI"}),
        ("ЦАПЛИНА*", {"Alphabetic": "CAPLINA^VERONICA"}),
        ("Каплина Вероника", {"Alphabetic": "CAPLINA^VERONICA"}),
        ("CAPLINA*", {"Alphabetic": "Цаплина^Анна"}),
        ("XOXLOV*", {"Alphabetic": "Хохлов^Иван"}),
        ("NIC*", {"Alphabetic": "Ничипоренко^Иван"}),
    ],
)
def test_a_name_is_found(key, name):
    assert key_holds("PN", key, name)


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("Иванов", {"Alphabetic": "ИВАНОВ^ПЁТР"}),
        ("ИВАНОВ^ПЁТР", {"Alphabetic": "ИВАНОВА^ПЁТР"}),
        ("Yamada=田*", {"Alphabetic": "Yamada", "Ideographic": "山田^太郎"}),
        ("?", {"Alphabetic": ""}),
        ("A*", {"Alphabetic": None}),
        ("A*", None),
        ("A*", {"Alphabetic": ["A"]}),
        ("Иванов", {"Alphabetic": "IVANOV^PETR"}),
        ("Иванов Пётр", {"Alphabetic": "ИВАНОВ^ПЕТРА"}),
        ("Иванов Пётр", {"Alphabetic": "ИВАНОВ"}),
        ("ь*", {"Alphabetic": "Иванов"}),
        ("^", {"Alphabetic": "Иванов"}),
        ("Ивонов*", {"Alphabetic": "Иванов^Пётр"}),
    ],
)
def test_a_name_is_not_found(key, name):
    assert not key_holds("PN", key, name)


@pytest.mark.parametrize(
    ("vr", "key", "value", "holds"),
    [
        ("LO", "P1", " P1 ", True),
        ("LO", "p1", "P1", False),
        ("LO", "P*", "P1", True),
        ("SH", "A.C", "ABC", False),
        ("CS", "C?", "CT", True),
        ("UI", "1.2.3", "1.2.3\0", True),
        ("UI", "1.2.3", "1.2.30", False),
        ("IS", "1", "01", True),
        ("IS", "1", 1, True),
        ("US", "512", 512, True),
        ("DS", "0.5", "0.50", True),
        ("IS", "1", "abc", False),
        ("IS", "1", float("nan"), False),
        ("DA", "20240105", "20240105 ", True),
        ("DA", "20240101-20240131", "20240131", True),
        ("DA", "20240101-20240131", "20240201", False),
        ("DA", "20240105-", "20991231", True),
        ("DA", "-20240105", "19000101", True),
        ("DA", "20240105-", "2024.01.06", False),
        ("DA", "-20240105", "", False),
        ("TM", "1015", "101530.123", True),
        ("TM", "10", "1015", True),
        ("TM", "101530", "1015", True),
        ("TM", "1000-1015", "101559.999999", True),
        ("TM", "1000-1015", "1016", False),
        ("TM", "-0800", "235960", False),
        ("DT", "2024", "20240105101530", True),
        ("DT", "202401-202402", "20240229", True),
        ("DT", "202401-202402", "20240301", False),
        ("DT", "20240105120000+0300", "20240105090000+0000", True),
        ("DT", "20240105120000+0300", "20240105120000+0000", False),
        ("UN", "x*", "xyz", True),
        ("LO", "x", ["x"], False),
        ("LO", "x", None, False),
        ("AS", "030Y", "030Y", True),
    ],
)
def test_a_value_holds_by_its_vr(vr, key, value, holds):
    assert key_holds(vr, key, value) is holds


@pytest.mark.parametrize(
    ("vr", "key"),
    [
        ("DA", "20240230"), ("DA", "2024-01-05"), ("DA", "202401"), ("DA", "-"), ("DA", "abc"),
        ("DA", "20240131-20240101"), ("DA", "٢٠٢٤٠١٠٥"), ("DA", "2024*"), ("TM", "25"),
        ("TM", "10:15"), ("TM", "101530."), ("DT", "20241301"), ("DT", "20240105+9900"),
        ("DT", "00000101"), ("IS", "x"), ("IS", "nan"), ("DS", "1_0"), ("IS", "9" * 300),
        ("LO", "*a*b*c*d*"), ("LO", "*" + "a" * 64), ("PN", "a\nb"), ("PN", "a\x00"),
        ("LO", "a" * 257), ("SQ", "x"), ("OB", "x"),
    ],
)  # fmt: skip
def test_a_key_that_its_vr_does_not_allow_is_refused(vr, key):
    with pytest.raises(BadRequest) as caught:
        check_key("Field", vr, key)
    assert caught.value.field == "Field"
    assert key not in caught.value.problem.split()


def test_many_stars_in_a_row_are_one():
    check_key("PatientName", "PN", "***a**b***c**")


def test_a_negative_offset_is_no_range():
    span = span_of_key("DT", "20240101120000-0300")
    assert span == (datetime(2024, 1, 1, 15), datetime(2024, 1, 1, 15, 0, 0, 999999))


@given(st.sampled_from(["DA", "TM", "DT", "IS", "PN", "LO", "UI", "SQ"]), st.text(max_size=20))
def test_any_key_is_taken_or_refused(vr, key):
    with contextlib.suppress(BadRequest):
        check_key("Field", vr, key)
    assert key_holds(vr, key, key) in (True, False)


@given(st.text("0123456789-.+", max_size=30), st.text("0123456789.+-", max_size=30))
def test_dates_and_times_never_raise(key, value):
    for vr in ("DA", "TM", "DT"):
        assert key_holds(vr, key, value) in (True, False)


@given(st.dates(), st.dates(), st.dates())
def test_a_date_lies_in_a_range_exactly_if_it_is_between(begin, end, day):
    begin, end = sorted((begin, end))
    texts = [f"{d.year:04}{d.month:02}{d.day:02}" for d in (begin, end, day)]
    assert key_holds("DA", f"{texts[0]}-{texts[1]}", texts[2]) == (begin <= day <= end)


@given(st.text("ИиЕеЁёABab^ ", min_size=1, max_size=12))
def test_a_name_finds_itself_in_any_case(name):
    key = name.strip(" ^")
    if key:
        assert key_holds("PN", key.upper(), {"Alphabetic": name})
        assert key_holds("PN", key.lower().replace("ё", "е"), {"Alphabetic": name})


@pytest.mark.parametrize(
    ("key", "name", "holds"),
    [
        ("Ивонов*", "ИВАНОВ^ПЕТР", True),
        ("Иавнов*", "ИВАНОВ^ПЕТР", True),
        ("Ивано Пётр", "ИВАНОВ^ПЕТР^ИЛЬИЧ", True),
        ("*Пёттр*", "ИВАНОВ^ПЕТР^ИЛЬИЧ", True),
        ("IVANOF*", "ИВАНОВ^ПЕТР", True),
        ("Ивонов Пнтр", "ИВАНОВ^ПЕТР", False),
        ("Ивонов", "ИВАНОВ^ПЕТР", True),
        ("Иванов", "ИВАНОВ^ПЕТР", True),
        ("IVANOF", "ИВАНОВ^ПЕТР", True),
        ("*Ивонов*", "ПЕТР^ИВАНОВ", True),
        ("Ивонов", "ПЕТР^ИВАНОВ", False),
        ("Иванов Анна", "ИВАНОВ^ПЕТР", False),
        ("Nicolay", "НИКОЛАЙ", True),
        ("Ли*", "КИ^ПЕТР", False),
        ("Сидоров*", "ИВАНОВ^ПЕТР", False),
    ],
)
def test_one_typing_error_is_forgiven_if_asked(key, name, holds):
    assert key_holds("PN", key, {"Alphabetic": name}, fuzzy=True) is holds


def slow_one_error(one: str, other: str) -> bool:
    changed = {one[:n] + letter + one[n + 1 :] for n in range(len(one)) for letter in "abc"}
    added = {one[:n] + letter + one[n:] for n in range(len(one) + 1) for letter in "abc"}
    left_out = {one[:n] + one[n + 1 :] for n in range(len(one))}
    swapped = {
        one[:n] + one[n + 1] + one[n] + one[n + 2 :] for n in range(len(one) - 1)
    }  # fmt: skip
    return one != other and other in changed | added | left_out | swapped


@given(st.text("abc", max_size=6), st.text("abc", max_size=6))
def test_an_error_means_what_a_slow_reference_says(one, other):
    assert one_error(one, other) == slow_one_error(one, other)


@given(st.text("abc", min_size=1, max_size=5), st.text("abc", max_size=7))
def test_an_error_in_a_beginning_means_what_a_slow_reference_says(one, other):
    begins = any(slow_one_error(one, other[:end]) for end in range(len(other) + 1))
    assert one_error(one, other, is_open=True) == begins
