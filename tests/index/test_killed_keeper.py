"""Keepers that are killed, frozen or cut off while studies come and go.

Afterwards the index equals the sites. None but one of these keepers has a Redis.
"""

from contextlib import contextmanager

import pytest
import sqlalchemy as sa

from gateway.clock import utc_now
from gateway.demo.servers import GENERATIONS, RedisServer, free_port
from gateway.records.engine import Records
from gateway.records.events import site_event
from gateway.records.leases import take_lease
from gateway.records.studies import load_index_states, series, site_cursor, study
from gateway.worker.keeper import LEASE_S, TICK_S
from tests.index.kills import delete, end_lease, freeze, keepers, kill_often, listed
from tests.index.oracle import differences
from tests.running import load
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
    with keepers(tmp_path, servers, records) as start:
        yield start


def test_index_equals_the_sites_after_kills_at_random_moments(servers, records, start_keeper):
    kill_often(servers, records, start_keeper, KILLS, seed=20260101)
    wait_until(lambda: not differences(records, servers), 60, "the index to equal the sites")


def test_hung_site_delays_nobody_and_a_bell_is_heard_at_once(servers, records, start_keeper):
    servers["magnit"].pause()
    start_keeper(GATEWAY_FOLLOW_EVERY_S="30")
    only = {"gkb1": servers["gkb1"]}
    wait_until(lambda: load_index_states(records).get("gkb1"), 60, "the fill to begin")
    wait_until(lambda: load_index_states(records)["gkb1"].read_at, 60, "the first look")
    load(servers["gkb1"], a_study(1))
    event = {"site_id": "gkb1", "event": "NewInstance", "orthanc_id": "", "study_uid": ""}
    event |= {"count": 1, "happened_at": utc_now(), "received_at": utc_now(), "digest": "1"}
    with records.write() as connection:
        connection.execute(sa.insert(site_event).values(event))
    wait_until(lambda: not differences(records, only), 5, "the bell to be heard")
    servers["magnit"].resume()


def test_spare_goes_on_where_the_leader_died(servers, records, start_keeper):
    leader = start_keeper()
    load(servers["gkb1"], a_study(1))
    wait_until(lambda: not differences(records, servers), 30, "the leader")
    start_keeper()
    leader.kill()
    load(servers["gkb1"], a_study(2))
    wait_until(lambda: not differences(records, servers), 60, "the spare")
    assert LEASE_S + 2 * TICK_S < 15


def everything(records: Records) -> list[object]:
    """Every row of the index and every place in a feed."""
    with records.read() as connection:
        return [
            sorted(map(tuple, connection.execute(sa.select(table))), key=repr)
            for table in (study, series, site_cursor)
        ]


def test_frozen_keeper_that_wakes_up_when_another_leads_writes_nothing(
    servers, records, start_keeper
):
    frozen = start_keeper()
    load(servers["gkb1"], a_study(1))
    wait_until(lambda: not differences(records, servers), 60, "the leader")
    freeze(records, frozen)
    # Another one leads, for a minute, and does nothing: whatever changes now was written by the
    # frozen one, whose threads go on at once where they stood.
    end_lease(records)
    assert take_lease(records, "keeper", "another", utc_now(), 60)
    before = everything(records)
    load(servers["gkb1"], a_study(2))
    frozen.resume()
    wait_until(lambda: frozen.says("keeper leads no longer"), 60, "the frozen one")
    assert everything(records) == before
    end_lease(records)
    wait_until(lambda: not differences(records, servers), 60, "the frozen one to lead again")


@pytest.fixture
def outage(records, request):
    """outage() -> while the block lasts, nobody else writes to the database."""

    @contextmanager
    def locked():
        with records.write():  # SQLite: busy for everybody else
            yield

    @contextmanager
    def stopped():
        server = request.getfixturevalue("postgres")
        server.stop()
        try:
            yield
        finally:
            server.start()

    return locked if records.engine.dialect.name == "sqlite" else stopped


def test_database_that_is_away_for_a_while_costs_no_row(servers, records, start_keeper, outage):
    keeper = start_keeper()
    load(servers["gkb1"], a_study(1))
    load(servers["magnit"], a_study(2))
    wait_until(lambda: not differences(records, servers), 60, "the first studies")
    with outage():
        load(servers["gkb1"], [*a_study(1, (1, 2)), *a_study(3)])
        delete(servers["magnit"], "studies", listed(servers["magnit"], "studies")[0])
        load(servers["magnit"], a_study(4))
        for says in ("keeper cannot work", "site is not followed"):
            wait_until(lambda says=says: keeper.says(says), 60, says)
    wait_until(lambda: not differences(records, servers), 60, "the index to equal the sites")
    assert keeper.alive


def test_redis_that_hangs_or_is_gone_delays_no_row(servers, records, start_keeper, tmp_path):
    with RedisServer(tmp_path / "redis", free_port()) as redis:
        keeper = start_keeper(GATEWAY_REDIS_URL=redis.url)
        for number, harm in enumerate([lambda: None, redis.pause, redis.kill], 1):
            harm()
            load(servers["gkb1"], a_study(number))
            wait_until(lambda: not differences(records, servers), 60, "the index")
    assert keeper.alive
