"""Reads the likely next series of a study ahead of its viewer (GATEWAY_PREFETCH_SERIES).

Never in anybody's way: one series at a time at a site, only while this process has been asking that
site for nothing, and not at all where a site fails or is slow. What is read goes into the caches
that the viewer's own question will look into, and only what that viewer may see is read: a wish
keeps the sites that his request was let through to.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from gateway.bootstrap import Gateway
from gateway.clock import monotonic_s
from gateway.errors import GatewayError, RecordsUnavailable
from gateway.index.holders import load_series_order
from gateway.log import log
from gateway.model.sites import Site
from gateway.web.opening import Target
from gateway.web.scope import Scope

MOST_WAITING = 4  # series for each site; the oldest wish goes first
MOST_INSTANCES = 2000  # of a series: more is too much on a guess
STALE_S = 120.0  # by then its reader has asked for it himself, or has gone
QUIET_S = 1.0  # between the viewer's own questions nothing is quiet
LOOK_AGAIN_S = 0.2
SLOW_S = 3.0  # for one slice


@dataclass(frozen=True)
class Ahead:
    """One series that is likely to be asked for next.

    path     of that request, as the viewer will send it
    made_at  monotonic seconds
    """

    scope: Scope
    target: Target
    path: str
    site: Site
    made_at: float = field(compare=False)


Warm = Callable[[Ahead, Callable[[], bool]], None]
"""Brings a series into the caches; asks between two steps whether it may go on."""


class Prefetcher:
    """Keeps the wishes of this process; safe for threads."""

    def __init__(self, gateway: Gateway, warm: Warm) -> None:
        self._gateway = gateway
        self._warm = warm
        self._most = gateway.settings.prefetch_series
        self._waiting: dict[str, deque[Ahead]] = {}
        self._lock = threading.Lock()

    def opened(self, scope: Scope, target: Target, path: str, site: Site) -> None:
        """A viewer was given the metadata of a series by this site: the next ones are likely."""
        if not self._most or target.series is None or target.instance is not None:
            return
        if not self._is_fit(site):
            return
        try:
            counts = load_series_order(self._gateway.records, site.site_id, target.study)
        except RecordsUnavailable:
            return
        order = list(counts)
        if target.series not in order:
            return
        at = order.index(target.series) + 1
        here = f"/series/{target.series}/"
        wishes = [
            Ahead(
                scope,
                Target(target.study, uid, below=target.below),
                path.replace(here, f"/series/{uid}/"),
                site,
                monotonic_s(),
            )
            for uid in order[at : at + self._most]
            if counts[uid] <= MOST_INSTANCES
        ]
        if wishes:
            self._add(site.site_id, wishes)

    def _add(self, site_id: str, wishes: list[Ahead]) -> None:
        with self._lock:
            waiting = self._waiting.get(site_id)
            begins = waiting is None
            if waiting is None:
                waiting = self._waiting[site_id] = deque(maxlen=MOST_WAITING)
            waiting.extend(wish for wish in wishes if wish not in waiting)
        if begins:
            # Not of the gateway's pool: that is for searches, and is waited for at the end.
            work = threading.Thread(target=self._work, args=(site_id, waiting), daemon=True)
            work.start()

    def _work(self, site_id: str, waiting: deque[Ahead]) -> None:
        """Do what waits for one site, one after the other; what fails takes the rest with it."""
        try:
            while (wish := self._next(site_id, waiting)) is not None:
                if self._wait_for_quiet(wish):
                    self._warm(wish, partial(self._may_go_on, wish))
        except GatewayError as error:
            log.info("not read ahead", site=site_id, why=type(error).__name__)
        finally:
            with self._lock:
                if self._waiting.get(site_id) is waiting:
                    del self._waiting[site_id]

    def _next(self, site_id: str, waiting: deque[Ahead]) -> Ahead | None:
        with self._lock:
            if waiting:
                return waiting.popleft()
            del self._waiting[site_id]  # under the same lock: whoever comes now starts anew
            return None

    def _wait_for_quiet(self, wish: Ahead) -> bool:
        """The viewer's own questions come first; False if the wish has lost its reason."""
        while monotonic_s() - wish.made_at < STALE_S and self._is_fit(wish.site):
            answered_at = self._gateway.wire.standing(wish.site).last_answer_at or 0.0
            if self._gateway.wire.is_idle(wish.site) and monotonic_s() - answered_at >= QUIET_S:
                return True
            time.sleep(LOOK_AGAIN_S)
        return False

    def _may_go_on(self, wish: Ahead) -> bool:
        return self._is_fit(wish.site) and self._gateway.wire.is_idle(wish.site)

    def _is_fit(self, site: Site) -> bool:
        """Whether it still is one of the region, answers, and is quick enough."""
        if site not in self._gateway.region.sites:
            return False
        standing = self._gateway.wire.standing(site)
        slice_s = self._gateway.wire.slice_s(site)
        return standing.state == "closed" and standing.answers and (slice_s or 0.0) <= SLOW_S
