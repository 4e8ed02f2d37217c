"""Databases with a made-up index, filled once and kept in a folder for the next run."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import click

from gateway.demo.servers import REPOSITORY
from gateway.records.engine import open_records
from tests.bench.index_fill import fill
from tests.postgres import run_postgres

KINDS = ("sqlite", "postgresql")
_MAKERS = ("gateway/records", "gateway/index/columns.py", "gateway/dicom/names.py")


@dataclass(frozen=True)
class Database:
    """A filled database.

    pid     of PostgreSQL's first process, 0 for SQLite
    fill_s  how long the fill took, 0 if it was there already
    """

    url: str
    pid: int
    size_bytes: int
    fill_s: float


def _version() -> str:
    """Of the code that makes the rows: another one makes another database."""
    digest = blake2b((Path(__file__).parent / "index_fill.py").read_bytes(), digest_size=6)
    for name in _MAKERS:
        place = REPOSITORY / name
        for file in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            digest.update(file.read_bytes())
    return digest.hexdigest()


@contextmanager
def passing_folder() -> Iterator[Path]:
    """A temporary folder that PostgreSQL's own user may pass through."""
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@contextmanager
def database(kind: str, studies: int, sites: int, folder: Path) -> Iterator[Database]:
    """A database with that many studies at that many sites.

    folder  where it is looked for, and kept; what an unfinished run left there is made anew.
            PostgreSQL's own user must be able to enter it
    """
    place = folder / f"{kind}-{studies}-{sites}-{_version()}"
    done = place / "filled"
    if not done.exists():
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
    begin = time.perf_counter()
    with _opened(kind, place / "data") as (url, pid):
        fill_s = 0.0
        if not done.exists():
            records = open_records(url)
            fill(records, studies, sites)
            records.close()
            fill_s = time.perf_counter() - begin
            click.echo(f"{kind}: {studies} studies at {sites} sites in {fill_s:.0f} s", err=True)
            done.touch()
        yield Database(url, pid, _size_bytes(place), fill_s)


@contextmanager
def _opened(kind: str, place: Path) -> Iterator[tuple[str, int]]:
    if kind == "sqlite":
        yield f"sqlite:///{place}", 0
    else:
        with run_postgres(place) as url:
            yield url, int((place / "postmaster.pid").read_text().split()[0])


def _size_bytes(place: Path) -> int:
    return sum(
        os.path.getsize(Path(folder) / name)
        for folder, _, names in os.walk(place)
        for name in names
    )
