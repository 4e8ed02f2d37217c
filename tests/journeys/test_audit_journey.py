"""Each way to images leaves its lines, through real servers: who, which study, how it ended, how
many bytes; begin and end agree, and a download that broke off says so."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from gateway.clock import utc_now
from gateway.demo.servers import free_port
from gateway.model.audit import Entry
from gateway.model.tokens import new_key
from gateway.records.audit import load_after
from gateway.records.clients import add_client, save_signing_key
from gateway.records.engine import Records, open_records
from gateway.records.keyring import make_keyring
from gateway.records.schema import migrate
from tests.chaosproxy import ChaosProxy, cut, only
from tests.conftest import StartOrthanc
from tests.faults.callers import open_request, read_to_the_end
from tests.nginx import Nginx
from tests.running import RunningGateway, load, start_gateway
from tests.studies import a_study, an_instance
from tests.waiting import wait_until

pytestmark = pytest.mark.real

STUDY = a_study(71, (3,))
ONE = STUDY[0]
SERIES = f"/studies/{ONE.study_uid}/series/{ONE.series_uid}"
INSTANCE = f"{SERIES}/instances/{ONE.instance_uid}"
FRAME = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'


@dataclass
class Watched:
    """A gateway with logins behind nginx, and the lines of its audit."""

    gateway: RunningGateway
    nginx: Nginx
    records: Records
    proxy: ChaosProxy
    client_id: str
    bearer: dict[str, str]
    seen: int = 0

    def lines(self, *outcomes: str) -> list[Entry]:
        """What came since the last call; waits until it ends so."""
        found: list[Entry] = []

        def came() -> bool:
            rows = load_after(self.records, self.seen, 1000)
            found[:] = [row.entry for row in rows]
            return [one.outcome for one in found] == list(outcomes)

        wait_until(came, 20, f"{outcomes}, not {[one.outcome for one in found]}")
        self.seen += len(found)
        assert {one.actor for one in found} == {self.client_id}
        assert {one.address for one in found} == {"127.0.0.1"}
        return found

    def get(self, path: str, accept: str = "", port: int = 0) -> requests.Response:
        base = f"http://127.0.0.1:{port}" if port else self.gateway.url
        headers = self.bearer | ({"Accept": accept} if accept else {})
        return requests.get(base + path, headers=headers, timeout=60)


@pytest.fixture(scope="module")
def watched(
    start_orthanc: StartOrthanc, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("audited")
    server = start_orthanc("gkb1")
    load(server, STUDY)
    state, port = folder / "state", free_port()
    keyring = make_keyring(state / "gateway.key")
    records = open_records(f"sqlite:///{state / 'gateway.db'}")
    migrate(records)
    kid, private, public = new_key()
    save_signing_key(records, kid, keyring.seal(private), public, utc_now())
    client_id, secret = add_client(records, "МИС", "gkb1", utc_now())
    environ = {
        "GATEWAY_ACCESS": "login",
        "GATEWAY_PROXY_DECISION_S": "3",
        "GATEWAY_PUBLIC_URL": f"http://127.0.0.1:{port}",
        "GATEWAY_STATE_DIR": str(state),
    }
    with ChaosProxy(server.http_port) as proxy:
        gateway = start_gateway(
            folder, {"gkb1": proxy.url}, {"gkb1": server}, home="gkb1", settings=environ
        )
        told = subprocess.run(
            [sys.executable, "-m", "gateway.cli", "nginx-config",
             f"--region={folder / 'region.toml'}", f"--listen=127.0.0.1:{port}",
             f"--folder={folder / 'decisions'}"],
            env=os.environ | environ | {
                "GATEWAY_PORT": gateway.url.rpartition(":")[2],
                "PYTHONPATH": str(Path(__file__).parents[2]),
            },
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        form = {"grant_type": "client_credentials"}
        answer = requests.post(
            f"{gateway.url}/oauth/token", data=form, auth=(client_id, secret), timeout=60
        )
        bearer = {"Authorization": f"Bearer {answer.json()['access_token']}"}
        with Nginx(folder / "nginx", port, told) as nginx:
            found = Watched(gateway, nginx, records, proxy, client_id, bearer)
            (token,) = found.lines("done")
            assert token.action == "token"
            yield found
        gateway.program.kill()
    records.close()


RESOURCES = {
    "a study": (f"/dicom-web/studies/{ONE.study_uid}", "", 0),
    "a series": (f"/dicom-web{SERIES}", "", 0),
    "an instance": (f"/dicom-web{INSTANCE}", "", 1),
    "a frame": (f"/dicom-web{INSTANCE}/frames/1", FRAME, 1),
    "metadata": (f"/dicom-web{SERIES}/metadata", "application/dicom+json", 0),
    "a zip": (f"/dicom-web/studies/{ONE.study_uid}", "application/zip", 0),
    "rendered": (f"/dicom-web{INSTANCE}/rendered", "image/jpeg", 1),
    "a thumbnail": (f"/dicom-web{INSTANCE}/thumbnail", "image/jpeg", 1),
    "one hospital's door": (f"/sites/gkb1/dicom-web{INSTANCE}", "", 1),
    "WADO-URI": (
        f"/wado?requestType=WADO&studyUID={ONE.study_uid}&seriesUID={ONE.series_uid}"
        f"&objectUID={ONE.instance_uid}&contentType=application/dicom", "", 0),
}  # fmt: skip


@pytest.mark.parametrize("name", RESOURCES)
def test_begin_and_end_of_each_retrieval_agree(watched: Watched, name: str) -> None:
    path, accept, instances = RESOURCES[name]
    answer = watched.get(path, accept)
    assert answer.status_code == 200
    begin, end = watched.lines("began", "done")
    assert begin.request == end.request
    assert {one.action for one in (begin, end)} == {"retrieve"}
    assert {one.study_uid for one in (begin, end)} == {ONE.study_uid}
    assert (end.status, end.instances) == (200, instances)
    length = int(answer.headers.get("Content-Length", 0))
    assert end.size_bytes == (length or len(answer.content))


def test_a_search_for_a_study_is_of_that_study(watched: Watched) -> None:
    for path in (f"/studies?StudyInstanceUID={ONE.study_uid}", f"/studies/{ONE.study_uid}/series"):
        assert watched.get(f"/dicom-web{path}").status_code == 200
        begin, end = watched.lines("began", "done")
        assert (begin.action, begin.study_uid) == ("search", ONE.study_uid)
        assert end.size_bytes > 0
    assert watched.get("/dicom-web/studies?PatientID=P71").status_code == 200
    begin, _ = watched.lines("began", "done")
    assert len(begin.patient) == 32


def test_what_nginx_gives_by_itself_is_granted_before(watched: Watched) -> None:
    for _ in range(3):
        answer = watched.get(f"/dicom-web{INSTANCE}/frames/1", FRAME, watched.nginx.port)
        assert answer.status_code == 200
    (granted,) = watched.lines("granted")  # one decision for all three
    assert (granted.action, granted.study_uid, granted.site_id) == (
        "retrieve", ONE.study_uid, "gkb1",
    )  # fmt: skip
    # A zip nginx may not give: it comes to the gateway, and is told once.
    path = f"/dicom-web/studies/{ONE.study_uid}"
    assert watched.get(path, "application/zip", watched.nginx.port).status_code == 200
    watched.lines("began", "done")


def test_a_download_that_the_site_breaks_off_is_cut(watched: Watched) -> None:
    watched.proxy.fault = only("GET /dicom-web/studies/", cut(0.5))
    port = int(watched.gateway.url.rpartition(":")[2])
    line = f"Authorization: {watched.bearer['Authorization']}"
    with open_request(port, f"/dicom-web/studies/{ONE.study_uid}", line) as sock:
        answer = read_to_the_end(sock)
    watched.proxy.reset()
    assert answer.ended == "RST"
    begin, end = watched.lines("began", "cut")
    assert (begin.study_uid, end.study_uid) == (ONE.study_uid, ONE.study_uid)
    assert end.size_bytes < sum(len(one.data) for one in STUDY)


def test_a_store_tells_of_each_of_its_studies(watched: Watched) -> None:
    new = [an_instance(72), an_instance(72, number=2), an_instance(73)]
    answer = store(watched, [one.data for one in new] + [b"no DICOM"])
    assert answer.status_code == 202
    begin, first, second, end = watched.lines("began", "done", "done", "done")
    assert {one.action for one in (begin, first, second, end)} == {"store"}
    assert [(one.study_uid, one.instances) for one in (first, second)] == [
        (new[0].study_uid, 2),
        (new[2].study_uid, 1),
    ]
    assert (end.status, end.target) == (202, "/dicom-web/studies")
    assert end.size_bytes == int(answer.request.headers["Content-Length"])


def test_a_store_whose_body_breaks_off_has_failed(watched: Watched) -> None:
    answer = store(watched, [an_instance(74).data], closed=False)
    assert answer.status_code == 400
    _, end = watched.lines("began", "failed")
    assert (end.action, end.status) == ("store", 400)


def test_what_is_not_there_has_failed(watched: Watched) -> None:
    assert watched.get("/dicom-web/studies/1.2.3.4").status_code == 404
    _, end = watched.lines("began", "failed")
    assert (end.study_uid, end.status) == ("1.2.3.4", 404)


def store(watched: Watched, parts: list[bytes], *, closed: bool = True) -> requests.Response:
    body = b"".join(
        b"--b\r\nContent-Type: application/dicom\r\n\r\n" + part + b"\r\n" for part in parts
    )
    return requests.post(
        f"{watched.gateway.dicomweb}/studies",
        data=body + (b"--b--\r\n" if closed else b""),
        headers=watched.bearer
        | {"Content-Type": 'multipart/related; type="application/dicom"; boundary=b'},
        timeout=60,
    )
