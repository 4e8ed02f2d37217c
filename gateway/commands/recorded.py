"""Commands of the terminal leave their lines in the audit, like whatever is done at a page.

Every command does unless it is named here: one that nobody thought of is written down.
"""

import os
import pwd
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any

import click

from gateway.bootstrap import open_migrated
from gateway.clock import utc_now
from gateway.errors import GatewayError, SettingsError
from gateway.model.access import Action
from gateway.model.audit import Entry
from gateway.model.credentials import new_id
from gateway.records.audit import append
from gateway.records.engine import Records
from gateway.records.keyring import load_keyring
from gateway.settings import Settings, load_settings

UNWRITTEN = frozenset(
    {
        "web", "keeper", "worker", "check-config", "nginx-config", "sample-data",
        "demo run", "demo load", "demo reset", "demo init", "demo register",
        "users list", "clients list", "rules check", "rules list", "rules show", "rules diff",
        "deliveries list", "deliveries show", "audit verify", "restore",
    }
)  # fmt: skip
"""What changes nothing and shows no patient's data; `audit verify` and `restore` write their own
line, the latter into what it has put back."""
ACTION = "command"
MOST_LETTERS = 2000


def write_down(group: click.Group, *above: str) -> None:
    """Wrap every command below the group that is to be written down."""
    for name, command in group.commands.items():
        path = (*above, name)
        if isinstance(command, click.Group):
            write_down(command, *path)
        elif " ".join(path) not in UNWRITTEN and command.callback is not None:
            command.callback = _written(" ".join(path), command.callback)


def tell_done(path: str, settings: Settings) -> None:
    """One line of a command that could not leave one before it."""
    records = open_migrated(settings)
    _end(records, _begin(path, {}, settings), "done")


def terminal_user() -> str:
    """Who sits there, as the system knows it and not as the environment says."""
    uid = os.getuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = str(uid)
    return f"terminal:{name}"[:64]


def _written(path: str, callback: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(callback)
    def run(*args: Any, **given: Any) -> Any:
        try:
            settings = load_settings(region=_region(given))
        except SettingsError:
            return callback(*args, **given)  # says what is wrong, and does nothing
        try:
            records = open_migrated(settings)
            line = _begin(path, given, settings)
            append(records, [line])
        except GatewayError as error:
            raise click.ClickException(str(error)) from error
        outcome = "failed"
        try:
            found = callback(*args, **given)
            outcome = "done"
            return found
        finally:
            _end(records, line, outcome)

    return run


def _region(given: Mapping[str, Any]) -> Path | None:
    """As the command or a group above it was told."""
    context: click.Context | None = click.get_current_context(silent=True)
    found = given.get("region")
    while found is None and context is not None:
        found, context = context.params.get("region"), context.parent
    return found


def _begin(path: str, given: Mapping[str, Any], settings: Settings) -> Entry:
    study = given.get("study_uid") or given.get("study") or ""
    words = " ".join(f"{name}={value}" for name, value in given.items() if value not in (None, ()))
    detail = ""
    if words and settings.keyring_file.exists():
        with suppress(SettingsError):  # the command itself says what is wrong with the key
            detail = load_keyring(settings.keyring_file).seal(words[:MOST_LETTERS])
    return Entry(
        entry_id=new_id(), request=new_id(), at=utc_now(), actor=terminal_user(), kind="terminal",
        purpose="", action=Action.READ_AUDIT if path.startswith("audit ") else ACTION, site_id="",
        study_uid=str(study)[:64], outcome="began", reason="", status=0, detail=detail,
        target=path,
    )  # fmt: skip


def _end(records: Records, line: Entry, outcome: str) -> None:
    ended = replace(line, entry_id=new_id(), at=utc_now(), outcome=outcome, detail="")
    try:
        append(records, [ended])
    except GatewayError as error:
        raise click.ClickException(str(error)) from error
    finally:
        records.close()
