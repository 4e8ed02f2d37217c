"""`python -m tests.bench.index`: how long one search of a large study index takes.

One client in the same process, without the web: what is measured is index/query.py and the
database. Keys are drawn anew for each search, so nothing is answered from a cache of ours.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from random import Random

import click
import sqlalchemy as sa

from gateway.dicom.attributes import Level
from gateway.dicom.query import parse_query
from gateway.index.query import find_page
from gateway.records.engine import Records, open_records
from gateway.records.studies import study
from tests.bench.index_fill import DAYS, MODALITIES, NOW, fill, site_names, surnames
from tests.postgres import run_postgres

TARGET_MS = 50
Params = list[tuple[str, str]]


def questions(studies: int) -> dict[str, Callable[[Random], Params]]:
    names = surnames()

    def day(random: Random, length: int) -> str:
        first = NOW - timedelta(days=random.randrange(DAYS))
        if length == 1:
            return f"{first:%Y%m%d}"
        return f"{first:%Y%m%d}-{first + timedelta(days=length - 1):%Y%m%d}"

    def modality(random: Random) -> str:
        return random.choice(MODALITIES)[0]

    return {
        "PatientID": lambda r: [("PatientID", f"P{r.randrange(studies // 3):07}")],
        "AccessionNumber": lambda r: [("AccessionNumber", f"A{r.randrange(studies):09}")],
        "StudyInstanceUID": lambda r: [
            ("StudyInstanceUID", f"1.2.643.5.1.13.13.12.2.{(n := r.randrange(studies)) % 97}.{n}")
        ],
        "name: family and initial": lambda r: [
            ("PatientName", f"{r.choice(names).upper()} {r.choice('АВДЕЮ')}*")
        ],
        "name: family*": lambda r: [("PatientName", f"{r.choice(names).lower()}*")],
        "name: commonest family*": lambda r: [("PatientName", f"{r.choice(names[:5])}*")],
        "name: Latin family*": lambda r: [
            ("PatientName", r.choice(["IVANOV*", "Petrov*", "SHCHERBAKEV*", "Tsvetkin*"]))
        ],
        "name: three letters*": lambda r: [("PatientName", f"{r.choice(names)[:3]}*")],
        "name: *part* (OHIF)": lambda r: [("PatientName", f"*{r.choice(names)}*")],
        "name: one error": lambda r: [
            ("PatientName", f"{r.choice(names)[:4]}х{r.choice(names)[5:]}*"),
            ("fuzzymatching", "true"),
        ],
        "day + modality": lambda r: [
            ("StudyDate", day(r, 1)),
            ("ModalitiesInStudy", modality(r)),
        ],
        "month + modality": lambda r: [
            ("StudyDate", day(r, 30)),
            ("ModalitiesInStudy", modality(r)),
        ],
        "opening: 101 newest": lambda _: [],
        "opening: page 10": lambda _: [("offset", "1000")],
    }


def measure(records: Records, studies: int, sites: int, times: int, only: str) -> list[str]:
    """Print one line for each kind of search; returns those that are slower than the target."""
    random = Random(7)  # noqa: S311 - orders works, guards nothing
    site_ids = site_names(sites)
    slow = []
    for name, params_of in questions(studies).items():
        if only not in name:
            continue
        spans, totals = [], []
        for _ in range(times):
            params = [("limit", "101"), *params_of(random)]
            begin = time.perf_counter()
            query = parse_query(Level.STUDY, params, max_results=1000)
            page = find_page(records, query, site_ids, NOW + timedelta(days=1))
            spans.append((time.perf_counter() - begin) * 1000)
            totals.append(page.total)
        spans.sort()
        p50, p95 = spans[times // 2], spans[int(times * 0.95)]
        click.echo(
            f"{name:28} p50 {p50:8.1f} ms   p95 {p95:8.1f} ms   worst {spans[-1]:8.1f} ms"
            f"   found {sum(totals) / times:9.0f}"
        )
        if p95 > TARGET_MS:
            slow.append(name)
    return slow


@contextmanager
def opened(postgres: bool, folder: Path, keep: str) -> Iterator[Records]:
    if keep:
        records = open_records(keep)
        yield records
        records.close()
    elif postgres:
        with run_postgres() as url:
            records = open_records(url)
            yield records
            records.close()
    else:
        records = open_records(f"sqlite:///{folder / 'index.db'}")
        yield records
        records.close()


@click.command()
@click.option("--studies", default=100_000, show_default=True)
@click.option("--sites", default=300, show_default=True)
@click.option("--times", default=60, show_default=True, help="searches of each kind")
@click.option("--postgres", is_flag=True, help="a PostgreSQL of its own instead of SQLite")
@click.option("--database", default="", help="URL of a database to use, and to fill if empty")
@click.option("--only", default="", help="kinds of search whose name has this")
def main(studies: int, sites: int, times: int, postgres: bool, database: str, only: str) -> None:
    """Fill an index with made-up studies and ask it."""
    with (
        tempfile.TemporaryDirectory(prefix="gateway-index-") as folder,
        opened(postgres, Path(folder), database) as records,
    ):
        if not sa.inspect(records.engine).has_table(study.name):
            begin = time.perf_counter()
            fill(records, studies, sites)
            click.echo(f"{studies} studies filled in {time.perf_counter() - begin:.0f} s")
        slow = measure(records, studies, sites, times, only)
    if slow:
        click.echo(f"slower than {TARGET_MS} ms: {', '.join(slow)}")
        sys.exit(1)


if __name__ == "__main__":
    main()
