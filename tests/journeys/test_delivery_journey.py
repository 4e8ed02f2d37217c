"""A study stored at a hospital arrives at the archive, proven, whatever dies on the way.

Real Orthancs, Redis, keeper and workers; both databases. Times to wait are upper limits only.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import requests
from redis import Redis

from gateway.clock import utc_now
from gateway.demo.servers import REPOSITORY, OrthancServer, Program, RedisServer, free_port
from gateway.model.deliveries import State
from gateway.model.routing.document import parse_rule_set
from gateway.records.arrivals import Arrived
from gateway.records.delivery_desk import Story, load_story
from gateway.records.engine import Records, open_records
from gateway.records.rules import activate, save_version
from gateway.records.schema import migrate
from tests.chaosproxy import ChaosProxy, hangs, only
from tests.forked import ForkedProgram
from tests.hurry import end_leases, hurry
from tests.postgres import run_postgres
from tests.running import load, region_toml
from tests.studies import a_study
from tests.waiting import wait_until

pytestmark = pytest.mark.real
WAIT_S = 120
RULES = """
site: gkb1
rules:
  - id: trauma
    name: Экстренные сразу
    state: active
    when:
      all: [{field: StudyDescription, op: contains, value: травма}]
    then: [{do: send, target: archive}]
    schedule: {lane: emergency}
    stop: true
  - id: ct
    name: КТ в архив
    state: active
    trigger: {quiet_s: 2}
    when:
      all: [{field: ModalitiesInStudy, op: any_of, value: [CT]}]
    then: [{do: send, target: archive}]
