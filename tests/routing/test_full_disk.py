"""E13, F22: an archive without room never gets a delivery, whatever it answers."""

from collections.abc import Iterator
from typing import Any

import pytest

from gateway.demo.servers import GENERATIONS, OrthancServer, free_port
from gateway.model.deliveries import Event
from tests.chaosproxy import ChaosProxy
from tests.routing.conftest import Pair, bring
from tests.studies import a_study

pytestmark = pytest.mark.real

SMALL_DISK = 'mount -t tmpfs -o size=512k tmpfs "$0/storage" && exec "$@"'
REJECTS = {"MaximumStorageSize": 1, "MaximumStorageMode": "Reject"}


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((GENERATIONS[0], {}), id="1.10, its disk is full"),
        pytest.param((GENERATIONS[1], {}), id="1.12, its disk is full"),
        pytest.param((GENERATIONS[1], REJECTS), id="1.12, at its limit"),
    ],
)
def small(
    request: pytest.FixtureRequest, start_orthanc: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pair]:
    generation, settings = request.param
    folder = tmp_path_factory.mktemp("full")
    archive = OrthancServer(
        folder,
        "archive",
        free_port(),
        free_port(),
        username="tests",
        password="secret-of-archive",
        generation=generation,
        settings={"IndexDirectory": str(folder / "index"), **settings},
    )
    if not settings:  # a file system of its own, which ends with the process
        wrap = ("unshare", "--mount", "--map-root-user", "sh", "-c", SMALL_DISK, str(folder))
        archive.command = wrap + archive.command
    hospital = start_orthanc("gkb1")
    archive.start()
    try:
        with ChaosProxy(hospital.http_port) as source, ChaosProxy(archive.http_port) as proxy:
            yield Pair(hospital, archive, source, proxy)
    finally:
        archive.kill()


@pytest.mark.parametrize("kind", ["dicomweb", "orthanc"])
def test_a_full_archive_is_told_and_never_taken_for_delivered(small: Pair, kind: str) -> None:
    study = bring(small, a_study(1300 if kind == "dicomweb" else 1301, (40,), frames=10))
    said = small.deliver(study, kind)
    there = small.held(study[0].study_uid)
    sent = {uid for uid, one in said.instances.items() if one.state == "sent"}
    assert (said.event, sent, len(sent) < 40) == (Event.FAILED, there, True)
    assert said.reason in ("destination_full", "failed")
    assert small.verify(study, kind).event is Event.INCOMPLETE
