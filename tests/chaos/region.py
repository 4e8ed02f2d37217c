"""Two hospitals, an archive behind a proxy, Redis, a database, keepers and workers of every queue.

What dies by itself is started again, as a service manager would; whatever runs here is fit to be
killed at any moment.
"""

import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa

from gateway.clock import utc_now
from gateway.demo.servers import GENERATIONS, OrthancServer, RedisServer, free_port
from gateway.model.routing.document import parse_rule_set
from gateway.records.engine import Records, open_records
from gateway.records.rules import activate, save_version
from gateway.records.schema import migrate
from tests.chaos.oracle import open_database
from tests.chaosproxy import ChaosProxy
from tests.forked import ForkedGateway
from tests.postgres import Postgres, postgres_server
from tests.running import region_toml

HOSPITALS = dict(zip(("gkb1", "magnit"), GENERATIONS, strict=True))
QUEUES = ("emergency", "emergency", "routine", "routine", "bulk", "verify", "verify")
KEEPERS = 2
RULES = """
site: {site}
rules:
  - id: trauma
    name: Экстренные сразу
    state: active
    when: {{all: [{{field: StudyDescription, op: contains, value: травма}}]}}
    then: [{{do: send, target: archive}}]
    schedule: {{lane: emergency}}
    stop: true
  - id: screening
    name: Скрининг без спешки
    state: active
    trigger: {{quiet_s: 3}}
    when: {{all: [{{field: StudyDescription, op: contains, value: скрининг}}]}}
    then: [{{do: send, target: archive}}]
    schedule: {{lane: bulk}}
    stop: true
  - id: ct
    name: КТ в архив
    state: active
    trigger: {{quiet_s: 2}}
    when: {{all: [{{field: ModalitiesInStudy, op: any_of, value: [CT]}}]}}
    then: [{{do: send, target: archive}}]
otherwise: [{{do: hold, reason: нет правила}}]
"""


@dataclass
class Region:
    """Everything that runs."""

    folder: Path
    hospitals: dict[str, OrthancServer]
    archive: OrthancServer
    proxy: ChaosProxy
    redis: RedisServer
    records: Records
    database: sa.Engine
    postgres: Postgres | None
    environ: dict[str, str]
    gateways: dict[str, ForkedGateway] = field(default_factory=dict)
    deaths: Counter[str] = field(default_factory=Counter)

    @property
    def workers(self) -> dict[str, ForkedGateway]:
        return {name: one for name, one in self.gateways.items() if "keeper" not in name}

    @property
    def keepers(self) -> dict[str, ForkedGateway]:
        return {name: one for name, one in self.gateways.items() if "keeper" in name}

    def start_gateways(self) -> None:
        """Start what is not alive. What was not killed by us is counted in `deaths`,
        by its last words."""
        names = [f"keeper-{n}" for n in range(KEEPERS)]
        names += [f"{queue}-{n}" for n, queue in enumerate(QUEUES)]
        for name in names:
            if name in self.gateways and self.gateways[name].alive:
                continue
            if name in self.gateways:
                self.deaths[self.gateways[name].last_words] += 1
            self.start(name)

    def start(self, name: str) -> None:
        """Start one of them, in place of the one before."""
        queue = name.rpartition("-")[0]
        words = ["keeper"] if queue == "keeper" else ["worker", "--queue", queue]
        words += ["--region", str(self.folder / "region.toml")]
        log = self.folder / f"{name}.log"
        self.gateways[name] = ForkedGateway(words, log, self.environ)

    def rule(self) -> None:
        """Activate RULES at both hospitals: from now on studies are sent."""
        for site_id in self.hospitals:
            _activate(self.records, site_id)

    def stop_gateways(self) -> None:
        for one in self.gateways.values():
            one.kill()


@contextmanager
def running(*, postgresql: bool, proxied: bool = True) -> Iterator[Region]:
    """All of it, still without rules and gateways; nothing is left of it afterwards.

    proxied  the gateway reaches the archive through the proxy
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gateway-chaos-")))
        servers = {
            site_id: OrthancServer(
                folder / site_id, site_id, free_port(), free_port(), username="tests",
                password=f"secret-of-{site_id}", generation=generation,
            )
            for site_id, generation in {**HOSPITALS, "archive": GENERATIONS[0]}.items()
        }  # fmt: skip
        for site_id, server in servers.items():
            stack.callback(server.kill)  # its folder is thrown away
            server.start()
            (folder / f"{site_id}.password").write_text(server.password)
        hospitals = {site_id: servers[site_id] for site_id in HOSPITALS}
        archive = servers["archive"]
        proxy = stack.enter_context(ChaosProxy(archive.http_port))
        redis = stack.enter_context(
            RedisServer(folder / "redis", free_port(), password="secret-of-redis")
        )
        postgres = stack.enter_context(postgres_server()) if postgresql else None
        url = postgres.url if postgres else f"sqlite:///{folder / 'gateway.db'}"
        urls = {site_id: server.url for site_id, server in hospitals.items()}
        urls["archive"] = proxy.url if proxied else archive.url
        text = region_toml(urls, servers, "gkb1")
        (folder / "region.toml").write_text(text, encoding="utf-8")
        records = open_records(url)
        stack.callback(records.close)
        migrate(records)
        database = open_database(url)
        stack.callback(database.dispose)
        environ = {
            "GATEWAY_DATABASE_URL": url, "GATEWAY_REDIS_URL": redis.url,
            "GATEWAY_FOLLOW_EVERY_S": "0.5", "GATEWAY_CHECK_EVERY_S": "20",
        }  # fmt: skip
        region = Region(
            folder, hospitals, archive, proxy, redis, records, database, postgres, environ
        )
        stack.callback(region.stop_gateways)
        yield region


def _activate(records: Records, site_id: str) -> None:
    rule_set, mistakes = parse_rule_set(RULES.format(site=site_id))
    assert rule_set is not None, mistakes
    now = utc_now()
    number = save_version(records, rule_set, "tests", "first", 0, now)
    activate(records, site_id, number, now, "tests", now)