otherwise: [{do: hold, reason: нет правила}]
"""


@dataclass
class Region:
    """Everything that runs, and a look into the records."""

    folder: Path
    records: Records
    hospital: OrthancServer
    archive: OrthancServer
    proxy: ChaosProxy
    redis: RedisServer
    environ: dict[str, str]
    first: int
    programs: list[Program] = field(default_factory=list)

    def start(self, what: str) -> Program:
        name = f"{what.replace(' ', '-')}-{len(self.programs)}"
        region = str(self.folder / "region.toml")
        command = [sys.executable, "-m", "gateway.cli", *what.split(), "--region", region]
        log = self.folder / f"{name}.log"
        program = ForkedProgram(name, command, log, folder=REPOSITORY, environ=self.environ)
        self.programs.append(program)
        return program.start()

    def story(self, study_uid: str) -> Story:
        return load_story(self.records, study_uid)

    def states(self, study_uid: str) -> list[State]:
        return [one.shown.state for one in self.story(study_uid).deliveries]

    def wait_for(self, study_uid: str, *states: State) -> None:
        wait_until(lambda: self.states(study_uid) == list(states), WAIT_S, f"{states}")

    def archived(self, study_uid: str) -> set[str]:
        """What the archive holds of a study, asked by itself."""
        query = {"Level": "Instance", "Query": {"StudyInstanceUID": study_uid}, "Expand": True}
        answer = requests.post(
            f"{self.archive.url}/tools/find", json=query, auth=self.archive.auth, timeout=60
        )
        return {one["MainDicomTags"]["SOPInstanceUID"] for one in answer.json()}


@contextmanager
def a_database(kind: str, folder: Path) -> Iterator[str]:
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'gateway.db'}"
        return
    with run_postgres() as url:
        yield url


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def region(request, start_orthanc, tmp_path_factory) -> Iterator[Region]:
    """A hospital, an archive behind a proxy, Redis, a keeper and one worker of each queue."""
    folder = tmp_path_factory.mktemp("region")
    hospital, archive = start_orthanc("gkb1"), start_orthanc("archive")
    with (
        a_database(request.param, folder) as url,
        ChaosProxy(archive.http_port) as proxy,
        RedisServer(folder / "redis", free_port(), password="secret-of-redis") as redis,
    ):
        servers = {"gkb1": hospital, "archive": archive}
        for site_id, server in servers.items():
            (folder / f"{site_id}.password").write_text(server.password)
        text = region_toml({"gkb1": hospital.url, "archive": proxy.url}, servers, "gkb1")
        (folder / "region.toml").write_text(text, encoding="utf-8")
        records = open_records(url)
        migrate(records)
        environ = {
            "GATEWAY_DATABASE_URL": url, "GATEWAY_REDIS_URL": redis.url,
            "GATEWAY_FOLLOW_EVERY_S": "0.5",
        }  # fmt: skip
        of = 7000 if request.param == "sqlite" else 8000
        running = Region(folder, records, hospital, archive, proxy, redis, environ, of)
        running.start("keeper")
        for queue in ("emergency", "routine", "verify"):
            running.start(f"worker --queue {queue}")
        yield running
        proxy.reset()
        for program in reversed(running.programs):
            program.kill()
        records.close()


@pytest.fixture(scope="module")
def ruled(region: Region) -> Region:
    """Its hospital has rules; before, a study has waited for them."""
    early = a_study(region.first, (2,))
    load(region.hospital, early)
    uid = early[0].study_uid

    def waits() -> bool:
        arrivals = region.story(uid).arrivals
        return bool(arrivals) and arrivals[0].state == Arrived.UNRULED

    wait_until(waits, WAIT_S, "the study to wait for rules")
    rule_set, mistakes = parse_rule_set(RULES)
    assert rule_set is not None, mistakes
    number = save_version(region.records, rule_set, "tests", "first", 0, utc_now())
    now = utc_now()
    activate(region.records, "gkb1", number, now, "tests", now)
    region.wait_for(uid, State.DELIVERED)
    assert region.archived(uid) == {one.instance_uid for one in early}
    return region


def test_a_study_waits_for_rules_and_arrives_proven_when_there_are_some(ruled):
    (told,) = ruled.story(a_study(ruled.first, (2,))[0].study_uid).deliveries
    assert (told.shown.rule, told.shown.versions) == ("gkb1/ct", "gkb1:1")
    assert [line.event for line in told.history] == [
        "planned", "claimed", "sent", "verify_claimed", "proven",
    ]  # fmt: skip


def test_late_images_follow_as_another_epoch(ruled):
    study = a_study(ruled.first + 1, (3, 2))
    uid = study[0].study_uid
    load(ruled.hospital, study[:3])
    ruled.wait_for(uid, State.DELIVERED)
    load(ruled.hospital, study[3:])
    ruled.wait_for(uid, State.DELIVERED, State.DELIVERED)
    assert ruled.archived(uid) == {one.instance_uid for one in study}
    epochs = [one.shown.epoch for one in ruled.story(uid).deliveries]
    assert epochs == [1, 2]


def test_an_emergency_is_sent_while_it_still_arrives(ruled):
    study = a_study(ruled.first + 2, (2, 2), StudyDescription="Политравма, КТ")
    uid = study[0].study_uid
    load(ruled.hospital, study)
    wait_until(
        lambda: (
            ruled.archived(uid) == {one.instance_uid for one in study}
            and ruled.states(uid)[-1:] == [State.DELIVERED]
        ),
        WAIT_S,
        "the emergency",
    )
    assert {one.shown.lane for one in ruled.story(uid).deliveries} == {"emergency"}


def test_what_no_rule_takes_is_held_with_the_reason(ruled):
    study = a_study(ruled.first + 3, (1,), Modality="MG")
    load(ruled.hospital, study)
    uid = study[0].study_uid

    def held() -> bool:
        hurry(ruled.records)
        arrivals = [a for a in ruled.story(uid).arrivals if a.site_id == "gkb1"]
        return bool(arrivals) and arrivals[0].state == Arrived.HELD

    wait_until(held, WAIT_S, "the study to be held")
    assert ruled.states(uid) == []
    assert ruled.story(uid).arrivals[0].reason == "нет правила"


def test_a_killed_worker_takes_its_child_along_and_another_goes_on(ruled):
    study = a_study(ruled.first + 4, (3,))
    uid = study[0].study_uid
    ruled.proxy.fault = only("POST", hangs)
    load(ruled.hospital, study)
    wait_until(
        lambda: [o.shown.worker for o in ruled.story(uid).deliveries if o.shown.worker], WAIT_S,
        "a worker at it",
    )  # fmt: skip
    horse = int(ruled.story(uid).deliveries[0].shown.worker.rpartition(":")[2])
    worker = next(p for p in ruled.programs if "routine" in p.name and p.alive)
    assert os.getpgid(horse) != os.getpgid(worker.pid)
    os.kill(worker.pid, signal.SIGKILL)
    wait_until(lambda: _is_gone(horse), WAIT_S, "the child to die with its parent")
    end_leases(ruled.records)
    ruled.proxy.reset()
    ruled.start("worker --queue routine")
    ruled.wait_for(uid, State.DELIVERED)
    assert ruled.archived(uid) == {one.instance_uid for one in study}
    events = [line.event for line in ruled.story(uid).deliveries[0].history]
    assert "lease_ended" in events


def _is_gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state == "Z"


def test_a_redis_that_forgets_everything_costs_no_study(ruled):
    studies = [a_study(ruled.first + 10 + n, (1,)) for n in range(8)]
    for study in studies:
        load(ruled.hospital, study)
    with Redis.from_url(ruled.redis.url) as client:
        for study in studies:
            client.flushall()
            uid = study[0].study_uid
            wait_until(lambda uid=uid: ruled.states(uid), WAIT_S, "the delivery")
        client.flushall()
        for study in studies:
            ruled.wait_for(study[0].study_uid, State.DELIVERED)
            assert ruled.archived(study[0].study_uid) == {one.instance_uid for one in study}


def test_an_emergency_arrives_while_redis_is_away(ruled):
    ruled.redis.kill()
    study = a_study(ruled.first + 5, (2,), StudyDescription="травма")
    uid = study[0].study_uid
    load(ruled.hospital, study)
    wait_until(
        lambda: (
            ruled.states(uid)[-1:] == [State.DELIVERED]
            and ruled.archived(uid) == {one.instance_uid for one in study}
        ),
        WAIT_S,
        "the emergency",
    )
    ruled.redis.start()
