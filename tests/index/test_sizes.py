"""How large studies are is asked in quiet moments, gently, and never instead of following."""

from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from gateway import clock
from gateway.index import follow as following
from gateway.index import sizes
from gateway.index.follow import Pace
from gateway.records.engine import open_records
from gateway.records.schema import migrate
from gateway.records.studies import load_index_states, series, study
from tests.bench.feed_stand_in import IMAGE_BYTES, IMAGES, ROOT, SERIES, FeedSite, orthanc_id
from tests.fakes import a_site
from tests.index.conftest import catch_up
from tests.index.door import ask_feed, open_door

NOON = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)  # 17:00 in Yekaterinburg
NIGHT = {"window": "20:00-06:00", "time_zone": "Asia/Yekaterinburg"}
STUDY_BYTES = SERIES * IMAGES * IMAGE_BYTES
CALM = Pace(follow_s=0.01, check_s=300.0, studies_per_s=1e9)


class Time:
    """Stands still until a test moves it."""

    def __init__(self):
        self.now, self.spent_s = NOON, 0.0

    def move(self, seconds):
        self.now += timedelta(seconds=seconds)
        self.spent_s += seconds


@pytest.fixture
def time(monkeypatch):
    time = Time()
    monkeypatch.setattr(following, "utc_now", lambda: time.now)
    for module in (clock, following, sizes):
        monkeypatch.setattr(module, "monotonic_s", lambda: time.spent_s)
    return time


@pytest.fixture
def records(tmp_path):
    records = open_records(f"sqlite:///{tmp_path / 'gateway.db'}")
    migrate(records)
    yield records
    records.close()


@pytest.fixture
def spoil():
    """Put a function (target, right body) -> body here to have a site lie."""
    return [lambda target, body: body]


@pytest.fixture
def serve(spoil):
    """serve(feed, **values) -> the site of a made-up feed."""
    with ExitStack() as doors:

        def start(feed, **values):
            door = open_door(ask_feed(feed), lambda target, body: spoil[0](target, body))
            return a_site("gkb1", url=doors.enter_context(door), **values)

        yield start


def _sized(records):
    """Numbers of the studies whose size is known."""
    with records.read() as connection:
        known = sa.select(study.c.study_uid).where(study.c.size_bytes.is_not(None))
        uids = connection.execute(known).scalars().all()
        return sorted(int(uid.rsplit(".", 1)[1]) for uid in uids)


def test_fill_asks_for_no_size_then_they_come_at_a_gentle_rate(time, serve, follow, records, spoil):
    asked = []

    def note(target, body):
        asked.append(target)
        return body

    spoil[0] = note
    follower = follow(serve(FeedSite(100)), CALM)
    while _step(follower):
        assert not any(target.endswith("statistics") for target in asked[2:])
    known = [len(_sized(records))]
    for _ in range(5):
        time.move(sizes.PORTION / sizes.STUDIES_PER_S)
        follower.step()
        follower.step()  # a bell makes it no faster
        known.append(len(_sized(records)))
    assert known == [20, 40, 60, 80, 100, 100]
    state = load_index_states(records)["gkb1"]
    assert (state.size_bytes, state.sized) == (100 * STUDY_BYTES, 100)
    with records.read() as connection:
        of_series = sa.select(series.c.size_bytes.distinct())
        assert connection.execute(of_series).scalars().all() == [IMAGES * IMAGE_BYTES]
