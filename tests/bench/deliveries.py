"""`python -m tests.bench.deliveries`: how fast studies reach the archive, proven, and how soon the
engine goes on when something dies. Real Orthancs, Redis, keepers and workers; SQLite.
"""

import hashlib
import os
import time
from collections.abc import Callable, Sequence
from statistics import median, quantiles

import click
import requests
import sqlalchemy as sa
from redis import Redis

from gateway.clock import utc_now
from gateway.demo.servers import OrthancServer
from gateway.model.manifests import Instance, make_manifest
from gateway.model.routing.rule_sets import Lane
from gateway.records.arrivals import Arrived, touch_arrivals
from gateway.records.deliveries import Wanted, delivery, delivery_event
from gateway.records.planning import Decided, save_decided
from tests.arrived import SITE, arrival_of
from tests.bench.studies import CtStudy
from tests.chaos.region import Region, running
from tests.chaosproxy import hangs, only
from tests.running import load
from tests.studies import Instance as File
from tests.studies import a_study, an_instance
from tests.waiting import wait_until

LONGEST_S = 150.0
TRAUMA, SCREENING = "травма", "скрининг"
ROOT = "1.2.826.0.1.3680043.9.7433.7"
FIRST = 60_000
PAUSE_S = 1.0  # between two emergencies

Line = tuple[str, str, str]  # what was measured, what came out, the target


def bulk(*, quick: bool) -> Line:
    """Studies of 0.5 MB slices, from the first plan to the last proof; the plain loop posts as many
    files from memory to the same Orthanc, on one connection, before and after."""
    studies, slices = (2, 20) if quick else (6, 50)
    files = {
        uid: [CtStudy(uid).file(n) for n in range(slices)]
        for uid in (f"{ROOT}.{n}" for n in range(2 * studies))
    }
    uids = list(files)
    ours, before, after = uids[::2], uids[1::4], uids[3::4]
    moved = sum(len(data) for uid in ours for data in files[uid]) / 1e6
    with running(postgresql=False, proxied=False) as region:
        for uid in ours:
            _post(region.hospitals[SITE], files[uid])
        region.start_gateways()
        wait_until(lambda: _count(region, "arrival") == studies, LONGEST_S, "the index")
        loop_s = sum(_timed(_post, region.archive, files[uid]) for uid in before)
        region.rule()
        wait_until(lambda: _count(region, "delivery", "delivered") == studies, LONGEST_S, "it")
        took_s = _moments(region, "proven")[-1] - _moments(region, "planned")[0]
        loop_s += sum(_timed(_post, region.archive, files[uid]) for uid in after)
    told = f"bulk, {moved:.0f} MB: {moved / took_s:.0f} MB/s proven, "
    return f"{told}{moved / loop_s:.0f} by a plain loop", f"{loop_s / took_s:.2f}", ">= 0.8"


def emergencies(*, quick: bool) -> Line:
    """Emergency studies while so many bulk deliveries are due at the same archive; a worker of the
    emergencies is killed at its job."""
    backlog, count = (200, 5) if quick else (5000, 20)
    with running(postgresql=False) as region:
        region.rule()
        images = [an_instance(n, StudyDescription=SCREENING) for n in range(backlog)]
        _post(region.hospitals[SITE], [image.data for image in images])
        _plan(region, images, "bulk")
        region.start_gateways()
        wait_until(lambda: _count(region, "delivery", "delivered"), LONGEST_S, "the bulk to go")
        stored: dict[str, float] = {}
        for n in range(count):
            study = a_study(FIRST + n, (2, 2), StudyDescription=TRAUMA)
            load(region.hospitals["magnit"], study)
            stored[study[0].study_uid] = time.time()
            if n == count // 2:
                _kill_at_work(region)
            time.sleep(PAUSE_S)
        left = backlog - _count(region, "delivery", "delivered")
        spans = [_proven_at(region, uid, len(study)) - at for uid, at in stored.items()]
    told = f"emergency, stored to verified, behind {left}..{backlog} bulk, a worker killed"
    p95 = quantiles(spans, n=20)[-1]
    return told, f"p95 {p95:.1f} s, median {median(spans):.1f} s", "<= 30 s"


def wiped(*, quick: bool) -> Line:
    """From FLUSHALL until all that had been rung for in vain is rung for again."""
    due = 500 if quick else 10_000
    with running(postgresql=False) as region:
        region.rule()
        _plan(region, [an_instance(n, StudyDescription=SCREENING) for n in range(due)], "routine")
        region.archive.pause()  # nothing ends
        region.start_gateways()
        wait_until(lambda: _unheard(region), LONGEST_S, "bells that nobody has heard yet")
        before = _unheard(region)
        with Redis.from_url(region.redis.url) as client:
            client.flushall()
        begun = time.monotonic()
        wait_until(lambda: not before & _unheard(region), LONGEST_S, "other bells")
        spent_s = time.monotonic() - begun
        lost = due - _count(region, "delivery")
    told = f"Redis wiped, {due} due, {len(before)} bells lost: rung again; deliveries lost: {lost}"
    return told, f"{spent_s:.1f} s", "<= 30 s"


