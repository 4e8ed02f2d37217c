"""How many studies a second one core of the keeper brings into the index, its memory meanwhile, and
how soon a stored study is found by search.

    python -m tests.bench.follow [--studies 20000] [--found 40] [--database URL]

The site of the fill is a stand-in in a process of its own (feed_stand_in.py); CPU is the follower's
alone. Discovery is measured on real servers (follow_discovery.py).
"""

import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import click

from gateway.clock import utc_now
from gateway.index.follow import Follower, Pace
from gateway.orthanc.wire import Wire
from gateway.records.engine import open_records
from gateway.records.indexing import Cursor, IndexWriter, load_sums
from gateway.records.leases import Fence, take_lease
from gateway.records.schema import migrate
from tests.bench.follow_discovery import measure_discovery
from tests.fakes import a_site


def _megabytes() -> float:
    """The keeper's own memory, without what it shares with other processes."""
    with open("/proc/self/statm") as statm:
        resident, shared = map(int, statm.read().split()[1:3])
    return (resident - shared) * resource.getpagesize() / 2**20


def measure_fill(studies: int, url: str) -> None:
    """Fill an empty index, then read the whole feed; print rates, and memory by the way."""
    command = [sys.executable, "-m", "tests.bench.feed_stand_in", str(studies)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as stand_in:
        assert stand_in.stdout is not None
        site = a_site("gkb1", url=f"http://127.0.0.1:{stand_in.stdout.readline().strip()}")
        records = open_records(url)
        migrate(records)
        fence = Fence("keeper", take_lease(records, "keeper", "bench", utc_now(), 86_400))
        writer = IndexWriter(records, "gkb1", fence, threading.Lock())
        follower = Follower(site, Wire(), records, writer, Pace(0.01, 1e9, 1e9, 1e9))

        def run(what: str) -> None:
            memory = [_megabytes()]
            wall, cpu = time.perf_counter(), time.process_time()
            looked = wall
            while follower.step() == 0.0 or follower._sweep is not None:
                if time.perf_counter() - looked > 1:
                    looked = time.perf_counter()
                    memory.append(_megabytes())
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            memory.append(_megabytes())
            print(
                f"{what}: {studies / wall:.0f} studies/s, {studies / cpu:.0f} per core "
                f"(wanted: 200); memory {memory[0]:.0f} MB, half-way "
                f"{memory[len(memory) // 2]:.0f}, most {max(memory):.0f}, at the end "
                f"{memory[-1]:.0f}; rows {load_sums(records, 'gkb1')}",
                flush=True,
            )

        run("first fill")
        began = utc_now()
        following = Cursor(0, "", "following", studies, studies, began, swept_at=began)
        writer.save(following)
        follower._cursor = None
        run("change feed")
        records.close()
        stand_in.kill()


@click.command()
@click.option("--studies", default=20_000, show_default=True, help="Of the stand-in; 0: no fill.")
@click.option("--found", default=40, show_default=True, help="Studies to look for; 0: none.")
@click.option("--database", default="", help="URL of an empty database for the fill, else SQLite.")
@click.option("--quick", is_flag=True, help="A tenth of each.")
def main(studies: int, found: int, database: str, quick: bool) -> None:
    """Print what following costs the keeper, and how soon search finds what was stored."""
    if quick:
        studies, found = studies // 10, found // 10
    with tempfile.TemporaryDirectory(prefix="gateway-follow-") as folder:
        if studies:
            measure_fill(studies, database or f"sqlite:///{folder}/gateway.db")
        if found:
            measure_discovery(Path(folder), found)


if __name__ == "__main__":
    main()
