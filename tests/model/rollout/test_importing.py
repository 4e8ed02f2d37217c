"""An import is shown row by row before it is applied, and tells every mistake where it stands."""

from datetime import UTC, date, datetime

import pytest

from gateway.model.rollout import import_plan
from gateway.model.rollout.import_plan import Table, What
from gateway.model.rollout.importing import Terms, plan_import
from gateway.model.rollout.register import (
    Capture,
    Facility,
    FacilityKind,
    Revision,
    Unit,
    UnitKind,
    UnitState,
)

DAY, TODAY = date(2026, 3, 1), date(2026, 3, 1)
TERMS = Terms(DAY, TODAY)
HOSPITAL = Facility("gkb1", "ГКБ № 1", "", FacilityKind.HOSPITAL, "Вышегорск", site_id="gkb1")
CT = Unit(
    "ct", "gkb1", UnitKind.CT, "SIEMENS", "go.Top", "119482", 2021, Capture.DIGITAL,
    UnitState.ACTIVE, cost=48_000_000,
)  # fmt: skip

FACILITY_HEAD = ("Код организации", "Название", "Вид организации", "Муниципалитет")
UNIT_HEAD = (
    "Код аппарата", "Код организации", "Вид аппарата", "Получение снимка", "Состояние",
    "Серийный номер",
)  # fmt: skip


def revisions(*things, valid_from=date(2025, 1, 1)):
    at = datetime(2025, 1, 1, tzinfo=UTC)
    return [Revision(n, valid_from, at, "a", "b", thing) for n, thing in enumerate(things, 1)]


def table(*rows, name="f.csv"):
    return Table(name, list(enumerate(rows, 1)))


def plan(*tables, facilities=(HOSPITAL,), units=(CT,), terms=TERMS):
    return plan_import(tables, revisions(*facilities), revisions(*units), terms)


def said(found):
    return [(m.row, m.column.ru, m.words.ru) for m in found.mistakes]


def test_a_new_row_a_changed_one_and_the_same_one_are_told_apart():
    found = plan(
        table(
            ("Unit id", "Facility id", "Kind of unit", "Capture", "State", "Valid from"),
            ("ct", "gkb1", "CT", "digital", "in use", "01.03.2026"),
            ("dx", "gkb1", "radiography", "film", "idle", "2026-02-01"),
        ),
        table(("facility_id", "name_en"), ("gkb1", "City Hospital 1")),
    )
    assert said(found) == []
    assert [(r.thing_id, r.what, r.valid_from) for r in found.rows] == [
        ("gkb1", What.CHANGED, DAY),
        ("ct", What.SAME, DAY),
        ("dx", What.NEW, date(2026, 2, 1)),
    ]
    (difference,) = found.rows[0].differences
    assert (difference.column.en, difference.before.en, difference.after.en) == (
        "Name in English",
        "",
        "City Hospital 1",
    )
    assert [one.thing for one in found.units] == [
        Unit("dx", "gkb1", UnitKind.RADIOGRAPHY, "", "", "", None, Capture.ANALOGUE, UnitState.IDLE)
    ]


def test_a_column_that_a_file_lacks_stays_as_it_is_and_an_empty_cell_empties():
    found = plan(table(("Код аппарата", "Стоимость, руб."), ("ct", "")))
    assert found.units[0].thing.cost is None
    assert found.units[0].thing.serial == "119482"


def test_a_new_unit_needs_the_columns_that_say_what_it_is():
    found = plan(table(("Код аппарата", "Код организации"), ("new", "gkb1")))
    assert [(row, column) for row, column, _ in said(found)] == [
        (2, "Вид аппарата"),
        (2, "Получение снимка"),
        (2, "Состояние"),
    ]
    assert not found.changes


@pytest.mark.parametrize(
    ("head", "row", "column"),
    [
        pytest.param({"Вид аппарата": "телега"}, 2, "Вид аппарата", id="a word of no list"),
        pytest.param({"Год выпуска": "1885"}, 2, "Год выпуска", id="a year before Roentgen"),
        pytest.param({"Год выпуска": "двадцатый"}, 2, "Год выпуска", id="a year in words"),
        pytest.param({"Стоимость, руб.": "-5"}, 2, "Стоимость, руб.", id="a negative cost"),
        pytest.param({"Стоимость, руб.": "1,5"}, 2, "Стоимость, руб.", id="kopecks"),
        pytest.param({"Замена по плану": "31.02.2026"}, 2, "Замена по плану", id="no such day"),
        pytest.param({"Замена по плану": "02/03/2026"}, 2, "Замена по плану", id="an unclear day"),
        pytest.param({"Замена по плану": "01.01.2926"}, 2, "Замена по плану", id="far future"),
        pytest.param({"Действует с": "01.01.2062"}, 2, "Действует с", id="a mistyped century"),
        pytest.param({"Модель": "=1+1"}, 2, "Модель", id="a formula"),
        pytest.param({"Модель": "@SUM(A1)"}, 2, "Модель", id="a formula of Lotus"),
        pytest.param({"Модель": "x" * 65}, 2, "Модель", id="a text too long for DICOM"),
        pytest.param({"Модель": "A\u202eB"}, 2, "Модель", id="a text that turns around"),
        pytest.param({"Код организации": "ГКБ1"}, 2, "Код организации", id="Russian letters"),
        pytest.param({"Код организации": "none"}, 2, "Код организации", id="no such facility"),
        pytest.param({"Объединён с": "ct"}, 2, "Объединён с", id="merged into itself"),
        pytest.param({"Объединён с": "none"}, 2, "Объединён с", id="merged into nothing"),
        pytest.param({"Обновлён по программе": "может"}, 2, "Обновлён по программе", id="maybe"),
        pytest.param({"Цвет": "белый"}, 1, "Цвет", id="a column that nobody knows"),
    ],
)
def test_a_mistake_is_told_by_its_row_and_column(head, row, column):
    found = plan(table(("Код аппарата", *head), ("ct", *head.values())))
    assert [(m.row, m.column.ru) for m in found.mistakes] == [(row, column)]
    assert not found.changes


