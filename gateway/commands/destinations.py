"""`gateway destinations`: where studies may go, and whether it would work."""

from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import click
import orjson

from gateway import log
from gateway.commands.opening import json_option, load_settings_or_end, region_option, shown
from gateway.errors import SettingsError
from gateway.model.delivery_words import REASONS
from gateway.model.destinations import Destination
from gateway.model.sites import Region
from gateway.model.wording import volume
from gateway.orthanc.wire import Wire
from gateway.region_file import load_region
from gateway.routing.try_destination import Check, try_destination

WELL = {
    "answers": "отвечает / answers",
    "stores": "принимает / takes stores",
    "room": "место / room",
}


def _region(region: Path | None) -> Region:
    settings = load_settings_or_end(region=region)
    log.configure("ERROR", settings.log_form, settings.keyring_file)
    try:
        return load_region(settings.region)
    except SettingsError as error:
        raise click.ClickException(str(error)) from error


@click.group(invoke_without_command=True)
@region_option
@json_option
@click.pass_context
def destinations(context: click.Context, region: Path | None, as_json: bool) -> None:
    """Where deliveries may go; archives of the region are among them."""
    if context.invoked_subcommand:
        return
    found = _region(region).destinations
    if as_json:
        click.echo(orjson.dumps([_facts(one) for one in found], option=orjson.OPT_INDENT_2))
        return
    for one in found:
        click.echo(f"{one.destination_id}: {one.name_ru} / {one.name_en}")
        for name, value in _facts(one).items():
            if name != "destination_id":
                click.echo(
                    f"  {name:<16}{shown(tuple(value) if isinstance(value, list) else value)}"
                )


def _facts(destination: Destination) -> dict[str, object]:
    limits = destination.limits
    return {
        "destination_id": destination.destination_id,
        "kind": destination.kind,
        "url": destination.server.url if destination.server else "",
        "modality": destination.modality,
        "verify": list(destination.verify),
        "parallel": limits.parallel,
        "bytes_per_s": limits.bytes_per_s,
        "windows": list(limits.windows),
        "deidentifies": bool(destination.pseudonym_key),
    }


@destinations.command("test")
@click.argument("destination_id", required=False)
@region_option
@json_option
@click.pass_context
def test_connection(
    context: click.Context, destination_id: str | None, region: Path | None, as_json: bool
) -> None:
    """Ask one destination, or all of them, whether deliveries would work; stores nothing."""
    assert context.parent is not None  # noqa: S101 - a command of a group
    found = _region(region or context.parent.params["region"])
    wanted = [one for one in found.destinations if destination_id in (None, one.destination_id)]
    if not wanted:
        known = ", ".join(one.destination_id for one in found.destinations) or "-"
        raise click.ClickException(
            f"{destination_id}: такого приёмника нет, есть / no such destination, known: {known}"
        )
    with closing(Wire()) as wire:
        said = {one.destination_id: try_destination(wire, one, found.sites) for one in wanted}
    if as_json:
        checks = {name: [asdict(check) for check in each] for name, each in said.items()}
        click.echo(orjson.dumps(checks, option=orjson.OPT_INDENT_2))
    else:
        for name, each in said.items():
            click.echo(f"{name}:")
            for check in each:
                click.echo(f"  {_line(check)}")
    if any(check.reason for each in said.values() for check in each):
        context.exit(1)


def _line(check: Check) -> str:
    """What it is, and what to do about it."""
    what = WELL.get(check.what, f"узел с площадки / node from site {check.what[5:]}")
    if check.reason:
        words = REASONS[check.reason]
        return f"▲ {what}: {words.ru} / {words.en}"
    facts = dict(check.facts)
    for name, ru, en in (("used_bytes", "занято", "used"), ("free_bytes", "свободно", "free")):
        if isinstance(facts.get(name), int):
            size = volume(int(str(facts.pop(name))))
            facts[f"{ru} / {en}"] = f"{size.ru} / {size.en}"
    told = ", ".join(f"{name} {value}" for name, value in facts.items())
    return f"● {what}" + (f": {told}" if told else "")
