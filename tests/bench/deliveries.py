"""`python -m tests.bench.deliveries`: how fast studies reach the archive, proven, and how soon the
engine goes on when something dies. Real Orthancs, Redis, keepers and workers; SQLite.
"""

import hashlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from statistics import median, quantiles

import click
import requests
import sqlalchemy as sa
from redis import Redis

from gateway.clock import Deadline, utc_now
from gateway.demo.servers import OrthancServer
from gateway.model.manifests import Instance, make_manifest
from gateway.model.routing.rule_sets import Lane
from gateway.records.arrivals import Arrived, touch_arrivals
from gateway.records.deliveries import Wanted, delivery, delivery_event
from gateway.records.engine import Records
from gateway.records.planning import Decided, save_decided
from tests.arrived import SITE, arrival_of
from tests.bench.studies import CtStudy
from tests.chaos.region import Region, running
from tests.chaosproxy import hangs, only
from tests.running import load
from tests.studies import Instance as File
from tests.studies import a_study, an_instance
from tests.waiting import wait_until

LONGEST_S = 300.0
TRAUMA, SCREENING = "травма", "скрининг"
ROOT = "1.2.826.0.1.3680043.9.7433.7"
FIRST = 60_000
PAUSE_S = 1.0  # between two emergencies
PORTION = 500
TOLD_EVERY_S = 10.0

Line = tuple[str, str, str]  # what was measured, the target, what came out


def bulk(*, quick: bool) -> Line:
    """Studies of 0.5 MB slices, from the first plan to the last proof; the plain loop posts as many
    files from memory to the same Orthanc, on one connection, half of them before, half after."""
    studies, slices = (4, 20) if quick else (20, 50)
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
        _wait(lambda: _count(region, "arrival") == studies, "the index")
        before_s = sum(_timed(_post, region.archive, files[uid]) for uid in before)
        _say(f"plain loop before: {moved / 2 / before_s:.0f} MB/s")
        region.rule()
        _wait_delivered(region, studies)
        took_s = _moments(region, "proven")[-1] - _moments(region, "planned")[0]
        after_s = sum(_timed(_post, region.archive, files[uid]) for uid in after)
        _say(f"plain loop after: {moved / 2 / after_s:.0f} MB/s")
    loop_s = before_s + after_s
    told = f"bulk, {moved:.0f} MB: {moved / took_s:.0f} MB/s proven, "
    return f"{told}{moved / loop_s:.0f} by a plain loop", ">= 0.8", f"{loop_s / took_s:.2f}"


def emergencies(*, quick: bool) -> Line:
    """Emergency studies while so many bulk deliveries are due at the same archive; a worker of the
    emergencies is killed at its job."""
    backlog, count = (200, 5) if quick else (5000, 20)
    with running(postgresql=False) as region:
        region.rule()
        images = [an_instance(n, StudyDescription=SCREENING) for n in range(backlog)]
        _post(region.hospitals[SITE], [image.data for image in images])
        _plan(region, {image.study_uid: _instance(image) for image in images}, "bulk")
        region.start_gateways()
        _wait(lambda: _count(region, "delivery", "delivered"), "the bulk to go")
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
    told = (
        f"{count} emergencies, stored to verified, behind {left}..{backlog} bulk, one worker killed"
    )
    p95 = quantiles(spans, n=20)[-1]
    return told, "p95 <= 30 s", f"p95 {p95:.1f} s, median {median(spans):.1f} s"


def wiped(*, quick: bool) -> Line:
    """From FLUSHALL until all that had been rung for in vain is rung for again."""
    due = 500 if quick else 10_000
    with running(postgresql=False) as region:
        region.rule()
        uids = [f"{ROOT}.{n}" for n in range(due)]
        _plan(region, {uid: Instance(f"{uid}.1.1", f"{uid}.1") for uid in uids}, "routine")
        region.archive.pause()  # nothing ends
        region.start_gateways()
        _wait(lambda: _unheard(region), "bells that nobody has heard yet")
        before = _unheard(region)
        with Redis.from_url(region.redis.url) as client:
            client.flushall()
        begun = time.monotonic()
        _wait(lambda: not before & _unheard(region), "other bells")
        spent_s = time.monotonic() - begun
        lost = due - _count(region, "delivery")
    told = f"Redis wiped, {due} due, {len(before)} bells lost: rung again; deliveries lost: {lost}"
    return told, "<= 30 s", f"{spent_s:.1f} s"


