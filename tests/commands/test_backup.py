"""What was backed up comes back whole, or nothing is changed; on SQLite and on PostgreSQL."""

import gzip
import io
import json
import os
import shutil
import stat
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import requests
import sqlalchemy as sa
from click.testing import CliRunner, Result

from gateway.cli import main
from gateway.demo.servers import Program, answers, free_port
from gateway.dicom.attributes import text
from gateway.records.audit import GIVEN
from gateway.records.engine import metadata, open_records
from tests.databases import empty
from tests.records.conftest import database_url, empty_database_url
from tests.web.indexed import indexed_gateway
from tests.web.rows import ROWS

__all__ = ["database_url", "empty_database_url"]

SECRET = "secret-of-gkb1"
# A command leaves its connection to the end of the process, which here goes on.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def programs_of_postgresql(monkeypatch: pytest.MonkeyPatch) -> None:
    """Debian's wrappers stand in PATH, its own programs of one version here."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    monkeypatch.setenv("PATH", f"{found[-1]}:{os.environ['PATH']}" if found else os.environ["PATH"])


class House:
    """A gateway's folder: region.toml with a secret, the state, the settings of its commands."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.region = folder, folder / "region.toml"
        self.environ = {
            "GATEWAY_STATE_DIR": str(folder),
            "GATEWAY_REDIS_URL": "redis://127.0.0.1:1",
        }
        self.url = url or f"sqlite:///{folder / 'gateway.db'}"
        if url:
            self.environ["GATEWAY_DATABASE_URL"] = url

    def run(self, *words: str) -> Result:
        command = [*words, "--region", str(self.region)]
        return CliRunner().invoke(main, command, env=self.environ)

    def rows(self) -> Mapping[str, list[Any]]:
        """All rows of all tables, but for the lines that these two commands leave themselves, and
        the last number that was given to one.
        """
        records = open_records(self.url)
        with records.read() as connection:
            found = {
                name: sorted(
                    repr(row)
                    for row in connection.execute(sa.select(table)).all()
                    if getattr(row, "target", "") not in ("backup", "restore")
                    and getattr(row, "name", "") != GIVEN
                )
                for name, table in metadata.tables.items()
            }
        records.close()
        return found


@pytest.fixture
def house(tmp_path: Path, request: pytest.FixtureRequest, empty_database_url: str) -> House:
    """With an index, an administrator, a key, and a line of the audit that is not drained yet."""
    folder = tmp_path / "house"
    folder.mkdir()
    found = House(folder, empty_database_url if empty_database_url.startswith("postgresql") else "")
    with indexed_gateway(folder, ROWS, database_url=found.environ.get("GATEWAY_DATABASE_URL", "")):
        pass
    secrets = folder / "secrets"
    secrets.mkdir()
    (secrets / "gkb1").write_text(SECRET)
    text = found.region.read_text()
    found.region.write_text(
        text.replace("[[site]]", '[[site]]\nusername = "g"\npassword_file = "secrets/gkb1"', 1)
    )
    assert found.run("init").exit_code == 0
    (folder / "audit").mkdir(exist_ok=True)
    (folder / "audit" / "1.log").write_text("a line\n")
    return found


def test_every_row_key_and_secret_comes_back(house: House, tmp_path: Path) -> None:
    before = house.rows()
    assert len(before["study"]) > 3
    assert len(before["signing_key"]) == 1
    archive = tmp_path / "archive.tar.gz"
    assert house.run("backup", str(archive)).exit_code == 0
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    kept = {
        name: (house.folder / name).read_bytes()
        for name in ("gateway.key", "region.toml", "secrets/gkb1", "audit/1.log")
    }
    destroy(house)
    done = house.run("restore", str(archive))
    assert (done.exit_code, "restored" in done.output) == (0, True), done.output
    assert house.rows() == before
    assert {name: (house.folder / name).read_bytes() for name in kept} == kept
    modes = {stat.S_IMODE((house.folder / name).stat().st_mode) for name in kept}
    assert modes == {0o600}
    assert list(house.folder.glob("**/*.restored")) == []


def destroy(house: House) -> None:
    if house.url.startswith("postgresql"):
        records = open_records(house.url)
        empty(records)
        records.close()
    shutil.rmtree(house.folder)
    house.folder.mkdir()


