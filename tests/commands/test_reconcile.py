"""`gateway reconcile` from the terminal; what it compares is tested in tests/routing."""

from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from gateway.clock import utc_now
from gateway.records.reconciling import Figures, Finding, Verdict, save_figures, save_findings
from tests.commands.test_rules import REGION
from tests.databases import open_without_rows

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    (tmp_path / "region.toml").write_text(REGION, "utf-8")
    monkeypatch.setenv("GATEWAY_REGION", str(tmp_path / "region.toml"))
    monkeypatch.setenv("GATEWAY_DATABASE_URL", f"sqlite:///{tmp_path / 'gateway.db'}")
    records = open_without_rows(f"sqlite:///{tmp_path / 'gateway.db'}")
    now = utc_now()
    found = Finding("north", "archive", "1.2.3", Verdict.PARTIAL, 2, "missing", now)
    save_findings(records, [found])
    save_figures(records, Figures("north", "archive", now, now, complete=3, partial=1, compared=1))
    records.close()
    return lambda *words: CliRunner().invoke(main, ["reconcile", *words])


def test_the_completeness_of_each_hospital_is_shown(run: Run) -> None:
    told = run().output
    assert "north → archive: 75.00 %, исследований / studies 4" in told
    assert "  целы / complete: 3" in told
    assert "    1.2.3: не целиком / partial, нет снимков / instances absent 2; " in told
    assert "nothing was compared yet" in run("--destination", "other").output


def test_machines_get_the_same_as_json(run: Run) -> None:
    (found,) = orjson.loads(run("--json").output)
    assert (found["completeness"], found["studies"], found["partial"]) == (0.75, 4, 1)
    assert found["findings"][0]["study_uid"] == "1.2.3"


@pytest.mark.parametrize(
    ("words", "told"),
    [(("south",), "is no site of region.toml"), (("north",), "nothing of north was sent there")],
    ids=["an unknown site", "a site without deliveries"],
)
def test_what_cannot_be_compared_is_said(run: Run, words: tuple[str, ...], told: str) -> None:
    result = run(*words)
    assert (result.exit_code, told in result.output) == (1, True)
