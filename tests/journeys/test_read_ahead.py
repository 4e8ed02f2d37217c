"""GATEWAY_PREFETCH_SERIES: the next series is in the caches before its viewer asks for it."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import pytest
import sqlalchemy as sa

from gateway.clock import utc_now
from gateway.records.engine import open_records
from gateway.records.studies import series
from gateway.web.prefetch import LOOK_AGAIN_S, QUIET_S
from tests.chaosproxy import ChaosProxy, Talk, http, only, passes, says
from tests.conftest import StartOrthanc
from tests.journeys.indexed import write_study
from tests.running import RunningGateway, load, start_gateway
from tests.studies import ROOT, a_study
from tests.waiting import wait_until

pytestmark = pytest.mark.real

STUDIES = range(11, 19)
AS_STORED = "multipart/related; type=application/octet-stream; transfer-syntax=*"


def path(study: int, number: int) -> str:
    return f"/studies/{ROOT}.{study}/series/{ROOT}.{study}.{number}"


@dataclass
class Watched:
    """A gateway that reads ahead, and the proxy before its one far hospital."""

    gateway: RunningGateway
    proxy: ChaosProxy

    def index(self, study: int) -> None:
        """Let the index know the study with its three series."""
        state = self.gateway.folder / "state"
        write_study(state, "gkb1", f"{ROOT}.{study}", "one")
        records = open_records(f"sqlite:///{(state / 'gateway.db').absolute()}")
        rows = [
            {
                "site_id": "gkb1", "study_uid": f"{ROOT}.{study}",
                "series_uid": f"{ROOT}.{study}.{number}", "series_number": number,
                "modality": "CT", "instance_count": 2, "record": b"{}", "first_seen_at": utc_now(),
            }
            for number in (1, 2, 3)
        ]  # fmt: skip
        with records.engine.begin() as connection:
            connection.execute(sa.insert(series), rows)
        records.engine.dispose()
        wait_until(lambda: "ETag" in self.gateway.get(path(study, 3) + "/metadata").headers, 60, "")
        self.proxy.seen.clear()

    def kept(self) -> list[Path]:
        return list((self.gateway.folder / "cache").glob("??/*"))

    def asked(self, study: int, number: int, below: str = "/metadata") -> int:
        words = (path(study, number) + "/", below)
        return sum(all(word.encode() in line for word in words) for line in self.proxy.seen)


@pytest.fixture(scope="module")
def started(
    start_orthanc: StartOrthanc, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Watched]:
    server = start_orthanc("gkb1")
    for study in STUDIES:
        load(server, a_study(study, (2, 2, 2)))
    folder = tmp_path_factory.mktemp("gateway")
    with ChaosProxy(server.http_port) as proxy:
        gateway = start_gateway(
            folder,
            {"gkb1": proxy.url},
            {"gkb1": server},
            home="gkb1",
            settings={
                "GATEWAY_MAX_INDEX_AGE_S": "3600",
                "GATEWAY_PREFETCH_SERIES": "1",
                "GATEWAY_CACHE_DIR": str(folder / "cache"),
            },
            more="cache = true\n",
        )
        try:
            yield Watched(gateway, proxy)
        finally:
            gateway.program.stop()


@pytest.fixture
def watched(started: Watched) -> Watched:
    started.proxy.reset()
    return started


def test_the_next_series_is_given_without_a_question_to_its_site(watched):
    watched.index(11)
    first = watched.gateway.get(path(11, 1) + "/metadata")
    assert first.status_code == 200
    wait_until(lambda: len(watched.kept()) == 2, 60, "the images of the next series on the disk")
    assert watched.asked(11, 2) == 1

    watched.proxy.seen.clear()
    found = watched.gateway.get(path(11, 2) + "/metadata")
    assert {row["0020000E"]["Value"][0] for row in found.json()} == {f"{ROOT}.11.2"}
    assert len(found.json()) == 2
    for number in (1, 2):
        frame = f"{path(11, 2)}/instances/{ROOT}.11.2.{number}/frames/1"
        answer = watched.gateway.get(frame, headers={"Accept": AS_STORED})
        assert (answer.status_code, len(answer.content) > 64 * 64) == (200, True)
    assert watched.asked(11, 2, "") == 0


def test_the_last_series_is_followed_by_none(watched):
    watched.index(12)
    assert watched.gateway.get(path(12, 3) + "/metadata").ok
    assert (watched.asked(12, 1), watched.asked(12, 2)) == (0, 0)


def test_the_viewers_own_questions_come_first(watched):
    watched.index(13)
    may_pass = Event()

    def held(talk: Talk) -> None:
        may_pass.wait(60)
        passes(talk)

    watched.proxy.fault = only("/instances/", held)
    image = f"{path(13, 1)}/instances/{ROOT}.13.1.1/rendered"
    with ThreadPoolExecutor(1) as pool:
        try:
            slow = pool.submit(watched.gateway.get, image)
            wait_until(lambda: watched.asked(13, 1, "/instances/"), 60, "the image's request")
            assert watched.gateway.get(path(13, 1) + "/metadata").ok
            time.sleep(QUIET_S + 4 * LOOK_AGAIN_S)
            assert watched.asked(13, 2) == 0
        finally:
            may_pass.set()
        wait_until(lambda: watched.asked(13, 2), 60, "the next series")
        assert slow.result().status_code == 200


def test_a_site_that_refuses_is_left_alone(watched):
    watched.index(14)
    metadata = [path(14, number) + "/metadata" for number in (1, 2)]
    watched.proxy.fault = only(metadata[1], says(http("503 Busy", b"")))
    assert watched.gateway.get(metadata[0]).ok
    wait_until(lambda: watched.asked(14, 2) == 2, 60, "the try, and the second one")
    watched.proxy.reset()
    assert watched.gateway.get(path(14, 3) + "/metadata").ok  # the site goes on being asked
    assert watched.gateway.get(metadata[1]).ok
    assert watched.asked(14, 2) == 1  # by its viewer
