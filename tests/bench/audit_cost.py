"""`python -m tests.bench.audit_cost`: what the audit adds to a small request.

Two applications over one index, side by side in turns: one writes its lines, one does not. Time is
that of the processor; the lines go into the table elsewhere, which is counted apart.
"""

import tempfile
import time
from pathlib import Path
from statistics import median

import click
from flask import Flask, g

from gateway.model.access import Actor, Duty, Reach, Role
from gateway.web import create_app
from tests.web.rows import ROWS, U
from tests.web.signing_in import login_gateway

WHO = Actor("bench", (Duty(Role.SERVICE, Reach()),), kind="token")
SEARCH = f"/dicom-web/studies?StudyInstanceUID={U}.1"
ROUNDS = 15


def unwritten() -> Actor:
    g.auditor = None  # before anything was decided
    return WHO


def cpu_ms(app: Flask, times: int) -> float:
    """Of one request, by the processor's clock."""
    client = app.test_client()
    begin = time.process_time()
    for _ in range(times):
        client.get(SEARCH).close()
    return (time.process_time() - begin) * 1000 / times


@click.command()
@click.option("--requests", "times", default=200, show_default=True, help="In each of 15 rounds.")
def main(times: int) -> None:
    """Measure both, and how long a batch takes into the table."""
    with (
        tempfile.TemporaryDirectory() as folder,
        login_gateway(Path(folder), {name: ROWS[name] for name in ROWS}) as (gateway, _),
    ):
        written, silent = create_app(gateway, lambda: WHO), create_app(gateway, unwritten)
        for app in (written, silent):
            cpu_ms(app, 20)
        pairs = [(cpu_ms(written, times), cpu_ms(silent, times)) for _ in range(ROUNDS)]
        journal = written.extensions["journal"]
        begin = time.process_time()
        lines = journal.drain(gateway.records)
        drained = (time.process_time() - begin) * 1000 / lines
    with_it, without = (median(side) for side in zip(*pairs, strict=True))
    adds = median(one - other for one, other in pairs)
    click.echo(f"with the audit {with_it:.3f} ms, without {without:.3f} ms: it adds {adds:.3f} ms")
    click.echo(f"each line's way into the table: {drained:.3f} ms, outside of the request")


if __name__ == "__main__":
    main()
