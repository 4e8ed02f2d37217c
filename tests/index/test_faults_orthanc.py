"""A real Orthanc behind a door that lies, is slow or has a wrong clock; the oracle compares."""

import random
import re
import threading
from contextlib import ExitStack
from dataclasses import replace

import orjson
import pytest

from gateway.index import plan
from gateway.index.follow import Pace
from gateway.model.sites import Timeouts
from gateway.records.indexing import load_cursor, load_sums
from tests.index.conftest import catch_up, site_of, step_until
from tests.index.door import ask_orthanc, open_door
from tests.index.kills import delete, listed
from tests.index.oracle import differences
from tests.running import load
from tests.studies import ROOT, a_study

pytestmark = pytest.mark.real
EAGER = Pace(follow_s=0.01, check_s=0.0, studies_per_s=1e9)


@pytest.fixture(scope="module")
def orthanc(start_orthanc, orthanc_generation):
    return start_orthanc("gkb1", generation=orthanc_generation)


@pytest.fixture
def server(orthanc):
    """The module's Orthanc, without a study."""
    for orthanc_id in listed(orthanc, "studies"):
        delete(orthanc, "studies", orthanc_id)
    return orthanc


@pytest.fixture
def behind_door(server):
    """behind_door(spoil) -> the site; its answers go through `spoil`."""
    with ExitStack() as doors:

        def start(spoil, **values):
            url = doors.enter_context(open_door(ask_orthanc(server), spoil))
            return replace(site_of(server, **values), url=url)

        yield start


def arrive_and_leave(server):
    """Much happens at once: new studies, late images, a deletion."""
    for number in range(2, 9):
        load(server, a_study(number, (1, 1)))
    load(server, a_study(1, (4, 2)))
    delete(server, "studies", listed(server, "studies")[0])


FEEDS = {
    "repeated and shuffled": lambda found, chance: chance.sample(found * 2, len(found) * 2),
    "half of it missing": lambda found, _: found[::2],
    "empty": lambda _found, _: [],
}


@pytest.mark.parametrize("spoil_entries", FEEDS.values(), ids=FEEDS)
def test_feed_that_lies_leads_to_the_index_of_the_site(
    server, behind_door, follow, records, spoil_entries
):
    chance = random.Random(7)  # noqa: S311 - the same disorder at each run

    def spoil(target, body):
        if not target.startswith("/changes"):
            return body
        page = orjson.loads(body)
        return orjson.dumps(page | {"Changes": spoil_entries(page["Changes"], chance)})

    load(server, a_study(1))
    follower = follow(behind_door(spoil), EAGER)
    catch_up(follower)
    arrive_and_leave(server)
    step_until(follower, lambda: not differences(records, {"gkb1": server}))


CLOCKS = {
    "stands still": lambda _right: "20260101T101010",
    "years ahead": lambda right: f"2099{right[4:]}",
    "jumps back and forth": lambda right: f"20{right[-2:]}0101T101010",
    "tells nonsense": lambda _right: "20261399T996199",
    "tells nothing": lambda _right: "",
}


@pytest.mark.parametrize("clock", CLOCKS.values(), ids=CLOCKS)
def test_site_whose_clock_is_wrong_is_followed_all_the_same(
    server, behind_door, follow, records, clock
):
    def spoil(target, body):
        if target.startswith("/dicom-web"):
            return body

        def turn(found):
            return b'%s"%s"' % (found[1], clock(found[2].decode()).encode())

        return re.sub(rb'("(?:Date|LastUpdate)" ?: ?)"([^"]*)"', turn, body)

    load(server, a_study(1))
    follower = follow(behind_door(spoil), EAGER)
    catch_up(follower)
    arrive_and_leave(server)
    step_until(follower, lambda: not differences(records, {"gkb1": server}))


def test_study_that_hangs_is_put_aside_and_does_not_hold_its_sites_feed(
    server, behind_door, follow, records, monkeypatch
):
    answers = threading.Event()

    def spoil(target, body):
        if target.startswith("/dicom-web") and re.search(rf"{re.escape(ROOT)}\.2\b", target):
            answers.wait(60)
        return body

    for number in (1, 2, 3):
        load(server, a_study(number))
    follower = follow(behind_door(spoil, timeouts=Timeouts(metadata_s=1.0)))
    try:
        catch_up(follower)
        assert load_cursor(records, "gkb1").aside == 1
        load(server, [*a_study(2, (4, 1)), *a_study(4)])  # the hanging one is in the feed again
        step_until(follower, lambda: load_sums(records, "gkb1")[0] == 4)  # 2 by its entry
        told = differences(records, {"gkb1": server})
        # The entry tells of it, with the images that have come since; its file was not read.
        assert [line for line in told if " study " in line] == []
        assert load_cursor(records, "gkb1").aside == 1
    finally:
        answers.set()
    monkeypatch.setattr(plan, "AGAIN_S", 0.0)
    for uid, aside in follower._aside.items():
        follower._aside[uid] = plan.Aside.put(aside.study, None)  # as if its minute had passed
    step_until(follower, lambda: not differences(records, {"gkb1": server}))
    assert load_cursor(records, "gkb1").aside == 0
