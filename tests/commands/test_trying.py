"""`gateway rules test|explain|replay` on studies that a real Orthanc holds."""

import threading
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner, Result

from gateway.cli import main
from gateway.clock import utc_now
from gateway.demo.servers import GENERATIONS, OrthancServer
from gateway.index.follow import Follower
from gateway.orthanc.wire import Wire
from gateway.records.engine import Records
from gateway.records.indexing import IndexWriter
from gateway.records.leases import Fence, take_lease
from tests.databases import open_without_rows
from tests.index.conftest import FAST, catch_up, site_of
from tests.studies import ROOT, a_study

pytestmark = pytest.mark.real

RULES = """\
site: gkb1
rules:
  - id: phantom
    name: Фантомы не нужны
    state: active
    when: {all: [{field: ImageComments, op: contains, value: фантом}]}
    then: [{do: drop, reason: фантом}]
  - id: ct
    name: КТ в архив
    state: active
    when: {all: [{field: Modality, op: equals, value: CT}]}
    then: [{do: send, target: archive}]
  - id: grown
    name: Взрослые на проверку
    state: shadow
    when: {all: [{field: patient_age_years, op: "≥", value: 18}]}
    then: [{do: send, target: second}]
otherwise: [{do: hold, reason: нет правила}]
"""
Run = Callable[..., Result]


@pytest.fixture(scope="module")
def server(start_orthanc: Callable[..., OrthancServer]) -> OrthancServer:
    """Study 1 of three images, one of which is of a phantom; study 2 of one MR image."""
    server = start_orthanc("gkb1", generation=GENERATIONS[0])
    comments = ("", "", "Фантом")
    images = (
        [image for image, comment in zip(a_study(1, (3,)), comments, strict=True) if not comment]
        + a_study(1, (3,), ImageComments="Фантом")[2:]
        + a_study(2, (1,), Modality="MR")
    )
    for image in images:
        who = (server.username, server.password)
        assert requests.post(server.url + "/instances", data=image.data, auth=who).ok
    return server


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    records = open_without_rows(f"sqlite:///{tmp_path / 'gateway.db'}")
    yield records
    records.close()


