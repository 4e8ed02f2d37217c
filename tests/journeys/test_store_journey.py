"""Store to real sites: each instance is reported by what the site then holds (PS3.18 10.5)."""

import pytest
import requests

from gateway.dicom.multipart import closing, part_head
from tests.journeys.conftest import Region
from tests.studies import Instance, a_study, an_instance

pytestmark = pytest.mark.real

BOUNDARY = "of-the-test"


def multipart(*files: bytes, end: bool = True) -> bytes:
    head = part_head(BOUNDARY, [("Content-Type", "application/dicom")])
    body = b"".join(head + data + b"\r\n" for data in files)
    return body + (closing(BOUNDARY) if end else b"")


def store(
    empty_region: Region,
    *files: bytes,
    root: str = "/dicom-web",
    below: str = "",
    chunked: bool = False,
) -> requests.Response:
    body = multipart(*files)
    return requests.post(
        f"{empty_region.gateway.url}{root}/studies{below}",
        data=iter([body[:1000], body[1000:]]) if chunked else body,
        headers={
            "Content-Type": f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'
        },
        timeout=30,
    )


def told(answer: requests.Response, sequence: str) -> list[str]:
    items = answer.json().get(sequence, {}).get("Value", [])
    return [item["00081155"].get("Value", [""])[0] for item in items]


def stored(answer: requests.Response) -> list[str]:
    return told(answer, "00081199")


def held(empty_region: Region, site: str, instance: Instance) -> bool:
    server = empty_region.servers[site]
    found = requests.post(
        server.url + "/tools/find",
        json={"Level": "Instance", "Query": {"SOPInstanceUID": instance.instance_uid}},
        auth=server.auth,
        timeout=10,
    )
    return len(found.json()) == 1


@pytest.mark.parametrize("chunked", [False, True], ids=["with a length", "chunked"])
def test_a_study_is_stored_at_the_home_site_and_can_be_read_back(
    empty_region: Region, chunked: bool
) -> None:
    study = a_study(100 + chunked, (2, 1))
    answer = store(empty_region, *(i.data for i in study), chunked=chunked)
    uid = study[0].study_uid
    assert (answer.status_code, sorted(stored(answer))) == (
        200,
        sorted(i.instance_uid for i in study),
    )
    assert answer.json()["00081190"]["Value"] == [f"{empty_region.gateway.dicomweb}/studies/{uid}"]
    assert [held(empty_region, "archive", i) for i in study] == [True] * 3
    back = empty_region.gateway.get(
        f"/studies/{uid}",
        headers={"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'},
    )
    assert [i.data in back.content for i in study] == [True] * 3


def test_a_named_site_stores_for_itself(empty_region: Region) -> None:
    instance = an_instance(110)
    answer = store(empty_region, instance.data, root="/sites/zlat/dicom-web")
    assert (
        answer.status_code,
        held(empty_region, "zlat", instance),
        held(empty_region, "archive", instance),
    ) == (
        200,
        True,
        False,
    )


def test_a_damaged_part_fails_alone(empty_region: Region) -> None:
    good, other = an_instance(120), an_instance(120, number=2)
    answer = store(empty_region, good.data, b"this is no DICOM file" * 20, other.data)
    nameless = [item["00081197"]["Value"] for item in answer.json()["0008119A"]["Value"]]
    assert (answer.status_code, stored(answer), told(answer, "00081198"), nameless) == (
        202,
        [good.instance_uid, other.instance_uid],
        [],
        [[0xC000]],
    )


def test_a_part_of_another_study_fails_alone(empty_region: Region) -> None:
    """H19"""
    mine, foreign = an_instance(130), an_instance(131)
    answer = store(empty_region, mine.data, foreign.data, below=f"/{mine.study_uid}")
    reasons = [item["00081197"]["Value"] for item in answer.json()["00081198"]["Value"]]
    assert (answer.status_code, stored(answer), reasons) == (
        202,
        [mine.instance_uid],
        [[0xA901]],
    )
    assert held(empty_region, "archive", foreign) is False


def test_nothing_but_parts_of_another_study_is_a_conflict(empty_region: Region) -> None:
    """H19"""
    answer = store(empty_region, an_instance(132).data, below="/1.2.3")
    assert (answer.status_code, stored(answer)) == (409, [])


def test_storing_twice_is_no_error_and_doubles_nothing(empty_region: Region) -> None:
    instance = an_instance(140)
    answers = [store(empty_region, instance.data) for _ in range(2)]
    assert [(a.status_code, stored(a)) for a in answers] == [(200, [instance.instance_uid])] * 2
    rows = empty_region.gateway.get(f"/studies/{instance.study_uid}/instances").json()
    assert len(rows) == 1


def test_a_body_without_its_closing_boundary_reports_nothing(empty_region: Region) -> None:
    """H14, E14"""
    answer = requests.post(
        f"{empty_region.gateway.dicomweb}/studies",
        data=multipart(an_instance(150).data, end=False),
        headers={
            "Content-Type": f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'
        },
        timeout=30,
    )
    assert (answer.status_code, answer.json()["field"]) == (400, "body")


def test_a_part_with_parameters_in_its_media_type_is_stored(empty_region: Region) -> None:
    # Orthanc 1.10.1 answers 200 to such a part and drops it (measured).
    instance = an_instance(160)
    head = part_head(
        BOUNDARY, [("Content-Type", "application/dicom; transfer-syntax=1.2.840.10008.1.2.1")]
    )
    answer = requests.post(
        f"{empty_region.gateway.dicomweb}/studies",
        data=head + instance.data + b"\r\n" + closing(BOUNDARY),
        headers={"Content-Type": f"multipart/related; type=application/dicom; boundary={BOUNDARY}"},
        timeout=30,
    )
    assert (answer.status_code, held(empty_region, "archive", instance)) == (200, True)


@pytest.mark.parametrize(
    ("headers", "status", "field"),
    [
        ({"Content-Type": "application/dicom"}, 415, "Content-Type"),
        ({"Content-Type": "text/plain"}, 415, "Content-Type"),
        ({"Content-Type": 'multipart/related; type="text/html"; boundary=b'}, 415, "Content-Type"),
        ({"Content-Type": 'multipart/related; type="application/dicom"'}, 400, "Content-Type"),
        (
            {
                "Content-Type": 'multipart/related; type="application/dicom"; boundary=b',
                "Content-Encoding": "gzip",
            },
            415,
            "Content-Encoding",
        ),
    ],
)
def test_what_is_no_store_request_is_refused(
    empty_region: Region, headers: dict[str, str], status: int, field: str
) -> None:
    answer = requests.post(
        f"{empty_region.gateway.dicomweb}/studies", data=b"x", headers=headers, timeout=30
    )
    assert (answer.status_code, answer.json()["field"]) == (status, field)
