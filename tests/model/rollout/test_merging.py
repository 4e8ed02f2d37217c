"""Two that are one, from a day on; what was planned for later follows, and it is taken back."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from gateway.model.rollout.merging import (
    Merging,
    merge_facility,
    merge_unit,
    separate_facility,
    separate_unit,
)
from gateway.model.rollout.register import (
    Capture,
    Facility,
    FacilityKind,
    Revision,
    Unit,
    UnitKind,
    UnitState,
    as_of,
)

START, DAY, LATER = date(2025, 1, 1), date(2026, 1, 1), date(2026, 6, 1)
MORNING = datetime(2025, 1, 1, 8, tzinfo=UTC)


def facility(facility_id: str, parent_id: str = "") -> Facility:
    return Facility(facility_id, "А", "", FacilityKind.HOSPITAL, "М", parent_id=parent_id)


def unit(unit_id: str, facility_id: str) -> Unit:
    return Unit(
        unit_id, facility_id, UnitKind.CT, "", "", "", None, Capture.DIGITAL, UnitState.ACTIVE
    )


class Book:
    """A register in memory that can be written into."""

    def __init__(self, *things: Facility | Unit) -> None:
        self.facilities: list[Revision[Facility]] = []
        self.units: list[Revision[Unit]] = []
        self.at = MORNING
        for thing in things:
            self.write(thing, START)

    def write(self, thing: Facility | Unit, day: date) -> None:
        rows = self.facilities if isinstance(thing, Facility) else self.units
        rows.append(Revision(len(rows) + 1, day, self.at, "a", "b", thing))

    def apply(self, merging: Merging) -> None:
        assert merging.faults == []
        self.at += timedelta(hours=1)
        for thing, day in [*merging.facilities, *merging.units]:
            self.write(thing, day)

    def places(self, day: date) -> dict[str, str]:
        return {key: one.facility_id for key, one in as_of(self.units, day).items()}

    def merged(self, day: date) -> dict[str, str]:
        return {k: f.merged_into for k, f in as_of(self.facilities, day).items() if f.merged_into}


def test_units_and_parts_move_with_a_facility_from_the_day_on():
    book = Book(facility("a"), facility("b"), facility("part", "a"), unit("u", "a"), unit("v", "b"))
    book.apply(merge_facility(book.facilities, book.units, "a", "b", DAY))
    assert book.places(DAY - timedelta(days=1)) == {"u": "a", "v": "b"}
    assert book.places(DAY) == {"u": "b", "v": "b"}
    assert book.merged(DAY) == {"a": "b"}
    assert as_of(book.facilities, DAY)["part"].parent_id == "b"


def test_what_was_planned_for_later_follows():
    book = Book(facility("a"), facility("b"), unit("u", "a"))
    book.write(replace(unit("u", "a"), state=UnitState.REPAIR), LATER)
    book.write(replace(facility("a"), name_ru="Новое имя"), LATER)
    book.apply(merge_facility(book.facilities, book.units, "a", "b", DAY))
    later = as_of(book.units, LATER)["u"]
    assert (later.facility_id, later.state) == ("b", UnitState.REPAIR)
    assert book.merged(LATER) == {"a": "b"}
    assert as_of(book.facilities, LATER)["a"].name_ru == "Новое имя"


def test_the_one_above_becomes_a_part_of_nothing_of_itself():
    book = Book(facility("a"), facility("b", "a"))
    book.apply(merge_facility(book.facilities, book.units, "a", "b", DAY))
    assert as_of(book.facilities, DAY)["b"].parent_id == ""


def test_what_was_merged_into_it_before_points_to_the_last_one():
    book = Book(facility("a"), facility("b"), facility("c"))
    book.apply(merge_facility(book.facilities, book.units, "a", "b", DAY))
    book.apply(merge_facility(book.facilities, book.units, "b", "c", LATER))
    assert book.merged(LATER) == {"a": "c", "b": "c"}


def test_a_merge_is_taken_back_with_what_moved_and_no_more():
    book = Book(facility("a"), facility("b"), facility("part", "a"), unit("u", "a"), unit("v", "b"),
                unit("w", "a"))  # fmt: skip
    book.apply(merge_facility(book.facilities, book.units, "a", "b", DAY))
    book.at += timedelta(hours=1)
    book.write(unit("w", "part"), LATER)
    book.apply(separate_facility(book.facilities, book.units, "a", LATER))
    assert book.merged(LATER) == {}
    assert book.places(LATER) == {"u": "a", "v": "b", "w": "part"}
    assert as_of(book.facilities, LATER)["part"].parent_id == "a"
    assert book.places(DAY) == {"u": "b", "v": "b", "w": "b"}


def test_the_last_of_several_merges_is_taken_back():
    book = Book(facility("a"), facility("b"), facility("c"), unit("u", "a"))
    book.apply(merge_facility(book.facilities, book.units, "a", "b", DAY))
    book.apply(separate_facility(book.facilities, book.units, "a", DAY))
    book.write(unit("later", "a"), DAY)
    book.apply(merge_facility(book.facilities, book.units, "a", "c", LATER))
    book.apply(separate_facility(book.facilities, book.units, "a", LATER))
    assert book.places(LATER) == {"u": "a", "later": "a"}


def test_a_unit_is_merged_and_separate_again():
    book = Book(facility("a"), unit("u", "a"), unit("v", "a"))
    book.apply(merge_unit(book.units, "u", "v", DAY))
    assert [one.counts for one in as_of(book.units, DAY).values()] == [False, True]
    book.apply(separate_unit(book.units, "u", LATER))
    assert [one.counts for one in as_of(book.units, LATER).values()] == [True, True]


def test_what_cannot_be_merged_is_refused():
    book = Book(facility("a"), facility("b"), facility("c"))
    book.apply(merge_facility(book.facilities, book.units, "a", "b", DAY))

    def fields(one: str, into: str, day: date = LATER) -> list[str]:
        found = merge_facility(book.facilities, book.units, one, into, day)
        assert (found.facilities, found.units) == ([], [])
        return [name for name, _ in found.faults]

    assert fields("c", "c") == ["into"]
    assert fields("none", "c") == ["one"]
    assert fields("c", "none") == ["into"]
    assert fields("a", "c") == ["one"]
    assert fields("c", "a") == ["into"]
    assert fields("c", "b", START - timedelta(days=1)) == ["one", "into"]
    undone = separate_facility(book.facilities, book.units, "c", LATER)
    assert [name for name, _ in undone.faults] == ["one"]


def test_what_is_merged_later_is_not_merged_the_other_way_before():
    """It would be a circle from then on, and everything of both would count nowhere."""
    book = Book(facility("a"), facility("b"), facility("c"), unit("u", "a"), unit("v", "b"))
    book.apply(merge_facility(book.facilities, book.units, "a", "b", LATER))
    back = merge_facility(book.facilities, book.units, "b", "a", DAY)
    other = merge_facility(book.facilities, book.units, "a", "c", DAY)
    assert [name for name, _ in back.faults] == ["into"]
    assert [name for name, _ in other.faults] == ["one"]
    book.apply(merge_unit(book.units, "u", "v", LATER))
    assert [name for name, _ in merge_unit(book.units, "v", "u", DAY).faults] == ["into"]
    book.apply(separate_unit(book.units, "u", LATER))
    assert merge_unit(book.units, "v", "u", LATER).faults == []
