"""A site whose feed lies: entries repeated, shuffled, missing; a study that cannot be read."""

import random
from contextlib import ExitStack

import orjson
import pytest
import sqlalchemy as sa

from gateway.errors import SiteSpeaksGarbage
from gateway.index.follow import Pace
from gateway.records.indexing import load_cursor
from gateway.records.studies import study
from tests.bench.feed_stand_in import ROOT, FeedSite, orthanc_id
from tests.databases import open_without_rows
from tests.fakes import a_site
from tests.index.conftest import catch_up, step_until
from tests.index.door import Spoil, ask_feed, open_door


@pytest.fixture
def records(tmp_path):
    records = open_without_rows(f"sqlite:///{tmp_path / 'gateway.db'}")
    yield records
    records.close()


@pytest.fixture
def serve():
    """serve(feed, spoil) -> a site; what is said of it goes through `spoil` (door.py)."""
    with ExitStack() as doors:

        def start(feed: FeedSite, spoil: Spoil):
            return a_site("gkb1", url=doors.enter_context(open_door(ask_feed(feed), spoil)))

        yield start


def _studies(records):
    with records.read() as connection:
        uids = connection.execute(sa.select(study.c.study_uid)).scalars()
        return sorted(int(uid.rsplit(".", 1)[1]) for uid in uids)


def _spoil_changes(change):
    def spoil(target, body):
        if not target.startswith("/changes"):
            return body
        page = orjson.loads(body)
        page["Changes"] = change(page["Changes"])
        return orjson.dumps(page)

    return spoil


def test_entries_repeated_and_shuffled_lead_to_the_same_index(serve, follow, records):
    chance = random.Random(7)  # noqa: S311 - the same disorder at each run

    def disorder(entries):
        return chance.sample([*entries, *entries[::2]], len(entries) + len(entries[::2]))

    feed = FeedSite(3)
    follower = follow(serve(feed, _spoil_changes(disorder)))
    catch_up(follower)
    feed.studies = 30
    step_until(follower, lambda: len(_studies(records)) == 30)
    assert _studies(records) == list(range(1, 31))


def test_studies_whose_entries_are_missing_are_found_by_their_count(serve, follow, records):
    feed = FeedSite(3)
    follower = follow(
        serve(feed, _spoil_changes(lambda entries: entries[:1])),
        Pace(follow_s=0.01, check_s=0.0, studies_per_s=1e9),
    )
    catch_up(follower)
    feed.studies = 30
    step_until(follower, lambda: len(_studies(records)) == 30)


@pytest.mark.parametrize(
    ("silent_about", "found"),
    [
        pytest.param([f"{ROOT}.5"], [1, 2, 3, 4, 5, 6, 7, 8, 9], id="its files"),
        pytest.param([f"{ROOT}.5", orthanc_id(5)], [1, 2, 3, 4, 6, 7, 8, 9], id="its entry too"),
    ],
)
def test_study_that_cannot_be_read_does_not_hide_the_others(
    serve, follow, records, silent_about, found
):
    def spoil(target, body):
        bad = any(f"{name}{end}" in target + "," for name in silent_about for end in ",&/")
        return None if bad else body

    catch_up(follow(serve(FeedSite(9), spoil)))
    assert (_studies(records), load_cursor(records, "gkb1").aside) == (found, 1)


@pytest.mark.parametrize(
    "garbage",
    [b"", b"<html>", b"[]", b"{}", b'{"Changes": 1, "Last": 2}', b'{"Changes": [], "Last": "x"}'],
)
def test_garbage_instead_of_a_feed_is_an_error_of_the_site(serve, follow, records, garbage):
    def spoil(target, body):
        return garbage if target.startswith("/changes") else body

    with pytest.raises(SiteSpeaksGarbage):
        follow(serve(FeedSite(3), spoil)).step()
    assert _studies(records) == []
