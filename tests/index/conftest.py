"""A follower driven by hand: each step is the test's own, no thread and no clock."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.clock import utc_now
from gateway.demo.servers import GENERATIONS, OrthancServer
from gateway.index.follow import Follower, Pace
from gateway.model.sites import Site
from gateway.orthanc.wire import Wire
from gateway.records.engine import Records
from gateway.records.indexing import IndexWriter
from gateway.records.leases import Fence, take_lease
from gateway.records.sightings import witness_of
from tests.databases import open_without_rows
from tests.fakes import a_site
from tests.waiting import wait_until

FAST = Pace(follow_s=0.01, check_s=1e9, studies_per_s=1e9)
Follow = Callable[..., Follower]


@pytest.fixture
def records(
    orthanc_generation: str, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Records]:
    """An index without a row: SQLite with the older Orthanc, PostgreSQL with the newer one."""
    on_sqlite = orthanc_generation == GENERATIONS[0]
    url = f"sqlite:///{tmp_path / 'gateway.db'}"
    records = open_without_rows(url if on_sqlite else request.getfixturevalue("postgres_url"))
    yield records
    records.close()


@pytest.fixture
def follow(records: Records) -> Iterator[Follow]:
    """follow(site) -> a follower that holds the lease, as after a start of the keeper."""

    wire = Wire()

    def make(site: Site, pace: Pace = FAST, holder: str = "keeper") -> Follower:
        fence = Fence("keeper", take_lease(records, "keeper", holder, utc_now(), 3600))
        writer = IndexWriter(records, site.site_id, fence, threading.Lock(), witness_of(site))
        return Follower(site, wire, records, writer, pace)

    yield make
    for post in wire._posts.values():
        post.close_idle(0.0)


def site_of(server: OrthancServer, **values: object) -> Site:
    site = a_site(server.site_id, url=server.url, username=server.username, **values)
    return replace(site, password=type(site.password)(server.password))


def catch_up(follower: Follower) -> None:
    """Step until the follower has nothing left to do."""
    step_until(follower, lambda: follower._sweep is None)


def step_until(follower: Follower, done: Callable[[], object]) -> None:
    """Step until the follower would rest and `done` is true."""

    def step() -> bool:
        rests = follower.step() >= follower._pace.follow_s
        return rests and bool(done())

    wait_until(step, 60, "the follower")
