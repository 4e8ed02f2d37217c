"""The commands of README do what it says, against a real region."""

import shlex
import subprocess

import pytest

from tests.forked import run_gateway
from tests.journeys.conftest import Region
from tests.test_readme import ROOT, commands, rules_example

pytestmark = pytest.mark.real

ENDLESS = {"web", "keeper", "worker"}  # started for real in tests/worker and by every journey
QUESTIONS = [c for c in commands() if c.startswith("curl ")]
OURS = [c for c in commands() if c.startswith("gateway ") and not c.startswith("gateway demo")]
EXPORTS = [c for c in commands() if c.startswith("export ")]
EXPORTED = dict(word.split("=", 1) for c in EXPORTS for word in shlex.split(c)[1:])


@pytest.mark.parametrize("command", QUESTIONS)
def test_each_question_is_answered(region: Region, command: str) -> None:
    words = shlex.split(command.replace("http://127.0.0.1:8080", region.gateway.url))
    done = subprocess.run(
        [words[0], "-sS", "--fail", *words[1:]], capture_output=True, text=True, timeout=30
    )
    assert (done.returncode, done.stderr, done.stdout != "") == (0, "", True)


@pytest.mark.parametrize("command", OURS)
def test_each_command_of_the_gateway_works(region: Region, command: str) -> None:
    words = shlex.split(command)[1:]
    (region.gateway.folder / "rules.yaml").write_text(rules_example(), encoding="utf-8")
    (region.gateway.folder / "image.dcm").write_bytes(region.loaded["gkb1"][0].data)
    words += ["--help"] if words[0] in ENDLESS else []
    settings = EXPORTED | {"GATEWAY_STATE_DIR": str(region.gateway.folder / "state")}
    environ = {"PATH": "/usr/bin:/bin"} | settings
    done = run_gateway(words, region.gateway.folder, environ, 60)
    assert done.returncode == 0, done.stderr
    if words[0] == "sites":
        version = next(iter(region.servers.values())).generation
        assert done.stdout.count(version) == len(region.servers)


def test_no_command_is_left_untested() -> None:
    others = {c for c in commands() if c not in {*QUESTIONS, *OURS, *EXPORTS}}
    composed = {c for c in others if "docker compose up" in c}
    # make: test_readme.py and the gate itself; compose: test_compose.py
    assert others - composed == {"make run", "make test", "gateway demo init"}
    assert len(composed) == 2
    assert (ROOT / "compose.yaml").is_file()
