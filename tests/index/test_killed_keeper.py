"""Keepers that are killed while studies come and go: afterwards the index equals the sites."""

import random
import sys
import time

import pytest
import sqlalchemy as sa

from gateway.clock import utc_now
from gateway.demo.servers import GENERATIONS, REPOSITORY, Program
from gateway.records.events import site_event
from gateway.records.leases import lease
from gateway.records.studies import load_index_states
from tests.index.conftest import delete, listed
from tests.index.oracle import differences
from tests.running import load, region_toml
from tests.studies import a_study
from tests.waiting import wait_until

pytestmark = pytest.mark.real

KILLS = 20


@pytest.fixture
def servers(start_orthanc):
    """One of either generation; `orthanc_generation` chooses the database only."""
    ids = ("gkb1", "magnit")
    return {
        site_id: start_orthanc(site_id, generation=generation)
        for site_id, generation in zip(ids, GENERATIONS, strict=True)
    }


@pytest.fixture
def start_keeper(servers, records, tmp_path):
    """start_keeper() -> another keeper process over both servers."""
    for site_id, server in servers.items():
        (tmp_path / f"{site_id}.password").write_text(server.password)
    region = tmp_path / "region.toml"
    urls = {site_id: server.url for site_id, server in servers.items()}
    region.write_text(region_toml(urls, servers, "gkb1"), encoding="utf-8")
    environ = {
        "GATEWAY_DATABASE_URL": records.engine.url.set(
            drivername=records.engine.dialect.name
        ).render_as_string(hide_password=False),
        "GATEWAY_REDIS_URL": "redis://127.0.0.1:1/0",
        "GATEWAY_FOLLOW_EVERY_S": "0.1",
        "GATEWAY_CHECK_EVERY_S": "0.5",
    }
    command = [sys.executable, "-m", "gateway.cli", "keeper", "--region", str(region)]
    programs = []

    def start(**settings):
        log = tmp_path / "keeper.log"
        programs.append(
            Program("keeper", command, log, environ=environ | settings, folder=REPOSITORY)
        )
        return programs[-1].start()

    yield start
    for program in programs:
        program.kill()


def _end_lease(records):
    """As if the dead keeper's ten seconds had passed."""
    with records.write() as connection:
        connection.execute(sa.delete(lease))


def _change(chance, servers, number):
    """What happens at hospitals: a new study, a late image, a deletion."""
    server = chance.choice(list(servers.values()))
    deed = chance.random()
    if deed < 0.6 or not listed(server, "studies"):
        load(server, a_study(number, (chance.randint(1, 4), 1)))
    elif deed < 0.8:
        load(server, a_study(chance.randint(1, number), (5, 2)))
    else:
        level = chance.choice(["studies", "series", "instances"])
        delete(server, level, chance.choice(listed(server, level)))


def test_index_equals_the_sites_after_kills_at_random_moments(servers, records, start_keeper):
    chance = random.Random(20260101)  # noqa: S311 - the same changes at each run
    for number in range(1, 101):
        load(servers["gkb1"], a_study(number, (1, 1)))
    number = 100
    for _ in range(KILLS):
        _end_lease(records)
        keeper = start_keeper()
        until = time.monotonic() + chance.uniform(0.5, 2.0)
        while time.monotonic() < until:
            number += 1
            _change(chance, servers, number)
            time.sleep(0.02)
        keeper.kill()
    _end_lease(records)
    keeper = start_keeper()
    wait_until(lambda: not differences(records, servers), 60, "the index to equal the sites")
    assert keeper.alive


def test_hung_site_delays_nobody_and_a_bell_is_heard_at_once(servers, records, start_keeper):
    servers["magnit"].pause()
    start_keeper(GATEWAY_FOLLOW_EVERY_S="30")
    only = {"gkb1": servers["gkb1"]}
    wait_until(lambda: load_index_states(records).get("gkb1"), 15, "the fill to begin")
    wait_until(lambda: load_index_states(records)["gkb1"].read_at, 15, "the first look")
    load(servers["gkb1"], a_study(1))
    event = {"site_id": "gkb1", "event": "NewInstance", "orthanc_id": "", "study_uid": ""}
    event |= {"count": 1, "happened_at": utc_now(), "received_at": utc_now(), "digest": "1"}
    with records.write() as connection:
        connection.execute(sa.insert(site_event).values(event))
    wait_until(lambda: not differences(records, only), 5, "the bell to be heard")
    servers["magnit"].resume()


def test_spare_goes_on_within_fifteen_seconds(servers, records, start_keeper):
    leader = start_keeper()
    load(servers["gkb1"], a_study(1))
    wait_until(lambda: not differences(records, servers), 30, "the leader")
    start_keeper()
    leader.kill()
    load(servers["gkb1"], a_study(2))
    wait_until(lambda: not differences(records, servers), 15, "the spare")
