"""How many studies a second one core of the keeper brings into the index, and its memory.

    python -m tests.bench.follow [STUDIES] [DATABASE_URL]

The site is a stand-in in a process of its own (feed_stand_in.py); CPU is the follower's alone.
"""

import os
import resource
import subprocess
import sys
import tempfile
import threading
import time

from gateway.clock import utc_now
from gateway.index.follow import Follower, Pace
from gateway.orthanc.wire import Wire
from gateway.records.engine import open_records
from gateway.records.indexing import Cursor, IndexWriter, load_sums
from gateway.records.leases import Fence, take_lease
from gateway.records.schema import migrate
from tests.fakes import a_site


def _megabytes() -> float:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize() / 2**20


def measure(studies: int, url: str) -> None:
    """Fill an empty index, then read the whole feed; print both rates."""
    command = [sys.executable, "-m", "tests.bench.feed_stand_in", str(studies)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as stand_in:
        assert stand_in.stdout is not None
        site = a_site("gkb1", url=f"http://127.0.0.1:{stand_in.stdout.readline().strip()}")
        records = open_records(url)
        migrate(records)
        fence = Fence("keeper", take_lease(records, "keeper", "bench", utc_now(), 86_400))
        writer = IndexWriter(records, "gkb1", fence, threading.Lock())
        follower = Follower(site, Wire(), records, writer, Pace(0.01, 1e9, 1e9, 1e9))
        start_memory = _megabytes()

        def run(what: str) -> None:
            wall, cpu = time.perf_counter(), time.process_time()
            while follower.step() == 0.0 or follower._sweep is not None:
                pass
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            print(
                f"{what}: {studies / wall:.0f} studies/s, {studies / cpu:.0f} per core; "
                f"memory {start_memory:.0f} -> {_megabytes():.0f} MB; "
                f"rows {load_sums(records, 'gkb1')}"
            )

        run("first fill")
        began = utc_now()
        writer.save(Cursor(0, "", "following", studies, studies, began, began))
        follower._cursor = None
        run("change feed")
        records.close()
        stand_in.kill()


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    with tempfile.TemporaryDirectory() as folder:
        default = f"sqlite:///{os.path.join(folder, 'gateway.db')}"
        measure(count, sys.argv[2] if len(sys.argv) > 2 else default)
