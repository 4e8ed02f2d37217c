"""Searches made to hurt, and archives full of dirt: trust.md H22-H28, H39, H79, H80.

Refusals that need no index stand in test_bad_input.py (H25, H26, and the lists of H24 and H28).
"""

import pytest

from gateway.dicom.attributes import Dataset, text
from gateway.web import create_app
from tests.web.indexed import indexed_gateway, stubborn_sites, uids
from tests.web.rows import DOE, ROWS, SMITH, U, row

EVERY_KEY = [
    *("StudyDate", "StudyTime", "AccessionNumber", "ModalitiesInStudy", "StudyInstanceUID"),
    *("ReferringPhysicianName", "PatientName", "PatientID", "StudyID", "StudyDescription"),
    *("PatientBirthDate", "limit", "offset", "includefield", "orderby"),
    *("fuzzymatching", "multiplevaluematching", "emptyvaluematching"),
]
INJECTIONS = [
    "' OR 1=1--",
    "'; DROP TABLE study; --",
    '" OR ""="',
    "%' OR '1'='1",
    "1) OR (1=1",
    "77' UNION SELECT record FROM study--",
    "\\' OR 1=1 /*",
    "$1",
    ":param_1",
]


@pytest.mark.parametrize("key", EVERY_KEY)
def test_sql_in_a_parameter_is_a_value_like_any_other(region, key):
    """H39: nothing is found by it or it is refused, and the tables are as they were."""
    for injection in INJECTIONS:
        answer = region.get(
            "/dicom-web/studies", query_string={"PatientID": "?8"} | {key: injection}
        )
        if answer.status_code == 400:
            assert answer.get_json()["field"] == key
        else:
            ignored = key in ("includefield", "orderby")
            assert (answer.status_code, uids(answer)) == (200, ["2"] if ignored else [])
    assert uids(region.get("/dicom-web/studies")) == ["3", "4", "2", "1"]


@pytest.mark.parametrize("sign", ["%", "_", "[a-z]", "^", "~"])
def test_wildcards_of_sql_are_letters(region, sign):
    """H39: only the study 4 has an underscore in its PatientID."""
    for form in (sign, f"*{sign}*", f"?{sign}?", f"7{sign}"):
        answer = region.get("/dicom-web/studies", query_string={"PatientID": form})
        wanted = ["4"] if "_" in form and form != "_" and not form.startswith("7") else []
        assert (answer.status_code, uids(answer)) == (200, wanted)


def test_ranges_of_bytes_are_not_for_lists(client):
    """H22: a thousand ranges cost nothing, because there are none of a list."""
    ranges = "bytes=" + ",".join(["0-"] * 1000)
    whole = client.get("/dicom-web/studies")
    answer = client.get("/dicom-web/studies", headers={"Range": ranges})
    assert (answer.status_code, answer.data) == (200, whole.data)
    assert "Content-Range" not in answer.headers


@pytest.mark.parametrize(
    "accept",
    [
        "application/dicom+json; q=NaN",
        "application/dicom+json; q=1e9",
        "a" * 8000,
        "a" * 100_000,
        "application/dicom+json" + ";a=b" * 4000,
        ",".join(["*/*;transfer-syntax=*"] * 400),
        "application/dicom+json; q=0.5; transfer-syntax=canary-zq",
    ],
    ids=lambda accept: accept[:40],
)
def test_an_accept_made_to_hurt_is_refused(client, accept):
    """H23"""
    answer = client.get("/dicom-web/studies", headers={"Accept": accept})
    assert (answer.status_code, answer.content_type) == (400, "application/problem+json")
    assert answer.get_json()["field"] == "Accept"
    assert "canary" not in answer.get_data(as_text=True)


def test_a_million_fields_are_read_once_and_the_same_one_counts_once(client):
    """H24"""
    many = ",".join(f"0009{n:04X}" for n in range(1, 65_000))
    assert client.get(f"/dicom-web/studies?includefield={many}").status_code == 400
    same = ",".join(["StudyDescription"] * 1_000_000)
    assert client.get(f"/dicom-web/studies?includefield={same}").status_code == 200


@pytest.mark.parametrize(
    "path", ["/studies", f"/studies/{U}.1/series", "/series", f"/studies/{U}.1/instances"]
)
def test_all_fields_may_be_asked_everywhere(client, path):
    """H24"""
    answer = client.get(f"/dicom-web{path}?includefield=all&includefield=all")
    assert (answer.status_code, len(answer.get_json()) > 0) == (200, True)


@pytest.fixture(scope="module")
def capped(tmp_path_factory):
    """Answers of three rows at most."""
    folder = tmp_path_factory.mktemp("capped")
    with indexed_gateway(folder, ROWS, max_results=3) as gateway:
        yield create_app(gateway).test_client()


@pytest.mark.parametrize(
    "question",
    ["", "PatientName=*", "PatientName=?*", "PatientName=", "limit=1000000000", "PatientName=**"],
)
def test_a_broad_question_gets_the_newest_and_the_number_of_the_rest(capped, question):
    """H25, H27: a viewer opens with it, so it is cut and not refused."""
    answer = capped.get(f"/dicom-web/studies?{question}")
    assert (answer.status_code, uids(answer)) == (200, ["3", "4", "2"])
    (warning,) = answer.headers.getlist("Warning")
    assert warning.endswith(": There are 1 additional results that can be requested")


