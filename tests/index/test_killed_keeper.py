"""Keepers that are killed while studies come and go: afterwards the index equals the sites."""

import pytest
import sqlalchemy as sa

from gateway.clock import utc_now
from gateway.demo.servers import GENERATIONS
from gateway.records.events import site_event
from gateway.records.studies import load_index_states
from tests.index.kills import keepers, kill_often
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
