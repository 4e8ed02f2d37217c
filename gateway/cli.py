"""`gateway ...`: starts the parts of a region and answers the questions of those who run it."""

import os
import signal
import sys
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from threading import Event
from typing import Any
from zoneinfo import ZoneInfo

import click
import orjson

from gateway import log
from gateway.bootstrap import open_migrated
from gateway.clock import utc_now
from gateway.demo.commands import demo_commands
from gateway.demo.load import load_samples
from gateway.demo.samples import make_samples, sample_data
from gateway.errors import GatewayError, LinkRefused, SettingsError
from gateway.index.person_lists import Shown, load_persons, load_suggestions, load_torn
from gateway.index.persons import Word, decide
from gateway.index.plan import is_in_window
from gateway.model.alarms import MEANING
from gateway.model.sites import Site
from gateway.model.wording import number, span, volume
from gateway.nginx import configuration
from gateway.queues import QUEUES
from gateway.records.alarms import load_alarms
from gateway.records.engine import Records
from gateway.records.indexing import forget_site
from gateway.records.persons import Link
from gateway.records.studies import IndexState, load_index_states
from gateway.region_file import RegionFile, load_region
from gateway.settings import PREFIX, Settings, load_settings
from gateway.worker.jobs import Bench, probe_all
from gateway.worker.keeper import run_keeper
from gateway.worker.rq_worker import run_worker

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


def _bench(settings: Settings) -> Bench:
    """What keeper and workers work with, made after the settings were found right."""
    try:
        return Bench(open_migrated(settings), RegionFile(settings.region))
    except GatewayError as error:
        raise click.ClickException(str(error)) from error


@main.command()
@region_option
def keeper(region: Path | None) -> None:
    """Watch the sites: probe them and follow what they hold. One of several leads."""
    settings = _settings(region=region)
    log.configure(settings.log_level, settings.log_form)
    bench = _bench(settings)
    stop = Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: stop.set())
    run_keeper(settings, bench.region_file, bench.records, stop)


@main.command()
@region_option
@click.option("--queue", type=click.Choice(QUEUES), required=True, help="The one queue to work.")
def worker(region: Path | None, queue: str) -> None:
    """Do the jobs of one queue."""
    settings = _settings(region=region)
    log.configure(settings.log_level, settings.log_form)
    try:
        sys.exit(run_worker(queue, settings.redis_url, _bench(settings)))
    except SettingsError as error:
        raise click.ClickException(str(error)) from error


@main.group(invoke_without_command=True)
@region_option
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@click.pass_context
def sites(context: click.Context, region: Path | None, as_json: bool) -> None:
    """Probe every site now; show how it behaves, and how far it is in the study index."""
    if context.invoked_subcommand:
        return
    settings = _settings(region=region)
    log.configure("ERROR", settings.log_form)  # what a probe finds is shown below
    bench = _bench(settings)
    known = {site.site_id: site for site in bench.region_file.region.sites}
    found = probe_all(bench.records, list(known.values()))
    indexed = load_index_states(bench.records)
    removed = {site_id: state for site_id, state in indexed.items() if site_id not in known}
    if as_json:
        everything: dict[str, object] = {
            site_id: {**asdict(profile), "index": indexed.get(site_id)}
            for site_id, profile in found.items()
        }
        everything |= {site_id: {"removed": True, "index": s} for site_id, s in removed.items()}
        click.echo(orjson.dumps(everything, option=orjson.OPT_INDENT_2))
        return
    for site_id, profile in found.items():
        click.echo(f"{site_id}: " + (f"▲ {profile.problem}" if profile.problem else "●"))
        for name, value in asdict(profile).items():
            if name != "problem":
                click.echo(f"  {name:<18}{_shown(value)}")
        line = _index_line(indexed.get(site_id), utc_now(), known[site_id])
        click.echo(f"  {'index':<18}{line}")
        click.echo(f"  {'size':<18}{_size_line(indexed.get(site_id))}")
    for site_id, state in removed.items():
        click.echo(f"{site_id}: {_removed_line(site_id, state)}")


def _index_line(state: IndexState | None, now: datetime, site: Site) -> str:
    """How far a site is in the study index, in one line."""
    if state is None:
        return "не читан / not read yet"
    aside = f"; не читаются / unreadable: {state.aside} (gateway keeper log)" if state.aside else ""
    if state.phase == "filling":
        rate, left_s = state.rate(now), state.time_left_s(now)
        line = f"заполняется / filling: {number(state.filled)} из / of {number(state.to_fill)} "
        line += f"({state.share:.0%})"
        if not is_in_window(site.window, now.astimezone(ZoneInfo(site.time_zone))):
            return f"{line}, ждёт своих часов / waits for its hours {site.window}{aside}"
        if not rate or left_s is None:
            return line + aside
        left = span(left_s)
        line += f", {number(rate * 60)} в минуту / per minute"
        return f"{line}, ещё {left.ru} / {left.en} left{aside}"
    whole = f"полон / whole: {number(state.filled)}"
    if state.read_at is None:
        return whole + aside
    age = span((now - state.read_at).total_seconds())
    return f"{whole}; прочитан {age.ru} назад / read {age.en} ago{aside}"


