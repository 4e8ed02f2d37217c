"""Starts a real keeper or worker process for a test: python -m tests.worker.run WHAT ..."""

import signal
import sys
import threading
from pathlib import Path

from gateway.errors import SettingsError
from gateway.log import configure
from gateway.records.engine import open_records
from gateway.region_file import RegionFile
from gateway.settings import Settings
from gateway.worker.jobs import Bench
from gateway.worker.keeper import run_keeper
from gateway.worker.rq_worker import run_worker


def main(what: str, database: str, region: str, redis_url: str) -> int:
    configure("INFO", "text")
    records, region_file = open_records(database), RegionFile(Path(region))
    if what != "keeper":
        try:
            return run_worker(what, redis_url, Bench(records, region_file))
        except SettingsError as error:
            print(error, file=sys.stderr)
            return 2
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_args: stop.set())
    run_keeper(Settings(redis_url=redis_url), region_file, records, stop)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
