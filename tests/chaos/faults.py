"""What may happen to a region, at random but seeded moments."""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

import sqlalchemy as sa
from redis import Redis
from redis.exceptions import RedisError

from gateway.demo.servers import Program
from gateway.errors import RecordsUnavailable
from gateway.records.deliveries import delivery
from tests.chaos.region import Region
from tests.chaosproxy import cut, cuts_request, hangs, loses_answer, only, resets
from tests.forked import ForkedGateway
from tests.index.kills import end_lease, freeze

LOCKED_S = 6.0  # longer than any of our processes waits for SQLite
BEYOND_LEASE_S = 33.0  # of a routine delivery
REAL_FREEZES = 0.25  # share of those that last so long; with the others the lease is ended for them


@dataclass
class Chaos:
    """Lets one fault after another happen; what heals by itself later stands in `healings`."""

    region: Region
    chance: random.Random
    tally: Counter[str] = field(default_factory=Counter)
    healings: list[tuple[float, Callable[[], None]]] = field(default_factory=list)

    def strike(self) -> None:
        """Let one fault happen. Where it needs a row of its own, somebody else may be writing for
        so long that it does without.
        """
        (name,) = self.chance.choices(list(FAULTS), [weight for weight, _ in FAULTS.values()])
        with suppress(RecordsUnavailable):
            FAULTS[name][1](self)
        self.tally[name] += 1

    def heal(self, *, all_of_it: bool = False) -> None:
        """Heal what is to be healed by now; `all_of_it` waits for the rest."""
        while due := [h for h in self.healings if all_of_it or h[0] <= time.monotonic()]:
            first = min(due, key=lambda healing: healing[0])
            self.healings.remove(first)
            time.sleep(max(0.0, first[0] - time.monotonic()))
            first[1]()

    def _later(self, seconds: float, heal: Callable[[], None]) -> None:
        self.healings.append((time.monotonic() + seconds, heal))

    def _kill(self, name: str) -> None:
        self.region.gateways[name].kill()
        self.region.start(name)

    def kill_worker(self) -> None:
        """At its job if there is one: that is where it hurts."""
        workers = self.region.workers
        busy = [name for name, worker in workers.items() if worker.children]
        self._kill(self.chance.choice(busy or list(workers)))

    def kill_job(self) -> None:
        """The child only: its worker tells of it."""
        jobs = [pid for worker in self.region.workers.values() for pid in worker.children]
        if jobs:
            with suppress(ProcessLookupError):
                os.kill(self.chance.choice(jobs), signal.SIGKILL)

    def kill_keeper(self) -> None:
        """Which may lead or be the spare."""
        self._kill(self.chance.choice(list(self.region.keepers)))

    def freeze_worker(self) -> None:
        workers = self.region.workers
        busy = [name for name, worker in workers.items() if worker.children]
        worker = workers[self.chance.choice(busy or list(workers))]
        freeze(self.region.records, worker)
        if self.chance.random() < REAL_FREEZES:
            self._later(BEYOND_LEASE_S, worker.resume)
            return
        # As if its time had passed, of which the worker knows nothing: two are at one delivery.
        names = [f":{pid}" for pid in worker.children]
        past = datetime(2020, 1, 1, tzinfo=UTC)
        theirs = sa.or_(*[delivery.c.worker.endswith(name) for name in names], sa.false())
        leased = sa.and_(delivery.c.lease_until.is_not(None), theirs)
        self._later(self.chance.uniform(1, 6), worker.resume)
        with self.region.records.write() as connection:
            connection.execute(sa.update(delivery).where(leased).values(lease_until=past))

    def freeze_keeper(self) -> None:
        """Beyond its lease; then there are two that believe that they lead."""
        keeper: ForkedGateway = self.chance.choice(list(self.region.keepers.values()))
        freeze(self.region.records, keeper)
        self._later(self.chance.uniform(1, 6), keeper.resume)
        end_lease(self.region.records)

    def flush_redis(self) -> None:
        with Redis.from_url(self.region.redis.url) as client, suppress(RedisError):
            client.flushall()

    def restart_redis(self) -> None:
        self.region.redis.kill()
        self._later(self.chance.uniform(0, 8), lambda: _start(self.region.redis))

    def freeze_redis(self) -> None:
        self.region.redis.pause()
        self._later(self.chance.uniform(1, 8), self.region.redis.resume)

    def restart_archive(self) -> None:
        self.region.archive.kill()
        self._later(self.chance.uniform(0, 6), lambda: _start(self.region.archive))

    def freeze_archive(self) -> None:
        self.region.archive.pause()
        self._later(self.chance.uniform(1, 8), self.region.archive.resume)

    def restart_hospital(self) -> None:
        hospital = self.chance.choice(list(self.region.hospitals.values()))
        hospital.kill()
        self._later(self.chance.uniform(0, 4), lambda: _start(hospital))

    def cut_connections(self) -> None:
        proxy = self.region.proxy
        proxy.fault = self.chance.choice(
            [
                resets, hangs, cut(0.5), only("POST", loses_answer()),
                only("POST", cuts_request(self.chance.randint(1, 20_000))),
                only("GET", cut(self.chance.random())),
            ]
        )  # fmt: skip
        self._later(self.chance.uniform(1, 6), self._reconnect)

    def _reconnect(self) -> None:
        self.region.proxy.reset()
        self.region.proxy.drop()  # what hangs need not hang on

    def restart_database(self) -> None:
        """PostgreSQL is away for a while; SQLite's write lock is held longer than anybody waits."""
        if postgres := self.region.postgres:
            postgres.stop()
            time.sleep(self.chance.uniform(0, 4))
            postgres.start()
            return
        with self.region.records.write():
            time.sleep(LOCKED_S)


def _start(server: Program) -> None:
    if not server.alive:
        server.start()


Fault = Callable[[Chaos], None]
FAULTS: Mapping[str, tuple[int, Fault]] = {
    "worker killed": (8, Chaos.kill_worker),
    "job killed": (3, Chaos.kill_job),
    "keeper killed": (4, Chaos.kill_keeper),
    "worker frozen": (4, Chaos.freeze_worker),
    "keeper frozen": (2, Chaos.freeze_keeper),
    "redis flushed": (3, Chaos.flush_redis),
    "redis killed": (2, Chaos.restart_redis),
    "redis frozen": (1, Chaos.freeze_redis),
    "archive killed": (3, Chaos.restart_archive),
    "archive frozen": (2, Chaos.freeze_archive),
    "hospital killed": (2, Chaos.restart_hospital),
    "connections cut": (4, Chaos.cut_connections),
    "database away": (2, Chaos.restart_database),
}