def _size_line(state: IndexState | None) -> str:
    """How large the site's studies are, as far as that is known."""
    if state is None or not state.sized:
        return "пока не известен / not known yet"
    size = volume(state.size_bytes)
    known = f"известен у исследований / known of studies: {number(state.sized)}"
    return f"{size.ru} / {size.en}; {known}"


def _removed_line(site_id: str, state: IndexState) -> str:
    """What is left of a site that region.toml no longer names."""
    return (
        f"нет в region.toml, строк не видно поиску / not in region.toml, search hides its rows: "
        f"{number(state.filled)}; gateway sites forget {site_id}"
    )


@sites.command()
@click.argument("site_id")
@region_option
@click.pass_context
def forget(context: click.Context, site_id: str, region: Path | None) -> None:
    """Delete what the index knows of a site that region.toml no longer names."""
    assert context.parent is not None  # noqa: S101 - a command of a group
    bench = _bench(_settings(region=region or context.parent.params["region"]))
    if bench.region_file.region.site(site_id):
        raise click.ClickException(
            f"{site_id}: стоит в region.toml, сначала уберите его там / "
            "is in region.toml, remove it there first"
        )
    if site_id not in load_index_states(bench.records):
        raise click.ClickException(
            f"{site_id}: указатель не знает такой площадки / the index knows no such site"
        )
    studies = forget_site(bench.records, site_id, utc_now())
    click.echo(f"{site_id}: забыто исследований / studies forgotten: {studies}")


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "-"
    words = {True: "да / yes", False: "нет / no", None: "? / unknown"}
    if isinstance(value, bool) or value is None:
        return words[value]
    return str(value) or "-"


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


json_option = click.option("--json", "as_json", is_flag=True, help="For machines.")
most_option = click.option("--most", default=100, help="Rows to show.")


@main.group()
def persons() -> None:
    """Identifiers of one person at several hospitals: see, confirm, reject and separate links."""


def _echo_json(found: object) -> None:
    click.echo(orjson.dumps(found, lambda pair: pair._asdict(), orjson.OPT_INDENT_2))


def _records(region: Path | None) -> Records:
    settings = _settings(region=region)
    log.configure("ERROR", settings.log_form)
    return _bench(settings).records


@persons.command("list")
@region_option
@json_option
@most_option
def list_persons(region: Path | None, as_json: bool, most: int) -> None:
    """People with several identifiers, and confirmed links that have become impossible."""
    records = _records(region)
    found, torn = load_persons(records, most), load_torn(records, most)
    if as_json:
        _echo_json({"persons": found, "torn": torn})
        return
    for person in found:
        click.echo(f"● {person.person}")
        for member in person.members:
            click.echo(f"  {_member_line(member)}")
        for link in person.links:
            click.echo(f"  связь / link {link.name}: {_link_state(link)}")
    for shown in torn:
        click.echo(f"▲ связь невозможна / link is impossible {shown.link.name}")
        for member in shown.ends:
            click.echo(f"  {_member_line(member)}")


@persons.command()
@region_option
@json_option
@most_option
def suggestions(region: Path | None, as_json: bool, most: int) -> None:
    """Links that wait for a person's word, the oldest first."""
    found = load_suggestions(_records(region), most)
    if as_json:
        _echo_json(found)
        return
    for shown in found:
        click.echo(f"? связь / link {shown.link.name}")
        for member in shown.ends:
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
            decide(_records(region), link, word, by, utc_now())
        except LinkRefused as error:
            raise click.ClickException(REFUSALS[error.why]) from error
        click.echo(f"{link}: записано / recorded, {by}")

    return click.command(word, help=meaning)(say)


persons.add_command(_word("confirm", "The two identifiers of a link are one person's."))
persons.add_command(_word("reject", "The two identifiers of a suggestion are two people's."))
persons.add_command(_word("separate", "Take linked identifiers apart: they are two people's."))


@main.command()
@region_option
@json_option
@click.option("--all", "cleared", is_flag=True, help="Also those whose cause has gone.")
def alarms(region: Path | None, as_json: bool, cleared: bool) -> None:
    """What somebody must look at, newest first; an alarm goes with its cause."""
    found = load_alarms(_records(region), cleared=cleared)
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
            click.echo(f"  {name:<18}{_shown(tuple(value) if isinstance(value, list) else value)}")


@main.command("nginx-config")
@region_option
@click.option("--listen", default="80", show_default=True, help='As nginx writes it: "443 ssl".')
@click.option("--certificate", default="", help="Certificate for TLS, PEM.")
@click.option("--key", default="", help="Its key.")
@click.option("--folder", default="/dev/shm/gateway-decisions", show_default=True)  # noqa: S108
def nginx_config(region: Path | None, listen: str, certificate: str, key: str, folder: str) -> None:
    """Print the configuration of the nginx that stands in front.

    FOLDER is where nginx keeps decisions for some seconds; it makes it by itself.
    """
    settings = _settings(region=region)
    try:
        found = load_region(settings.region)
        text = configuration(settings, found, listen, folder, certificate, key)
    except SettingsError as error:
        raise click.ClickException(str(error)) from error
    click.echo(text, nl=False)


main.add_command(sample_data)
main.add_command(demo_commands(make=make_samples, load=load_samples))

if __name__ == "__main__":
    main()
