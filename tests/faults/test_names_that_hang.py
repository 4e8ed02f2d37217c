"""F14 as in production: names of many hospitals hang in the system's resolver."""

from collections.abc import Iterator

import pytest

from gateway.demo.servers import REPOSITORY
from tests.conftest import StartOrthanc
from tests.journeys.indexed import write_study
from tests.running import RunningGateway, load, start_gateway
from tests.studies import ROOT, a_study
from tests.waiting import wait_until

pytestmark = pytest.mark.real

HANGING = [f"far{n}" for n in range(12)]  # gevent looks names up on ten threads
RESOLVER = """
import _socket
from time import sleep
really = _socket.getaddrinfo
def getaddrinfo(host, *more, **named):
    if str(host).endswith(".example"):
        sleep(600)
    return really(host, *more, **named)
_socket.getaddrinfo = getaddrinfo
"""


@pytest.fixture(scope="module")
def gateway(
    start_orthanc: StartOrthanc, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningGateway]:
    folder = tmp_path_factory.mktemp("names")
    (folder / "sitecustomize.py").write_text(RESOLVER)
    server = start_orthanc("gkb1")
    load(server, a_study(61, (2,)))
    sites = {"gkb1": f"http://localhost:{server.http_port}"}
    sites |= {site_id: f"http://{site_id}.example:8042" for site_id in HANGING}
    started = start_gateway(
        folder,
        sites,
        dict.fromkeys(sites, server),
        home="gkb1",
        settings={"PYTHONPATH": f"{folder}:{REPOSITORY}", "GATEWAY_SEARCH_DEADLINE_S": "5"},
    )
    try:
        yield started
    finally:
        started.program.stop()


def test_a_hospital_whose_name_resolves_is_searched_and_read_as_ever(gateway):
    for _ in range(3):
        found = gateway.get("/studies")
        assert found.status_code == 200
        assert [row["0020000D"]["Value"] for row in found.json()] == [[f"{ROOT}.61"]]
        assert all(site_id in found.headers["Warning"] for site_id in HANGING)
    log = (gateway.folder / "web.log").read_text()
    assert log.count("name not resolved") == len(HANGING)


def test_what_is_done_aside_finds_its_threads(gateway):
    write_study(gateway.folder / "state", "gkb1", f"{ROOT}.61", "one")
    metadata = f"/studies/{ROOT}.61/metadata"  # with a tag: compressed on a thread of the process
    wait_until(lambda: "ETag" in gateway.get(metadata).headers, 60, "a version")
    assert len(gateway.get(metadata).json()) == 2
