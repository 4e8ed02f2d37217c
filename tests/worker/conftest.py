import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from gateway.demo.servers import REPOSITORY, Program, RedisServer, free_port
from gateway.records.engine import Records, open_records
from tests.databases import open_without_rows
from tests.forked import ForkedProgram
from tests.waiting import wait_until

REGION_HEAD = '[region]\nname_ru = "Область"\nname_en = "Region"\n'


def write_region(file: Path, *, probe_s: float = 0.5, **sites: str) -> Path:
    """region.toml with sites by id and URL, written in one step."""
    text = REGION_HEAD
    for site_id, url in sites.items():
        text += f'[[site]]\nid = "{site_id}"\nname_ru = "{site_id}"\nname_en = "{site_id}"\n'
        text += f'url = "{url}"\nkind = "dicomweb"\n'
        text += f"timeouts = {{connect_s = 0.5, probe_s = {probe_s}}}\n"
    draft = file.with_suffix(".new")
    draft.write_text(text)
    return draft.replace(file)


def wait_for_worker(redis, name="routine"):
    wait_until(lambda: redis.scard(f"rq:workers:{name}"), 60, "a worker")


@pytest.fixture
def database(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'gateway.db'}"
    records = open_without_rows(url)
    records.close()
    return url


@pytest.fixture
def records(database: str) -> Iterator[Records]:
    records = open_records(database)
    yield records
    records.close()


@pytest.fixture
def redis(redis_server: RedisServer) -> Iterator[Redis]:
    """The session's Redis, emptied."""
    client = Redis.from_url(redis_server.url)
    client.flushdb()
    yield client
    client.close()


@pytest.fixture
def dead_url() -> str:
    """An address where nobody listens."""
    return f"http://127.0.0.1:{free_port()}"


@pytest.fixture
def region(tmp_path, dead_url):
    return write_region(tmp_path / "region.toml", gkb1=dead_url)


@pytest.fixture
def start(tmp_path, database, region, redis_server):
    """start("keeper") or start("worker --queue routine") -> a process that lives."""
    programs = []

    def start_program(what, redis_url=redis_server.url, **more):
        log = tmp_path / f"{len(programs)}.log"
        command = [sys.executable, "-m", "gateway.cli", *what.split(), "--region", str(region)]
        environ = {"GATEWAY_DATABASE_URL": database, "GATEWAY_REDIS_URL": redis_url, **more}
        # On another path lie other packages than those that are imported already.
        begun_by = Program if "PYTHONPATH" in more else ForkedProgram
        program = begun_by(what, command, log, folder=REPOSITORY, environ=environ)
        programs.append(program)
        return program.start()

    yield start_program
    for program in programs:
        program.stop()


@pytest.fixture
def site_that_hangs():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
