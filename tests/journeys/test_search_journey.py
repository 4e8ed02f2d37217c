"""Search over real sites: one list, one order, one rule for all of them (PS3.18 10.6)."""

import pytest
import requests

from gateway.dicom.attributes import text, values
from tests.journeys.conftest import Region
from tests.studies import ROOT

pytestmark = pytest.mark.real


def uids(region: Region, path: str, keyword: str = "StudyInstanceUID") -> list[str]:
    answer = region.gateway.get(path)
    assert answer.status_code == 200, answer.text
    return [text(row, keyword).removeprefix(ROOT + ".") for row in answer.json()]


def test_the_list_holds_every_study_of_every_site_once_and_newest_first(region: Region) -> None:
    newest = [
        "50",
        *(str(30 + n) for n in range(12, 0, -1)),
        "61",
        "60",
        "20",
        "11",
        "10",
        "2",
        "1",
    ]
    assert uids(region, "/studies") == newest


def test_all_answered_so_there_is_no_warning(region: Region) -> None:
    headers = region.gateway.get("/studies").headers
    found = headers.get("Warning"), headers["X-Total-Count"], headers["X-Gateway-Sites"]
    assert found == (None, "20", "ok=4;failed=0")


def test_pages_put_together_are_the_list(region: Region) -> None:
    pages = [uids(region, f"/studies?limit=6&offset={offset}") for offset in (0, 6, 12, 18, 24)]
    assert ([len(page) for page in pages], [uid for page in pages for uid in page]) == (
        [6, 6, 6, 2, 0],
        uids(region, "/studies"),
    )


def test_a_page_says_how_many_remain(region: Region) -> None:
    warning = region.gateway.get("/studies?limit=6&offset=6").headers["Warning"]
    base = region.gateway.dicomweb
    assert warning == f"299 {base}: There are 8 additional results that can be requested"


@pytest.mark.parametrize(
    ("question", "found"),
    [
        pytest.param("PatientName=%D0%9F%D0%B5%D1%82%D1%80%D0%BE%D0%B2*", ["2"], id="Петров*"),
        pytest.param("PatientName=%D0%BF%D0%95%D0%A2%D0%A0%D0%9E%D0%92*", ["2"], id="пЕТРОВ*"),
        pytest.param("PatientName=*%D0%BF%D0%B5%D1%82%D1%80", ["2"], id="*петр finds Пётр"),
        pytest.param("00100020=111", ["10", "2"], id="one PatientID at two hospitals"),
        pytest.param("StudyDate=20260102-20260104", ["11", "10", "2"], id="dates a-b"),
        pytest.param("StudyDate=20260212-", ["50", "42"], id="dates a-"),
        pytest.param("StudyDate=-20260102", ["2", "1"], id="dates -b"),
        pytest.param("ModalitiesInStudy=MR,US", ["20", "11"], id="two modalities"),
        pytest.param("AccessionNumber=A6%3F", ["61", "60"], id="A6?"),
        pytest.param(f"StudyInstanceUID={ROOT}.1,{ROOT}.20", ["20", "1"], id="UIDs by comma"),
        pytest.param(f"StudyInstanceUID={ROOT}.1%5C%5C{ROOT}.20", ["20", "1"], id="UIDs by \\\\"),
        pytest.param("PatientID=nobody", [], id="nobody"),
        pytest.param("limit=2&&includefield=00081030", ["50", "42"], id="an empty parameter"),
    ],
)
def test_one_rule_matches_at_every_site(region: Region, question: str, found: list[str]) -> None:
    assert uids(region, f"/studies?{question}") == found


def test_a_record_is_of_one_site_and_of_this_gateway(region: Region) -> None:
    row = region.gateway.get("/studies?AccessionNumber=A50").json()[0]
    base = region.gateway.dicomweb
    assert {
        "holders": values(row, "RetrieveAETitle"),
        "instances": values(row, "NumberOfStudyRelatedInstances"),
        "series": values(row, "NumberOfStudyRelatedSeries"),
        "modalities": values(row, "ModalitiesInStudy"),
        "url": text(row, "RetrieveURL"),
        "name": text(row, "PatientName"),
        "zone": text(row, "TimezoneOffsetFromUTC"),
    } == {
        "holders": ["GKB1", "MAGNIT"],
        "instances": [3],
        "series": [1],
        "modalities": ["CT"],
        "url": f"{base}/studies/{ROOT}.50",
        "name": "Иванов^Пётр^Ильич",
        "zone": "+0500",
    }


def test_a_patient_id_is_told_apart_by_its_issuer(region: Region) -> None:
    rows = region.gateway.get("/studies?PatientID=111").json()
    assert [(text(r, "PatientName"), text(r, "IssuerOfPatientID")) for r in rows] == [
        ("Сидорова^Анна", "MAGNIT"),
        ("Петров^Пётр", "GKB1"),
    ]


@pytest.mark.parametrize(
    ("path", "keyword", "found"),
    [
        (f"/studies/{ROOT}.1/series", "SeriesInstanceUID", ["1.1", "1.2"]),
        (f"/studies/{ROOT}.1/series?SeriesNumber=2", "SeriesInstanceUID", ["1.2"]),
        (f"/studies/{ROOT}.1/instances", "SOPInstanceUID", ["1.1.1", "1.1.2", "1.2.1"]),
        (f"/studies/{ROOT}.1/series/{ROOT}.1.1/instances", "SOPInstanceUID", ["1.1.1", "1.1.2"]),
        ("/series?PatientID=111", "SeriesInstanceUID", ["10.1", "2.1"]),
        ("/series?Modality=US", "SeriesInstanceUID", ["20.1"]),
        ("/instances?AccessionNumber=A1", "SOPInstanceUID", ["1.1.1", "1.1.2", "1.2.1"]),
        (f"/instances?SOPInstanceUID={ROOT}.20.1.1", "SOPInstanceUID", ["20.1.1"]),
        (f"/studies/{ROOT}.999/series", "SeriesInstanceUID", []),
    ],
)
def test_every_search_resource_answers(
    region: Region, path: str, keyword: str, found: list[str]
) -> None:
    assert uids(region, path, keyword) == found


def test_one_site_can_be_asked_alone(region: Region) -> None:
    url = region.gateway.url + "/sites/magnit/dicom-web/studies"
    answer = requests.get(url, timeout=30)
    found = [text(row, "RetrieveURL") for row in answer.json()]
    assert found == [f"{url}/{ROOT}.{n}" for n in (50, 11, 10)]
