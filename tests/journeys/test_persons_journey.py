"""One person with an identifier at each hospital, and one study UID that two people share."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from gateway.demo.servers import OrthancServer, Program
from gateway.dicom.attributes import text
from tests.conftest import StartOrthanc
from tests.running import RunningGateway, load, start_gateway
from tests.studies import ROOT, a_study
from tests.waiting import wait_until

pytestmark = pytest.mark.real

SNILS = "112-233-445 95"
LONGEST_S = 60


@dataclass
class Hospitals:
    """Two hospitals, a gateway and a keeper that has read both."""

    gateway: RunningGateway
    servers: dict[str, OrthancServer]
    environ: dict[str, str]

    def find(self, **keys: str) -> tuple[list[str], str]:
        """(numbers of the studies found, Warning) at the common address."""
        answer = requests.get(self.gateway.dicomweb + "/studies", params=keys, timeout=30)
        uids = [text(row, "StudyInstanceUID").removeprefix(ROOT + ".") for row in answer.json()]
        return uids, answer.headers.get("Warning", "")

    def command(self, *words: str) -> str:
        """What `gateway ...` says."""
        done = subprocess.run(
            [sys.executable, "-m", "gateway.cli", *words],
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=LONGEST_S,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def hospitals(
    orthanc_generation: str,
    start_orthanc: StartOrthanc,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Hospitals]:
    folder = tmp_path_factory.mktemp("persons")
    servers = {
        name: start_orthanc(name, generation=orthanc_generation) for name in ("gkb1", "zlat")
    }
    same = {"PatientName": "Орлов^Кирилл^Львович", "OtherPatientIDs": SNILS}
    asked = {"PatientName": "Осипова^Вера"}
    load(servers["gkb1"], a_study(1, (1,), PatientID="111", StudyDate="20260101", **same))
    load(servers["zlat"], a_study(2, (1,), PatientID="7", StudyDate="20260102", **same))
    load(servers["zlat"], a_study(3, (1,), PatientID="111", PatientName="Зимина^Ольга"))
    load(servers["gkb1"], a_study(4, (1,), PatientID="40", **asked))
    load(servers["zlat"], a_study(5, (1,), PatientID="50", **asked))
    load(servers["gkb1"], a_study(6, (1,), PatientID="60", PatientName="Быков^Иван"))
    load(servers["zlat"], a_study(6, (2,), PatientID="61", PatientName="Козлова^Мария"))
    urls = {name: server.url for name, server in servers.items()}
    gateway = start_gateway(folder, urls, servers, home="gkb1")
    environ = {
        **os.environ,
        "GATEWAY_REGION": str(folder / "region.toml"),
        "GATEWAY_STATE_DIR": str(folder / "state"),
        "GATEWAY_REDIS_URL": "redis://127.0.0.1:1/0",
        "USER": "registrar",
    }
    keeper = Program(
        "keeper",
        [sys.executable, "-m", "gateway.cli", "keeper"],
        folder / "keeper.log",
        environ=environ,
    )
    keeper.launch()
    found = Hospitals(gateway, servers, environ)
    wait_until(lambda: "study_of_two" in found.command("alarms"), LONGEST_S, "the alarm")
    wait_until(lambda: "GKB1 111" in found.command("persons", "list"), LONGEST_S, "the link")
    yield found
    keeper.stop()
    gateway.program.stop()


def test_a_search_by_one_identifier_finds_the_studies_of_both_hospitals(
    hospitals: Hospitals,
) -> None:
    uids, warning = hospitals.find(PatientID="7")
    assert uids == ["2", "1"]
    assert "is linked with 1 other identifier" in warning
    assert hospitals.find(PatientID="111", IssuerOfPatientID="GKB1")[0] == ["2", "1"]
    assert hospitals.find(PatientID="111", IssuerOfPatientID="ZLAT") == (["3"], "")
    here = requests.get(
        hospitals.gateway.url + "/sites/zlat/dicom-web/studies?PatientID=7", timeout=30
    )
    assert [text(row, "IssuerOfPatientID") for row in here.json()] == ["ZLAT"]


def test_a_suggestion_is_confirmed_and_then_found(hospitals: Hospitals) -> None:
    assert hospitals.find(PatientID="40") == (["4"], "")
    told = hospitals.command("persons", "suggestions")
    assert "GKB1 40: Осипова^Вера 19700101 M" in told
    link = told.split("link ")[1].split()[0]
    hospitals.command("persons", "confirm", link)
    assert sorted(hospitals.find(PatientID="40")[0]) == ["4", "5"]
    assert "confirmed by registrar" in hospitals.command("persons", "list")
    hospitals.command("persons", "separate", link, "--by", "doctor")
    assert hospitals.find(PatientID="40") == (["4"], "")


@pytest.mark.parametrize("below", ["", "/metadata", "/series", "/rendered"])
def test_a_study_of_two_patients_is_given_by_each_hospital_alone(
    hospitals: Hospitals, below: str
) -> None:
    path = f"/studies/{ROOT}.6{below}"
    refused = hospitals.gateway.get(path)
    assert (refused.status_code, refused.json()["open"]) == (
        409,
        {site: f"/sites/{site}/dicom-web/studies/{ROOT}.6" for site in ("gkb1", "zlat")},
    )
    assert [word for word in ("Быков", "Козлов", "60", "61") if word in refused.text] == []
    at_home = [
        requests.get(f"{hospitals.gateway.url}/sites/{site}/dicom-web{path}", timeout=30)
        for site in ("gkb1", "zlat")
    ]
    assert [answer.status_code for answer in at_home] == [200, 200]


@pytest.mark.parametrize(
    ("name", "site", "instances"), [("Быков*", "gkb1", 1), ("Козлова*", "zlat", 2)]
)
def test_each_of_the_two_patients_is_found_with_the_address_that_gives_the_study(
    hospitals: Hospitals, name: str, site: str, instances: int
) -> None:
    answer = requests.get(
        hospitals.gateway.dicomweb + "/studies", params={"PatientName": name}, timeout=30
    )
    (row,) = answer.json()
    assert (text(row, "RetrieveURL"), row["00201208"]["Value"]) == (
        f"{hospitals.gateway.url}/sites/{site}/dicom-web/studies/{ROOT}.6",
        [instances],
    )
    assert "other patients' images under the same UID" in answer.headers["Warning"]


def test_the_alarm_names_study_and_sites_and_no_patient(hospitals: Hospitals) -> None:
    told = hospitals.command("alarms")
    assert f"study_of_two_patients {ROOT}.6" in told
    assert "gkb1, zlat" in told
    log = Path(hospitals.gateway.folder / "keeper.log").read_text()
    assert [
        word for word in ("Быков", "bykov", "Козлов", "Орлов", SNILS) if word in told + log
    ] == []
