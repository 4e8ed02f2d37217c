"""Search as PS3.18 8.3.4 and 10.6 have it, through the door and over a real index on both
databases: keys, forms of keys, what they match, what rows carry, what is said of the rest.
"""

import pytest
import sqlalchemy as sa

from gateway.dicom.attributes import text
from gateway.records.engine import open_records
from gateway.web import create_app
from tests.records.conftest import postgres_url
from tests.web.indexed import indexed_gateway, row

__all__ = ["postgres_url"]

U = "1.2.840.9"
ROWS = {
    "gkb1": [
        row(
            StudyInstanceUID=f"{U}.1", SeriesInstanceUID=f"{U}.1.1", StudyDate="20260101",
            StudyTime="101530", AccessionNumber="A1", StudyID="S-1", PatientID="77",
            PatientName={"Alphabetic": "Иванов^Пётр^Ильич"}, PatientBirthDate="19700101",
            PatientSex="M", ReferringPhysicianName={"Alphabetic": "Врачёв^Семён"},
            StudyDescription="КТ ОГК", ModalitiesInStudy=["CT", "SR"], Modality="CT",
            SeriesNumber=1, InstitutionName="ГКБ 1", SeriesDescription="лёгкие",
            BodyPartExamined="CHEST", PerformedProcedureStepStartDate="20260101",
            PerformedProcedureStepStartTime="102000", IssuerOfPatientID="GKB1",
            RequestAttributesSequence={
                "ScheduledProcedureStepID": "SPS1", "RequestedProcedureID": "RP1"
            },
        ),
        row(
            StudyInstanceUID=f"{U}.2", SeriesInstanceUID=f"{U}.2.1", StudyDate="20260102",
            StudyTime="2330", AccessionNumber="A2", StudyID="S-2", PatientID="78",
            PatientName={"Alphabetic": "SMITH^ANN"}, ModalitiesInStudy=["CT"], Modality="CT",
            SeriesNumber=10, RequestAttributesSequence=[
                {"ScheduledProcedureStepID": "SPS2", "RequestedProcedureID": "RP3"},
                {"ScheduledProcedureStepID": "SPS3", "RequestedProcedureID": "RP2"},
            ],
        ),
    ],
    "zlat": [
        row(
            StudyInstanceUID=f"{U}.3", SeriesInstanceUID=f"{U}.3.1", StudyDate="20260103",
            StudyTime="0800", AccessionNumber="", StudyID="S-3", PatientID="a1",
            PatientName={"Alphabetic": "DOE^JR., JOHN"}, ModalitiesInStudy=["MR"], Modality="MR",
            SeriesNumber=1,
        ),
        row(
            StudyInstanceUID=f"{U}.4", SeriesInstanceUID=f"{U}.4.1", StudyDate="20260103",
            PatientID="A_1", PatientName={"Alphabetic": "Петрова^Анна"}, Modality="US",
            ModalitiesInStudy=["US"],
        ),
    ],
    "archive": [],
}  # fmt: skip


@pytest.fixture(
    scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.real)]
)
def client(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("indexed")
    url = f"sqlite:///{folder / 'gateway.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
        records = open_records(url)
        with records.write() as connection:
            connection.execute(sa.text("DROP SCHEMA public CASCADE"))
            connection.execute(sa.text("CREATE SCHEMA public"))
        records.close()
    with indexed_gateway(folder, url, ROWS) as gateway:
        yield create_app(gateway).test_client()


def found(client, path: str, name: str = "StudyInstanceUID") -> list[str]:
    answer = client.get(f"/dicom-web{path}")
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return [text(one, name).removeprefix(U + ".") for one in answer.get_json()]


def told(client, path: str) -> list[str]:
    """Sentences of the Warnings, which must all begin as the standard writes them."""
    warnings = client.get(f"/dicom-web{path}").headers.getlist("Warning")
    head = "299 http://127.0.0.1:8080/dicom-web: "
    assert [warning for warning in warnings if not warning.startswith(head)] == []
    return [warning.removeprefix(head) for warning in warnings]


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
    "00080061=SR": "1",
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
    "00100030=1969-": None,
    "PatientSex=M": "1",
    "IssuerOfPatientID=GKB1": "1",
    "Modality=MR": "3",
    "NumberOfStudyRelatedInstances=1": "",
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
    "ModalitiesInStudy=CT%5C%5CSR": "2 1",
    "ModalitiesInStudy=CT&ModalitiesInStudy=MR": "3 2 1",
    "ModalitiesInStudy=CT,SR&multiplevaluematching=true": "1",
    "ModalitiesInStudy=CT,SR&multiplevaluematching=false": "2 1",
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


@pytest.mark.parametrize("question", [q for q, uids in STUDIES.items() if uids is not None])
def test_studies_are_matched_as_the_standard_has_it(client, question):
    assert found(client, f"/studies?{question}") == (STUDIES[question] or "").split()


SERIES = {
    "/series": "3.1 4.1 2.1 1.1",
    f"/studies/{U}.1/series": "1.1",
    "/series?Modality=CT": "2.1 1.1",
    "/series?00080060=MR,US": "3.1 4.1",
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
def test_series_are_matched_as_the_standard_has_it(client, path):
    assert found(client, path, "SeriesInstanceUID") == SERIES[path].split()


STUDY_TAGS = {
    "00080020", "00080030", "00080050", "00080054", "00080056", "00080061", "00080090",
    "00080201", "00081030", "00081190", "00100010", "00100020", "00100021", "00100030",
    "00100040", "0020000D", "00200010",
}  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "more"),
    [
        ("", set()),
        ("includefield=00080080", {"00080080"}),
        ("includefield=InstitutionName", {"00080080"}),
        ("includefield=00081030,InstitutionName", {"00080080"}),
        ("includefield=00081030&includefield=00080080", {"00080080"}),
        ("includefield=all", {"00080080"}),
        ("includefield=00080060", set()),
        ("includefield=00280010", set()),
        ("includefield=", set()),
    ],
    ids=lambda value: value or "nothing" if isinstance(value, str) else "",
)
def test_a_study_carries_what_was_asked_of_its_own_level(client, asked, more):
    """10.6.3.3; 00080060 and 00280010 belong to lower levels and "shall not be returned"."""
    (answer,) = client.get(f"/dicom-web/studies?PatientID=77&{asked}").get_json()
    # The institution is known with the series here: at study level the row has none.
    assert set(answer) - {"00080080"} == STUDY_TAGS
    assert {"00080080"} >= set(answer) - STUDY_TAGS >= set()
    assert more <= {"00080080"}


