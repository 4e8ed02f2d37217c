"""A facility or unit as cells of a file: the reverse of how columns.py reads them. Pure."""

from datetime import date, datetime

from gateway.model.rollout.columns import DIGITS, Cell, Column
from gateway.model.wording import Words

LANGUAGES = ("ru", "en")
_COMMANDS = ("=", "+", "-", "@", "\t", "\r")


def cell_of(column: Column, value: object, language: str) -> Cell:
    """The value of a typed cell: words for codes, dates and numbers as they are."""
    if column.words is not None:
        return str(getattr(column.words[str(value)], language))
    if isinstance(value, bool):
        return {"ru": ("нет", "да"), "en": ("no", "yes")}[language][value]
    if isinstance(value, str):
        return harmless(value)
    if isinstance(value, int | float | date | datetime) or value is None:
        return value
    return str(value)


def text_of(column: Column, value: object, language: str) -> str:
    """The same as text: 31.01.2026 and 55,16 in Russian, 2026-01-31 and 55.16 in English."""
    cell = cell_of(column, value, language)
    if cell is None:
        return ""
    if isinstance(cell, datetime):
        return cell.isoformat(timespec="seconds")
    if isinstance(cell, date):
        return f"{cell:%d.%m.%Y}" if language == "ru" else cell.isoformat()
    if isinstance(cell, float):
        text = f"{cell:.{DIGITS}f}".rstrip("0").rstrip(".")
        return text.replace(".", ",") if language == "ru" else text
    return str(cell)


def shown(column: Column, value: object) -> Words:
    """For people, in both languages."""
    return Words(*(text_of(column, value, language) for language in LANGUAGES))


def harmless(text: str) -> str:
    """A text that no spreadsheet program takes for a formula."""
    return f"'{text}" if text.startswith(_COMMANDS) else text