@pytest.mark.parametrize(
    ("head", "column"),
    [
        ({"Широта": "91", "Долгота": "60"}, "Широта"),
        ({"Широта": "55,1", "Долгота": ""}, "Долгота"),
        ({"OID": "1.02.3"}, "OID"),
        ({"Название": ""}, "Название"),
        ({"Входит в": "gkb1"}, "Входит в"),
        ({"Входит в": "none"}, "Входит в"),
        ({"Подключена": "вчера"}, "Подключена"),
    ],
)
def test_a_mistake_in_a_facility_is_told_by_its_column(head, column):
    found = plan(table(("Код организации", *head), ("gkb1", *head.values())))
    assert [(m.row, m.column.ru) for m in found.mistakes] == [(2, column)]


def test_a_decimal_comma_is_a_point():
    found = plan(table(("Код организации", "Широта", "Долгота"), ("gkb1", "55,123456", "61.4")))
    thing = found.facilities[0].thing
    assert (thing.latitude, thing.longitude) == (55.123456, 61.4)


def test_two_units_of_one_manufacturer_and_model_have_no_serial_number_in_common():
    twin = ("twin", "gkb1", "КТ", "цифровой", "работает", "119482", "Siemens", "GO.TOP")
    found = plan(table((*UNIT_HEAD, "Производитель", "Модель"), twin))
    assert said(found) == [
        (2, "Серийный номер", "такой же номер у аппарата ct (тот же производитель и модель)")
    ]
    for state in ("списан",):
        gone = (*twin[:4], state, *twin[5:])
        assert plan(table((*UNIT_HEAD, "Производитель", "Модель"), gone)).changes
    other = (*twin[:7], "go.Up")
    assert plan(table((*UNIT_HEAD, "Производитель", "Модель"), other)).changes


def test_a_serial_number_twice_in_one_file_is_told_at_both_rows():
    row = ("gkb1", "рентген стационарный", "цифровой", "работает", "77")
    found = plan(table(UNIT_HEAD, ("a", *row), ("b", *row)))
    assert [(m.row, m.column.ru) for m in found.mistakes] == [
        (2, "Серийный номер"),
        (3, "Серийный номер"),
    ]


def test_a_unit_may_take_the_number_of_one_that_was_written_off_before():
    row = ("gkb1", "КТ", "цифровой")
    head = (*UNIT_HEAD, "Производитель", "Модель", "Действует с")
    found = plan(
        table(
            head,
            ("ct", *row, "списан", "119482", "SIEMENS", "go.Top", "2026-02-01"),
            ("new", *row, "работает", "119482", "SIEMENS", "go.Top", "2026-02-01"),
        )
    )
    assert said(found) == []
    too_early = plan(
        table(head, ("new", *row, "работает", "119482", "SIEMENS", "go.Top", "2026-02-01"))
    )
    assert [m.column.ru for m in too_early.mistakes] == ["Серийный номер"]


def test_a_facility_is_looked_for_at_the_day_of_the_row():
    row = ("a", "gkb1", "КТ", "цифровой", "работает", "77", "31.12.2024")
    found = plan(table((*UNIT_HEAD, "Действует с"), row))
    assert said(found) == [(2, "Код организации", "gkb1: 31.12.2024 ещё нет в реестре")]


def test_a_circle_that_begins_later_is_one_too():
    head = ("Код организации", "Название", "Вид организации", "Муниципалитет", "Присоединена к",
            "Действует с")  # fmt: skip
    kind = ("больница", "М")
    found = plan(
        table(
            head,
            ("a", "А", *kind, "", "2026-01-01"),
            ("b", "Б", *kind, "", "2026-01-01"),
            ("a", "А", *kind, "b", "2026-02-01"),
            ("b", "Б", *kind, "a", "2026-01-15"),
        )
    )
    assert {(row, column) for row, column, _ in said(found)} == {
        (4, "Присоединена к"), (5, "Присоединена к"),
    }  # fmt: skip


