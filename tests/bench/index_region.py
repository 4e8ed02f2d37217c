"""Gateways over a made-up index: web processes as in production, and what a keeper would do.

No site is ever needed: the index answers for those whose feed is said to be read just now. Dead
sites are those of which nothing was read for an hour; half of them refuse connections, half take
them and are silent.
"""

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path

from gateway.clock import utc_now
from gateway.demo.servers import RedisServer, free_port
from gateway.records.engine import open_records
from gateway.records.indexing import save_read_at
from gateway.records.leases import Fence, take_lease
from tests.bench.index_fill import site_names
from tests.bench.region import Gateway, region_toml

BEAT_S = 2.0
"""As GATEWAY_FOLLOW_EVERY_S: how often the keeper writes that it has read the feeds."""


@contextmanager
def gateway_over(
    url: str, sites: int, folder: Path, *, dead: int = 0, workers: int = 1
) -> Iterator[Gateway]:
    """A running gateway whose region has the sites of index_fill.py.

    dead  so many of the sites, the last ones, have been silent for an hour
    """
    site_ids = site_names(sites)
    alive, gone = site_ids[: sites - dead], site_ids[sites - dead :]
    with ExitStack() as stack:
        silent = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=4096))
        silent_port, refusing_port = silent.getsockname()[1], free_port()
        ports = [(silent_port, refusing_port)[number % 2] for number in range(sites)]
        region = region_toml(
            [(site_id, port, "") for site_id, port in zip(site_ids, ports, strict=True)]
        )
        stack.enter_context(_beating(url, alive, gone))
        redis = stack.enter_context(RedisServer(folder / "redis", free_port(), password="bench"))
        settings = {"DATABASE_URL": url, "REDIS_URL": redis.url}
        name = f"over {sites} sites, {dead} dead"
        yield stack.enter_context(Gateway(name, folder / "web", region, workers, settings))


@contextmanager
def _beating(url: str, alive: Sequence[str], gone: Sequence[str]) -> Iterator[None]:
    """Say again and again that the feeds of these sites were read, as the keeper does."""
    records, ended = open_records(url), threading.Event()
    now = utc_now()
    fence = Fence("keeper", take_lease(records, "keeper", "bench", now, 24 * 3600))
    long_ago = dict.fromkeys(gone, now - timedelta(hours=1))
    save_read_at(records, long_ago | dict.fromkeys(alive, now), fence)

    def beat() -> None:
        while not ended.wait(BEAT_S):
            save_read_at(records, dict.fromkeys(alive, utc_now()), fence)

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        records.close()
