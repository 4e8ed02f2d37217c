"""The index under the search: what the keeper has read is found at once, whoever is silent."""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from gateway.demo.servers import OrthancServer, Program
from gateway.dicom.attributes import text
from tests.conftest import StartOrthanc
from tests.running import RunningGateway, load, region_toml, start_gateway
from tests.studies import ROOT, a_study
from tests.waiting import wait_until

pytestmark = pytest.mark.real


@dataclass
class Indexed:
    """A gateway with a keeper that has read every site."""

    gateway: RunningGateway
    keeper: Program
    servers: dict[str, OrthancServer]

    def state(self) -> dict[str, dict]:
        sites = requests.get(self.gateway.url + "/status/sites", timeout=30).json()["sites"]
        return {site["id"]: site for site in sites}

    def has_read(self, site_id: str) -> bool:
        index = self.state()[site_id]["index"]
        if index is None or index["read_s_ago"] is None:
            return False
        return index["phase"] == "following"

    def uids(self, question: str = "") -> list[str]:
        rows = self.gateway.get(f"/studies{question}").json()
        return [text(row, "StudyInstanceUID").removeprefix(ROOT + ".") for row in rows]


@pytest.fixture
def indexed(
    orthanc_generation: str, start_orthanc: StartOrthanc, tmp_path: Path
) -> Iterator[Indexed]:
    servers = {
        name: start_orthanc(name, generation=orthanc_generation) for name in ("gkb1", "zlat")
    }
    load(servers["gkb1"], [*a_study(1, (2,), StudyDate="20260101"), *a_study(2, (1,))])
    load(servers["zlat"], a_study(3, (1,), StudyDate="20260301", PatientName="Жданова^Любовь"))
    urls = {name: server.url for name, server in servers.items()}
    gateway = start_gateway(tmp_path, urls, servers, home="gkb1")
    keeper = Program(
        "keeper",
        [sys.executable, "-m", "gateway.cli", "keeper", "--region", str(tmp_path / "region.toml")],
        tmp_path / "keeper.log",
        environ={
            **os.environ,
            "GATEWAY_STATE_DIR": str(tmp_path / "state"),
            "GATEWAY_REDIS_URL": "redis://127.0.0.1:1/0",
        },
    )
    keeper.launch()
    found = Indexed(gateway, keeper, servers)
    wait_until(lambda: found.has_read("gkb1") and found.has_read("zlat"), 60, "the index")
    yield found
    keeper.stop()
    gateway.program.stop()


def test_what_a_silent_hospital_holds_is_still_listed_and_marked(indexed: Indexed) -> None:
    indexed.servers["zlat"].kill()
    wait_until(lambda: not indexed.state()["zlat"]["answers"], 60, "silence")

    def warned() -> bool:
        return "zlat" in indexed.gateway.get("/studies").headers.get("Warning", "")

    wait_until(warned, 60, "the warning of a silent site")
    answer = indexed.gateway.get("/studies")
    marks = {
        text(row, "StudyInstanceUID").removeprefix(ROOT + "."): text(row, "InstanceAvailability")
        for row in answer.json()
    }
    assert (answer.status_code, marks) == (200, {"3": "OFFLINE", "1": "ONLINE", "2": "ONLINE"})
    retrieve = indexed.gateway.get(f"/studies/{ROOT}.3")
    assert (retrieve.status_code, "Retry-After" in retrieve.headers) == (503, True)


def test_an_arriving_study_is_found_and_a_late_image_is_counted(indexed: Indexed) -> None:
    load(indexed.servers["zlat"], a_study(4, (1,), StudyDate="20260401"))
    wait_until(lambda: "4" in indexed.uids(), 60, "the new study")
    load(indexed.servers["zlat"], a_study(4, (3,), StudyDate="20260401"))

    def instances() -> list[int]:
        (row,) = indexed.gateway.get(f"/studies?StudyInstanceUID={ROOT}.4").json()
        return row["00201208"]["Value"]

    wait_until(lambda: instances() == [3], 60, "the late images")
    assert indexed.uids() == ["4", "3", "1", "2"]


def test_a_name_under_a_wrong_character_set_is_read_and_found(indexed: Indexed) -> None:
    wrong = "Жданова^Любовь".encode("cp1251").decode("latin-1")
    texts = {"PatientName": wrong, "ReferringPhysicianName": "", "StudyDescription": ""}
    load(indexed.servers["gkb1"], a_study(6, (1,), charset="ISO_IR 100", **texts))

    def names() -> list[str]:
        return [
            text(row, "PatientName")
            for row in indexed.gateway.get(
                "/studies?PatientName=%D0%B6%D0%B4%D0%B0%D0%BD%D0%BE%D0%B2%D0%B0*&AccessionNumber=A6"
            ).json()
        ]

    wait_until(lambda: names() == ["Жданова^Любовь"], 60, "the repaired name")


def test_pages_do_not_shift_while_studies_arrive(indexed: Indexed) -> None:
    first = indexed.uids("?limit=2&offset=0")
    load(indexed.servers["gkb1"], a_study(5, (1,), StudyDate="20260501"))
    wait_until(lambda: "5" in indexed.uids("?AccessionNumber=A5"), 60, "the new study")
    second = indexed.uids("?limit=2&offset=2")
    assert first + second == ["3", "1", "2"]


def test_a_site_that_was_removed_is_listed_no_more_until_it_is_back(indexed: Indexed) -> None:
    region = indexed.gateway.folder / "region.toml"
    whole = region.read_text(encoding="utf-8")
    left = region_toml({"gkb1": indexed.servers["gkb1"].url}, indexed.servers, "gkb1")
    region.write_text(left, encoding="utf-8")
    wait_until(lambda: "zlat" not in indexed.state(), 60, "the new region")
    status = requests.get(indexed.gateway.url + "/status/sites", timeout=30).json()
    assert (indexed.uids(), status["removed"]) == (["1", "2"], {"zlat": 1})
    region.write_text(whole, encoding="utf-8")
    wait_until(lambda: "zlat" in indexed.state(), 60, "the old region")
    assert indexed.uids() == ["3", "1", "2"]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("жданова*", ["3"]),
        ("ZHDANOVA*", ["3"]),
        ("Иванов Петр", ["1", "2"]),
        ("IVANOV^PETR*", ["1", "2"]),
        ("Сидоров*", []),
    ],
)
def test_a_name_is_found_as_people_type_it(indexed: Indexed, name: str, found: list[str]) -> None:
    answer = requests.get(
        indexed.gateway.dicomweb + "/studies", params={"PatientName": name}, timeout=30
    )
    uids = [text(row, "StudyInstanceUID").removeprefix(ROOT + ".") for row in answer.json()]
    assert uids == found
