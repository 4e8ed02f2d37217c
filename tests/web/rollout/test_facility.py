"""What the page of one facility says holds it back is what the region's figures say of it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gateway.model.rollout.figures import Scope, ScopeKind, Snapshot, SnapshotKind
from gateway.model.rollout.forecast import forecast
from gateway.model.rollout.measures import Inventory, Savings, Seen, measure
from gateway.web.rollout.facility import hindrances, rows_of
from gateway.web.rollout.programme import late_ones
from gateway.web.rollout.shown import Shown
from tests.model.rollout.small_register import DAY, by_id, facility, unit

PAST, COMING = DAY - timedelta(days=1), DAY + timedelta(days=1)
FILM = unit("film", "h1", "analogue")
NEW = unit("new", "h1", "digital", "ordered", renewal_on=COMING)


def said(units=(FILM,), **days):
    """Shown, and what holds its facility back."""
    inventory = Inventory(by_id(facility("h1", **days)), by_id(*units))
    figures, evidence = measure(inventory, Seen(), DAY, Savings())
    snapshot = Snapshot(
        DAY, SnapshotKind.NIGHTLY, 1, datetime(2026, 7, 1, tzinfo=UTC), "", figures, evidence,
        forecast(inventory, [], DAY),
    )  # fmt: skip
    shown = Shown("", snapshot, inventory.facilities, inventory.units, {})
    return shown, dict(hindrances(shown, shown.facilities["h1"], rows_of(shown, "h1")))


@pytest.mark.parametrize(
    ("planned_on", "joined_on", "late"),
    [
        (PAST, None, 1), (PAST, COMING, 1), (PAST, DAY, 0), (DAY, None, 0), (COMING, None, 0),
        (None, None, 0),
    ],
)  # fmt: skip
def test_a_facility_is_late_on_its_page_and_in_the_programme_alike(planned_on, joined_on, late):
    shown, hindering = said(planned_on=planned_on, joined_on=joined_on)
    figures = shown.snapshot.figures[Scope(ScopeKind.FACILITY, "h1")]
    assert (hindering.get("late", 0), len(late_ones(shown)), figures.late) == (late, late, late)


@pytest.mark.parametrize(
    ("units", "unplanned"),
    [
        ([FILM], 1),
        ([replace(FILM, renewal_on=COMING)], 0),
        ([replace(FILM, renewal_on=PAST)], 1),
        ([FILM, NEW], 0),
        ([FILM, unit("film2", "h1", "analogue"), NEW], 1),
        ([FILM, replace(NEW, renewal_on=PAST)], 1),
    ],
    ids=["none", "its own", "one that has passed", "a new one is ordered", "one for two", "late"],
)
def test_what_has_no_plan_is_what_the_forecast_misses(units, unplanned):
    shown, hindering = said(units)
    assert hindering.get("unplanned", 0) == shown.snapshot.forecast.unplanned == unplanned
