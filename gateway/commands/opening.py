"""How every command begins: options that all take, checked settings, the open database."""

from pathlib import Path
from typing import Any

import click

from gateway import log
from gateway.bootstrap import open_migrated
from gateway.demo.servers import write_private
from gateway.errors import GatewayError, SettingsError
from gateway.records.engine import Records
from gateway.region_file import RegionFile
from gateway.rollout.report import savings_of
from gateway.settings import Settings, load_settings
from gateway.worker.jobs import Bench

region_option = click.option(
    "--region", type=click.Path(path_type=Path), help="File that lists the sites (region.toml)."
)
json_option = click.option("--json", "as_json", is_flag=True, help="For machines.")


def load_settings_or_end(**overrides: Any) -> Settings:
    """Checked settings, or an end with every mistake on standard error."""
    try:
        return load_settings(**overrides)
    except SettingsError as error:
        raise click.ClickException(str(error)) from error


def open_database(settings: Settings) -> Records:
    """The database of the settings, closed at the end of the command."""
    try:
        records = open_migrated(settings)
    except GatewayError as error:
        raise click.ClickException(str(error)) from error
    click.get_current_context().call_on_close(records.close)
    return records


def open_bench(settings: Settings) -> Bench:
    """What keeper and workers work with, made after the settings were found right."""
    try:
        return Bench(open_database(settings), RegionFile(settings.region), savings_of(settings))
    except GatewayError as error:
        raise click.ClickException(str(error)) from error


def open_database_quietly(region: Path | None) -> tuple[Settings, Records]:
    """For a command that needs no sites: the log keeps to errors."""
    settings = load_settings_or_end(region=region)
    log.configure("ERROR", settings.log_form, settings.keyring_file)
    return settings, open_database(settings)


def open_quietly(region: Path | None) -> Bench:
    """The same for a command that only asks or tells: the log keeps to errors."""
    settings = load_settings_or_end(region=region)
    log.configure("ERROR", settings.log_form, settings.keyring_file)
    return open_bench(settings)


def give(text: str, output: Path | None) -> None:
    """To the terminal, or into a file that only its owner may read."""
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        write_private(output, text)
    except OSError as error:
        raise click.ClickException(str(error)) from error


def shown(value: object) -> str:
    """A value as a person reads it."""
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "-"
    words = {True: "да / yes", False: "нет / no", None: "? / unknown"}
    if isinstance(value, bool) or value is None:
        return words[value]
    return str(value) or "-"
