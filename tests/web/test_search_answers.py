"""What the answer to a search is made of: attributes, pages, headers, forms (PS3.18 10.6.3)."""

from dataclasses import replace

import pytest
from defusedxml import ElementTree

from gateway.dicom.attributes import text, values
from gateway.dicom.media_types import parse_content_type
from gateway.index import query as plans
from gateway.index.query import find_page
from tests.web.indexed import uids
from tests.web.rows import U

BASE = "http://127.0.0.1:8080/dicom-web"
JSON, XML = "application/dicom+json", 'multipart/related; type="application/dicom+xml"'
STUDY_TAGS = {
    "00080020", "00080030", "00080050", "00080054", "00080056", "00080061", "00080090",
    "00080201", "00081030", "00081190", "00100010", "00100020", "00100021", "00100030",
    "00100040", "0020000D", "00200010", "00201206", "00201208",
}  # fmt: skip
SERIES_TAGS = {
    "00080054", "00080056", "00080060", "00080201", "0008103E", "00081190", "0020000D", "0020000E",
    "00200011", "00201209", "00400244", "00400245", "00400275",
}  # fmt: skip
INSTANCE_TAGS = {
    "00080016", "00080018", "00080054", "00080056", "00080201", "00081190", "0020000D", "0020000E",
    "00200013", "00280008", "00280010", "00280011", "00280100",
}  # fmt: skip


def told(client, path):
    """Sentences of the Warnings, which must all begin as the standard writes them."""
    warnings = client.get(f"/dicom-web{path}").headers.getlist("Warning")
    head = f"299 {BASE}: "
    assert [warning for warning in warnings if not warning.startswith(head)] == []
    return [warning.removeprefix(head) for warning in warnings]


@pytest.mark.parametrize(
    ("path", "tags"),
    [
        (f"/studies?StudyInstanceUID={U}.1", STUDY_TAGS),
        (f"/studies/{U}.1/series", SERIES_TAGS),
        (f"/series?SeriesInstanceUID={U}.1.1", STUDY_TAGS | SERIES_TAGS),
        (f"/studies/{U}.1/series/{U}.1.1/instances", INSTANCE_TAGS),
        (f"/studies/{U}.1/instances", SERIES_TAGS | INSTANCE_TAGS),
        (f"/instances?SOPInstanceUID={U}.1.1.1", STUDY_TAGS | SERIES_TAGS | INSTANCE_TAGS),
    ],
)
def test_a_row_carries_its_level_and_those_that_the_path_does_not_name(client, path, tags):
    """Tables 10.6.3-3 to 10.6.3-5."""
    assert set(client.get(f"/dicom-web{path}").get_json()[0]) == tags


@pytest.mark.parametrize(
    ("asked", "more"),
    [
        ("includefield=", set()),
        ("includefield=00080080", {"00080080"}),
        ("includefield=InstitutionName", {"00080080"}),
        ("includefield=00080060,InstitutionName,0008103e", {"00080080"}),
        ("includefield=00080021&includefield=00080080", {"00080080"}),
        ("includefield=BodyPartExamined,ProtocolName", {"00180015"}),
        ("includefield=all", {"00080080", "00180015"} | STUDY_TAGS),
        ("BodyPartExamined=", {"00180015"}),
        ("BodyPartExamined=CHEST", {"00180015"}),
        ("includefield=Rows", set()),
        ("includefield=RequestAttributesSequence.RequestedProcedureID", set()),
    ],
)
def test_a_row_carries_more_if_it_is_asked_and_of_its_level(client, asked, more):
    """10.6.3.3. Rows is of the instances: it "shall not be returned", and there is no Warning."""
    path = f"/studies/{U}.1/series?{asked}"
    (found,) = client.get(f"/dicom-web{path}").get_json()
    assert (set(found) - SERIES_TAGS, told(client, path)) == (more - SERIES_TAGS, [])


def test_one_row_stands_for_all_copies_and_names_their_holders(client):
    (row,) = client.get("/dicom-web/studies?PatientID=77").get_json()
    assert {
        "holders": values(row, "RetrieveAETitle"),
        "near": text(row, "InstanceAvailability"),
        "instances": values(row, "NumberOfStudyRelatedInstances"),
        "url": text(row, "RetrieveURL"),
    } == {
        "holders": ["ARCHIVE", "GKB1"],
        "near": "ONLINE",
        "instances": [2],
        "url": f"{BASE}/studies/{U}.1",
    }


