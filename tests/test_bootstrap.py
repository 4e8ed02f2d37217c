"""The one Gateway object: whom a search waits for."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from gateway import bootstrap
from gateway.bootstrap import Gateway, Reread, build_gateway
from gateway.clock import Deadline
from gateway.dicom.attributes import Level
from gateway.dicom.query import Query, parse_query
from gateway.errors import RecordsUnavailable, SiteTimeout
from gateway.model.answers import SitePage
from gateway.model.sites import QuirkProfile, Site
from gateway.model.standing import Standing
from gateway.settings import Settings

REGION = """
[region]
name_ru = "Область"
name_en = "Region"
[[site]]
id = "gkb1"
name_ru = "Больница"
name_en = "Hospital"
url = "http://127.0.0.1:9"
"""


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    region = tmp_path / "region.toml"
    region.write_text(REGION, encoding="utf-8")
    gateway = build_gateway(
        Settings(region=region, state_dir=tmp_path, redis_url="redis://127.0.0.1:1/0")
    )
    yield gateway
    gateway.pool.shutdown()
    gateway.records.close()


def gathered(gateway: Gateway, known: bool) -> tuple[set[str], dict[str, str]]:
    """Who answered, and who was silent."""
    sites = gateway.region.sites
    query = parse_query(Level.STUDY, [], max_results=10)
    pages, silent, _ = gateway.gather(query, sites, ["gkb1"] if known else [])
    return set(pages), silent


def test_a_site_in_the_index_that_was_silent_is_not_waited_for(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    (site,) = gateway.region.sites
    asked, go_on = Event(), Event()

    def ask(site: Site, _query: Query, _deadline: Deadline) -> SitePage:
        asked.set()
        go_on.wait(60)
        raise SiteTimeout(site.site_id, 2.0)

    monkeypatch.setattr(gateway, "_ask", ask)
    _silent(gateway.wire.standing(site))
    found = gathered(gateway, known=True)
    assert asked.wait(60), "nobody looks whether it has come back"
    go_on.set()
    assert found == (set(), {"gkb1": "timeout"})


def test_a_site_that_only_its_last_probe_found_silent_is_not_waited_for(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    probed = QuirkProfile(problem="unreachable (refused)")
    monkeypatch.setattr(bootstrap, "load_profiles", lambda _: {"gkb1": probed})
    gateway._tried_at["gkb1"] = float("inf")
    assert gathered(gateway, known=True) == (set(), {"gkb1": "unreachable"})


def _silent(standing: Standing) -> None:
    standing.failed(1.0, "timeout")


def _answered(standing: Standing) -> None:
    standing.failed(1.0, "timeout")
    standing.answered(2.0, 0.1)


def _never_asked(_standing: Standing) -> None:
    """As it is."""


@pytest.mark.parametrize(
    ("before", "known"),
    [
        pytest.param(_never_asked, True, id="never asked"),
        pytest.param(_answered, True, id="answered when it was last asked"),
        pytest.param(_silent, False, id="silent, but nothing is known of what it holds"),
    ],
)
def test_any_other_site_is_waited_for(
    gateway: Gateway,
    monkeypatch: pytest.MonkeyPatch,
    before: Callable[[Standing], None],
    known: bool,
) -> None:
    (site,) = gateway.region.sites
    before(gateway.wire.standing(site))
    monkeypatch.setattr(gateway, "_ask", lambda site, *_: SitePage(site.site_id, (), frozenset()))
    assert gathered(gateway, known) == ({"gkb1"}, {})


def test_nobody_takes_an_index_that_is_being_read_for_the_first_time_for_an_empty_one() -> None:
    begun, go_on = Event(), Event()

    def read() -> str:
        begun.set()
        assert go_on.wait(60)
        return "all sites"

    states = Reread(read, 1.0)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(states.get)
        assert begun.wait(60)
        second = pool.submit(states.get)
        go_on.set()
        assert [first.result(60), second.result(60)] == ["all sites"] * 2


def test_while_one_request_reads_again_the_others_take_what_was_read_before() -> None:
    begun, go_on = Event(), Event()
    found = iter(["old", "new"])

    def read() -> str:
        one = next(found)
        if one == "new":
            begun.set()
            assert go_on.wait(60)
        return one

    states = Reread(read, -1.0)  # what was read is too old at once
    assert states.get() == "old"
    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(states.get)
        assert begun.wait(60)
        assert states.get() == "old"
        go_on.set()
        assert reader.result(60) == "new"


def test_a_reading_that_failed_is_tried_again() -> None:
    found = iter([None, "now"])

    def read() -> str:
        one = next(found)
        if one is None:
            raise RecordsUnavailable("away")
        return one

    states = Reread(read, 60.0)
    with pytest.raises(RecordsUnavailable):
        states.get()
    assert states.get() == "now"
