"""Finds the sites that hold a study and puts the best one first.

Part A asks every site; the answer is kept for some seconds because a viewer asks for hundreds of
objects of one study. Only "who holds it" is kept, never "nobody": silence and absence may pass.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
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
NEAR_S = 0.1  # a slice in that time is near enough
AS_NEAR = 2.0  # differences below are chance

FindStudy = Callable[[Site, str, Deadline], Holder | None]
CheckStudy = Callable[[str, Sequence[Site]], None]
"""Raises PatientsDiffer for a study that is known to be of different patients at these sites."""
SliceSeconds = Callable[[Site], float | None]
"""Seconds that an image from a site is likely to take; None if it has not given one yet."""


class Locator:
    """Answers "who holds this study"; one for each process, safe for threads."""

    def __init__(
        self,
        find: FindStudy,
        pool: Executor,
        check: CheckStudy,
        list_held: ListHeld,
        slice_s: SliceSeconds,
    ) -> None:
        self._find = find
        self._list_held = list_held
        self._slice_s = slice_s
        self.check = check
        self._pool = pool
        self._kept: OrderedDict[tuple[str, ...], tuple[float, Location]] = OrderedDict()
        self._alike: OrderedDict[tuple[str, ...], tuple[float, Mapping[str, Listing]]] = (
            OrderedDict()
        )
        self._split: OrderedDict[str, None] = OrderedDict()
        self._differing: OrderedDict[str, frozenset[str]] = OrderedDict()
        self._ids: tuple[Sequence[Site], tuple[str, ...]] = ((), ())
        self._lock = Lock()

    def locate(self, study_uid: str, sites: Sequence[Site], deadline_s: float) -> Location:
        """Holders of a study, complete copies first, then near before far, then hospitals.

        Who holds it is kept; how near they are is judged at each call.

        raises  NotFound only if every site answered and none has it; NoSiteAnswered if none of
                those that answered has it and at least one is silent (never 404 for what may
                exist); PatientsDiffer if holders among these sites name different patients
        """
        key = (study_uid, *self._ids_of(sites))
        found_at, location = self._kept.get(key, (0.0, None))
        if location is not None and monotonic_s() - found_at < KEEP_S:
            return self._near_first(location, sites)

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
        location = Location(study_uid, tuple(holders), silent)
        with self._lock:
            self._kept[key] = (monotonic_s(), location)
            self._kept.move_to_end(key)
            while len(self._kept) > KEEP_MOST:
                self._kept.popitem(last=False)
        return self._near_first(location, sites)

    def _near_first(self, location: Location, sites: Sequence[Site]) -> Location:
        if len(location.holders) < 2:
            return location
        by_id = {site.site_id: site for site in sites}
        differing = self._differing.get(location.study_uid)
        if differing:
            holders = in_fixed_order(location.holders, by_id)
            named = tuple(one.site_id for one in holders if one.site_id in differing)
            return replace(location, holders=holders, differing=named if len(named) > 1 else ())
        seconds: dict[str, float] = {}
        for holder in location.holders:
            measured = self._slice_s(by_id[holder.site_id])
            # One that has given nothing yet is tried: it was quick to say that it has the study.
            seconds[holder.site_id] = holder.seconds if measured is None else measured
        return replace(location, holders=order(location.holders, by_id, seconds))

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

    def compared(self, study_uid: str, differing: frozenset[str]) -> None:
        """Copies at these sites differ in content; none do. If so the holders stand in one order
        whatever happens: attributes of one must not be shown with pixels of another."""
        with self._lock:
            self._differing.pop(study_uid, None)
            if differing:
                self._differing[study_uid] = differing
            while len(self._differing) > KEEP_MOST:
                self._differing.popitem(last=False)

    def forget(self, study_uid: str) -> None:
        """Ask again next time: the study has changed or its holder has failed."""
        with self._lock:
            for kept in (self._kept, self._alike):
                for key in [key for key in kept if key[0] == study_uid]:
                    del kept[key]


def in_fixed_order(holders: Sequence[Holder], sites: Mapping[str, Site]) -> tuple[Holder, ...]:
    """Complete copies first, a hospital before the archive, then by site id."""

    def rank(holder: Holder) -> tuple[int, bool, str]:
        return -holder.instances, sites[holder.site_id].role == "archive", holder.site_id

    return tuple(sorted(holders, key=rank))


def order(
    holders: Sequence[Holder], sites: Mapping[str, Site], slice_s: Mapping[str, float] | None = None
) -> tuple[Holder, ...]:
    """Complete copies first, near before far, a hospital before the archive, the faster answer.

    slice_s  seconds for an image from each holder; None: it does not matter how far they are
    """
    seconds = slice_s or {}
    nearest: dict[int, float] = {}
    for holder in holders:
        cost_s = seconds.get(holder.site_id, 0.0)
        nearest[holder.instances] = min(cost_s, nearest.get(holder.instances, cost_s))

    def rank(holder: Holder) -> tuple[int, float, bool, float, str]:
        near_s = max(NEAR_S, AS_NEAR * nearest[holder.instances])
        far_s = max(near_s, seconds.get(holder.site_id, 0.0))
        archive = sites[holder.site_id].role == "archive"
        return (-holder.instances, far_s, archive, holder.seconds, holder.site_id)

    return tuple(sorted(holders, key=rank))
