"""One person with an identifier at each hospital, and one study UID that two people share: what is
searched, opened and stored, and the alarms of it.
"""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from gateway.demo.servers import OrthancServer
from gateway.dicom.attributes import text
from gateway.dicom.store_response import DUPLICATE, OTHER_PATIENT
from tests.conftest import StartOrthanc
from tests.forked import ForkedProgram, run_gateway
from tests.journeys.conftest import Region
from tests.journeys.test_store_journey import held, store, stored
from tests.journeys.test_store_truth import reasons
from tests.running import RunningGateway, load, start_gateway
from tests.studies import ROOT, a_study, an_instance
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
        done = run_gateway(words, self.gateway.folder, self.environ, LONGEST_S)
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
    load(servers["gkb1"], a_study(8, (1,), PatientID="80", PatientName="Лосев^Юрий"))
    load(servers["zlat"], a_study(8, (1,), PatientID="81", PatientName="Рыбина^Инна"))
    load(servers["gkb1"], a_study(9, (1,), PatientID="90"))
    urls = {name: server.url for name, server in servers.items()}
    gateway = start_gateway(folder, urls, servers, home="gkb1")
    environ = {
        **os.environ,
        "GATEWAY_REGION": str(folder / "region.toml"),
        "GATEWAY_STATE_DIR": str(folder / "state"),
        "GATEWAY_REDIS_URL": "redis://127.0.0.1:1/0",
        "USER": "registrar",
    }
    keeper = ForkedProgram(
        "keeper",
        [sys.executable, "-m", "gateway.cli", "keeper"],
        folder / "keeper.log",
        environ=environ,
    )
    keeper.launch()
    found = Hospitals(gateway, servers, environ)
    wait_until(lambda: found.command("alarms").count("study_of_two") == 2, LONGEST_S, "the alarms")
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


def test_a_store_into_a_study_of_two_patients_is_decided_by_the_hospitals_address(
    hospitals: Hospitals,
) -> None:
    """F20, H83"""
    region = Region(hospitals.gateway, hospitals.servers, {})
    mine = an_instance(8, series=2, PatientID="81", PatientName="Рыбина^Инна")
    new = an_instance(80)
    answer = store(region, mine.data, new.data)
    assert (answer.status_code, stored(answer), reasons(answer)) == (
        202,
        [new.instance_uid],
        [OTHER_PATIENT],
    )
    assert (
        "store it at /sites/{id}/dicom-web of its own hospital: gkb1, zlat"
        in (answer.headers["Warning"])
    )
    assert [held(region, site, mine) for site in ("gkb1", "zlat")] == [False, False]
    assert store(region, mine.data).status_code == 409

    answer = store(region, mine.data, root="/sites/gkb1/dicom-web")
    assert (answer.status_code, reasons(answer)) == (409, [OTHER_PATIENT])
    answer = store(region, mine.data, root="/sites/zlat/dicom-web")
    assert (answer.status_code, stored(answer), "Warning" in answer.headers) == (
        200,
        [mine.instance_uid],
        False,
    )
    assert [held(region, site, mine) for site in ("gkb1", "zlat")] == [False, True]


def test_what_a_store_refuses_is_an_alarm_until_somebody_says_that_it_is_settled(
    hospitals: Hospitals,
) -> None:
    """H82, F20"""
    region = Region(hospitals.gateway, hospitals.servers, {})
    forged = an_instance(9, PatientID="90", StudyDescription="Подмена")
    foreign = an_instance(9, number=2, PatientID="P-4711", PatientName="Чужой^Иван")
    subject = f"{ROOT}.9"
    for _ in range(2):
        answer = store(region, forged.data, foreign.data)
        assert (answer.status_code, reasons(answer)) == (409, [DUPLICATE, OTHER_PATIENT])
    told = hospitals.command("alarms")
    kinds = [f"refused_other_content {subject}", f"refused_other_patient {subject}"]
    assert [told.count(kind) for kind in kinds] == [1, 1]
    assert forged.instance_uid in told
    assert [word for word in ("4711", "Чужой", "Подмена") if word in told] == []

    hospitals.command("alarms", "close", subject)
    assert [kind for kind in kinds if kind in hospitals.command("alarms")] == []
    ended = hospitals.command("alarms", "--all")
    assert [ended.count(kind) for kind in kinds] == [1, 1]
    assert "registrar" in ended

    assert store(region, forged.data).status_code == 409
    assert kinds[0] in hospitals.command("alarms")
