"""Debian's nginx in front with TLS, configured by `gateway nginx-config`, as a viewer meets it."""

import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import pytest

from gateway.demo.servers import free_port
from tests.chaosproxy import Talk, only, passes
from tests.faults.conftest import ALONE, GatewayProcess, Region, end, write_region
from tests.faults.images import make_study
from tests.nginx import Nginx
from tests.waiting import wait_until

pytestmark = pytest.mark.real

HOST = "localhost"
DOWNLOAD = "/dicom-web/studies/"
FRAME = "multipart/related; type=application/octet-stream; transfer-syntax=*"
SINGLE = "application/dicom; transfer-syntax=*"
PIXELS = 512 * 512 * 2
SENT = make_study("over-tls", instances=2, side=1536)  # each is more than a group of a store


@dataclass
class Front:
    """nginx that speaks TLS, and the gateway behind it."""

    port: int
    gateway: GatewayProcess
    context: ssl.SSLContext

    @property
    def url(self) -> str:
        return f"https://{HOST}:{self.port}"

    def connect(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(HOST, self.port, context=self.context, timeout=60)

    def get(self, path: str, accept: str) -> bytes:
        with closing(self.connect()) as link:
            return ask(link, path, accept)


def ask(link: http.client.HTTPSConnection, path: str, accept: str) -> bytes:
    link.request("GET", path, headers={"Accept": accept})
    answer = link.getresponse()
    body = answer.read()
    assert (answer.status, answer.version) == (200, 11), body
    return body


@pytest.fixture(scope="module")
def started(built_region: Region, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    folder = tmp_path_factory.mktemp("tls")
    certificate, key, file = folder / "certificate.pem", folder / "key.pem", folder / "region.toml"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        capture_output=True,
        check=True,
    )
    write_region(file, built_region)
    port = free_port()
    environ = {"GATEWAY_PROXY_DECISION_S": "10", "GATEWAY_PUBLIC_URL": f"https://{HOST}:{port}"}
    gateway = GatewayProcess(folder, file, **environ)
    gateway.start()
    subprocess.run(
        [
            *(sys.executable, "-m", "gateway.cli", "nginx-config", f"--region={file}"),
            *(f"--listen=127.0.0.1:{port}", f"--certificate={certificate}", f"--key={key}"),
            *(f"--folder={folder / 'decisions'}", f"--output={folder / 'servers'}"),
        ],
        env=os.environ
        | environ
        | {"GATEWAY_PORT": str(gateway.port), "PYTHONPATH": str(Path(__file__).parents[2])},
        check=True,
    )
    with Nginx(folder / "nginx", port, (folder / "servers").read_text()):
        yield Front(port, gateway, ssl.create_default_context(cafile=str(certificate)))
    end(gateway)


@pytest.fixture
def front(started: Front, region: Region) -> Front:
    return started


def test_a_viewer_opens_a_study_over_one_connection(front, region):
    with closing(front.connect()) as link:
        (study,) = json.loads(
            ask(link, f"/dicom-web/studies?StudyInstanceUID={ALONE.uid}", "application/dicom+json")
        )
        assert study["0020000D"]["Value"] == [ALONE.uid]
        first = link.sock
        instances = json.loads(
            ask(link, f"{ALONE.path}/series/{ALONE.series_uid}/metadata", "application/dicom+json")
        )
        uids = {instance["00080018"]["Value"][0] for instance in instances}
        region["zlat"].proxy.seen.clear()
        for uid in ALONE.sop_uids:
            path = f"{ALONE.path}/series/{ALONE.series_uid}/instances/{uid}/frames/1"
            assert ALONE.files[0][-PIXELS:] in ask(link, path, FRAME)
        assert link.sock is first
    assert uids == set(ALONE.sop_uids)
    frames = [line for line in region["zlat"].proxy.seen if b"/frames/1" in line]
    assert len(frames) == len(ALONE.sop_uids)


def test_every_address_in_an_answer_is_one_of_https(front):
    def addresses(path: str) -> set[str]:
        text = front.get(path, "application/dicom+json").decode()
        return {word.partition("/dicom-web")[0] for word in text.split('"') if "://" in word}

    series = f"{ALONE.path}/series"
    assert addresses(f"/dicom-web/studies?StudyInstanceUID={ALONE.uid}") == {front.url}
    assert addresses(series) == {front.url}
    assert addresses(f"{series}/{ALONE.series_uid}/metadata") == {front.url}
    assert addresses(f"/sites/zlat{series}/{ALONE.series_uid}/metadata") == {
        f"{front.url}/sites/zlat"
    }


def test_an_upload_reaches_the_hospital_while_it_is_still_coming(front, region):
    zlat = region["zlat"]
    parts = [
        b"\r\n--b\r\nContent-Type: application/dicom\r\n\r\n" + instance for instance in SENT.files
    ]
    with closing(front.connect()) as link:
        link.putrequest("POST", "/dicom-web/studies")
        link.putheader("Content-Type", 'multipart/related; type="application/dicom"; boundary=b')
        link.putheader("Content-Length", str(sum(map(len, parts)) + len(b"\r\n--b--\r\n")))
        link.endheaders()
        link.send(parts[0] + parts[1][:-1000])
        wait_until(
            lambda: [line for line in zlat.proxy.seen if line.startswith(b"POST /dicom-web/")],
            60,
            "the first image on its way to the hospital",
        )
        link.send(parts[1][-1000:] + b"\r\n--b--\r\n")
        answer = link.getresponse()
        assert answer.status == 200, answer.read()
        answer.read()
    try:
        assert zlat.instances_of(SENT.uid) == set(SENT.sop_uids)
    finally:
        for uid in SENT.sop_uids:
            zlat.delete(uid)


def test_a_slow_reader_holds_up_only_nginx(front, region):
    given = Event()

    def watch(talk: Talk) -> None:
        passes(talk)
        given.set()

    region["zlat"].proxy.fault = only(DOWNLOAD, watch)
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.settimeout(60)
    sock.connect(("127.0.0.1", front.port))
    with front.context.wrap_socket(sock, server_hostname=HOST) as reader:
        lines = (f"GET {ALONE.instance_path} HTTP/1.1", f"Host: {HOST}", f"Accept: {SINGLE}")
        reader.sendall("\r\n".join([*lines, "Connection: close", "", ""]).encode())
        assert given.wait(60)
        for _ in range(5):  # the gateway's loop goes round: what it had to send is sent
            assert front.gateway.get("/healthz").status_code == 200
        os.kill(front.gateway.worker, signal.SIGSTOP)
        try:
            body = b"".join(iter(lambda: reader.recv(65536), b""))
        finally:
            os.kill(front.gateway.worker, signal.SIGCONT)
    assert body.endswith(ALONE.files[0][-PIXELS:])


def test_what_is_not_tls_is_no_answer_of_the_gateway(front):
    with closing(http.client.HTTPConnection(HOST, front.port, timeout=60)) as link:
        link.request("GET", "/healthz")
        answer = link.getresponse()
        assert (answer.status, answer.getheader("Server")) == (400, "nginx")


def test_tls_with_an_address_that_says_otherwise_is_refused(front, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "gateway.cli", "nginx-config", "--listen=443 ssl"],
        env=os.environ
        | {
            "GATEWAY_REGION": str(front.gateway.region_file),
            "PYTHONPATH": str(Path(__file__).parents[2]),
        },
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "GATEWAY_PUBLIC_URL that begins with https://" in done.stderr
