"""A report as a file: a workbook with typed cells, or CSV. No text in it can be taken for a formula
(trust.md H37).
"""

import csv
import io
from datetime import date
from typing import Any

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
from openpyxl.styles import Alignment, Font
from openpyxl.utils import get_column_letter

from gateway.model.rollout.writing import harmless
from gateway.web.rollout.language import Language
from gateway.web.rollout.tables import Cell, Table

WIDEST = 60
DAY_FORM = {"ru": "DD.MM.YYYY", "en": "D MMM YYYY"}


def write_xlsx(tables: list[Table], language: Language) -> bytes:
    """One sheet for each table, its header frozen and filtered."""
    book = Workbook(write_only=True)
    for table in tables:
        sheet = book.create_sheet(table.name)
        sheet.freeze_panes = "A2"
        for place, title in enumerate(table.header):
            longest = max([len(title) // 2, *(len(str(row[place])) for row in table.rows[:300])])
            sheet.column_dimensions[get_column_letter(place + 1)].width = min(longest + 3, WIDEST)
        sheet.append([_title(sheet, title) for title in table.header])
        for row in table.rows:
            sheet.append([_cell(sheet, value, language) for value in row])
        sheet.auto_filter.ref = f"A1:{get_column_letter(len(table.header))}{len(table.rows) + 1}"
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def write_csv(table: Table, language: Language) -> bytes:
    """UTF-8 with the mark that Excel knows it by, semicolons, every cell quoted."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=";", quoting=csv.QUOTE_ALL)
    writer.writerow(table.header)
    for row in table.rows:
        writer.writerow([_text(value, language) for value in row])
    return out.getvalue().encode("utf-8-sig")


def _title(sheet: Any, text: str) -> Any:
    cell = WriteOnlyCell(sheet, text)
    cell.font = Font(bold=True)
    cell.alignment = Alignment(wrap_text=True, vertical="top")
    return cell


def _cell(sheet: Any, value: Cell, language: Language) -> Any:
    if isinstance(value, date):
        cell = WriteOnlyCell(sheet, value)  # type: ignore[arg-type]  # it takes a date as well
        cell.number_format = DAY_FORM[language.code]
        return cell
    if isinstance(value, str):
        cell = WriteOnlyCell(sheet, harmless(ILLEGAL_CHARACTERS_RE.sub("", value)))
        cell.data_type = "s"
        return cell
    return value


def _text(value: Cell, language: Language) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return harmless(value)
    if isinstance(value, date):
        return f"{value:%d.%m.%Y}" if language.code == "ru" else value.isoformat()
    text = str(value)
    return text.replace(".", ",") if language.code == "ru" else text
