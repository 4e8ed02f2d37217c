"""Puts one question to every site at the same time and gathers what comes by the deadline.

Silence is not emptiness: a site that does not answer is named (PS3.18 10.6.3.1 has no status for
it; trust.md R1, R2), and if nobody answers it is an error.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor

from gateway.clock import Deadline
from gateway.dicom.query import Query
from gateway.errors import NoSiteAnswered
from gateway.federation.fanout import ask_all
from gateway.federation.merge import merge
from gateway.model.answers import SearchResult, SitePage
from gateway.model.sites import Site

AskSite = Callable[[Site, Query, Deadline], SitePage]


def search(
    query: Query,
    sites: Sequence[Site],
    ask: AskSite,
    pool: Executor,
    deadline_s: float,
    service_url: str,
) -> SearchResult:
    """Put one question to every site and return one ordered page.

    deadline_s  for the whole fan-out; a site's own search_s may be shorter
    raises      NoSiteAnswered if every site failed; one failed site is only a warning
    standard    PS3.18 10.6; 8.3.4.4 (same question, same order)
    """

    def one(site: Site, deadline: Deadline) -> SitePage:
        return ask(site, query, deadline)

    pages, silent = ask_all(sites, one, pool, deadline_s)
    if not pages:
        raise NoSiteAnswered(silent)
    merged = merge(list(pages.values()), query, {site.site_id: site for site in sites}, service_url)
    return SearchResult(
        rows=merged.rows,
        total=merged.total,
        silent=silent,
        warnings=tuple(_warnings(query, merged.total, merged.conflicts, pages.values(), silent)),
    )


def _warnings(
    query: Query,
    total: int,
    conflicts: Sequence[str],
    pages: Iterable[SitePage],
    silent: Mapping[str, str],
) -> Iterable[str]:
    """Sentences for Warning 299, the standard's own text first (PS3.18 8.3.4.4.1)."""
    remaining = total - query.offset - query.limit
    if remaining > 0:
        yield f"There are {remaining} additional results that can be requested"
    for site_id, code in silent.items():
        yield f"Results incomplete, no answer from {site_id} ({code})"
    for page in pages:
        if page.truncated:
            yield f"Results incomplete, {page.site_id} has more matches than can be read"
    if conflicts:
        yield f"{len(conflicts)} of these results name different patients at different sites"
    yield from query.notes
