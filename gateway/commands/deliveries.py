"""`gateway deliveries ...`: where studies stand on their way, one study's story, retry, exclude,
reroute."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click
import orjson

from gateway.clock import utc_now
from gateway.commands.opening import json_option, open_quietly, region_option
from gateway.model.deliveries import State
from gateway.model.delivery_words import ARRIVED, STATES, reason_in_words
from gateway.model.routing.rule_sets import LANES
from gateway.model.wording import Words
from gateway.records.arrivals import count_arrivals
from gateway.records.delivery_desk import (
    Filter,
    Shown,
    Told,
    count_deliveries,
    exclude,
    list_deliveries,
    load_story,
    retry,
)
from gateway.records.rerouting import reroute

Command = Callable[..., Any]


@click.group(invoke_without_command=True)
@region_option
@json_option
@click.pass_context
def deliveries(context: click.Context, region: Path | None, as_json: bool) -> None:
    """How many studies and deliveries stand where."""
    if context.invoked_subcommand is not None:
        return
    records = open_quietly(region).records
    arrivals, sent = count_arrivals(records), count_deliveries(records)
    if as_json:
        told = {
            "arrivals": [{"site": s, "state": a, "studies": n} for (s, a), n in arrivals.items()],
            "deliveries": [
                {"destination": d, "state": s, "deliveries": n} for (d, s), n in sent.items()
            ],
        }
        click.echo(orjson.dumps(told, option=orjson.OPT_INDENT_2))
        return
    for (site_id, arrived), count in sorted(arrivals.items()):
        click.echo(f"{site_id:<18}{count:>9}  {_both(ARRIVED[arrived])}")
    for (destination, state), count in sorted(sent.items()):
        click.echo(f"→ {destination:<16}{count:>9}  {_both(STATES[state])}")


def _filter_options(command: Command) -> Command:
    """The options by which deliveries are chosen; become one argument, `chosen`."""
    options = (
        click.option(
            "--state", "states", multiple=True, type=click.Choice([str(state) for state in State])
        ),
        click.option("--destination", default=""),
        click.option("--site", "site_id", default=""),
        click.option("--lane", default="", type=click.Choice(["", *LANES])),
        click.option("--study", "study_uid", default="", help="StudyInstanceUID."),
        click.option("--id", "delivery_ids", multiple=True, help="Of one delivery; repeatable."),
    )

    @wraps(command)
    def with_filter(**given: Any) -> Any:
        fields = {name: given.pop(name) for name in Filter.__dataclass_fields__ if name in given}
        fields["states"] = tuple(map(State, fields["states"]))
        return command(chosen=Filter(**fields), **given)

    for add in reversed(options):
        add(with_filter)
    return with_filter


@deliveries.command("list")
@region_option
@json_option
@click.option("--most", default=100, help="Rows to show.")
@_filter_options
def list_them(chosen: Filter, region: Path | None, as_json: bool, most: int) -> None:
    """Deliveries, the last changed first; narrowed by the options."""
    found = list_deliveries(open_quietly(region).records, chosen, most)
    if as_json:
        click.echo(orjson.dumps(found, option=orjson.OPT_INDENT_2))
        return
    if not found:
        click.echo("таких доставок нет / no such delivery", err=True)
    for one in found:
        click.echo(_line(one))


def _line(one: Shown) -> str:
    reason = f": {_reason(one.reason)}" if one.reason else ""
    return (
        f"{one.delivery_id} {one.changed_at:%Y-%m-%d %H:%M} UTC {one.lane} "
        f"{one.site_id} → {one.destination} {one.study_uid} {_both(STATES[one.state])}{reason}"
    )


def _reason(code: str) -> str:
    words = reason_in_words(code)
    return _both(words) if words.ru != words.en else code


def _both(words: Words) -> str:
    return f"{words.ru} / {words.en}"


@deliveries.command()
@click.argument("study_uid")
@region_option
@json_option
def show(study_uid: str, region: Path | None, as_json: bool) -> None:
    """One study's whole story: where it was seen, what was decided, where it went."""
    story = load_story(open_quietly(region).records, study_uid)
    if not story.arrivals and not story.deliveries:
        raise click.ClickException(
            f"{study_uid}: такого исследования шлюз не видел / was never seen by the gateway"
        )
    if as_json:
        click.echo(orjson.dumps(story, option=orjson.OPT_INDENT_2))
        return
    for seen in story.arrivals:
        why = f": {_reason(seen.reason)}" if seen.reason else ""
        click.echo(f"{seen.site_id}: {_both(ARRIVED[seen.state])}{why}")
        click.echo(f"  {'first_seen_at':<16}{seen.first_seen_at:%Y-%m-%d %H:%M:%S} UTC")
        click.echo(f"  {'instances':<16}{seen.instance_count}, epoch {seen.epoch}")
        if seen.rule or seen.versions:
            click.echo(f"  {'rules':<16}{seen.rule} ({seen.versions})")
        if seen.due_at is not None:
            click.echo(f"  {'looked at again':<16}{seen.due_at:%Y-%m-%d %H:%M:%S} UTC")
    for told in story.deliveries:
        _show_delivery(told)


