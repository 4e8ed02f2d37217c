"""`gateway destinations`: what the operator sees before any study goes."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from gateway.demo.servers import OrthancServer, free_port

REGION = """\
[region]
name_ru = "Край"
name_en = "Region"
home_site = "archive"
egress = ["127.0.0.1/32"]

[[site]]
id = "archive"
name_ru = "Архив"
name_en = "Archive"
role = "archive"
url = "{url}"
username = "tests"
password_file = "right"

[[destination]]
id = "locked"
name_ru = "С чужим паролем"
kind = "orthanc"
url = "{url}"
username = "tests"
password_file = "wrong"

[[destination]]
id = "off"
name_ru = "Выключен"
url = "http://127.0.0.1:{closed}"

[[destination]]
id = "web"
name_ru = "По DICOMweb"
url = "{url}"
username = "tests"
password_file = "right"
"""


@pytest.fixture(scope="module")
def archive(start_orthanc) -> OrthancServer:
    return start_orthanc("archive")


@pytest.fixture
def run(archive: OrthancServer, tmp_path: Path):
    text = REGION.format(url=archive.url, closed=free_port())
    (tmp_path / "region.toml").write_text(text, "utf-8")
    (tmp_path / "right").write_text(archive.password)
    (tmp_path / "wrong").write_text("wrong")

    def run(*words: str) -> Result:
        options = ["--region", str(tmp_path / "region.toml")]
        return CliRunner().invoke(main, ["destinations", *options, *words])

    return run


@pytest.mark.real
@pytest.mark.parametrize(
    ("destination", "code", "line"),
    [
        ("archive", 0, "● отвечает / answers: version 1.10.1"),
        ("web", 0, "● принимает / takes stores"),
        ("locked", 1, "▲ отвечает / answers: приёмник не принял имя, пароль"),
        ("off", 1, "▲ отвечает / answers: приёмник не отвечает"),
    ],
)
def test_a_connection_is_tried_and_the_next_step_is_said(
    run, destination: str, code: int, line: str
) -> None:
    said = run("test", destination)
    assert (said.exit_code, line in said.output) == (code, True), said.output


def test_all_destinations_are_listed_with_the_archives_of_the_region(run) -> None:
    said = run()
    names = [line for line in said.output.splitlines() if not line.startswith(" ")]
    assert [name.partition(":")[0] for name in names] == ["archive", "locked", "off", "web"]


def test_a_name_that_is_no_destination_is_answered_with_those_that_are(run) -> None:
    said = run("test", "nobody")
    assert (said.exit_code, "archive, locked, off, web" in said.output) == (1, True)
