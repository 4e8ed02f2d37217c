"""Many clients in a process of their own, so that their CPU is not the gateway's.

    python -m tests.bench.index_load PORT CLIENTS SECONDS < targets, one in a line

Each client keeps a connection and asks one search after the other; prints what came of it as JSON.
"""

import json
import sys
import threading
import time
from itertools import count
from random import Random

from tests.bench.client import Broken, Client


def load(port: int, clients: int, seconds: float, targets: list[str]) -> dict[str, float]:
    """Searches a second, their p95, the CPU that all clients took, and how many went wrong."""
    spans: list[float] = []
    faults: list[str] = []
    turn = count()
    end = time.perf_counter() + seconds

    def run() -> None:
        client = Client(port)
        while (begin := time.perf_counter()) < end:
            try:
                answer = client.ask("GET", targets[next(turn) % len(targets)])
            except (OSError, Broken) as error:
                faults.append(type(error).__name__)
                continue
            spans.append(time.perf_counter() - begin)
            if answer.status != 200 or answer.content[:1] != b"[":
                faults.append(str(answer.status))
        client.close()

    cpu_s, begin = time.process_time(), time.perf_counter()
    threads = [threading.Thread(target=run) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wall_s, cpu_s = time.perf_counter() - begin, time.process_time() - cpu_s
    spans.sort()
    return {
        "each_s": len(spans) / wall_s,
        "p95_ms": 1000 * spans[int(len(spans) * 0.95)] if spans else float("nan"),
        "asked": len(spans),
        "client_cores": cpu_s / wall_s,
        "wall_s": wall_s,
        "errors": len(faults),
    }


if __name__ == "__main__":
    port, clients, seconds = sys.argv[1:]
    lines = sys.stdin.read().split()
    Random(3).shuffle(lines)  # noqa: S311 - orders work, guards nothing
    print(json.dumps(load(int(port), int(clients), float(seconds), lines)))
