"""`gateway register ...` as the ministry's person uses it, against a real database file."""

import io
import zipfile
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from openpyxl import load_workbook

from gateway.cli import main
from gateway.commands import register
from gateway.records.engine import open_records
from gateway.records.register import State, load_facilities, load_state, load_units

REGION = """\
[region]
name_ru = "Край"
name_en = "Region"
home_site = "north"

[[site]]
id = "north"
name_ru = "Север"
name_en = "North"
url = "http://127.0.0.1:9"
"""
FACILITIES = """\
Код организации;Название;Вид организации;Муниципалитет;Широта;Долгота;Действует с
a;Больница «А»;больница;Вышегорск;55,1;61,2;01.01.2025
b;ФАП «Б»;ФАП;Вышегорск;;;01.01.2025
"""
UNITS = """\
Unit id,Facility id,Kind of unit,Capture,State,Serial number,Valid from
u,a,CT,digital,in use,77,2025-01-01
v,a,mammography,film,idle,,2025-01-01
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "region.toml").write_text(REGION, "utf-8")
    monkeypatch.setenv("GATEWAY_REGION", str(tmp_path / "region.toml"))
    monkeypatch.setenv("GATEWAY_DATABASE_URL", f"sqlite:///{tmp_path / 'gateway.db'}")
    (tmp_path / "facilities.csv").write_bytes(FACILITIES.encode("cp1251"))
    (tmp_path / "units.csv").write_text(UNITS, "utf-8")
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> Result:
        return CliRunner().invoke(main, ["register", *words])

    return run


@pytest.fixture
def records(tmp_path: Path, run):
    run("import", "facilities.csv")  # opens and migrates the database
    opened = open_records(f"sqlite:///{tmp_path / 'gateway.db'}")
    yield opened
    opened.close()


def fill(run) -> None:
    done = run("import", "units.csv", "facilities.csv", "--apply", "--reason", "аудит 2025")
    assert done.exit_code == 0, done.output


def test_an_import_is_only_shown_until_it_is_told_to_write(run, records):
    shown = run("import", "units.csv", "facilities.csv")
    assert shown.exit_code == 0
    assert "новых 4, изменённых 0, без изменений 0, ошибок 0" in shown.output
    assert "4/4" in shown.output
    assert load_state(records) == State(0, 0)
    fill(run)
    assert load_state(records) == State(2, 2)
    last = load_facilities(records)[0]
    assert last.author.startswith("terminal:")
    assert last.reason == "аудит 2025"
    again = run("import", "units.csv", "facilities.csv", "--apply", "--reason", "ещё раз")
    assert "без изменений 4" in again.output
    assert load_state(records) == State(2, 2)


def test_one_mistake_keeps_the_whole_import_out(run, records, tmp_path):
    (tmp_path / "units.csv").write_text(UNITS.replace("mammography", "телега"), "utf-8")
    done = run("import", "facilities.csv", "units.csv", "--apply", "--reason", "аудит")
    assert done.exit_code == 1
    assert "units.csv:3 «Вид аппарата»" in done.output
    assert "ничего не записано" in done.output
    assert load_state(records) == State(0, 0)


def test_to_write_needs_a_reason(run, records):
    assert run("import", "facilities.csv", "--apply").exit_code == 1
    assert load_state(records) == State(0, 0)


def test_the_day_from_which_rows_count_can_be_given(run, records, tmp_path):
    fill(run)
    (tmp_path / "year.csv").write_text("unit_id;year\nu;2020\n", "utf-8")
    done = run("import", "year.csv", "--from", "2026-02-03", "--apply", "--reason", "год")
    assert done.exit_code == 0
    assert str(load_units(records)[-1].valid_from) == "2026-02-03"


def test_an_export_is_read_again_as_the_same(run, records, tmp_path):
    fill(run)
    assert run("export", "--output", "register.xlsx", "--language", "en").exit_code == 0
    book = load_workbook(tmp_path / "register.xlsx")
    assert [sheet.max_row for sheet in book] == [3, 3]
    assert "без изменений 4" in run("import", "register.xlsx").output
    assert run("export", "--output", "all.zip", "--format", "csv", "--history").exit_code == 0
    with zipfile.ZipFile(io.BytesIO((tmp_path / "all.zip").read_bytes())) as archive:
        archive.extractall(tmp_path / "all")
    files = [str(tmp_path / "all" / name) for name in ("facilities.csv", "units.csv")]
    assert "без изменений 4" in run("import", *files).output


def test_an_export_of_a_day_before_the_register_is_empty(run, records, tmp_path):
    fill(run)
    run("export", "--output", "before.xlsx", "--day", "2024-12-31")
    assert [sheet.max_row for sheet in load_workbook(tmp_path / "before.xlsx")] == [1, 1]


def test_a_facility_is_merged_and_separated(run, records):
    fill(run)
    assert run("merge", "facility", "a", "none", "--reason", "дубль").exit_code == 1
    assert run("merge", "facility", "a", "--reason", "дубль").exit_code == 1
    assert run("merge", "facility", "a", "b", "--reason", "дубль").exit_code == 0
    assert {r.thing.facility_id for r in load_units(records)[2:]} == {"b"}
    undone = run("merge", "facility", "a", "--undo", "--reason", "ошибка")
    assert undone.exit_code == 0, undone.output
    assert {r.thing.facility_id for r in load_units(records)[4:]} == {"a"}
    assert run("merge", "unit", "u", "v", "--reason", "дубль").exit_code == 0
    assert load_units(records)[-1].thing.merged_into == "v"


def test_today_is_that_of_the_region(run, records, monkeypatch):
    """Half past midnight in Moscow is still yesterday by UTC; the day is the one at the wall."""
    at = datetime(2026, 2, 28, 21, 30, tzinfo=UTC)
    monkeypatch.setattr(register, "utc_now", lambda: at)
    Path("new.csv").write_text("unit_id,state\nu,repair\n", "utf-8")
    fill(run)
    assert run("import", "new.csv", "--apply", "--reason", "ремонт").exit_code == 0
    last = load_units(records)[-1]
    assert (last.valid_from, last.recorded_at) == (date(2026, 3, 1), at)
    assert run("merge", "unit", "v", "u", "--reason", "дубль").exit_code == 0
    assert load_units(records)[-1].valid_from == date(2026, 3, 1)
