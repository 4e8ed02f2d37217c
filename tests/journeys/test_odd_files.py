"""A hospital with files that its Orthanc cannot read: they cost themselves, and nobody else."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from gateway.dicom.attributes import text
from tests.conftest import StartOrthanc
from tests.journeys.conftest import Region, start_region
from tests.journeys.test_retrieve_journey import AS_STORED, parts, path_of
from tests.studies import ROOT, Instance, a_study, an_instance, relabelled

pytestmark = pytest.mark.real

CHARSETS = ["ISO_IR 999", "ISO 2022 IR 6\\ISO 2022 IR 144", "\\ISO 2022 IR 87", "UTF-8"]
ODD = {n: relabelled(an_instance(n), name) for n, name in enumerate(CHARSETS, 10)}
GOOD = [an_instance(n) for n in range(1, 9)]
DAMAGED = {20: "gone", 21: "cut"}
"""Studies of two instances; the file of the first is damaged."""


@pytest.fixture(scope="module")
def odd(
    orthanc_generation: str,
    start_orthanc: StartOrthanc,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Region]:
    """No keeper: each search is put to the hospitals themselves."""
    content: dict[str, list[Instance]] = {"gkb1": [*GOOD, *ODD.values()], "zlat": [an_instance(30)]}
    for number in DAMAGED:
        content["gkb1"] += a_study(number, (2,))
    for region in start_region(
        orthanc_generation, start_orthanc, tmp_path_factory, content, home="gkb1"
    ):
        server = region.servers["gkb1"]
        server.stop()  # it keeps what it has just stored in memory
        for number, damage in DAMAGED.items():
            file = stored_file(server.folder, an_instance(number))
            if damage == "gone":
                file.unlink()
            else:
                file.write_bytes(file.read_bytes()[:200])
        server.start()
        yield region


def stored_file(folder: Path, instance: Instance) -> Path:
    """The file in which an Orthanc keeps an instance."""
    files = [path for path in (folder / "storage").glob("*/*/*") if path.is_file()]
    (found,) = [path for path in files if path.read_bytes() == instance.data]
    return found


def numbers(region: Region, question: str) -> list[int]:
    answer = region.gateway.get(question)
    assert (answer.status_code, answer.headers.get("Warning")) == (200, None)
    assert answer.headers["X-Gateway-Sites"] == "ok=2;failed=0"
    uids = {text(row, "StudyInstanceUID") for row in answer.json()}
    return sorted(int(uid.removeprefix(ROOT + ".")) for uid in uids)


ALL = [*range(1, 9), *ODD, *DAMAGED, 30]


@pytest.mark.parametrize("resource", ["/studies", "/series"])
def test_what_cannot_be_read_hides_nothing_and_is_listed_itself(odd: Region, resource: str) -> None:
    """H79"""
    assert numbers(odd, resource) == ALL
    assert numbers(odd, resource) == ALL, "a refusal over one file is no failure of its site"


@pytest.mark.parametrize("number", [*ODD, *DAMAGED])
@pytest.mark.parametrize("below", ["", "/series", "/instances"])
def test_what_cannot_be_read_is_found_by_its_own_keys(odd: Region, number: int, below: str) -> None:
    study = f"{ROOT}.{number}"
    question = f"/studies/{study}{below}" if below else f"/studies?StudyInstanceUID={study}"
    assert numbers(odd, question) == [number]
    (row,) = odd.gateway.get(f"/studies?PatientID=P{number}").json()
    instances = 2 if number in DAMAGED else 1
    assert (text(row, "AccessionNumber"), row["00201208"]["Value"], row["00080061"]["Value"]) == (
        f"A{number}",
        [instances],
        ["CT"],
    )


@pytest.mark.parametrize("number", ODD)
def test_an_unknown_character_set_costs_letters_and_no_more(odd: Region, number: int) -> None:
    """H79: answers are valid UTF-8 JSON, the bytes of the file are untouched."""
    instance = ODD[number]
    for below in ("/metadata", "/series", "/instances"):
        answer = odd.gateway.get(f"/studies/{instance.study_uid}{below}")
        assert answer.status_code == 200
        (row,) = json.loads(answer.content.decode("utf-8"))
        assert text(row, "StudyInstanceUID") == instance.study_uid
    assert [data for _, data in parts(odd, path_of(instance), AS_STORED)] == [instance.data]
    picture = odd.gateway.get(path_of(instance) + "/rendered")
    assert (picture.status_code, picture.headers["Content-Type"]) == (200, "image/jpeg")


@pytest.mark.parametrize("number", DAMAGED)
def test_a_damaged_file_costs_itself_alone(odd: Region, number: int) -> None:
    """What exists is never 404, and a study of which a file is gone never looks whole."""
    damaged, whole = a_study(number, (2,))
    assert [data for _, data in parts(odd, path_of(whole), AS_STORED)] == [whole.data]
    assert odd.gateway.get(path_of(damaged) + "/rendered").status_code in (406, 502, 503)
    if DAMAGED[number] == "gone":
        assert odd.gateway.get(path_of(damaged)).status_code in (502, 503)
        with pytest.raises(requests.RequestException):
            odd.gateway.get(f"/studies/{whole.study_uid}").raise_for_status()
    assert numbers(odd, "/studies") == ALL
