"""The jobs that workers may do, by the word that stands in Redis.

RQ would import and call any function that Redis names (routing.md E6). Here a job names a word of
JOBS, and nothing else of what Redis says is imported, called or posted to. Every job may run twice:
it looks at its row first.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from rq.exceptions import DeserializationError
from rq.job import Job

from gateway.clock import utc_now
from gateway.errors import GatewayError
from gateway.log import REQUEST, log
from gateway.model.credentials import new_id
from gateway.model.rollout.measures import Savings
from gateway.model.sites import QuirkProfile, Site
from gateway.orthanc.probe import probe_site
from gateway.records.engine import Records
from gateway.records.probes import load_probe, load_probes, save_profile
from gateway.records.snapshots import Order, load_orders
from gateway.region_file import RegionFile
from gateway.rollout.report import take
from gateway.worker.deliveries import carry_out
from gateway.worker.schedule import describe_change

PROBE, ROUTE, VERIFY, SNAPSHOT = "probe", "route", "verify", "snapshot"


@dataclass(frozen=True)
class Bench:
    """What jobs work with."""

    records: Records
    region_file: RegionFile
    savings: Savings = field(default_factory=Savings)


class UnknownJob(GatewayError):
    """Redis names a job that is not ours: somebody else writes there."""


def do_probe(bench: Bench, site_id: str) -> None:
    """Probe a site if its row says that it is due, and record what it showed."""
    bench.region_file.refresh()
    site = bench.region_file.region.site(site_id)
    row = load_probe(bench.records, site_id)
    if site and row and row.due_since:
        probe_and_save(bench.records, site)


def probe_and_save(records: Records, site: Site) -> None:
    """Probe a site, record the result, log a line if it is another one than before.

    raises  RecordsUnavailable; what the site does wrong is part of the result
    """
    before = load_probe(records, site.site_id)
    profile = probe_site(site, utc_now())
    save_profile(records, site.site_id, profile, before.due_since if before else None)
    line, facts = describe_change(before.profile if before else None, profile)
    if line:
        tell = log.warning if profile.problem else log.info
        tell(line, site=site.site_id, **facts)


def probe_all(records: Records, sites: Sequence[Site]) -> dict[str, QuirkProfile]:
    """Probe all sites now, at the same time, and record what they showed; by site id."""
    with ThreadPoolExecutor(max(len(sites), 1)) as pool:
        list(pool.map(lambda site: probe_and_save(records, site), sites))
    profiles = {name: row.profile for name, row in load_probes(records).items()}
    return {site.site_id: profiles[site.site_id] for site in sites}


def do_delivery(bench: Bench, delivery_id: str, fence: int) -> None:
    """Send or verify a delivery, whichever it was claimed for; none if the fence is an old one."""
    bench.region_file.refresh()
    REQUEST.set(new_id())
    carry_out(bench.records, bench.region_file.region, str(delivery_id), int(fence))


def order_word(order: Order) -> str:
    """A snapshot as a job's only argument."""
    return f"{order.kind} {order.day.isoformat()}"


def do_snapshot(bench: Bench, word: str) -> None:
    """Take a snapshot if it is ordered and not there yet."""
    ordered = {order_word(one): one for one in load_orders(bench.records)}
    if word in ordered:
        take(bench.records, [ordered[word]], bench.savings, utc_now())


JOBS: Mapping[str, Callable[..., None]] = {
    PROBE: do_probe,
    ROUTE: do_delivery,
    VERIFY: do_delivery,
    SNAPSHOT: do_snapshot,
}


def is_known(job: Job) -> bool:
    """Whether the job names a word of JOBS."""
    try:
        return isinstance(job.func_name, str) and job.func_name in JOBS
    except DeserializationError:
        return False


def job_class(bench: Bench) -> type[Job]:
    """RQ's Job as our workers see it: only JOBS, no callbacks, no webhooks."""

    class GatewayJob(Job):
        @property
        def func(self) -> Callable[..., None]:
            if not is_known(self):
                raise UnknownJob(f"the job {self.id} is none of ours and was not executed")
            return partial(JOBS[self.func_name], bench)

        @property
        def success_callback(self) -> None:
            return None

        failure_callback = stopped_callback = success_callback

        def send_webhooks(self, *_args: Any, **_options: Any) -> None:
            """Post nothing: the address would come from Redis."""

    return GatewayJob
