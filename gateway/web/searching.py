"""Answers a search from the study index, and asks those sites live whose rows are too old.

The index answers for a site whose feed was read within `max_index_age_s`. Any other site is asked
live under the one deadline; if it is silent its rows of the index are shown all the same, marked
OFFLINE, with a warning that says how old they are (design.md 3.1).
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from gateway.bootstrap import Gateway
from gateway.clock import monotonic_s, utc_now
from gateway.dicom.attributes import Level
from gateway.dicom.query import Query
from gateway.errors import NoSiteAnswered, RecordsUnavailable
from gateway.federation.merge import merge
from gateway.federation.search import finish
from gateway.index.coverage import Coverage
from gateway.index.linked import widen
from gateway.index.query import (
    count_matching,
    find_holders,
    find_page,
    not_kept,
    paging_key,
)
from gateway.model.answers import SearchResult, SitePage
from gateway.model.sites import Site
from gateway.records.studies import IndexState

NAMED = 10
"""Sites that one sentence names."""


def search(gateway: Gateway, query: Query, sites: Sequence[Site], service_url: str) -> SearchResult:
    """One page over the given sites.

    raises  NoSiteAnswered if no site answered and the index has nothing to show either
    """
    coverage = gateway.coverage(sites)
    by_id, states = coverage.by_id, coverage.states
    if query.study_uid is not None:
        gateway.locator.check(query.study_uid, sites)
    now = utc_now()
    as_asked = query
    if len(sites) > 1:  # one hospital's address answers what was asked of that hospital
        query = _with_linked(gateway, query)
    oldest = now - timedelta(seconds=gateway.settings.max_index_age_s)
    if query.level is Level.INSTANCE:
        fresh = {site_id: s for site_id, s in states.items() if coverage.is_fresh(site_id, oldest)}
        return _search_instances(gateway, query, by_id, fresh, service_url)
    as_of = _as_of(gateway, as_asked, now, list(by_id))
    stale = coverage.stale(oldest)
    need = query.offset + query.limit
    live: dict[str, SitePage] = {}
    silent: dict[str, str] = {}
    shown = query
    if stale:
        whole = replace(query, offset=0, limit=need) if len(stale) < len(sites) else query
        live, silent, shown = gateway.gather(whole, stale, states)
    silent |= _fell_silent(gateway, coverage, live.keys() | silent.keys())
    silent = dict(sorted(silent.items()))
    read_at = {site_id: at for site_id, at in coverage.read_at.items() if site_id not in live}
    indexed = list(read_at)
    untold = (
        *_ages(coverage, live, silent),
        *_untold(gateway, query, sites, indexed=bool(indexed)),
    )
    if not indexed:
        if not live:
            raise NoSiteAnswered(silent)
        merged = merge(list(live.values()), shown, by_id, service_url)
        return finish(query, merged, live.values(), silent, untold)
    pages: list[SitePage] = list(live.values())
    asked = replace(query, offset=0, limit=need) if live else query
    found = find_page(gateway.records, asked, indexed, as_of)
    pages += found.pages
    total: int | None = found.total
    if live and total is not None:
        uids = frozenset().union(*(page.uids for page in live.values()))
        total += len(uids) - count_matching(gateway.records, query, indexed, uids)
    if not pages and len(silent) == len(sites):
        raise NoSiteAnswered(silent)
    merged = merge(
        pages, query, by_id, service_url, total=total or 0, silent=silent,
        uids=None if live else found.uids,  # the index knows the order
    )  # fmt: skip
    merged = replace(merged, total=total)
    result = finish(query, merged, live.values(), silent, untold)
    return replace(result, indexed=read_at)


def _search_instances(
    gateway: Gateway,
    query: Query,
    by_id: Mapping[str, Site],
    fresh: Mapping[str, IndexState],
    service_url: str,
) -> SearchResult:
    """Instances are not in the index, but it knows who may hold them: only these are asked, and
    those whose rows are too old.
    """
    held = find_holders(gateway.records, query, fresh) if fresh else None
    # What nobody is known to hold may have come a moment ago: then everybody is asked.
    spared = set(fresh) - held if held else set()
    asked = [site for site_id, site in by_id.items() if site_id not in spared]
    live, silent, shown = gateway.gather(query, asked)
    if not live:
        raise NoSiteAnswered(silent)
    merged = merge(list(live.values()), shown, by_id, service_url)
    untold = tuple(_untold(gateway, query, asked, indexed=False))
    result = finish(query, merged, live.values(), silent, untold)
    return replace(result, indexed={site_id: fresh[site_id].read_at for site_id in spared})


def _untold(
    gateway: Gateway, query: Query, sites: Sequence[Site], *, indexed: bool
) -> Iterator[str]:
    """Keys that nobody could judge: rows that have what was asked look as if they had not."""
    for keyword in not_kept(query) if indexed else ():
        yield f"Results incomplete, the index does not keep {keyword}"
    if any(condition.path for condition in query.conditions):
        mute = [site.site_id for site in sites if _hides_sequences(gateway, site)]
        if mute:
            more = f" and {len(mute) - NAMED} more" if len(mute) > NAMED else ""
            yield f"Results incomplete, sequences are not told by {', '.join(mute[:NAMED])}{more}"


def _hides_sequences(gateway: Gateway, site: Site) -> bool:
    """Orthanc's plugin gives no sequence before 1.17 (measured: 1.7 none, 1.18 some)."""
    numbers = re.findall(r"[0-9]+", gateway.profile(site.site_id).dicomweb_version)
    return site.kind == "orthanc" and [int(n) for n in numbers[:2]] < [1, 17]


