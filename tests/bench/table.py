"""The report of a run, as Markdown."""

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Protocol

from tests.bench.works import Work


class Cost(Protocol):
    """What one side of a work took and gave in all rounds."""

    cpu_s: float
    moved: int
    asked: int
    errors: int


class Row(Protocol):
    """One work with the values of all rounds."""

    work: Work
    values: Mapping[str, list[float]]

    @property
    def costs(self) -> Mapping[str, Cost]: ...

    def ratios(self, side: str, to: str) -> list[float]: ...


def print_table(rows: Sequence[Row], rounds: int, seconds: float, load: float) -> None:
    """Write the table and what it was measured on to standard output.

    load  of the machine before the run: what others did meanwhile
    """
    print(f"Machine: {os.cpu_count()} cores, {_cpu_model()}; servers and client share it.")
    print(f"Load of others before the run: {load:.1f} (above 0.5: trust the ratios only roughly).")
    print(f"{rounds} rounds in {seconds:.0f} s; medians. Ratios are of speed, 1.00 is as fast as")
    print("Orthanc asked directly, or as a tuned nginx before it. CPU: of the gateway's or nginx's")
    print(
        "processes. Stand-ins are no Orthancs but one process with prepared answers. Searches over"
    )
    print("many sites are compared with asking all these sites at once, without putting their")
    print("answers in order.")
    print()
    print("| work | asked | | to direct | min..max | to nginx | CPU |")
    print("|---|---|--:|--:|--:|--:|--:|")
    for row in rows:
        for side in row.work.sides:
            print("| " + " | ".join(_cells(row, side)) + " |")
    costs = [cost for row in rows for cost in row.costs.values()]
    print(f"\nWrong, cut or missing answers: {sum(cost.errors for cost in costs)} of", end=" ")
    print(f"{sum(cost.asked for cost in costs)}; every one was judged by its UIDs, its bytes,")
    print("or its length and its end.")


def _cells(row: Row, side: str) -> list[str]:
    to_direct = _known(row.ratios(side, "direct"))
    to_nginx = _known(row.ratios(side, "nginx")) if "nginx" in row.work.sides else []
    first = side == "direct"
    return [
        row.work.name if first else "",
        side,
        f"{_number(median(row.values[side]))} {row.work.unit}",
        f"{median(to_direct):.2f}" if to_direct and not first else "",
        f"{min(to_direct):.2f}..{max(to_direct):.2f}" if to_direct and not first else "",
        f"{median(to_nginx):.2f}" if to_nginx and side not in ("direct", "nginx") else "",
        "" if first else _cpu(row, row.costs[side]),
    ]


def _known(ratios: Sequence[float]) -> list[float]:
    return [ratio for ratio in ratios if not math.isnan(ratio)]


def _cpu(row: Row, cost: Cost) -> str:
    if row.work.per == "GB":
        return f"{cost.cpu_s / (cost.moved / 1e9):.2f} s/GB" if cost.moved else "-"
    return f"{_number(1000 * cost.cpu_s / cost.asked)} ms each" if cost.asked else "-"


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _cpu_model() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((x.partition(":")[2].strip() for x in lines if x.startswith("model name")), "?")
