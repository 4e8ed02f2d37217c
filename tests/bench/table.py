"""The report of a run, as Markdown."""

import math
import os
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Protocol

from tests.bench.works import Work


class Row(Protocol):
    """One work with the values of all rounds."""

    work: Work
    direct: list[float]
    gateway: list[float]
    cpu_s: float
    moved: int
    asked: int
    errors: int

    @property
    def ratios(self) -> list[float]: ...


def print_table(rows: Sequence[Row], rounds: int, seconds: float, load: float) -> None:
    """Write the table and what it was measured on to standard output.

    load  of the machine before the run: what others did meanwhile
    """
    print(f"Machine: {os.cpu_count()} cores, {_cpu_model()}; servers and client share it.")
    print(f"Load of others before the run: {load:.1f} (above 0.5: trust the ratios only roughly).")
    print(f"{rounds} rounds in {seconds:.0f} s; medians. Ratio: speed of the gateway, 1.00 is as")
    print("fast as Orthanc asked directly. CPU: of the gateway's processes. Stand-ins are no")
    print("Orthancs but one process with prepared answers. Searches over many sites are compared")
    print("with asking all these sites at once, without putting their answers in order.")
    print()
    print("| work | direct | gateway | ratio (median) | min..max | gateway CPU |")
    print("|---|--:|--:|--:|--:|--:|")
    for row in rows:
        print("| " + " | ".join(_cells(row)) + " |")
    errors = sum(row.errors for row in rows)
    asked = sum(row.asked for row in rows)
    print(f"\nWrong, cut or missing answers: {errors} (of {asked} to the gateway, and as many")
    print("direct; every one was judged by its UIDs, its bytes, or its length and its end)")


def _cells(row: Row) -> list[str]:
    unit = row.work.unit
    ratios = [ratio for ratio in row.ratios if not math.isnan(ratio)]
    spread = f"{min(ratios):.2f}..{max(ratios):.2f}" if ratios else "-"
    return [
        row.work.name,
        f"{_number(median(row.direct))} {unit}",
        f"{_number(median(row.gateway))} {unit}",
        f"{median(ratios):.2f}" if ratios else "-",
        spread,
        _cpu(row),
    ]


def _cpu(row: Row) -> str:
    if row.work.per == "GB":
        return f"{row.cpu_s / (row.moved / 1e9):.2f} s/GB" if row.moved else "-"
    return f"{_number(1000 * row.cpu_s / row.asked)} ms each" if row.asked else "-"


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _cpu_model() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((x.partition(":")[2].strip() for x in lines if x.startswith("model name")), "?")