def test_series_carry_their_study_unless_the_path_names_it(client):
    (alone,) = client.get(f"/dicom-web/series?SeriesInstanceUID={U}.1.1").get_json()
    (below,) = client.get(f"/dicom-web/studies/{U}.1/series").get_json()
    assert STUDY_TAGS - {"00080061"} <= set(alone)
    assert {"00100010", "00080050"} & set(below) == set()
    own = {"00080060", "0008103E", "0020000D", "0020000E", "00200011", "00400244", "00400245"}
    assert own | {"00081190", "00400275"} <= set(below)


@pytest.mark.parametrize(
    ("path", "sentences"),
    [
        ("/studies", []),
        ("/studies?limit=3", ["There are 1 additional results that can be requested"]),
        ("/studies?limit=1&offset=1", ["There are 2 additional results that can be requested"]),
        ("/studies?limit=4", []),
        (
            "/studies?PatientID=77&NoSuchThing=1",
            ["The parameter NoSuchThing is unknown and was ignored."],
        ),
        (
            "/studies?PatientID=77&includefield=NoSuchThing",
            ["The includefield NoSuchThing is unknown and was ignored."],
        ),
        ("/studies?PatientID=77&SeriesNumber=1", [
            "SeriesNumber does not belong to this level and was ignored."
        ]),
        ("/studies?OtherPatientIDs=5", [
            "Results incomplete, the index does not keep OtherPatientIDs"
        ]),
        ("/series?RequestAttributesSequence.ScheduledProcedureStepID=SPS1", [
            "Results incomplete, sequences are not told by gkb1, zlat, archive"
        ]),
        ("/studies?PatientName=smith*&fuzzymatching=true", []),
    ],
)  # fmt: skip
def test_warnings_say_exactly_what_the_answer_lacks(client, path, sentences):
    assert told(client, path) == sentences


@pytest.mark.parametrize(
    "path",
    [
        "/instances",
        "/instances?limit=5",
        "/instances?Modality=CT",
        "/instances?PatientID=7*",
        "/instances?StudyDate=20260101",
        "/instances?StudyInstanceUID=",
        "/instances?RequestAttributesSequence.ScheduledProcedureStepID=SPS1",
    ],
)
def test_instances_of_no_study_are_too_many(client, path):
    """10.6.3.1: 413, and the text says how to narrow the query."""
    answer = client.get(f"/dicom-web{path}")
    assert (answer.status_code, answer.content_type) == (413, "application/problem+json")
    assert "StudyInstanceUID" in answer.get_json()["detail"]


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        (f"/studies/{U}.1/instances", {"gkb1"}),
        (f"/studies/{U}.3/series/{U}.3.1/instances", {"zlat"}),
        (f"/instances?StudyInstanceUID={U}.1,{U}.3", {"gkb1", "zlat"}),
        (f"/instances?SeriesInstanceUID={U}.4.1", {"zlat"}),
        ("/instances?AccessionNumber=A2", {"gkb1"}),
        ("/instances?PatientID=77&InstanceNumber=1", {"gkb1"}),
        (f"/instances?SOPInstanceUID={U}.1.1.1", {"gkb1", "zlat", "archive"}),
        (f"/studies/{U}.9/instances", {"gkb1", "zlat", "archive"}),
    ],
)
def test_instances_are_asked_of_the_holders_only(client, path, asked):
    """Nothing answers here, so the refusal names whom it was asked of: 503, never an empty list."""
    answer = client.get(f"/dicom-web{path}")
    assert (answer.status_code, set(answer.get_json()["sites"])) == (503, asked)
