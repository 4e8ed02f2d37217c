"""`make bench`: how fast the gateway is, as ratios to the same question put to Orthanc directly.

In each round all works are shuffled, and inside a work its sides (direct, the gateway and, where
a plain proxy could answer too, a tuned nginx); a ratio pairs two measurements of one round, the
table shows the median of the rounds.
"""

import os
import random
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import click

from tests.bench.client import Broken
from tests.bench.region import running
from tests.bench.table import print_table
from tests.bench.works import Asker, Work, all_works, check_whole_study

SMALL_STUDIES = 300


@dataclass
class Cost:
    """What one side took and gave in all rounds; `cpu_s` is that of its process."""

    cpu_s: float = 0.0
    moved: int = 0
    asked: int = 0
    errors: int = 0


@dataclass
class Measured:
    """What all rounds of one work gave, for each of its sides."""

    work: Work
    values: dict[str, list[float]] = field(init=False)
    costs: dict[str, Cost] = field(init=False)

    def __post_init__(self) -> None:
        self.values = {side: [] for side in self.work.sides}
        self.costs = {side: Cost() for side in self.work.sides}

    def ratios(self, side: str, to: str) -> list[float]:
        """Speed of one side, 1 for as fast as the other, one for each round."""
        pairs = zip(self.values[side], self.values[to], strict=True)
        return [b / a if self.work.unit == "ms" else a / b for a, b in pairs]


@dataclass(frozen=True)
class Sample:
    """One side of one work in one round."""

    value: float
    moved: int
    asked: int
    errors: int


def measure(work: Work, askers: Sequence[Asker]) -> Sample:
    """Let all callers ask at the same time; the value is in the work's unit."""
    spans: list[float] = []
    moved: list[int] = []
    faults: list[str] = []

    def run(asker: Asker) -> None:
        for _ in range(work.requests):
            try:
                start = time.perf_counter()
                asker.ask()
                spans.append(time.perf_counter() - start)
                good = asker.good()
            except (OSError, Broken, ValueError, KeyError) as error:
                faults.append(f"{type(error).__name__}: {error}")
                asker.prepare()
                continue
            moved.append(asker.bytes_moved)
            if not good:
                faults.append("a wrong answer")

    for asker in askers:
        asker.prepare()
    start = time.perf_counter()
    if len(askers) == 1:
        run(askers[0])
    else:
        threads = [threading.Thread(target=run, args=(asker,)) for asker in askers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    # What one caller does between its requests is judging; with many it overlaps their waiting.
    wall_s = sum(spans) if len(askers) == 1 else time.perf_counter() - start
    for fault in sorted(set(faults)):
        print(f"{work.name}: {fault} ({faults.count(fault)} times)", file=sys.stderr)
    if not spans or not moved:
        return Sample(float("nan"), 0, len(faults), len(faults))
    values = {
        "ms": 1000 * median(spans),
        "MB/s": sum(moved) / 1e6 / wall_s,
        "req/s": len(spans) / wall_s,
    }
    return Sample(values[work.unit], sum(moved), len(moved), len(faults))


def one_round(measured: Sequence[Measured], dice: random.Random) -> None:
    """Measure all sides of every work once, in an order of its own."""
    for row in dice.sample(measured, len(measured)):
        for name in dice.sample(list(row.work.sides), len(row.work.sides)):
            side, cost = row.work.sides[name], row.costs[name]
            before_s = side.process.cpu_s() if side.process else 0.0
            sample = measure(row.work, side.askers)
            row.values[name].append(sample.value)
            cost.cpu_s += side.process.cpu_s() - before_s if side.process else 0.0
            cost.moved += sample.moved
            cost.asked += sample.asked
            cost.errors += sample.errors


@click.command()
@click.option("--rounds", default=7, show_default=True, help="How often each work is measured.")
@click.option("--quick", is_flag=True, help="Two rounds: whether it works, not how fast.")
@click.option("--only", default="", help="Works whose name holds this text.")
@click.option("--seed", default=0, show_default=True, help="Of the order of the works.")
def main(rounds: int, quick: bool, only: str, seed: int) -> None:
    """Print how fast the gateway answers, against Orthanc asked directly."""
    dice = random.Random(seed)  # noqa: S311 - orders works, guards nothing
    started, load = time.monotonic(), os.getloadavg()[0]
    with (
        tempfile.TemporaryDirectory(prefix="gateway-bench-") as folder,
        running(Path(folder), SMALL_STUDIES) as servers,
    ):
        check_whole_study(servers)
        works = [work for work in all_works(servers) if only in work.name]
        one_round([Measured(work) for work in works], dice)  # warms caches, not counted
        measured = [Measured(work) for work in works]
        for _ in range(2 if quick else rounds):
            one_round(measured, dice)
        for work in works:
            work.close()
    print_table(measured, 2 if quick else rounds, time.monotonic() - started, load)
    sys.exit(1 if any(cost.errors for row in measured for cost in row.costs.values()) else 0)


if __name__ == "__main__":
    main()
