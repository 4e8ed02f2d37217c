"""Brings the sample register, and what arrived of its units, into the database of a demo region."""

from datetime import UTC, datetime, time
from pathlib import Path

from gateway.demo.sample_evidence import sendings, write_sendings
from gateway.demo.sample_register import sample_batches
from gateway.model.rollout.register import Facility, Revision, Unit
from gateway.records.engine import Records
from gateway.records.register import Change, State, add_revisions, load_state
from gateway.rollout.register import Register, load_register
from gateway.rollout.writing import sheets_of_history, write_csv

AUTHOR = "sample"
EMPTY = State(0, 0)


def equip(records: Records, now: datetime) -> Register | None:
    """Fill an empty register with the sample region; None: there is one already, left alone."""
    if load_state(records) != EMPTY:
        return None
    seen = EMPTY
    for batch in sample_batches():
        written_at = min(datetime.combine(batch.written_on, time(9), UTC), now)
        seen = add_revisions(
            records,
            facilities=[Change(*one) for one in batch.facilities],
            units=[Change(*one) for one in batch.units],
            author=AUTHOR,
            reason=batch.reason,
            now=written_at,
            seen=seen,
        )
    register = load_register(records)
    today = now.date()
    found = list(sendings(register.facilities, register.units, today))
    write_sendings(records, found, today, now)
    return register


def write_register_files(folder: Path) -> None:
    """The same register as files that `gateway register import` takes: its whole history."""
    facilities: list[Revision[Facility]] = []
    units: list[Revision[Unit]] = []
    for batch in sample_batches():
        at = datetime.combine(batch.written_on, time(9), UTC)
        for facility, day in batch.facilities:
            number = len(facilities) + 1
            facilities.append(Revision(number, day, at, AUTHOR, batch.reason, facility))
        for unit, day in batch.units:
            units.append(Revision(len(units) + 1, day, at, AUTHOR, batch.reason, unit))
    folder.mkdir(parents=True, exist_ok=True)
    for sheet in sheets_of_history(facilities, units):
        (folder / f"{sheet.name}.csv").write_bytes(write_csv(sheet, "ru"))
