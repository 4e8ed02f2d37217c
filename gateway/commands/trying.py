"""`gateway rules test|explain|replay`: what rules say of a study, before they count and afterwards.

Values that were compared are shown to the person who asks; they are never logged.
"""

from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, timedelta
from pathlib import Path
from typing import TypeVar

import click

from gateway.clock import monotonic_s, utc_now
from gateway.commands.opening import open_quietly, region_option
from gateway.commands.rules import read_rules, version_of
from gateway.dicom.attributes import Dataset
from gateway.dicom.part10 import NotUnderstood
from gateway.errors import NotFound, SiteError
from gateway.model.routing.conditions import Comparison, Trace
from gateway.model.routing.decide import RuleTrace
from gateway.model.routing.facts import Facts
from gateway.model.routing.rule_sets import MINISTRY, RuleSet
from gateway.model.routing.words import (
    LANGUAGES,
    OUTCOMES,
    condition_in_words,
    reason_in_words,
)
from gateway.model.sites import Site
from gateway.orthanc.wire import Wire
from gateway.records.arrivals import load_arrival
from gateway.records.deliveries import load_delivered
from gateway.records.held import find_holders
from gateway.routing.replay import Replayed, Tally, Trial, fields_beyond_index, replay
from gateway.routing.trying import (
    active_rules,
    facts_of_files,
    facts_of_site,
    judge,
    read_head,
    with_tried,
)
from gateway.worker.jobs import Bench

MOST_LETTERS = 100
PROGRESS_LINES = 30
NOWHERE_SENT = "никуда / nowhere"
Found = TypeVar("Found")
existing_file = click.Path(path_type=Path, exists=True, dir_okay=False)
rules_file_option = click.option(
    "--file", "rule_file", type=existing_file, help="Rules to try; the active ones if left out."
)
version_option = click.option(
    "--version", "number", type=int, help="A saved version of the hospital's rules instead."
)


@click.command()
@rules_file_option
@version_option
@click.option("--site", "site_id", required=True, help="The site, or as if it had come there.")
@click.option("--study", "words", help="UID or AccessionNumber of a study that the site holds.")
@click.argument("dicom_files", nargs=-1, type=existing_file)
@region_option
def test(
    rule_file: Path | None, number: int | None, site_id: str, words: str | None,
    dicom_files: tuple[Path, ...], region: Path | None,
) -> None:  # fmt: skip
    """Try rules on a study of a site, or on DICOM files of one study; nothing is stored or sent."""
    bench = open_quietly(region)
    site = _site(bench, site_id)
    rule_sets = rules_to_try(bench, site_id, rule_file, number)
    if bool(words) == bool(dicom_files):
        raise click.ClickException(
            "укажите либо файлы, либо --study / give either files or --study"
        )
    if words:
        held = [uid for holder, uid in find_holders(bench.records, words) if holder == site_id]
        for study_uid in _found(held, words):
            _tell_of_site(bench, site, study_uid, rule_sets)
        return
    tell(rule_sets, facts_of_files(site, [_dataset(file) for file in dicom_files], utc_now()))


@click.command("explain")
@rules_file_option
@version_option
@click.option("--site", "site_id", help="Only this site; every one that holds it if left out.")
@click.argument("words", metavar="STUDY")
@region_option
def explain_study(
    rule_file: Path | None, number: int | None, site_id: str | None, words: str,
    region: Path | None,
) -> None:  # fmt: skip
    """Why did STUDY (UID or AccessionNumber) go, or not: each rule, each condition, each value."""
    bench = open_quietly(region)
    held = find_holders(bench.records, words)
    if site_id:
        held = [each for each in held if each[0] == _site(bench, site_id).site_id]
    for holder, study_uid in _found(held, words):
        site = bench.region_file.region.site(holder)
        if site is not None:
            rule_sets = rules_to_try(bench, holder, rule_file, number)
            _tell_of_site(bench, site, study_uid, rule_sets)


