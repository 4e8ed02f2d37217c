"""`python -m tests.bench.rollout`: how fast the figures of a whole region are (issue 7).

600 facilities, 5,000 units, ten years of changes and of images: a snapshot, its reading back, the
curves of all facilities, an import of 5,000 rows, every page and the open data at the server's own
door (each asked anew, so that none comes from memory; senders looked at anew each time; again with
an edit of the register before each page; and by a new process); SQLite and PostgreSQL.
"""

import itertools
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path

import click
import sqlalchemy as sa
from flask.testing import FlaskClient

from gateway.bootstrap import build_gateway
from gateway.model.rollout.figures import ScopeKind, SnapshotKind
from gateway.model.rollout.forecast import month_ends
from gateway.model.rollout.measures import Savings
from gateway.model.rollout.minutes import Moment
from gateway.model.rollout.register import (
    Capture,
    Facility,
    FacilityKind,
    Unit,
    UnitKind,
    UnitState,
)
from gateway.records import snapshots
from gateway.records.engine import Records, open_records
from gateway.records.register import Change, add_revisions, load_units
from gateway.records.schema import migrate
from gateway.records.sightings import clock_day, sender, sender_day, study_day
from gateway.records.snapshots import Order
from gateway.rollout import sender_shelf
from gateway.rollout.register import Author, File, apply_import, load_register, show_import
from gateway.rollout.report import take
from gateway.rollout.writing import sheets_of_day, write_csv
from gateway.settings import Settings
from gateway.web import create_app
from tests.postgres import run_postgres

FACILITIES, UNITS, YEARS = 600, 5000, 10
LAST = date(2026, 6, 30)
FIRST = LAST.replace(year=LAST.year - YEARS)
NOW = datetime(2026, 7, 1, 1, tzinfo=UTC)
ASKED = 20
DATABASES = ("SQLite", "PostgreSQL")
MONTHS_READ = 12
EDITED = ("/rollout/facilities/f1", "/rollout/discrepancies", "/rollout/", "/rollout/register")


def fill(records: Records) -> None:
    """Each unit changes five times in ten years; each sends on every seventh day."""
    chance = random.Random(7)  # noqa: S311 - nothing secret
    kinds, facility_kinds = list(UnitKind), list(FacilityKind)
    places = [
        Facility(
            f"f{n}", f"Больница {n}", f"Hospital {n}", facility_kinds[n % len(facility_kinds)],
            f"Район {n % 40}", site_id=f"s{n}", joined_on=FIRST,
        )
        for n in range(FACILITIES)
    ]  # fmt: skip
    changes = []
    for n in range(UNITS):
        for turn in range(5):
            digital = turn * 20 > chance.randrange(100)
            changes.append(
                Change(
                    Unit(
                        f"u{n}", f"f{n % FACILITIES}", kinds[n % len(kinds)], "Maker", "Model",
                        f"{n:06d}", 2015, Capture.DIGITAL if digital else Capture.ANALOGUE,
                        UnitState.ACTIVE, "region" if digital else "",
                        9_000_000 if digital else None, digital,
                    ),
                    FIRST + timedelta(days=730 * turn + chance.randrange(700)),
                )
            )  # fmt: skip
    changes.sort(key=lambda one: one.valid_from)
    add_revisions(
        records, facilities=[Change(one, FIRST) for one in places], units=changes, author="bench",
        reason="", now=NOW - timedelta(days=1),
    )  # fmt: skip
    _fill_images(records)


def _fill_images(records: Records) -> None:
    days = [FIRST + timedelta(days=n) for n in range((LAST - FIRST).days + 1)]
    with records.write() as connection:
        connection.execute(
            sa.insert(sender),
            [
                {
                    "site_id": f"s{n % FACILITIES}", "machine": n.to_bytes(16, "big"),
                    "manufacturer": "Maker", "model": "Model", "serial": f"{n:06d}", "station": "",
                    "institution": "", "noted_at": NOW,
                }
                for n in range(UNITS)
            ],
        )  # fmt: skip
        numbers = connection.execute(sa.select(sender.c.sender_id)).scalars().all()
    with records.write() as connection:
        for day in days[::7]:
            connection.execute(
                sa.insert(sender_day),
                [{"sender_id": n, "day": day, "modality": "DX", "studies": 3} for n in numbers],
            )
    with records.write() as connection:
        for day in days[-40:]:
            sites = [f"s{n}" for n in range(FACILITIES)]
            connection.execute(
                sa.insert(study_day), [{"day": day, "site_id": s, "studies": 12} for s in sites]
            )
            connection.execute(
                sa.insert(clock_day),
                [
                    {"day": day, "site_id": s, "moment": m, "seconds": seconds, "studies": 1}
                    for s in sites for m in (Moment.VISIBLE, Moment.ARCHIVED)
                    for seconds in (30, 60, 90, 600)
                ],
            )  # fmt: skip


def timed(ask: Callable[[], object], times: int = 1) -> list[float]:
    """Seconds of each, in their order by length."""
    found = []
    for _ in range(times):
        began_s = time.perf_counter()
        ask()
        found.append(time.perf_counter() - began_s)
    return sorted(found)


@contextmanager
def database(kind: str, folder: Path) -> Iterator[str]:
    if kind == "SQLite":
        yield f"sqlite:///{folder / 'gateway.db'}"
    else:
        with run_postgres() as url:
            yield url


