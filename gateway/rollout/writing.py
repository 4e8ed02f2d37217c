"""The register as files that are read again by reading.py: CSV for Excel, or a typed workbook."""

import csv
import io
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Font

from gateway.model.rollout.columns import (
    FACILITY_COLUMNS,
    NUMBER,
    TOLD,
    UNIT_COLUMNS,
    VALID_FROM,
    Cell,
    Column,
)
from gateway.model.rollout.register import Facility, Revision, Unit, as_of
from gateway.model.rollout.writing import cell_of, text_of
from gateway.model.wording import Words

NAMES = {"facilities": Words("Организации", "Facilities"), "units": Words("Аппараты", "Units")}
_WIDEST = 48


@dataclass(frozen=True)
class Sheet:
    """One table to be written.

    name  key of NAMES; also the name of its CSV file
    """

    name: str
    columns: tuple[Column, ...]
    rows: Sequence[Sequence[object]]


def sheets_of_day(
    facilities: Iterable[Revision[Facility]], units: Iterable[Revision[Unit]], day: date
) -> tuple[Sheet, Sheet]:
    """The register as it was at the end of a day, sorted by id."""
    found = (
        ("facilities", FACILITY_COLUMNS, as_of(facilities, day)),
        ("units", UNIT_COLUMNS, as_of(units, day)),
    )
    first, second = (
        Sheet(name, columns, [_values(things[key], columns) for key in sorted(things)])
        for name, columns, things in found
    )
    return first, second


def sheets_of_history(
    facilities: Iterable[Revision[Facility]], units: Iterable[Revision[Unit]]
) -> tuple[Sheet, Sheet]:
    """Every revision as it was written, in that order, with its author and reason."""
    return (
        _history("facilities", FACILITY_COLUMNS, facilities),
        _history("units", UNIT_COLUMNS, units),
    )


def _history(name: str, columns: tuple[Column, ...], revisions: Iterable[Revision[Any]]) -> Sheet:
    rows = [
        (one.number, one.valid_from, *_values(one.thing, columns), one.recorded_at, one.author,
         one.reason)
        for one in revisions
    ]  # fmt: skip
    return Sheet(name, (NUMBER, VALID_FROM, *columns, *TOLD), rows)


def _values(thing: Facility | Unit, columns: Sequence[Column]) -> list[object]:
    return [getattr(thing, column.name) for column in columns]


def write_csv(sheet: Sheet, language: str) -> bytes:
    """For Excel: UTF-8 with its mark, semicolons, CR LF, every cell quoted."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=";", quoting=csv.QUOTE_ALL)
    writer.writerow(getattr(column.heading, language) for column in sheet.columns)
    for row in sheet.rows:
        pairs = zip(sheet.columns, row, strict=True)
        writer.writerow([text_of(column, value, language) for column, value in pairs])
    return out.getvalue().encode("utf-8-sig")


def write_csv_archive(sheets: Sequence[Sheet], language: str) -> bytes:
    """Both tables in a ZIP file."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for sheet in sheets:
            archive.writestr(f"{sheet.name}.csv", write_csv(sheet, language))
    return out.getvalue()


def write_xlsx(sheets: Sequence[Sheet], language: str) -> bytes:
    """A workbook with a sheet each: dates and numbers are typed, a text is never a formula."""
    book = Workbook(write_only=True)
    for sheet in sheets:
        page = book.create_sheet(getattr(NAMES[sheet.name], language))
        page.freeze_panes = "B2"
        for place, column in enumerate(sheet.columns):
            letter = _letter(place)
            heading = getattr(column.heading, language)
            widest = max([len(heading), *(len(str(row[place])) for row in sheet.rows[:200])])
            page.column_dimensions[letter].width = min(widest + 2, _WIDEST)
        page.append([_heading(page, getattr(c.heading, language)) for c in sheet.columns])
        for row in sheet.rows:
            pairs = zip(sheet.columns, row, strict=True)
            page.append([_typed(page, cell_of(column, value, language)) for column, value in pairs])
        page.auto_filter.ref = f"A1:{_letter(len(sheet.columns) - 1)}{len(sheet.rows) + 1}"
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _letter(place: int) -> str:
    return chr(ord("A") + place)


def _heading(page: Any, text: str) -> Any:
    cell = WriteOnlyCell(page, text)
    cell.font = Font(bold=True)
    return cell


def _typed(page: Any, value: Cell) -> Any:
    if value is None:
        return None
    if isinstance(value, datetime):  # a workbook knows no time zones
        value = value.isoformat(timespec="seconds")
    if isinstance(value, date):
        cell = WriteOnlyCell(page, value)  # type: ignore[arg-type]  # it takes a date as well
        cell.number_format = "DD.MM.YYYY"
        return cell
    if isinstance(value, str):
        cell = WriteOnlyCell(page, value)
        cell.data_type = "s"
        return cell
    return value
