"""Files of the register in every form that people send, and those that are sent to do harm."""

import io
import zipfile
from datetime import date

import pytest
from openpyxl import Workbook

from gateway.model.rollout.importing import Terms, plan_import
from gateway.rollout import reading
from gateway.rollout.reading import read_tables

TEXT = 'Код организации;Название\r\ngkb1;"Больница ""Ёлка"" № 1"\r\n'
READ = [("Код организации", "Название"), ("gkb1", 'Больница "Ёлка" № 1')]
TERMS = Terms(date(2026, 3, 1), date(2026, 3, 1))


def rows(tables):
    (table,) = tables
    assert table.mistakes == ()
    return [tuple(cells) for _, cells in table.rows]


def refusal(tables):
    (table,) = tables
    (mistake,) = table.mistakes
    assert not plan_import(tables, [], [], TERMS).changes
    return mistake.words.en


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(TEXT.encode(), id="UTF-8"),
        pytest.param(TEXT.encode("utf-8-sig"), id="UTF-8 with its mark"),
        pytest.param(TEXT.replace("№", "N").encode("cp1251"), id="cp1251"),
        pytest.param(TEXT.encode("utf-16"), id="UTF-16 with its mark"),
        pytest.param(b"\xfe\xff" + TEXT.encode("utf-16-be"), id="UTF-16 from the higher byte"),
        pytest.param(TEXT.replace(";", ",").encode(), id="commas"),
        pytest.param(TEXT.replace(";", "\t").encode("utf-16"), id="tabs, as Excel's Unicode text"),
        pytest.param(f"sep=;\r\n{TEXT}".encode(), id="with Excel's line of the separator"),
        pytest.param(TEXT.replace("\r\n", "\n").encode(), id="line feeds alone"),
        pytest.param(TEXT.replace("\r\n", "\r").encode(), id="carriage returns alone"),
    ],
)
def test_a_csv_file_is_read_in_whatever_way_it_was_saved(content):
    read = rows(read_tables("f.csv", content))
    assert [tuple(cell.replace(" N ", " № ") for cell in row) for row in read] == READ


def test_utf_16_without_a_mark_is_recognised():
    english = "Facility id;Name in English\r\ngkb1;Hospital\r\n"
    for encoding in ("utf-16-le", "utf-16-be"):
        assert rows(read_tables("f.csv", english.encode(encoding)))[1] == ("gkb1", "Hospital")


def test_rows_keep_their_numbers_over_empty_ones():
    (table,) = read_tables("f.csv", b"facility_id\n\na\n\nb\n")
    assert [number for number, _ in table.rows] == [1, 3, 5]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        pytest.param(b"facility_id\n\x98\x81", "encoding", id="no text at all"),
        pytest.param(b'facility_id;name_ru\na;"b', "quote", id="a quote that never ends"),
        pytest.param(b"\xd0\xcf\x11\xe0" + bytes(600), "old Excel", id="XLS"),
        pytest.param(b"PK\x03\x04 and then nothing", "broken", id="a torn workbook"),
        pytest.param(b";" * 70, "columns", id="too many columns"),
        pytest.param(b"a" * 200_000, "quote", id="one word without an end"),
    ],
)
def test_a_file_that_is_none_is_refused(content, why):
    assert why in refusal(read_tables("f.csv", content))


HEADINGS = "unit_id;facility_id;kind;capture;state;serial"
ROW = "u1;gkb1;ct;digital;active;"


