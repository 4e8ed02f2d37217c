"""Fixtures with real servers: Orthanc in both generations and Redis.

They start on first use, on free ports, in temporary folders, and are stopped by process id. A
server dies with the thread that started it, so tests start servers in the main thread only.
Everything here skips nothing: a missing server is a failure, `make test` installs them.
"""

from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, settings
from pydicom.data import get_testdata_file

from gateway.demo.servers import GENERATIONS, OrthancServer, RedisServer, free_port
from gateway.log import REQUEST
from gateway.records import engine
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


@pytest.fixture(scope="session", autouse=True)
def transactions_of_a_busy_machine() -> Iterator[None]:
    """PostgreSQL ends a transaction in which nothing was said for five seconds: for so long the
    process of the tests may stand still. Processes that they start keep to the five."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "IDLE_IN_TRANSACTION_S", 60)
        yield


StartOrthanc = Callable[..., OrthancServer]
_begun: list[pytest.FixtureRequest] = []
"""Of the test that runs, and of the fixtures that are being set up, the innermost last: for the
last one `start_orthanc` starts a server."""


class Begun:
    """A plugin of its own: hooks of this file are not called for fixtures of the session."""

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(
        self, request: pytest.FixtureRequest
    ) -> Generator[None, object, object]:
        _begun.append(request)
        try:
            return (yield)
        finally:
            _begun.pop()


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Begun())


@pytest.fixture(autouse=True)
def the_test_itself(request: pytest.FixtureRequest) -> Iterator[None]:
    _begun.insert(0, request)
    yield
    _begun.remove(request)


@pytest.fixture(scope="session", params=GENERATIONS, ids=lambda version: f"Orthanc {version}")
def orthanc_generation(request: pytest.FixtureRequest) -> str:
    """The Orthanc of Debian 12, then the one of Debian 13: whoever asks for it runs twice."""
    return str(request.param)


@pytest.fixture(scope="session")
def start_orthanc(tmp_path_factory: pytest.TempPathFactory) -> StartOrthanc:
    """start_orthanc("gkb1", generation=..., settings={...}) -> a running, empty OrthancServer.

    Each call starts another one, which ends with the fixture or the test that has called: of those
    that only rest a hundred take half a processor. Tests that break their server stop it
    themselves.
    """

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
        # Their folders are thrown away: a polite end would only cost two seconds each.
        _begun[-1].addfinalizer(server.kill)
        return server.start()

    return start


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
