"""`gateway ...`: starts the parts of a region and answers the questions of those who run it."""

import os
import shutil
import signal
import sys
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from threading import Event
from zoneinfo import ZoneInfo

import click
import orjson

from gateway import log
from gateway.certificates import load_own_certificate
from gateway.clock import utc_now
from gateway.commands.accounts import clients_group, init, keys, users
from gateway.commands.audit import audit
from gateway.commands.backup import backup, restore
from gateway.commands.deliveries import deliveries
from gateway.commands.destinations import destinations
from gateway.commands.log_name import log_name
from gateway.commands.opening import (
    give,
    json_option,
    load_settings_or_end,
    open_bench,
    region_option,
    shown,
)
from gateway.commands.persons import alarms, persons
from gateway.commands.reconcile import reconcile_command
from gateway.commands.recorded import write_down
from gateway.commands.register import register
from gateway.commands.rules import rules
from gateway.commands.snapshots import snapshot_commands
from gateway.commands.trying import trying_commands
from gateway.demo.commands import demo_commands
from gateway.demo.load import load_samples
from gateway.demo.samples import make_samples, sample_data
from gateway.errors import SettingsError, SiteUntrusted
from gateway.index.plan import is_in_window
from gateway.model.sites import Site
from gateway.model.wording import number, span, volume
from gateway.nginx import configuration
from gateway.orthanc.trust import context_of
from gateway.queues import QUEUES
from gateway.records.indexing import forget_site
from gateway.records.keyring import load_keyring
from gateway.records.studies import IndexState, load_index_states
from gateway.region_file import load_region
from gateway.settings import PREFIX
from gateway.worker.jobs import probe_all
from gateway.worker.keeper import run_keeper
from gateway.worker.rq_worker import run_worker

_GUNICORN = """--worker-class gateway.server.Worker --worker-connections 1000 --keep-alive 75
    --graceful-timeout 30 --timeout 60 --no-control-socket
    --config python:gateway.server --forwarded-allow-ips="""


@click.group()
@click.version_option(package_name="regional-imaging-gateway")
def main() -> None:
    """One DICOMweb address for all hospitals of a region."""


@main.command()
@region_option
@click.option("--bind", help="Address to listen on; README says what it takes beyond loopback.")
@click.option("--port", type=int, help="Port to listen on.")
def web(region: Path | None, bind: str | None, port: int | None) -> None:
    """Serve DICOMweb, the viewer and the status pages."""
    settings = load_settings_or_end(region=region, bind=bind, port=port)
    try:
        load_region(settings.region)
        if settings.access == "login":
            load_keyring(settings.keyring_file)
        if settings.has_tls:
            load_own_certificate(settings)
    except SettingsError as error:
        raise click.ClickException(str(error)) from error
    # Web processes read the same variables; what stood on the command line joins them.
    given = {"REGION": settings.region.absolute(), "BIND": settings.bind, "PORT": settings.port}
    os.environ.update({PREFIX + name: str(value) for name, value in given.items()})
    host = f"[{settings.bind}]" if ":" in settings.bind else settings.bind
    command = ["gunicorn", *_GUNICORN.split(), "--workers", str(settings.web_workers)]
    if settings.has_tls:
        command += ["--certfile", settings.tls_certificate_file]
        command += ["--keyfile", settings.tls_key_file]
    if settings.metrics_port:
        _make_room_for_metrics(settings.state_dir / "metrics")
        command += ["--bind", f"127.0.0.1:{settings.metrics_port}"]
    command += ["--bind", f"{host}:{settings.port}", "gateway.wsgi:create()"]
    os.execv(sys.executable, [sys.executable, "-m", *command])  # noqa: S606 - no shell wanted