@pytest.mark.parametrize(
    ("content", "where"),
    [
        (f"{HEADINGS}\n", [(0, "", "no row below")]),
        (f"{HEADINGS}\n{ROW}1;;;\n", []),
        (f"{HEADINGS}\n{ROW}1;;2\n", [(2, "column 8", "without a heading")]),
        (f"{HEADINGS}\n{ROW}1,23457E+11\n", [(2, "Serial number", "has rounded")]),
        (f"{HEADINGS}\n{ROW}E+11\n", []),
    ],
    ids=["headings alone", "separators at the end", "moved cells", "a serial by Excel", "a serial"],
)
def test_what_would_be_lost_is_told_by_row_and_column(content, where):
    found = plan_import(read_tables("f.csv", content.encode()), [], [], TERMS)
    told = [
        (m.row, m.column.en, m.words.en) for m in found.mistakes if "register" not in m.words.en
    ]
    assert [(row, column) for row, column, _ in told] == [one[:2] for one in where]
    assert [why in words for (*_, words), (*_, why) in zip(told, where, strict=True)] == [
        True for _ in where
    ]


def test_a_file_may_have_a_hundred_thousand_rows_and_not_one_more():
    lines = ["facility_id;name_ru;kind;municipality"]
    lines += [f"f{n};А;больница;М" for n in range(100_000)]
    tables = read_tables("f.csv", "\n".join(lines).encode())
    found = plan_import(tables, [], [], TERMS)
    assert (found.mistake_count, len(found.facilities)) == (0, 100_000)
    (table,) = read_tables("f.csv", "\n".join([*lines, "one;А;больница;М"]).encode())
    assert [(m.row, m.words.en) for m in table.mistakes] == [(100_002, "more than 100000 rows")]


def workbook(*sheets):
    book = Workbook()
    book.remove(book.active)
    for number, lines in enumerate(sheets):
        sheet = book.create_sheet(f"Лист {number}")
        for line in lines:
            sheet.append(line)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def test_a_workbook_keeps_its_types():
    day = date(2026, 1, 31)
    (table,) = read_tables("f.xlsx", workbook([["unit_id", "renewal_on", "year"], ["a", day, 2]]))
    (number, cells) = table.rows[1]
    assert number == 2
    assert (cells[0], cells[1].date(), cells[2]) == ("a", day, 2)


def test_sheets_are_tables_of_their_own_and_empty_ones_none():
    tables = read_tables("f.xlsx", workbook([["facility_id"], ["a"]], [], [["unit_id"], ["b"]]))
    assert [table.name for table in tables] == ["f.xlsx / Лист 0", "f.xlsx / Лист 2"]


def test_a_formula_is_refused_at_its_row_and_column():
    book = workbook(
        [["facility_id", "name_ru"], ["a", '=HYPERLINK("http://x.test","b")'], ["b", "Б"]]
    )
    found = plan_import(read_tables("f.xlsx", book), [], [], TERMS)
    formulas = [(m.row, m.column.en) for m in found.mistakes if "formula" in m.words.en]
    assert formulas == [(2, "Name in Russian")]
    assert not found.changes