@pytest.mark.parametrize("question", ["PatientNam=*", "NoSuchTag=1", "SeriesNumber=5"])
def test_a_question_of_which_nothing_is_left_is_refused(client, question):
    """H26, H27: else the whole region would look like the answer."""
    answer = client.get(f"/dicom-web/studies?{question}")
    assert (answer.status_code, answer.get_json()["field"]) == (400, question.partition("=")[0])


@pytest.mark.parametrize("key", ["*a*a*a*a*a", "a?" * 40, "*" + "b" * 64])
@pytest.mark.parametrize("name", ["PatientName", "PatientID", "StudyDescription"])
def test_a_pattern_that_would_be_dear_is_refused(client, name, key):
    """H28"""
    answer = client.get("/dicom-web/studies", query_string={name: key})
    assert (answer.status_code, answer.get_json()["field"]) == (400, name)


def dirty_rows() -> dict[str, list[Dataset]]:
    """Study 5 has an element of each kind that no reader can take; 2 and 3 are clean."""
    dirt = {
        "00080020": {"vr": "DA", "Value": ["20261340"]},
        "00080030": {"vr": "TM", "Value": ["25"]},
        "00081030": {"vr": "LO", "Value": ["x" * 65_536]},
        "00101010": {"vr": "AS", "Value": 5},
        "00201206": {"vr": "IS", "Value": [10**30]},
        "00201208": {"vr": "IS", "Value": ["99999999999"]},
        "00200010": {"vr": "SH"},
    }
    whole = row(
        StudyInstanceUID=f"{U}.5", SeriesInstanceUID=f"{U}.5.1", SOPInstanceUID=f"{U}.5.1.1",
        PatientName="ГРЯЗНОВ^ИВАН", PatientID="5", AccessionNumber="A5", ModalitiesInStudy=["CT"],
        Modality="CT", SeriesNumber=1,
    )  # fmt: skip
    return {"gkb1": [whole | dirt, *SMITH], "zlat": DOE}


@pytest.fixture(scope="module", params=["index", "sites"])
def dirty(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("dirty")
    rows = dirty_rows()
    if request.param == "sites":
        with stubborn_sites(rows) as urls, indexed_gateway(folder, {}, live=urls) as gateway:
            yield create_app(gateway).test_client()
        return
    # What no JSON has, but Python's reader takes.
    rows["gkb1"][0]["00080005"] = {"vr": "CS", "Value": ["ISO_IR \ud800"]}
    rows["gkb1"][0]["00201206"] = {"vr": "IS", "Value": [float("nan")]}
    with indexed_gateway(folder, rows) as gateway:
        yield create_app(gateway).test_client()


@pytest.mark.parametrize("accept", ["application/dicom+json", "multipart/related"])
def test_dirt_is_left_out_and_named_and_costs_no_other_row(dirty, accept):
    """H80"""
    answer = dirty.get("/dicom-web/studies?includefield=00101010", headers={"Accept": accept})
    (warning,) = answer.headers.getlist("Warning")
    names = set(warning.partition("left out of ")[2].split(", "))
    assert answer.status_code == 200
    assert names - {"SpecificCharacterSet"} == {
        *("StudyDate", "StudyTime", "StudyDescription", "PatientAge"),
        *("NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances"),
    }
    if accept == "application/dicom+json":
        rows = answer.get_json()
        assert [text(one, "PatientID") for one in rows] == ["a1", "78", "5"]
        assert text(rows[2], "PatientName") == "ГРЯЗНОВ^ИВАН"


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ("PatientName=грязнов*", ["5"]),
        ("StudyDate=20260101-", ["3", "2"]),
        ("StudyDate=20261340", None),
        ("StudyTime=2359", []),
        ("StudyDescription=x*", ["5"]),
        ("NumberOfStudyRelatedInstances=5", []),
        ("PatientAge=050Y", []),
    ],
)
def test_dirt_is_matched_without_a_word(dirty, question, found):
    """H80: a row with a bad date is found by everything else."""
    answer = dirty.get(f"/dicom-web/studies?{question}")
    if found is None:
        assert answer.status_code == 400
    else:
        assert (answer.status_code, uids(answer)) == (200, found)


MISREAD = {
    "cp1251 read as Latin-1": "Жданова^Любовь".encode("cp1251").decode("latin-1"),
    "UTF-8 read as Latin-1": "Жданова^Любовь".encode().decode("latin-1"),
    "ISO 8859-5 read as Latin-1": "Жданова^Любовь".encode("iso8859-5").decode("latin-1"),
    "cp1251 read as ISO 8859-5": "Жданова^Любовь".encode("cp1251").decode("iso8859-5"),
}


@pytest.mark.parametrize("misread", MISREAD.values(), ids=list(MISREAD))
def test_a_name_read_in_a_wrong_alphabet_is_read_again(tmp_path, misread):
    """H79, on the way from a site; from the index in journeys/test_index_journey.py."""
    held = {"zlat": [SMITH[0] | row(PatientName={"Alphabetic": misread}), *DOE]}
    with stubborn_sites(held) as urls, indexed_gateway(tmp_path, {}, live=urls) as gateway:
        client = create_app(gateway).test_client()
        answer = client.get("/dicom-web/studies?PatientName=жданова*")
        (found,) = answer.get_json()
        assert (text(found, "PatientName"), uids(answer)) == ("Жданова^Любовь", ["2"])
