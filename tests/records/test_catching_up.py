"""Evidence of what was in the index before it was counted, and the clock at the archive."""

import threading
from datetime import timedelta

import orjson
import pytest
import sqlalchemy as sa

from gateway.errors import LeaseLost
from gateway.model.alarms import SENDERS_WITHOUT_END
from gateway.model.destinations import of_site
from gateway.model.rollout.minutes import Moment
from gateway.model.sites import Region as SiteRegion
from gateway.records.alarms import load_alarms, write_alarm
from gateway.records.catching_up import PORTION
from gateway.records.deliveries import delivery, delivery_event
from gateway.records.indexing import Cursor, IndexRow, IndexWriter
from gateway.records.leases import Fence, take_lease
from gateway.records.sightings import NEW_IN_A_DAY
from gateway.rollout.catching_up import CatchingUp
from tests.arrived import plan
from tests.fakes import a_site
from tests.sightings import NOW, XRAY, Region, a_study, element

SITE, ARCHIVE = a_site("gkb1"), a_site("archive", role="archive")
SITES = SiteRegion("Область", "Region", "gkb1", (SITE, ARCHIVE), (of_site(ARCHIVE),))


@pytest.fixture
def region(records):
    return Region(records)


@pytest.fixture
def catching_up(records):
    fence = Fence("keeper", take_lease(records, "keeper", "me", NOW, 600))
    return CatchingUp(records, fence, threading.Lock())


def index_without_evidence(region, numbers, site_id="gkb1", **cursor):
    """Studies as a gateway of before wrote them."""
    rows = []
    for number in numbers:
        row = a_study(number)
        one = {"series_uid": f"1.2.{number}.1", "study_uid": f"1.2.{number}", "modality": "DX"}
        said = orjson.dumps(element(**XRAY, Modality="DX"))
        part = {**one, "series_number": 1, "instance_count": 1, "record": said}
        rows.append(IndexRow(row.study, [part]))
    writer = IndexWriter(region.records, site_id, None, region.turn)
    before = NOW - timedelta(days=90)
    writer.save(Cursor(1, "", "following", 0, 0, before), rows, now=before)


def count_all(catching_up, site=SITE):
    portions = 0
    while catching_up.count(site, NOW):
        portions += 1
    return portions


def test_what_is_in_the_index_is_counted_once_in_portions(region, catching_up):
    index_without_evidence(region, range(PORTION + 1))
    region.show(a_study(7), a_study(9999))
    assert region.studies() == {"gkb1": {"2025-12-11": 1, "2026-03-11": 1}}
    assert count_all(catching_up) == 2
    studies = PORTION + 1
    assert region.studies() == {"gkb1": {"2025-12-11": studies, "2026-03-11": 1}}
    assert region.counted() == {("gkb1", "0042"): ("2025-12-11", "2026-03-11", 1)}
    index_without_evidence(region, [PORTION + 5])
    assert count_all(catching_up) == 0, "it is done: what comes is counted as it comes"


def test_it_goes_on_where_it_was_broken_off(region, records, catching_up):
    index_without_evidence(region, range(PORTION + 1))
    assert catching_up.count(SITE, NOW)
    fence = Fence("keeper", take_lease(records, "keeper", "other", NOW + timedelta(hours=1), 600))
    with pytest.raises(LeaseLost):
        catching_up.count(SITE, NOW)
    assert count_all(CatchingUp(records, fence, threading.Lock())) == 1
    assert region.studies() == {"gkb1": {"2025-12-11": PORTION + 1}}


def test_the_archive_that_is_counted_first_gives_way(region, catching_up):
    index_without_evidence(region, [1, 2], "archive")
    index_without_evidence(region, [1])
    for site in (ARCHIVE, SITE):
        count_all(catching_up, site)
    assert region.studies() == {"archive": {"2025-12-11": 1}, "gkb1": {"2025-12-11": 1}}


def deliver(records, number, at, to_state="delivered"):
    """What a worker's report leaves."""
    mine = sa.select(delivery.c.delivery_id).where(delivery.c.study_uid == f"1.2.{number}")
    with records.write() as connection:
        row = {
            "delivery_id": connection.execute(mine).scalar_one(), "at": at, "event": "proven",
            "from_state": "verifying", "to_state": to_state, "fence": 1, "by": "", "reason": "",
        }  # fmt: skip
        connection.execute(sa.insert(delivery_event).values(row))


def test_the_clock_of_the_archive_stops_with_the_first_proof(region, records, catching_up):
    assert not catching_up.stop_clocks(SITES, NOW), "from now on"
    timed = {**XRAY, "SeriesDate": "20260311", "SeriesTime": "012900"}
    region.show(a_study(1, timed), a_study(2, timed), a_study(3), a_study(4, timed))
    for number in (1, 2, 3):
        plan(records, f"1.2.{number}", NOW)
    plan(records, "1.2.4", NOW, destinations=("other",))
    deliver(records, 1, NOW + timedelta(seconds=40), "sent")
    for number, seconds in ((3, 10), (4, 10), (1, 50), (1, 90), (2, 200)):
        deliver(records, number, NOW + timedelta(seconds=seconds))
    later = NOW + timedelta(minutes=2)
    while catching_up.stop_clocks(SITES, later):
        pass
    seen = {("gkb1", Moment.VISIBLE): {60: 3}}
    assert region.clock() == {**seen, ("gkb1", Moment.ARCHIVED): {114: 1}}
    later += timedelta(minutes=5)
    while catching_up.stop_clocks(SITES, later):
        pass
    whole = {**seen, ("gkb1", Moment.ARCHIVED): {114: 1, 264: 1}}
    assert region.clock() == whole
    deliver(records, 2, later)
    catching_up.stop_clocks(SITES, later + timedelta(minutes=2))
    assert region.clock() == whole, "sent again, it is there already"


def test_an_alarm_ends_when_new_senders_may_be_shown_again(region, records, catching_up):
    with records.write() as connection:
        write_alarm(connection, SENDERS_WITHOUT_END, "gkb1", {}, NOW)
    for number in range(0, NEW_IN_A_DAY, 20):
        region.show(a_study(number, *({"StationName": f"S{number + n}"} for n in range(20))))
    catching_up.clear([SITE], NOW)
    assert len(load_alarms(records)) == 1
    catching_up.clear([SITE], NOW + timedelta(hours=25))
    assert load_alarms(records) == []