def with_part(content, name, part):
    """The workbook with one part replaced."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w", 8) as new:
        for info in old.infolist():
            new.writestr(info.filename, part if info.filename == name else old.read(info))
    return out.getvalue()


@pytest.mark.parametrize("number", [123_456_789_012_345_678, 1.2345678901234567e17])
def test_a_long_serial_that_is_a_number_is_refused(number):
    book = workbook([HEADINGS.split(";"), [*ROW.split(";")[:-1], number]])
    found = plan_import(read_tables("f.xlsx", book), [], [], TERMS)
    assert [(m.row, m.column.en) for m in found.mistakes] == [(2, "Serial number")]


def test_merged_cells_and_hidden_sheets_are_told():
    book = Workbook()
    sheet, hidden = book.active, book.create_sheet("Списки")
    for line in (["facility_id", "oid"], ["a", "1.2"], ["b"]):
        sheet.append(line)
    sheet.merge_cells("B2:B3")
    hidden.append(["больница"])
    hidden.sheet_state = "hidden"
    out = io.BytesIO()
    book.save(out)
    tables = read_tables("f.xlsx", out.getvalue())
    assert [table.name for table in tables] == [
        "f.xlsx", "f.xlsx / Sheet", "f.xlsx / Списки (скрытый · hidden)",
    ]  # fmt: skip
    (mistake,) = tables[0].mistakes
    assert (mistake.row, mistake.column.en) == (2, "B2:B3")
    assert not plan_import(tables, [], [], TERMS).changes


SHEET = "xl/worksheets/sheet1.xml"
OPEN = '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
CLOSE = "</sheetData></worksheet>"


def cell(row, text):
    return f'<row r="{row}"><c r="A{row}" t="inlineStr"><is><t>{text}</t></is></c></row>'


@pytest.mark.parametrize(
    "part",
    [
        '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]>' + OPEN + cell(1, "&b;") + CLOSE,
        '<?xml version="1.0"?><!DOCTYPE a SYSTEM "file:///etc/passwd">' + OPEN + CLOSE,
    ],
    ids=["entities", "a file of ours"],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_workbook_with_a_dtd_is_refused(part, encoding):
    book = with_part(workbook([["facility_id"]]), SHEET, part.encode(encoding))
    assert "DTD" in refusal(read_tables("f.xlsx", book))


def test_a_workbook_that_unpacks_to_very_much_is_refused(monkeypatch):
    monkeypatch.setattr(reading, "MOST_UNPACKED", 1_000_000)
    part = OPEN + cell(1, "a" * 1_000_000) + CLOSE
    book = with_part(workbook([["facility_id"]]), SHEET, part.encode())
    assert len(book) < 20_000
    assert "unpacked" in refusal(read_tables("f.xlsx", book))


def test_a_workbook_of_very_many_parts_is_refused():
    out = io.BytesIO(workbook([["facility_id"]]))
    with zipfile.ZipFile(out, "a") as archive:
        for number in range(300):
            archive.writestr(f"xl/{number}.bin", b"")
    assert "parts" in refusal(read_tables("f.xlsx", out.getvalue()))


def test_a_row_without_end_is_refused_before_it_is_kept():
    part = OPEN + "<row>" + '<c r="A1"><v>1</v></c>' * 40_000 + "</row>" + CLOSE
    book = with_part(workbook([["facility_id"]]), SHEET, part.encode())
    assert "columns" in refusal(read_tables("f.xlsx", book))


def test_a_workbook_whose_bytes_are_damaged_is_refused():
    book = bytearray(workbook([["facility_id"], *[[str(n)] for n in range(500)]]))
    at = book.index(SHEET.encode()) + len(SHEET)
    book[at : at + 200] = b"\xff" * 200
    assert "broken" in refusal(read_tables("f.xlsx", bytes(book)))


def test_a_workbook_without_a_workbook_is_refused():
    book = with_part(workbook([["facility_id"]]), "[Content_Types].xml", b"<Types/>")
    assert "broken" in refusal(read_tables("f.xlsx", book))


@pytest.mark.parametrize("line", [b"a" * 200_000, b";" * 100_000], ids=["a word", "columns"])
def test_a_first_line_without_end_is_no_heading(line):
    assert refusal(read_tables("f.csv", line))


def test_a_row_far_below_is_read_and_one_below_every_sheet_is_refused():
    def read(last):
        part = OPEN + cell(1, "facility_id") + cell(last, "a") + CLOSE
        (table,) = read_tables(
            "f.xlsx", with_part(workbook([["facility_id"]]), SHEET, part.encode())
        )
        return [number for number, _ in table.rows], [m.words.en for m in table.mistakes]

    assert read(150_000) == ([1, 150_000], [])
    assert read(10**9) == ([1], ["more than 100000 rows"])


@pytest.mark.parametrize(
    "part", ["<worksheet", "<a/>", OPEN + '<row r="x"><c r="?"/></row>' + CLOSE]
)
def test_a_workbook_of_another_shape_is_refused(part):
    book = with_part(workbook([["facility_id"]]), SHEET, part.encode())
    tables = read_tables("f.xlsx", book)
    assert not plan_import(tables, [], [], TERMS).changes
    assert plan_import(tables, [], [], TERMS).mistake_count == 1
