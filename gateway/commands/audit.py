"""`gateway audit ...`: whether the audit is as it was written, who touched what, and its export."""

import os
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click
import orjson

from gateway.clock import utc_now
from gateway.commands.opening import (
    give,
    load_settings_or_end,
    open_database_quietly,
    region_option,
)
from gateway.commands.recorded import terminal_user
from gateway.errors import GatewayError, SettingsError
from gateway.model.audit import FIRST_HEAD, as_dict
from gateway.model.audit_forms import FORMS
from gateway.records import audit as rows
from gateway.records.audit_pages import Asked, walk
from gateway.records.audit_patients import find_studies
from gateway.records.audit_seals import load_seals, load_signer, seals_file
from gateway.records.engine import Records
from gateway.settings import Settings
from gateway.worker.forwarder import source_of
from gateway.worker.ledger import ALL, digests_of, entry_of


@click.group()
def audit() -> None:
    """Every access, one line each, chained and sealed so that a changed line shows."""


@audit.command()
@region_option
@click.option("--new", is_flag=True, help="Only what came after the last seal.")
@click.option(
    "--seals", "copies", type=click.Path(path_type=Path, exists=True, dir_okay=False),
    multiple=True, help="Copies of audit/seals.jsonl, kept elsewhere; beside our own.",
)  # fmt: skip
def verify(region: Path | None, new: bool, copies: Sequence[Path]) -> None:
    """Look at all lines; ends with 1 if one was changed, taken out or put in."""
    settings, records = open_database_quietly(region)
    try:
        signer = load_signer(settings)
        seals = [seal for path in (seals_file(settings), *copies) for seal in load_seals(path)]
        last = max(seals, key=lambda seal: seal.number, default=None)
        since = last.head if new and last is not None else FIRST_HEAD
        found = rows.verify(records, signer=signer, since=since, seals=seals)
        now = utc_now()
        line = entry_of(found, now, terminal_user(), "new" if since.number else ALL)
        rows.append(records, [line])
    except GatewayError as error:
        raise click.ClickException(str(error)) from error
    if not found.breaks:
        sealed = f"скреплено до / sealed up to: {found.sealed or since.number}"
        looked = f"строк / lines: {found.looked}"
        click.echo(f"{looked}, все на месте / all as they were written; {sealed}")
        return
    for number in found.breaks:
        click.echo(f"▲ строка / line {number}: не та, что была записана / not what was written")
    sys.exit(1)


@audit.command()
@region_option
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="A file, 0600.")
def seals(region: Path | None, output: Path | None) -> None:
    """The signed heads, one a line, to be kept elsewhere; the key that judges them on stderr."""
    settings = load_settings_or_end(region=region)
    try:
        signer, found = load_signer(settings), load_seals(seals_file(settings))
    except SettingsError as error:
        raise click.ClickException(str(error)) from error
    if signer is not None:
        click.echo(f"ed25519 {signer.public}", err=True)
    text = b"".join(seal.to_line() + b"\n" for seal in found).decode()
    give(text, output)


def _asking(command: Any) -> Any:
    """The options of what is asked for."""
    options = (
        click.option("--study", default="", help="StudyInstanceUID: who touched it?"),
        click.option("--actor", default="", help="Account or client id: what did it open?"),
        click.option("--patient", is_flag=True, help="Who touched a patient? Asks for the number."),
        click.option("--since", type=click.DateTime(), help="UTC; a day ago if not given."),
        click.option("--until", type=click.DateTime(), help="UTC; now if not given."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def _asked(
    settings: Settings, records: Records, study: str, actor: str, patient: bool,
    since: datetime | None, until: datetime | None,
) -> Asked:  # fmt: skip
    """A patient's number is typed in: the words of a command can be seen by all of the machine."""
    now = utc_now()
    begin = since.replace(tzinfo=now.tzinfo) if since else now - timedelta(days=1)
    end = until.replace(tzinfo=now.tzinfo) if until else now + timedelta(seconds=1)
    studies, patients = frozenset({study} - {""}), frozenset[str]()
    if patient:
        number = click.prompt("PatientID", hide_input=True, err=True)
        issuer = click.prompt("IssuerOfPatientID", default="", show_default=False, err=True)
        digests = digests_of(settings) if settings.keyring_file.exists() else None
        found, patients = find_studies(records, digests, number, issuer)
        studies |= found
    nobody = patient and not studies and not patients
    return Asked(begin, end, studies, patients, nobody, actor)


@audit.command()
@region_option
@_asking
@click.option("--most", default=1000, show_default=True, help="Lines to show.")
def show(region: Path | None, most: int, **asking: Any) -> None:
    """Lines as JSON, the newest first."""
    settings, records = open_database_quietly(region)
    for n, row in enumerate(walk(records, _asked(settings, records, **asking))):
        if n == most:
            return
        click.echo(orjson.dumps(as_dict(row.entry) | {"number": row.number}))


@audit.command()
@region_option
@_asking
@click.option("--format", "form", type=click.Choice(list(FORMS)), required=True)
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="A new file.")
def export(region: Path | None, form: str, output: Path | None, **asking: Any) -> None:
    """The same for other programs: a table, DICOM audit messages, or FHIR AuditEvents (BALP)."""
    settings, records = open_database_quietly(region)
    found = walk(records, _asked(settings, records, **asking))
    written = FORMS[form].write(found, source_of(settings))
    if output is None:
        for block in written:
            click.echo(block, nl=False)
        return
    try:
        descriptor = os.open(output, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.writelines(written)
    except OSError as error:
        raise click.ClickException(str(error)) from error
