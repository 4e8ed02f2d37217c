"""What is exported is read again and says the same as the page, and nothing in it is a formula."""

import csv
import io
import re
from dataclasses import replace
from datetime import date
from html import unescape

import pytest
from flask.testing import FlaskClient
from openpyxl import load_workbook

from gateway.model.rollout.figures import REGION, Count, Scope, ScopeKind, Told
from gateway.web.rollout.export import write_csv, write_xlsx
from gateway.web.rollout.language import LANGUAGES
from gateway.web.rollout.shown import Shown
from gateway.web.rollout.tables import Table, flat_table, studies_cell, tables_of

RU, EN = LANGUAGES["ru"], LANGUAGES["en"]


def sheets(content: bytes) -> dict[str, list[tuple]]:
    book = load_workbook(io.BytesIO(content))
    return {sheet.title: list(sheet.iter_rows(values_only=True)) for sheet in book}


def lines(content: bytes) -> list[list[str]]:
    assert content.startswith(b"\xef\xbb\xbf")
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig")), delimiter=";"))


def test_the_workbook_of_a_month_says_what_its_page_says(browser: FlaskClient) -> None:
    page = browser.get("/rollout/report").text
    link = unescape(re.search(r'href="(/rollout/report\.xlsx[^"]*)"', page).group(1))
    found = sheets(browser.get(link).data)
    assert list(found) == [
        "Сводка", "Ход", "Муниципалитеты", "Организации", "Виды организаций", "Виды аппаратов",
        "Деньги", "Поставки", "Подключение", "Источники",
    ]  # fmt: skip
    summary = {row[0]: row[1:] for row in found["Сводка"]}
    part, whole, percent = summary["Заявлено цифровыми"]
    shown = re.sub(r"<[^>]+>", " ", page).replace("\N{NO-BREAK SPACE}", " ")
    assert f"{percent} %" in shown
    assert f"{part} из {whole}" in shown
    table = page.partition('id="towns"')[2].partition("</table>")[0]
    told = [
        tuple(unescape(re.sub(r"<[^>]+>", " ", cell)).split())
        for cell in re.findall(r'<th scope="row">.*?</tr>', table)
    ]
    written = [
        (*row[1].split(), str(row[4]), "%", str(row[3]), "из", str(row[2]))
        if row[2]
        else (row[1], "—")
        for row in found["Муниципалитеты"][1:]
    ]
    assert [row[: len(own)] for row, own in zip(told, written, strict=True)] == written


def test_cells_of_the_workbook_are_typed(shown: Shown) -> None:
    found = sheets(write_xlsx(tables_of(shown, EN, region="Region"), EN))
    course = found["Course"][1:]
    assert [type(row[0].date()) for row in course] == [date] * len(shown.curve())
    assert {type(cell) for row in course for cell in row[1:]} == {int}
    last = shown.curve()[-1]
    assert course[-1][1:3] == (last.digital.part, last.digital.whole)
    assert found["Sources"][1][1] == "Region"
    assert "of all that" in dict(found["Sources"])["Declared digital"]


def test_the_csv_file_has_every_scope_with_its_numbers(browser: FlaskClient, shown: Shown) -> None:
    found = lines(browser.get("/rollout/report.csv?lang=en").data)
    assert len(found) == len(flat_table(shown, EN).rows) + 1
    by_key = {(row[0], row[1]): row for row in found[1:]}
    region = by_key["region", ""]
    page = browser.get("/rollout/report?lang=en").text.replace("\N{NO-BREAK SPACE}", " ")
    assert f"{region[4]} of {region[3]}<" in page.replace(",", "")
    assert by_key["facility", "f000"][2].startswith("City hospital No. 1")


def test_another_month_is_another_file(browser: FlaskClient, shown: Shown) -> None:
    months = sorted({one.day for one in shown.months})
    found = browser.get(f"/rollout/report.csv?month={months[0]:%Y-%m}&version=1")
    assert f"rollout-{months[0]}-v1-ru.csv" in found.headers["Content-Disposition"]
    assert found.data != browser.get("/rollout/report.csv").data
    assert browser.get("/rollout/report?month=1999-01").status_code == 404
    assert browser.get("/rollout/report.xlsx?month=never").status_code == 400


@pytest.mark.parametrize("text", ["=1+1", "+7", "-x", "@cmd", "\tx", "\rx", '=HYPERLINK("x")'])
def test_no_text_is_taken_for_a_formula(text: str) -> None:
    table = Table("T", ("name",), [(text,)])
    book = load_workbook(io.BytesIO(write_xlsx([table], RU)))
    cell = book["T"]["A2"]
    assert cell.data_type == "s"
    assert cell.value.startswith("'")
    assert lines(write_csv(table, RU))[1][0] == "'" + text


def test_few_studies_are_not_told_in_a_file(shown: Shown) -> None:
    scope = Scope(ScopeKind.FACILITY, "f000")
    told = Told(studies={REGION: Count(120), scope: Count(None)})
    hidden = replace(shown, snapshot=replace(shown.snapshot, told=told))
    rows = {(row[0], row[1]): row[-1] for row in flat_table(hidden, RU).rows}
    assert (rows["region", ""], rows["facility", "f000"]) == (120, "<5")
    assert rows["facility", "f001"] is None
    assert studies_cell(Count(0)) == 0
