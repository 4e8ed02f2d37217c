"""The bench of a large index, at a tiny size: that it runs and judges, not how fast."""

from pathlib import Path

import pytest

from tests.bench import index
from tests.bench.index_databases import passing_folder
from tests.bench.index_questions import questions

pytestmark = pytest.mark.real
STUDIES = 1200


def test_the_bench_asks_every_search_of_both_databases_and_finds_no_wrong_answer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(index, "SITES", 6)
    monkeypatch.setattr(index, "SPREAD", (3,))
    monkeypatch.setattr(index, "SPREAD_STUDIES", 300)
    monkeypatch.setattr(index, "MANY_CLIENTS", 2)
    with passing_folder() as folder:
        report = index.run("sqlite", STUDIES, 1, 1, folder, "")
        reports = [report, index.run("postgresql", STUDIES, 1, 1, folder, "PatientID")]
    index.print_report([report], STUDIES)
    told = capsys.readouterr().out
    searches = [row for report in reports for row in report.searches]
    spread = [one for report in reports for row in report.spread for one in row.measured]
    wrong = [row.question.name for row in [*searches, *spread] if row.errors]
    missing = [one.name for one in questions(STUDIES) if f"| {one.name} |" not in told]
    assert (wrong, missing) == ([], [])
    assert [report.load["errors"] for report in reports] == [0, 0]


def test_a_database_is_filled_once(tmp_path: Path) -> None:
    with index.database("sqlite", 50, 3, tmp_path) as first:
        pass
    with index.database("sqlite", 50, 3, tmp_path) as again:
        pass
    assert (first.fill_s > 0, again.fill_s) == (True, 0)
    assert again.url == first.url
