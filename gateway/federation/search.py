"""Puts one question to every site at the same time and gathers what comes by the deadline.

Silence is not emptiness: a site that does not answer is named (PS3.18 10.6.3.1 has no status for
it; trust.md R1, R2), and if nobody answers it is an error.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace

from gateway.clock import Deadline
from gateway.dicom.attributes import Dataset, text
from gateway.dicom.query import Query
from gateway.errors import NoSiteAnswered
from gateway.federation.fanout import ask_all
from gateway.federation.merge import KEY, Merged, merge, uids_of_page
from gateway.model.answers import SearchResult, SitePage
from gateway.model.sites import Site

AskSite = Callable[[Site, Query, Deadline], SitePage]
DescribeAt = Callable[[Site, Query, Sequence[str], Deadline], tuple[Dataset, ...]]
"""Full rows of these UIDs; what has gone meanwhile is left out."""


def search(
    query: Query,
    sites: Sequence[Site],
    ask: AskSite,
    describe: DescribeAt,
    pool: Executor,
    deadline_s: float,
    service_url: str,
) -> SearchResult:
    """Put one question to every site and return one ordered page.

    deadline_s  for the whole fan-out; a site's own search_s may be shorter
    raises      NoSiteAnswered if every site failed; one failed site is only a warning
    standard    PS3.18 10.6; 8.3.4.4 (same question, same order)
    """
    pages, silent, shown = gather(query, sites, ask, describe, pool, deadline_s)
    if not pages:
        raise NoSiteAnswered(silent)
    by_id = {site.site_id: site for site in sites}
    merged = merge(list(pages.values()), shown, by_id, service_url)
    return finish(query, merged, pages.values(), silent)


def gather(
    query: Query,
    sites: Sequence[Site],
    ask: AskSite,
    describe: DescribeAt,
    pool: Executor,
    deadline_s: float,
) -> tuple[dict[str, SitePage], dict[str, str], Query]:
    """What each site answered, who was silent, and the query by which the pages are to be merged.

    Sites that answer with light rows are asked again, for the rows of the merged page only: a row
    costs Orthanc a millisecond, and of each site's first rows most are not among the first of all.
    """

    def one(site: Site, deadline: Deadline) -> SitePage:
        return ask(site, query, deadline)

    deadline = Deadline(deadline_s)
    pages, silent = ask_all(sites, one, pool, deadline_s)
    by_id = {site.site_id: site for site in sites}
    shown = query
    if any(page.light for page in pages.values()):
        wanted = uids_of_page(pages.values(), query, by_id)
        pages, late = _described(pages, wanted, query, by_id, describe, pool, deadline)
        silent = dict(sorted((silent | late).items()))
        shown = replace(query, offset=0)  # the rows before the page are gone
    return pages, silent, shown


def finish(
    query: Query,
    merged: Merged,
    pages: Iterable[SitePage],
    silent: Mapping[str, str],
    more: Sequence[str] = (),
) -> SearchResult:
    """The result with all that must be said about it; `more` are further warnings."""
    warnings = (*_warnings(query, merged, pages, silent), *more)
    return SearchResult(merged.rows, merged.total, silent, warnings)


def _described(
    pages: Mapping[str, SitePage],
    wanted: frozenset[str],
    query: Query,
    sites: Mapping[str, Site],
    describe: DescribeAt,
    pool: Executor,
    deadline: Deadline,
) -> tuple[dict[str, SitePage], dict[str, str]]:
    """The pages with the wanted rows only, in full; and who fell silent when asked for them."""
    missing = {site_id: sorted(page.uids & wanted) for site_id, page in pages.items() if page.light}

    def one(site: Site, deadline: Deadline) -> tuple[Dataset, ...]:
        return describe(site, query, missing[site.site_id], deadline)

    asked = [sites[site_id] for site_id, uids in missing.items() if uids]
    rows, late = ask_all(asked, one, pool, deadline.remaining_s())
    full = {}
    for site_id, page in pages.items():
        kept = tuple(row for row in page.rows if text(row, KEY[query.level]) in wanted)
        if site_id not in late:
            full[site_id] = replace(
                page, rows=rows.get(site_id, ()) if page.light else kept, light=False
            )
    return full, late


def _warnings(
    query: Query,
    merged: Merged,
    pages: Iterable[SitePage],
    silent: Mapping[str, str],
) -> Iterable[str]:
    """Sentences for Warning 299, the standard's own text first (PS3.18 8.3.4.4.1)."""
    remaining = None if merged.total is None else merged.total - query.offset - query.limit
    if remaining is None:
        yield "There are additional results that can be requested"
    elif remaining > 0:
        yield f"There are {remaining} additional results that can be requested"
    for site_id, code in silent.items():
        yield f"Results incomplete, no answer from {site_id} ({code})"
    for page in pages:
        if page.truncated:
            yield f"Results incomplete, {page.site_id} has more matches than can be read"
    if merged.conflicts:
        yield f"{len(merged.conflicts)} of these results name the patient differently at some sites"
    if merged.parted:
        yield (
            f"{len(merged.parted)} of these results have other patients' images under the same UID "
            "at another site; open them at the hospital's own address, which RetrieveURL names"
        )
    yield from query.notes