def _make_room_for_metrics(folder: Path) -> None:
    """An empty folder for the counts that web processes share; those of the last run are gone."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder.absolute())


@main.command()
@region_option
def keeper(region: Path | None) -> None:
    """Follow what the sites hold, judge what arrives, dispatch deliveries. One of several leads."""
    settings = load_settings_or_end(region=region)
    log.configure(settings.log_level, settings.log_form, settings.keyring_file)
    bench = open_bench(settings)
    stop = Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: stop.set())
    run_keeper(settings, bench.region_file, bench.records, stop)


@main.command()
@region_option
@click.option("--queue", type=click.Choice(QUEUES), required=True, help="The one queue to work.")
def worker(region: Path | None, queue: str) -> None:
    """Do the jobs of one queue."""
    settings = load_settings_or_end(region=region)
    log.configure(settings.log_level, settings.log_form, settings.keyring_file)
    try:
        sys.exit(run_worker(queue, settings.redis_url, open_bench(settings)))
    except SettingsError as error:
        raise click.ClickException(str(error)) from error


@main.group(invoke_without_command=True)
@region_option
@json_option
@click.pass_context
def sites(context: click.Context, region: Path | None, as_json: bool) -> None:
    """Probe every site now; show how it behaves, and how far it is in the study index."""
    if context.invoked_subcommand:
        return
    settings = load_settings_or_end(region=region)
    log.configure(
        "ERROR", settings.log_form, settings.keyring_file
    )  # what a probe finds is shown below
    bench = open_bench(settings)
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
                click.echo(f"  {name:<18}{shown(value)}")
        line = _index_line(indexed.get(site_id), utc_now(), known[site_id])
        click.echo(f"  {'index':<18}{line}")
        click.echo(f"  {'size':<18}{_size_line(indexed.get(site_id))}")
    for site_id, state in removed.items():
        click.echo(f"{site_id}: {_removed_line(site_id, state)}")


@main.group()
def rollout() -> None:
    """The figures of the rollout: how digital each hospital is."""


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
    bench = open_bench(load_settings_or_end(region=region or context.parent.params["region"]))
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


@main.command("check-config")
@region_option
def check_config(region: Path | None) -> None:
    """Check settings and region.toml; tell every mistake and what to write instead."""
    settings = load_settings_or_end(region=region)
    try:
        found = load_region(settings.region)
        if settings.has_tls:
            load_own_certificate(settings)
        for site in found.sites:
            if site.url.startswith("https:"):
                context_of(site)
    except (SettingsError, SiteUntrusted) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{settings.region}: {len(found.sites)} sites, no mistakes")


@main.command("nginx-config")
@region_option
@click.option("--listen", default="80", show_default=True, help="As nginx writes it.")
@click.option("--certificate", default="", help="PEM; for TLS where GATEWAY_PUBLIC_URL is https.")
@click.option("--key", default="", help="Its key.")
@click.option("--bells", default="", help="A second port, for sites' events alone, without TLS.")
@click.option("--folder", default="/dev/shm/gateway-decisions", show_default=True)  # noqa: S108
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), help="A file, mode 0600."
)
def nginx_config(
    region: Path | None,
    listen: str,
    certificate: str,
    key: str,
    bells: str,
    folder: str,
    output: Path | None,
) -> None:
    """Print the configuration of the nginx that stands in front.

    FOLDER is where nginx keeps decisions for some seconds; it makes it by itself.
    """
    settings = load_settings_or_end(region=region)
    try:
        found = load_region(settings.region)
        text = configuration(settings, found, listen, folder, certificate, key, bells=bells)
    except SettingsError as error:
        raise click.ClickException(str(error)) from error
    give(text, output)


main.add_command(init)
main.add_command(audit)
main.add_command(backup)
main.add_command(restore)
main.add_command(users)
main.add_command(clients_group)
main.add_command(keys)
main.add_command(persons)
main.add_command(alarms)
main.add_command(rules)
main.add_command(register)
main.add_command(reconcile_command)
for command in trying_commands:
    rules.add_command(command)
main.add_command(deliveries)
main.add_command(log_name)
main.add_command(destinations)
main.add_command(rollout)
for command in snapshot_commands:
    rollout.add_command(command)
main.add_command(sample_data)
main.add_command(demo_commands(make=make_samples, load=load_samples))
write_down(main)

if __name__ == "__main__":
    main()
