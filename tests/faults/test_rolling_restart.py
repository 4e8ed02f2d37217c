"""Web processes are replaced, or the gateway ends, under load: no short request fails (F34).

F34_RESTARTS=20 for the long run.
"""

import http.client
import json
import os
import signal
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from gateway.demo.servers import free_port
from gateway.model.sites import Region, Site
from gateway.nginx import configuration
from gateway.settings import load_settings
from tests.authority import Authority
from tests.faults.test_on_a_network import Served
from tests.nginx import Nginx
from tests.waiting import wait_until

pytestmark = pytest.mark.real
RESTARTS = int(os.environ.get("F34_RESTARTS", "2"))
SOON_S, LATER_S = 0.05, 1.0
END_S = 120.0


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def gateways(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[list]:
    """One that speaks TLS itself, and one for nginx before it."""
    found = [Served(tmp_path_factory.mktemp(s), authority, s) for s in ("https", "http")]
    yield found
    for one in found:
        if one.program.alive:
            one.program.ask_to_stop()
    for one in found:
        wait_until(lambda one=one: not one.program.alive, 60, "the gateway's end")


@pytest.fixture(scope="module")
def nginx_port(tmp_path_factory: pytest.TempPathFactory, gateways: list) -> Iterator[int]:
    port = free_port()
    settings = load_settings({"GATEWAY_PORT": str(gateways[1].port)})
    region = Region("О", "R", "a", (Site("a", "А", "A", "http://127.0.0.1:9"),))
    text = configuration(settings, region, f"127.0.0.1:{port}", "/nowhere").replace(
        "proxy_set_header Host $http_host;",
        f"proxy_set_header Host localhost:{gateways[1].port};",  # as at the public address
    )
    with Nginx(tmp_path_factory.mktemp("nginx"), port, text):
        yield port


class Callers:
    """Threads that ask without end and without a second try, each in its own manner."""

    def __init__(self) -> None:
        self.stop, self.trouble = threading.Event(), []
        self.asked: Counter[str] = Counter()
        self.threads: list[threading.Thread] = []

    def add(self, manner: str, connect: Callable, *, keeps: bool, pause_s: float = SOON_S) -> None:
        def call() -> None:
            link = connect()
            while not self.stop.wait(pause_s):
                try:
                    link.request("GET", "/healthz")
                    answer = link.getresponse()
                    told = json.loads(answer.read())
                    if answer.status != 200 or told["status"] != "alive":
                        self.trouble.append((manner, answer.status))
                except (OSError, http.client.HTTPException) as error:
                    self.trouble.append((manner, repr(error)))
                    link.close()
                self.asked[manner] += 1
                if not keeps:
                    link.close()  # http.client connects anew with the next request
            link.close()

        self.threads.append(threading.Thread(target=call, name=manner))

    def __enter__(self) -> "Callers":
        for one in self.threads:
            one.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop.set()
        for one in self.threads:
            one.join()


def workers_of(pid: int) -> set[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return {int(child) for child in found}


def restart(gateways: list, callers: Callers) -> None:
    """SIGHUP to each; returns when all processes are new and every manner was answered again."""
    former = {one.program.pid: workers_of(one.program.pid) for one in gateways}
    for pid in former:
        os.kill(pid, signal.SIGHUP)
    for pid, old in former.items():
        wait_until(
            lambda pid=pid, old=old: len(workers_of(pid) - old) == 2 and not workers_of(pid) & old,
            END_S, "new web processes",
        )  # fmt: skip
    before = callers.asked.copy()
    wait_until(
        lambda: all(callers.asked[manner] > n + 1 for manner, n in before.items()),
        END_S, "answers after it",
    )  # fmt: skip


def test_a_rolling_restart_fails_no_short_request(
    gateways: list, nginx_port: int, authority: Authority
) -> None:
    context = ssl.create_default_context(cafile=str(authority.file))
    secure, plain = gateways

    def tls() -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection("localhost", secure.port, context=context, timeout=60)

    def direct() -> http.client.HTTPConnection:
        return http.client.HTTPConnection("localhost", plain.port, timeout=60)

    def by_nginx() -> http.client.HTTPConnection:
        return http.client.HTTPConnection("localhost", nginx_port, timeout=60)

    callers = Callers()
    for name, connect in (("TLS", tls), ("plain", direct), ("nginx", by_nginx)):
        callers.add(f"{name}, kept", connect, keeps=True)
        callers.add(f"{name}, kept and rested", connect, keeps=True, pause_s=LATER_S)
        callers.add(f"{name}, new each time", connect, keeps=False)
        callers.add(f"{name}, new each time too", connect, keeps=False)
    with callers:
        wait_until(lambda: len(callers.asked) == len(callers.threads), 60, "first answers")
        for _ in range(RESTARTS):
            restart(gateways, callers)
    print(f"{RESTARTS} restarts, {sum(callers.asked.values())} requests:", dict(callers.asked))
    assert callers.trouble == []


def ask(link: socket.socket, path: str = "/healthz") -> http.client.HTTPResponse:
    link.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return hear(link)


def hear(link: socket.socket) -> http.client.HTTPResponse:
    answer = http.client.HTTPResponse(link)
    answer.begin()
    answer.read()
    return answer


def refuses(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) != 0


def test_a_gateway_that_ends_answers_whom_it_has_taken(gateways: list) -> None:
    """SIGTERM to the whole of it: kept connections are answered once more, and told to close."""
    gateway = gateways[1]
    port, request = gateway.port, b"GET /healthz HTTP/1.1\r\nHost: localhost:%d\r\n" % gateway.port
    with ExitStack() as links:
        kept, probe, begun = (
            links.enter_context(closing(socket.create_connection(("127.0.0.1", port), 60)))
            for _ in range(3)
        )
        head = request + b"\r\n"
        for link in (kept, probe):
            link.sendall(head)
            assert hear(link).status == 200
        begun.sendall(request)  # the head's end is still to come
        gateway.program.ask_to_stop()
        wait_until(lambda: refuses(port), END_S, "no new connections")
        for link, sent, status in (
            (kept, head, 200),
            (probe, head.replace(b"/healthz", b"/readyz"), 503),
            (begun, b"\r\n", 200),
        ):
            link.sendall(sent)
            answer = hear(link)
            assert (answer.status, answer.getheader("Connection")) == (status, "close")
            assert link.recv(1) == b""
    wait_until(lambda: not gateway.program.alive, END_S, "the gateway's end")
    assert gateway.program.exit_code == 0