@pytest.fixture
def run(
    server: OrthancServer, records: Records, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Run:
    """run("explain", ...) with RULES active at gkb1, whose index is full."""
    fence = Fence("keeper", take_lease(records, "keeper", "tests", utc_now(), 3600))
    writer = IndexWriter(records, "gkb1", fence, threading.Lock())
    wire = Wire()
    catch_up(Follower(site_of(server), wire, records, writer, FAST))
    wire.close()
    (tmp_path / "region.toml").write_text(region_of(server), "utf-8")
    (tmp_path / "rules.yaml").write_text(RULES, "utf-8")
    monkeypatch.setenv("GATEWAY_REGION", str(tmp_path / "region.toml"))
    monkeypatch.setenv("GATEWAY_DATABASE_URL", f"sqlite:///{tmp_path / 'gateway.db'}")
    monkeypatch.setenv("USER", "ivanova")
    monkeypatch.setenv("ORTHANC_PASSWORD", server.password)

    def run(*words: object) -> Result:
        return CliRunner().invoke(main, ["rules", *map(str, words)])

    assert run("save", tmp_path / "rules.yaml", "--comment", "x").exit_code == 0
    assert run("activate", "gkb1", 1).exit_code == 0
    return run


def region_of(server: OrthancServer) -> str:
    return f"""\
[region]
name_ru = "Край"
name_en = "Region"
home_site = "gkb1"

[[site]]
id = "gkb1"
name_ru = "Первая"
name_en = "First"
url = "{server.url}"
username = "{server.username}"
password_env = "ORTHANC_PASSWORD"
""" + "".join(
        f"""
[[site]]
id = "{name}"
name_ru = "Архив"
name_en = "Archive"
url = "http://127.0.0.1:9"
role = "archive"
"""
        for name in ("archive", "second")
    )


def test_a_study_is_tried_by_its_accession_number_and_by_its_uid(run: Run) -> None:
    told = [run("test", "--site", "gkb1", "--study", name).output for name in ("A1", f"{ROOT}.1")]
    assert told[0] == told[1]
    assert f"gkb1 · {ROOT}.1" in told[0]
    assert "верно / true" in told[0]
    assert "содержит фантом / Image Comments contains фантом [фантом]" in told[0]
    assert "■ не отправляется / dropped: фантом (gkb1/phantom)" in told[0]
    assert "○ gkb1/ct" not in told[0]


def test_why_a_study_went_is_told_condition_by_condition(run: Run) -> None:
    told = run("explain", "A2").output.splitlines()
    assert told == [
        f"gkb1 · {ROOT}.2",
        "? gkb1/phantom [active]",
        "    отсутствует / missing: "
        "Image Comments содержит фантом / Image Comments contains фантом",
        "○ gkb1/ct [active]",
        "    неверно / false: модальность равно CT / modality is CT [mr]",
        "● gkb1/grown [shadow]",
        "    верно / true: возраст пациента, лет не меньше 18 / age of the patient, years is at "
        "least 18 [56.0]",
        "⇢ second (gkb1/grown, проба / shadow)",
        "■ задержано / held: нет правила (gkb1/otherwise)",
    ]


def test_another_version_is_tried_without_being_activated(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "second.yaml"
    file.write_text(RULES.replace("value: CT", "value: MR"), "utf-8")
    assert "→ archive (gkb1/ct, routine)" in run("explain", "A2", "--file", file).output
    assert run("save", file, "--comment", "y").exit_code == 0
    assert "→ archive (gkb1/ct, routine)" in run("explain", "A2", "--version", 2).output
    assert "→ archive" not in run("explain", "A2").output
    assert "→ archive" not in run("explain", "A2", "--version", 1).output


def test_a_site_that_does_not_answer_is_said_to_be_needed(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORTHANC_PASSWORD", "wrong")
    result = run("explain", "A2")
    assert result.exit_code == 1
    assert "gkb1 не отвечает (untrusted)" in result.output
    assert "Traceback" not in result.output


INDEX_ONLY = RULES.replace("active", "retired", 1)


def test_a_replay_says_what_another_version_would_change(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "next.yaml"
    for rules in (INDEX_ONLY, INDEX_ONLY.replace("value: CT", "value: MR")):
        file.write_text(rules, "utf-8")
        assert run("save", file, "--comment", "y").exit_code == 0
    assert run("activate", "gkb1", 2).exit_code == 0
    days = (utc_now().date() - date(2026, 1, 1)).days + 1
    told = run("replay", "gkb1", "--days", days)
    assert told.exit_code == 0, told.output
    assert f"{days}/{days} дн. / days, исследований / studies 2" in told.output
    assert "не решено без больницы / undecided without their site 0" in told.output
    assert "→ archive: 1 (+1 −1), 0.000 ГБ в день / GB a day" in told.output
    assert f"    + 2026-01-01 gkb1 {ROOT}.2" in told.output
    assert f"    − 2026-01-01 gkb1 {ROOT}.1" in told.output
    assert "⇢ second: 2 (+0 −0)" in told.output
    images = run("replay", "gkb1", "--days", days, "--version", 1).output
    assert "undecided without their site 2" in images
    assert (
        "? gkb1/phantom: спрашивает у больницы / asks the site: ImageComments; "
        "не решено / undecided 2"
    ) in images


def test_the_ministrys_rules_are_replayed_over_every_hospital(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "next.yaml"
    file.write_text(INDEX_ONLY, "utf-8")
    assert run("save", file, "--comment", "y").exit_code == 0
    assert run("activate", "gkb1", 2).exit_code == 0
    everything = (
        "{id: all, name: Всё, state: active, when: always, then: [{do: send, target: second}]}"
    )
    file.write_text(f"site: ministry\nrules: [{everything}]\n", "utf-8")
    assert run("save", file, "--comment", "x").exit_code == 0
    assert "→ second: 2 (+2 −0)" in run("replay", "ministry", "--days", 3660).output
