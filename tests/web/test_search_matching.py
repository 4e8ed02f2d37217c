"""Search as PS3.18 8.3.4 and 10.6 have it, through the door: keys, forms of keys, what they match.

Three regions answer each question: an index on SQLite, one on PostgreSQL, and sites that ignore
every key. Studies 4 and 3 are of one day, 4 has no time; 1 is at two sites.
"""

import pytest
from flask.testing import FlaskClient

from tests.web.indexed import uids
from tests.web.rows import CT, SR, U


def found(client: FlaskClient, path: str, name: str = "StudyInstanceUID") -> list[str]:
    """What the page lists, which is all that there is if no limit is asked."""
    answer = client.get(f"/dicom-web{path}")
    assert answer.status_code == 200, answer.get_data(as_text=True)
    if "limit=" not in path and "offset=" not in path:
        assert int(answer.headers["X-Total-Count"]) == len(answer.get_json())
    return uids(answer, name)


STUDIES = {
    # Required keys of studies (Table 10.6.1-5), as keyword, tag and tag in small letters.
    "StudyDate=20260101": "1",
    "00080020=20260101": "1",
    "StudyTime=101530": "1",
    "00080030=1015": "1",
    "StudyTime=1000-1100": "1",
    "StudyTime=-0900": "3",
    "StudyTime=23-": "2",
    "AccessionNumber=A1": "1",
    "00080050=A%3F": "2 1",
    "ModalitiesInStudy=CT": "2 1",
    "00080061=SR": "4 1",
    "ReferringPhysicianName=%D0%B2%D1%80%D0%B0%D1%87%D0%B5%D0%B2*": "1",
    "00080090=VRACHEV*": "1",
    "PatientName=smith*": "2",
    "00100010=SMITH%5EANN": "2",
    "PatientID=77": "1",
    "00100020=7*": "2 1",
    f"StudyInstanceUID={U}.3": "3",
    f"0020000D={U}.3": "3",
    f"0020000d={U}.3": "3",
    "StudyID=S-2": "2",
    "00200010=S-?": "3 2 1",
    # Usual ones beyond.
    "StudyDescription=%D0%9A%D0%A2*": "1",
    "PatientBirthDate=19700101": "1",
    "00100030=19700102-": "",
    "00100030=19690101-19701231": "1",
    "PatientSex=M": "1",
    "IssuerOfPatientID=GKB1": "2 1",
    "Modality=MR": "3",
    "NumberOfStudyRelatedInstances=2": "1",
    # Case: names without it, all else with it (PS3.4 C.2.2.2.1).
    "PatientID=A1": "",
    "PatientID=a1": "3",
    # `_` and `%` are letters, not wildcards of SQL.
    "PatientID=A_*": "4",
    "PatientID=a%251": "",
    "AccessionNumber=%25": "",
    # A comma or a dash is no list and no range where it can stand in a value.
    "PatientName=DOE%5EJR.%2C+JOHN": "3",
    "StudyID=S-1": "1",
    # Dates.
    "StudyDate=20260102-20260103": "3 4 2",
    "StudyDate=-20260101": "1",
    "StudyDate=20260103-": "3 4",
    "StudyDate=20260102-20260103&StudyTime=2300-0900": "3 4 2",
    "StudyDate=20260101-20260102&StudyTime=1100-2359": "2",
    "StudyDate=20260101-20260102&StudyTime=1000-": "2 1",
    # Lists of UIDs and of codes, as clients send them.
    f"StudyInstanceUID={U}.1,{U}.3": "3 1",
    f"StudyInstanceUID={U}.1%5C{U}.3": "3 1",
    f"StudyInstanceUID={U}.1%5C%5C{U}.3": "3 1",
    f"StudyInstanceUID={U}.1&StudyInstanceUID={U}.3": "3 1",
    f"StudyInstanceUID={U}.1&0020000D={U}.3": "3 1",
    "ModalitiesInStudy=CT,MR": "3 2 1",
    "ModalitiesInStudy=MR%5C%5CSR": "3 4 1",
    "ModalitiesInStudy=CT&ModalitiesInStudy=MR": "3 2 1",
    "ModalitiesInStudy=CT,SR&multiplevaluematching=true": "1",
    "ModalitiesInStudy=CT,SR&multiplevaluematching=false": "4 2 1",
    "ModalitiesInStudy=C*": "2 1",
    # Universal, and empty.
    "AccessionNumber=": "3 4 2 1",
    "AccessionNumber=*": "3 4 2 1",
    "AccessionNumber=%22%22": "",
    "AccessionNumber=%22%22&emptyvaluematching=true": "3 4",
    "AccessionNumber=&emptyvaluematching=true": "3 4 2 1",
    # Several keys hold together.
    "PatientName=*&ModalitiesInStudy=CT&StudyDate=20260102": "2",
    # fuzzymatching forgives one letter of a name.
    "PatientName=%D0%98%D0%B2%D0%BE%D0%BD%D0%BE%D0%B2*": "",
    "PatientName=%D0%98%D0%B2%D0%BE%D0%BD%D0%BE%D0%B2*&fuzzymatching=true": "1",
    "PatientName=%D0%98%D0%B2%D0%BE%D0%BD%D0%BE%D0%B2*&fuzzymatching=false": "",
    # Pages.
    "limit=2": "3 4",
    "limit=2&offset=2": "2 1",
    "limit=2&offset=3": "1",
    "offset=4": "",
    # Empty parameters, as Weasis sends one.
    "&includefield=00081030": "3 4 2 1",
}


