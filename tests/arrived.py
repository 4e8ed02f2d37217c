"""Studies that arrived and their deliveries, as rows, for tests without a site."""

from collections.abc import Sequence
from datetime import UTC, datetime

from gateway.model.manifests import Instance, Manifest, make_manifest
from gateway.records.arrivals import Arrival, Arrived, load_arrival, touch_arrivals
from gateway.records.deliveries import Wanted
from gateway.records.dispatch import Capacity
from gateway.records.engine import Records
from gateway.records.planning import Decided, save_decided

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
SITE = "gkb1"


def a_manifest(study_uid: str, images: int) -> Manifest:
    found = [
        Instance(f"{study_uid}.1.{n}", f"{study_uid}.{1 + n % 2}", 1000 + n, f"{n:032x}")
        for n in range(images)
    ]
    return make_manifest(study_uid, found)


def touch(
    records: Records, study_uid: str, images: int, now: datetime, *, filling: bool = False
) -> Arrival:
    """The index saw a study with so many images."""
    row = {"study_uid": study_uid, "mark": "m", "instance_count": images, "changed_at": None}
    with records.write() as connection:
        touch_arrivals(connection, SITE, [row], now, filling=filling)
    return arrival_of(records, study_uid)


def arrival_of(records: Records, study_uid: str) -> Arrival:
    found = load_arrival(records, SITE, study_uid)
    assert found is not None
    return found


def plan(
    records: Records,
    study_uid: str,
    now: datetime,
    destinations: Sequence[str] = ("archive",),
    *,
    images: int = 0,
    lane: str = "routine",
) -> int:
    """It was decided to send a study as it is now; how many deliveries are new."""
    seen = arrival_of(records, study_uid)
    wanted = tuple(Wanted(d, lane, "gkb1/all", now) for d in destinations)
    manifest = a_manifest(study_uid, images or seen.instance_count)
    decided = Decided(Arrived.PLANNED, versions="gkb1:1", manifest=manifest, wanted=wanted)
    return save_decided(records, seen, decided, now, None)


def room(
    destinations: Sequence[str] = ("archive",),
    *,
    workers: int = 100,
    parallel: int = 100,
    sites: Sequence[str] = (SITE,),
) -> Capacity:
    queues = dict.fromkeys(("emergency", "routine", "bulk", "verify"), workers)
    return Capacity(queues, dict.fromkeys(destinations, parallel), destinations, sites)
