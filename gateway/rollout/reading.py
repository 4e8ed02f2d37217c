"""A register file as tables: CSV in the encodings that Excel writes, or XLSX. Nothing is executed,
and what would take too much memory is refused before it is read (trust.md H37).
"""

import csv
import io
import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, cast
from xml.parsers import expat

from openpyxl import load_workbook
from openpyxl.utils.exceptions import InvalidFileException

from gateway.model.rollout.columns import FACILITY_COLUMNS, UNIT_COLUMNS, Cell, name_of_heading
from gateway.model.rollout.import_plan import Mistake, Table
from gateway.model.wording import Words

MOST_BYTES = 32 * 1024 * 1024
MOST_UNPACKED = 160 * 1024 * 1024
MOST_PARTS = 200
MOST_SHEETS = 10
MOST_ROWS = 100_000
MOST_COLUMNS = 60
LAST_ROW, LAST_COLUMN = 1_048_576, 16_384
"""Of a sheet, by ECMA-376."""
IN_A_ROW = 4 * LAST_COLUMN
"""Elements at most: a cell has its value inside."""
BLOCK = 256 * 1024
MOST_MERGED, LONGEST_REFERENCE = 1000, 40
LONGEST_LINE = 32 * 1024
"""Of headings, in letters."""
_REFERENCE = re.compile(r"[A-Z]+(\d+):[A-Z]+\d+", re.ASCII)

_NO_COLUMN = Words("", "")
_FORMULA = Words(
    "формула; вставьте значение (Специальная вставка → Значения)",
    "is a formula; paste its value (Paste special → Values)",
)
_ERROR = Words("ошибка вычисления в ячейке", "the cell holds an error")
_TOO_BIG = Words(
    f"файл больше {MOST_BYTES >> 20} МБ", f"the file has more than {MOST_BYTES >> 20} MB"
)
_UNPACKS = Words(
    f"распакованный файл больше {MOST_UNPACKED >> 20} МБ или в нём слишком много частей",
    f"unpacked it has more than {MOST_UNPACKED >> 20} MB, or it has too many parts",
)
_OLD = Words(
    "старый формат Excel или файл под паролем; сохраните как XLSX без пароля",
    "is of an old Excel or under a password; save it as XLSX without one",
)
_BROKEN = Words("файл повреждён или это не XLSX", "the file is broken or no XLSX")
_DTD = Words(
    "в файле есть объявление DTD: такой не принимается", "the file has a DTD: it is not taken"
)
_ENCODING = Words(
    "кодировка не узнана; сохраните как «CSV UTF-8»",
    "the encoding is not recognised; save it as CSV UTF-8",
)
_MERGED = Words(
    "объединённые ячейки: значение есть только в первой; разъедините их",
    "merged cells: only the first of them has the value; unmerge them",
)
_QUOTES = Words("кавычки не закрыты или стоят не там", "a quote is not closed or out of place")
_ROWS = Words(f"строк больше {MOST_ROWS}", f"more than {MOST_ROWS} rows")
_COLUMNS = Words(f"столбцов больше {MOST_COLUMNS}", f"more than {MOST_COLUMNS} columns")
_SHEETS = Words(f"листов больше {MOST_SHEETS}", f"more than {MOST_SHEETS} sheets")


class _Unusable(Exception):
    """The whole file; `words` say why."""

    def __init__(self, words: Words) -> None:
        super().__init__(words.en)
        self.words = words


def read_tables(name: str, content: bytes) -> list[Table]:
    """The tables of a file; of one that cannot be used a table with the mistake alone.

    name  of the file, for the words of mistakes
    """
    try:
        if len(content) > MOST_BYTES:
            raise _Unusable(_TOO_BIG)
        if content.startswith(b"\xd0\xcf\x11\xe0"):
            raise _Unusable(_OLD)
        if content.startswith(b"PK"):
            return list(_read_workbook(name, content))
        return [_read_csv(name, content)]
    except _Unusable as error:
        return [Table(name, (), (Mistake(name, 0, _NO_COLUMN, error.words),))]


def _read_csv(name: str, content: bytes) -> Table:
    text = _decoded(content)
    first = _first_line(text).casefold()
    rows: list[tuple[int, Sequence[Cell]]] = []
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
    row = 0
    try:
        for row, cells in enumerate(lines, 1):
            if row == 1 and first.startswith("sep="):
                continue
            if len(rows) > MOST_ROWS:
                return _too_much(name, row, rows, _ROWS)
            if len(cells) > MOST_COLUMNS:
                return _too_much(name, row, rows, _COLUMNS)
            if any(cells):
                rows.append((row, cells))
    except csv.Error:
        return _too_much(name, row + 1, rows, _QUOTES)
    return Table(name, rows)


def _too_much(
    name: str, row: int, rows: Sequence[tuple[int, Sequence[Cell]]], words: Words
) -> Table:
    """The rows before it are checked all the same: every mistake is told at once."""
    return Table(name, rows, (Mistake(name, row, _NO_COLUMN, words),))


def _decoded(content: bytes) -> str:
    """raises  _Unusable if it is in none of the encodings that Excel writes"""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        encodings = ["utf-16"]
    elif b"\0" in content[:200]:
        # Without a mark: Latin letters and separators tell which byte is the higher one.
        encodings = ["utf-16-le" if content[1:200:2].count(0) else "utf-16-be"]
    else:
        encodings = ["utf-8-sig", "cp1251"]
    for encoding in encodings:
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise _Unusable(_ENCODING)


