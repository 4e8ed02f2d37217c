"""Fixtures with real servers: Orthanc in both generations and Redis.

They start on first use, on free ports, in temporary folders, and are stopped by process id. A
server dies with the thread that started it, so tests start servers in the main thread only.
Everything here skips nothing: a missing server is a failure, `make test` installs them.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, settings
from pydicom.data import get_testdata_file

from gateway.demo.servers import GENERATIONS, OrthancServer, RedisServer, free_port
from gateway.log import REQUEST
from tests.postgres import Postgres, postgres_server

# No test measures time: a busy machine is no defect.
settings.register_profile(
    "untimed", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
# `make fuzz`: eleven functions of tests/fuzz, so more than 100,000 cases.
settings.register_profile("fuzz", settings.get_profile("untimed"), max_examples=10_000)
settings.load_profile("untimed")


@pytest.fixture(autouse=True)
def logs_as_at_the_start() -> None:
    """A command that ran in this process may have set a level, or a stream that is closed now."""
    structlog.reset_defaults()
    REQUEST.set("")


StartOrthanc = Callable[..., OrthancServer]


@pytest.fixture(scope="session", params=GENERATIONS, ids=lambda version: f"Orthanc {version}")
def orthanc_generation(request: pytest.FixtureRequest) -> str:
    """The Orthanc of Debian 12, then the one of Debian 13: whoever asks for it runs twice."""
    return str(request.param)


@pytest.fixture(scope="session")
def start_orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartOrthanc]:
    """start_orthanc("gkb1", generation=..., settings={...}) -> a running, empty OrthancServer.

    Each call starts another one; all of them end with the session. Tests that break their server
    stop it themselves.
    """
    running: list[OrthancServer] = []

    def start(
        site_id: str = "gkb1", *, folder: Path | None = None, **options: Any
    ) -> OrthancServer:
        server = OrthancServer(
            folder or tmp_path_factory.mktemp(site_id),
            site_id,
            free_port(),
            free_port(),
            username="tests",
            password=f"secret-of-{site_id}",
            **options,
        )
        running.append(server)
        return server.start()

    yield start
    for server in running:
        # Their folders are thrown away: a polite end would only cost two seconds each.
        server.kill()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One Redis with a password for the whole session."""
    with RedisServer(
        tmp_path_factory.mktemp("redis"), free_port(), password="secret-of-redis"
    ) as server:
        yield server


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One PostgreSQL for the whole session."""
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_url(postgres: Postgres) -> str:
    return postgres.url


@pytest.fixture(scope="session")
def dicom_file() -> bytes:
    """One small CT image that ships inside pydicom's package."""
    return Path(str(get_testdata_file("CT_small.dcm", download=False))).read_bytes()
