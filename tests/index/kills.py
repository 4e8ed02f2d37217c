"""Keepers that die or freeze at random moments while studies come and go at real Orthancs.

    python -m tests.index.kills [--kills 200] [--seed 1] [--postgresql]

The suite runs the short form (test_killed_keeper.py). Afterwards the oracle compares everything.
"""

import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import click
import requests
import sqlalchemy as sa

from gateway.clock import utc_now
from gateway.demo.servers import GENERATIONS, OrthancServer, free_port
from gateway.errors import RecordsUnavailable
from gateway.records.engine import Records, open_records
from gateway.records.leases import lease
from gateway.records.schema import migrate
from gateway.records.studies import load_index_states, series, site_cursor, study
from tests.forked import ForkedGateway
from tests.index.oracle import differences
from tests.postgres import run_postgres
from tests.running import load, region_toml
from tests.studies import ROOT, a_study
from tests.waiting import wait_until

STUDIES = 150  # different ones that may be at a site at one time
LIFE_S = 1.5  # of a keeper, at most, from when it leads
START_S = 60.0
UNBORN, FREEZES, NEW_INDEXES = 0.1, 0.15, 0.1  # shares of the rounds
Servers = dict[str, OrthancServer]


class StartKeeper(Protocol):
    """Starts another keeper over the same sites; settings are variables of its environment."""

    def __call__(self, **settings: str) -> ForkedGateway: ...


@contextmanager
def keepers(folder: Path, servers: Servers, records: Records) -> Iterator[StartKeeper]:
    """Keepers over these servers; all of them end with the block."""
    for site_id, server in servers.items():
        (folder / f"{site_id}.password").write_text(server.password)
    region = folder / "region.toml"
    urls = {site_id: server.url for site_id, server in servers.items()}
    region.write_text(region_toml(urls, servers, next(iter(servers))), encoding="utf-8")
    address = records.engine.url.set(drivername=records.engine.dialect.name)
    environ = {
        "GATEWAY_DATABASE_URL": address.render_as_string(hide_password=False),
        "GATEWAY_REDIS_URL": "redis://127.0.0.1:1/0",
        "GATEWAY_FOLLOW_EVERY_S": "0.1",
        "GATEWAY_CHECK_EVERY_S": "0.5",
    }
    started: list[ForkedGateway] = []

    def start(**settings: str) -> ForkedGateway:
        log = folder / f"keeper-{len(started)}.log"
        words = ["keeper", "--region", str(region)]
        started.append(ForkedGateway(words, log, environ | settings))
        return started[-1]

    try:
        yield start
    finally:
        for keeper in started:
            keeper.kill()


def end_lease(records: Records) -> None:
    """As if the dead keeper's ten seconds had passed."""
    with records.write() as connection:
        connection.execute(sa.update(lease).values(until=datetime(2020, 1, 1, tzinfo=UTC)))


def kill_often(
    servers: Servers, records: Records, start: StartKeeper, kills: int, seed: int
) -> Counter[str]:
    """End so many keepers at random moments; the last one that is started goes on.

    returns  what the keepers were at when they ended, and what happened at the sites meanwhile
    """
    chance = random.Random(seed)  # noqa: S311 - the same changes at each run
    tally: Counter[str] = Counter()
    for number in range(1, STUDIES, 2):
        load(chance.choice(list(servers.values())), a_study(number, (1, 1)))
    for _ in range(kills):
        end_lease(records)
        if chance.random() < NEW_INDEXES:
            _forget_index(records)
        keeper = start(GATEWAY_FILL_RATE="60")
        if chance.random() < UNBORN:
            _live(chance, servers, chance.uniform(0.0, 1.0), tally)
        else:
            wait_until(lambda keeper=keeper: keeper.says("keeper leads"), START_S, "it to lead")
            _live(chance, servers, chance.uniform(0.0, LIFE_S), tally)
        if chance.random() < FREEZES:
            tally[_freeze(chance, servers, records, start, keeper)] += 1
        tally[_phase(records)] += 1
        keeper.kill()
    end_lease(records)
    start()
    return tally


def _freeze(
    chance: random.Random,
    servers: Servers,
    records: Records,
    start: StartKeeper,
    frozen: ForkedGateway,
) -> str:
    """Let another keeper lead while one is frozen, then let both go on; says when it froze."""
    freeze(records, frozen)
    end_lease(records)
    other = start()
    wait_until(lambda: other.says("keeper leads"), START_S, "another to lead")
    _live(chance, servers, chance.uniform(0.0, LIFE_S), Counter())
    frozen.resume()  # two that believe that they lead
    _live(chance, servers, chance.uniform(0.1, 1.0), Counter())
    other.kill()
    return "frozen beyond its lease"


