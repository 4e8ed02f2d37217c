"""The order of holders, as properties: complete before partial, near before far, hospital first."""

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.federation.locate import AS_NEAR, NEAR_S, Locator, order
from gateway.model.answers import Holder
from gateway.model.sites import Site

IDS = ("archive", "east", "north", "south", "west")
SITES = {
    site_id: Site(
        site_id, site_id, site_id, "http://127.0.0.1:1",
        role="archive" if site_id == "archive" else "hospital",
    )
    for site_id in IDS
}  # fmt: skip


@st.composite
def regions(draw: st.DrawFn) -> tuple[list[Holder], dict[str, float]]:
    """Holders in any order, and how far each is."""
    ids = draw(st.lists(st.sampled_from(IDS), unique=True, min_size=1))
    holders = [
        Holder(site_id, draw(st.integers(1, 3)), draw(st.floats(0.001, 2))) for site_id in ids
    ]
    return holders, {site_id: draw(st.floats(0, 20)) for site_id in ids}


def is_archive(holder: Holder) -> bool:
    return holder.site_id == "archive"


@given(regions())
def test_a_complete_copy_comes_before_a_partial_one_however_far(region):
    holders, seconds = region
    found = order(holders, SITES, seconds)
    assert sorted(found, key=lambda h: h.site_id) == sorted(holders, key=lambda h: h.site_id)
    counts = [holder.instances for holder in found]
    assert counts == sorted(counts, reverse=True)


@given(regions())
def test_of_equal_copies_none_comes_after_one_that_is_farther(region):
    holders, seconds = region
    for first, second in pairwise(order(holders, SITES, seconds)):
        if first.instances != second.instances:
            continue
        alike = [h for h in holders if h.instances == first.instances]
        near_s = max(NEAR_S, AS_NEAR * min(seconds[h.site_id] for h in alike))
        one, other = seconds[first.site_id], seconds[second.site_id]
        assert one <= near_s or one <= other
        if max(one, other) <= near_s:  # as near as each other: the hospital's own copy
            assert is_archive(first) <= is_archive(second)


@given(regions(), st.randoms())
def test_the_order_does_not_depend_on_who_answered_first(region, random):
    holders, seconds = region
    shuffled = random.sample(holders, len(holders))
    assert order(shuffled, SITES, seconds) == order(holders, SITES, seconds)


@given(regions())
def test_where_nothing_is_fetched_a_hospital_comes_before_the_archive(region):
    holders, _ = region
    found = [is_archive(h) for h in order(holders, SITES) if h.instances == holders[0].instances]
    assert found == sorted(found)


class Region:
    """A locator over made-up sites; `seconds` is what transfers have shown of them."""

    def __init__(self, pool: ThreadPoolExecutor, **answer_s: float) -> None:
        self.seconds: dict[str, float] = {}
        self.sites = [SITES[site_id] for site_id in answer_s]
        self.asked = 0

        def find(site, _study_uid, _deadline):
            self.asked += 1
            return Holder(site.site_id, 5, answer_s[site.site_id])

        self.locator = Locator(
            find,
            pool,
            check=lambda *_: None,
            list_held=lambda *_: {},
            slice_s=lambda site: self.seconds.get(site.site_id),
        )

    def first(self) -> str:
        return self.locator.locate("1.2.3", self.sites, 5.0).holders[0].site_id


@pytest.fixture
def pool():
    with ThreadPoolExecutor(4) as pool:
        yield pool


def test_a_site_that_has_given_nothing_yet_gets_a_first_try(pool):
    region = Region(pool, north=0.002, south=0.003)
    assert region.first() == "north"
    region.seconds["north"] = 2.0
    assert region.first() == "south"
    region.seconds["south"] = 8.0
    assert region.first() == "north"


def test_a_site_that_even_answers_late_is_no_first_try(pool):
    region = Region(pool, north=0.002, south=0.9)
    region.seconds["north"] = 0.15
    assert region.first() == "north"


def test_a_site_that_becomes_slow_loses_its_place_without_being_asked_again(pool):
    region = Region(pool, north=0.002, south=0.003)
    region.seconds = {"north": 0.01, "south": 0.02}
    assert region.first() == "north"
    asked = region.asked
    region.seconds["north"] = 3.0
    assert (region.first(), region.asked) == ("south", asked)
    region.seconds["north"] = 0.05  # faded: it is tried again
    assert (region.first(), region.asked) == ("north", asked)


def test_a_near_archive_spares_the_line_of_a_far_hospital(pool):
    region = Region(pool, north=0.002, archive=0.001)
    region.seconds = {"north": 0.08, "archive": 0.01}
    assert region.first() == "north"
    region.seconds["north"] = 1.5
    assert region.first() == "archive"
