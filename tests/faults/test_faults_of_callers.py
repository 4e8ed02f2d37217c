"""Callers that vanish, stall or come in crowds, and a gateway that ends or changes under load:
trust.md F32, F34, F54, F55.
"""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
import requests

from tests.faults.callers import (
    RawAnswer,
    open_request,
    raw_get,
    read_slowly,
    read_to_the_end,
    vanish,
)
from tests.faults.conftest import ALONE, COPIED, write_region
from tests.faults.images import make_study
from tests.waiting import wait_until

pytestmark = pytest.mark.real

ORIGINAL = 'Accept: multipart/related; type="application/dicom"; transfer-syntax=*'
VANISHED = int(os.environ.get("VANISHED_CALLERS", "200"))
"""10,000 in the long form; whatever one leaves behind shows in 200 too."""
ALL_SLOTS = 16
"""Downloads that one web process runs at one site (orthanc/wire.py)."""


@pytest.fixture(scope="module")
def large(built_region):
    """A study of 200 MB at zlat: more than all buffers on its way."""
    study = make_study("large", instances=100, side=1024)
    built_region["zlat"].load(study)
    return study


def start_download(port: int, path: str, version: str = "1.1") -> socket.socket:
    """A download whose first bytes have come."""
    sock = open_request(port, path, ORIGINAL, version=version)
    assert sock.recv(64 * 1024).startswith(b"HTTP/" + version.encode() + b" 200")
    return sock


def test_vanished_callers_leave_nothing_behind(shared, region, large):
    """F54: downloads whose caller is gone; the site's connection ends with each."""
    proxy = region["zlat"].proxy
    vanish(start_download(shared.port, large.path))
    time.sleep(0.5)
    before = (shared.open_files, shared.threads, shared.rss_mb)
    for _ in range(VANISHED):
        vanish(start_download(shared.port, large.path))
    wait_until(lambda: proxy.open_connections <= 1, 60, "the connections to the site to end")
    wait_until(lambda: shared.open_files <= before[0] + 3, 60, "the worker to close its sockets")
    assert shared.threads <= before[1] + 2
    assert shared.rss_mb < before[2] + 30


def test_a_caller_that_vanishes_frees_the_site_at_once(shared, region, large):
    caller = start_download(shared.port, large.path)
    wait_until(lambda: region["zlat"].proxy.open_connections >= 1, 5, "the download to run")
    vanish(caller)
    wait_until(lambda: region["zlat"].proxy.open_connections == 0, 2, "the site to be let go")


def test_a_slow_caller_slows_the_site_and_costs_no_memory(shared, large):
    """F55: 200 MB wait at the site, not in the shared."""
    shared.get(ALONE.path)
    before = shared.rss_mb
    with start_download(shared.port, large.path) as sock:
        got = read_slowly(sock, 3)
        assert got < 5_000_000
        assert shared.rss_mb < before + 20
        rest = read_to_the_end(sock)
        assert rest.body.endswith(b"0\r\n\r\n")
        assert shared.rss_mb < before + 20
    assert got + len(rest.body) > 200_000_000


def test_slow_callers_keep_nobody_from_searching(shared, large):
    """All slots for downloads from one site are taken; searches and other sites go on."""
    slow = [start_download(shared.port, large.path) for _ in range(ALL_SLOTS)]
    try:
        start = time.monotonic()
        answer = shared.get("/dicom-web/studies")
        assert answer.headers["X-Gateway-Sites"] == "ok=3;failed=0"
        assert raw_get(shared.port, COPIED.path, ORIGINAL).is_whole
        assert time.monotonic() - start < 1.5
        busy = shared.get(large.path)
        assert (busy.status_code, busy.json()["sites"]) == (503, {"zlat": "busy"})
    finally:
        for sock in slow:
            vanish(sock)
    answer = raw_get(shared.port, ALONE.path, ORIGINAL)
    assert (answer.status, answer.is_whole) == (200, True)


@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_a_killed_worker_cuts_its_downloads_and_is_replaced(shared, large, version):
    """F32. The kernel itself resets the connection: nobody is left to do it politely."""
    with start_download(shared.port, large.path, version) as sock:
        os.kill(shared.worker, signal.SIGKILL)
        answer = read_to_the_end(sock)
    assert answer.ended == "RST"
    assert not answer.body.endswith(b"0\r\n\r\n")
    wait_until(lambda: _status(shared) == 200, 10, "another worker")


def _status(shared) -> int:
    with suppress(requests.ConnectionError):
        return shared.get("/dicom-web/studies").status_code
    return 0


@contextmanager
def crowd(ask: Callable[[], RawAnswer], size: int = 4) -> Iterator[list[RawAnswer | OSError]]:
    """Callers that ask one thing after another, each on a new connection, until the block ends."""
    outcomes: list[RawAnswer | OSError] = []
    done = threading.Event()

    def run() -> None:
        while not done.is_set():
            try:
                outcomes.append(ask())
            except OSError as error:
                outcomes.append(error)
                done.wait(0.05)

    callers = [threading.Thread(target=run) for _ in range(size)]
    for caller in callers:
        caller.start()
    try:
        yield outcomes
    finally:
        done.set()
        for caller in callers:
            caller.join()


def test_sigterm_lets_running_requests_end_well(gateway, large):
    """F34: the search and the download that run are finished; an idle connection holds up none."""
    idle = requests.Session()
    idle.get(gateway.url + "/healthz", timeout=5)
    with (
        start_download(gateway.port, large.path) as sock,
        crowd(lambda: raw_get(gateway.port, "/dicom-web/studies")) as outcomes,
    ):
        wait_until(lambda: len(outcomes) > 20, 10, "searches to run")
        gateway.ask_to_stop()
        read_slowly(sock, 1.5)
        rest = read_to_the_end(sock)
    assert rest.body.endswith(b"0\r\n\r\n")
    wait_until(lambda: not gateway.alive, 6, "the gateway to end")
    idle.close()
    answered = [one for one in outcomes if isinstance(one, RawAnswer) and one.head]
    assert len(answered) > 20
    assert {(one.status, one.is_whole) for one in answered} == {(200, True)}
    assert gateway.exit_code == 0


def test_a_change_of_the_region_is_taken_without_dropping_a_request(gateway, region):
    file = gateway.region_file

    def asked() -> str:
        return gateway.get("/dicom-web/studies").headers["X-Gateway-Sites"]

    with crowd(lambda: raw_get(gateway.port, "/dicom-web/studies")) as outcomes:
        assert asked() == "ok=3;failed=0"
        write_region(file, region, ("gkb1", "magnit"))
        wait_until(lambda: asked() == "ok=2;failed=0", 6, "zlat to be gone")
        assert gateway.get(ALONE.path).status_code == 404

        file.write_text("[region]\nname_ru = ", encoding="utf-8")
        wait_until(lambda: "refused" in gateway.log_text(), 6, "the broken edit to be refused")
        assert asked() == "ok=2;failed=0"

        write_region(file, region)
        wait_until(lambda: asked() == "ok=3;failed=0", 6, "zlat to be back")
        assert raw_get(gateway.port, ALONE.path, ORIGINAL).is_whole
    seen = {(one.status, one.is_whole) if isinstance(one, RawAnswer) else one for one in outcomes}
    assert seen == {(200, True)}
    assert len(outcomes) > 20
