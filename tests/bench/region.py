"""The servers of one run: three real Orthancs with studies, stand-in sites, and gateways over them.

Everything lies in one temporary folder, listens on free ports of loopback, and ends with the run.
"""

import base64
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.demo.servers import REPOSITORY, OrthancServer, Program, free_port
from gateway.nginx import configuration
from gateway.region_file import load_region
from gateway.settings import PREFIX, Settings
from tests.bench.client import Broken, Client
from tests.bench.studies import CT, SmallStudy, small_file, small_studies
from tests.nginx import Nginx, family_cpu_s
from tests.waiting import wait_until

SITE_IDS = ("gkb1", "magnit", "zlat")  # the CT and what is stored lie at the first
USERNAME = "bench"
MANY_SITES = (3, 10, 30)
SLOW_MS = 50  # how far away a hospital may be
INDEXED_S = 120.0
NEVER_OLD = {"MAX_INDEX_AGE_S": "86400"}


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

    @property
    def web_processes(self) -> list[int]:
        """Process ids of those that answer."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return [int(pid) for pid in children.split()]

    def index_once(self) -> None:
        """Let a keeper read its sites to their end; then none runs beside what is measured."""
        command = [sys.executable, "-m", "gateway.cli", "keeper"]
        command += ["--region", str(self.region_file)]
        home = self.log_file.parent
        with Program("keeper", command, home / "keeper.log", environ=self.environ, folder=home):
            wait_until(self._is_indexed, INDEXED_S, "the keeper")

    def _is_indexed(self) -> bool:
        client = Client(self.port)
        sites = json.loads(client.ask("GET", "/status/sites").content)["sites"]
        client.close()
        return all((site["index"] or {}).get("phase") == "following" for site in sites)


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


class StandIns(Program):
    """Stand-in sites in one process of their own; not Orthanc, see stand_ins.py."""

    def __init__(self, folder: Path, count: int, delay_ms: int) -> None:
        command = [sys.executable, "-m", "tests.bench.stand_ins", str(count), str(delay_ms)]
        log_file = folder / f"stand-ins-{count}-{delay_ms}.log"
        super().__init__(f"{count} stand-ins", command, log_file, folder=REPOSITORY)

    def is_ready(self) -> bool:
        """Whether it has written its ports."""
        return self.alive and self.log_tail().endswith("]")

    @property
    def ports(self) -> list[int]:
        return [int(port) for port in json.loads(self.log_tail(lines=1))]


@dataclass(frozen=True)
class ManySites:
    """A gateway over stand-in sites."""

    gateway: Gateway
    ports: Sequence[int]
    delay_ms: int


@dataclass(frozen=True)
class Servers:
    """All that is asked in a run. studies[n] are the small studies of orthancs[n].

    indexed  a gateway that knows the first Orthanc from the index; the others ask their sites
    """

    orthancs: Sequence[OrthancServer]
    gateway: Gateway
    indexed: Gateway
    nginx: Nginx
    front: Front
    studies: Sequence[Sequence[SmallStudy]]
    many: Sequence[ManySites]


@contextmanager
def running(folder: Path, studies_of_a_site: int) -> Iterator[Servers]:
    """Start and fill everything; stop everything at the end.

    raises  DemoError if a server does not start; Broken if one does not take its studies
    """
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        del os.environ[name]  # settings of the caller's own region have no say here
    with ExitStack() as stack:
        orthancs = [
            OrthancServer(
                folder / site_id,
                site_id,
                free_port(),
                free_port(),
                username=USERNAME,
                password=f"secret-of-{site_id}",
            )
            for site_id in SITE_IDS
        ]
        for orthanc in orthancs:
            stack.enter_context(orthanc)
        workers = os.cpu_count() or 1
        gateway = Gateway("gateway", folder / "web", real_region(orthancs, folder), workers)
        stack.enter_context(gateway)
        nginx = stack.enter_context(plain_proxy(folder / "nginx", orthancs[0]))
        front = stack.enter_context(Front(folder / "front", gateway))
        studies = [small_studies(n, studies_of_a_site) for n in range(len(orthancs))]
        with ThreadPoolExecutor(len(orthancs)) as pool:
            list(pool.map(fill, orthancs, studies, (True, False, False)))
        first_alone = real_region(orthancs[:1], folder)
        indexed = Gateway("indexed", folder / "indexed", first_alone, 1, NEVER_OLD)
        stack.enter_context(indexed).index_once()
        many = []
        for count, delay_ms in [(count, 0) for count in MANY_SITES] + [(MANY_SITES[-1], SLOW_MS)]:
            stand_ins = stack.enter_context(StandIns(folder, count, delay_ms))
            name = f"over-{count}-{delay_ms}"
            region = region_toml([(f"s{n}", port, "") for n, port in enumerate(stand_ins.ports)])
            over = stack.enter_context(Gateway(name, folder / name, region, workers=1))
            many.append(ManySites(over, stand_ins.ports, delay_ms))
        yield Servers(orthancs, gateway, indexed, nginx, front, studies, many)


def real_region(orthancs: Sequence[OrthancServer], folder: Path) -> str:
    sites = []
    for orthanc in orthancs:
        secret = folder / f"{orthanc.site_id}.secret"
        secret.write_text(orthanc.password)
        login = f'username = "{orthanc.username}"\npassword_file = "{secret}"\n'
        sites.append((orthanc.site_id, orthanc.http_port, login))
    return region_toml(sites)


def region_toml(sites: Sequence[tuple[str, int, str]]) -> str:
    """region.toml of (site id, port, further lines)."""
    tables = [
        f'[[site]]\nid = "{site_id}"\nname_ru = "{site_id}"\nname_en = "{site_id}"\n'
        f'url = "http://127.0.0.1:{port}"\n{more}'
        for site_id, port, more in sites
    ]
    head = '[region]\nname_ru = "Замер"\nname_en = "Bench"\n'
    return "\n".join([head + f'home_site = "{sites[0][0]}"\n', *tables])


def fill(orthanc: OrthancServer, studies: Sequence[SmallStudy], with_ct: bool) -> None:
    client = Client(orthanc.http_port, *orthanc.auth)
    files = [small_file(study) for study in studies] + list(CT.files if with_ct else ())
    for file in files:
        status = client.ask("POST", "/instances", "Expect:\r\n", file).status
        if status != 200:
            raise Broken(f"{orthanc.site_id} does not take a file: {status}")
    client.close()
