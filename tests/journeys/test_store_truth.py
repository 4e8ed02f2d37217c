"""What a store answer says is what the real sites then hold: duplicates, conflicts, a full disk."""

import gzip
import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from xml.etree import ElementTree

import pytest
import requests

from gateway.demo.servers import GENERATIONS, OrthancServer, free_port
from gateway.dicom.native_model import NAMESPACE
from gateway.dicom.store_response import (
    DUPLICATE,
    OTHER_PATIENT,
    OUT_OF_RESOURCES,
    PROCESSING_FAILURE,
)
from tests.journeys.conftest import Region
from tests.journeys.test_store_journey import BOUNDARY, multipart, store, stored
from tests.running import start_gateway
from tests.studies import Instance, a_study, an_instance

pytestmark = pytest.mark.real

CONTENT_TYPE = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'


def reasons(answer: requests.Response) -> list[int]:
    items = answer.json().get("00081198", {}).get("Value", [])
    return [item["00081197"]["Value"][0] for item in items]


def copies(region: Region, site: str, instance: Instance) -> list[str]:
    """MD5 of each copy that a site holds of an instance, asked past the gateway."""
    server = region.servers[site]
    session = requests.Session()
    session.auth = server.auth
    query = {"Level": "Instance", "Query": {"SOPInstanceUID": instance.instance_uid}}
    found = session.post(server.url + "/tools/find", json=query, timeout=30).json()
    return [
        hashlib.md5(
            session.get(f"{server.url}/instances/{name}/file", timeout=30).content,
            usedforsecurity=False,
        ).hexdigest()
        for name in found
    ]


def md5(instance: Instance) -> str:
    return hashlib.md5(instance.data, usedforsecurity=False).hexdigest()


def test_other_content_under_a_held_uid_is_a_conflict_and_the_original_stays(
    empty_region: Region,
) -> None:
    """H82"""
    original = an_instance(200)
    forged = an_instance(200, StudyDescription="Подмена")
    assert store(empty_region, original.data).status_code == 200
    answer = store(empty_region, forged.data)
    assert (answer.status_code, stored(answer), reasons(answer)) == (409, [], [DUPLICATE])
    assert copies(empty_region, "archive", original) == [md5(original)]


def test_a_conflict_does_not_hold_up_the_rest(empty_region: Region) -> None:
    original, other = an_instance(201), an_instance(201, number=2)
    assert store(empty_region, original.data).status_code == 200
    forged = an_instance(201, StudyDescription="Подмена")
    answer = store(empty_region, forged.data, original.data, other.data)
    assert (answer.status_code, stored(answer), reasons(answer)) == (
        202,
        [original.instance_uid, other.instance_uid],
        [DUPLICATE],
    )


def test_a_study_goes_to_the_hospital_that_holds_it(empty_region: Region) -> None:
    image, report = an_instance(210), an_instance(210, series=2)
    assert store(empty_region, image.data, root="/sites/zlat/dicom-web").status_code == 200
    assert store(empty_region, report.data).status_code == 200
    assert (
        copies(empty_region, "zlat", report),
        copies(empty_region, "archive", report),
    ) == ([md5(report)], [])


def test_a_named_site_takes_a_copy_but_not_other_content_of_what_another_holds(
    empty_region: Region,
) -> None:
    """H83"""
    image = an_instance(211)
    forged = an_instance(211, StudyDescription="Подмена")
    root = "/sites/archive/dicom-web"
    assert store(empty_region, image.data, root="/sites/zlat/dicom-web").status_code == 200
    answer = store(empty_region, forged.data, root=root)
    assert (answer.status_code, reasons(answer)) == (409, [DUPLICATE])
    assert copies(empty_region, "archive", image) == []
    assert store(empty_region, image.data, root=root).status_code == 200
    assert copies(empty_region, "archive", image) == [md5(image)]


def test_images_of_another_patient_do_not_come_into_a_held_study(empty_region: Region) -> None:
    mine, foreign = an_instance(212), an_instance(212, number=2, PatientID="another")
    assert store(empty_region, mine.data).status_code == 200
    answer = store(empty_region, foreign.data)
    assert (answer.status_code, reasons(answer)) == (409, [OTHER_PATIENT])
    assert copies(empty_region, "archive", foreign) == []


@pytest.mark.parametrize("site", ["", "/sites/archive"], ids=["where it is", "at another site"])
@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"PatientID": "", "PatientName": "Сидорова^Анна"}, id="no id"),
        pytest.param({"PatientID": "Ж-17", "PatientName": "Сидорова^Анна"}, id="a Russian id"),
        pytest.param({"PatientName": "Чужой^Олег", "PatientBirthDate": "19990909"}, id="same id"),
    ],
)
def test_another_patient_is_known_by_more_than_an_identifier(
    empty_region: Region, site: str, changed: dict[str, str]
) -> None:
    """F20, H83"""
    mine, foreign = an_instance(214), an_instance(214, number=2, **changed)
    root = "/sites/zlat/dicom-web"
    assert store(empty_region, mine.data, root=root).status_code == 200
    answer = store(empty_region, foreign.data, root=f"{site}/dicom-web")
    assert (answer.status_code, reasons(answer)) == (409, [OTHER_PATIENT])
    assert [copies(empty_region, name, foreign) for name in ("zlat", "archive")] == [[], []]


def test_one_patient_may_be_spelt_in_several_ways(empty_region: Region) -> None:
    """F20: what does not disagree is no reason to refuse."""
    spelt = [
        an_instance(215, PatientID="Ж-17"),
        an_instance(215, number=2, PatientID="Ж-17", charset="ISO_IR 144"),
        an_instance(215, number=3, PatientID="", PatientName="IVANOV^PETR"),
        an_instance(215, number=4, PatientID="Ж-17", PatientName="Иванов^П", PatientBirthDate=""),
    ]
    answers = [store(empty_region, instance.data).status_code for instance in spelt]
    assert answers == [200] * 4


