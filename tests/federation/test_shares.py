"""Who gives which part of a study that no site holds whole."""

import pytest

from gateway.federation.shares import (
    Coverage,
    Listing,
    Share,
    complete_sites,
    is_lacking,
    plan_shares,
)
from gateway.model.answers import Holder, Location, SeriesHeld


def listing(**series: str) -> Listing:
    """listing(a="123"): series a with the instances 1, 2 and 3."""
    return {uid: frozenset(names) for uid, names in series.items()}


@pytest.mark.parametrize(
    ("listings", "series", "complete"),
    [
        ({"north": listing(a="12"), "south": listing(a="12")}, None, {"north", "south"}),
        ({"north": listing(a="123"), "south": listing(a="12")}, None, {"north"}),
        ({"north": listing(a="12"), "south": listing(a="34")}, None, set()),
        (
            {"north": listing(a="12", b="5"), "south": listing(a="12", c="6")},
            "a",
            {"north", "south"},
        ),
        ({"north": listing(a="12", b="5"), "south": listing(a="12", c="6")}, "c", {"south"}),
    ],
    ids=["copies", "a part", "halves", "one series of a split study", "a series at one site"],
)
def test_complete_is_who_holds_whatever_anybody_holds(listings, series, complete) -> None:
    assert complete_sites(listings, series) == complete


@pytest.mark.parametrize(
    ("second", "shares"),
    [
        (listing(b="56"), [Share("south")]),
        (listing(a="12", b="56"), [Share("south", "b")]),
        (listing(a="123", b="5"), [Share("south", "a", "3"), Share("south", "b")]),
        (listing(a="12"), []),
    ],
    ids=["all of it is new", "a series is new", "an instance is new", "nothing is new"],
)
def test_the_second_site_gives_only_what_the_first_lacks(second, shares) -> None:
    planned = plan_shares({"north": listing(a="12"), "south": second}, None)
    assert planned == (Share("north"), *shares)


def test_only_shares_of_the_series_that_is_asked_for_are_planned() -> None:
    listings = {"north": listing(a="1"), "south": listing(a="2", b="3")}
    assert plan_shares(listings, "b") == (Share("south"),)


@pytest.mark.parametrize(
    ("known", "series", "was_split", "lacking"),
    [
        ([{"a": 2}], None, False, False),
        ([{"a": 3}], None, False, True),
        ([{"b": 1}], None, False, True),
        ([{"a": 2, "b": 1}], "a", False, True),
        ([{"a": 2}], "a", True, True),
        ([{"b": 1}], "a", True, False),
        ([], None, True, False),
    ],
    ids=[
        "as many",
        "more",
        "another series",
        "as many of a series in a split study",
        "as many of a study that was split",
        "nothing of this series",
        "nothing",
    ],
)
def test_a_silent_site_lacks_if_it_is_known_to_hold_more(known, series, was_split, lacking) -> None:
    listings = {"north": listing(a="12")}
    silent = [{uid: SeriesHeld(count) for uid, count in one.items()} for one in known]
    assert is_lacking(listings, series, silent, [], was_split=was_split) is lacking


@pytest.mark.parametrize(
    ("silent", "answering", "lacking"),
    [
        (SeriesHeld(2, "x"), SeriesHeld(2, "x"), False),
        (SeriesHeld(2, "x"), SeriesHeld(2, "y"), True),
        (SeriesHeld(1, "x"), SeriesHeld(2, "y"), True),
        (SeriesHeld(2, "x"), SeriesHeld(2, ""), False),
        (SeriesHeld(2, ""), SeriesHeld(2, "y"), False),
        (SeriesHeld(2, "x", "7"), SeriesHeld(2, "y", "8"), False),
    ],
    ids=["copies", "halves", "a smaller part", "unknown here", "unknown there", "other names"],
)
def test_a_silent_site_lacks_if_its_instances_are_known_to_be_others(
    silent: SeriesHeld, answering: SeriesHeld, lacking: bool
) -> None:
    """F18: as many instances are not the same instances."""
    listings = {"north": listing(a="12")}
    for series, expected in ((None, lacking), ("a", lacking), ("b", False)):
        found = is_lacking(listings, series, [{"a": silent}], [{"a": answering}], was_split=False)
        assert found is expected


def test_complete_holders_are_asked_first_and_silent_ones_not_at_all() -> None:
    holders = tuple(Holder(site, 2, 0.1) for site in ("north", "south", "east"))
    coverage = Coverage(complete=frozenset({"south"}), silent={"east": "timeout"})
    location = coverage.applied(Location("1.2", holders, {"west": "busy"}))
    assert [holder.site_id for holder in location.holders] == ["south", "north"]
    assert location.silent == {"west": "busy", "east": "timeout"}
    assert (coverage.is_partial("south"), coverage.is_partial("north")) == (False, True)
