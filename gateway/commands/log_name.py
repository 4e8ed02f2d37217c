"""`gateway log-name`: from a study to its lines in the log, and back."""

from pathlib import Path

import click

from gateway.commands.opening import load_settings_or_end, open_quietly, region_option
from gateway.dicom.uids import is_lenient_uid
from gateway.log import Names
from gateway.records.studies import study_uids


@click.command("log-name")
@click.argument("name")
@region_option
def log_name(name: str, region: Path | None) -> None:
    """What a UID is called in the log; of such a name, the study of the index that it is of."""
    names = Names(load_settings_or_end(region=region).keyring_file)
    if is_lenient_uid(name):
        click.echo(names.of(name))
        return
    for uid in study_uids(open_quietly(region).records):
        if names.of(uid) == name:
            click.echo(uid)
            return
    raise click.ClickException("в указателе нет такого исследования / no such study in the index")
