"""`python -m tests.bench.evidence`: what evidence of machines adds to a study's way into the index.

Two databases of SQLite, side by side in turns: one counts machines, one does not. Fifty at once is
how a first fill reads, one alone is how a study comes by day.
"""

import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from zoneinfo import ZoneInfo

import click

from gateway.index.rows import row_of
from gateway.orthanc.feed import Listed
from gateway.orthanc.study_records import StudyRecord
from gateway.records.engine import open_records
from gateway.records.indexing import Cursor, IndexRow, IndexWriter
from gateway.records.schema import migrate
from gateway.records.sightings import Witness
from tests.fakes import a_row

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
ZONE = ZoneInfo("Europe/Moscow")
MACHINES = 25


def a_study(number: int) -> IndexRow:
    """Three series of one of a hospital's machines."""
    uid, machine = f"1.2.826.{number}", number % MACHINES
    said = {
        "Modality": "DX", "Manufacturer": "SIEMENS", "ManufacturerModelName": f"M{machine}",
        "DeviceSerialNumber": f"S{machine}", "StationName": f"ST{machine}",
        "InstitutionName": "ГКБ", "SeriesDate": "20260310", "SeriesTime": "145900",
    }  # fmt: skip
    record = a_row(
        PatientName="Иванов^Иван", PatientID=f"P{number}", StudyDate="20260310",
        StudyTime="145800", StudyInstanceUID=uid,
    )  # fmt: skip
    series = tuple(a_row(SeriesInstanceUID=f"{uid}.{at}", **said) for at in range(3))
    listed = Listed(uid, f"{number:044}", "m", NOW)
    return row_of(listed, StudyRecord(record, series), "", ZONE)


def compare(folder: Path, at_once: int, rounds: int) -> tuple[float, float]:
    """(milliseconds of a study without evidence, and what evidence adds)."""
    sides = {}
    for name, witness in (("without", None), ("with", Witness("gkb1", False, ZONE))):
        records = open_records(f"sqlite:///{folder / f'{name}-{at_once}.db'}")
        migrate(records)
        sides[name] = IndexWriter(records, "gkb1", None, threading.Lock(), witness)
    cursor = Cursor(1, "", "filling" if at_once > 1 else "following", 0, 0, NOW)
    pairs = []
    for turn in range(rounds):
        rows = [a_study(turn * at_once + at) for at in range(at_once)]
        spent = {}
        for name in sorted(sides, reverse=bool(turn % 2)):
            begin = time.perf_counter()
            sides[name].save(cursor, rows, now=NOW + timedelta(seconds=turn))
            spent[name] = (time.perf_counter() - begin) * 1000 / at_once
        pairs.append((spent["without"], spent["with"] - spent["without"]))
    warm = pairs[rounds // 5 :]
    return median(one for one, _ in warm), median(more for _, more in warm)


@click.command()
def main() -> None:
    """Measure studies by fifty and one by one."""
    with tempfile.TemporaryDirectory() as folder:
        for words, at_once, rounds in (("by fifty", 50, 60), ("one by one", 1, 400)):
            without, more = compare(Path(folder), at_once, rounds)
            click.echo(f"{words}: {without:.2f} ms a study without, evidence adds {more:.2f} ms")


if __name__ == "__main__":
    main()
