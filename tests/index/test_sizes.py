"""How large studies are is asked in quiet moments, gently, and never instead of following."""

from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from gateway import clock
from gateway.index import follow as following
from gateway.index import sizes
from gateway.index.follow import Pace
from gateway.records.studies import load_index_states, series, study
from tests.bench.feed_stand_in import IMAGE_BYTES, IMAGES, SERIES, FeedSite, orthanc_id
from tests.databases import open_without_rows
from tests.fakes import a_site
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
    records = open_without_rows(f"sqlite:///{tmp_path / 'gateway.db'}")
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


def _fill(follower, time):
    """Until the first fill has ended, and not a step longer."""
    follower.step()
    while follower._sweep is not None:
        time.move(1)
        follower.step()


def _later(follower, time, seconds=sizes.PORTION / sizes.STUDIES_PER_S):
    time.move(seconds)
    follower.step()


def test_sizes_come_after_the_fill_at_a_gentle_rate(time, serve, follow, records):
    follower = follow(serve(FeedSite(100)), CALM)
    _fill(follower, time)
    known = [len(_sized(records))]
    for _ in range(6):
        _later(follower, time)
        follower.step()  # a bell makes it no faster
        known.append(len(_sized(records)))
    assert known == [0, 20, 40, 60, 80, 100, 100]
    state = load_index_states(records)["gkb1"]
    assert (state.size_bytes, state.sized) == (100 * STUDY_BYTES, 100)
    with records.read() as connection:
        of_series = sa.select(series.c.size_bytes).distinct()
        assert connection.execute(of_series).scalars().all() == [IMAGES * IMAGE_BYTES]


def test_what_arrives_is_sized_before_what_was_there(time, serve, follow, records):
    feed = FeedSite(100)
    follower = follow(serve(feed), CALM)
    _fill(follower, time)
    _later(follower, time)
    feed.studies += 2
    _later(follower, time)
    assert {101, 102} < set(_sized(records))


def test_slow_site_is_asked_for_less(time, serve, follow, records, spoil):
    def slow(target, body):
        if target.startswith("/series/"):
            time.move(1)
        return body

    follower = follow(serve(FeedSite(20)), CALM)
    _fill(follower, time)
    spoil[0] = slow
    _later(follower, time)
    assert len(_sized(records)) == 1


def test_outside_its_hours_a_hospital_is_asked_for_what_has_just_come(time, serve, follow, records):
    feed = FeedSite(60)
    follower = follow(serve(feed, **NIGHT), CALM)
    time.move(4 * 3600)  # 21:00
    _fill(follower, time)
    time.move(9 * 3600)  # 06:00
    feed.studies += 1
    for _ in range(9):
        _later(follower, time)
    assert _sized(records) == [61]
    time.move(14 * 3600)
    for _ in range(9):
        _later(follower, time)
    assert len(_sized(records)) == 61


def _arriving(target, body):
    """As Orthanc tells of studies whose last image has just come."""
    return body.replace(b'"LastUpdate"', b'"IsStable":false,"LastUpdate"')


def test_study_that_still_arrives_has_no_size_until_it_has_come(
    time, serve, follow, records, spoil
):
    def is_arriving():
        with records.read() as connection:
            return connection.execute(sa.select(study.c.arriving)).scalar_one()

    spoil[0] = _arriving
    follower = follow(serve(FeedSite(1)), Pace(0.01, check_s=0.0, sweep_s=60.0))
    _fill(follower, time)
    _later(follower, time)
    assert (is_arriving(), _sized(records)) == (True, [])
    spoil[0] = lambda target, body: body  # a restart of Orthanc: nothing in its feed tells it
    time.move(60)
    for _ in range(5):
        _later(follower, time)
    assert (is_arriving(), _sized(records)) == (False, [1])


@pytest.mark.parametrize(
    "said",
    [None, b"", b"[]", b"{}", b'[{"ID":"x","MainDicomTags":{}}]', b'{"DicomUncompressedSize":"-1"}',
     b'{"DicomUncompressedSize":"9999999999999999"}', b'{"DicomUncompressedSize":[]}'],
)  # fmt: skip
def test_study_whose_size_cannot_be_told_delays_no_other(time, serve, follow, records, spoil, said):
    def lie(target, body):
        is_list = b"[" in (said or b"")[:1]
        bad = f"/studies/{orthanc_id(3)}/series" if is_list else f"/series/{orthanc_id(3)[:-8]}"
        return said if target.startswith(bad) else body

    feed = FeedSite(3)
    follower = follow(serve(feed), CALM)
    _fill(follower, time)
    spoil[0] = lie
    for _ in range(5):
        _later(follower, time, sizes.REFUSED_REST_S)
    feed.studies = 4
    _later(follower, time)
    assert _sized(records) == [1, 2, 4]
    spoil[0] = lambda target, body: body
    for _ in range(5):
        _later(follower, time, CALM.check_s)
    assert _sized(records) == [1, 2, 3, 4]
