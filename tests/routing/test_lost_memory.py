"""What was forgotten is found again: by a database of yesterday, an Orthanc that died before its
study was stable, a line that was down for an hour. Real Orthancs, both databases.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
import requests
import sqlalchemy as sa

from gateway.clock import utc_now
from gateway.errors import SiteError
from gateway.model.deliveries import State
from gateway.model.routing.document import parse_rule_set
from gateway.model.sites import Region
from gateway.orthanc.wire import Wire
from gateway.records.delivery_desk import Filter, list_deliveries
from gateway.records.dispatch import claim
from gateway.records.engine import Records, metadata
from gateway.records.rules import activate, save_version
from gateway.routing.intake import Intake, look_at_study, sort_due
from gateway.worker.deliveries import carry_out
from tests.arrived import room
from tests.index.conftest import catch_up
from tests.routing.conftest import Pair, bring
from tests.studies import a_study

pytestmark = pytest.mark.real

QUIET = timedelta(minutes=5)
RULES = """
site: gkb1
rules:
  - id: all
    name: Всё
    state: active
    when:
      all: [{field: ModalitiesInStudy, op: any_of, value: [CT]}]
    then: [{do: send, target: archive}]
otherwise: [{do: hold, reason: нет правила}]
"""


@dataclass
class Keeper:
    """Its work, done by hand: index, decisions, deliveries, proofs."""

    records: Records
    region: Region
    wire: Wire
    follow: Callable[..., Any]

    def work(self) -> None:
        """All of it once, as if it were QUIET later."""
        catch_up(self.follow(self.region.sites[0]))
        now = utc_now() + QUIET
        intake = Intake(self.records, self.wire, None, threading.Lock())
        due, versions = sort_due(intake, self.region.sites[0], now)
        for seen in due:
            look_at_study(intake, self.region.sites[0], seen, versions, now)
        while claims := claim(self.records, room(), now, None):
            for one in claims:
                carry_out(self.records, self.region, one.delivery_id, one.fence)

    def states(self) -> dict[str, State]:
        return {one.study_uid: one.state for one in list_deliveries(self.records, Filter())}


@pytest.fixture
def keeper(records: Records, pair: Pair, follow: Any) -> Iterator[Keeper]:
    for server in (pair.hospital, pair.archive):  # other tests' studies are not of this one
        for path in requests.get(f"{server.url}/studies", auth=server.auth, timeout=60).json():
            requests.delete(f"{server.url}/studies/{path}", auth=server.auth, timeout=60)
    region = Region("Край", "Region", "gkb1", (pair.source,), (pair.destination(),))
    rule_set, mistakes = parse_rule_set(RULES)
    assert rule_set is not None, mistakes
    now = utc_now()
    activate(records, "gkb1", save_version(records, rule_set, "t", "", 0, now), now, "t", now)
    with closing(Wire()) as wire:
        yield Keeper(records, region, wire, follow)


def backup(records: Records) -> dict[str, list[Any]]:
    with records.read() as connection:
        tables = metadata.sorted_tables
        return {
            t.name: [dict(r._mapping) for r in connection.execute(sa.select(t))] for t in tables
        }


def restore(records: Records, rows: dict[str, list[Any]]) -> None:
    with records.write() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(sa.delete(table))
        for table in metadata.sorted_tables:
            if rows[table.name]:
                connection.execute(sa.insert(table), rows[table.name])


def stores(pair: Pair) -> int:
    return sum(line.startswith(b"POST") and b"/studies" in line for line in pair.proxy.seen)


def test_a_database_of_yesterday_sends_nothing_twice_and_forgets_nothing(
    keeper: Keeper, pair: Pair
) -> None:
    """F39: what the archive has is proven, not sent; what nobody knows of is found."""
    first = bring(pair, a_study(1700, (2,)))
    catch_up(keeper.follow(keeper.region.sites[0]))
    yesterday = backup(keeper.records)
    second = bring(pair, a_study(1701, (1,)))
    keeper.work()
    uids = {first[0].study_uid, second[0].study_uid}
    assert keeper.states() == dict.fromkeys(uids, State.DELIVERED)
    late = bring(pair, a_study(1702, (1,)))
    sent = stores(pair)
    assert sent > 0

    restore(keeper.records, yesterday)
    assert keeper.states() == {}
    keeper.work()
    uids.add(late[0].study_uid)
    assert keeper.states() == dict.fromkeys(uids, State.DELIVERED)
    assert stores(pair) == sent + 1, "only what the archive did not have"


def test_a_study_of_an_orthanc_that_died_before_it_was_stable_is_delivered(
    start_orthanc: Any, orthanc_generation: str, keeper: Keeper, pair: Pair
) -> None:
    """F46, routing.md E17: StableStudy never comes."""
    hospital = start_orthanc("gkb1", generation=orthanc_generation, settings={"StableAge": 3600})
    fresh = replace(pair, hospital=hospital)
    study = bring(fresh, a_study(1710, (2,)))
    hospital.kill()
    hospital.start()
    site = replace(keeper.region.sites[0], url=hospital.url)
    keeper.region = replace(keeper.region, sites=(site,))
    keeper.work()
    assert keeper.states() == {study[0].study_uid: State.DELIVERED}
    assert pair.held(study[0].study_uid) == {one.instance_uid for one in study}


def test_what_came_during_an_hour_without_a_line_is_caught_up_without_a_gap(
    keeper: Keeper, pair: Pair
) -> None:
    """F11"""
    before = bring(pair, a_study(1720, (1,)))
    follower = keeper.follow(keeper.region.sites[0])
    catch_up(follower)
    pair.source_proxy.refuse()
    pair.source_proxy.drop()
    with pytest.raises(SiteError):
        follower.step()
    meanwhile = [bring(pair, a_study(1721 + n, (1, 1))) for n in range(5)]
    pair.source_proxy.listen()
    keeper.work()
    uids = {study[0].study_uid for study in [before, *meanwhile]}
    assert keeper.states() == dict.fromkeys(uids, State.DELIVERED)
