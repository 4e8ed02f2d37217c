"""`python -m tests.bench.audit --rows 10000000`: how long an auditor waits for an answer.

A year of a region: 3,000 people, a program that makes every fifth line, each study opened by
several people, one of them by very many. SQLite and PostgreSQL; each answer is what the page shows:
the sums and the first hundred lines. Also: how fast lines come in, and how fast they are verified.
"""

import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import click
import sqlalchemy as sa

from gateway.model.audit import FIRST_HEAD, Entry, Head, next_chain
from gateway.records.audit import NAMES, append, audit_entry, load_head, verify
from gateway.records.audit_pages import Asked, load_page, load_sums
from gateway.records.engine import Records, open_records
from gateway.records.schema import migrate
from tests.bench.index_databases import passing_folder
from tests.postgres import run_postgres

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
YEAR = timedelta(days=365)
PEOPLE, LINES_OF_A_STUDY = 3000, 40
PROGRAM, FAMOUS = "program", "1.2.643.5.1.0"
PORTION = 50_000
TRIES = 7
ACTIONS = (
    "retrieve",
    "retrieve",
    "retrieve",
    "retrieve",
    "retrieve",
    "retrieve",
    "search",
    "store",
)


def lines(rows: int) -> Iterator[Entry]:
    """In pairs, as requests begin and end."""
    chance, step = random.Random(7), YEAR / rows  # noqa: S311 - nothing secret
    studies = max(rows // LINES_OF_A_STUDY, 50)
    for number in range(0, rows, 2):
        by_program = chance.random() < 0.2
        actor = PROGRAM if by_program else f"{chance.randrange(PEOPLE):016x}"
        action = chance.choice(ACTIONS)
        uid = f"1.2.643.5.1.{chance.randrange(studies) if chance.random() > 0.002 else 0}"
        study_uid = "" if action == "search" else uid
        refused = chance.random() < 0.001
        for n, outcome in enumerate(("refused" if refused else "began", "done")):
            yield Entry(
                entry_id=f"{number + n:016x}", request=f"{number:016x}",
                at=BEGIN + (number + n) * step, actor=actor,
                kind="token" if by_program else "session", purpose="TREAT", action=action,
                site_id="", study_uid=study_uid, outcome=outcome, reason="",
                status=0 if n == 0 else 200, detail="", address="10.1.2.3",
                patient=f"{chance.randrange(studies):032x}" if action == "search" and not n else "",
                size_bytes=0 if n == 0 else 512_000, instances=n,
            )  # fmt: skip


def portions(rows: int) -> Iterator[list[tuple[Any, ...]]]:
    """The rows as the table has them: number, the entry's fields, chain."""
    source, number, chain = lines(rows), 0, FIRST_HEAD.chain
    while batch := list(islice(source, PORTION)):
        made = []
        for entry in batch:
            number += 1
            chain = next_chain(chain, number, entry)
            made.append((number, *vars(entry).values(), chain))
        yield made


def fill(records: Records, rows: int) -> None:
    """The indexes come last: rows that come in one by one would take hours."""
    with records.write() as connection:
        for index in audit_entry.indexes:
            index.drop(connection)
    names = ("number", *NAMES, "chain")
    if records.engine.dialect.name == "sqlite":
        _fill_sqlite(str(records.engine.url.database), names, rows)
    else:
        _fill_postgresql(records, names, rows)
    with records.write() as connection:
        for index in audit_entry.indexes:
            index.create(connection)
    if records.engine.dialect.name == "postgresql":  # as its own daemon does
        alone = records.engine.execution_options(isolation_level="AUTOCOMMIT")
        with alone.connect() as connection:
            connection.execute(sa.text("VACUUM ANALYZE audit_entry"))


def _fill_sqlite(path: str, names: tuple[str, ...], rows: int) -> None:
    at = names.index("at")
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        marks = ", ".join("?" * len(names))
        insert = f"INSERT INTO audit_entry ({', '.join(names)}) VALUES ({marks})"  # noqa: S608
        for made in portions(rows):
            told = ((*r[:at], f"{r[at]:%Y-%m-%d %H:%M:%S.%f}", *r[at + 1 :]) for r in made)
            connection.executemany(insert, told)
            connection.commit()
    connection.close()


def _fill_postgresql(records: Records, names: tuple[str, ...], rows: int) -> None:
    with records.engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        for made in portions(rows):
            with driver.cursor() as cursor, cursor.copy(
                f"COPY audit_entry ({', '.join(names)}) FROM STDIN"
            ) as copy:  # fmt: skip
                for row in made:
                    copy.write_row(row)
            driver.commit()


@dataclass(frozen=True)
class Asking:
    """A question of the README, with another value at each try."""

    name: str
    asked: Callable[[random.Random], Asked]


def askings(rows: int) -> list[Asking]:
    studies = max(rows // LINES_OF_A_STUDY, 50)

    def uids(chance: random.Random, count: int) -> frozenset[str]:
        return frozenset(f"1.2.643.5.1.{chance.randrange(1, studies)}" for _ in range(count))

    def a_day(chance: random.Random, days: int) -> tuple[datetime, datetime]:
        since = BEGIN + timedelta(days=chance.randrange(365 - days))
        return since, since + timedelta(days=days)

    def who(chance: random.Random) -> str:
        return f"{chance.randrange(PEOPLE):016x}"

    end = BEGIN + YEAR
    return [
        Asking(
            "who touched this patient, of 30 studies, in a year",
            lambda c: Asked(BEGIN, end, uids(c, 30), frozenset({f"{c.randrange(studies):032x}"})),
        ),
        Asking("what happened to this study in a year", lambda c: Asked(BEGIN, end, uids(c, 1))),
        Asking("… to one that very many opened", lambda _: Asked(BEGIN, end, frozenset({FAMOUS}))),
        Asking("what this person opened in a day", lambda c: Asked(*a_day(c, 1), actor=who(c))),
        Asking("… in a year", lambda c: Asked(BEGIN, end, actor=who(c))),
        Asking("what the program did in a week", lambda c: Asked(*a_day(c, 7), actor=PROGRAM)),
        Asking("… in a year", lambda _: Asked(BEGIN, end, actor=PROGRAM)),
        Asking("refusals of a month", lambda c: Asked(*a_day(c, 30), refused=True)),
        Asking("stores of a day", lambda c: Asked(*a_day(c, 1), action="store")),
    ]


def measure(records: Records, rows: int) -> Iterator[tuple[str, float, float]]:
    """(question, median and longest wait in seconds)"""
    for asking in askings(rows):
        chance = random.Random(11)  # noqa: S311 - nothing secret
        waits: list[float] = []
        for _ in range(TRIES):
            asked = asking.asked(chance)
            begin = time.perf_counter()
            load_sums(records, asked)
            load_page(records, asked, 101)
            waits.append(time.perf_counter() - begin)
        yield asking.name, median(waits), max(waits)
    yield "a batch of 1,000 new lines comes in", *_append_time(records)
    last = load_head(records, rows - 100_000) if rows > 100_000 else FIRST_HEAD
    begin = time.perf_counter()
    found = verify(records, since=last or Head(*FIRST_HEAD))
    took = (time.perf_counter() - begin) / found.looked * 100_000
    assert found.breaks == ()
    yield "100,000 lines are verified", took, took


def _append_time(records: Records) -> tuple[float, float]:
    waits, source = [], lines(10**9)
    for n in range(5):
        batch = [
            Entry(**{**vars(one), "entry_id": f"{n:04x}{one.entry_id[-12:]}"})
            for one in islice(source, 1000)
        ]
        begin = time.perf_counter()
        append(records, batch)
        waits.append(time.perf_counter() - begin)
    return median(waits), max(waits)


@click.command()
@click.option("--rows", default=1_000_000, show_default=True)
@click.option("--database", "kinds", multiple=True, default=("sqlite", "postgresql"))
def main(rows: int, kinds: tuple[str, ...]) -> None:
    """Fill both databases and ask them."""
    for kind in kinds:
        with passing_folder() as folder:
            if kind == "sqlite":
                _run(kind, f"sqlite:///{folder / 'audit.db'}", rows, folder)
            else:
                with run_postgres(folder / "pg") as url:
                    _run(kind, url, rows, folder)


def _run(kind: str, url: str, rows: int, folder: Path) -> None:
    records = open_records(url)
    migrate(records)
    begin = time.perf_counter()
    fill(records, rows)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    took = time.perf_counter() - begin
    click.echo(f"\n{kind}: {rows} lines, {size / 1e9:.1f} GB, filled in {took:.0f} s\n")
    click.echo("| question | median, s | longest, s |\n|---|--:|--:|")
    for name, middle, longest in measure(records, rows):
        click.echo(f"| {name} | {middle:.3f} | {longest:.3f} |")
    records.close()


if __name__ == "__main__":
    main()
