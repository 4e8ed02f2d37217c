from dataclasses import replace
from datetime import date, timedelta

import pytest

from gateway.model.rollout.figures import REGION, Share
from gateway.model.rollout.forecast import (
    declared_shares,
    fit,
    forecast,
    month_ends,
    planned,
    straight,
)
from gateway.model.rollout.measures import Inventory, Savings, Seen, measure
from gateway.model.rollout.register import Revision, as_of
from tests.model.rollout.small_register import (
    AT,
    DAY,
    FACILITIES,
    REGISTER,
    UNITS,
    by_id,
    facility,
    revisions,
    unit,
)

START = date(2026, 1, 1)


def points(*percent, every=10):
    return [(START + timedelta(every * n), Share(p, 100)) for n, p in enumerate(percent)]


def test_a_line_without_scatter_has_no_band():
    # 40, 50, 60 % every ten days: one percent a day, so 100 % forty days after 60 %, on day 60.
    line = fit(points(40, 50, 60))
    assert line is not None
    assert line.slope == pytest.approx(0.01)
    day = START + timedelta(20)
    assert straight(points(40, 50, 60), day) == (START + timedelta(60),) * 3


def test_the_band_is_that_of_a_single_later_share():
    # Days 0, 10, 20, 30; shares .40 .52 .58 .70. Middle 15, mean .55; spread 225+25+25+225 = 500.
    # Slope (-15*-.15 + -5*-.03 + 5*.03 + 15*.15) / 500 = 4.8/500 = .0096.
    # On the line: .406 .502 .598 .694; rests -.006 .018 -.018 .006: squares .00072; over 2: .00036;
    # scatter .018974. t of 2 degrees: 4.303. Day 40: 25 away from the middle:
    # 4.303 * .018974 * sqrt(1 + 1/4 + 625/500) = .08164 * 1.58114 = .12909; share .55+.24 = .79.
    line = fit(points(40, 52, 58, 70))
    assert line is not None
    day = START + timedelta(40)
    assert line.share(day) == pytest.approx(0.79)
    assert line.band(day) == pytest.approx(0.12909, abs=1e-4)
    on, first, last = straight(points(40, 52, 58, 70), START + timedelta(30))
    # .55 + .0096 (x - 15) = 1: x = 61.875, so on day 62.
    assert on == START + timedelta(62)
    assert first is not None
    assert last is not None
    assert first < on < last
    for edge, sign in ((first, 1), (last, -1)):
        reached = [line.share(d) + sign * line.band(d) for d in (edge - timedelta(1), edge)]
        assert reached[0] < 1 <= reached[1]


@pytest.mark.parametrize(
    "shares", [(50, 50, 50), (70, 60, 50), (50,), (40, 60), ()],
    ids=["flat", "falling", "one point", "two points", "no point"],
)  # fmt: skip
def test_what_does_not_rise_or_is_no_line_gets_nowhere(shares):
    assert straight(points(*shares), DAY) == (None, None, None)


def test_a_line_that_scatters_widely_has_no_last_day():
    on, first, last = straight(points(10, 60, 20, 50, 30, 60), START + timedelta(50))
    assert on is not None
    assert first is not None
    assert last is None


def test_a_line_that_rises_by_nothing_gets_nowhere_within_a_hundred_years():
    slow = [(START + timedelta(365 * n), Share(100_000 + n, 1_000_000)) for n in range(3)]
    assert straight(slow, DAY) == (None, None, None)


def test_who_is_there_already_is_there_today():
    assert straight(points(50, 100), DAY) == (DAY, DAY, DAY)
    done = Inventory(FACILITIES, by_id(unit("u", "h1")))
    told = forecast(done, [(DAY, Share(1, 1))], DAY)
    assert (told.straight, told.by_plan, told.unplanned, told.holding_back) == (DAY, DAY, 0, ())


def test_a_line_that_should_be_there_already_is_there_today_at_the_earliest():
    assert straight(points(80, 90, 99), date(2027, 1, 1)) == (date(2027, 1, 1),) * 3


def test_months_without_a_unit_are_no_points():
    empty = [(START - timedelta(n), Share(0, 0)) for n in range(3)]
    assert fit(empty) is None
    assert straight(empty + points(40, 50, 60), START)[0] == START + timedelta(60)


def test_the_plan_of_the_region():
    # Not digital and counting: u4 (planned for December), u5, v1. u6 is ordered for h1, of the same
    # kind as u5, for February. v1 has no plan.
    assert planned(UNITS.values(), DAY) == (None, 1)
    told = forecast(REGISTER, [], DAY)
    assert (told.by_plan, told.unplanned) == (None, 1)
    assert told.holding_back == (("h1", 2), ("h2", 1))
    with_plan = UNITS | {"v1": replace(UNITS["v1"], renewal_on=date(2026, 9, 1))}
    assert planned(with_plan.values(), DAY) == (date(2027, 2, 1), 0)


def test_a_plan_whose_day_has_passed_is_none():
    late = by_id(unit("u", "h1", "analogue", renewal_on=DAY - timedelta(1)))
    assert planned(late.values(), DAY) == (None, 1)
    assert planned(late.values(), DAY - timedelta(1)) == (DAY - timedelta(1), 0)


def test_one_ordered_unit_renews_one_of_its_kind_and_facility():
    two = by_id(
        unit("a", "h1", "analogue"), unit("b", "h1", "analogue"), unit("c", "h2", "analogue"),
        unit("o", "h1", "digital", "ordered", renewal_on=DAY),
        unit("x", "h2", "digital", "ordered", "ct", renewal_on=DAY),
        unit("y", "h2", "digital", "installed"),  # nobody knows when
    )  # fmt: skip
    assert planned(two.values(), DAY) == (None, 2)


def test_of_no_unit_there_is_no_plan():
    assert planned([unit("u", "h1", "analogue", kind="mri")], DAY) == (None, 0)


def test_month_ends():
    assert list(month_ends(date(2025, 11, 30), date(2026, 2, 28))) == [
        date(2025, 11, 30), date(2025, 12, 31), date(2026, 1, 31), date(2026, 2, 28),
    ]  # fmt: skip
    assert list(month_ends(date(2026, 2, 1), date(2026, 2, 27))) == []


def test_declared_shares_of_the_past_are_those_that_are_measured():
    history = [
        *revisions(UNITS),
        Revision(20, date(2026, 3, 5), AT, "t", "", unit("v1", "h2", "digital")),
        Revision(21, date(2026, 3, 5), AT, "t", "", unit("u4", "h1", "analogue", "decommissioned")),
        Revision(22, date(2026, 2, 5), AT, "t", "", unit("v1", "h2", "analogue", "idle")),
        Revision(23, date(2026, 5, 9), AT + timedelta(1), "t", "", unit("v1", "h2", "analogue")),
        Revision(24, date(2026, 1, 1), AT, "t", "", unit("w", "new")),
    ]
    places = [
        *revisions(FACILITIES), Revision(9, date(2026, 4, 2), AT, "t", "", facility("new")),
    ]  # fmt: skip
    days = list(month_ends(date(2025, 12, 1), DAY))
    for known_at in (AT, None):
        told = declared_shares(places, history, days, known_at)
        for day, share in told:
            register = Inventory(as_of(places, day, known_at), as_of(history, day, known_at))
            figures, _ = measure(register, Seen(), day, Savings())
            assert share == figures[REGION].digital
        assert [day for day, _ in told] == days