@pytest.mark.parametrize(
    ("path", "sentences"),
    [
        ("/studies", []),
        ("/studies?limit=3", ["There are 1 additional results that can be requested"]),
        ("/studies?limit=1&offset=1", ["There are 2 additional results that can be requested"]),
        ("/studies?limit=4", []),
        ("/studies?limit=2&offset=4", []),
        (f"/studies/{U}.1/instances?limit=1", [
            "There are 1 additional results that can be requested"
        ]),
        ("/studies?PatientID=77&NoSuchThing=1", [
            "The parameter NoSuchThing is unknown and was ignored."
        ]),
        ("/studies?PatientID=77&nonsense=1", [
            "The parameter nonsense is unknown and was ignored."
        ]),
        ("/studies?PatientID=77&includefield=NoSuchThing", [
            "The includefield NoSuchThing is unknown and was ignored."
        ]),
        ("/studies?PatientID=77&SeriesNumber=1", [
            "SeriesNumber does not belong to this level and was ignored."
        ]),
        ("/studies?EthnicGroup=5", ["Results incomplete, the index does not keep EthnicGroup"]),
        ("/studies?PatientName=smith*&fuzzymatching=true", []),
        ("/studies?PatientID=77&fuzzymatching=true&multiplevaluematching=true", []),
        ("/studies?accept=application/dicom%2Bjson&charset=utf-8", []),
    ],
)  # fmt: skip
def test_warnings_say_exactly_what_the_answer_lacks(client, path, sentences):
    """8.3.4.4.1; 8.3.4.2: fuzzymatching is supported, so there is nothing to say of it."""
    assert told(client, path) == sentences


def test_pages_put_together_are_the_list(client):
    whole = uids(client.get("/dicom-web/studies"))
    pages = [client.get(f"/dicom-web/studies?limit=3&offset={offset}") for offset in (0, 3, 6)]
    assert [len(page.get_json()) for page in pages] == [3, 1, 0]
    assert [uid for page in pages for uid in uids(page)] == whole
    assert {page.headers["X-Total-Count"] for page in pages} == {"4"}


def test_an_empty_answer_is_an_empty_list(client):
    """200, not 204 (CP-2473); in XML there is no such thing as no part, so 204."""
    answer = client.get("/dicom-web/studies?PatientID=nobody")
    assert (answer.status_code, answer.data, answer.content_type) == (200, b"[]", JSON)
    assert answer.headers["X-Total-Count"] == "0"
    answer = client.get("/dicom-web/studies?PatientID=nobody", headers={"Accept": XML})
    assert (answer.status_code, answer.data) == (204, b"")


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (None, JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        ("application/json", JSON),
        ("application/dicom+json, application/json", JSON),
        (JSON, JSON),
        (XML, "multipart/related"),
        ("multipart/related; type=application/dicom+xml", "multipart/related"),
        (f"{XML}; q=0.2, {JSON}; q=0.1", "multipart/related"),
        (f"{XML}; q=0.2, {JSON}; q=0.3", JSON),
        ("text/html, */*; q=0.1", JSON),
        ("text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", JSON),
    ],
)
def test_the_form_is_what_the_caller_accepts(client, accept, media_type):
    """8.7.3.2; the last is Java's own, which Weasis sends."""
    headers = {} if accept is None else {"Accept": accept}
    answer = client.get("/dicom-web/studies", headers=headers)
    assert answer.status_code == 200
    assert parse_content_type(answer.content_type)[0] == media_type
    assert answer.headers["Vary"] == "Accept, Authorization, Cookie"


@pytest.mark.parametrize(
    "accept", ["text/html", "application/dicom+xml", "image/png", "application/dicom+json; q=0"]
)
def test_a_form_that_does_not_exist_is_406(client, accept):
    answer = client.get("/dicom-web/studies", headers={"Accept": accept})
    assert (answer.status_code, answer.content_type) == (406, "application/problem+json")


def test_the_query_parameter_accept_wins_over_the_header(client):
    """8.3.3.1"""
    path = f"/dicom-web/studies?accept={XML}"
    answer = client.get(path.replace("+", "%2B"), headers={"Accept": JSON})
    assert parse_content_type(answer.content_type)[0] == "multipart/related"
    answer = client.get("/dicom-web/studies?accept=image/png", headers={"Accept": JSON})
    assert answer.content_type == JSON


