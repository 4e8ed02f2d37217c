"""`gateway persons ...` and `gateway alarms`: what a person must look at and decide."""

from pathlib import Path

import click
import orjson

from gateway.clock import utc_now
from gateway.commands.opening import json_option, open_quietly, region_option, shown
from gateway.errors import LinkRefused
from gateway.index.person_lists import Shown, load_persons, load_suggestions, load_torn
from gateway.index.persons import Word, decide
from gateway.model.alarms import MEANING
from gateway.records.alarms import close_alarms, load_alarms
from gateway.records.persons import Link

most_option = click.option("--most", default=100, help="Rows to show.")


@click.group()
def persons() -> None:
    """Identifiers of one person at several hospitals: see, confirm, reject and separate links."""


def _echo_json(found: object) -> None:
    click.echo(orjson.dumps(found, lambda pair: pair._asdict(), orjson.OPT_INDENT_2))


@persons.command("list")
@region_option
@json_option
@most_option
def list_persons(region: Path | None, as_json: bool, most: int) -> None:
    """People with several identifiers, and confirmed links that have become impossible."""
    records = open_quietly(region).records
    found, torn = load_persons(records, most), load_torn(records, most)
    if as_json:
        _echo_json({"persons": found, "torn": torn})
        return
    if not found and not torn:
        click.echo("связанных номеров нет / no identifiers are linked", err=True)
    for person in found:
        click.echo(f"● {person.person}")
        for member in person.members:
            click.echo(f"  {_member_line(member)}")
        for link in person.links:
            click.echo(f"  связь / link {link.name}: {_link_state(link)}")
    for each in torn:
        click.echo(f"▲ связь невозможна / link is impossible {each.link.name}")
        for member in each.ends:
            click.echo(f"  {_member_line(member)}")


@persons.command()
@region_option
@json_option
@most_option
def suggestions(region: Path | None, as_json: bool, most: int) -> None:
    """Links that wait for a person's word, the oldest first."""
    found = load_suggestions(open_quietly(region).records, most)
    if as_json:
        _echo_json(found)
        return
    for each in found:
        click.echo(f"? связь / link {each.link.name}")
        for member in each.ends:
            click.echo(f"  {_member_line(member)}")


def _member_line(member: Shown) -> str:
    said = " ".join(filter(None, (member.name, member.birth_date, member.sex)))
    return f"{member.issuer} {member.patient_id}: {said}, исследований / studies {member.studies}"


def _link_state(link: Link) -> str:
    if link.decided_at is None or link.state == "automatic":
        return "автоматически / automatic"
    return f"подтвердил(а) / confirmed by {link.decided_by}, {link.decided_at:%Y-%m-%d %H:%M} UTC"


REFUSALS = {
    "unknown": "такой связи нет, см. gateway persons suggestions и list / there is no such link",
    "state": "слово не подходит к состоянию связи / the word does not fit how the link stands: "
    "confirm is for what is suggested or rejected, reject for what is suggested, separate for what "
    "is linked",
    "contradiction": "связь свела бы двух людей / the link would join two people: state numbers "
    "differ, or a pair of the group was taken apart",
}


def _word(word: Word, meaning: str) -> click.Command:
    """The command by which a person says this word of a link."""

    @click.argument("link")
    @click.option("--by", required=True, envvar="USER", help="Who decides; kept with the time.")
    @region_option
    def say(link: str, by: str, region: Path | None) -> None:
        try:
            decide(open_quietly(region).records, link, word, by, utc_now())
        except LinkRefused as error:
            raise click.ClickException(REFUSALS[error.why]) from error
        click.echo(f"{link}: записано / recorded, {by}")

    return click.command(word, help=meaning)(say)


persons.add_command(_word("confirm", "The two identifiers of a link are one person's."))
persons.add_command(_word("reject", "The two identifiers of a suggestion are two people's."))
persons.add_command(_word("separate", "Take linked identifiers apart: they are two people's."))


@click.group(invoke_without_command=True)
@region_option
@json_option
@click.option("--all", "cleared", is_flag=True, help="Also those whose cause has gone.")
@click.pass_context
def alarms(context: click.Context, region: Path | None, as_json: bool, cleared: bool) -> None:
    """What somebody must look at, newest first; an alarm goes with its cause."""
    if context.invoked_subcommand is not None:
        return
    found = load_alarms(open_quietly(region).records, cleared=cleared)
    if as_json:
        _echo_json(found)
        return
    for alarm in found:
        russian, english = MEANING[alarm.kind]
        mark = "▲" if alarm.cleared_at is None else "●"
        click.echo(f"{mark} {alarm.kind} {alarm.subject}: {russian} / {english}")
        click.echo(f"  {'raised_at':<18}{alarm.raised_at:%Y-%m-%d %H:%M} UTC")
        if alarm.cleared_at is not None:
            click.echo(f"  {'cleared_at':<18}{alarm.cleared_at:%Y-%m-%d %H:%M} UTC")
        for name, value in alarm.facts.items():
            click.echo(f"  {name:<18}{shown(tuple(value) if isinstance(value, list) else value)}")


@alarms.command()
@click.argument("subject")
@click.option("--by", required=True, envvar="USER", help="Who says so; kept with the time.")
@region_option
def close(subject: str, by: str, region: Path | None) -> None:
    """What was refused of a study (its UID), or given by a site (its id), is settled."""
    if not close_alarms(open_quietly(region).records, subject, by, utc_now()):
        raise click.ClickException(
            "нет открытой тревоги refused_* или site_answers_other, остальные снимаются сами / no "
            "alarm refused_* or site_answers_other of it is open; the others go with their causes"
        )
    click.echo(f"{subject}: записано / recorded, {by}")