def rules_to_try(
    bench: Bench, site_id: str, rule_file: Path | None, number: int | None, owner: str = ""
) -> list[RuleSet]:
    """The active rules, with the hospital's or the ministry's replaced by a file or a version.

    owner  whose version `number` is; the site's if left out
    """
    if rule_file and number is not None:
        raise click.ClickException(
            "укажите либо --file, либо --version / give either --file or --version"
        )
    tried: RuleSet | None = None
    if rule_file:
        tried = read_rules(rule_file)
        if tried.owner not in (MINISTRY, site_id):
            raise click.ClickException(
                f"это правила для {tried.owner}, а не {site_id} / these are rules of {tried.owner}"
            )
    elif number is not None:
        tried = version_of(bench.records, owner or site_id, number).rule_set
    active = active_rules(bench.records, site_id, utc_now())
    return active if tried is None else with_tried(active, tried)


def _site(bench: Bench, site_id: str) -> Site:
    site = bench.region_file.region.site(site_id)
    if site is None:
        raise click.ClickException(f"{site_id}: is no site of region.toml")
    return site


def _found(found: Sequence[Found], words: str) -> Sequence[Found]:
    if not found:
        raise click.ClickException(
            f"{words}: такого исследования в индексе нет / the index has no such study"
        )
    return found


def _tell_of_site(bench: Bench, site: Site, study_uid: str, rule_sets: Sequence[RuleSet]) -> None:
    click.echo(f"{site.site_id} · {study_uid}")
    seen = load_arrival(bench.records, site.site_id, study_uid)
    if seen and seen.judged_at:
        reason = " / ".join(dict.fromkeys(reason_in_words(seen.reason, each) for each in LANGUAGES))
        said = " ".join(filter(None, (seen.state, reason, seen.rule, seen.versions)))
        when = f"{seen.judged_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        click.echo(f"  решено / decided {when}: {said}")
    already_at = load_delivered(bench.records, site.site_id, study_uid)
    for destination in sorted(already_at):
        click.echo(f"  доставлено и сверено / delivered and verified: {destination}")
    try:
        with closing(Wire()) as wire:
            facts = facts_of_site(bench.records, wire, site, study_uid, rule_sets, utc_now())
    except NotFound as error:
        raise click.ClickException(
            f"в {site.site_id} его уже нет / {site.site_id} has it no more"
        ) from error
    except SiteError as error:
        raise click.ClickException(
            f"{site.site_id} не отвечает ({error.code}), а без него правило не проверить / "
            f"does not answer, and the rules ask for what only it knows"
        ) from error
    tell(rule_sets, facts)


def tell(rule_sets: Sequence[RuleSet], facts: Facts) -> None:
    """Every rule with its conditions, then what follows from them."""
    tried = judge(rule_sets, facts, utc_now())
    for each in tried.traces:
        _tell_rule(each)
    decision = tried.decision
    for planned in decision.sends:
        click.echo(f"→ {planned.target} ({planned.rule}, {planned.lane})")
    for planned in decision.shadow:
        click.echo(f"⇢ {planned.target} ({planned.rule}, проба / shadow)")
    if decision.ended:
        word = {"held": "задержано / held", "dropped": "не отправляется / dropped"}[decision.ended]
        reasons = (reason_in_words(decision.reason, language) for language in LANGUAGES)
        click.echo(f"■ {word}: {' / '.join(dict.fromkeys(reasons))} ({decision.rule})")


def _tell_rule(each: RuleTrace) -> None:
    mark = {"true": "●", "false": "○", "missing": "?", "unread": "!"}[each.outcome.value]
    late = "" if each.reached else " (не дошло / not reached)"
    click.echo(f"{mark} {each.owner}/{each.rule.rule_id} [{each.rule.state}]{late}")
    for condition in each.conditions:
        _tell_conditions(condition, 1)


