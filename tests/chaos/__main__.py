"""`make chaos`: a region under random kills, freezes, cuts and wipes loses no study.

python -m tests.chaos [--studies 1000] [--kills 300] [--seed 1] [--postgresql]
"""

import os
import sys

import click

from tests.chaos.region import running
from tests.chaos.run import Verdict, run_chaos

PATIENCE_S = 600.0
SHOWN = 30


@click.command()
@click.option("--studies", default=1000, show_default=True, help="How many arrive.")
@click.option("--kills", "faults", default=300, show_default=True, help="How many strike.")
@click.option("--seed", default=1, show_default=True, help="Of studies, faults and moments.")
@click.option("--postgresql", is_flag=True, help="PostgreSQL instead of SQLite.")
def main(studies: int, faults: int, seed: int, *, postgresql: bool) -> None:
    """Let studies arrive while everything falls; then compare hospital, archive and rows."""
    with running(postgresql=postgresql) as region:
        verdict = run_chaos(region, studies, faults, seed, PATIENCE_S)
    database = "PostgreSQL" if postgresql else "SQLite"
    print(f"seed {seed}, {database}, {os.cpu_count()} cores, {verdict.seconds:.0f} s")
    _print(verdict)
    sys.exit(1 if verdict.wrong else 0)


def _print(verdict: Verdict) -> None:
    print(f"{verdict.studies} studies, {verdict.images} images of those that rules send")
    for title, counts in (
        ("struck", verdict.struck), ("deliveries", verdict.events), ("died", verdict.deaths)
    ):  # fmt: skip
        print(f"{title}: " + ", ".join(f"{n} {what}" for what, n in sorted(counts.items())))
    print(f"{verdict.looked} rows looked at the moment they said delivered")
    print(f"{verdict.by_person} had to be let go on by a person")
    for line in verdict.wrong[:SHOWN]:
        print(f"WRONG {line}")
    print(f"lost, falsely delivered, of wrong content or uncounted: {len(verdict.wrong)}")


if __name__ == "__main__":
    main()
