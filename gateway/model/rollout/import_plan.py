"""What an import would change, as it is shown before it is applied."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from gateway.model.rollout.columns import Cell
from gateway.model.rollout.register import Facility, Unit
from gateway.model.rollout.relations import Placed
from gateway.model.wording import Words

MOST_TOLD = 1000
"""Mistakes that are told one by one; of more only the count."""


@dataclass(frozen=True)
class Mistake:
    """What is wrong, and where.

    row     0: with the table itself
    column  its heading, or ""
    name    of the field, or ""
    """

    table: str
    row: int
    column: Words
    words: Words
    name: str = ""


@dataclass(frozen=True)
class Table:
    """A sheet of a workbook or a CSV file as it was read; its first row has the headings.

    name  of the file, and of the sheet if there are several
    rows  each with its number in the file, from 1; empty rows may be missing
    """

    name: str
    rows: Sequence[tuple[int, Sequence[Cell]]]
    mistakes: tuple[Mistake, ...] = ()


class What(StrEnum):
    NEW = "new"
    CHANGED = "changed"
    SAME = "same"


@dataclass(frozen=True)
class Difference:
    """A field that a row changes, before and after as they are written in a file."""

    column: Words
    before: Words
    after: Words


@dataclass(frozen=True)
class RowPlan:
    """What one row would do.

    until  the day of a later revision of the same thing, from which on that one counts; None: none
    """

    table: str
    row: int
    thing_id: str
    valid_from: date
    what: What
    differences: tuple[Difference, ...] = ()
    until: date | None = None


@dataclass
class Plan:
    """All rows of all tables. `mistake_count` may be more than there are `mistakes`; of one cell
    the first is told.
    """

    rows: list[RowPlan] = field(default_factory=list)
    mistakes: list[Mistake] = field(default_factory=list)
    mistake_count: int = 0
    facilities: list[Placed[Facility]] = field(default_factory=list)
    units: list[Placed[Unit]] = field(default_factory=list)
    _told: set[tuple[str, int, str]] = field(default_factory=set, repr=False)

    def add_mistake(self, mistake: Mistake) -> None:
        cell = (mistake.table, mistake.row, mistake.name)
        if mistake.name and cell in self._told:
            return
        self._told.add(cell)
        self.mistake_count += 1
        if len(self.mistakes) < MOST_TOLD:
            self.mistakes.append(mistake)

    def count(self, what: What) -> int:
        return sum(row.what is what for row in self.rows)

    @property
    def changes(self) -> bool:
        """Whether there is anything to apply."""
        return not self.mistake_count and bool(self.facilities or self.units)
