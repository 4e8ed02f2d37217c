"""Answers a search from the study index, and asks those sites live whose rows are too old.

The index answers for a site whose feed was read within `max_index_age_s`. Any other site is asked
live under the one deadline; if it is silent its rows of the index are shown all the same, marked
OFFLINE, with a warning that says how old they are (design.md 3.1).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from gateway.bootstrap import Gateway
from gateway.clock import utc_now
from gateway.dicom.attributes import Level, text
from gateway.dicom.query import Query
from gateway.errors import NoSiteAnswered, RecordsUnavailable
from gateway.federation.merge import KEY, merge
from gateway.federation.search import finish
from gateway.index.linked import widen
from gateway.index.query import count_matching, find_page, paging_key
from gateway.model.answers import SearchResult, SitePage
from gateway.model.sites import Site
from gateway.records.studies import IndexState


def search(gateway: Gateway, query: Query, sites: Sequence[Site], service_url: str) -> SearchResult:
    """One page over the given sites.

    raises  NoSiteAnswered if no site answered and the index has nothing to show either
    """
    by_id = {site.site_id: site for site in sites}
    if query.study_uid is not None:
        gateway.locator.check(query.study_uid, sites)
    states = {} if query.level is Level.INSTANCE else gateway.index_states
    states = {site_id: state for site_id, state in states.items() if site_id in by_id}
    now = utc_now()
    as_of = _as_of(gateway, query, now, list(by_id))
    if len(sites) > 1:  # one hospital's address answers what was asked of that hospital
        query = _with_linked(gateway, query)
    stale = [site for site in sites if not _is_fresh(gateway, states.get(site.site_id), now)]
    need = query.offset + query.limit
    live: dict[str, SitePage] = {}
    silent: dict[str, str] = {}
    shown = query
    if stale:
        whole = replace(query, offset=0, limit=need) if len(stale) < len(sites) else query
        live, silent, shown = gateway.gather(whole, stale)
    indexed = [site_id for site_id in states if site_id not in live]
    if not indexed:
        if not live:
            raise NoSiteAnswered(silent)
        merged = merge(list(live.values()), shown, by_id, service_url)
        return finish(query, merged, live.values(), silent)
    pages: list[SitePage] = list(live.values())
    asked = replace(query, offset=0, limit=need) if live else query
    found = find_page(gateway.records, asked, indexed, as_of)
    pages += found.pages
    total = found.total
    if live:
        uids = frozenset().union(*(page.uids for page in live.values()))
        total += len(uids) - count_matching(gateway.records, query, indexed, uids)
    if not pages and len(silent) == len(sites):
        raise NoSiteAnswered(silent)
    order = query if live else replace(query, offset=0)
    merged = merge(pages, order, by_id, service_url, total=total, silent=silent)
    if not live:  # the index knows the order also where holders disagree
        place = {uid: n for n, uid in enumerate(found.uids)}
        rows = sorted(merged.rows, key=lambda row: place[text(row, KEY[query.level])])
        merged = replace(merged, rows=tuple(rows))
    return finish(query, merged, live.values(), silent, tuple(_ages(states, live, silent)))


def _with_linked(gateway: Gateway, query: Query) -> Query:
    """A person has an identifier at each hospital: the others count too, and the notes say so."""
    try:
        return widen(gateway.records, query)
    except RecordsUnavailable:
        note = "Results incomplete, what the PatientID is linked with cannot be read now"
        return replace(query, notes=(*query.notes, note))


def _is_fresh(gateway: Gateway, state: IndexState | None, now: datetime) -> bool:
    if state is None or state.phase != "following" or state.read_at is None:
        return False
    return (now - state.read_at).total_seconds() <= gateway.settings.max_index_age_s


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
    states: Mapping[str, IndexState], live: Mapping[str, SitePage], silent: Mapping[str, str]
) -> Iterator[str]:
    """What the index cannot promise, in words for Warning 299."""
    for site_id, state in states.items():
        if site_id in live:
            continue
        if state.phase != "following":
            yield f"Results incomplete, {site_id} is being indexed ({state.share:.0%})"
        if site_id in silent:
            known = f"{state.read_at:%Y-%m-%dT%H:%M:%SZ}" if state.read_at else "before"
            yield f"The studies of {site_id} are listed as they were known at {known}"
