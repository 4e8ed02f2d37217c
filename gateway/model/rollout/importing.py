"""What an import would change: every row of a file against the register, and every mistake. Pure.

A plan is shown first and applied whole or not at all; nothing here writes.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date
from typing import Any, Generic

from gateway.model.rollout.checking import ID, Fault, check_facility, check_unit
from gateway.model.rollout.columns import (
    FACILITY_COLUMNS,
    NUMBER,
    UNIT_COLUMNS,
    VALID_FROM,
    Cell,
    Column,
    as_text,
    name_of_heading,
    read_cell,
)
from gateway.model.rollout.import_plan import Difference, Mistake, Plan, RowPlan, Table, What
from gateway.model.rollout.register import Facility, Revision, T, Unit
from gateway.model.rollout.relations import Placed, check_relations
from gateway.model.rollout.timeline import Timelines, id_of
from gateway.model.rollout.writing import shown
from gateway.model.wording import Words

EVERY = 500
"""Rows between two words of progress."""
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Kind(Generic[T]):
    """What differs between a table of facilities and one of units."""

    columns: tuple[Column, ...]
    make: type[T]
    check: Callable[[T, date, date], Iterator[Fault]]

    @property
    def key(self) -> str:
        return self.columns[0].name


FACILITIES = Kind(FACILITY_COLUMNS, Facility, check_facility)
UNITS = Kind(UNIT_COLUMNS, Unit, check_unit)


@dataclass(frozen=True)
class Terms:
    """Under which an import is judged.

    default_day  counts for rows without a day of their own
    own          facilities that the author may write; None: all of them
    """

    default_day: date
    today: date
    own: frozenset[str] | None = None


def plan_import(
    tables: Sequence[Table],
    facilities: Sequence[Revision[Facility]],
    units: Sequence[Revision[Unit]],
    terms: Terms,
    progress: Progress = lambda done, total: None,
) -> Plan:
    """What these tables would change in this register.

    Facilities are read before units, in whatever order the tables come.
    progress  called with (rows done, rows in all)
    """
    plan = Plan()
    sorted_tables: dict[str, list[_Headed]] = {"facility_id": [], "unit_id": []}
    for table in tables:
        headed = _read_headings(table, plan)
        if headed is not None:
            sorted_tables[headed.kind.key].append(headed)
    total = sum(len(one.rows) for found in sorted_tables.values() for one in found)
    headings = [one for found in sorted_tables.values() for one in found]
    if headings and not total and not plan.mistake_count:
        plan.add_mistake(Mistake(headings[0].name, 0, Words("", ""), _NO_ROWS))
    counter = _Counter(total, progress)
    of_facilities = _Pass(plan, FACILITIES, Timelines(facilities), facilities, terms, counter)
    of_units = _Pass(plan, UNITS, Timelines(units), units, terms, counter)
    for headed in sorted_tables["facility_id"]:
        of_facilities.take(headed)
    for headed in sorted_tables["unit_id"]:
        of_units.take(headed)
    plan.facilities, plan.units = of_facilities.placed, of_units.placed
    _check_together(plan, of_facilities, of_units)
    plan.mistakes.sort(key=lambda one: (one.table, one.row))
    return plan


def differences(
    columns: Iterable[Column], before: Facility | Unit, after: Facility | Unit
) -> Iterator[Difference]:
    """Field by field, as they are written."""
    for column in columns:
        old, new = getattr(before, column.name), getattr(after, column.name)
        if old != new:
            yield Difference(column.heading, shown(column, old), shown(column, new))


@dataclass(frozen=True)
class _Headed:
    """A table whose headings were understood: place of each column, and how many there are."""

    name: str
    kind: Kind[Any]
    places: Mapping[str, int]
    headings: Mapping[str, Words]
    rows: Sequence[tuple[int, Sequence[Cell]]]
    width: int

    def cell(self, row: Sequence[Cell], name: str) -> Cell:
        place = self.places.get(name)
        return None if place is None or place >= len(row) else row[place]

    def heading(self, name: str) -> Words:
        return self.headings.get(name) or _heading(self.kind, name)


def _read_headings(table: Table, plan: Plan) -> _Headed | None:
    for mistake in table.mistakes:
        plan.add_mistake(mistake)
    if not table.rows:
        if not table.mistakes:
            plan.add_mistake(Mistake(table.name, 0, Words("", ""), _EMPTY))
        return None
    (first, headings), rows = table.rows[0], table.rows[1:]
    names = {name_of_heading(cell, UNIT_COLUMNS) for cell in headings}
    kind: Kind[Any] = UNITS if "unit_id" in names else FACILITIES
    places: dict[str, int] = {}
    for place, cell in enumerate(headings):
        said = str(cell if cell is not None else "")[:80]
        name = name_of_heading(cell, kind.columns)
        if name is None:
            used = any(place < len(row) and as_text(row[place]) != "" for _, row in rows)
            if said or used:
                plan.add_mistake(Mistake(table.name, first, Words(said, said), _UNKNOWN))
        elif name in places:
            plan.add_mistake(Mistake(table.name, first, Words(said, said), _TWICE))
        else:
            places[name] = place
    if kind.key not in places:
        plan.add_mistake(Mistake(table.name, first, Words("", ""), _NEITHER))
        return None
    by_name = {name: _heading(kind, name) for name in places}
    return _Headed(table.name, kind, places, by_name, rows, len(headings))


def _heading(kind: Kind[Any], name: str) -> Words:
    for column in (*kind.columns, VALID_FROM, NUMBER):
        if column.name == name:
            return column.heading
    return Words(name, name)


@dataclass
class _Counter:
    total: int
    progress: Progress
    done: int = 0

    def step(self) -> None:
        self.done += 1
        if self.done % EVERY == 0 or self.done == self.total:
            self.progress(self.done, self.total)


class _Pass(Generic[T]):
    """Takes the rows of one kind into its timelines, one after the other."""

    def __init__(
        self, plan: Plan, kind: Kind[T], lines: Timelines[T], revisions: Sequence[Revision[T]],
        terms: Terms, counter: _Counter,
    ) -> None:  # fmt: skip
        self.plan, self.terms = plan, terms
        self.kind: Kind[T] = kind
        self.lines: Timelines[T] = lines
        self.placed: list[Placed[T]] = []
        self.origins: list[tuple[_Headed, int]] = []
        self.broken: set[str] = set()
        self._revisions: dict[int, Revision[T]] = {
            revision.number: revision for revision in revisions
        }
        self._last = max(self._revisions, default=0)
        self._seen: dict[tuple[str, date], int] = {}
        self._counter = counter

    def take(self, table: _Headed) -> None:
        for row, cells in table.rows:
            self._counter.step()
            if any(as_text(cell) != "" for cell in cells):
                self._take_row(table, row, cells)

    def _take_row(self, table: _Headed, row: int, cells: Sequence[Cell]) -> None:
        self._tell_beyond(table, row, cells)
        values, faults = self._read(table, cells)
        thing_id = str(values.get(self.kind.key, ""))
        if not thing_id or not ID.fullmatch(thing_id):
            wrong = dict(faults).get(self.kind.key, _WRONG_ID)
            self._tell(table, row, [(self.kind.key, wrong)])
            return
        day = values.pop("valid_from", None) or self.terms.default_day
        number = values.pop("number", None)
        thing, base = self._make(table, values, thing_id, day, faults)
        if thing is None:
            self.broken.add(thing_id)
            self._tell(table, row, faults)
            return
        faults += self.kind.check(thing, day, self.terms.today)
        faults += self._not_own(base, thing, day)
        if number in self._revisions:
            faults += _rewrites(self._revisions[number], thing, day)
            told = RowPlan(table.name, row, thing_id, day, What.SAME)
        else:
            faults += self._again(thing_id, day, row, number)
            told = self._place(table, row, thing, base, day)
        if not faults:
            self.plan.rows.append(told)
        self._tell(table, row, faults)

    def _tell_beyond(self, table: _Headed, row: int, cells: Sequence[Cell]) -> None:
        """What stands beside the headings: a separator in a text has moved the cells."""
        beyond = [place for place in range(table.width, len(cells)) if as_text(cells[place]) != ""]
        if beyond:
            number = beyond[0] + 1
            where = Words(f"столбец {number}", f"column {number}")
            self.plan.add_mistake(Mistake(table.name, row, where, _BEYOND))

    def _read(self, table: _Headed, cells: Sequence[Cell]) -> tuple[dict[str, Any], list[Fault]]:
        """Values of the columns that the table has."""
        values: dict[str, Any] = {}
        faults: list[Fault] = []
        for column in (*self.kind.columns, VALID_FROM, NUMBER):
            if column.name not in table.places:
                continue
            value = read_cell(column, table.cell(cells, column.name))
            if isinstance(value, Words):
                faults.append((column.name, value))
            else:
                values[column.name] = value
        return values, faults

    def _make(
        self, table: _Headed, values: Mapping[str, Any], thing_id: str, day: date,
        faults: list[Fault],
    ) -> tuple[T | None, T | None]:  # fmt: skip
        """The thing as the row says it, and as it was; None if that cannot be said."""
        base = self.lines.at(thing_id, day)
        if base is None:
            absent = [c for c in self.kind.columns if c.required and c.name not in table.places]
            faults += [(column.name, _NEEDED) for column in absent]
        if faults:
            return None, base
        if base is not None:
            return replace(base, **values), base
        empty = {f.name: _EMPTY_VALUES[f.name] for f in fields(self.kind.make)}
        return self.kind.make(**{**empty, **values}), None

    def _not_own(self, base: T | None, thing: T, day: date) -> list[Fault]:
        own = self.terms.own
        if own is None:
            return []
        if base is None and isinstance(thing, Facility):
            return [("facility_id", _NOT_YOURS)]
        later = self.lines.next_after(id_of(thing), day)
        if base is None and later is not None:  # what came later is whose past this would become
            base = self.lines.at(id_of(thing), later)
        held = {one.facility_id for one in (base, thing) if one is not None}
        faults = [] if held <= own else [("facility_id", _NOT_YOURS)]
        if isinstance(thing, Facility) and isinstance(base, Facility):
            fixed = ("site_id", "parent_id", "merged_into")
            faults += [(n, _MINISTRY) for n in fixed if getattr(base, n) != getattr(thing, n)]
        return faults

    def _again(self, thing_id: str, day: date, row: int, number: int | None) -> list[Fault]:
        """Two rows of one day contradict each other, unless they are numbered as a history."""
        before = self._seen.setdefault((thing_id, day), row)
        if before == row or number is not None:
            return []
        return [(self.kind.key, Words(f"уже в строке {before}", f"is in row {before} already"))]

    def _place(self, table: _Headed, row: int, thing: T, base: T | None, day: date) -> RowPlan:
        """What the row does; a mistaken one is placed too, so that no other row misses it."""
        if base == thing:
            return RowPlan(table.name, row, id_of(thing), day, What.SAME)
        what = What.NEW if base is None else What.CHANGED
        changes = () if base is None else tuple(differences(self.kind.columns, base, thing))
        until = self.lines.next_after(id_of(thing), day)
        self._last += 1
        self.lines.add(thing, day, self._last)
        self.origins.append((table, row))
        self.placed.append(Placed(len(self.placed), thing, day))
        return RowPlan(table.name, row, id_of(thing), day, what, changes, until)

    def _tell(self, table: _Headed, row: int, faults: Iterable[Fault]) -> None:
        for name, words in faults:
            self.plan.add_mistake(Mistake(table.name, row, table.heading(name), words, name))

    def tell_placed(self, placed: Placed[T], fault: Fault) -> None:
        table, row = self.origins[placed.row]
        self._tell(table, row, [fault])


def _rewrites(known: Revision[T], thing: T, day: date) -> list[Fault]:
    if known.thing == thing and known.valid_from == day:
        return []
    return [("number", _REWRITES)]


def _check_together(plan: Plan, facilities: _Pass[Facility], units: _Pass[Unit]) -> None:
    """What is wrong between rows; not that a row is missing which was refused already."""
    found = check_relations(facilities.lines, units.lines, facilities.placed, units.placed)
    for placed, (name, words) in found:
        named = getattr(placed.thing, name, "")
        if isinstance(placed.thing, Facility):
            if named not in facilities.broken:
                facilities.tell_placed(placed, (name, words))
        elif named not in (units.broken if name == "merged_into" else facilities.broken):
            units.tell_placed(placed, (name, words))


_EMPTY_VALUES: Mapping[str, object] = {
    **dict.fromkeys((c.name for c in (*FACILITY_COLUMNS, *UNIT_COLUMNS)), ""),
    **dict.fromkeys(("latitude", "longitude", "planned_on", "joined_on"), None),
    **dict.fromkeys(("year", "cost", "renewal_on"), None),
    "renewed": False,
}
_EMPTY = Words("пустая таблица", "the table is empty")
_NO_ROWS = Words("под заголовками нет ни одной строки", "there is no row below the headings")
_BEYOND = Words(
    "значение без заголовка: не сдвинуты ли ячейки? Текст с разделителем пишут в кавычках",
    "a value without a heading: have cells moved? A text with a separator stands in quotes",
)
_UNKNOWN = Words("неизвестный столбец", "the column is unknown")
_TWICE = Words("столбец повторяется", "the column is there twice")
_NEITHER = Words(
    "нет столбца «Код организации» или «Код аппарата»",
    "there is neither a column Facility id nor Unit id",
)
_NEEDED = Words("для новой записи нужен этот столбец", "a new one needs this column")
_WRONG_ID = Words(
    "от 1 до 32 знаков: строчные латинские буквы, цифры, дефис",
    "1 to 32 characters: lower-case letters, digits, hyphens",
)
_NOT_YOURS = Words("не ваша организация", "is not your facility")
_MINISTRY = Words("меняет только министерство", "only the ministry changes this")
_REWRITES = Words(
    "прошлое не переписывается: новая строка пишется без номера записи",
    "the past is not rewritten: a new row has no revision number",
)
