"""`gateway rollout snapshot` and `correct`: what the keeper does each night, and what only a person
may: put a frozen month right.
"""

from datetime import date, datetime
from pathlib import Path

import click

from gateway.clock import utc_now
from gateway.commands.opening import open_quietly, region_option
from gateway.errors import GatewayError
from gateway.model.rollout.figures import SnapshotKind
from gateway.records.register import first_day
from gateway.records.snapshots import Order
from gateway.rollout.report import backfill, correct, last_day, month_end, take


@click.command("snapshot")
@click.option("--day", type=click.DateTime(["%Y-%m-%d"]), help="Only this one: YYYY-MM-DD.")
@region_option
def snapshot_command(day: datetime | None, region: Path | None) -> None:
    """Take what is due: each month since the register begins, and the last nights."""
    bench, now = open_quietly(region), utc_now()
    try:
        last, first = last_day(bench.region_file.region, now), first_day(bench.records)
        if first is None:
            raise click.ClickException("учёт пуст / the register is empty")
        if day is None:
            done = backfill(bench.records, bench.savings, last, now)
        else:
            done = take(bench.records, _orders(day.date(), first, last), bench.savings, now)
    except GatewayError as error:
        raise click.ClickException(str(error)) from error
    for one in done:
        click.echo(f"{one.day}: {one.kind}")
    click.echo(f"снимков сделано / snapshots taken: {len(done)}")


def _orders(day: date, first: date, last: date) -> list[Order]:
    if not first <= day <= last:
        raise click.ClickException(f"--day: от / from {first} до / to {last}")
    kinds = [SnapshotKind.NIGHTLY, *([SnapshotKind.MONTH] if day == month_end(day) else [])]
    return [Order(day, kind) for kind in kinds]


@click.command("correct")
@click.argument("month", type=click.DateTime(["%Y-%m"]), metavar="MONTH")
@click.option("--reason", required=True, help="Why; it stands beside the new figures for ever.")
@region_option
def correct_command(month: datetime, reason: str, region: Path | None) -> None:
    """Measure a frozen month (YYYY-MM) again; the earlier versions stay."""
    bench = open_quietly(region)
    try:
        snapshot = correct(bench.records, month.date(), reason, bench.savings, utc_now())
    except GatewayError as error:
        raise click.ClickException(str(error)) from error
    share = snapshot.region.digital
    click.echo(
        f"{month:%Y-%m}: версия / version {snapshot.version}, "
        f"цифровых / digital {share.part} из / of {share.whole}"
    )


snapshot_commands = (snapshot_command, correct_command)
