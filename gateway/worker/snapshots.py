"""Has the snapshots of the rollout taken, every night: one thread of the keeper that leads.

What is due stands in the database and a worker is rung; what no worker has taken in time, because
Redis lost the bell or there is none, is taken here.
"""

from collections.abc import Callable
from datetime import timedelta

from gateway.clock import utc_now
from gateway.model.rollout.measures import Savings
from gateway.model.sites import Region
from gateway.queues import Doorbell
from gateway.records.engine import Records
from gateway.records.snapshots import load_orders
from gateway.rollout.report import order_due, take
from gateway.worker.jobs import SNAPSHOT, order_word
from gateway.worker.rounds import Rounds

LOOK_S = 60.0
FIRST_S = 20.0
QUEUE = "bulk"
WORKER_S = 300.0
"""How long an ordered snapshot waits for a worker; ten years of months take some minutes."""


class Snapshots(Rounds):
    """From its start to its end one keeper's."""

    def __init__(
        self, records: Records, savings: Savings, region: Callable[[], Region], doorbell: Doorbell
    ) -> None:
        super().__init__("snapshots", LOOK_S, "snapshots are not taken", FIRST_S)
        self._records, self._savings, self._region = records, savings, region
        self._doorbell = doorbell

    def round(self) -> None:
        self.look()

    def look(self) -> None:
        """Order what is due, ring for it, take what waits too long. Raises RecordsUnavailable."""
        now = utc_now()
        order_due(self._records, self._region(), now)
        waiting = []
        for one, ordered_at in load_orders(self._records).items():
            is_new = ordered_at == now
            word = order_word(one)
            heard = is_new and self._doorbell.ring(QUEUE, SNAPSHOT, word, now, int(WORKER_S))
            if not heard and (is_new or now - ordered_at >= timedelta(seconds=WORKER_S)):
                waiting.append(one)
        if waiting:
            take(self._records, waiting, self._savings, utc_now(), lambda: not self._ended.is_set())