def test_a_uid_that_the_site_holds_in_another_study_is_a_conflict(empty_region: Region) -> None:
    """H82: an instance UID is of one study in the world."""
    original, new = an_instance(216), an_instance(217, number=2)
    forged = an_instance(217, SOPInstanceUID=original.instance_uid)
    assert store(empty_region, original.data).status_code == 200
    answer = store(empty_region, new.data, forged.data)
    assert (answer.status_code, stored(answer), reasons(answer)) == (
        202,
        [new.instance_uid],
        [DUPLICATE],
    )
    assert copies(empty_region, "archive", original) == [md5(original)]


def test_two_clients_that_send_the_same_study_at_once_both_succeed(empty_region: Region) -> None:
    study = a_study(213, (12,))
    files = [instance.data for instance in study]
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda _n: store(empty_region, *files), range(2)))
    assert [a.status_code for a in answers] == [200, 200]
    assert [len(copies(empty_region, "archive", i)) for i in study] == [1] * 12


def test_a_file_that_was_cut_is_refused(empty_region: Region) -> None:
    """H76: pydicom reads such a file without a word."""
    instance = an_instance(220)
    answer = store(empty_region, instance.data[:-10])
    assert (answer.status_code, reasons(answer)) == (400, [0xC000])
    assert copies(empty_region, "archive", instance) == []


def test_a_preamble_of_another_kind_of_file_is_kept_as_it_is(empty_region: Region) -> None:
    """H73: the bytes that are stored are those that came."""
    plain = an_instance(221)
    polyglot = Instance(
        plain.study_uid,
        plain.series_uid,
        plain.instance_uid,
        plain.pixels,
        b"MZ" + plain.data[2:],
    )
    assert store(empty_region, polyglot.data).status_code == 200
    assert copies(empty_region, "archive", polyglot) == [md5(polyglot)]


def test_the_answer_comes_in_xml_to_who_asks_for_it(empty_region: Region) -> None:
    instance = an_instance(230)
    answer = requests.post(
        f"{empty_region.gateway.dicomweb}/studies",
        data=multipart(instance.data),
        headers={"Content-Type": CONTENT_TYPE, "Accept": "application/dicom+xml"},
        timeout=60,
    )
    root = ElementTree.fromstring(answer.content)
    uid = f"{{{NAMESPACE}}}DicomAttribute[@tag='00081155']/{{{NAMESPACE}}}Value"
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/dicom+xml")
    assert [e.text for e in root.iterfind(f".//{uid}")] == [instance.instance_uid]


def test_a_compressed_body_is_refused_and_no_site_sees_it(empty_region: Region) -> None:
    """H20, E20: Orthanc would take a gigabyte of memory for some of these."""
    instance = an_instance(231)
    answer = requests.post(
        f"{empty_region.gateway.dicomweb}/studies",
        data=gzip.compress(multipart(instance.data)),
        headers={"Content-Type": CONTENT_TYPE, "Content-Encoding": "gzip"},
        timeout=60,
    )
    assert (answer.status_code, copies(empty_region, "archive", instance)) == (415, [])


SMALL_DISK = 'mount -t tmpfs -o size=512k tmpfs "$0/storage" && exec "$@"'
REJECTS = {"MaximumStorageSize": 1, "MaximumStorageMode": "Reject"}


@dataclass(frozen=True)
class Full:
    """A hospital with little room, and what its Orthanc says when there is none.

    Orthanc 1.10 says 200, 1.12 "processing failure" (0110), or A700 if it was given a limit.
    """

    region: Region
    failure: int
    status: int


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((GENERATIONS[0], {}, OUT_OF_RESOURCES, 507), id="1.10, its disk is full"),
        pytest.param((GENERATIONS[1], {}, PROCESSING_FAILURE, 503), id="1.12, its disk is full"),
        pytest.param((GENERATIONS[1], REJECTS, OUT_OF_RESOURCES, 507), id="1.12, at its limit"),
    ],
)
def full(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Full]:
    generation, settings, failure, status = request.param
    folder = tmp_path_factory.mktemp("full")
    server = OrthancServer(
        folder,
        "zlat",
        free_port(),
        free_port(),
        username="tests",
        password="secret-of-zlat",
        generation=generation,
        settings={"IndexDirectory": str(folder / "index"), **settings},
    )
    if not settings:  # a file system of its own, which ends with the process
        wrap = ("unshare", "--mount", "--map-root-user", "sh", "-c", SMALL_DISK, str(folder))
        server.command = wrap + server.command
    server.start()
    gateway = start_gateway(
        tmp_path_factory.mktemp("gateway"), {"zlat": server.url}, {"zlat": server}, home="zlat"
    )
    yield Full(Region(gateway, {"zlat": server}, {}), failure, status)
    gateway.program.stop()
    server.kill()


def test_a_site_without_room_is_told_for_each_instance_that_it_does_not_hold(full: Full) -> None:
    """E13"""
    study = a_study(240, (40,), frames=10)
    answer = store(full.region, *(instance.data for instance in study))
    here = {i.instance_uid for i in study if copies(full.region, "zlat", i)}
    assert (answer.status_code, set(stored(answer)), set(reasons(answer))) == (
        202,
        here,
        {full.failure},
    )
    assert 0 < len(here) < len(study)

    answer = store(full.region, an_instance(241, frames=400).data)
    assert (answer.status_code, stored(answer), reasons(answer)) == (
        full.status,
        [],
        [full.failure],
    )
