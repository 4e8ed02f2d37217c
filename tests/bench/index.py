"""`python -m tests.bench.index`: how long a search of a large study index takes, at the gateway.

Real web processes (gunicorn, as `gateway web` starts them) over a made-up index in SQLite and in
PostgreSQL, asked over HTTP. Kinds of search are shuffled inside each round, and the databases
follow each other; every answer is judged. CPU is that of the web processes and of the database's.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from statistics import median

import click
import orjson

from gateway.demo.servers import REPOSITORY
from gateway.settings import PREFIX
from tests.bench.client import Client
from tests.bench.index_databases import KINDS, Database, database, passing_folder
from tests.bench.index_questions import Question, questions
from tests.bench.index_region import gateway_over
from tests.bench.region import Gateway
from tests.nginx import family_cpu_s

SITES = 300
MANY_CLIENTS = 8
TARGET_MS, TARGET_EACH_S, TARGET_RATIO = 50, 100, 1.2
SPREAD = (3, 30, 300)
SPREAD_STUDIES = 20_000


@dataclass
class Measured:
    """What one kind of search took at one gateway."""

    question: Question
    spans_ms: list[float] = field(default_factory=list)
    cpu_s: float = 0.0
    errors: int = 0

    @property
    def p50_ms(self) -> float:
        return median(self.spans_ms)

    @property
    def p95_ms(self) -> float:
        return sorted(self.spans_ms)[int(len(self.spans_ms) * 0.95)]


@dataclass(frozen=True)
class Asked:
    """A gateway, the process of its database (0: none of its own), and a connection to it."""

    gateway: Gateway
    database_pid: int
    client: Client

    def cpu_s(self) -> float:
        own = self.gateway.cpu_s()
        return own + (family_cpu_s(self.database_pid) if self.database_pid else 0.0)

    def ask(self, measured: Measured, random: Random, times: int) -> None:
        """Ask so many searches of this kind; each answer is judged outside the time."""
        before_s = self.cpu_s()
        for _ in range(times):
            target, judge = measured.question.target(random)
            begin = time.perf_counter()
            answer = self.client.ask("GET", target)
            measured.spans_ms.append(1000 * (time.perf_counter() - begin))
            if answer.status != 200 or not judge(orjson.loads(answer.content)):
                measured.errors += 1
        measured.cpu_s += self.cpu_s() - before_s


@contextmanager
def asked(there: Database, sites: int, *, dead: int = 0, workers: int = 1) -> Iterator[Asked]:
    with (
        tempfile.TemporaryDirectory(prefix="gateway-index-") as folder,
        gateway_over(there.url, sites, Path(folder), dead=dead, workers=workers) as gateway,
    ):
        client = Client(gateway.port)
        yield Asked(gateway, there.pid, client)
        client.close()


def one_client(there: Asked, kinds: Sequence[Question], rounds: int, times: int) -> list[Measured]:
    """Every kind of search, one client; the first round warms up and is not counted."""
    random = Random(7)  # noqa: S311 - orders works, guards nothing
    for question in kinds:
        there.ask(Measured(question), random, 3)
    measured = [Measured(question) for question in kinds]
    for _ in range(rounds):
        for row in random.sample(measured, len(measured)):
            there.ask(row, random, times)
    return measured


def many_clients(there: Asked, kinds: Sequence[Question], seconds: float) -> dict[str, float]:
    """MANY_CLIENTS at once, the named kinds of search in equal parts; see index_load.py."""
    random = Random(11)  # noqa: S311 - orders works, guards nothing
    targets = [kind.target(random)[0] for kind in kinds if kind.wanted for _ in range(200)]
    before_s = there.cpu_s()
    command = [sys.executable, "-m", "tests.bench.index_load"]
    command += [str(there.gateway.port), str(MANY_CLIENTS), str(seconds)]
    done = subprocess.run(
        command, input="\n".join(targets), capture_output=True, text=True, check=True,
        cwd=REPOSITORY,
    )  # fmt: skip
    found: dict[str, float] = json.loads(done.stdout)
    return found | {"cores": (there.cpu_s() - before_s) / found["wall_s"]}


@dataclass
class Spread:
    """Search latency by number of sites, each beside the fewest sites in the same round."""

    sites: int
    dead: int
    there: Asked
    measured: list[Measured]
    rounds_ms: list[list[float]] = field(default_factory=list)


def over_sites(kind: str, folder: Path, rounds: int, times: int) -> list[Spread]:
    """The same number of studies at 3, 30 and 300 sites, all alive or a third of them dead."""
    random = Random(5)  # noqa: S311 - orders works, guards nothing
    kinds = [
        one for one in questions(SPREAD_STUDIES) if one.name in ("PatientID", "opening: 101 newest")
    ]
    with ExitStack() as stack:
        rows = []
        for sites in SPREAD:
            for dead in (0, sites // 3):
                place = folder / ("dead" if dead else "alive")
                there = stack.enter_context(database(kind, SPREAD_STUDIES, sites, place))
                gateway = stack.enter_context(asked(there, sites, dead=dead))
                rows.append(Spread(sites, dead, gateway, [Measured(one) for one in kinds]))
        for row in rows:
            for one in kinds:
                row.there.ask(Measured(one), random, times)
        for _ in range(rounds):
            for row in random.sample(rows, len(rows)):
                begins = [len(one.spans_ms) for one in row.measured]
                for one in row.measured:
                    row.there.ask(one, random, times)
                row.rounds_ms.append(
                    [
                        median(one.spans_ms[at:])
                        for one, at in zip(row.measured, begins, strict=True)
                    ]
                )
        return rows


@dataclass
class Report:
    """What was found out about one kind of database."""

    kind: str
    there: Database
    searches: list[Measured]
    load: dict[str, float]
    spread: list[Spread]


def run(kind: str, studies: int, rounds: int, times: int, folder: Path, only: str) -> Report:
    """All figures of one kind of database."""
    kinds = [one for one in questions(studies) if only in one.name]
    with database(kind, studies, SITES, folder) as there:
        with asked(there, SITES) as gateway:
            searches = one_client(gateway, kinds, rounds, times)
        with asked(there, SITES, workers=os.cpu_count() or 1) as gateway:
            many_clients(gateway, questions(studies), 2)  # warms the caches of each process
            load = many_clients(gateway, questions(studies), rounds)
    spread = [] if only else over_sites(kind, folder, rounds, times)
    return Report(kind, there, searches, load, spread)


def print_report(reports: Sequence[Report], studies: int) -> bool:
    """Write the tables to standard output; whether all targets are kept and no answer was wrong."""
    good = True
    print(f"\nStudy index: {studies} studies, {3 * studies} series, {SITES} sites; one client.")
    print("CPU: web process and database. A search without a target is told for comparison.\n")
    print(
        "| search | target p95 | " + " | ".join(f"{r.kind}: p50, p95, CPU" for r in reports) + " |"
    )
    print("|---|--:|" + "--:|" * len(reports))
    for rows in zip(*(report.searches for report in reports), strict=True):
        wanted = rows[0].question.wanted
        print(f"| {rows[0].question.name} | {f'{TARGET_MS} ms' if wanted else '-'} | ", end="")
        print(" | ".join(_cell(row) for row in rows) + " |")
        good &= not wanted or all(row.p95_ms <= TARGET_MS for row in rows)
        good &= not any(row.errors for row in rows)
    print("\n| | target | " + " | ".join(report.kind for report in reports) + " |")
    print("|---|--:|" + "--:|" * len(reports))
    for name, target, values in _lines(reports):
        print(f"| {name} | {target} | {' | '.join(values)} |")
    good &= all(report.load["each_s"] >= TARGET_EACH_S for report in reports)
    good &= not any(report.load["errors"] for report in reports)
    for report in reports:
        good &= all(max(_ratios(row, report)) <= TARGET_RATIO for row in report.spread)
        good &= not any(one.errors for row in report.spread for one in row.measured)
    return good


def _cell(row: Measured) -> str:
    cpu_ms = 1000 * row.cpu_s / len(row.spans_ms)
    wrong = f", {row.errors} WRONG" if row.errors else ""
    return f"{row.p50_ms:.1f}, {row.p95_ms:.1f}, {cpu_ms:.1f} ms{wrong}"


def _lines(reports: Sequence[Report]) -> Iterator[tuple[str, str, list[str]]]:
    """(what, target, one value for each report) of the second table."""
    loads = [report.load for report in reports]
    each_s = [f"{load['each_s']:.0f}/s" for load in loads]
    yield f"searches, {MANY_CLIENTS} clients, the six kinds", f"{TARGET_EACH_S}/s", each_s
    yield "- their p95", "-", [f"{load['p95_ms']:.0f} ms" for load in loads]
    yield "- cores: gateway and database", "-", [f"{load['cores']:.2f}" for load in loads]
    yield "- cores: clients, beside", "-", [f"{load['client_cores']:.2f}" for load in loads]
    yield (
        "- wrong or missing answers",
        "0",
        [f"{load['errors']:.0f} of {load['asked']:.0f}" for load in loads],
    )
    yield "size on disk", "-", [f"{report.there.size_bytes / 1e9:.2f} GB" for report in reports]
    fills = [f"{r.there.fill_s:.0f} s" if r.there.fill_s else "kept" for r in reports]
    yield "bulk fill", "-", fills
    for rows in zip(*(report.spread for report in reports), strict=True):
        dead = f", {rows[0].dead} of them dead" if rows[0].dead else ""
        for at, one in enumerate(rows[0].measured):
            yield (
                f"{one.question.name}, {rows[0].sites} sites{dead}",
                f"{TARGET_RATIO}",
                [
                    f"{_ratios(row, report)[at]:.2f} ({row.measured[at].p50_ms:.1f} ms)"
                    for row, report in zip(rows, reports, strict=True)
                ],
            )


def _ratios(row: Spread, report: Report) -> list[float]:
    """Latency against that of the fewest sites, all alive: pairs of one round, their median."""
    base = report.spread[0]
    return [
        median(mine[at] / its[at] for mine, its in zip(row.rounds_ms, base.rounds_ms, strict=True))
        for at in range(len(row.measured))
    ]


@click.command()
@click.option("--studies", default=1_000_000, show_default=True)
@click.option("--rounds", default=10, show_default=True, help="How often each kind is measured.")
@click.option("--times", default=10, show_default=True, help="Searches of each kind in a round.")
@click.option("--quick", is_flag=True, help="A tenth of the studies, three rounds.")
@click.option("--database", "kinds", type=click.Choice(KINDS), multiple=True, default=KINDS)
@click.option("--keep", type=click.Path(path_type=Path), help="Folder that keeps the databases.")
@click.option("--only", default="", help="Kinds of search whose name holds this text.")
def main(
    studies: int,
    rounds: int,
    times: int,
    quick: bool,
    kinds: Sequence[str],
    keep: Path | None,
    only: str,
) -> None:
    """Print how long searches of a made-up index take, with the targets beside."""
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        del os.environ[name]  # settings of the caller's own region have no say here
    if quick:
        studies, rounds = studies // 10, 3
    load = os.getloadavg()[0]
    with passing_folder() as folder:
        reports = [run(kind, studies, rounds, times, keep or folder, only) for kind in kinds]
    print(f"Load of others before the run: {load:.1f} (above 0.5: trust the ratios only roughly).")
    sys.exit(0 if print_report(reports, studies) else 1)


if __name__ == "__main__":
    main()
