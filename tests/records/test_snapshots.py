"""What was told of a day stays; what was wrong is told again beside it."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
import sqlalchemy as sa

from gateway.errors import GatewayError
from gateway.model.rollout.figures import (
    REGION,
    Forecast,
    Scope,
    ScopeKind,
    Share,
    Snapshot,
    SnapshotKind,
)
from gateway.model.rollout.measures import Savings, measure
from gateway.model.rollout.suppression import tell_studies, withhold, withhold_unit
from gateway.records import snapshots
from gateway.records.snapshots import (
    Order,
    Point,
    at,
    curve,
    curves,
    latest,
    list_taken,
    load_orders,
    of_month,
    order_snapshots,
    rollout_snapshot,
    save_snapshot,
    versions,
)
from tests.model.rollout.small_register import DAY, REGISTER, SEEN

NIGHTLY, MONTH = SnapshotKind.NIGHTLY, SnapshotKind.MONTH
AT = datetime(2026, 7, 1, 1, tzinfo=UTC)


def a_snapshot(day=DAY, kind=NIGHTLY, version=1, reason="", digital=None):
    figures, units = measure(REGISTER, SEEN, DAY, Savings())
    told = tell_studies(REGISTER, SEEN)
    kept = {scope: withhold(one, scope, told) for scope, one in figures.items()}
    if digital is not None:
        kept[REGION] = replace(kept[REGION], digital=digital)
    forecast = Forecast(date(2028, 1, 1), None, date(2029, 1, 1), None, 3, (("h1", 2), ("h2", 1)))
    told_units = tuple(map(withhold_unit, units))
    return Snapshot(day, kind, version, AT, reason, kept, told_units, forecast, 2, told)


def test_a_snapshot_is_read_as_it_was_kept(records):
    assert latest(records) is None
    assert save_snapshot(records, a_snapshot())
    assert latest(records) == a_snapshot()


def test_a_version_of_a_day_is_kept_once_and_the_first_one_stays(records):
    assert save_snapshot(records, a_snapshot())
    assert not save_snapshot(records, a_snapshot(reason="another"))
    assert latest(records) == a_snapshot()


@pytest.mark.parametrize(
    "change",
    [
        sa.update(rollout_snapshot).values(reason="never happened"),
        sa.update(rollout_snapshot).values(digital_part=6),
        sa.delete(rollout_snapshot),
    ],
    ids=["reason", "number", "deletion"],
)
def test_the_database_itself_refuses_to_change_or_delete_one(records, change):
    save_snapshot(records, a_snapshot(kind=MONTH))
    with pytest.raises(GatewayError), records.write() as connection:
        connection.execute(change)
    assert latest(records) == a_snapshot(kind=MONTH)


def test_no_function_of_this_place_changes_or_deletes_one():
    verbs = {name for name in vars(snapshots) if name.startswith(("delete", "forget", "update"))}
    assert verbs == set()


def test_a_correction_stands_beside_what_it_corrects(records):
    first = a_snapshot(kind=MONTH)
    second = a_snapshot(kind=MONTH, version=2, reason="the unit was there", digital=Share(4, 6))
    for one in (first, second):
        assert save_snapshot(records, one)
    assert of_month(records, date(2026, 6, 2)) == second
    assert of_month(records, date(2026, 6, 2), version=1) == first
    assert of_month(records, date(2026, 6, 2), version=3) is None
    assert of_month(records, date(2026, 7, 1)) is None
    told = [(one.version, one.reason) for one in versions(records, DAY)]
    assert told == [(1, ""), (2, "the unit was there")]
    assert versions(records, date(2026, 5, 31)) == []


def test_a_day_is_answered_by_the_last_one_before_it_and_by_the_frozen_one_of_its_own(records):
    nightly, month = a_snapshot(), a_snapshot(kind=MONTH)
    corrected = a_snapshot(kind=MONTH, version=2, reason="why")
    later = a_snapshot(DAY + timedelta(2))
    for one in (nightly, month, corrected, later):
        save_snapshot(records, one)
    assert at(records, DAY - timedelta(1)) is None
    assert at(records, DAY) == corrected
    assert at(records, DAY + timedelta(1)) == corrected
    assert at(records, DAY + timedelta(9)) == later
    assert latest(records) == later


def test_a_curve_goes_through_the_month_ends_as_corrected_and_ends_with_the_last_night(records):
    may, june = date(2026, 5, 31), DAY
    for one in (
        a_snapshot(may, MONTH, digital=Share(1, 6)),
        a_snapshot(may, MONTH, 2, "why", digital=Share(2, 6)),
        a_snapshot(may, NIGHTLY, digital=Share(1, 6)),
        a_snapshot(june, MONTH),
        a_snapshot(june + timedelta(1), digital=Share(4, 6)),
        a_snapshot(june + timedelta(2), digital=Share(5, 6)),
    ):
        save_snapshot(records, one)

    def shares(**more):
        return [(point.day.isoformat(), point.digital.part) for point in curve(records, **more)]

    last = ("2026-07-02", 5)
    assert shares() == [("2026-05-31", 2), ("2026-06-30", 3), last]
    assert shares(since=june) == [("2026-06-30", 3), last]
    every = [("2026-05-31", 2), ("2026-06-30", 3), ("2026-07-01", 4), last]
    assert shares(nightly=True) == every
    assert curve(records, REGION)[1] == Point(june, Share(3, 6), Share(2, 6), Share(1, 3), 140)


def test_curves_of_all_facilities_are_read_at_once(records):
    save_snapshot(records, a_snapshot(kind=MONTH))
    found = curves(records, ScopeKind.FACILITY)
    assert sorted(found) == ["h1", "h2", "p1"]
    assert found["h1"] == [Point(DAY, Share(3, 5), Share(2, 5), Share(1, 1), 140)]
    assert found["h2"] == [Point(DAY, Share(0, 1), Share(0, 1), Share(0, 1), None)]  # 3 studies
    assert curve(records, Scope(ScopeKind.FACILITY, "h1")) == found["h1"]
    assert curve(records, Scope(ScopeKind.FACILITY, "nobody")) == []


def test_an_order_is_written_once_and_gone_when_its_snapshot_is_there(records):
    orders = [Order(DAY, NIGHTLY), Order(DAY, MONTH), Order(date(2026, 5, 31), MONTH)]
    order_snapshots(records, orders, AT)
    order_snapshots(records, orders[:1], AT + timedelta(hours=1))
    order_snapshots(records, [], AT)
    assert load_orders(records) == dict.fromkeys(orders, AT)
    assert list(load_orders(records))[-1] == orders[2]  # people look at the last day first
    save_snapshot(records, a_snapshot(kind=MONTH))
    assert set(load_orders(records)) == {orders[0], orders[2]}


def test_snapshots_are_listed_without_being_opened(records):
    save_snapshot(records, a_snapshot(kind=MONTH))
    save_snapshot(records, a_snapshot(DAY + timedelta(1)))
    told = [(one.day, one.kind, one.version, one.taken_at) for one in list_taken(records)]
    assert told == [(DAY, MONTH, 1, AT), (DAY + timedelta(1), NIGHTLY, 1, AT)]
    assert [one.day for one in list_taken(records, DAY + timedelta(1))] == [DAY + timedelta(1)]
