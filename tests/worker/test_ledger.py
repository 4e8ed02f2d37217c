"""Each hour the audit is sealed, each night it is verified; what was changed is an alarm."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.model.alarms import AUDIT_BROKEN
from gateway.records.alarms import load_alarms
from gateway.records.audit import append, audit_entry, load_last, verify
from gateway.records.audit_seals import load_seals, load_signer, seals_file
from gateway.records.engine import Records
from gateway.records.keyring import make_keyring
from gateway.settings import Settings, load_settings
from gateway.worker.ledger import Ledger, is_due
from tests.databases import open_without_rows
from tests.records.test_audit import entry

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    found = load_settings({}, state_dir=tmp_path)
    make_keyring(found.keyring_file)
    return found


@pytest.fixture
def records(settings: Settings) -> Iterator[Records]:
    records = open_without_rows(settings.database)
    yield records
    records.close()


def alarms(records: Records) -> list[tuple[str, object]]:
    return [(one.kind, one.facts["line"]) for one in load_alarms(records)]


def change(records: Records, number: int) -> None:
    with records.write() as connection:
        one = audit_entry.c.number == number
        connection.execute(audit_entry.update().where(one).values(actor="x"))


def test_what_is_new_is_sealed_each_hour_and_nothing_twice(records, settings) -> None:
    ledger, path = Ledger(records, settings), seals_file(settings)
    ledger.look(NOW)
    assert load_seals(path) == ()  # there is nothing yet
    append(records, [entry(n) for n in range(3)])
    for minutes in (0, 30, 60, 120):
        ledger.look(NOW + timedelta(minutes=minutes))
    # Rows 1 to 3; the seal and the line of the night's look; nothing after the second seal.
    assert [seal.number for seal in load_seals(path)] == [3, 5]
    assert path.stat().st_mode & 0o077 == 0
    append(records, [entry(9)])
    ledger.look(NOW + 3 * HOUR)
    seals = load_seals(path)
    assert [seal.number for seal in seals] == [3, 5, 7]
    found = verify(records, signer=load_signer(settings), seals=seals)
    assert (found.breaks, found.sealed) == ((), 7)
    assert alarms(records) == []


def test_a_change_of_the_last_hour_is_an_alarm_before_the_next_seal(records, settings) -> None:
    ledger = Ledger(records, settings)
    append(records, [entry(n) for n in range(3)])
    ledger.look(NOW)
    append(records, [entry(n) for n in range(3, 6)])
    change(records, 7)
    ledger.look(NOW + HOUR)
    assert alarms(records) == [(AUDIT_BROKEN, 7)]


def test_a_change_of_long_ago_is_found_at_night_and_told_until_it_is_mended(
    records, settings
) -> None:
    ledger = Ledger(records, settings)
    append(records, [entry(n) for n in range(3)])
    ledger.look(NOW)
    change(records, 2)
    append(records, [entry(n) for n in range(3, 6)])
    ledger.look(NOW + 2 * HOUR)
    assert alarms(records) == []  # what was sealed is looked at by night
    ledger.look(NOW + 11 * HOUR)
    assert alarms(records) == [(AUDIT_BROKEN, 2)]
    last = load_last(records, "verify", reason="all")
    assert last is not None
    assert (last.entry.outcome, last.entry.target) == ("failed", "9 rows, 1 breaks")
    with records.write() as connection:
        one = audit_entry.c.number == 2
        connection.execute(audit_entry.update().where(one).values(actor=entry(1).actor))
    ledger.look(NOW + 35 * HOUR)
    assert alarms(records) == []


def test_an_audit_that_was_emptied_is_an_alarm(records, settings) -> None:
    ledger = Ledger(records, settings)
    append(records, [entry(n) for n in range(3)])
    ledger.look(NOW)
    with records.write() as connection:
        connection.execute(audit_entry.delete())
    ledger.look(NOW + timedelta(minutes=1))
    assert [kind for kind, _ in alarms(records)] == [AUDIT_BROKEN]


@pytest.mark.parametrize(
    ("last", "now", "expected"),
    [
        (None, "2026-11-22T12:00", True),
        ("2026-11-21T22:30", "2026-11-22T12:00", False),
        ("2026-11-21T22:30", "2026-11-22T22:00", True),
        ("2026-11-19T22:30", "2026-11-22T12:00", True),
    ],
    ids=["never before", "tonight already", "ten o'clock has struck", "the keeper was away"],
)
def test_all_of_it_is_looked_at_once_a_night(last, now, expected) -> None:
    at = datetime.fromisoformat(last).replace(tzinfo=UTC) if last else None
    assert is_due(at, datetime.fromisoformat(now).replace(tzinfo=UTC)) is expected
