"""One thread for each site that follows it into the study index; a hung site delays no other."""

import random
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime

from gateway.errors import GatewayError, LeaseLost, SiteError
from gateway.index.follow import Follower
from gateway.log import log
from gateway.model.sites import Site

FIRST_RETRY_S, LONGEST_RETRY_S = 1.0, 15.0


class Followers:
    """The threads of the keeper that leads; `make` builds what one thread uses."""

    def __init__(self, make: Callable[[Site], Follower]) -> None:
        self._make = make
        self._threads: dict[str, _Thread] = {}

    def follow(self, sites: Sequence[Site]) -> None:
        """Follow these sites and no other; one whose entry has changed begins with a new thread."""
        wanted = {site.site_id: site for site in sites}
        for site_id, thread in list(self._threads.items()):
            if wanted.get(site_id) != thread.follower.site or not thread.is_alive():
                thread.end()
                del self._threads[site_id]
        for site_id, site in wanted.items():
            if site_id not in self._threads:
                self._threads[site_id] = _Thread(self._make(site))
                self._threads[site_id].start()

    def ring(self, site_ids: Collection[str]) -> None:
        """Something happened at these sites: look now."""
        for site_id in site_ids:
            if site_id in self._threads:
                self._threads[site_id].bell.set()

    def read_at(self) -> Mapping[str, datetime]:
        """When each feed was last read to its end."""
        found = {site_id: thread.follower.read_at for site_id, thread in self._threads.items()}
        return {site_id: at for site_id, at in found.items() if at is not None}

    def stop(self) -> None:
        """Follow nobody; steps under way end by themselves, and write nothing without the lease."""
        for thread in self._threads.values():
            thread.end()
        self._threads = {}


class _Thread(threading.Thread):
    """Steps of one follower, until its end."""

    def __init__(self, follower: Follower) -> None:
        super().__init__(name=f"follow {follower.site.site_id}", daemon=True)
        self.follower = follower
        self.bell = threading.Event()
        self._ended = False
        self._silent = ""
        self._retry_s = FIRST_RETRY_S

    def end(self) -> None:
        self._ended = True
        self.follower.close()
        self.bell.set()

    def run(self) -> None:
        while not self._ended:
            # The bell is muffled before the look, so that one that rings during it is heard.
            self.bell.clear()
            rest = self._step()
            if rest > 0 and not self._ended:
                self.bell.wait(rest)

    def _step(self) -> float:
        try:
            rest = self.follower.step()
        except LeaseLost:
            self._ended = True
            return 0.0
        except GatewayError as error:
            return self._fail(error.code if isinstance(error, SiteError) else str(error))
        except Exception as error:  # noqa: BLE001 - the thread's door: the site is tried again
            return self._fail(f"{type(error).__name__}: {error}")
        if self._silent:
            log.info("site is followed again", site=self.follower.site.site_id)
        self._silent, self._retry_s = "", FIRST_RETRY_S
        return rest

    def _fail(self, problem: str) -> float:
        if problem != self._silent:
            log.warning("site is not followed", site=self.follower.site.site_id, problem=problem)
        self._silent = problem
        rest = self._retry_s * random.uniform(0.7, 1.3)  # noqa: S311 - not all at one time
        self._retry_s = min(2 * self._retry_s, LONGEST_RETRY_S)
        return rest