def test_parents_above_each_other_make_no_circle():
    head = (*FACILITY_HEAD, "Входит в")
    found = plan(
        table(
            head,
            ("a", "А", "больница", "М", "b"),
            ("b", "Б", "больница", "М", "c"),
            ("c", "В", "больница", "М", "a"),
        )
    )
    # The first one finds what it names only once all rows stand.
    assert [(m.row, m.words.ru) for m in found.mistakes] == [
        (row, "получается круг") for row in (2, 3, 4)
    ]


def test_units_of_a_facility_that_is_refused_are_not_told_as_well():
    found = plan(
        table((*FACILITY_HEAD, "Широта"), ("new", "Н", "больница", "М", "север")),
        table(UNIT_HEAD, ("u", "new", "КТ", "цифровой", "работает", "1"), name="u.csv"),
    )
    assert [(m.table, m.row, m.column.ru) for m in found.mistakes] == [("f.csv", 2, "Широта")]


def test_a_row_that_is_there_twice_is_refused():
    found = plan(table(("Код аппарата", "Год выпуска"), ("ct", "2020"), ("ct", "2022")))
    assert said(found) == [(3, "Код аппарата", "уже в строке 2")]


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param([], id="nothing"),
        pytest.param([("Название", "Муниципалитет"), ("А", "М")], id="no column with an id"),
        pytest.param([("Код организации", "Код организации"), ("a", "b")], id="one twice"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused_as_a_whole(rows):
    found = plan(table(*rows))
    assert found.mistake_count >= 1
    assert not found.changes


def test_a_later_revision_is_pointed_out():
    units = revisions(CT, valid_from=date(2026, 6, 1)) + revisions(CT)
    found = plan_import(
        [table(("Код аппарата", "Год выпуска"), ("ct", "2020"))], revisions(HOSPITAL), units, TERMS
    )
    assert found.rows[0].until == date(2026, 6, 1)


def test_the_past_of_a_history_is_not_rewritten_by_its_file():
    head = ("№ записи", "Код аппарата", "Действует с", "Год выпуска")
    same = plan(table(head, ("1", "ct", "01.01.2025", "2021")))
    assert [r.what for r in same.rows] == [What.SAME]
    other = plan(table(head, ("1", "ct", "01.01.2025", "2020")))
    assert [m.column.ru for m in other.mistakes] == ["№ записи"]
    added = plan(table(head, ("", "ct", "01.01.2026", "2020")))
    assert added.changes


def test_hospital_it_writes_its_own_facility_alone():
    own = Terms(DAY, TODAY, frozenset({"gkb1"}))
    other = Facility("zlat", "ГБ", "", FacilityKind.HOSPITAL, "Златогорск")
    both = (HOSPITAL, other)
    mine = plan(table(("Код аппарата", "Год выпуска"), ("ct", "2020")), facilities=both, terms=own)
    assert mine.changes
    for head, row in (
        (("Код аппарата", "Код организации"), ("ct", "zlat")),
        (("Код организации", "Название"), ("zlat", "Другая")),
        (("Код организации", "Узел"), ("gkb1", "zlat")),
        (FACILITY_HEAD, ("new", "Новая", "больница", "М")),
    ):
        found = plan(table(head, row), facilities=both, terms=own)
        assert found.mistake_count == 1
        assert not found.changes


def test_hospital_it_gives_no_past_to_a_unit_of_another():
    """Under an id that was there later alone, and with a day before that."""
    other = Facility("zlat", "ГБ", "", FacilityKind.HOSPITAL, "Златогорск", site_id="zlat")
    long_ago = revisions(HOSPITAL, other, valid_from=date(2010, 1, 1))
    head = ("Код аппарата", *UNIT_HEAD[1:5], "Действует с")
    row = ("ct", "zlat", "КТ", "цифровой", "работает", "01.01.2020")
    ministry, own = (
        plan_import([table(head, row)], long_ago, revisions(CT), terms)
        for terms in (TERMS, Terms(DAY, TODAY, frozenset({"zlat"})))
    )
    assert ministry.changes
    assert (own.changes, own.mistake_count) == (False, 1), said(own)


def test_of_very_many_mistakes_the_rest_is_counted(monkeypatch):
    monkeypatch.setattr(import_plan, "MOST_TOLD", 10)
    rows = [(f"u{n}", "2020") for n in range(50)]
    found = plan(table(("Код организации", "OID"), *rows))
    assert len(found.mistakes) == 10
    assert found.mistake_count > 50


def test_progress_is_told():
    told = []
    rows = [(f"u{n}", "") for n in range(1200)]
    plan_import(
        [table(("Код организации", "OID"), *rows)], [], [], TERMS,
        lambda done, total: told.append((done, total)),
    )  # fmt: skip
    assert told == [(500, 1200), (1000, 1200), (1200, 1200)]
