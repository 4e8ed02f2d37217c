"""A gateway as it stands on a network: own TLS, logins, two web processes, and others around it."""

import http.client
import os
import signal
import ssl
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import requests

from gateway.demo.servers import Program, free_port
from tests.authority import Authority
from tests.nginx import Nginx
from tests.test_server import drips_until_let_go
from tests.waiting import wait_until

pytestmark = pytest.mark.real

REGION = """[region]
name_ru = "Область"
name_en = "Region"
[[site]]
id = "gkb1"
name_ru = "Первая"
name_en = "First"
url = "http://127.0.0.1:9"
"""


class Served:
    """A gateway of two web processes with a port for Prometheus, with TLS of its own or without."""

    def __init__(self, folder: Path, authority: Authority, scheme: str = "https") -> None:
        self.port, self.metrics_port = free_port(), free_port()
        self.url = f"{scheme}://localhost:{self.port}"
        self.authority, self.folder = authority, folder
        certificate, key = authority.issue("gateway")
        region = folder / "region.toml"
        region.write_text(REGION, encoding="utf-8")
        self.environ = {
            "GATEWAY_STATE_DIR": str(folder / "state"),
            "GATEWAY_REDIS_URL": "redis://127.0.0.1:1/0",
            "GATEWAY_REGION": str(region),
            "GATEWAY_ACCESS": "login",
            "GATEWAY_PUBLIC_URL": self.url,
            "GATEWAY_PORT": str(self.port),
            "GATEWAY_METRICS_PORT": str(self.metrics_port),
            "GATEWAY_WEB_WORKERS": "2",
            "GATEWAY_LOG_FORM": "json",
        }
        if scheme == "https":
            self.environ["GATEWAY_TLS_CERTIFICATE_FILE"] = str(certificate)
            self.environ["GATEWAY_TLS_KEY_FILE"] = str(key)
        self.run("init")
        self.program = self.start()

    def run(self, *words: str) -> None:
        command = [sys.executable, "-m", "gateway.cli", *words]
        with Program(
            words[0], command, self.folder / f"{words[0]}.log", environ=self.environ
        ) as run:
            wait_until(lambda: not run.alive, 60, words[0])

    def start(self) -> Program:
        command = [sys.executable, "-m", "gateway.cli", "web"]
        program = Program(
            "web", command, self.folder / "web.log", environ=self.environ,
            ready=lambda: self.is_ready(),
        )  # fmt: skip
        return program.start()

    def is_ready(self) -> bool:
        try:
            return self.get("/healthz").ok
        except requests.ConnectionError:
            return False

    def get(self, path: str, **more) -> requests.Response:
        return requests.get(self.url + path, verify=str(self.authority.file), timeout=60, **more)

    def metrics(self) -> str:
        url = f"https://localhost:{self.metrics_port}/metrics"
        answer = requests.get(url, verify=str(self.authority.file), timeout=60)
        answer.raise_for_status()
        return answer.text


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    found = Served(
        tmp_path_factory.mktemp("network"), Authority(tmp_path_factory.mktemp("authority"))
    )
    yield found
    found.program.ask_to_stop()
    wait_until(lambda: not found.program.alive, 60, "the gateway's end")


def test_it_speaks_tls_and_asks_who_comes(served: Served) -> None:
    answer = served.get("/dicom-web/studies")
    assert answer.status_code == 401
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
    assert "Secure" in served.get("/login").headers["Set-Cookie"]
    assert served.get("/healthz", headers={"Host": "evil.example"}).status_code == 400
    with pytest.raises(requests.ConnectionError):
        requests.get(f"http://localhost:{served.port}/healthz", timeout=60)


def test_a_request_has_one_id_in_answer_and_log(served: Served) -> None:
    named = "4bf92f3577b34da6"
    told = {"traceparent": f"00-{named}a3ce929d0e0e4736-00f067aa0ba902b7-01"}
    assert served.get("/readyz", headers=told).headers["X-Request-Id"] == named
    ours = served.get("/readyz", headers={"X-Request-Id": "<script>"}).headers["X-Request-Id"]
    assert len(ours) == 16
    answer = served.get("/dicom-web/studies", headers={"Authorization": "Bearer none"})
    assert answer.headers["X-Request-Id"] not in (named, ours)


def test_metrics_are_of_all_processes_and_of_nobody_else(served: Served) -> None:
    for _ in range(20):
        served.get("/healthz")
    assert served.get("/metrics").status_code == 404
    text = served.metrics()
    for line in (
        'gateway_request_seconds_count{route="health.alive",status="2xx"}',
        'gateway_site_answers{site="gkb1"} 0.0',
        'gateway_part_answers{part="database"} 1.0',
        'gateway_part_answers{part="redis"} 0.0',
    ):
        assert line in text
    served.get("/dicom-web/studies")  # a refusal is a line of the audit
    wait_until(lambda: "gateway_audit_rows" in served.metrics(), 60, "the line in its table")
    other = f"https://localhost:{served.metrics_port}/healthz"
    assert requests.get(other, verify=str(served.authority.file), timeout=60).status_code == 404


def test_a_slow_caller_is_let_go_by_nginx_too(served: Served, tmp_path: Path) -> None:
    """With the times of the project's own file cut to a second."""
    import socket

    from gateway.model.sites import Region, Site
    from gateway.nginx import configuration
    from gateway.settings import load_settings

    port = free_port()
    settings = load_settings({"GATEWAY_PORT": str(served.port)})
    region = Region("О", "R", "a", (Site("a", "А", "A", "http://127.0.0.1:9"),))
    text = configuration(settings, region, f"127.0.0.1:{port}", str(tmp_path / "decisions"))
    assert "client_header_timeout 10s;" in text
    assert "client_body_timeout 30s;" in text
    hurried = text.replace("client_header_timeout 10s", "client_header_timeout 1s")
    with Nginx(tmp_path / "nginx", port, hurried):
        for begun in (b"", b"GET / HTTP/1.1\r\nHost: localhost\r\n"):
            with socket.create_connection(("127.0.0.1", port), 60) as sock:
                assert drips_until_let_go(sock, begun) < 20


def test_a_renewed_certificate_is_taken_at_sighup(served: Served) -> None:
    def shown() -> bytes:
        context = ssl.create_default_context(cafile=str(served.authority.file))
        with closing(
            http.client.HTTPSConnection("localhost", served.port, context=context)
        ) as link:
            link.connect()
            return link.sock.getpeercert(binary_form=True)

    before = shown()
    served.authority.issue("gateway")
    os.kill(served.program.pid, signal.SIGHUP)
    wait_until(lambda: shown() != before, 120, "the new certificate")
