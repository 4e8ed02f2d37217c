"""`gateway reconcile`: does each destination have what it should, and what to do if not."""

from dataclasses import asdict
from datetime import UTC
from pathlib import Path

import click
import orjson

from gateway.commands.opening import json_option, open_quietly, region_option
from gateway.model.delivery_words import REASONS
from gateway.records.engine import Records
from gateway.records.reconciling import Figures, Finding, Verdict, load_figures, load_findings
from gateway.routing.reconcile import SAMPLE, Comparison, mend, reconcile
from gateway.worker.audits import pairs_of

SHOWN = 100
WORDS: dict[Verdict, str] = {
    Verdict.COMPLETE: "целы / complete",
    Verdict.PARTIAL: "не целиком / partial",
    Verdict.MISSING: "нет / missing",
    Verdict.CONFLICTING: "другое содержимое / conflicting",
    Verdict.WAITING: "ещё в пути / on the way",
    Verdict.UNKNOWN: "не узнать / could not be told",
}


@click.command("reconcile")
@click.argument("site_id", metavar="[SITE]", required=False)
@click.option("--destination", help="Only this one; all to which the site's studies went if not.")
@click.option(
    "--sample",
    type=click.FloatRange(0, 100),
    default=SAMPLE * 100,
    show_default=True,
    help="Percent of what the index calls whole that is compared with hashes all the same.",
)
@click.option("--mend", "mends", is_flag=True, help="Send again what is absent, and only that.")
@region_option
@json_option
def reconcile_command(
    site_id: str | None, destination: str | None, sample: float, mends: bool,
    region: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Compare SITE with its destinations, image by image where the index says that they differ.

    Without SITE: how complete each hospital was when it was last compared.
    """
    bench = open_quietly(region)
    if site_id is None:
        found = load_figures(bench.records).values()
        chosen = [one for one in found if destination in (None, one.destination)]
        _show(bench.records, chosen, as_json=as_json)
        return
    sites = bench.region_file.region
    if sites.site(site_id) is None:
        raise click.ClickException(f"{site_id}: is no site of region.toml")
    pairs = [
        pair
        for pair in pairs_of(bench.records, sites)
        if pair[0].site_id == site_id and destination in (None, pair[1].destination_id)
    ]
    if not pairs:
        raise click.ClickException(
            f"из {site_id} туда ничего не отправляли / nothing of {site_id} was sent there"
        )
    done = [
        reconcile(bench.records, sites, Comparison(source, target, sample / 100))
        for source, target in pairs
    ]
    _show(bench.records, done, as_json=as_json)
    for figures in done if mends else ():
        again = mend(bench.records, figures.site_id, figures.destination)
        click.echo(f"отправляются снова / are sent again: {again}", err=as_json)


def _show(records: Records, chosen: list[Figures], *, as_json: bool) -> None:
    if as_json:
        found = [
            asdict(one)
            | {"studies": one.studies, "completeness": one.completeness}
            | {"findings": [asdict(each) for each in _findings(records, one)]}
            for one in chosen
        ]
        click.echo(orjson.dumps(found, option=orjson.OPT_INDENT_2))
        return
    if not chosen:
        click.echo(
            "сверок ещё не было, первая — ночью или gateway reconcile ПЛОЩАДКА / nothing was "
            "compared yet: it is at night, or by gateway reconcile SITE",
            err=True,
        )
    for one in sorted(chosen, key=lambda each: (each.site_id, each.destination)):
        share = "—" if one.completeness is None else f"{100 * one.completeness:.2f} %"
        click.echo(
            f"{one.site_id} → {one.destination}: {share}, исследований / studies {one.studies}, "
            f"сверено поснимочно / compared image by image {one.compared}, "
            f"{one.ended_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        )
        for verdict, words in WORDS.items():
            if count := getattr(one, verdict):
                click.echo(f"  {words}: {count}")
        for finding in _findings(records, one):
            click.echo(f"    {_line(finding)}")


def _findings(records: Records, figures: Figures) -> list[Finding]:
    return load_findings(records, figures.site_id, figures.destination, SHOWN)


def _line(finding: Finding) -> str:
    told = REASONS.get(finding.reason)
    why = f"{told.ru} / {told.en}" if told else finding.reason
    lacking = f", нет снимков / instances absent {finding.lacking}" if finding.lacking else ""
    return f"{finding.study_uid}: {WORDS[finding.verdict]}{lacking}; {why}".rstrip("; ")
