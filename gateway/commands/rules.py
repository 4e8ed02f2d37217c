"""`gateway rules ...`: the rules of hospitals and of the ministry, from the terminal.

A file with a mistake changes nothing; every mistake is named with its line, in both languages. How
rules are tried on studies stands in trying.py.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click

from gateway.clock import utc_now
from gateway.commands.opening import load_settings_or_end, open_quietly, region_option
from gateway.errors import RuleSetChanged, RuleSetRefused
from gateway.model.routing.document import format_rule_set, parse_rule_set
from gateway.model.routing.rule_sets import RuleSet
from gateway.model.routing.words import (
    LANGUAGES,
    difference_in_words,
    mistake_in_words,
    refusal_in_words,
    rule_in_words,
)
from gateway.records.engine import Records
from gateway.records.rules import (
    Version,
    activate,
    active_version,
    approve,
    load_activations,
    load_version,
    load_versions,
    save_version,
)

by_option = click.option("--by", required=True, envvar="USER", help="Who does this; is recorded.")
file_argument = click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))


@click.group()
def rules() -> None:
    """Rules that say where studies go: check, try, save, activate, roll back."""


@rules.command()
@file_argument
def check(file: Path) -> None:
    """Read a rule file; tell every mistake with its line, or the rules in words."""
    rule_set = read_rules(file)
    for language in LANGUAGES:
        for rule in rule_set.rules:
            click.echo(f"● {rule.rule_id} [{rule.state}] {rule_in_words(rule, language)}")
    click.echo(f"{file}: ошибок нет / no mistakes")


@rules.command()
@file_argument
@click.option("--comment", required=True, help="Why; shown in the history.")
@click.option("--based-on", type=int, help="Version that you edited; the newest if left out.")
@by_option
@region_option
def save(file: Path, comment: str, based_on: int | None, by: str, region: Path | None) -> None:
    """Keep a rule file as a new version; it counts once it is activated."""
    bench = open_quietly(region)
    records, sites = bench.records, bench.region_file.region
    rule_set = read_rules(file, {one.destination_id for one in sites.destinations})
    if rule_set.owner != "ministry" and sites.site(rule_set.owner) is None:
        raise click.ClickException(
            f"{rule_set.owner}: такой больницы нет в region.toml / is no site of region.toml"
        )
    last = load_version(records, rule_set.owner)
    before = based_on if based_on is not None else last.number if last else 0
    try:
        number = save_version(records, rule_set, by, comment, before, utc_now())
    except RuleSetChanged as error:
        raise click.ClickException(
            f"за это время сохранили версию {error.number}: возьмите её (gateway rules show) и "
            f"внесите своё ещё раз / version {error.number} was saved meanwhile: take it "
            "(gateway rules show) and make your change again"
        ) from error
    for language in LANGUAGES:
        for line in difference_in_words(last.rule_set if last else None, rule_set, language):
            click.echo(f"  {line}")
    click.echo(f"{rule_set.owner}: версия / version {number}")


@rules.command("list")
@click.argument("owner")
@region_option
def list_versions(owner: str, region: Path | None) -> None:
    """Versions of a hospital's rules (or of `ministry`), and what was activated when."""
    records = open_quietly(region).records
    now, versions = _active(records, owner), load_versions(records, owner)
    if not versions:
        click.echo(f"{owner}: версий нет / no version: gateway rules save", err=True)
    for version in versions:
        mark = "●" if now and now.number == version.number else "○"
        click.echo(
            f"{mark} {version.number}  {_when(version.made_at)}  {version.author}: "
            f"{version.comment}"
        )
    for act in load_activations(records, owner):
        waits = act.needs_approval and act.approved_at is None
        word = "ждёт второго / waits for a second person" if waits else act.approved_by
        click.echo(
            f"  активация / activation {act.activation_id}: версия / version {act.number}, "
            f"с / from {_when(act.starts_at)}, {act.author} {word}".rstrip()
        )


@rules.command()
@click.argument("owner")
@click.option("--version", "number", type=int, help="The newest if left out.")
@region_option
def show(owner: str, number: int | None, region: Path | None) -> None:
    """A version as YAML, ready to be edited."""
    click.echo(
        format_rule_set(version_of(open_quietly(region).records, owner, number).rule_set), nl=False
    )


@rules.command()
@click.argument("owner")
@click.argument("old", type=int)
@click.argument("new", type=int)
@region_option
def diff(owner: str, old: int, new: int, region: Path | None) -> None:
    """What changed from one version to another, in words."""
    records = open_quietly(region).records
    pair = [version_of(records, owner, number).rule_set for number in (old, new)]
    for language in LANGUAGES:
        for line in difference_in_words(pair[0], pair[1], language):
            click.echo(line)


@rules.command("activate")
@click.argument("owner")
@click.argument("number", type=int)
@click.option("--at", "starts_at", help="From when, 2026-01-31T08:00+03:00; now if left out.")
@click.option("--second-person", is_flag=True, help="Counts only after `approve` by another.")
@by_option
@region_option
def activate_version(
    owner: str, number: int, starts_at: str | None, second_person: bool, by: str,
    region: Path | None,
) -> None:  # fmt: skip
    """Let a version count; an older number is a rollback."""
    second_person |= load_settings_or_end(region=region).rules_approval == "required"
    records = open_quietly(region).records
    now = utc_now()
    start = _moment(starts_at) if starts_at else now
    with _words_of_refusals():
        made = activate(records, owner, number, start, by, now, needs_approval=second_person)
    waits = " после одобрения / once approved" if second_person else ""
    click.echo(
        f"{owner}: версия {number} действует с {_when(start)} / version {number} counts from "
        f"{_when(start)}{waits} (активация / activation {made})"
    )


@rules.command("approve")
@click.argument("activation", type=int)
@by_option
@region_option
def approve_activation(activation: int, by: str, region: Path | None) -> None:
    """The second person's word for an activation."""
    with _words_of_refusals():
        approve(open_quietly(region).records, activation, by, utc_now())
    click.echo(f"активация / activation {activation}: {by}")


def read_rules(file: Path, destinations: Collection[str] | None = None) -> RuleSet:
    """The rules of a file, or an end with every mistake on standard error."""
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise click.ClickException(f"{file}: не читается / cannot be read: {error}") from error
    found, mistakes = parse_rule_set(text, destinations)
    if found is None:
        lines = [
            f"строка / line {each.line}: {mistake_in_words(each.mistake, language)}"
            for language in LANGUAGES
            for each in mistakes
        ]
        raise click.ClickException("\n".join([f"{file}:", *lines]))
    return found


def _active(records: Records, owner: str) -> Version | None:
    return active_version(records, owner, utc_now())


def version_of(records: Records, owner: str, number: int | None) -> Version:
    found = load_version(records, owner, number)
    if found is None:
        raise click.ClickException(f"{owner}: такой версии нет / there is no such version")
    return found


def _moment(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.ClickException("--at: 2026-01-31T08:00+03:00") from error
    if found.tzinfo is None:
        raise click.ClickException(
            "--at: добавьте часовой пояс / add the zone: 2026-01-31T08:00+03:00"
        )
    return found


@contextmanager
def _words_of_refusals() -> Iterator[None]:
    try:
        yield
    except RuleSetRefused as error:
        words = " / ".join(refusal_in_words(error.why, language) for language in LANGUAGES)
        raise click.ClickException(words) from error


def _when(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
