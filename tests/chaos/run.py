"""One run: studies arrive, faults strike, and when all is quiet the oracle judges."""

import random
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from gateway.clock import utc_now
from gateway.errors import RecordsUnavailable
from gateway.model.deliveries import WAITING_FOR_A_PERSON
from gateway.records.delivery_desk import Filter, retry
from tests.chaos.faults import Chaos
from tests.chaos.feeder import Feeder
from tests.chaos.oracle import Watch, judge, tally, unsettled
from tests.chaos.region import Region
from tests.hurry import hurry
from tests.waiting import wait_until

REST_S = 1.5  # between two faults, in the mean
HURRY_S = 2.0


@dataclass(frozen=True)
class Verdict:
    """What a run gave.

    wrong      everything that the oracle found, [] as it must be
    by_person  deliveries that waited for a person at the end, who let them go on
    """

    wrong: list[str]
    studies: int
    images: int
    looked: int
    by_person: int
    struck: Mapping[str, int]
    events: Mapping[str, int]
    deaths: Mapping[str, int]
    seconds: float


def run_chaos(region: Region, studies: int, faults: int, seed: int, patience_s: float) -> Verdict:
    """Let so many studies arrive while so many faults strike.

    patience_s  for everything to be delivered once no fault strikes any more
    """
    began = time.monotonic()
    hospitals = list(region.hospitals.values())
    feeder = Feeder(hospitals, studies, faults * REST_S, seed)
    chaos = Chaos(region, random.Random(seed))  # noqa: S311 - the same faults at each run
    watch = Watch(region.database, region.archive)
    region.rule()
    region.start_gateways()
    feeder.start()
    for _ in range(faults):
        until = time.monotonic() + chaos.chance.uniform(0, 2 * REST_S)
        chaos.strike()
        while True:
            chaos.heal()
            region.start_gateways()
            watch.look()
            if time.monotonic() >= until:
                break
            time.sleep(0.1)
    chaos.heal(all_of_it=True)
    wait_until(lambda: not feeder.is_alive(), patience_s, "all studies to arrive")
    assert feeder.problem is None, feeder.problem
    by_person = _settle(region, feeder, watch, patience_s)
    wrong = watch.wrong + judge(region.database, hospitals, region.archive, feeder.fed)
    sent = feeder.fed.sent
    return Verdict(
        wrong, len(sent) + len(feeder.fed.held), sum(map(len, sent.values())), watch.looked,
        by_person, chaos.tally, tally(region.database), region.deaths, time.monotonic() - began,
    )  # fmt: skip


def _settle(region: Region, feeder: Feeder, watch: Watch, patience_s: float) -> int:
    """Wait until every row says delivered; after its time the oracle says what is missing."""
    until, by_person = time.monotonic() + patience_s, 0
    while unsettled(region.database, feeder.fed) and time.monotonic() < until:
        region.start_gateways()
        with suppress(RecordsUnavailable):  # SQLite, with more writers than find their turn
            by_person += _hurry(region)
        time.sleep(HURRY_S)
        watch.look()
    return by_person


def _hurry(region: Region) -> int:
    """As if the pauses before the next tries had passed, and a person let go on what waits."""
    hurry(region.records)
    return retry(region.records, Filter(states=tuple(WAITING_FOR_A_PERSON)), "tests", utc_now())
