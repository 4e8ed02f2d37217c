"""`gateway rollout snapshot` and `correct` from the terminal; what they do is tested in
tests/rollout.
"""

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from gateway.clock import utc_now
from gateway.model.rollout.figures import SnapshotKind
from gateway.records.engine import open_records
from gateway.records.register import Change, add_revisions
from gateway.records.snapshots import list_taken, of_month
from tests.commands.test_rules import REGION
from tests.databases import open_without_rows
from tests.model.rollout.small_register import facility, unit

FIRST = date(2026, 1, 5)
Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    (tmp_path / "region.toml").write_text(REGION, "utf-8")
    monkeypatch.setenv("GATEWAY_REGION", str(tmp_path / "region.toml"))
    monkeypatch.setenv("GATEWAY_DATABASE_URL", f"sqlite:///{tmp_path / 'gateway.db'}")
    migrated = open_without_rows(f"sqlite:///{tmp_path / 'gateway.db'}")
    migrated.close()
    return lambda *words: CliRunner().invoke(main, ["rollout", *words])


@pytest.fixture
def told(run: Run, tmp_path: Path) -> Callable[[], list[tuple[str, str, int]]]:
    """A register since January; what snapshots there are of it."""
    url = f"sqlite:///{tmp_path / 'gateway.db'}"
    records = open_records(url)
    add_revisions(
        records, facilities=[Change(facility("h1"), FIRST)],
        units=[Change(unit("u1", "h1"), FIRST), Change(unit("u2", "h1", "analogue"), FIRST)],
        author="test", reason="", now=utc_now() - timedelta(hours=1),
    )  # fmt: skip
    records.close()

    def read() -> list[tuple[str, str, int]]:
        records = open_records(url)
        found = [(one.day.isoformat(), str(one.kind), one.version) for one in list_taken(records)]
        records.close()
        return found

    return read


def test_what_is_due_is_taken(run: Run, told) -> None:
    first = run("snapshot")
    assert first.exit_code == 0, first.output
    taken = told()
    assert taken[:2] == [("2026-01-31", "month", 1), ("2026-02-28", "month", 1)]
    assert taken[-1][1] == "nightly"
    assert f"снимков сделано / snapshots taken: {len(taken)}\n" in first.output
    assert run("snapshot").output == "снимков сделано / snapshots taken: 0\n"
    assert told() == taken


def test_one_day_is_taken_and_the_month_that_ends_with_it(run: Run, told) -> None:
    assert run("snapshot", "--day", "2026-02-27").exit_code == 0
    assert run("snapshot", "--day", "2026-02-28").exit_code == 0
    assert told() == [
        ("2026-02-27", "nightly", 1), ("2026-02-28", "month", 1), ("2026-02-28", "nightly", 1),
    ]  # fmt: skip


@pytest.mark.parametrize("day", ["2026-01-04", "2999-01-01", "yesterday"])
def test_a_day_of_which_nothing_can_be_said_is_refused(run: Run, told, day: str) -> None:
    assert run("snapshot", "--day", day).exit_code != 0
    assert told() == []


def test_of_an_empty_register_no_snapshot_is_taken(run: Run) -> None:
    result = run("snapshot")
    assert (result.exit_code, "the register is empty" in result.output) == (1, True)


def test_a_month_is_corrected_with_a_reason(run: Run, told, tmp_path: Path) -> None:
    run("snapshot", "--day", "2026-02-28")
    assert run("correct", "2026-02").exit_code == 2
    assert run("correct", "2026-03", "--reason", "never taken").exit_code == 1
    done = run("correct", "2026-02", "--reason", "the unit stood there since May")
    assert done.output == "2026-02: версия / version 2, цифровых / digital 1 из / of 2\n"
    assert told()[:2] == [("2026-02-28", "month", 1), ("2026-02-28", "month", 2)]
    records = open_records(f"sqlite:///{tmp_path / 'gateway.db'}")
    found = of_month(records, date(2026, 2, 1))
    records.close()
    assert found is not None
    assert (found.reason, found.kind) == ("the unit stood there since May", SnapshotKind.MONTH)
