"""A fill keeps to the hours and to the rate that its hospital allows; no test waits for it."""

from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
import sqlalchemy as sa

from gateway import clock
from gateway.index import follow as following
from gateway.index.follow import Pace
from gateway.orthanc.study_records import UIDS_PER_REQUEST
from gateway.records.indexing import load_cursor
from gateway.records.studies import load_index_states, study
from tests.bench.feed_stand_in import FeedSite
from tests.databases import open_without_rows
from tests.fakes import a_site
from tests.index.door import ask_feed, open_door

NOON = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)  # 17:00 in Yekaterinburg
NIGHT = {"window": "20:00-06:00", "time_zone": "Asia/Yekaterinburg"}


class Time:
    """Stands still until a test moves it."""

    def __init__(self):
        self.now, self.spent_s = NOON, 0.0

    def move(self, seconds):
        self.now += timedelta(seconds=seconds)
        self.spent_s += seconds

    def move_to(self, hour):
        """To that hour of the hospital's clock, today or tomorrow."""
        local = (self.now + timedelta(hours=5)).hour
        self.move(3600 * ((hour - local) % 24))


@pytest.fixture
def time(monkeypatch):
    time = Time()
    monkeypatch.setattr(following, "utc_now", lambda: time.now)
    for module in (clock, following):
        monkeypatch.setattr(module, "monotonic_s", lambda: time.spent_s)
    return time


@pytest.fixture
def records(tmp_path):
    records = open_without_rows(f"sqlite:///{tmp_path / 'gateway.db'}")
    yield records
    records.close()


@pytest.fixture
def asked():
    """UIDs of the studies that were read, each time they were."""
    return []


@pytest.fixture
def serve(asked):
    """serve(feed, **values) -> the site of a made-up feed."""
    with ExitStack() as doors:

        def note(target, body):
            words = urlsplit(target)
            if words.path == "/dicom-web/studies":
                asked.extend(parse_qs(words.query)["StudyInstanceUID"][0].split(","))
            return body

        def start(feed, **values):
            url = doors.enter_context(open_door(ask_feed(feed), note))
            return a_site("gkb1", url=url, **values)

        yield start


def _count(records):
    with records.read() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(study)).scalar_one()


def test_fill_waits_for_its_hours_stops_with_them_and_goes_on_the_next_day(
    time, serve, follow, records, asked
):
    feed = FeedSite(300)
    pace = Pace(follow_s=2.0, check_s=300.0, studies_per_s=1.0)
    follower = follow(serve(feed, **NIGHT), pace)

    def steps(count):
        for _ in range(count):
            follower.step()
            time.move(UIDS_PER_REQUEST)  # seconds, so that the rate allows one portion more

    steps(3)
    assert _count(records) == 0
    feed.studies += 1  # what arrives is not kept waiting
    steps(1)
    assert _count(records) == 1
    time.move_to(20)
    steps(3)
    assert _count(records) == 1 + 3 * UIDS_PER_REQUEST
    time.move_to(6)
    before = len(asked)
    steps(5)
    assert len(asked) == before
    assert load_cursor(records, "gkb1").phase == "filling"
    time.move_to(20)
    steps(20)
    assert load_cursor(records, "gkb1").phase == "following"
    assert _count(records) == 301
    assert len(asked) == len(set(asked)) == 301


def test_comparison_of_every_night_keeps_to_its_hours_too(time, serve, follow, records):
    follower = follow(serve(FeedSite(3), **NIGHT), Pace(sweep_s=86_400.0, studies_per_s=1e9))

    def swept_at():
        for _ in range(10):
            follower.step()
            time.move(2)
        return load_cursor(records, "gkb1").swept_at

    time.move_to(21)
    first = swept_at()
    assert first is not None
    time.move(26 * 3600)
    time.move_to(12)
    assert swept_at() == first
    time.move_to(20)
    assert swept_at() > first


def test_rest_between_portions_keeps_to_the_rate_however_often_the_bell_rings(
    time, serve, follow, records
):
    pace = Pace(follow_s=2.0, check_s=1e9, studies_per_s=10.0)
    follower = follow(serve(FeedSite(500)), pace)
    for second in range(30):
        for _ in range(3):
            assert 0 < follower.step() <= pace.follow_s
        assert _count(records) <= 10 * second + UIDS_PER_REQUEST
        time.move(1)
    assert _count(records) == 300


def test_rate_and_time_left_are_those_of_this_stretch(time, serve, follow, records):
    follower = follow(serve(FeedSite(500)), Pace(check_s=1e9, studies_per_s=10.0))
    for _ in range(20):
        follower.step()
        time.move(1)
    state = load_index_states(records)["gkb1"]
    assert (state.filled, state.to_fill, state.rate(time.now)) == (200, 500, 10.0)
    assert state.time_left_s(time.now) == 30.0
