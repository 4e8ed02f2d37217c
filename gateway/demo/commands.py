"""`gateway demo ...`: what `make run`, `make demo-reset` and compose.yaml call."""

import sys
from functools import partial
from pathlib import Path

import click

from gateway.bootstrap import open_migrated
from gateway.clock import utc_now
from gateway.demo.equip import equip
from gateway.demo.fill import Load, Make, fill_sites
from gateway.demo.layout import DEFAULT_PORT, write_compose_files
from gateway.demo.region import reset_region, run_region, tell
from gateway.demo.servers import REPOSITORY
from gateway.errors import GatewayError
from gateway.settings import load_settings

folder_option = click.option(
    "--folder",
    envvar="REGION_DIR",
    default=REPOSITORY / ".region",
    show_default=".region in the project",
    type=click.Path(file_okay=False, path_type=Path),
    help="Data folder of the region (variable REGION_DIR).",
)


def demo_commands(make: Make, load: Load) -> click.Group:
    """The group `demo`; `make` and `load` bring the samples (see fill.py)."""
    fill = partial(fill_sites, make=make, load=load)

    @click.group()
    def demo() -> None:
        """A whole region on this machine: three hospitals, an archive and the gateway."""

    @demo.command()
    @folder_option
    @click.option(
        "--port",
        envvar="PORT",
        default=DEFAULT_PORT,
        show_default=True,
        help="Port of the gateway; the next ones are taken too (variable PORT).",
    )
    @click.option(
        "--front",
        envvar="FRONT",
        type=click.Choice(["", "nginx"]),
        default="",
        help="What stands in front of the gateway (variable FRONT).",
    )
    def run(folder: Path, port: int, front: str) -> None:
        """Start everything, load the samples, follow the logs until Ctrl-C."""
        sys.exit(run_region(folder, port, fill=fill, proxy=bool(front)))

    @demo.command("load")
    @click.option("--region", required=True, type=click.Path(path_type=Path), help="region.toml")
    @click.option(
        "--samples",
        required=True,
        type=click.Path(file_okay=False, path_type=Path),
        help="Folder of the sample studies; what is not complete in it is made anew.",
    )
    def load_samples(region: Path, samples: Path) -> None:
        """Bring the sample studies into the sites of a region that lack them."""
        try:
            fill(region, samples, tell)
        except GatewayError as error:
            raise click.ClickException(str(error)) from error

    demo.add_command(register)
    demo.add_command(reset)
    demo.add_command(init)
    return demo


@click.command()
@click.option("--region", required=True, type=click.Path(path_type=Path), help="region.toml")
def register(region: Path) -> None:
    """Fill an empty register of equipment with the sample region and what arrived of its units."""
    try:
        records = open_migrated(load_settings(region=region))
        try:
            made = equip(records, utc_now())
        finally:
            records.close()
    except GatewayError as error:
        raise click.ClickException(str(error)) from error
    if made is None:
        tell("Реестр не пуст, не тронут / The register is not empty and is left alone")
    else:
        tell(f"Реестр: {len(made.units)} строк / The register: {len(made.units)} rows")


@click.command()
@folder_option
def reset(folder: Path) -> None:
    """Empty the data folder of a region that does not run."""
    try:
        reset_region(folder)
    except (GatewayError, OSError) as error:
        raise click.ClickException(str(error)) from error
    tell(f"Пусто: {folder} / Empty: {folder}")


@click.command()
@folder_option
def init(folder: Path) -> None:
    """Write the passwords and files that compose.yaml mounts."""
    try:
        write_compose_files(folder / "compose")
    except OSError as error:
        raise click.ClickException(str(error)) from error
    tell(f"Готово: {folder / 'compose'} / Done. Now: docker compose up --build")
