"""Lets evidence of machines catch up (rollout/catching_up.py), in one thread of the keeper that
leads: what arrives is counted by those who write the index.
"""

import threading
from collections.abc import Callable
from datetime import datetime

from gateway.clock import Deadline, utc_now
from gateway.errors import LeaseLost
from gateway.log import log
from gateway.model.sites import Region
from gateway.records.engine import Records
from gateway.records.leases import Fence
from gateway.rollout.catching_up import CatchingUp
from gateway.worker.rounds import Rounds

LOOK_S = 15.0
FIRST_S = 2.0
BREATH_S = 0.02  # a lock has no queue: those who write the index must get a turn
CLEAR_S = 3600.0


class Witnesses(Rounds):
    """From its start to its end one keeper's, under one fence."""

    def __init__(
        self, records: Records, region: Callable[[], Region], fence: Fence, turn: threading.Lock
    ) -> None:
        super().__init__("witnesses", LOOK_S, "evidence of machines does not catch up", FIRST_S)
        self._region = region
        self._catching_up = CatchingUp(records, fence, turn)
        self._counted: set[str] = set()
        self._clear = Deadline(CLEAR_S)

    def round(self) -> None:
        self.look(utc_now())

    def look(self, now: datetime) -> None:
        """One round. Raises LeaseLost if it is ended meanwhile, RecordsUnavailable."""
        region = self._region()
        for site in region.sites:
            if site.site_id in self._counted:
                continue
            portions = 0
            while self._catching_up.count(site, now):
                portions += 1
                self._breathe()
            self._counted.add(site.site_id)
            if portions:
                log.info("evidence of the index is counted", site=site.site_id, portions=portions)
        while self._catching_up.stop_clocks(region, now):
            self._breathe()
        if self._clear.passed:
            self._clear = Deadline(CLEAR_S)
            self._catching_up.clear(region.sites, now)

    def _breathe(self) -> None:
        if self._ended.wait(BREATH_S):
            raise LeaseLost("witnesses")