def _with_linked(gateway: Gateway, query: Query) -> Query:
    """A person has an identifier at each hospital: the others count too, and the notes say so."""
    try:
        return widen(gateway.records, query)
    except RecordsUnavailable:
        note = "Results incomplete, what the PatientID is linked with cannot be read now"
        return replace(query, notes=(*query.notes, note))


def _fell_silent(gateway: Gateway, coverage: Coverage, told: Collection[str]) -> dict[str, str]:
    """Sites that failed us after the keeper had read them: their fresh rows cannot be opened.

    told  sites of which this search knows already whether they answer
    """
    found = {}
    now, now_s = utc_now(), monotonic_s()  # together: two ages are compared
    for site_id in gateway.wire.fallen():
        if site_id in told or site_id not in coverage.states:
            continue
        standing = gateway.wire.standing(coverage.by_id[site_id])
        if standing.answers or standing.last_failure_at is None:
            continue  # its entry in region.toml has changed
        age_s = now_s - standing.last_failure_at
        read_at = coverage.read_at[site_id]
        if read_at is None or (now - read_at).total_seconds() > age_s:
            found[site_id] = standing.last_failure
    return found


def _as_of(
    gateway: Gateway, query: Query, now: datetime, site_ids: Sequence[str]
) -> datetime | None:
    """When the list was first asked for, of which this is a later page; None for a first page.

    What the index has learnt since is left out of later pages, so that no row is seen twice or
    never (PS3.18 8.3.4.4).
    """
    key = paging_key(query, site_ids)
    if query.offset:
        return gateway.bookmarks.recall(key)
    gateway.bookmarks.remember(key, now)
    return None


def _ages(
    coverage: Coverage, live: Mapping[str, SitePage], silent: Mapping[str, str]
) -> Iterator[str]:
    """What the index cannot promise, in words for Warning 299."""
    as_known = coverage.as_known
    for site_id in sorted(coverage.filling | (silent.keys() & coverage.states.keys())):
        state = coverage.states[site_id]
        if site_id in coverage.filling:
            filling = f"{site_id} is being indexed ({state.share:.0%})"
            if site_id in live:
                yield f"{filling} and was asked itself"
            else:
                yield f"Results incomplete, {filling}"
        if site_id in silent:
            yield f"The studies of {site_id} are listed as they were known " + as_known[site_id]
