"""The keeper: one process leads, spares wait. It keeps what we know of each site fresh: how it
behaves (probes), what it holds (followers.py, index/follow.py) and of whom (index/persons.py).
It also has what arrives judged and delivered (dispatcher.py).

Every second the leader gathers rows, plans (schedule.py), orders what is due in the database, and
rings a worker. What no worker does in time it does itself, in threads: a site that hangs holds up
nobody else.
"""

import os
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

from gateway.clock import Deadline, utc_now
from gateway.errors import GatewayError, LeaseLost
from gateway.index.follow import Follower, Pace
from gateway.index.persons import settle
from gateway.log import log
from gateway.model.alarms import NAME_NOT_RESOLVED
from gateway.model.sites import Site
from gateway.orthanc.wire import Wire
from gateway.queues import Doorbell
from gateway.records.alarms import write_alarm, write_clearance
from gateway.records.engine import Records
from gateway.records.events import forget_events, load_last_starts
from gateway.records.indexing import IndexWriter, last_bell, load_bells, save_read_at
from gateway.records.leases import Fence, release_lease, take_lease
from gateway.records.probes import load_probes, order_probe
from gateway.records.sightings import witness_of
from gateway.region_file import RegionFile
from gateway.rollout.report import savings_of
from gateway.routing.intake import Intake
from gateway.settings import Settings
from gateway.worker.audits import Audits
from gateway.worker.dispatcher import Dispatcher
from gateway.worker.followers import Followers
from gateway.worker.forwarder import Forwarder
from gateway.worker.jobs import PROBE, probe_and_save
from gateway.worker.ledger import Ledger
from gateway.worker.notices import Notices
from gateway.worker.replays import Replays
from gateway.worker.schedule import WORKER_S, find_waiting, plan_probes
from gateway.worker.snapshots import Snapshots
from gateway.worker.upkeep import Upkeep
from gateway.worker.witnesses import Witnesses

LEASE = "keeper"
LEASE_S = 10.0  # a spare takes over at most LEASE_S + TICK_S after the leader's death
RENEW_S = 3.0
TICK_S = 1.0
THREADS = 32
QUEUE = "routine"
EVENTS_KEPT = timedelta(days=30)
TIDY_S = 3600.0
DAY_S = 86_400.0
BREATH_S = 0.02  # a lock has no queue: those who write the index must get a turn


def run_keeper(
    settings: Settings, region_file: RegionFile, records: Records, stop: threading.Event
) -> None:
    """Lead, or wait to lead, until `stop` is set. Survives a database or Redis that is away."""
    keeper = Keeper(settings, region_file, records)
    log.info("keeper starts", holder=keeper.holder)
    silent = ""
    while not stop.is_set():
        try:
            keeper.tick()
            if silent:
                log.info("database answers again")
            silent = ""
        except GatewayError as error:
            if not silent:
                log.error("keeper cannot work", problem=str(error))
            silent = str(error)
        stop.wait(TICK_S)
    keeper.close()
    log.info("keeper stops", holder=keeper.holder)