def killed(lane: Lane, target: str) -> Line:
    """From kill -9 of a worker at its job until another one is at it."""
    with running(postgresql=False) as region:
        region.rule()
        region.start_gateways()
        region.proxy.fault = only("POST", hangs)
        told = {"emergency": TRAUMA}.get(lane, "КТ")
        load(region.hospitals[SITE], a_study(FIRST, StudyDescription=told))
        _wait(lambda: _at_work(region), "a worker at it")
        horse = _at_work(region)
        (name,) = [n for n, one in region.workers.items() if horse in one.children]
        region.gateways[name].kill()
        begun = time.monotonic()
        _wait(lambda: _at_work(region) not in (None, horse), "another one")
        spent_s = time.monotonic() - begun
    return f"worker killed, {lane}: another one is at it", target, f"{spent_s:.1f} s"


def _say(progress: str) -> None:
    """Beside the table, for whoever waits."""
    print(f"  {utc_now():%H:%M:%S} {progress}", file=sys.stderr, flush=True)


def _wait(done: Callable[[], object], what: str) -> None:
    _say(f"waits for {what}")
    wait_until(done, LONGEST_S, what)


def _wait_delivered(region: Region, studies: int) -> None:
    """Until so many deliveries are proven; says now and then how many there are."""
    told = Deadline(TOLD_EVERY_S)

    def done() -> bool:
        nonlocal told
        there = _count(region, "delivery", "delivered")
        if told.passed:
            told = Deadline(TOLD_EVERY_S)
            _say(f"{there} of {studies} proven")
        return there == studies

    _wait(done, f"{studies} proofs")


def _timed(work: Callable[..., object], *words: object) -> float:
    begun = time.perf_counter()
    work(*words)
    return time.perf_counter() - begun


def _post(server: OrthancServer, files: Sequence[bytes]) -> None:
    with requests.Session() as session:
        session.auth = server.auth
        for data in files:
            session.post(f"{server.url}/instances", data=data, timeout=60).raise_for_status()


def _plan(region: Region, held: Mapping[str, Instance], lane: Lane) -> None:
    """Due deliveries of studies of one image, as the keeper would plan them."""
    now, studies = utc_now(), list(held)
    for n in range(0, len(studies), PORTION):
        _say(f"{n} of {len(studies)} deliveries planned")
        portion = {study_uid: held[study_uid] for study_uid in studies[n : n + PORTION]}
        with region.records.write() as connection:
            records = _OneTransaction(region.records.engine, connection)
            _plan_portion(records, portion, lane, now)


class _OneTransaction(Records):
    """What would be many transactions is one: ten thousand would each wait for the disk."""

    def __init__(self, engine: sa.Engine, connection: sa.Connection) -> None:
        super().__init__(engine)
        self._connection = connection

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        yield self._connection

    read = write


def _plan_portion(
    records: Records, held: Mapping[str, Instance], lane: Lane, now: datetime
) -> None:
    rows = [
        {"study_uid": study_uid, "mark": "", "instance_count": 1, "changed_at": None}
        for study_uid in held
    ]
    with records.write() as connection:
        touch_arrivals(connection, SITE, rows, now, filling=False)
    for study_uid, instance in held.items():
        decided = Decided(
            Arrived.PLANNED, versions=f"{SITE}:1", manifest=make_manifest(study_uid, [instance]),
            wanted=(Wanted("archive", lane, f"{SITE}/screening", now),),
        )  # fmt: skip
        save_decided(records, arrival_of(records, study_uid), decided, now, None)


def _instance(image: File) -> Instance:
    md5 = hashlib.md5(image.data, usedforsecurity=False).hexdigest()
    return Instance(image.instance_uid, image.series_uid, len(image.data), md5)


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
    print("| deliveries | target | measured |\n|---|--:|--:|", flush=True)
    for name, measure in lines.items():
        if word in name:
            _say(name)
            print("| " + " | ".join(measure()) + " |", flush=True)


if __name__ == "__main__":
    main()