def _first_line(text: str) -> str:
    """Whatever ends it; no more than a reader of headings takes."""
    found = re.match(r"[^\r\n]*", text[:LONGEST_LINE])
    return found[0].strip() if found else ""


def _delimiter(text: str) -> str:
    """The one by which most of the first line's words are headings that we know."""
    first = _first_line(text)
    if first.casefold().startswith("sep=") and len(first) == 5:
        return first[4]
    columns = (*FACILITY_COLUMNS, *UNIT_COLUMNS)

    def known(delimiter: str) -> int:
        cells = next(csv.reader([first], delimiter=delimiter), [])[:MOST_COLUMNS]
        return sum(name_of_heading(cell, columns) is not None for cell in cells)

    return max((";", ",", "\t"), key=lambda mark: (known(mark), first.count(mark)))


def _read_workbook(name: str, content: bytes) -> Iterator[Table]:
    yield from (Table(name, (), (one,)) for one in _check_parts(name, content))
    try:
        book = load_workbook(io.BytesIO(content), read_only=True, keep_links=False)
        try:
            sheets = book.worksheets
            if len(sheets) > MOST_SHEETS:
                raise _Unusable(_SHEETS)
            for sheet in sheets:
                table = _read_sheet(name if len(sheets) == 1 else _name_of(name, sheet), sheet)
                if table.rows or len(sheets) == 1:
                    yield table
        finally:
            book.close()
    # openpyxl has no error of its own for what it does not understand.
    except (
        InvalidFileException, zipfile.BadZipFile, expat.ExpatError, SyntaxError, KeyError,
        ValueError, TypeError, AttributeError, IndexError, EOFError, OverflowError, OSError,
    ) as error:  # fmt: skip
        raise _Unusable(_BROKEN) from error


def _name_of(name: str, sheet: Any) -> str:
    """Of a sheet; who cannot see it in their program is told why."""
    hidden = "" if sheet.sheet_state == "visible" else " (скрытый · hidden)"
    return f"{name} / {sheet.title}{hidden}"


def _check_parts(name: str, content: bytes) -> list[Mistake]:
    """Unpack every part once, in blocks: neither a bomb nor a DTD gets further.

    returns  merged cells: reading a sheet row by row would not show them
    raises   _Unusable
    """
    merged: list[Mistake] = []
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            parts = archive.infolist()
            if len(parts) > MOST_PARTS or sum(part.file_size for part in parts) > MOST_UNPACKED:
                raise _Unusable(_UNPACKS)
            for part in parts:
                if part.filename.endswith((".xml", ".rels")):
                    with archive.open(part) as stream:
                        references = _check_xml(cast(BinaryIO, stream))
                    for cells in filter(None, map(_REFERENCE.fullmatch, references)):
                        where = Words(cells[0], cells[0])
                        told = part.filename + cells[0]
                        merged.append(Mistake(name, int(cells[1]), where, _MERGED, told))
    except (
        zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError,
        expat.ExpatError,
    ) as error:  # fmt: skip
        raise _Unusable(_BROKEN) from error
    return merged


def _check_xml(stream: BinaryIO) -> list[str]:
    """References of merged cells, like "A1:B2"; raises _Unusable"""
    cells = 0
    merged: list[str] = []

    def refuse(*_: Any) -> None:
        raise _Unusable(_DTD)

    def look(name: str, attributes: dict[str, str]) -> None:
        """openpyxl keeps a whole row in memory, however long it is."""
        nonlocal cells
        element = name.rpartition(":")[2]
        cells = 0 if element == "row" else cells + 1
        if cells > IN_A_ROW and element == "c":
            raise _Unusable(_COLUMNS)
        if element == "mergeCell" and len(merged) < MOST_MERGED:
            merged.append(attributes.get("ref", "")[:LONGEST_REFERENCE])

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = look
    while block := stream.read(BLOCK):
        parser.Parse(block, False)
    parser.Parse(b"", True)
    return merged


def _read_sheet(name: str, sheet: Any) -> Table:
    sheet.reset_dimensions()  # what the file says of its size may be wrong
    rows: list[tuple[int, Sequence[Cell]]] = []
    cells = sheet.iter_rows(max_col=MOST_COLUMNS + 1)
    empty = None  # openpyxl gives the same one for every row that the file leaves out
    for number, row in enumerate(cells, 1):
        if number > LAST_ROW:
            return _too_much(name, number, rows, _ROWS)
        if row is empty:
            continue
        if all(cell.value is None for cell in row):
            empty = row
            continue
        values = [_value(cell) for cell in row]
        while values and values[-1] is None:
            values.pop()
        if len(rows) > MOST_ROWS:
            return _too_much(name, number, rows, _ROWS)
        if len(values) > MOST_COLUMNS:
            return _too_much(name, number, rows, _COLUMNS)
        rows.append((number, values))
    return Table(name, rows)


def _value(cell: Any) -> Cell:
    if cell.data_type == "f":
        return _FORMULA
    if cell.data_type == "e":
        return _ERROR
    return cast(Cell, cell.value)
