"""The servers of one run: three real Orthancs with studies, stand-in sites, and gateways over them.

Everything lies in one temporary folder, listens on free ports of loopback, and ends with the run.
"""

import base64
import sys
from collections.abc import Mapping
from pathlib import Path

from gateway.demo.servers import REPOSITORY, OrthancServer, Program, free_port
from gateway.nginx import configuration
from gateway.region_file import load_region
from gateway.settings import PREFIX, Settings
from tests.bench.client import Broken, Client
from tests.nginx import Nginx, family_cpu_s

SITE_IDS = ("gkb1", "magnit", "zlat")  # the CT and what is stored lie at the first
USERNAME = "bench"
MANY_SITES = (3, 10, 30)
SLOW_MS = 50  # how far away a hospital may be


class Gateway(Program):
    """The gateway's web processes, as `gateway web` starts them."""

    def __init__(
        self,
        name: str,
        folder: Path,
        region: str,
        workers: int,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.port = free_port()
        folder.mkdir()
        self.region_file = folder / "region.toml"
        self.region_file.write_text(region, encoding="utf-8")
        environ = {
            "PYTHONPATH": str(REPOSITORY),
            PREFIX + "STATE_DIR": str(folder),
            PREFIX + "WEB_WORKERS": str(workers),
            PREFIX + "LOG_LEVEL": "WARNING",
            PREFIX + "PROXY_DECISION_S": "10",
            **{PREFIX + key: value for key, value in (settings or {}).items()},
        }
        command = [sys.executable, "-m", "gateway.cli", "web"]
        command += ["--region", str(self.region_file), "--port", str(self.port)]
        super().__init__(name, command, folder / "gateway.log", environ=environ, folder=folder)

    def is_ready(self) -> bool:
        """Whether /healthz answers."""
        client = Client(self.port)
        try:
            return self.alive and client.ask("GET", "/healthz").status == 200
        except (OSError, Broken):
            return False
        finally:
            client.close()

    def cpu_s(self) -> float:
        """Processor seconds of all its processes until now, user and system."""
        return family_cpu_s(self.pid)


class Front(Nginx):
    """The nginx that the gateway wants before itself, by `gateway nginx-config`."""

    def __init__(self, folder: Path, gateway: Gateway) -> None:
        self.gateway = gateway
        port = free_port()
        printed = configuration(
            Settings(port=gateway.port, proxy_decision_s=10),
            load_region(gateway.region_file),
            f"127.0.0.1:{port}",
            str(folder / "decisions"),
        )
        super().__init__(folder, port, printed)

    def cpu_s(self) -> float:
        """Processor seconds of nginx and of the gateway behind it."""
        return super().cpu_s() + self.gateway.cpu_s()


def plain_proxy(folder: Path, orthanc: OrthancServer) -> Nginx:
    """nginx alone before one Orthanc: what a proxy that decides nothing can reach."""
    port = free_port()
    login = base64.b64encode(":".join(orthanc.auth).encode()).decode()
    servers = PLAIN_PROXY.format(port=port, site=orthanc.http_port, login=login)
    return Nginx(folder, port, servers)


PLAIN_PROXY = """
upstream site {{ server 127.0.0.1:{site}; keepalive 32; keepalive_timeout 800ms; }}
server {{
    listen 127.0.0.1:{port};
    location / {{
        proxy_pass http://site;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header Host $http_host;
        proxy_set_header Authorization "Basic {login}";
        proxy_request_buffering off;
        proxy_buffers 16 128k;
        proxy_buffer_size 128k;
        proxy_busy_buffers_size 256k;
        proxy_max_temp_file_size 0;
        client_max_body_size 0;
    }}
}}"""