def killed(lane: Lane, target: str) -> Line:
    """From kill -9 of a worker at its job until another one is at it."""
    with running(postgresql=False) as region:
        region.rule()
        region.start_gateways()
        region.proxy.fault = only("POST", hangs)
        told = {"emergency": TRAUMA}.get(lane, "КТ")
        load(region.hospitals[SITE], a_study(FIRST, StudyDescription=told))
        wait_until(lambda: _at_work(region), LONGEST_S, "a worker at it")
        horse = _at_work(region)
        (name,) = [n for n, one in region.workers.items() if horse in one.children]
        region.gateways[name].kill()
        begun = time.monotonic()
        wait_until(lambda: _at_work(region) not in (None, horse), LONGEST_S, "another one")
        spent_s = time.monotonic() - begun
    return f"worker killed, {lane}: another one is at it", f"{spent_s:.1f} s", target


def _timed(work: Callable[..., object], *words: object) -> float:
    begun = time.perf_counter()
    work(*words)
    return time.perf_counter() - begun


def _post(server: OrthancServer, files: Sequence[bytes]) -> None:
    with requests.Session() as session:
        session.auth = server.auth
        for data in files:
            session.post(f"{server.url}/instances", data=data, timeout=60).raise_for_status()


def _plan(region: Region, images: Sequence[File], lane: Lane) -> None:
    """Due deliveries of studies of one image, as the keeper would plan them."""
    now = utc_now()
    rows = [
        {"study_uid": one.study_uid, "mark": "", "instance_count": 1, "changed_at": None}
        for one in images
    ]
    with region.records.write() as connection:
        touch_arrivals(connection, SITE, rows, now, filling=False)
    for one in images:
        md5 = hashlib.md5(one.data, usedforsecurity=False).hexdigest()
        held = Instance(one.instance_uid, one.series_uid, len(one.data), md5)
        decided = Decided(
            Arrived.PLANNED, versions=f"{SITE}:1", manifest=make_manifest(one.study_uid, [held]),
            wanted=(Wanted("archive", lane, f"{SITE}/screening", now),),
        )  # fmt: skip
        save_decided(region.records, arrival_of(region.records, one.study_uid), decided, now, None)


def _kill_at_work(region: Region) -> None:
    """A worker of the emergencies, at its job if it is at one."""
    workers = {name: one for name, one in region.workers.items() if "emergency" in name}
    busy = [name for name, one in workers.items() if one.children] or list(workers)
    region.gateways[busy[0]].kill()
    region.start(busy[0])


def _at_work(region: Region) -> int | None:
    """Process that is at the only delivery; None: nobody."""
    mine = sa.select(delivery.c.worker).where(delivery.c.lease_until.is_not(None))
    with region.records.read() as connection:
        worker = connection.execute(mine).scalars().first()
    return int(worker.rpartition(":")[2]) if worker else None


def _unheard(region: Region) -> set[tuple[str, int]]:
    """Deliveries, with their fences, that were rung for and that nobody is at."""
    rung = sa.and_(delivery.c.lease_until.is_not(None), delivery.c.worker == "")
    with region.records.read() as connection:
        rows = connection.execute(sa.select(delivery.c.delivery_id, delivery.c.fence).where(rung))
        return {(delivery_id, fence) for delivery_id, fence in rows}


def _count(region: Region, table: str, state: str = "") -> int:
    where = f" WHERE state = '{state}'" if state else ""
    with region.records.read() as connection:
        return int(connection.execute(sa.text(f"SELECT count(*) FROM {table}{where}")).scalar_one())  # noqa: S608


def _moments(region: Region, event: str) -> list[float]:
    question = sa.select(delivery_event.c.at).where(delivery_event.c.event == event)
    with region.records.read() as connection:
        return sorted(at.timestamp() for at in connection.execute(question).scalars())


def _proven_at(region: Region, study_uid: str, images: int) -> float:
    """When all images of a study were proven to be there."""
    whole = sa.and_(
        delivery.c.study_uid == study_uid, delivery.c.state == "delivered",
        delivery.c.instance_count == images,
    )  # fmt: skip
    found: list[float] = []

    def proven() -> bool:
        with region.records.read() as connection:
            rows = connection.execute(sa.select(delivery.c.changed_at).where(whole)).scalars()
            found[:] = [at.timestamp() for at in rows]
        return bool(found)

    wait_until(proven, LONGEST_S, "an emergency")
    return found[0]


@click.command()
@click.option("--quick", is_flag=True, help="Small numbers: whether it works, not how fast.")
@click.option("--only", "word", default="", help="Lines whose name holds this text.")
def main(word: str, *, quick: bool) -> None:
    """Print one line for each thing that is measured."""
    lines: dict[str, Callable[[], Line]] = {
        "bulk": lambda: bulk(quick=quick),
        "emergencies": lambda: emergencies(quick=quick),
        "wiped": lambda: wiped(quick=quick),
        "killed emergency": lambda: killed("emergency", "<= 20 s"),
        "killed routine": lambda: killed("routine", "<= 40 s"),
    }
    load_before = os.getloadavg()[0]
    print(f"{os.cpu_count()} cores for all servers; load of others before: {load_before:.1f}\n")
    print("| deliveries | | target |\n|---|--:|--:|")
    for name, measure in lines.items():
        if word in name:
            print("| " + " | ".join(measure()) + " |", flush=True)


if __name__ == "__main__":
    main()
