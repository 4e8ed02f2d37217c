"""Databases with a made-up index, filled once and kept in a folder for the next run."""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path

import click

from gateway.demo.servers import REPOSITORY
from gateway.records.engine import open_records
from tests.bench.index_fill import fill
from tests.postgres import run_postgres

KINDS = ("sqlite", "postgresql")
_MAKERS = ("gateway/records", "gateway/index/columns.py", "gateway/dicom/names.py")


def _version() -> str:
    """Of the code that makes the rows: another one makes another database."""
    digest = blake2b((Path(__file__).parent / "index_fill.py").read_bytes(), digest_size=6)
    for name in _MAKERS:
        place = REPOSITORY / name
        for file in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            digest.update(file.read_bytes())
    return digest.hexdigest()


@contextmanager
def database(kind: str, studies: int, sites: int, folder: Path) -> Iterator[tuple[str, float]]:
    """(URL, bytes) of a database with that many studies at that many sites.

    folder  where it is looked for, and kept; what an unfinished run left there is made anew.
            PostgreSQL runs as its own user, who must be able to enter the folder
    """
    place = folder / f"{kind}-{studies}-{sites}-{_version()}"
    done = place / "filled"
    if not done.exists():
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
    with _opened(kind, place / "data") as url:
        if not done.exists():
            begin, cpu = time.perf_counter(), time.process_time()
            records = open_records(url)
            fill(records, studies, sites)
            records.close()
            click.echo(
                f"{kind}: {studies} studies at {sites} sites filled in "
                f"{time.perf_counter() - begin:.0f} s ({time.process_time() - cpu:.0f} s of CPU "
                "here)",
                err=True,
            )
            done.touch()
        yield url, _size(place)


@contextmanager
def _opened(kind: str, place: Path) -> Iterator[str]:
    if kind == "sqlite":
        yield f"sqlite:///{place}"
    else:
        with run_postgres(place) as url:
            yield url


def _size(place: Path) -> float:
    return sum(
        os.path.getsize(Path(folder) / name)
        for folder, _, names in os.walk(place)
        for name in names
    )