def measure_one(url: str, folder: Path) -> Iterator[tuple[str, str, str]]:
    """(what, asked of it, what it took) of one database."""
    records = open_records(url)
    migrate(records)
    fill(records)
    night = Order(LAST, SnapshotKind.NIGHTLY)
    (took,) = timed(lambda: take(records, [night], Savings(), NOW))
    yield "snapshot of ten years", "5 s", f"{took:.2f} s"
    ends = [Order(day, SnapshotKind.MONTH) for day in month_ends(FIRST, LAST)][-MONTHS_READ:]
    (took,) = timed(lambda: take(records, ends, Savings(), NOW))
    yield f"{len(ends)} month ends at once, each", "–", f"{took / len(ends):.2f} s"
    _fill_months(records)
    snapshots._unpack.cache_clear()
    (took,) = timed(lambda: snapshots.latest(records))
    yield "the last snapshot, read first", "–", f"{1000 * took:.0f} ms"
    (took,) = timed(lambda: snapshots.curves(records, ScopeKind.FACILITY))
    yield "curves of all facilities, ten years", "–", f"{1000 * took:.0f} ms"
    yield _import(records)
    records.close()
    yield from _doors(url, folder)


def _fill_months(records: Records) -> None:
    """The months before those that were measured are like the first of these."""
    first = min(snapshots.list_reports(records), key=lambda one: one.day)
    found = snapshots.of_month(records, first.day)
    assert found is not None
    for day in month_ends(FIRST, first.day - timedelta(days=1)):
        snapshots.save_snapshot(records, replace(found, day=day))


def _import(records: Records) -> tuple[str, str, str]:
    """The whole register comes back as a file in which every unit has another year."""
    register = load_register(records)
    _, sheet = sheets_of_day(register.facilities, register.units, LAST)
    year = [column.name for column in sheet.columns].index("year")
    changed = [[*row[:year], 2016, *row[year + 1 :]] for row in sheet.rows]
    file = File("units.csv", write_csv(replace(sheet, rows=changed), "en"))

    def bring() -> None:
        shown = show_import(records, [file], LAST, LAST)
        assert len(shown.plan.units) == UNITS
        apply_import(records, shown, Author("bench", "measured"), NOW)

    (took,) = timed(bring)
    return f"import of {UNITS} rows", "10 s", f"{took:.2f} s"


def _doors(url: str, folder: Path) -> Iterator[tuple[str, str, str]]:
    region = folder / "region.toml"
    region.write_text(
        '[region]\nname_ru = "О"\nname_en = "R"\n[[site]]\nid = "s0"\nname_ru = "Б"\n'
        'name_en = "H"\nurl = "http://127.0.0.1:9"\nkind = "dicomweb"\n',
        encoding="utf-8",
    )
    gateway = build_gateway(Settings(region=region, state_dir=folder, database_url=url))
    client: FlaskClient = create_app(gateway).test_client()
    api = "/api/v1/rollout/"
    paths = [api + name for name in ("region", "municipalities", "facilities", "curve")]
    paths += [api + "facilities/f1", "/rollout/facilities/f1"]
    paths += sorted(
        rule.rule
        for rule in client.application.url_map.iter_rules()
        if rule.endpoint.startswith("rollout.")
        and "GET" in (rule.methods or ())
        and not rule.arguments
    )
    sender_shelf.AGE_S = 0.0
    numbers = itertools.count()

    def ask(path: str) -> None:
        answer = client.get(f"{path}?asked={next(numbers)}")
        assert answer.status_code == 200, answer.text

    for path in paths:
        (first,) = timed(partial(ask, path))
        took = timed(partial(ask, path), ASKED)[-(-ASKED * 95 // 100) - 1]
        most = "–" if path.endswith(("export", "xlsx", "csv")) else "150 ms"
        yield (
            f"{path}, p95 of {ASKED} (first: {1000 * first:.0f} ms)",
            most,
            f"{1000 * took:.0f} ms",
        )
    unit = load_units(gateway.records)[-1].thing
    for path in EDITED:
        found = []
        for _ in range(ASKED):
            edited = replace(unit, serial=f"edited {next(numbers)}")
            add_revisions(
                gateway.records, units=[Change(edited, LAST)], author="bench", reason="", now=NOW
            )
            found += timed(partial(ask, path))
        took = sorted(found)[-(-ASKED * 95 // 100) - 1]
        yield f"{path} after an edit, p95 of {ASKED}", "150 ms", f"{1000 * took:.0f} ms"
    gateway.wire.close()
    gateway.pool.shutdown()
    gateway.records.close()


@click.command()
@click.option("--only", type=click.Choice(DATABASES), help="One of the databases alone.")
def main(only: str | None) -> None:
    """Print a table of Markdown."""
    click.echo(f"{FACILITIES} facilities, {UNITS} units, {YEARS} years; one process.\n")
    click.echo("| database | what | at most | took |\n|---|---|--:|--:|")
    for kind in (only,) if only else DATABASES:
        with tempfile.TemporaryDirectory(prefix="gateway-rollout-") as name:
            folder = Path(name)
            with database(kind, folder) as url:
                for what, most, took in measure_one(url, folder):
                    click.echo(f"| {kind} | {what} | {most} | {took} |")


if __name__ == "__main__":
    main()
