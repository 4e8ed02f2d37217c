"""Claims deliveries that are due and rings workers: one thread of the keeper that leads.

The claim is committed before the bell. A bell that nobody hears, a worker that dies, a Redis that
forgets: each time the lease ends, and the delivery is due again. Emergencies do not wait for that:
what no worker hears is done here.
"""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from gateway.clock import Deadline, utc_now
from gateway.errors import GatewayError, LeaseLost
from gateway.log import log
from gateway.model.deliveries import LEASE_S, State
from gateway.model.destinations import Destination
from gateway.model.pace import Pace
from gateway.model.sites import Region
from gateway.queues import Doorbell
from gateway.records.dispatch import (
    Capacity,
    Claim,
    claim,
    end_unheard,
    has_due,
    has_ended_lease,
    load_paces,
    mend_moments,
    sweep_leases,
    unblock,
)
from gateway.records.engine import Records
from gateway.records.failovers import write_failovers
from gateway.records.leases import Fence
from gateway.routing.intake import Intake
from gateway.routing.invariants import check_invariants
from gateway.worker.arrivals import Arrivals
from gateway.worker.deliveries import carry_out
from gateway.worker.jobs import ROUTE, VERIFY

TURN_S = 1.0
BUSY_TURN_S = 0.2  # for BUSY_S after a claim, should Redis lose the word that a job has ended
BUSY_S = 5.0
BREATH_S = 0.05  # workers that end their jobs together are heard together
CHECK_S = 30.0  # an alarm is raised within a minute of its cause
DEPTH = 2
"""Claims for each worker: one that he works on, and one that waits, so that he need not."""
DIRECT = 4
"""Emergencies that the keeper carries out by itself at once."""
JOB_S, JOB_BYTES_PER_S = 600, 50_000


class Dispatcher(threading.Thread):
    """From its start to its end one keeper's, under one fence."""

    def __init__(self, intake: Intake, doorbell: Doorbell, region: Callable[[], Region]) -> None:
        super().__init__(name="dispatcher", daemon=True)
        self._intake = intake
        self._records: Records = intake.records
        self._fence: Fence | None = intake.fence
        self._doorbell = doorbell
        self._region = region
        self._bell = threading.Event()
        self._arrivals = Arrivals(intake, self._bell.set)
        self._direct = ThreadPoolExecutor(DIRECT, thread_name_prefix="direct")
        self._destinations: Mapping[str, Destination] | None = None
        self._check, self._busy = Deadline(0.0), Deadline(0.0)
        self._ended = threading.Event()
        self._silent = ""
        self._workers: Mapping[str, int] = {}

    def end(self) -> None:
        """Nothing is claimed or planned any more."""
        self._ended.set()
        self._bell.set()
        self._arrivals.close()
        self._direct.shutdown(wait=False, cancel_futures=True)

    def run(self) -> None:
        threading.Thread(target=self._listen, name="ear", daemon=True).start()
        while not self._ended.is_set():
            self._bell.clear()
            self._turn()
            self._bell.wait(TURN_S if self._busy.passed else BUSY_TURN_S)
            self._ended.wait(BREATH_S)

    def _listen(self) -> None:
        """A worker that has ended a job gets its next one at once."""
        while not self._ended.is_set():
            if self._doorbell.hear_done(TURN_S):
                self._bell.set()

    def _turn(self) -> None:
        try:
            self.step()
        except LeaseLost:
            self._ended.set()
            return
        except GatewayError as error:
            problem = str(error)
        except Exception as error:  # noqa: BLE001 - the thread's door: what is due stays due
            problem = f"{type(error).__name__}: {error}"
        else:
            problem = ""
        if problem and problem != self._silent:
            log.error("deliveries stand still", problem=problem)
        self._silent = problem

    def step(self) -> None:
        """One round. Raises LeaseLost, RecordsUnavailable."""
        region = self._region()
        self._unblock(region)
        self._arrivals.tick(region.sites)
        now = utc_now()
        if self._doorbell.was_wiped():
            with self._intake.turn:
                end_unheard(self._records, now, self._fence)
        if has_ended_lease(self._records, now):
            with self._intake.turn:
                sweep_leases(self._records, now)
        if self._check.passed:
            self._check = Deadline(CHECK_S)
            silent = {name for name, p in load_paces(self._records).items() if p.is_silent}
            with self._intake.turn:
                mend_moments(self._records, now, self._fence)
                check_invariants(self._records, region, now, self._fence)
                write_failovers(self._records, silent, now, self._fence)
        for one in self._claim(region):
            self._busy = Deadline(BUSY_S)
            self._hand_out(one)

    def _unblock(self, region: Region) -> None:
        """What a destination refused is tried again with another entry, and after a start."""
        now_known = {each.destination_id: each for each in region.destinations}
        before = self._destinations
        if before == now_known:
            return
        blocked = [name for name, pace in load_paces(self._records).items() if pace.blocked]
        for name in blocked:
            if before is None or before.get(name) != now_known.get(name):
                with self._intake.turn:
                    count = unblock(self._records, name, utc_now(), "keeper")
                log.info("destination is tried again", destination=name, deliveries=count)
        self._destinations = now_known

    def _claim(self, region: Region) -> list[Claim]:
        now = utc_now()
        if not has_due(self._records, now):
            return []
        paces = load_paces(self._records)
        self._workers = self._doorbell.count_workers()
        capacity = _capacity(region, paces, self._workers)
        with self._intake.turn:
            return claim(self._records, capacity, now, self._fence)

    def _hand_out(self, one: Claim) -> None:
        job = VERIFY if one.state is State.VERIFYING else ROUTE
        urgent = one.queue == "emergency"
        if urgent and (one.unheard or not self._workers.get(one.queue)):
            self._direct.submit(self._carry_out, one)
            return
        lease_s = LEASE_S["emergency" if urgent else "routine"]
        timeout_s = JOB_S + one.size_bytes // JOB_BYTES_PER_S
        heard = self._doorbell.ring_for(
            one.queue, job, one.delivery_id, one.fence, lease_s, timeout_s
        )
        if not heard and urgent:
            self._direct.submit(self._carry_out, one)

    def _carry_out(self, one: Claim) -> None:
        try:
            carry_out(self._records, self._region(), one.delivery_id, one.fence)
        except GatewayError as error:
            log.warning("delivery is tried again", delivery=one.delivery_id, problem=str(error))
        except Exception as error:  # noqa: BLE001 - the thread's door: the lease ends by itself
            problem = f"{type(error).__name__}: {error}"
            log.error("delivery is tried again", delivery=one.delivery_id, problem=problem)


def _capacity(region: Region, paces: Mapping[str, Pace], workers: Mapping[str, int]) -> Capacity:
    now = utc_now()
    # A worker that Redis has forgotten still listens, and is known again with its first job.
    queues = {queue: DEPTH * max(count, 1) for queue, count in workers.items()}
    rooms: dict[str, int] = {}
    emergencies: list[str] = []
    for each in region.destinations:
        pace = paces.get(each.destination_id) or Pace(float(each.limits.parallel))
        rooms[each.destination_id] = pace.room(each.limits, now)
        if pace.room_for_emergencies():
            emergencies.append(each.destination_id)
    return Capacity(
        queues={"emergency": DIRECT, **queues},
        destinations=rooms,
        emergencies=emergencies,
        sites=[site.site_id for site in region.sites],
    )