class Keeper:
    """What one keeper process remembers between two ticks."""

    def __init__(self, settings: Settings, region_file: RegionFile, records: Records) -> None:
        self.holder = f"{socket.gethostname()}:{os.getpid()}:{os.urandom(4).hex()}"
        self._settings = settings
        self._every_s = settings.probe_every_s
        self._region_file = region_file
        self._records = records
        self._redis_url = settings.redis_url
        self._doorbell = Doorbell(settings.redis_url)
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="probe")
        self._probing: set[str] = set()
        self._settling = False
        self._changed: set[str] = set()
        self._lease: Deadline | None = None
        self._fence = Fence(LEASE, 0)
        self._renew: Deadline | None = None
        self._tidy: Deadline | None = None
        self._wire = Wire()
        self._pace = Pace(
            settings.follow_every_s, settings.check_every_s, DAY_S, settings.fill_rate
        )
        self._turn = threading.Lock()
        self._followers = Followers(self._make_follower)
        self._dispatcher: Dispatcher | None = None
        self._audits: Audits | None = None
        self._notices: Notices | None = None
        self._replays: Replays | None = None
        self._snapshots: Snapshots | None = None
        self._ledger: Ledger | None = None
        self._forwarder: Forwarder | None = None
        self._upkeep: Upkeep | None = None
        self._witnesses: Witnesses | None = None
        self._last_bell: int | None = None
        self._read_at: dict[str, datetime] = {}
        self._unresolved: frozenset[str] | None = None

    @property
    def leads(self) -> bool:
        return self._lease is not None and not self._lease.passed

    def tick(self) -> None:
        """One round: keep the lease, then look what is due. Raises RecordsUnavailable."""
        self._take_lease()
        self._follow_region()
        if not self.leads:
            self._stop_threads()
            return
        self._follow_sites()
        self._tell_unresolved()
        self._settle()
        self._dispatch()
        self._look_after_sites()
        if self._tidy is None or self._tidy.passed:
            self._tidy = Deadline(TIDY_S)
            forget_events(self._records, utc_now() - EVENTS_KEPT)

    def close(self) -> None:
        """Give the lease back; probes and steps under way end by their own deadlines."""
        self._stop_threads()
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._doorbell.close()
        try:
            release_lease(self._records, LEASE, self.holder, utc_now())
        except GatewayError as error:
            log.warning("lease is not given back and ends by itself", problem=str(error))

    def _take_lease(self) -> None:
        if self.leads and self._renew and not self._renew.passed:
            return
        self._records.check_clock()
        lease = Deadline(LEASE_S)  # counted from before the statement: never longer than the row's
        fence = Fence(LEASE, take_lease(self._records, LEASE, self.holder, utc_now(), LEASE_S))
        self._lease = lease if fence.number else None
        self._renew = Deadline(RENEW_S)
        if fence == self._fence:
            return
        # What threads remember of a site may be older than what another leader has written since.
        self._stop_threads()
        self._fence, self._unresolved = fence, None
        if fence.number:
            log.info("keeper leads", holder=self.holder, fence=fence.number)
            self._changed = {site.site_id for site in self._region_file.region.sites}
        else:
            log.warning("keeper leads no longer", holder=self.holder)

    def _follow_region(self) -> None:
        before = {site.site_id: site for site in self._region_file.region.sites}
        problem = self._region_file.problem
        if self._region_file.refresh():
            sites = self._region_file.region.sites
            self._changed |= {site.site_id for site in sites if site != before.get(site.site_id)}
            log.info("region file is taken", sites=len(sites))
        elif self._region_file.problem != problem:
            log.error("region file is wrong, the last one stays", problem=self._region_file.problem)

    def _follow_sites(self) -> None:
        """Keep the study index: threads follow the sites, here only bells and clocks are passed."""
        self._followers.follow(self._region_file.region.sites)
        if self._last_bell is None:
            self._last_bell = last_bell(self._records)
        self._last_bell, rung = load_bells(self._records, self._last_bell)
        self._followers.ring(rung)
        read_at = self._followers.read_at()
        # All sites in one transaction: each costs the disk a flush.
        fresh = {site_id: at for site_id, at in read_at.items() if at != self._read_at.get(site_id)}
        if fresh:
            try:
                save_read_at(self._records, fresh, self._fence)
            except LeaseLost:  # the next tick finds out who leads
                self._lease = None
                raise
            self._read_at.update(fresh)

    def _tell_unresolved(self) -> None:
        """An alarm for each site whose name cannot be looked up, until it can be (trust.md F14)."""
        unresolved = self._wire.unresolved()
        if unresolved == self._unresolved:
            return
        now = utc_now()
        known = {site.site_id for site in self._region_file.region.sites}
        with self._records.write() as connection:
            self._fence.check(connection)
            for site_id in sorted(unresolved):
                write_alarm(connection, NAME_NOT_RESOLVED, site_id, {}, now)
            write_clearance(connection, NAME_NOT_RESOLVED, known - unresolved, now)
        self._unresolved = unresolved

    def _dispatch(self) -> None:
        """A thread judges arrivals and hands deliveries to workers while this keeper leads."""
        if self._dispatcher is not None and not self._dispatcher.is_alive():
            self._dispatcher.end()
            self._dispatcher = None
        if self._dispatcher is None:
            intake = Intake(self._records, self._wire, self._fence, self._turn)
            doorbell, regions = Doorbell(self._redis_url), self._region_file
            self._dispatcher = Dispatcher(intake, doorbell, lambda: regions.region)
            self._dispatcher.start()
        if self._audits is None or not self._audits.is_alive():
            regions = self._region_file
            self._audits = Audits(self._records, lambda: regions.region)
            self._audits.start()
        if self._notices is None or not self._notices.is_alive():
            regions = self._region_file
            self._notices = Notices(
                self._records, self._settings, lambda: regions.region, self._fence
            )
            self._notices.start()
        if self._upkeep is None or not self._upkeep.is_alive():
            regions = self._region_file
            self._upkeep = Upkeep(
                self._records, self._settings, lambda: regions.region, self._fence
            )
            self._upkeep.start()
        if self._witnesses is None or not self._witnesses.is_alive():
            regions = self._region_file
            self._witnesses = Witnesses(
                self._records, lambda: regions.region, self._fence, self._turn
            )
            self._witnesses.start()
        if self._replays is None or not self._replays.is_alive():
            regions = self._region_file
            self._replays = Replays(self._records, lambda: regions.region)
            self._replays.start()
        if self._snapshots is None or not self._snapshots.is_alive():
            doorbell, regions = Doorbell(self._redis_url), self._region_file
            self._snapshots = Snapshots(
                self._records, savings_of(self._settings), lambda: regions.region, doorbell
            )
            self._snapshots.start()
        if self._ledger is None or not self._ledger.is_alive():
            self._ledger = Ledger(self._records, self._settings)
            self._ledger.start()
        if self._settings.audit_syslog and (
            self._forwarder is None or not self._forwarder.is_alive()
        ):
            self._forwarder = Forwarder(self._records, self._settings)
            self._forwarder.start()

    def _stop_threads(self) -> None:
        self._followers.stop()
        if self._dispatcher is not None:
            self._dispatcher.end()
            self._dispatcher = None
        if self._audits is not None:
            self._audits.end()
            self._audits = None
        if self._notices is not None:
            self._notices.end()
            self._notices = None
        if self._replays is not None:
            self._replays.end()
            self._replays = None
        if self._snapshots is not None:
            self._snapshots.end()
            self._snapshots = None
        if self._ledger is not None:
            self._ledger.end()
            self._ledger = None
        if self._forwarder is not None:
            self._forwarder.end()
            self._forwarder = None
        if self._upkeep is not None:
            self._upkeep.end()
            self._upkeep = None
        if self._witnesses is not None:
            self._witnesses.end()
            self._witnesses = None

    def _make_follower(self, site: Site) -> Follower:
        witness = witness_of(site)
        writer = IndexWriter(self._records, site.site_id, self._fence, self._turn, witness)
        return Follower(site, self._wire, self._records, writer, self._pace)

    def _settle(self) -> None:
        """A thread judges the patients of what has been written, as long as there is any."""
        if not self._settling:
            self._settling = True
            self._pool.submit(self._settle_in_thread)

    def _settle_in_thread(self) -> None:
        settled = 1
        try:
            while settled and self.leads:
                with self._turn:
                    settled = settle(self._records, utc_now(), fence=self._fence)
                time.sleep(BREATH_S)
        except LeaseLost:
            pass  # the next tick finds out who leads
        except GatewayError as error:
            log.warning("patients are not judged", problem=str(error))
        except Exception as error:  # noqa: BLE001 - the thread's door: the notes stay due
            log.error("patients are not judged", problem=f"{type(error).__name__}: {error}")
        finally:
            self._settling = False

    def _look_after_sites(self) -> None:
        sites = self._region_file.region.sites
        probes = load_probes(self._records)
        starts = load_last_starts(self._records)
        now = utc_now()
        for site in plan_probes(sites, probes, starts, self._changed, now, self._every_s):
            order_probe(self._records, site.site_id, now)
            self._changed.discard(site.site_id)
            heard = self._doorbell.ring(QUEUE, PROBE, site.site_id, now, int(WORKER_S))
            if not heard:
                self._probe(site)
        for site in find_waiting(sites, probes, now):
            self._probe(site)

    def _probe(self, site: Site) -> None:
        if site.site_id not in self._probing:
            self._probing.add(site.site_id)
            self._pool.submit(self._probe_in_thread, site)

    def _probe_in_thread(self, site: Site) -> None:
        try:
            probe_and_save(self._records, site)
        except Exception as error:  # noqa: BLE001 - the thread's door: the row stays due
            log.error("probe failed", site=site.site_id, problem=f"{type(error).__name__}: {error}")
        finally:
            self._probing.discard(site.site_id)