def _show_delivery(told: Told) -> None:
    one = told.shown
    click.echo(_line(one))
    click.echo(f"  {'rule':<16}{one.rule} ({one.versions}), epoch {one.epoch}")
    click.echo(f"  {'instances':<16}{one.instance_count}, {one.size_bytes} bytes")
    if one.next_at is not None:
        click.echo(f"  {'next_at':<16}{one.next_at:%Y-%m-%d %H:%M:%S} UTC, {one.attempt} tries")
    for line in told.history:
        reason = f" {_reason(line.reason)}" if line.reason else ""
        click.echo(
            f"  {line.at:%Y-%m-%d %H:%M:%S} {line.event} → {line.to_state} {line.by}{reason}"
        )
    for sop_uid, state, why in told.trouble:
        click.echo(f"  ▲ {sop_uid} {state}: {_reason(why)}")


by_option = click.option("--by", required=True, envvar="USER", help="Who does this; is recorded.")


@deliveries.command("retry")
@region_option
@by_option
@_filter_options
def retry_them(chosen: Filter, region: Path | None, by: str) -> None:
    """Try again now what waits, was parked, blocked or excluded; at least one option narrows."""
    count = retry(open_quietly(region).records, _narrowed(chosen), by, utc_now())
    click.echo(f"повторяются / tried again: {count}")


@deliveries.command("exclude")
@region_option
@by_option
@click.option("--reason", required=True, help="Why it must not be sent; no patient's data.")
@_filter_options
def exclude_them(chosen: Filter, region: Path | None, by: str, reason: str) -> None:
    """Do not send these: reversible by retry, and counted. At least one option narrows."""
    count = exclude(open_quietly(region).records, _narrowed(chosen), reason, by, utc_now())
    click.echo(f"исключены / excluded: {count}")


@deliveries.command("reroute")
@click.option("--to", required=True, help="The other destination's id.")
@region_option
@by_option
@_filter_options
def reroute_them(chosen: Filter, to: str, region: Path | None, by: str) -> None:
    """Send these to another destination instead; at least one option narrows."""
    bench = open_quietly(region)
    if bench.region_file.region.destination(to) is None:
        known = ", ".join(one.destination_id for one in bench.region_file.region.destinations)
        raise click.ClickException(f"{to}: такого получателя нет / no such destination: {known}")
    count = reroute(bench.records, _narrowed(chosen), to, by, utc_now())
    click.echo(f"направлены к / sent to {to}: {count}")


def _narrowed(chosen: Filter) -> Filter:
    if chosen == Filter():
        raise click.ClickException(
            "назовите, какие: --study, --id, --state, --destination, --site или --lane / name which"
        )
    return chosen
