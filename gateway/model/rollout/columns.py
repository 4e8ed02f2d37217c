"""The columns of the register's files and forms: what each is called, and how a cell is read.

Pure. A cell is a text (CSV, a form) or a value of a workbook. What is read is also what is written:
an export that is read again gives the same facility or unit.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from enum import StrEnum
from math import isfinite
from typing import TypeVar

from gateway.model.rollout.register import Capture, FacilityKind, UnitKind, UnitState
from gateway.model.rollout.words import CAPTURES, FACILITY_KINDS, STATES, UNIT_KINDS
from gateway.model.wording import Words

Cell = str | int | float | bool | date | datetime | time | Words | None
"""Words: what is wrong with it, if its reader knows that already."""

DIGITS = 6
"""Of a coordinate behind the point: a tenth of a metre, and a workbook keeps it exactly."""
_NOTHING = frozenset({"", "-", "–", "—", "нет данных", "не указано", "n/a"})
_DATES = (
    (re.compile(r"(\d{4})-(\d{2})-(\d{2})(?:[T ]00:00(?::00)?)?"), (1, 2, 3)),
    (re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})"), (3, 2, 1)),
)
_WHOLE = re.compile(r"-?\d{1,18}")
_NUMBER = re.compile(r"-?\d{1,18}(?:\.\d{1,18})?")
_FLAGS = {
    **dict.fromkeys(("да", "yes", "true", "истина", "1", "+"), True),
    **dict.fromkeys(("нет", "no", "false", "ложь", "0", "-", ""), False),
}

MISSING = Words("не заполнено", "is missing")
A_DATE = Words(
    "не дата; пишите ДД.ММ.ГГГГ или ГГГГ-ММ-ДД", "is no date; write DD.MM.YYYY or YYYY-MM-DD"
)
A_NUMBER = Words("не число", "is no number")
A_WHOLE = Words("не целое число", "is no whole number")
A_FLAG = Words("пишите «да» или «нет»", "write yes or no")
A_TEXT = Words("здесь нужен текст", "must be a text")
ROUNDED = Words(
    "длинное число, которое программа таблиц округлила; введите его снова как текст",
    "a long number that the spreadsheet program has rounded; enter it again as a text",
)
TOO_LONG = 10**15
"""A cell that is a number has no more digits than fifteen."""
_SCIENTIFIC = re.compile(r"\d(?:[.,]\d+)?E\+\d{1,3}", re.IGNORECASE)

NO_HINT = Words("", "")


@dataclass(frozen=True)
class Column:
    """One column.

    name     of the field; also understood as a heading
    heading  in a file that we write
    hint     what to write there
    read     the value of a cell, or Words of what is wrong with it
    required it may not be empty
    words    value -> how it is called, of a column with a list of values
    """

    name: str
    heading: Words
    read: Callable[[Cell], object]
    required: bool = False
    hint: Words = NO_HINT
    words: Mapping[str, Words] | None = None


def tidy(text: str) -> str:
    """Composed letters, one blank between words: what is compared and kept."""
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    return " ".join(text.split())


def as_text(cell: Cell) -> str | Words:
    """A workbook keeps a serial number as a number if it looks like one."""
    if cell is None:
        return ""
    if isinstance(cell, str):
        text = tidy(cell)
        return "" if text.casefold() in _NOTHING else text
    if isinstance(cell, Words):
        return cell
    if isinstance(cell, bool | date | time):
        return A_TEXT
    if abs(cell) >= TOO_LONG:
        return ROUNDED
    if isinstance(cell, float):
        return str(int(cell)) if isfinite(cell) and cell.is_integer() else A_TEXT
    return str(cell)


def _serial(cell: Cell) -> str | Words:
    """A long number that a spreadsheet program has written as 1,23457E+11 is no longer that one."""
    text = as_text(cell)
    return ROUNDED if isinstance(text, str) and _SCIENTIFIC.fullmatch(text) else text


def _date(cell: Cell) -> date | Words | None:
    if isinstance(cell, datetime):
        return cell.date() if cell.time() == time() else A_DATE
    if isinstance(cell, date):
        return cell
    if not isinstance(cell, str | None):
        return A_DATE
    text = as_text(cell)
    if not text:
        return None
    for pattern, order in _DATES:
        if isinstance(text, str) and (found := pattern.fullmatch(text)):
            try:
                return date(*(int(found[place]) for place in order))
            except ValueError:
                return A_DATE
    return A_DATE


def _plain(cell: Cell) -> str:
    """A number as a person types it, with blanks between thousands and a comma."""
    text = as_text(cell)
    return "".join(text.split()).replace(",", ".") if isinstance(text, str) else "?"


def _number(cell: Cell) -> float | Words | None:
    if isinstance(cell, int | float) and not isinstance(cell, bool):
        return round(float(cell), DIGITS) if isfinite(cell) else A_NUMBER
    text = _plain(cell)
    if not text:
        return None
    return round(float(text), DIGITS) if _NUMBER.fullmatch(text) else A_NUMBER


def _whole(cell: Cell) -> int | Words | None:
    if isinstance(cell, float):
        return int(cell) if isfinite(cell) and cell.is_integer() else A_WHOLE
    text = _plain(cell)
    if not text:
        return None
    text = re.sub(r"\.0+$", "", text)
    return int(text) if _WHOLE.fullmatch(text) else A_WHOLE


def _flag(cell: Cell) -> bool | Words:
    if isinstance(cell, bool):
        return cell
    if not isinstance(cell, str | int | None):
        return A_FLAG
    return _FLAGS.get(tidy("" if cell is None else str(cell)).casefold(), A_FLAG)


E = TypeVar("E", bound=StrEnum)


def _one_of(kinds: type[E], words: Mapping[str, Words]) -> Callable[[Cell], E | Words]:
    """By its word in either language or by its code, in any case of letters."""
    known = {_key(name): kind for kind in kinds for name in (*words[kind], str(kind))}
    russian = ", ".join(words[kind].ru for kind in kinds)
    english = ", ".join(words[kind].en for kind in kinds)
    wrong = Words(f"пишите одно из: {russian}", f"must be one of: {english}")

    def read(cell: Cell) -> E | Words:
        return known.get(_key(cell), wrong) if isinstance(cell, str) else wrong

    return read


def _key(text: str) -> str:
    return tidy(text).casefold().replace("ё", "е")


def _words_column(name: str, heading: Words, kinds: type[E], words: Mapping[str, Words]) -> Column:
    return Column(name, heading, _one_of(kinds, words), required=True, words=words)


ID = Words("строчные латинские буквы, цифры и дефис", "lower-case letters, digits and hyphens")
SAME = Words("достаточно в одной строке", "in one row is enough")
VALID_FROM: Column = Column(
    "valid_from", Words("Действует с", "Valid from"), _date, hint=Words("день", "day")
)
FACILITY_COLUMNS: tuple[Column, ...] = (
    Column("facility_id", Words("Код организации", "Facility id"), as_text, True, ID),
    Column("name_ru", Words("Название", "Name in Russian"), as_text, True),
    Column("name_en", Words("Название по-английски", "Name in English"), as_text),
    _words_column(
        "kind", Words("Вид организации", "Kind of facility"), FacilityKind, FACILITY_KINDS
    ),
    Column("municipality", Words("Муниципалитет", "Municipality"), as_text, True),
    Column(
        "municipality_en",
        Words("Муниципалитет по-английски", "Municipality in English"),
        as_text,
        hint=SAME,
    ),
    Column("latitude", Words("Широта", "Latitude"), _number),
    Column("longitude", Words("Долгота", "Longitude"), _number),
    Column("oid", Words("OID", "OID"), as_text),
    Column("parent_id", Words("Входит в", "Part of"), as_text, hint=ID),
    Column("planned_on", Words("Подключение по плану", "Planned to join"), _date),
    Column("joined_on", Words("Подключена", "Joined"), _date),
    Column("site_id", Words("Узел", "Site"), as_text, hint=ID),
    Column("merged_into", Words("Присоединена к", "Merged into"), as_text, hint=ID),
)
UNIT_COLUMNS: tuple[Column, ...] = (
    Column("unit_id", Words("Код аппарата", "Unit id"), as_text, True, ID),
    Column("facility_id", Words("Код организации", "Facility id"), as_text, True, ID),
    _words_column("kind", Words("Вид аппарата", "Kind of unit"), UnitKind, UNIT_KINDS),
    Column("manufacturer", Words("Производитель", "Manufacturer"), as_text),
    Column("model", Words("Модель", "Model"), as_text),
    Column("serial", Words("Серийный номер", "Serial number"), _serial),
    Column("year", Words("Год выпуска", "Year of make"), _whole),
    _words_column("capture", Words("Получение снимка", "Capture"), Capture, CAPTURES),
    _words_column("state", Words("Состояние", "State"), UnitState, STATES),
    Column("funding", Words("Источник денег", "Funding"), as_text),
    Column(
        "funding_en",
        Words("Источник денег по-английски", "Funding in English"),
        as_text,
        hint=SAME,
    ),
    Column("cost", Words("Стоимость, руб.", "Cost, roubles"), _whole),
    Column("renewed", Words("Обновлён по программе", "Renewed by the programme"), _flag),
    Column("renewal_on", Words("Замена по плану", "Planned renewal"), _date),
    Column("merged_into", Words("Объединён с", "Merged into"), as_text, hint=ID),
)
NUMBER: Column = Column("number", Words("№ записи", "Revision"), _whole)
TOLD: tuple[Column, ...] = (
    Column("recorded_at", Words("Записано", "Recorded at"), lambda cell: None),
    Column("author", Words("Кто записал", "Author"), lambda cell: None),
    Column("reason", Words("Причина", "Reason"), lambda cell: None),
)
"""Written in an export of the history and not read again: who writes now is the author."""


def read_cell(column: Column, cell: Cell) -> object:
    """The value, or Words of what is wrong with it."""
    if isinstance(cell, Words):
        return cell
    if column.required and as_text(cell) == "":
        return MISSING
    return column.read(cell)


def name_of_heading(cell: Cell, columns: tuple[Column, ...]) -> str | None:
    """The column that a heading means, in either language or by its field's name."""
    if not isinstance(cell, str):
        return None
    asked = _key(cell).rstrip(" *:")
    for column in (*columns, VALID_FROM, NUMBER, *TOLD):
        if asked in {_key(name) for name in (*column.heading, column.name)}:
            return column.name
    return None
