"""The index under the search: what the keeper has read is found at once, whoever is silent."""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import requests

from gateway.demo.servers import OrthancServer, Program
from gateway.dicom.attributes import text
from tests.conftest import StartOrthanc
from tests.forked import ForkedProgram
from tests.running import RunningGateway, load, region_toml, start_gateway
from tests.studies import ROOT, a_study, relabelled
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


@pytest.fixture(scope="module")
def indexed(
    orthanc_generation: str,
    start_orthanc: StartOrthanc,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Indexed]:
    """Shared: each test adds studies of its own, and counts on 1, 2 and 3 only."""
    folder = tmp_path_factory.mktemp("indexed")
    servers = {
        name: start_orthanc(name, generation=orthanc_generation) for name in ("gkb1", "zlat")
    }
    load(servers["gkb1"], [*a_study(1, (2,), StudyDate="20260101"), *a_study(2, (1,))])
    load(servers["zlat"], a_study(3, (1,), StudyDate="20260301", PatientName="Жданова^Любовь"))
    urls = {name: server.url for name, server in servers.items()}
    gateway = start_gateway(
        folder, urls, servers, home="gkb1", settings={"GATEWAY_MAX_INDEX_AGE_S": "5"}
    )
    keeper = ForkedProgram(
        "keeper",
        [sys.executable, "-m", "gateway.cli", "keeper", "--region", str(folder / "region.toml")],
        folder / "keeper.log",
        environ={
            **os.environ,
            "GATEWAY_STATE_DIR": str(folder / "state"),
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

    def marks() -> dict[str, str]:
        rows = indexed.gateway.get(f"/studies?StudyInstanceUID={ROOT}.1,{ROOT}.2,{ROOT}.3").json()
        return {
            text(row, "StudyInstanceUID").removeprefix(ROOT + "."): text(
                row, "InstanceAvailability"
            )
            for row in rows
        }

    wait_until(lambda: marks()["3"] == "OFFLINE", 60, "the mark")
    answer = indexed.gateway.get("/studies")
    assert "The studies of zlat are listed as they were known" in answer.headers["Warning"]
    assert (answer.status_code, marks()) == (200, {"3": "OFFLINE", "1": "ONLINE", "2": "ONLINE"})
    retrieve = indexed.gateway.get(f"/studies/{ROOT}.3")
    assert (retrieve.status_code, "Retry-After" in retrieve.headers) == (503, True)
    assert indexed.state()["zlat"]["answers"] is False

    indexed.servers["zlat"].start()
    wait_until(lambda: marks()["3"] == "ONLINE", 60, "its return")


def test_an_arriving_study_is_found_and_a_late_image_is_counted(indexed: Indexed) -> None:
    load(indexed.servers["zlat"], a_study(4, (1,), StudyDate="20260401"))
    wait_until(lambda: indexed.uids("?AccessionNumber=A4") == ["4"], 60, "the new study")
    load(indexed.servers["zlat"], a_study(4, (3,), StudyDate="20260401"))

    def instances() -> list[int]:
        (row,) = indexed.gateway.get(f"/studies?StudyInstanceUID={ROOT}.4").json()
        return row["00201208"]["Value"]

    wait_until(lambda: instances() == [3], 60, "the late images")


NAME = "Щукина^Любовь"
LABELS = {
    "UTF-8": ("ISO_IR 192", NAME),
    "ISO 8859-5": ("ISO_IR 144", NAME),
    "cp1251 labelled Latin-1": ("ISO_IR 100", NAME.encode("cp1251").decode("latin-1")),
    "cp1251 labelled ISO 8859-5": ("ISO_IR 144", NAME.encode("cp1251").decode("iso8859-5")),
}
# Orthanc leaves nothing of these names but their "^".
UNKNOWN = {
    "two character sets": ("ISO_IR 144", "ISO 2022 IR 6\\ISO 2022 IR 144"),
    "UTF-8 labelled as nothing that there is": ("ISO_IR 192", "UTF-8"),
}


@pytest.mark.parametrize("number", [6, 7, 8, 9], ids=list(LABELS))
def test_a_name_is_found_whatever_its_bytes_and_these_stay(indexed: Indexed, number: int) -> None:
    """trust.md H79: the search shows what was meant, the object is as it was stored."""
    charset, name = list(LABELS.values())[number - 6]
    texts = {"PatientName": name, "ReferringPhysicianName": "", "StudyDescription": ""}
    (instance,) = a_study(number, (1,), charset=charset, **texts)
    load(indexed.servers["gkb1"], [instance])
    question = "/studies?PatientName=%D1%89%D1%83%D0%BA%D0%B8%D0%BD%D0%B0*"

    def names() -> list[str]:
        rows = indexed.gateway.get(f"{question}&AccessionNumber=A{number}").json()
        return [text(row, "PatientName") for row in rows]

    wait_until(lambda: names() == [NAME], 60, "the name")
    path = f"/studies/{instance.study_uid}/series/{instance.series_uid}/instances"
    stored = indexed.gateway.get(
        f"{path}/{instance.instance_uid}",
        headers={"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'},
    )
    assert instance.data in stored.content


@pytest.mark.parametrize("number", [10, 11], ids=list(UNKNOWN))
def test_a_name_is_found_whatever_its_character_set_is_called(
    indexed: Indexed, number: int
) -> None:
    """trust.md H79"""
    written, called = list(UNKNOWN.values())[number - 10]
    texts = {"PatientName": NAME, "ReferringPhysicianName": "", "StudyDescription": ""}
    (plain,) = a_study(number, (1,), charset=written, **texts)
    load(indexed.servers["gkb1"], [relabelled(plain, called)])
    question = "?PatientName=%D1%89%D1%83%D0%BA%D0%B8%D0%BD%D0%B0*&AccessionNumber="
    wait_until(lambda: indexed.uids(f"{question}A{number}") == [str(number)], 60, "the name")
    (row,) = indexed.gateway.get(f"/studies?AccessionNumber=A{number}").json()
    assert text(row, "PatientName") == NAME


def test_pages_do_not_shift_while_studies_arrive(indexed: Indexed) -> None:
    whole = indexed.uids()
    first = indexed.uids("?limit=2&offset=0")
    load(indexed.servers["gkb1"], a_study(5, (1,), StudyDate="20260501"))
    wait_until(lambda: "5" in indexed.uids("?AccessionNumber=A5"), 60, "the new study")
    rest = indexed.uids("?limit=100&offset=2")
    assert first + rest == whole


def test_a_site_that_was_removed_is_listed_no_more_until_it_is_back(indexed: Indexed) -> None:
    question = f"?StudyInstanceUID={ROOT}.1,{ROOT}.2,{ROOT}.3"
    region = indexed.gateway.folder / "region.toml"
    whole = region.read_text(encoding="utf-8")
    left = region_toml({"gkb1": indexed.servers["gkb1"].url}, indexed.servers, "gkb1")
    region.write_text(left, encoding="utf-8")
    wait_until(lambda: "zlat" not in indexed.state(), 60, "the new region")
    status = requests.get(indexed.gateway.url + "/status/sites", timeout=30).json()
    assert (indexed.uids(question), list(status["removed"])) == (["1", "2"], ["zlat"])
    region.write_text(whole, encoding="utf-8")
    wait_until(lambda: "zlat" in indexed.state(), 60, "the old region")
    assert indexed.uids(question) == ["3", "1", "2"]


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
        indexed.gateway.dicomweb + "/studies",
        params={"PatientName": name, "StudyID": "1", "StudyDate": "20260101-20260301"},
        timeout=30,
    )
    uids = [text(row, "StudyInstanceUID").removeprefix(ROOT + ".") for row in answer.json()]
    assert uids == found
