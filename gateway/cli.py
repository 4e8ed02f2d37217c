"""`gateway ...`: starts the parts of a region and answers the questions of those who run it."""

import os
import sys
from pathlib import Path
from typing import Any

import click

from gateway.errors import SettingsError
from gateway.region_file import load_region
from gateway.settings import PREFIX, Settings, load_settings

_GUNICORN = """--worker-class gateway.server.Worker --worker-connections 1000 --keep-alive 75
    --graceful-timeout 30 --timeout 60 --no-control-socket"""

region_option = click.option(
    "--region", type=click.Path(path_type=Path), help="File that lists the sites (region.toml)."
)


@click.group()
@click.version_option(package_name="regional-imaging-gateway")
def main() -> None:
    """One DICOMweb address for all hospitals of a region."""


def _settings(**overrides: Any) -> Settings:
    """Checked settings, or an end with every mistake on standard error."""
    try:
        return load_settings(**overrides)
    except SettingsError as error:
        raise click.ClickException(str(error)) from error


@main.command()
@region_option
@click.option("--bind", help="Address to listen on; only loopback is accepted.")
@click.option("--port", type=int, help="Port to listen on.")
def web(region: Path | None, bind: str | None, port: int | None) -> None:
    """Serve DICOMweb, the viewer and the status pages."""
    settings = _settings(region=region, bind=bind, port=port)
    try:
        load_region(settings.region)
    except SettingsError as error:
        raise click.ClickException(str(error)) from error
    # Web processes read the same variables; what stood on the command line joins them.
    given = {"REGION": settings.region.absolute(), "BIND": settings.bind, "PORT": settings.port}
    os.environ.update({PREFIX + name: str(value) for name, value in given.items()})
    host = f"[{settings.bind}]" if ":" in settings.bind else settings.bind
    command = ["gunicorn", *_GUNICORN.split(), "--workers", str(settings.web_workers)]
    command += ["--bind", f"{host}:{settings.port}", "gateway.wsgi:create()"]
    os.execv(sys.executable, [sys.executable, "-m", *command])  # noqa: S606 - no shell wanted


@main.command("check-config")
@region_option
def check_config(region: Path | None) -> None:
    """Check settings and region.toml; tell every mistake and what to write instead."""
    settings = _settings(region=region)
    try:
        found = load_region(settings.region)
    except SettingsError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{settings.region}: {len(found.sites)} sites, no mistakes")


if __name__ == "__main__":
    main()
