"""How the images of a study are stored at an Orthanc, asked before a site is asked to transcode."""

from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from threading import Lock

from gateway.clock import Deadline, monotonic_s
from gateway.errors import SiteRefused
from gateway.model.sites import Site
from gateway.orthanc.holdings import find_series
from gateway.orthanc.wire import Wire

KEEP_S = 600.0
KEEP_MOST = 20_000
ANSWER_LIMIT = 256
MOST_ASKED = 12  # instances beside the first one of each series
MORE_S = 0.1


class StoredSyntaxes:
    """Remembers the transfer syntaxes of each series by some of its instances, and what was seen of
    others since; safe for threads.
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._kept: OrderedDict[tuple[str, str, str | None], tuple[float, frozenset[str]]] = (
            OrderedDict()
        )
        self._lock = Lock()

    def find(
        self, site: Site, study_uid: str, series_uid: str | None, deadline: Deadline
    ) -> frozenset[str]:
        """Transfer syntax UIDs of the series, or of every series of the study.

        Empty if the site is no Orthanc or has no such series. raises SiteError
        """
        if site.kind != "orthanc":
            return frozenset()
        key = (site.site_id, study_uid, series_uid)
        found_at, found = self._kept.get(key, (0.0, frozenset()))
        if found and monotonic_s() - found_at < KEEP_S:
            return found
        series = find_series(self._wire, site, study_uid, series_uid, deadline)
        found = frozenset(self._ask(site, ids[0], deadline) for ids in series)
        begun_s = monotonic_s()
        for orthanc_id in _some_more(series):
            if monotonic_s() - begun_s > MORE_S:
                break  # a far site: what it holds besides is seen when it comes
            with suppress(SiteRefused):  # it has just gone
                found |= {self._ask(site, orthanc_id, deadline)}
        self._keep(key, found)
        return found

    def known(self, site: Site, study_uid: str, name: str) -> frozenset[str]:
        """What `learn` was told of this part of the study lately; empty for nothing."""
        found_at, found = self._kept.get((site.site_id, study_uid, name), (0.0, frozenset()))
        return found if monotonic_s() - found_at < KEEP_S else frozenset()

    def learn(self, site: Site, study_uid: str, name: str | None, syntax: str) -> frozenset[str]:
        """Something of a series, an instance (SERIES/INSTANCE) or the study (None) is stored in
        this one as well; returns all that is known of it now.
        """
        for level in {name, None}:
            key = (site.site_id, study_uid, level)
            _, found = self._kept.get(key, (0.0, frozenset()))
            if found or level == name:
                self._keep(key, found | {syntax})
        return self.known(site, study_uid, name or "")

    def _keep(self, key: tuple[str, str, str | None], found: frozenset[str]) -> None:
        with self._lock:
            self._kept[key] = (monotonic_s(), found)
            self._kept.move_to_end(key)
            while len(self._kept) > KEEP_MOST:
                self._kept.popitem(last=False)

    def _ask(self, site: Site, orthanc_id: str, deadline: Deadline) -> str:
        target = f"/instances/{orthanc_id}/metadata/TransferSyntax"
        with self._wire.open(site, "GET", target, deadline=deadline) as answer:
            raw = answer.read_all(ANSWER_LIMIT)
        if answer.status != 200:
            raise SiteRefused(site.site_id, answer.status, "transfer syntax")
        return raw.decode("ascii", "replace").strip()


def _some_more(series: Sequence[Sequence[str]]) -> list[str]:
    """Instances spread over those that are not the first of their series."""
    others = [one for ids in series for one in ids[1:]]
    return others[:: -(-len(others) // MOST_ASKED) or 1]
