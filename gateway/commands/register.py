"""`gateway register ...`: the register of facilities and modality units, from the terminal.

An import shows what it would change and every mistake, and changes nothing unless it is told to.
"""

from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

import click

from gateway.clock import utc_now
from gateway.commands.opening import open_quietly, region_option
from gateway.commands.recorded import terminal_user
from gateway.errors import RegisterChanged
from gateway.model.rollout.checking import check_reason
from gateway.model.rollout.import_plan import Mistake, Plan, What
from gateway.model.wording import Words
from gateway.rollout.register import (
    Author,
    File,
    Shown,
    apply_import,
    load_register,
    merge,
    show_import,
)
from gateway.rollout.report import zone_of
from gateway.rollout.writing import (
    Sheet,
    sheets_of_day,
    sheets_of_history,
    write_csv_archive,
    write_xlsx,
)
from gateway.worker.jobs import Bench

MOST_LINES = 100
"""Of the rows and mistakes that are printed; of more only the count."""
CHANGED = Words(
    "реестр изменился, пока файл читался; повторите команду",
    "the register changed while the file was read; try again",
)
day_type = click.DateTime(["%Y-%m-%d"])


@click.group()
def register() -> None:
    """The register of facilities and their modality units: import, export, merge."""


@register.command("import")
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False)
)
@region_option
@click.option("--from", "day", type=day_type, help="Day from which rows count; today if not given.")
@click.option("--apply", is_flag=True, help="Write it; without this it is only shown.")
@click.option("--reason", default="", help="Why; shown in the history. Needed with --apply.")
def import_command(
    files: tuple[Path, ...], region: Path | None, day: datetime | None, apply: bool, reason: str
) -> None:
    """Read CSV or XLSX files of facilities and units: first shown, then written whole."""
    if apply and (wrong := check_reason(reason)):
        raise click.ClickException(f"--reason: {_both(wrong)}")
    bench, now = open_quietly(region), utc_now()
    records, today = bench.records, _day_of(bench, now)
    sent = [File(path.name, path.read_bytes()) for path in files]
    shown = show_import(records, sent, day.date() if day else today, today, progress=_progress())
    _tell(shown)
    if shown.plan.mistake_count:
        raise click.ClickException("ничего не записано / nothing was written")
    if not apply:
        click.echo("Ничего не записано; записать: --apply / Nothing was written; to write: --apply")
        return
    try:
        apply_import(records, shown, Author(terminal_user(), reason), now)
    except RegisterChanged as error:
        raise click.ClickException(_both(CHANGED)) from error
    click.echo("Записано / Written")


def _progress() -> Callable[[int, int], None]:
    def tell(done: int, total: int) -> None:
        click.echo(f"  {done}/{total}", err=True)

    return tell


def _tell(shown: Shown) -> None:
    plan = shown.plan
    for row in [row for row in plan.rows if row.what is not What.SAME][:MOST_LINES]:
        mark = "+" if row.what is What.NEW else "~"
        changes = "; ".join(
            f"{one.column.ru}: {one.before.ru or '–'} → {one.after.ru or '–'}"
            for one in row.differences
        )
        until = f" (до {row.until} / until {row.until})" if row.until else ""
        click.echo(f"{mark} {row.table}:{row.row} {row.thing_id} {row.valid_from}{until} {changes}")
    _tell_more(plan.count(What.NEW) + plan.count(What.CHANGED))
    for mistake in plan.mistakes[:MOST_LINES]:
        click.echo(f"✗ {in_words(mistake)}", err=True)
    _tell_more(plan.mistake_count)
    click.echo(counted(plan))


def _tell_more(count: int) -> None:
    if count > MOST_LINES:
        click.echo(f"  … и ещё {count - MOST_LINES} / and {count - MOST_LINES} more")


def counted(plan: Plan) -> str:
    """How many rows would do what."""
    new, changed, same = (plan.count(what) for what in What)
    wrong = plan.mistake_count
    return (
        f"новых {new}, изменённых {changed}, без изменений {same}, ошибок {wrong} / "
        f"{new} new, {changed} changed, {same} the same, {wrong} mistakes"
    )


def in_words(mistake: Mistake) -> str:
    """Where and what, in both languages."""
    row = f":{mistake.row}" if mistake.row else ""
    column = f" «{mistake.column.ru}»" if mistake.column.ru else ""
    return f"{mistake.table}{row}{column}: {_both(mistake.words)}"


def _day_of(bench: Bench, now: datetime) -> date:
    """Today at the region's own clock."""
    return now.astimezone(zone_of(bench.region_file.region)).date()


def _both(words: Words) -> str:
    return f"{words.ru} / {words.en}"


@register.command("export")
@region_option
@click.option("--format", "form", type=click.Choice(["csv", "xlsx"]), default="xlsx")
@click.option("--day", type=day_type, help="As it was at the end of that day; today if not given.")
@click.option("--history", is_flag=True, help="Every revision instead of one day.")
@click.option("--language", type=click.Choice(["ru", "en"]), default="ru")
@click.option("--output", required=True, type=click.Path(path_type=Path, dir_okay=False))
def export_command(
    region: Path | None, form: str, day: datetime | None, history: bool, language: str,
    output: Path,
) -> None:  # fmt: skip
    """Write the register into a file: XLSX, or ZIP with two CSV files."""
    bench = open_quietly(region)
    found = load_register(bench.records)
    if history:
        sheets: tuple[Sheet, ...] = sheets_of_history(found.facilities, found.units)
    else:
        at = day.date() if day else _day_of(bench, utc_now())
        sheets = sheets_of_day(found.facilities, found.units, at)
    write = write_xlsx if form == "xlsx" else write_csv_archive
    try:
        output.write_bytes(write(sheets, language))
    except OSError as error:
        raise click.ClickException(str(error)) from error
    facilities, units = (len(sheet.rows) for sheet in sheets)
    click.echo(f"{output}: {facilities} + {units} строк / rows")


@register.command("merge")
@click.argument("kind", type=click.Choice(["facility", "unit"]))
@click.argument("one")
@click.argument("into", required=False, default="")
@region_option
@click.option("--from", "day", type=day_type, help="Day from which it counts; today by default.")
@click.option("--undo", is_flag=True, help="Take an earlier merge of ONE back.")
@click.option("--reason", required=True, help="Why; shown in the history.")
def merge_command(
    kind: str, one: str, into: str, region: Path | None, day: datetime | None, undo: bool,
    reason: str,
) -> None:  # fmt: skip
    """ONE becomes a part of INTO: a facility's units move with it. --undo takes that back."""
    if undo is bool(into):
        raise click.ClickException("INTO или --undo / either INTO or --undo")
    if wrong := check_reason(reason):
        raise click.ClickException(f"--reason: {_both(wrong)}")
    bench, now = open_quietly(region), utc_now()
    author = Author(terminal_user(), reason)
    at: date = day.date() if day else _day_of(bench, now)
    try:
        faults = merge(bench.records, kind, one, into, at, author, now)
    except RegisterChanged as error:
        raise click.ClickException(_both(CHANGED)) from error
    if faults:
        told = (f"{name.upper()}: {_both(words)}" for name, words in faults)
        raise click.ClickException("\n".join(told))
    click.echo("Записано / Written")