def test_what_is_there_is_replaced_only_when_that_is_said(house: House, tmp_path: Path) -> None:
    archive = tmp_path / "archive.tar.gz"
    before = house.rows()
    assert house.run("backup", str(archive)).exit_code == 0
    assert house.run("backup", str(archive)).exit_code == 1  # never over another archive
    assert house.run("users", "add", "later", "--name", "", "--role", "auditor").exit_code == 0
    later = house.rows()
    refused = house.run("restore", str(archive))
    assert (refused.exit_code, "--replace" in refused.output) == (1, True)
    assert house.rows() == later != before
    assert house.run("restore", str(archive), "--replace").exit_code == 0
    assert house.rows() == before


def members(archive: Path) -> dict[str, bytes]:
    with tarfile.open(archive) as tar:
        return {m.name: tar.extractfile(m).read() for m in tar.getmembers()}  # type: ignore[union-attr]


def write(archive: Path, found: Mapping[str, bytes]) -> None:
    with tarfile.open(archive, "w:gz") as tar:
        for name, data in found.items():
            head = tarfile.TarInfo(name)
            head.size = len(data)
            tar.addfile(head, io.BytesIO(data))


def truncated(archive: Path) -> None:
    archive.write_bytes(archive.read_bytes()[:-200])


def flipped(archive: Path) -> None:
    found = members(archive)
    found["gateway.key"] = found["gateway.key"][::-1]
    write(archive, found)


def without_database(archive: Path) -> None:
    found = members(archive)
    del found["database"]
    write(archive, found)


def with_a_way_out(archive: Path) -> None:
    write(archive, members(archive) | {"../outside": b"x"})


def with_more(archive: Path) -> None:
    write(archive, members(archive) | {"region/more": b"x"})


def of_a_newer_gateway(archive: Path) -> None:
    found = members(archive)
    contents = json.loads(found["contents.json"])
    contents["migrations"].append("9999")
    write(archive, found | {"contents.json": json.dumps(contents).encode()})


def of_noise(archive: Path) -> None:
    archive.write_bytes(gzip.compress(os.urandom(1000)))


def files_of(house: House) -> dict[str, bytes]:
    """All but the database: SQLite tidies its own files when a connection goes."""
    found = [f for f in house.folder.rglob("*") if f.is_file() and "gateway.db" not in f.name]
    return {str(f): f.read_bytes() for f in found}


@pytest.mark.parametrize(
    "spoil",
    [
        truncated, flipped, without_database, with_a_way_out, with_more, of_a_newer_gateway,
        of_noise,
    ],
)  # fmt: skip
def test_an_archive_that_is_not_whole_changes_nothing(
    tmp_path: Path, spoiled: tuple[House, Path], spoil: Any
) -> None:
    house, good = spoiled
    archive = Path(shutil.copyfile(good, tmp_path / "spoiled.tar.gz"))
    spoil(archive)
    before = (house.rows(), files_of(house))
    done = house.run("restore", str(archive), "--replace")
    assert (done.exit_code, "nothing was changed" in done.output) == (1, True), done.output
    assert (house.rows(), files_of(house)) == before
    assert not (tmp_path / "outside").exists()


@pytest.fixture(scope="module")
def spoiled(tmp_path_factory: pytest.TempPathFactory) -> tuple[House, Path]:
    """One house and its archive for all that is done to copies of it."""
    folder = tmp_path_factory.mktemp("spoiled")
    house = House(folder / "house", "")
    house.folder.mkdir()
    with indexed_gateway(house.folder, ROWS):
        pass
    assert house.run("init").exit_code == 0
    archive = folder / "archive.tar.gz"
    assert house.run("backup", str(archive)).exit_code == 0
    return house, archive


@pytest.mark.real
def test_the_gateway_serves_what_came_back(spoiled: tuple[House, Path], tmp_path: Path) -> None:
    """On another machine: a new folder, another port, only the archive."""
    _, archive = spoiled
    new = House(tmp_path / "new", "")
    new.folder.mkdir()
    assert new.run("restore", str(archive)).exit_code == 0
    port = free_port()
    command = [sys.executable, "-m", "gateway.cli", "web", "--region", str(new.region)]
    environ = {**new.environ, "GATEWAY_MAX_INDEX_AGE_S": "1e9", "GATEWAY_WEB_WORKERS": "1"}
    with Program(
        "web", [*command, "--port", str(port)], tmp_path / "log", environ=environ,
        ready=lambda: answers(port, "/healthz"),
    ):  # fmt: skip
        found = requests.get(f"http://127.0.0.1:{port}/dicom-web/studies", timeout=30)
    assert found.status_code == 200
    assert len(found.json()) == len({text(row, "StudyInstanceUID") for row in found.json()}) == 4
