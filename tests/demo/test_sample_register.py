"""The sample region is believable: its size, its figures at the two audits, its money."""

from datetime import UTC, date, datetime

import pytest
import sqlalchemy as sa

from gateway.demo.catalogue import DEVICES
from gateway.demo.equip import equip, write_register_files
from gateway.demo.sample_register import UNDECLARED, sample_batches
from gateway.model.rollout.figures import Evidence, ScopeKind, Share
from gateway.model.rollout.import_plan import What
from gateway.model.rollout.importing import Terms, plan_import
from gateway.model.rollout.measures import Savings
from gateway.model.rollout.register import X_RAY, FacilityKind, UnitState, as_of
from gateway.records.sightings import sender
from gateway.records.snapshots import Order, SnapshotKind
from gateway.rollout.reading import read_tables
from gateway.rollout.register import load_register
from gateway.rollout.report import make_snapshot
from tests.databases import open_without_rows

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
TODAY = date(2026, 11, 21)
SAVINGS = Savings(500_000, 3_000_000)


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """The database of a sample region, and its register."""
    records = open_without_rows(f"sqlite:///{tmp_path_factory.mktemp('region') / 'gateway.db'}")
    register = equip(records, NOW)
    yield records, register
    records.close()


@pytest.fixture(scope="module")
def last(filled):
    records, register = filled
    return make_snapshot(records, register, Order(TODAY, SnapshotKind.NIGHTLY), SAVINGS, NOW)


def share(register, day):
    counted = [u for u in as_of(register.units, day).values() if u.counts and u.kind in X_RAY]
    return Share(sum(unit.is_digital for unit in counted), len(counted))


def test_the_digital_share_is_that_of_the_programme(filled):
    _, register = filled
    assert share(register, date(2025, 1, 1)) == Share(396, 1043)
    assert share(register, date(2025, 1, 1)).percent == 38
    assert share(register, date(2026, 1, 1)) == Share(584, 1043)
    assert share(register, date(2026, 1, 1)).percent == 56
    months = [date(2026, month, 28) for month in range(1, 12)]
    shares = [share(register, day).part for day in months]
    assert shares == sorted(set(shares))


def test_the_region_has_the_size_of_a_real_one(filled):
    _, register = filled
    kinds = [one.kind for one in as_of(register.facilities, TODAY).values()]
    organisations = (FacilityKind.HOSPITAL, FacilityKind.CLINIC, FacilityKind.PRIVATE)
    assert sum(kinds.count(kind) for kind in organisations) == 240
    assert kinds.count(FacilityKind.TERRITORIAL_UNIT) == 176
    assert kinds.count(FacilityKind.FELDSHER_POINT) == 150
    units = as_of(register.units, TODAY).values()
    assert 1280 <= sum(unit.state is not UnitState.DECOMMISSIONED for unit in units) <= 1320
    assert sum(unit.state is UnitState.ORDERED for unit in units) > 20


def test_every_kind_of_evidence_occurs(last):
    assert all(last.region.by_evidence[evidence] > 0 for evidence in Evidence)
    assert last.unknown_senders > 0
    assert 20 <= (last.region.connected.percent or 0) <= 33


def test_the_money_of_2025_is_more_than_230_million(filled):
    records, register = filled
    order = Order(date(2025, 12, 31), SnapshotKind.MONTH)
    money = make_snapshot(records, register, order, SAVINGS, NOW).region.money
    assert money.spent > 230_000_000
    assert len(money.by_funding) >= 3


def test_joined_planned_and_late_facilities_occur(last):
    assert last.region.joined >= 60
    assert last.region.late >= 10
    assert last.region.planned >= 100
    municipalities = [one for one in last.figures if one.kind is ScopeKind.MUNICIPALITY]
    assert len(municipalities) == 30


def test_devices_of_the_sample_studies_are_units_of_the_register(filled):
    _, register = filled
    units = as_of(register.units, TODAY)
    machines = {(u.facility_id, u.manufacturer, u.model, u.serial) for u in units.values()}
    assert machines >= {(site_id, *device[:3]) for (site_id, _), device in DEVICES.items()}
    assert not units[UNDECLARED].is_digital
    sites = {one.site_id for one in as_of(register.facilities, TODAY).values()}
    assert sites >= {"gkb1", "magnit", "zlat", "archive"}


def test_the_same_seed_makes_the_same_rows():
    assert sample_batches() == sample_batches()


def test_a_register_that_is_there_is_left_alone(filled):
    records, _ = filled
    before = load_register(records).state
    assert equip(records, NOW) is None
    with records.read() as connection:
        senders = connection.execute(sa.select(sa.func.count()).select_from(sender)).scalar()
    assert load_register(records).state == before
    assert senders == len({*_senders(records)})


def _senders(records):
    with records.read() as connection:
        return connection.execute(sa.select(sender.c.site_id, sender.c.machine)).all()


def test_its_files_are_imported_without_a_mistake(filled, tmp_path):
    _, register = filled
    write_register_files(tmp_path)
    tables = [
        table
        for name in ("facilities.csv", "units.csv")
        for table in read_tables(name, (tmp_path / name).read_bytes())
    ]
    terms = Terms(TODAY, TODAY)
    plan = plan_import(tables, [], [], terms)
    assert plan.mistakes == []
    found = {placed.thing.unit_id for placed in plan.units}
    assert found == {revision.thing.unit_id for revision in register.units}
    again = plan_import(tables, register.facilities, register.units, terms)
    assert {row.what for row in again.rows} == {What.SAME}
