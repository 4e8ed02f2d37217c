"""Finds the sites that hold a study and puts the best one first.

Part A asks every site; the answer is kept for some seconds because a viewer asks for hundreds of
objects of one study. Only "who holds it" is kept, never "nobody": silence and absence may pass.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from threading import Lock

from gateway.clock import Deadline, monotonic_s
from gateway.errors import NoSiteAnswered, NotFound, PatientsDiffer
from gateway.federation.fanout import ask_all
from gateway.federation.shares import ListHeld, Listing, complete_sites, list_holders
from gateway.model.answers import Holder, Location
from gateway.model.persons import find_different
from gateway.model.sites import Site

KEEP_S = 30.0
KEEP_MOST = 10_000
ALIKE_MOST = 100  # a listing of 1000 instances takes some 100 KB

FindStudy = Callable[[Site, str, Deadline], Holder | None]
CheckStudy = Callable[[str, Sequence[Site]], None]
"""Raises PatientsDiffer for a study that is known to be of different patients at these sites."""


class Locator:
    """Answers "who holds this study"; one for each process, safe for threads."""

    def __init__(
        self, find: FindStudy, pool: Executor, check: CheckStudy, list_held: ListHeld
    ) -> None:
        self._find = find
        self._list_held = list_held
        self.check = check
        self._pool = pool
        self._kept: OrderedDict[tuple[str, ...], tuple[float, Location]] = OrderedDict()
        self._alike: OrderedDict[tuple[str, ...], tuple[float, Mapping[str, Listing]]] = (
            OrderedDict()
        )
        self._split: OrderedDict[str, None] = OrderedDict()
        self._ids: tuple[Sequence[Site], tuple[str, ...]] = ((), ())
        self._lock = Lock()

    def locate(self, study_uid: str, sites: Sequence[Site], deadline_s: float) -> Location:
        """Holders of a study, complete copies first, then hospitals, then the faster.

        raises  NotFound only if every site answered and none has it; NoSiteAnswered if none of
                those that answered has it and at least one is silent (never 404 for what may
                exist); PatientsDiffer if holders among these sites name different patients
        """
        key = (study_uid, *self._ids_of(sites))
        with self._lock:
            found_at, location = self._kept.get(key, (0.0, None))
        if location is not None and monotonic_s() - found_at < KEEP_S:
            return location

        self.check(study_uid, sites)

        def one(site: Site, deadline: Deadline) -> Holder | None:
            return self._find(site, study_uid, deadline)

        answers, silent = ask_all(sites, one, self._pool, deadline_s)
        holders = [holder for holder in answers.values() if holder is not None]
        if not holders:
            if silent:
                raise NoSiteAnswered(silent)
            raise NotFound("study")
        if find_different(holder.patient for holder in holders):
            raise PatientsDiffer(study_uid, sorted(holder.site_id for holder in holders))
        location = Location(
            study_uid, order(holders, {site.site_id: site for site in sites}), silent
        )
        with self._lock:
            self._kept[key] = (monotonic_s(), location)
            self._kept.move_to_end(key)
            while len(self._kept) > KEEP_MOST:
                self._kept.popitem(last=False)
        return location

    def listings(
        self, study_uid: str, sites: Sequence[Site], deadline_s: float
    ) -> tuple[Mapping[str, Listing], Mapping[str, str]]:
        """What each holder holds, in the order of `sites`, and the code of each silent one.

        Kept like holders while one of them has all; a study that is split is asked for anew.
        """
        key = (study_uid, *self._ids_of(sites))
        with self._lock:
            found_at, kept = self._alike.get(key, (0.0, {}))
        if kept and monotonic_s() - found_at < KEEP_S:
            return kept, {}
        found, silent = list_holders(study_uid, sites, self._list_held, self._pool, deadline_s)
        complete = bool(complete_sites(found, None))
        with self._lock:
            if not complete:
                self._split[study_uid] = None
                self._split.move_to_end(study_uid)
            elif not silent:
                self._alike[key] = (monotonic_s(), found)
                self._alike.move_to_end(key)
                if len(sites) > 1:
                    self._split.pop(study_uid, None)
            while len(self._alike) > ALIKE_MOST:
                self._alike.popitem(last=False)
            while len(self._split) > KEEP_MOST:
                self._split.popitem(last=False)
        return found, silent

    def _ids_of(self, sites: Sequence[Site]) -> tuple[str, ...]:
        """Site ids; of one region, which has hundreds, they are gathered once."""
        known, ids = self._ids
        if known is not sites:
            ids = tuple(site.site_id for site in sites)
            self._ids = (sites, ids)
        return ids

    def was_split(self, study_uid: str) -> bool:
        """Whether this process has seen that no site held the whole study."""
        return study_uid in self._split

    def forget(self, study_uid: str) -> None:
        """Ask again next time: the study has changed or its holder has failed."""
        with self._lock:
            for kept in (self._kept, self._alike):
                for key in [key for key in kept if key[0] == study_uid]:
                    del kept[key]


def order(holders: Sequence[Holder], sites: Mapping[str, Site]) -> tuple[Holder, ...]:
    """Complete copies first, a hospital before the archive, then the faster answer."""

    def rank(holder: Holder) -> tuple[int, bool, float, str]:
        archive = sites[holder.site_id].role == "archive"
        return (-holder.instances, archive, holder.seconds, holder.site_id)

    return tuple(sorted(holders, key=rank))
