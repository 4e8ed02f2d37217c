"""`gateway audit ...`: whether the audit is as it was written, and who touched what."""

import sys
from datetime import datetime, timedelta
from pathlib import Path

import click
import orjson

from gateway import log
from gateway.bootstrap import open_migrated
from gateway.clock import utc_now
from gateway.commands.opening import load_settings_or_end, region_option
from gateway.errors import GatewayError
from gateway.records import audit as rows
from gateway.records.engine import Records


def _open(region: Path | None) -> Records:
    settings = load_settings_or_end(region=region)
    log.configure("ERROR", settings.log_form)
    try:
        return open_migrated(settings)
    except GatewayError as error:
        raise click.ClickException(str(error)) from error


@click.group()
def audit() -> None:
    """Every access, one line each, chained so that a changed line shows."""


@audit.command()
@region_option
def verify(region: Path | None) -> None:
    """Look at all lines; ends with 1 if one was changed, taken out or put in."""
    looked, broken = rows.verify(_open(region))
    if broken is None:
        click.echo(f"строк / lines: {looked}, все на месте / all as they were written")
        return
    click.echo(f"▲ строка / line {broken}: не та, что была записана / not what was written")
    sys.exit(1)


@audit.command()
@region_option
@click.option("--study", default="", help="StudyInstanceUID: who touched it?")
@click.option("--actor", default="", help="Account or client id: what did it open?")
@click.option("--since", type=click.DateTime(), help="UTC; a day ago if not given.")
@click.option("--until", type=click.DateTime(), help="UTC; now if not given.")
@click.option("--most", default=1000, show_default=True, help="Lines to show.")
def show(
    region: Path | None, study: str, actor: str, since: datetime | None, until: datetime | None,
    most: int,
) -> None:  # fmt: skip
    """Lines as JSON, the oldest first."""
    now = utc_now()
    found = rows.load_entries(
        _open(region),
        study_uid=study,
        actor=actor,
        since=since.replace(tzinfo=now.tzinfo) if since else now - timedelta(days=1),
        until=until.replace(tzinfo=now.tzinfo) if until else now + timedelta(seconds=1),
        limit=most,
    )
    for entry in found:
        told = orjson.loads(entry.to_line())
        click.echo(orjson.dumps({k: v for k, v in told.items() if v not in ("", 0)}))