def freeze(records: Records, keeper: ForkedGateway) -> None:
    """Freeze it, but not while it holds SQLite's write lock: then nobody could go on."""
    while True:
        keeper.pause()
        if records.engine.dialect.name == "postgresql":
            return
        try:
            with records.write():
                return
        except RecordsUnavailable:
            keeper.resume()
        with records.write():
            pass  # it has ended its transaction


def _forget_index(records: Records) -> None:
    """As on the first day: everything is to be filled again."""
    with records.write() as connection:
        for table in (study, series, site_cursor):
            connection.execute(sa.delete(table))


def _phase(records: Records) -> str:
    with records.read() as connection:
        until = connection.execute(sa.select(lease.c.until)).scalar_one_or_none()
    leads = until is not None and until > utc_now()
    phases = {state.phase for state in load_index_states(records).values()}
    if not leads or not phases:
        return "died while starting"
    return "died while filling" if "filling" in phases else "died while following"


def _live(chance: random.Random, servers: Servers, seconds: float, tally: Counter[str]) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        tally[_change(chance, chance.choice(list(servers.values())))] += 1
        time.sleep(0.02)


def _change(chance: random.Random, server: OrthancServer) -> str:
    """Let one thing happen at a hospital; says what."""
    number, deed = chance.randint(1, STUDIES), chance.random()
    present = listed(server, "studies")
    if deed < 0.45 or not present:
        load(server, a_study(number, (chance.randint(1, 4), 1)))
        return "stored"
    if deed < 0.6:
        load(server, a_study(number, (5, 2)))
        return "stored with late images"
    if deed < 0.7:
        _replace(chance, server, number)
        return "replaced"
    if deed < 0.8 and len(present) < STUDIES:
        answer = requests.post(
            f"{server.url}/studies/{chance.choice(present)}/anonymize",
            json={"Synchronous": True}, auth=server.auth, timeout=60,
        )  # fmt: skip
        answer.raise_for_status()
        return "anonymised"
    level = chance.choice(["studies", "studies", "studies", "series", "instances"])
    delete(server, level, chance.choice(listed(server, level)))
    return f"{level} deleted"


def _replace(chance: random.Random, server: OrthancServer, number: int) -> None:
    """The same UIDs and as many images, of a person with another name."""
    uid = f"{ROOT}.{number}"
    found = requests.post(
        f"{server.url}/tools/lookup", data=uid, auth=server.auth, timeout=60
    ).json()
    for orthanc_id in (one["ID"] for one in found if one["Type"] == "Study"):
        delete(server, "studies", orthanc_id)
    load(server, a_study(number, (1, 1), PatientName=f"Петров^{chance.randint(1, 99)}"))


def delete(server: OrthancServer, level: str, orthanc_id: str) -> None:
    """Delete at the site, as its own staff would."""
    answer = requests.delete(f"{server.url}/{level}/{orthanc_id}", auth=server.auth, timeout=60)
    answer.raise_for_status()


def listed(server: OrthancServer, level: str) -> list[str]:
    """Orthanc's ids of all resources of a level."""
    answer = requests.get(f"{server.url}/{level}", auth=server.auth, timeout=60)
    return list(answer.json())


@contextmanager
def _database(folder: Path, *, postgresql: bool) -> Iterator[Records]:
    with ExitStack() as stack:
        url = f"sqlite:///{folder / 'gateway.db'}"
        records = open_records(stack.enter_context(run_postgres()) if postgresql else url)
        stack.callback(records.close)
        migrate(records)
        yield records


@click.command()
@click.option("--kills", default=200, show_default=True, help="How many keepers end.")
@click.option("--seed", default=1, show_default=True, help="Of moments and changes.")
@click.option("--postgresql", is_flag=True, help="The index on PostgreSQL instead of SQLite.")
def main(kills: int, seed: int, *, postgresql: bool) -> None:
    """Kill keepers at random moments, then compare every row with the sites."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gateway-kills-")))
        servers = {
            site_id: stack.enter_context(
                OrthancServer(
                    folder / site_id, site_id, free_port(), free_port(),
                    username="tests", password=f"secret-of-{site_id}", generation=generation,
                )
            )
            for site_id, generation in zip(("gkb1", "magnit"), GENERATIONS, strict=True)
        }  # fmt: skip
        records = stack.enter_context(_database(folder, postgresql=postgresql))
        start = stack.enter_context(keepers(folder, servers, records))
        began = time.monotonic()
        tally = kill_often(servers, records, start, kills, seed)
        for what, times in sorted(tally.items()):
            print(f"{times:6} {what}")
        wait_until(lambda: not differences(records, servers), 120, "the index to equal the sites")
        print(f"the index equals both sites after {kills} ends of keepers, seed {seed},")
        print(f"{records.engine.dialect.name}, {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
