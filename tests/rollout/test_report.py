"""Snapshots are taken of what the register and the images say, and made up for."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from gateway.errors import BadRequest, NotFound
from gateway.model.rollout.figures import REGION, Count, Scope, ScopeKind, Share, SnapshotKind
from gateway.model.rollout.measures import Savings
from gateway.model.sites import Region
from gateway.records.register import Change, add_revisions
from gateway.records.snapshots import (
    Order,
    Taken,
    curve,
    latest,
    list_taken,
    load_orders,
    of_month,
    versions,
)
from gateway.rollout.register import load_register
from gateway.rollout.report import (
    backfill,
    correct,
    find_due,
    last_day,
    make_snapshot,
    month_end,
    order_due,
    take,
)
from tests.fakes import a_site
from tests.model.rollout.small_register import facility, unit
from tests.sightings import Region as Sites
from tests.sightings import a_study

NIGHTLY, MONTH = SnapshotKind.NIGHTLY, SnapshotKind.MONTH
NOW = datetime(2026, 3, 10, 20, 30, tzinfo=UTC)
TODAY = date(2026, 3, 11)  # at the site, where it is half past one
HOME = Region("Область", "Region", "gkb1", (a_site("gkb1", time_zone="Asia/Yekaterinburg"),))
SAVINGS = Savings()


@pytest.fixture
def register(records):
    """One hospital with a digital unit that shows itself and an analogue one, since January."""

    def write(*things, valid_from=date(2026, 1, 5), now=NOW - timedelta(days=60)):
        kinds = {"facilities": [], "units": []}
        for thing in things:
            kind = "units" if hasattr(thing, "unit_id") else "facilities"
            kinds[kind].append(Change(thing, valid_from))
        add_revisions(records, **kinds, author="test", reason="", now=now)

    write(
        facility("h1", site_id="gkb1"),
        replace(unit("u1", "h1", serial="0042"), manufacturer="АМИКО", model="ПроГраф"),
        unit("u2", "h1", "analogue"),
    )
    return write


def test_a_snapshot_says_what_register_and_images_say(records, register):
    Sites(records).show(*(a_study(n) for n in range(12)), a_study(99, {"StationName": "X"}))
    (done,) = take(records, [Order(TODAY, NIGHTLY)], SAVINGS, NOW)
    assert done == Order(TODAY, NIGHTLY)
    found = latest(records)
    assert (found.day, found.taken_at, found.version, found.reason) == (TODAY, NOW, 1, "")
    assert (found.region.digital, found.region.connected) == (Share(1, 2), Share(1, 2))
    assert found.region.proven_facilities == Share(1, 1)
    assert {one.unit_id: (str(one.evidence), one.last_on) for one in found.units} == {
        "u1": ("proven", TODAY), "u2": ("analogue", None),
    }  # fmt: skip
    assert found.told.studies[REGION] == Count(15)  # 13
    assert found.unknown_senders == 1
    assert found.forecast.unplanned == 1
    assert found.forecast.holding_back == (("h1", 1),)


def test_what_is_taken_twice_is_kept_once(records, register):
    assert take(records, [Order(TODAY, NIGHTLY)], SAVINGS, NOW) != []
    assert take(records, [Order(TODAY, NIGHTLY)], SAVINGS, NOW + timedelta(1)) == []
    assert [one.taken_at for one in list_taken(records)] == [NOW]


def test_what_is_written_after_a_snapshot_was_taken_can_be_told_from_it(records, register):
    take(records, [Order(TODAY, NIGHTLY)], SAVINGS, NOW)
    register(unit("u3", "h1"), now=NOW + timedelta(seconds=1))
    as_then = make_snapshot(records, load_register(records), Order(TODAY, NIGHTLY), SAVINGS, NOW)
    assert as_then == latest(records)


def test_a_corrected_month_has_another_version_with_its_reason(records, register):
    month = date(2026, 2, 1)
    with pytest.raises(NotFound):
        correct(records, month, "too early", SAVINGS, NOW)
    assert Order(date(2026, 2, 28), MONTH) in backfill(records, SAVINGS, TODAY, NOW)
    first = of_month(records, month)
    register(unit("u2", "h1"), now=NOW + timedelta(hours=1))  # it was digital all the time
    later = NOW + timedelta(hours=2)
    for reason in ("", "  ", "x" * 501):
        with pytest.raises(BadRequest):
            correct(records, month, reason, SAVINGS, later)
    told = correct(records, date(2026, 2, 17), " the plates  were there ", SAVINGS, later)
    assert (told.version, told.reason) == (2, "the plates were there")
    assert (first.region.digital, told.region.digital) == (Share(1, 2), Share(2, 2))
    assert of_month(records, month) == told
    assert of_month(records, month, version=1) == first
    assert [one.version for one in versions(records, month)] == [1, 2]
    assert [p.digital for p in curve(records)] == [Share(1, 2), Share(2, 2), Share(1, 2)]


def test_months_are_filled_in_from_the_first_day_of_the_register_on(records, register):
    register(unit("u2", "h1"), valid_from=date(2026, 2, 10))
    done = backfill(records, SAVINGS, TODAY, NOW)
    assert done == [
        Order(date(2026, 1, 31), MONTH), Order(date(2026, 2, 28), MONTH), Order(TODAY, NIGHTLY),
    ]  # fmt: skip
    assert [(p.day, p.digital) for p in curve(records)] == [
        (date(2026, 1, 31), Share(1, 2)), (date(2026, 2, 28), Share(2, 2)), (TODAY, Share(2, 2)),
    ]  # fmt: skip
    assert curve(records, Scope(ScopeKind.FACILITY, "h1"))[0].digital == Share(1, 2)
    assert backfill(records, SAVINGS, TODAY, NOW) == []


def test_nothing_is_due_of_an_empty_register(records):
    order_due(records, HOME, NOW)
    assert load_orders(records) == {}
    assert backfill(records, SAVINGS, TODAY, NOW) == []


def test_what_is_due_is_written_down_once(records, register):
    order_due(records, HOME, NOW)
    order_due(records, HOME, NOW + timedelta(hours=1))
    assert load_orders(records) == dict.fromkeys(
        [
            Order(date(2026, 1, 31), MONTH), Order(date(2026, 2, 28), MONTH),
            Order(date(2026, 3, 10), NIGHTLY),
        ],
        NOW,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-03-10T19:59", "2026-03-09"),  # 00:59 of the 11th there
        ("2026-03-10T20:00", "2026-03-10"),
        ("2026-03-11T18:59", "2026-03-10"),
    ],
    ids=["before one o'clock", "at one", "late in the evening"],
)
def test_a_day_is_over_an_hour_after_midnight_at_the_home_site(now, expected):
    assert last_day(HOME, datetime.fromisoformat(now).replace(tzinfo=UTC)).isoformat() == expected


def taken(*days, kind=NIGHTLY):
    return [Taken(date.fromisoformat(day), kind, 1, NOW, "") for day in days]


LAST = date(2026, 3, 2)


@pytest.mark.parametrize(
    ("before", "first", "expected"),
    [
        ([], None, []),
        ([], date(2026, 3, 3), []),
        ([], LAST, ["nightly 2026-03-02"]),
        (taken("2026-03-02"), LAST, []),
        (
            taken("2026-02-27"),
            date(2026, 2, 27),
            ["month 2026-02-28", "nightly 2026-02-28", "nightly 2026-03-01", "nightly 2026-03-02"],
        ),
        (
            taken("2026-03-02") + taken("2026-01-31", kind=MONTH),
            date(2025, 12, 30),
            ["month 2025-12-31", "month 2026-02-28"],
        ),
    ],
    ids=[
        "an empty register",
        "one of the future",
        "the first night",
        "all is there",
        "nights that were missed, and the month that ended in them",
        "months before, and those that history has got since",
    ],
)
def test_what_is_due(before, first, expected):
    assert [f"{one.kind} {one.day}" for one in find_due(before, first, LAST)] == expected


def test_of_a_long_absence_a_month_of_nights_is_made_up_for():
    due = find_due(taken("2025-01-01"), date(2025, 1, 1), LAST)
    assert sum(1 for one in due if one.kind is NIGHTLY) == 31
    assert sum(1 for one in due if one.kind is MONTH) == 14


def test_the_last_day_of_a_month():
    assert month_end(date(2026, 2, 1)) == date(2026, 2, 28)
    assert month_end(date(2025, 12, 31)) == date(2025, 12, 31)
