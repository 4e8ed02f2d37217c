"""A command that finds nothing says so: silence could as well be a fault."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli import main

REGION = """
[region]
name_ru = "Область"
name_en = "Region"
home_site = "gkb1"
[[site]]
id = "gkb1"
name_ru = "Больница"
name_en = "Hospital"
url = "http://127.0.0.1:9"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A region in which nothing has happened yet."""
    folder = tmp_path_factory.mktemp("empty")
    (folder / "region.toml").write_text(REGION, encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("rules list gkb1", "no version: gateway rules save"),
        ("deliveries list", "no such delivery"),
        ("persons list", "no identifiers are linked"),
        ("reconcile", "gateway reconcile SITE"),
        ("users list", "nobody: gateway users add"),
        ("clients list", "none: gateway clients add"),
    ],
)
def test_a_list_without_anything_says_what_to_do(folder: Path, words: str, told: str) -> None:
    environ = {
        "GATEWAY_REGION": str(folder / "region.toml"), "GATEWAY_STATE_DIR": str(folder / "state"),
    }  # fmt: skip
    done = CliRunner().invoke(main, words.split(), env=environ, catch_exceptions=False)
    assert (done.exit_code, done.stdout) == (0, "")
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1