@pytest.mark.parametrize("question", STUDIES)
def test_studies_are_matched_as_the_standard_has_it(region, question):
    assert found(region, f"/studies?{question}") == STUDIES[question].split()


SERIES = {
    "/series": "3.1 4.1 2.1 1.1",
    f"/studies/{U}.1/series": "1.1",
    "/series?Modality=CT": "2.1 1.1",
    "/series?00080060=MR,SR": "3.1 4.1",
    f"/series?SeriesInstanceUID={U}.2.1": "2.1",
    f"/series?0020000e={U}.2.1": "2.1",
    "/series?SeriesNumber=1": "3.1 1.1",
    "/series?00200011=01": "3.1 1.1",
    "/series?PerformedProcedureStepStartDate=20260101": "1.1",
    "/series?00400244=20260101-20260102&00400245=1000-": "1.1",
    "/series?PerformedProcedureStepStartTime=10": "1.1",
    "/series?RequestAttributesSequence.ScheduledProcedureStepID=SPS1": "1.1",
    "/series?00400275.00400009=SPS*": "2.1 1.1",
    "/series?RequestAttributesSequence.RequestedProcedureID=RP3": "2.1",
    "/series?00400275.00400009=SPS2&00400275.00401001=RP3": "2.1",
    "/series?00400275.00400009=SPS2&00400275.00401001=RP2": "",
    "/series?SeriesDescription=%D0%BB%D1%91%D0%B3*": "1.1",
    "/series?BodyPartExamined=CHEST": "1.1",
    "/series?PatientID=77": "1.1",
    "/series?PatientName=smith*&Modality=CT": "2.1",
    f"/series?StudyInstanceUID={U}.3": "3.1",
    f"/studies/{U}.1/series?StudyInstanceUID={U}.3": "",
    f"/studies/{U}.9/series": "",
}


@pytest.mark.parametrize("path", SERIES)
def test_series_are_matched_as_the_standard_has_it(region, path):
    assert found(region, path, "SeriesInstanceUID") == SERIES[path].split()


INSTANCES = {
    f"/studies/{U}.1/instances": "1.1.1 1.1.2",
    f"/studies/{U}.1/series/{U}.1.1/instances": "1.1.1 1.1.2",
    f"/studies/{U}.1/series/{U}.2.1/instances": "",
    f"/studies/{U}.1/instances?SeriesInstanceUID={U}.1.1": "1.1.1 1.1.2",
    f"/studies/{U}.9/instances": "",
    # Required keys of instances (Table 10.6.1-5).
    f"/studies/{U}.1/instances?SOPInstanceUID={U}.1.1.2": "1.1.2",
    f"/studies/{U}.1/instances?00080018={U}.1.1.2,{U}.1.1.1": "1.1.1 1.1.2",
    f"/studies/{U}.1/instances?SOPClassUID={CT}": "1.1.1 1.1.2",
    f"/studies/{U}.1/instances?00080016={SR}": "",
    f"/studies/{U}.1/instances?00080016={SR}%5C{CT}": "1.1.1 1.1.2",
    f"/studies/{U}.1/instances?InstanceNumber=2": "1.1.2",
    f"/studies/{U}.1/instances?00200013=02": "1.1.2",
    # Keys of the levels above.
    f"/studies/{U}.1/instances?Modality=CT": "1.1.1 1.1.2",
    f"/studies/{U}.1/instances?Modality=PR": "",
    "/instances?PatientID=77&Modality=CT&InstanceNumber=1": "1.1.1",
    "/instances?AccessionNumber=A1": "1.1.1 1.1.2",
    f"/instances?StudyInstanceUID={U}.1,{U}.3": "3.1.1 1.1.1 1.1.2",
    f"/instances?SeriesInstanceUID={U}.4.1": "4.1.1",
    f"/instances?SOPInstanceUID={U}.2.1.1": "2.1.1",
    f"/instances?StudyInstanceUID={U}.1,{U}.3&limit=1&offset=1": "1.1.1",
}


@pytest.mark.parametrize("path", INSTANCES)
def test_instances_are_matched_as_the_standard_has_it(client, path):
    """From the sites, whom the index names."""
    assert found(client, path, "SOPInstanceUID") == INSTANCES[path].split()
