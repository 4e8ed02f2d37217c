"""Many callers at once, slow and stalled ones among them (trust.md E30; F54-F56)."""

import resource
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests

from gateway.demo.servers import free_port
from gateway.nginx import configuration
from gateway.region_file import load_region
from gateway.settings import Settings
from tests.faults.callers import read_to_the_end, vanish
from tests.faults.conftest import GatewayProcess, end
from tests.faults.images import make_study
from tests.nginx import Nginx
from tests.waiting import wait_until

pytestmark = [pytest.mark.real, pytest.mark.alone]

STREAMS = 200
SLOTS = 16
"""Downloads that one web process runs at one site (orthanc/wire.py)."""
SITES = [f"s{n}" for n in range(-(-STREAMS // SLOTS))]
ORIGINAL = 'Accept: multipart/related; type="application/dicom"; transfer-syntax=*'
THREADS = 16
"""gevent's own, for files and names, are ten."""
SMALL_BUFFER = 64 * 1024
STUDY = make_study("streamed", instances=20, side=512)
STORE_HEAD = (
    "POST /dicom-web/studies HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
    'Content-Type: multipart/related; type="application/dicom"; boundary=b\r\n\r\n'
    "3a\r\n--b\r\nContent-Type: application/dicom\r\n\r\n"
)


@pytest.fixture(scope="module")
def gateway(start_orthanc, tmp_path_factory) -> Iterator[GatewayProcess]:
    """One web process before one Orthanc, which it knows as so many sites that all may stream."""
    orthanc = start_orthanc("gkb1", settings={"HttpThreadsCount": STREAMS + 50})
    for file in STUDY.files:
        url = orthanc.url + "/instances"
        requests.post(url, file, auth=orthanc.auth, timeout=60).raise_for_status()
    folder = tmp_path_factory.mktemp("many")
    (folder / "secret").write_text(orthanc.password)
    lines = ["[region]", 'name_ru = "Область"', 'name_en = "Region"', 'home_site = "s0"']
    for site_id in SITES:
        lines += ["[[site]]", f'id = "{site_id}"', f'name_ru = "{site_id}"']
        lines += [f'name_en = "{site_id}"', f'url = "{orthanc.url}"']
        lines += [f'username = "{orthanc.username}"', 'password_file = "secret"']
    (folder / "region.toml").write_text("\n".join(lines), encoding="utf-8")
    process = GatewayProcess(folder, folder / "region.toml", GATEWAY_SEARCH_DEADLINE_S="20")
    process.start()
    yield process
    end(process)


def open_stream(port: int, number: int) -> socket.socket:
    """A download of a caller with small buffers, of which the first bytes have come."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
    sock.settimeout(60)
    sock.connect(("127.0.0.1", port))
    path = f"/sites/{SITES[number % len(SITES)]}{STUDY.path}"
    sock.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{ORIGINAL}\r\n".encode())
    sock.sendall(b"Connection: close\r\n\r\n")
    assert sock.recv(1024).startswith(b"HTTP/1.1 200")
    return sock


def search(port: int) -> int:
    url = f"http://127.0.0.1:{port}/sites/s0/dicom-web/studies"
    return requests.get(url, timeout=60).status_code


def test_many_streams_are_held_and_every_one_comes_whole(gateway):
    """200 slow downloads at once in one process: no thread for any, and hardly any memory."""
    for number in range(SLOTS):  # what grows only once has grown
        vanish(open_stream(gateway.port, number))
    assert search(gateway.port) == 200
    rss_mb = gateway.rss_mb
    with ThreadPoolExecutor(20) as pool, ExitStack() as held:
        streams = list(pool.map(lambda n: open_stream(gateway.port, n), range(STREAMS)))
        for sock in streams:
            held.enter_context(sock)
        assert search(gateway.port) == 200
        assert gateway.threads < THREADS
        assert gateway.rss_mb < rss_mb + 64
        answers = list(pool.map(read_to_the_end, streams))
    ends = [(answer.ended, (answer.head + answer.body)[-5:]) for answer in answers]
    assert ends == [("FIN", b"0\r\n\r\n")] * STREAMS
    least = sum(map(len, STUDY.files)) - 1024
    assert min(len(answer.head) + len(answer.body) for answer in answers) > least
    assert gateway.rss_mb < rss_mb + 64


@pytest.fixture(params=["without nginx", "behind nginx"])
def door(request, gateway, tmp_path) -> Iterator[int]:
    """The port that callers come to."""
    if request.param == "without nginx":
        yield gateway.port
        return
    port = free_port()
    printed = gateway_configuration(gateway, port, tmp_path)
    with Nginx(tmp_path / "nginx", port, printed):
        yield port


def gateway_configuration(gateway: GatewayProcess, port: int, folder: Path) -> str:
    settings = Settings(port=gateway.port)
    region = load_region(gateway.region_file)
    return configuration(settings, region, f"127.0.0.1:{port}", str(folder / "decisions"))


def test_more_callers_than_descriptors_are_told_at_once_and_the_gateway_recovers(gateway):
    """F56"""
    before = resource.prlimit(gateway.worker, resource.RLIMIT_NOFILE)
    resource.prlimit(gateway.worker, resource.RLIMIT_NOFILE, (256, before[1]))
    stalled = []
    try:
        for _ in range(STREAMS):
            sock = socket.create_connection(("127.0.0.1", gateway.port), 60)
            sock.sendall(STORE_HEAD.encode()[:60])
            stalled.append(sock)
        url = f"http://127.0.0.1:{gateway.port}/sites/s0/dicom-web/studies"
        answers = [requests.get(url, timeout=60) for _ in range(20)]
        assert [a.status_code for a in answers] == [503] * 20
        assert {a.headers["Retry-After"] for a in answers} == {"5"}
    finally:
        for sock in stalled:
            vanish(sock)
        resource.prlimit(gateway.worker, resource.RLIMIT_NOFILE, before)
    wait_until(lambda: search(gateway.port) == 200, 60, "the callers to be gone")
    with open_stream(gateway.port, 1) as sock:
        assert read_to_the_end(sock).ended == "FIN"


def test_stalled_bodies_keep_nobody_waiting(gateway, door):
    """E30: 200 uploads stand still in the middle of a part, 100 requests in their head."""
    stalled = []
    try:
        for number in range(STREAMS + STREAMS // 2):
            sock = socket.create_connection(("127.0.0.1", door), 60)
            sock.sendall(STORE_HEAD.encode()[: None if number < STREAMS else 60])
            stalled.append(sock)
        assert [search(door) for _ in range(20)] == [200] * 20
        with open_stream(door, 1) as sock:
            assert read_to_the_end(sock).ended == "FIN"
    finally:
        for sock in stalled:
            vanish(sock)
    assert search(door) == 200
