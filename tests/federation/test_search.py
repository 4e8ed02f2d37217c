"""One question to many sites: silence is named, an empty list means that nobody has it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from gateway.clock import Deadline
from gateway.dicom.attributes import Level, text
from gateway.dicom.query import Query
from gateway.errors import NoSiteAnswered, SiteTimeout, SiteUnreachable
from gateway.federation.search import search
from gateway.model.answers import SearchResult, SitePage
from gateway.model.sites import Site
from tests.fakes import a_row, a_site, asker, page_of

SITES = [a_site("east"), a_site("north"), a_site("west")]
ROW = a_row(StudyInstanceUID="1.2.3", StudyDate="20260101")
OTHER = a_row(StudyInstanceUID="1.2.4", StudyDate="20260102")


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as executor:
        yield executor


def run(
    pool: ThreadPoolExecutor, rows: dict, limit: int = 10, deadline_s: float = 5
) -> SearchResult:
    query = Query(level=Level.STUDY, limit=limit)
    return search(query, SITES, asker(rows), pool, deadline_s, "https://gw.example/dicom-web")


def test_search_warns_when_one_site_is_silent(pool: ThreadPoolExecutor) -> None:
    found = run(pool, {"east": [ROW], "north": SiteUnreachable("north"), "west": [OTHER]})
    assert (
        [text(row, "StudyInstanceUID") for row in found.rows],
        found.silent,
        found.warnings,
    ) == (
        ["1.2.4", "1.2.3"],
        {"north": "unreachable"},
        ("Results incomplete, no answer from north (unreachable)",),
    )


def test_search_with_no_answer_at_all_is_an_error_and_no_empty_list(
    pool: ThreadPoolExecutor,
) -> None:
    silent = {s.site_id: SiteTimeout(s.site_id, 2) for s in SITES}
    with pytest.raises(NoSiteAnswered) as caught:
        run(pool, silent)
    assert caught.value.silent == {"east": "timeout", "north": "timeout", "west": "timeout"}


def test_search_is_empty_only_if_all_answered(pool: ThreadPoolExecutor) -> None:
    found = run(pool, {"east": [], "north": [], "west": []})
    assert (found.rows, found.total, found.warnings, found.silent) == ((), 0, (), {})


def test_search_tells_how_many_results_remain(pool: ThreadPoolExecutor) -> None:
    found = run(pool, {"east": [ROW], "north": [OTHER], "west": [ROW]}, limit=1)
    assert (found.total, found.warnings) == (
        2,
        ("There are 1 additional results that can be requested",),
    )


def test_a_hanging_site_does_not_hold_the_others(pool: ThreadPoolExecutor) -> None:
    gate = Event()

    def ask(site: Site, query: Query, _deadline: Deadline) -> SitePage:
        if site.site_id == "north":
            gate.wait(30)
        return page_of(site.site_id, query, [ROW])

    try:
        query = Query(level=Level.STUDY, limit=10)
        found = search(query, SITES, ask, pool, 0.05, "https://gw.example/dicom-web")
        assert (len(found.rows), found.silent) == (1, {"north": "timeout"})
    finally:
        gate.set()