def _tell_conditions(trace: Trace, depth: int) -> None:
    outcome = " / ".join(OUTCOMES[trace.outcome.value])
    if isinstance(trace.condition, Comparison):
        words = " / ".join(condition_in_words(trace.condition, language) for language in LANGUAGES)
        found = "" if trace.found is None else f" [{', '.join(map(_plain, trace.found[:5]))}]"
        click.echo(f"{'  ' * depth}{outcome}: {words}{found}")
    for below in trace.below:
        _tell_conditions(below, depth + 1)


def _plain(value: object) -> str:
    """A value of an image, short and without what would move a terminal's cursor."""
    return "".join(letter if letter.isprintable() else "·" for letter in str(value)[:MOST_LETTERS])


def _dataset(file: Path) -> Dataset:
    try:
        with file.open("rb") as opened:
            return read_head(opened)
    except (NotUnderstood, OSError) as error:
        raise click.ClickException(
            f"{file}: не DICOM или не читается / is no DICOM file that can be read: {error}"
        ) from error


@click.command("replay")
@rules_file_option
@version_option
@click.option("--days", type=click.IntRange(1, 3660), default=30, help="How many, up to today.")
@click.argument("owner")
@region_option
def replay_days(
    rule_file: Path | None, number: int | None, days: int, owner: str, region: Path | None
) -> None:
    """What OWNER's rules (a site's, or `ministry`) would have sent in the last days, beside the
    active ones; of the index alone. The newest version is tried if none is named."""
    bench = open_quietly(region)
    if rule_file is None and number is None:
        number = version_of(bench.records, owner, None).number
    sites = bench.region_file.region.sites if owner == MINISTRY else [_site(bench, owner)]
    trials = [
        Trial(
            site,
            active_rules(bench.records, site.site_id, utc_now()),
            rules_to_try(bench, site.site_id, rule_file, number, owner),
        )
        for site in sites
    ]
    today = utc_now().date()

    def tell_progress(done: int, studies: int) -> None:
        if done == days or done % max(days // PROGRESS_LINES, 1) == 0:
            click.echo(f"{done}/{days} дн. / days, исследований / studies {studies}", err=True)

    begin = monotonic_s()
    found = replay(
        bench.records, trials, [today - timedelta(days=n) for n in range(days)], tell_progress
    )
    _tell_replayed(found, monotonic_s() - begin)
    beyond = {
        name: fields for trial in trials for name, fields in fields_beyond_index(trial).items()
    }
    for rule, fields in beyond.items():
        click.echo(
            f"? {rule}: спрашивает у больницы / asks the site: {', '.join(fields)}; "
            f"не решено / undecided {found.unknown.get(rule, 0)}"
        )


def _tell_replayed(found: Replayed, seconds: float) -> None:
    rate = found.decisions / seconds if seconds else 0
    click.echo(
        f"исследований / studies {found.studies}, не решено без больницы / undecided without "
        f"their site {found.undecided}; решений в секунду / decisions per second {rate:.0f}"
    )
    for tallies, mark in ((found.sends, "→"), (found.shadow, "⇢")):
        for destination, tally in sorted(tallies.items()):
            _tell_tally(f"{mark} {destination or NOWHERE_SENT}", tally, found.days)


def _tell_tally(name: str, tally: Tally, days: int) -> None:
    unsized = f" + {tally.unsized} без размера / unsized" if tally.unsized else ""
    click.echo(
        f"{name}: {tally.hits} (+{tally.gains} −{tally.losses}), "
        f"{tally.size_bytes / days / 1e9:.3f} ГБ в день / GB a day{unsized}"
    )
    for one in tally.sample:
        mark = {"gain": "+", "loss": "−", "hit": " "}[one.change]
        click.echo(f"    {mark} {one.study_date} {one.site_id} {one.study_uid}")


trying_commands = (test, explain_study, replay_days)
