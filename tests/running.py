"""A gateway as in production (gunicorn, gevent) in front of given sites, for real-server tests."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import requests

from gateway.demo.servers import OrthancServer, Program, answers, free_port
from tests.forked import ForkedProgram
from tests.studies import Instance


def region_toml(sites: Mapping[str, str], servers: Mapping[str, OrthancServer], home: str) -> str:
    """region.toml over site id -> URL (a proxy's perhaps); logins are those of the servers."""
    tables = [f'[region]\nname_ru = "Область"\nname_en = "Region"\nhome_site = "{home}"\n']
    tables += [
        f'[[site]]\nid = "{site_id}"\nname_ru = "{site_id}"\nname_en = "{site_id}"\nurl = "{url}"\n'
        f'role = "{"archive" if site_id == "archive" else "hospital"}"\n'
        f'username = "{servers[site_id].username}"\npassword_file = "{site_id}.password"\n'
        'time_zone = "Asia/Yekaterinburg"\n'
        for site_id, url in sites.items()
    ]
    return "\n".join(tables)


@dataclass
class RunningGateway:
    """A web process and what it stands in front of."""

    url: str
    folder: Path
    program: Program

    @property
    def dicomweb(self) -> str:
        return self.url + "/dicom-web"

    def get(self, path: str, **options: object) -> requests.Response:
        """GET below the DICOMweb root; the path is sent as it is written."""
        return requests.get(self.dicomweb + path, timeout=30, **options)  # type: ignore[arg-type]


def start_gateway(
    folder: Path,
    sites: Mapping[str, str],
    servers: Mapping[str, OrthancServer],
    *,
    home: str,
    settings: Mapping[str, str] | None = None,
    port: int | None = None,
    more: str = "",
    wrap: Sequence[str] = (),
) -> RunningGateway:
    """Write region.toml into `folder` and start `gateway web`; the caller stops `program`.

    more  lines for the last site's table
    wrap  a command that starts the one behind it
    """
    for site_id, server in servers.items():
        (folder / f"{site_id}.password").write_text(server.password)
    region = folder / "region.toml"
    region.write_text(region_toml(sites, servers, home) + more, encoding="utf-8")
    port = port or free_port()
    environment = {
        "GATEWAY_STATE_DIR": str(folder / "state"),
        "GATEWAY_WEB_WORKERS": "1",
        "GATEWAY_REDIS_URL": "redis://127.0.0.1:1/0",
        **(settings or {}),
    }
    command = [sys.executable, "-m", "gateway.cli", "web", "--region", str(region)]
    begun_by = Program if wrap else ForkedProgram
    program = begun_by(
        "web",
        [*wrap, *command, "--port", str(port)],
        folder / "web.log",
        environ=environment,
        ready=lambda: answers(port, "/healthz"),
    )
    return RunningGateway(f"http://127.0.0.1:{port}", folder, program.start())


def load(server: OrthancServer, instances: Iterable[Instance]) -> None:
    """Give files to an Orthanc by its own door, not through the gateway."""
    with requests.Session() as session:
        session.auth = (server.username, server.password)
        for instance in instances:
            session.post(server.url + "/instances", data=instance.data).raise_for_status()