def test_xml_says_the_same_as_json(client):
    rows = client.get("/dicom-web/studies").get_json()
    answer = client.get("/dicom-web/studies", headers={"Accept": XML})
    kind, parameters = parse_content_type(answer.content_type)
    assert (kind, parameters["type"]) == ("multipart/related", "application/dicom+xml")
    first, *parts, last = answer.data.split(b"--" + parameters["boundary"].encode())
    assert (first, last) == (b"", b"--\r\n")
    found = []
    for part in parts:
        head, _, body = part.partition(b"\r\n\r\n")
        assert head == b"\r\nContent-Type: application/dicom+xml"
        tree = ElementTree.fromstring(body.removesuffix(b"\r\n"))
        found.append({element.get("tag"): element.get("vr") for element in tree})
    assert found == [{tag: element["vr"] for tag, element in row.items()} for row in rows]


@pytest.mark.parametrize("accept", [JSON, XML])
def test_a_page_that_stayed_the_same_is_304(client, accept):
    first = client.get("/dicom-web/studies?limit=2", headers={"Accept": accept})
    again = {"Accept": accept, "If-None-Match": first.headers["ETag"]}
    same = client.get("/dicom-web/studies?limit=2", headers=again)
    other = client.get("/dicom-web/studies?limit=1", headers=again)
    assert first.headers["ETag"].startswith('W/"')
    assert (same.status_code, same.data, other.status_code) == (304, b"", 200)
    assert same.headers["ETag"] == first.headers["ETag"]
    assert same.headers["Cache-Control"] == "private, no-cache"


def test_both_forms_have_validators_of_their_own(client):
    tags = {
        client.get("/dicom-web/studies", headers={"Accept": a}).headers["ETag"] for a in (JSON, XML)
    }
    assert len(tags) == 2


@pytest.mark.parametrize("path", ["/studies?limit=1", f"/studies/{U}.1/series"])
def test_head_says_what_get_says_without_the_body(client, path):
    get, head = client.get(f"/dicom-web{path}"), client.head(f"/dicom-web{path}")
    assert (head.status_code, head.data) == (200, b"")
    for name in ("Content-Type", "Content-Length", "X-Total-Count", "ETag", "Cache-Control"):
        assert head.headers[name] == get.headers[name]
    assert head.headers.getlist("Warning") == get.headers.getlist("Warning")


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


def test_one_site_can_be_searched_alone(client):
    answer = client.get("/sites/archive/dicom-web/studies")
    assert (uids(answer), answer.headers["X-Gateway-Sites"].partition(";")[0]) == (["1"], "ok=1")
    (row,) = answer.get_json()
    root = "http://127.0.0.1:8080/sites/archive/dicom-web"
    assert text(row, "RetrieveURL") == f"{root}/studies/{U}.1"


def test_a_total_that_is_too_dear_is_not_told(client, monkeypatch):
    """8.3.4.4.1 wants a number; where the index does not count, that there are more is said."""

    def uncounted(*asked):
        return replace(find_page(*asked), total=None)

    monkeypatch.setattr("gateway.web.searching.find_page", uncounted)
    answer = client.get("/dicom-web/studies?limit=2")
    assert (uids(answer), "X-Total-Count" in answer.headers) == (["3", "4"], False)
    (warning,) = answer.headers.getlist("Warning")
    assert warning == f"299 {BASE}: There are additional results that can be requested"


@pytest.mark.parametrize(
    "region", ["sqlite", pytest.param("postgresql", marks=pytest.mark.real)], indirect=True
)
def test_a_search_that_reads_too_many_records_is_413_and_names_the_key_and_the_way_out(
    region, monkeypatch
):
    monkeypatch.setattr(plans, "MOST_JUDGED", 2)
    broad = region.get("/dicom-web/studies?StudyDescription=secret*")
    said = broad.get_json()
    assert (broad.status_code, broad.content_type, said["title"], said["field"]) == (
        413, "application/problem+json", "Too broad", "StudyDescription"
    )  # fmt: skip
    assert "narrow the search by StudyDate, PatientID" in said["detail"]
    assert "secret" not in broad.get_data(as_text=True)
    narrow = region.get("/dicom-web/studies?StudyDescription=secret*&PatientID=77")
    assert (narrow.status_code, narrow.get_json()) == (200, [])
