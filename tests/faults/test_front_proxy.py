"""The real nginx in front, with the configuration that `gateway nginx-config` prints.

Who fetched is seen at the site: the gateway names the coding that it wants, nginx does not.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from gateway.demo.servers import free_port
from tests.chaosproxy import HTML, Fault, Talk, cut, http, only, passes, resets, says, with_headers
from tests.faults.callers import raw_get, read_to_the_end
from tests.faults.conftest import ALONE, COPIED, GatewayProcess, Region, end, write_region
from tests.nginx import Nginx
from tests.waiting import wait_until

pytestmark = pytest.mark.real

DECISION_S = 2
DOWNLOAD = "/dicom-web/studies/"
FRAME = ALONE.instance_path + "/frames/1"
PARTS = {
    ALONE.instance_path: 'multipart/related; type="application/dicom"; transfer-syntax=*',
    FRAME: "multipart/related; type=application/octet-stream; transfer-syntax=*",
}
ORIGINAL = "Accept: " + PARTS[ALONE.instance_path]


@dataclass
class Front:
    """nginx, the gateway behind it, and what the sites were asked."""

    nginx: Nginx
    gateway: GatewayProcess
    region: Region

    def get(self, path: str, accept: str = "", **options: object) -> requests.Response:
        headers = {"Accept": accept or PARTS[path], **options.pop("headers", {})}  # type: ignore[dict-item]
        url = f"http://127.0.0.1:{self.nginx.port}{path}"
        return requests.request(
            options.pop("method", "GET"), url, headers=headers, **{"timeout": 30, **options}
        )  # type: ignore[arg-type]

    @contextmanager
    def watching(self, then: Fault = passes) -> Iterator[list[bytes]]:
        """Heads of what zlat is asked for; `then` answers."""
        heads: list[bytes] = []

        def watch(talk: Talk) -> None:
            heads.append(talk.head)
            then(talk)

        proxy = self.region["zlat"].proxy
        proxy.fault = only(DOWNLOAD, watch)
        yield heads
        proxy.reset()

    @contextmanager
    def asleep(self) -> Iterator[None]:
        """The gateway does nothing: what is answered now, nginx answers alone."""
        worker = self.gateway.worker
        os.kill(worker, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(worker, signal.SIGCONT)


def by_nginx(heads: list[bytes]) -> list[bool]:
    return [b"accept-encoding" not in head.lower() for head in heads]


@pytest.fixture(scope="module")
def started(built_region: Region, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    folder = tmp_path_factory.mktemp("front")
    file, port = folder / "region.toml", free_port()
    write_region(file, built_region)
    environ = {
        "GATEWAY_PROXY_DECISION_S": str(DECISION_S),
        "GATEWAY_PUBLIC_URL": f"http://127.0.0.1:{port}",
    }
    gateway = GatewayProcess(folder, file, **environ)
    gateway.start()
    printed = subprocess.run(
        [
            *(sys.executable, "-m", "gateway.cli", "nginx-config", f"--region={file}"),
            *(f"--listen=127.0.0.1:{port}", f"--folder={folder / 'decisions'}"),
        ],
        env=os.environ
        | environ
        | {"GATEWAY_PORT": str(gateway.port), "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    with Nginx(folder / "nginx", port, printed) as nginx:
        yield Front(nginx, gateway, built_region)
    end(gateway)


@pytest.fixture
def front(started: Front, region: Region) -> Front:
    """The same, every site well and no decision kept."""
    write_region(started.gateway.region_file, region)
    wait_until(lambda: started.gateway.get(FRAME, headers={"Accept": PARTS[FRAME]}).ok, 30, "zlat")
    return started


@pytest.fixture
def caller() -> dict[str, str]:
    """A caller for whom nothing has been decided yet."""
    return {"Authorization": f"Bearer {time.monotonic_ns()}", "Cookie": "session=secret"}


@pytest.mark.parametrize("path", PARTS, ids=["instance", "frame"])
def test_nginx_fetches_what_the_gateway_would_give(front, caller, path):
    with front.watching() as heads:
        answer = front.get(path, headers=caller)
        same = front.gateway.get(path, headers={"Accept": PARTS[path]})
    assert by_nginx(heads) == [True, False]
    assert (answer.status_code, same.status_code) == (200, 200)
    parts = [a.content.split(b"\r\n\r\n", 1)[1].rpartition(b"\r\n--")[0] for a in (answer, same)]
    assert parts[0] == parts[1]
    assert len(parts[0]) > 500_000
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "no-store" in answer.headers["Cache-Control"]
    # Of the caller's words none reaches the site.
    assert not [word for word in caller.values() if word.encode() in heads[0]]


def test_one_decision_is_for_all_frames_of_a_series_and_one_caller(front, caller):
    other = ALONE.instance_path.rpartition("/")[0] + "/" + ALONE.sop_uids[1] + "/frames/1"
    assert front.get(FRAME, headers=caller).status_code == 200
    with front.asleep():
        assert front.get(other, PARTS[FRAME], headers=caller).status_code == 200
        for change in (
            {"Authorization": "Bearer b"},
            {"Cookie": "session=b"},
            {"Range": "bytes=1-"},
        ):
            with pytest.raises(requests.Timeout):
                front.get(FRAME, headers={**caller, **change}, timeout=1)
        with pytest.raises(requests.Timeout):  # another form of the same series
            front.get(ALONE.instance_path, headers=caller, timeout=1)


def test_a_withdrawn_right_ends_within_the_seconds_that_were_said(front, region, caller):
    front.get(FRAME, headers=caller)
    write_region(front.gateway.region_file, region, ("gkb1", "magnit"))

    def refused() -> bool:
        front.get(FRAME, headers=caller)  # keeps the decision as fresh as it may be
        return front.gateway.get(FRAME, headers={"Accept": PARTS[FRAME]}).status_code == 404

    wait_until(refused, 30, "the gateway to refuse")
    time.sleep(DECISION_S)
    with front.watching() as heads:
        assert front.get(FRAME, headers=caller).status_code == 404
    assert heads == []


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        (ALONE.path, {"accept": PARTS[ALONE.instance_path]}),
        (ALONE.instance_path, {"accept": "application/dicom; transfer-syntax=*"}),
        (FRAME, {"accept": "image/jpeg, */*;q=0.1"}),
        (FRAME, {"accept": "*/*"}),
        (FRAME, {"headers": {"Range": "bytes=0-9"}}),
        (FRAME, {"headers": {"Origin": "https://elsewhere.example"}}),
        (FRAME, {"params": {"accept": PARTS[FRAME]}}),
        (FRAME, {"method": "HEAD"}),
        (FRAME, {"method": "DELETE"}),
        (FRAME.replace("/frames/1", "/frames/9"), {"accept": PARTS[FRAME]}),
    ],
    ids=lambda value: None if isinstance(value, str) else "-".join(map(str, value)),
)
def test_whatever_nginx_must_not_answer_is_answered_as_by_the_gateway(front, path, asked):
    url = f"http://127.0.0.1:{front.gateway.port}{path}"
    options = {key: value for key, value in asked.items() if key in ("params",)}
    headers = {"Accept": asked.get("accept") or PARTS[path], **asked.get("headers", {})}
    own = requests.request(asked.get("method", "GET"), url, headers=headers, timeout=30, **options)
    with front.watching() as heads:
        answer = front.get(path, **asked)
    # A frame that does not exist is only known when the site was asked.
    assert (True in by_nginx(heads)) == ("frames/9" in path)
    assert (answer.status_code, answer.ok) == (own.status_code, own.ok)
    assert abs(len(answer.content) - len(own.content)) < 100  # boundaries differ


def test_a_path_that_is_not_what_it_seems_is_judged_as_it_was_sent(front):
    winding = FRAME.replace("/instances/", "/instances/%2e%2e/instances/")
    with front.watching() as heads:
        answer = raw_get(front.nginx.port, winding, "Accept: " + PARTS[FRAME])
    assert (answer.status, heads) == (400, [])


SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
TWO_WAYS = {
    "length and chunks": b"Content-Length: 6\r\n" + CHUNKED,
    "chunks and length": CHUNKED + b"Content-Length: 6\r\n",
    "two lengths": b"Content-Length: 0\r\nContent-Length: %d\r\n" % len(SMUGGLED),
    "the same length twice": b"Content-Length: 0\r\nContent-Length: 0\r\n",
    "a list of lengths": b"Content-Length: 0, 0\r\n",
    "a length with a sign": b"Content-Length: +5\r\n",
    "a coding of two": b"Transfer-Encoding: chunked, identity\r\n",
    "a coding of none": b"Transfer-Encoding: xchunked\r\n",
    "a coding behind a tab": b"Transfer-Encoding:\x0bchunked\r\n",
    "a coding with a blank before its colon": b"Transfer-Encoding : chunked\r\n",
    "a coding in a folded line": b"X: 1\r\n Transfer-Encoding: chunked\r\n",
    "a coding behind a bare CR": b"X: 1\rTransfer-Encoding: chunked\r\n",
    "NUL": b"X: \x00\r\n",
}


@pytest.mark.parametrize("door", ["nginx", "gateway"])
@pytest.mark.parametrize("framing", TWO_WAYS.values(), ids=list(TWO_WAYS))
def test_a_body_that_can_be_framed_in_two_ways_is_refused(front, framing, door):
    """H7: what stands behind it is the request of nobody, and no other caller hears its answer."""
    port = front.nginx.port if door == "nginx" else front.gateway.port
    head = b"POST /dicom-web/studies HTTP/1.1\r\nHost: localhost\r\n" + framing + b"\r\n"
    with socket.create_connection(("127.0.0.1", port), 60) as sock:
        sock.sendall(head + b"0\r\n\r\n" + SMUGGLED)
        answer = read_to_the_end(sock)
    assert answer.status in (400, 501)
    assert answer.body.count(b"HTTP/1.1 ") == 0
    healthy = [front.get("/healthz", "*/*") for _ in range(3)]
    assert [(one.status_code, one.url[-8:]) for one in healthy] == [(200, "/healthz")] * 3


@pytest.mark.parametrize(
    "fault",
    [
        resets,
        says(http("500 Failed", b"")),
        says(http("302 There", b"")),
    ],
    ids=["resets", "500", "302"],
)
def test_a_site_that_fails_before_its_answer_is_the_gateways_trouble(front, region, caller, fault):
    for broken in ("gkb1", "magnit"):
        region[broken].proxy.fault = only(DOWNLOAD, fault)
        path = COPIED.instance_path
        answer = front.get(path, PARTS[ALONE.instance_path], headers=caller)
        assert (answer.status_code, len(answer.content) > 500_000) == (200, True)
        region[broken].proxy.reset()


def test_what_only_a_broken_site_holds_is_told_by_the_gateway(front, caller):
    with front.watching(says(http("503 Busy", b""))):
        answer = front.get(FRAME, headers=caller)
    assert (answer.status_code, answer.json()["sites"]) == (503, {"zlat": "refused"})
    assert "Retry-After" in answer.headers


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_a_body_that_breaks_off_never_ends_politely(front, share):
    with front.watching(cut(share)) as heads:
        answer = raw_get(front.nginx.port, ALONE.instance_path, ORIGINAL)
    assert by_nginx(heads) == [True]
    assert answer.length is not None
    assert not answer.is_whole


def test_a_site_cannot_send_nginx_elsewhere(front, caller):
    elsewhere = f"X-Accel-Redirect: /by-nginx/gkb1/studies/{COPIED.uid}"
    with front.watching(with_headers(elsewhere, "Set-Cookie: a=b")) as heads:
        answer = front.get(FRAME, headers=caller)
    assert by_nginx(heads) == [True]
    assert len(answer.content) > 500_000
    assert not {"set-cookie", "x-accel-redirect"} & {name.lower() for name in answer.headers}


def test_active_content_from_a_site_does_not_run(front, caller):
    with front.watching(says(HTML)):
        answer = front.get(FRAME, headers=caller)
    assert answer.status_code != 200 or "sandbox" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize("path", ["/front-proxy/decision", f"/by-nginx/zlat/studies/{ALONE.uid}"])
def test_what_is_between_nginx_and_the_gateway_is_not_for_callers(front, path):
    assert front.get(path, "*/*").status_code == 404


def test_a_refused_password_is_not_tried_again_for_each_frame(front, caller):
    """Last in this file: for some minutes the gateway asks that site no more (F16)."""
    with front.watching(says(http("401 Who", b""))) as heads:
        for _ in range(5):
            assert front.get(FRAME, headers=caller).status_code == 503
        time.sleep(DECISION_S)
        before = len(heads)
        for _ in range(5):
            assert front.get(FRAME, headers=caller).status_code == 503
    assert len(heads) == before
