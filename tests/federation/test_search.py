"""One question to many sites: silence is named, an empty list means that nobody has it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Event

import pytest

from gateway.clock import Deadline
from gateway.dicom.attributes import Dataset, Level, text
from gateway.dicom.query import Query
from gateway.errors import NoSiteAnswered, SiteTimeout, SiteUnreachable
from gateway.federation.search import AskSite, search
from gateway.model.answers import SearchResult, SitePage
from gateway.model.sites import Site
from tests.fakes import a_row, a_site, asker, describer, page_of

SITES = [a_site("east"), a_site("north"), a_site("west")]
ROW = a_row(StudyInstanceUID="1.2.3", StudyDate="20260101")
SERVICE = "https://gw.example/dicom-web"
OTHER = a_row(StudyInstanceUID="1.2.4", StudyDate="20260102")


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as executor:
        yield executor


def run(
    pool: ThreadPoolExecutor, rows: dict, limit: int = 10, deadline_s: float = 5
) -> SearchResult:
    query = Query(level=Level.STUDY, limit=limit)
    return search(query, SITES, asker(rows), describer({}), pool, deadline_s, SERVICE)


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
        found = search(query, SITES, ask, describer({}), pool, 0.05, SERVICE)
        assert (len(found.rows), found.silent) == (1, {"north": "timeout"})
    finally:
        gate.set()


def light_asker(rows: dict[str, list[Dataset]]) -> AskSite:
    """Sites that answer with UID and date only, as Orthanc's index does."""

    def ask(site: Site, query: Query, _deadline: Deadline) -> SitePage:
        page = page_of(site.site_id, query, rows[site.site_id])
        keys = ("0020000D", "00080020")
        light = tuple({tag: row[tag] for tag in keys if tag in row} for row in page.rows)
        return replace(page, rows=light, light=True)

    return ask


def studies(*numbers: int) -> list[Dataset]:
    return [
        a_row(StudyInstanceUID=f"1.2.{n}", StudyDate=f"202601{n:02}", PatientID=f"P{n}")
        for n in numbers
    ]


LIGHT = {"east": studies(1, 5, 9), "north": studies(2, 5, 8), "west": studies(3)}


def test_only_rows_of_the_page_are_described_at_each_of_their_holders(
    pool: ThreadPoolExecutor,
) -> None:
    asked: dict[str, list[str]] = {}
    query = Query(level=Level.STUDY, limit=2, offset=1)
    describe = describer(LIGHT, asked)
    found = search(query, SITES, light_asker(LIGHT), describe, pool, 5, SERVICE)
    assert (
        [(text(row, "StudyInstanceUID"), text(row, "PatientID")) for row in found.rows],
        found.total,
        asked,
        found.warnings,
    ) == (
        [("1.2.8", "P8"), ("1.2.5", "P5")],
        6,
        {"east": ["1.2.5"], "north": ["1.2.5", "1.2.8"]},
        ("There are 3 additional results that can be requested",),
    )


def test_pages_of_described_rows_are_the_whole_list(pool: ThreadPoolExecutor) -> None:
    def uids(limit: int, offset: int) -> list[str]:
        query = Query(level=Level.STUDY, limit=limit, offset=offset)
        found = search(query, SITES, light_asker(LIGHT), describer(LIGHT), pool, 5, SERVICE)
        return [text(row, "StudyInstanceUID") for row in found.rows]

    assert [uid for offset in (0, 2, 4, 6) for uid in uids(2, offset)] == uids(100, 0)


def test_a_site_that_falls_silent_while_it_describes_is_named(pool: ThreadPoolExecutor) -> None:
    query = Query(level=Level.STUDY, limit=10)
    describe = describer({**LIGHT, "north": SiteTimeout("north", 2)})
    found = search(query, SITES, light_asker(LIGHT), describe, pool, 5, SERVICE)
    assert (
        [text(row, "StudyInstanceUID") for row in found.rows],
        found.silent,
    ) == (["1.2.9", "1.2.5", "1.2.3", "1.2.1"], {"north": "timeout"})
