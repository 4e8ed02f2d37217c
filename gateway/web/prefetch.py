"""Reads the likely next series of a study ahead of its viewer (GATEWAY_PREFETCH_SERIES).

Never in anybody's way: one series at a time at a site, only while this process asks that site for
nothing else, only while the study is still being read, and not at all where a site fails or is
slow. What is read goes into the caches that the viewer's own question will look into.
"""

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
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
MOST_READ = 1000
GONE_S = 20.0
"""Nobody has asked for anything of a study for so long: its reader has gone."""
LOOK_AGAIN_S = 0.2
SLOW_S = 3.0  # for one slice


@dataclass(frozen=True)
class Ahead:
    """One series that is likely to be asked next.

    path  of that request, as the viewer will send it
    """

    scope: Scope
    target: Target
    path: str
    site: Site


Warm = Callable[[Ahead, Callable[[], bool]], None]
"""Brings a series into the caches; asks between two steps whether it is still wanted."""


class Prefetcher:
    """Keeps the wishes of this process; safe for threads."""

    def __init__(self, gateway: Gateway, warm: Warm) -> None:
        self._gateway = gateway
        self._warm = warm
        self._most = gateway.settings.prefetch_series
        self._waiting: dict[str, deque[Ahead]] = {}
        self._running: set[str] = set()
        self._read_at: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, study_uid: str) -> None:
        """Somebody is reading this study now."""
        if not self._most:
            return
        with self._lock:
            self._read_at[study_uid] = monotonic_s()
            self._read_at.move_to_end(study_uid)
            while len(self._read_at) > MOST_READ:
                self._read_at.popitem(last=False)

    def opened(self, scope: Scope, target: Target, path: str, site: Site) -> None:
        """A viewer was given the metadata of a series by this site: the next ones are likely."""
        if not self._most or target.series is None or not self._is_fit(site):
            return
        series_uid = target.series
        try:
            order = load_series_order(self._gateway.records, site.site_id, target.study)
        except RecordsUnavailable:
            return
        if series_uid not in order:
            return
        at = order.index(series_uid) + 1
        with self._lock:
            waiting = self._waiting.setdefault(site.site_id, deque(maxlen=MOST_WAITING))
            for uid in order[at : at + self._most]:
                next_one = Target(target.study, uid, below=target.below)
                wish = Ahead(scope, next_one, path.replace(series_uid, uid), site)
                if all(wish.target != other.target for other in waiting):
                    waiting.append(wish)
            if not waiting or site.site_id in self._running:
                return
            self._running.add(site.site_id)
        self._gateway.pool.submit(self._work, site.site_id)

    def _work(self, site_id: str) -> None:
        """Do what waits for one site, one after the other."""
        while (wish := self._next(site_id)) is not None:
            try:
                if self._wait_for_quiet(wish):
                    self._warm(wish, partial(self._may_go_on, wish))
            except GatewayError as error:
                log.info("not read ahead", site=site_id, why=type(error).__name__)
                with self._lock:
                    self._waiting.pop(site_id, None)
            except BaseException:
                with self._lock:
                    self._running.discard(site_id)
                raise

    def _next(self, site_id: str) -> Ahead | None:
        with self._lock:
            waiting = self._waiting.get(site_id)
            if waiting:
                return waiting.popleft()
            self._running.discard(site_id)
            self._waiting.pop(site_id, None)
            return None

    def _wait_for_quiet(self, wish: Ahead) -> bool:
        """The viewer's own questions come first; False if the wish has lost its reason."""
        while self._is_wanted(wish):
            if self._gateway.wire.is_idle(wish.site):
                return True
            time.sleep(LOOK_AGAIN_S)
        return False

    def _may_go_on(self, wish: Ahead) -> bool:
        return self._is_wanted(wish) and self._gateway.wire.is_idle(wish.site)

    def _is_wanted(self, wish: Ahead) -> bool:
        read_at = self._read_at.get(wish.target.study)
        if read_at is None or monotonic_s() - read_at > GONE_S:
            return False
        return self._is_fit(wish.site)

    def _is_fit(self, site: Site) -> bool:
        standing = self._gateway.wire.standing(site)
        slice_s = self._gateway.wire.slice_s(site)
        return standing.state == "closed" and standing.answers and (slice_s or 0.0) <= SLOW_S
