"""`gateway demo`: the commands that the Makefile and compose.yaml call."""

import re
from pathlib import Path

import click
import pytest
import responses
import yaml
from click.testing import CliRunner

from gateway.demo.commands import demo_commands
from gateway.demo.layout import SITES, load_secrets, region_toml
from gateway.demo.region import folder_lock

ROOT = Path(__file__).parents[2]


@pytest.fixture
def loaded() -> list[str]:
    return []


@pytest.fixture
def demo(loaded) -> click.Group:
    def make(folder: Path, say) -> None:
        (folder / "zlat").mkdir()
        (folder / "zlat" / "1.dcm").touch()

    return demo_commands(make, lambda folder, site, say: loaded.append(site.site_id))


def call(demo: click.Group, *words: str, **environ: str):
    return CliRunner().invoke(demo, words, env=environ)


def test_every_command_that_make_and_compose_call_exists(demo):
    called = re.findall(r"gateway demo (\w+)", (ROOT / "Makefile").read_text())
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())
    called += [compose["services"]["samples"]["command"][1]]
    assert sorted(called) == ["load", "reset", "run"]
    assert set(called) <= demo.commands.keys()


def test_the_region_of_the_variables_is_meant(demo, tmp_path):
    with folder_lock(tmp_path / "r"):
        result = call(demo, "run", REGION_DIR=str(tmp_path / "r"), PORT="20000")
    assert (result.exit_code, "runs already" in result.output) == (1, True)
    result = call(demo, "run", REGION_DIR=str(tmp_path / "r"), PORT="many")
    assert result.exit_code == 2
    assert "not a valid integer" in result.output


def test_reset_says_why_it_leaves_a_folder_alone(demo, tmp_path):
    (tmp_path / "thesis").touch()
    result = call(demo, "reset", "--folder", str(tmp_path))
    assert (result.exit_code, "is left alone" in result.output) == (1, True)
    assert call(demo, "reset", "--folder", str(tmp_path / "missing")).exit_code == 0


def test_init_writes_what_compose_mounts(demo, tmp_path):
    assert call(demo, "init", REGION_DIR=str(tmp_path)).exit_code == 0
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())
    files = [secret["file"] for secret in compose["secrets"].values()]
    files += [compose["services"]["web"]["env_file"]]
    wanted = {tmp_path / file.removeprefix("${REGION_DIR:-.region}/") for file in files}
    assert {file for file in wanted if not file.is_file()} == set()


@responses.activate
def test_load_fills_the_sites_that_region_toml_names(demo, tmp_path, loaded):
    load_secrets(tmp_path)
    urls = {site.site_id: f"http://{site.site_id}:8042" for site in SITES}
    (tmp_path / "region.toml").write_text(region_toml(urls, "secrets/"), encoding="utf-8")
    for url in urls.values():
        responses.get(f"{url}/statistics", json={"CountInstances": 0})
    words = ["--region", str(tmp_path / "region.toml"), "--samples", str(tmp_path / "samples")]
    result = call(demo, "load", *words)
    assert (result.exit_code, loaded) == (0, ["zlat"])
    result = call(demo, "load", "--region", "/no/such", "--samples", str(tmp_path / "samples"))
    assert (result.exit_code, "no such file" in result.output) == (1, True)
