"""What is exported is imported again as the same, whatever stands in the register."""

import string
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import load_workbook

from gateway.model.rollout.checking import check_facility, check_unit
from gateway.model.rollout.columns import as_text, tidy
from gateway.model.rollout.import_plan import What
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
from gateway.rollout.reading import read_tables
from gateway.rollout.writing import sheets_of_day, sheets_of_history, write_csv, write_xlsx

TODAY = date(2026, 3, 1)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
TERMS = Terms(TODAY, TODAY)

letters = st.characters(categories=["L", "N", "P", "S", "Zs"])
words = st.text(letters, max_size=40).map(tidy).filter(
    lambda text: as_text(text) == text and text.isprintable()
    and not text.startswith(("=", "+", "-", "@"))
)  # fmt: skip
required = words.filter(bool)
ids = st.text(string.ascii_lowercase + string.digits + "-", min_size=1, max_size=12).filter(
    lambda text: text[0] != "-"
)
days = st.dates(date(1990, 1, 1), date(2035, 12, 31))
degrees = st.tuples(
    st.integers(-90 * 10**6, 90 * 10**6), st.integers(-180 * 10**6, 180 * 10**6)
).map(lambda pair: (pair[0] / 10**6, pair[1] / 10**6))


@st.composite
def facilities(draw):
    names = draw(st.lists(ids, min_size=1, max_size=5, unique=True))
    found = []
    for number, name in enumerate(names):
        latitude, longitude = draw(st.none() | degrees) or (None, None)
        oid = draw(st.sampled_from(["", "1.2.643.5.1.13.13.12.2.74.1"]))
        parent = draw(st.sampled_from(["", *names[:number]]))
        day, other = draw(st.none() | days), draw(st.none() | days)
        found.append(
            Facility(
                name, draw(required), draw(words), draw(st.sampled_from(FacilityKind)),
                draw(required), latitude, longitude, oid, parent, day, other, draw(ids),
            )
        )  # fmt: skip
    return found


@st.composite
def units(draw, places):
    names = draw(st.lists(ids, max_size=6, unique=True))
    return [
        Unit(
            name, draw(st.sampled_from(places)).facility_id, draw(st.sampled_from(UnitKind)),
            draw(words), draw(words), f"{number}{draw(words)}",
            draw(st.none() | st.integers(1950, 2027)), draw(st.sampled_from(Capture)),
            draw(st.sampled_from(UnitState)), draw(words),
            draw(st.none() | st.integers(0, 10**12)), draw(st.booleans()), draw(st.none() | days),
        )
        for number, name in enumerate(names)
    ]  # fmt: skip


@st.composite
def registers(draw):
    """Revisions of some facilities and units; all of them are right."""
    places = draw(facilities())
    first = draw(units(places))
    later = [
        Unit(**{**vars(unit), "state": draw(st.sampled_from(UnitState)), "serial": unit.serial})
        for unit in first
    ]
    start = date(2020, 1, 1)
    facility_rows = [Revision(n, start, NOON, "a", "b", one) for n, one in enumerate(places, 1)]
    unit_rows = [Revision(n, start, NOON, "a", "b", one) for n, one in enumerate(first, 1)]
    unit_rows += [
        Revision(n, start + timedelta(days=n), NOON, "a", "b", one)
        for n, one in enumerate(later, len(first) + 1)
    ]
    return facility_rows, unit_rows


def test_the_strategy_makes_what_a_register_takes():
    @given(registers())
    @settings(max_examples=50, deadline=None)
    def check(register):
        for revision in register[0]:
            assert list(check_facility(revision.thing, revision.valid_from, TODAY)) == []
        for revision in register[1]:
            assert list(check_unit(revision.thing, revision.valid_from, TODAY)) == []

    check()


@pytest.mark.parametrize("whole", [False, True], ids=["of a day", "the whole history"])
@pytest.mark.parametrize("language", ["ru", "en"])
@settings(max_examples=60, deadline=None)
@given(register=registers())
def test_an_export_is_imported_as_the_same(register, language, whole):
    sheets = sheets_of_history(*register) if whole else sheets_of_day(*register, TODAY)
    in_csv = [t for one in sheets for t in read_tables(one.name, write_csv(one, language))]
    in_xlsx = read_tables("register.xlsx", write_xlsx(sheets, language))
    for tables in (in_csv, in_xlsx):
        plan = plan_import(tables, *register, TERMS)
        assert plan.mistakes == []
        assert {row.what for row in plan.rows} == {What.SAME}
        assert len(plan.rows) == sum(len(sheet.rows) for sheet in sheets)


@settings(max_examples=40, deadline=None)
@given(register=registers())
def test_a_history_makes_the_same_register_elsewhere(register):
    sheets = sheets_of_history(*register)
    tables = [t for one in sheets for t in read_tables(one.name, write_csv(one, "ru"))]
    plan = plan_import(tables, [], [], TERMS)
    assert plan.mistakes == []
    again = (
        [Revision(n, p.valid_from, NOON, "a", "b", p.thing) for n, p in enumerate(plan.facilities)],
        [Revision(n, p.valid_from, NOON, "a", "b", p.thing) for n, p in enumerate(plan.units)],
    )
    for day in (date(2019, 12, 31), date(2020, 1, 1), date(2020, 1, 8), TODAY):
        assert sheets_of_day(*again, day) == sheets_of_day(*register, day)


def test_a_reason_that_begins_like_a_formula_is_neutralised(tmp_path):
    place = Facility("a", "А", "", FacilityKind.HOSPITAL, "М")
    reason = '=HYPERLINK("http://x.test")'
    sheets = sheets_of_history([Revision(1, TODAY, NOON, "+x", reason, place)], [])
    assert b';"\'+x";"\'=HYPERLINK' in write_csv(sheets[0], "ru")
    (tmp_path / "f.xlsx").write_bytes(write_xlsx(sheets, "ru"))
    row = load_workbook(tmp_path / "f.xlsx")["Организации"][2]
    assert (row[-1].value, row[-1].data_type) == (f"'{reason}", "s")


def test_a_workbook_has_dates_and_numbers_of_their_own_types(tmp_path):
    place = Facility(
        "a", "А", "", FacilityKind.HOSPITAL, "М", 55.5, 61.25, joined_on=date(2025, 2, 3)
    )
    (tmp_path / "f.xlsx").write_bytes(
        write_xlsx(sheets_of_day([Revision(1, TODAY, NOON, "a", "b", place)], [], TODAY), "en")
    )
    sheet = load_workbook(tmp_path / "f.xlsx")["Facilities"]
    found = {head.value: cell for head, cell in zip(sheet[1], sheet[2], strict=True)}
    assert found["Latitude"].value == 55.5
    assert found["Joined"].value == datetime(2025, 2, 3)
    assert found["Joined"].is_date
    assert found["Kind of facility"].value == "hospital"
