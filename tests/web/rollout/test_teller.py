"""A frozen month is shown as it was when it was frozen, whatever was corrected since."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from gateway.model.rollout.figures import Share
from gateway.model.rollout.measures import Savings
from gateway.model.rollout.register import (
    Capture,
    Facility,
    FacilityKind,
    Unit,
    UnitKind,
    UnitState,
)
from gateway.records.register import Change, add_revisions
from gateway.rollout.register import Shelf
from gateway.rollout.report import backfill, correct
from gateway.web.rollout.programme import Month, deliveries
from gateway.web.rollout.teller import Teller
from tests.databases import open_without_rows

FIRST, LAST = date(2026, 1, 1), date(2026, 3, 31)
FROZEN = datetime(2026, 4, 1, 1, tzinfo=UTC)
LATER = FROZEN + timedelta(days=20)
FILM = Unit(
    "u1", "h1", UnitKind.CT, "M", "M", "1", 2019, Capture.ANALOGUE, UnitState.ACTIVE
)  # fmt: skip
NEW = replace(FILM, capture=Capture.DIGITAL, renewed=True)


@pytest.fixture
def records(tmp_path):
    records = open_without_rows(f"sqlite:///{tmp_path / 'gateway.db'}")
    yield records
    records.close()


def write(records, day, now, *units):
    hospital = Facility("h1", "Больница", "", FacilityKind.HOSPITAL, "Город")
    add_revisions(
        records, facilities=[Change(hospital, FIRST)] if day == FIRST else (),
        units=[Change(one, day) for one in units], author="me", reason="проба", now=now,
    )  # fmt: skip


def test_a_frozen_month_keeps_its_curve_and_its_deliveries(records):
    """February is put right in April: the report of March that was sent out says what it said."""
    write(records, FIRST, FROZEN - timedelta(days=60), FILM, replace(FILM, unit_id="u2"))
    write(records, date(2026, 3, 5), FROZEN - timedelta(days=20), NEW)
    backfill(records, Savings(), LAST, FROZEN)
    teller = Teller(records, Shelf(records))
    before = teller.month(LAST, None)
    write(records, date(2026, 2, 10), LATER, NEW, replace(NEW, unit_id="u2"))
    for month in (date(2026, 2, 1), LAST):
        correct(records, month, "аппараты заменены раньше", Savings(), LATER)
    teller.forget()
    first, second = teller.month(LAST, 1), teller.month(LAST, None)
    shares = [[point.digital for point in shown.curve()] for shown in (before, first, second)]
    frozen = [Share(0, 2), Share(0, 2), Share(1, 2)]
    assert shares == [frozen, frozen, [Share(0, 2), Share(2, 2), Share(2, 2)]]
    assert first.snapshot.region.digital == Share(1, 2)
    assert deliveries(before) == deliveries(first) == [Month(date(2026, 3, 1), 1, 0)]
    assert deliveries(second) == [Month(date(2026, 2, 1), 2, 0)]
    assert (first.changed, second.changed) == ({"u1", "u2"}, frozenset())
    assert [point.digital for point in teller.now().curve()] == shares[2]


def test_what_is_written_is_told_at_once_and_changes_no_figure(records):
    write(records, FIRST, FROZEN - timedelta(days=60), FILM)
    backfill(records, Savings(), LAST, FROZEN)
    teller = Teller(records, Shelf(records))
    before = teller.now()
    write(records, LAST, LATER, NEW)
    after = teller.now()
    assert (before.changed, after.changed) == (frozenset(), {"u1"})
    assert after.snapshot is before.snapshot
    assert after.units == before.units
    assert after.mark != before.mark
