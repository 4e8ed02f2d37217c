"""Searches as real viewers write them (tests/golden, each with its source) find what they mean.

`finds` are the UIDs in their order over the small region of rows.py. The requests that carry
images, and OHIF's recorded ones over real Orthancs, are replayed in journeys/test_golden_requests.
"""

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.web.indexed import uids
from tests.web.rows import U

VALUES = {
    "study": f"{U}.1",
    "other_study": f"{U}.3",
    "series": f"{U}.1.1",
    "instance": f"{U}.1.1.1",
    "patient_id": "77",
    "issuer": "GKB1",
    "accession": "A1",
    "name": quote("Иванов"),
    "modality": "CT",
    "dates": "20260101-20260131",
}
KEY = {"studies": "StudyInstanceUID", "series": "SeriesInstanceUID", "instances": "SOPInstanceUID"}


def load() -> list[Any]:
    found = []
    for file in sorted((Path(__file__).parents[1] / "golden").glob("*.json")):
        golden = json.loads(file.read_text("utf-8"))
        assert golden["source"], file
        for request in golden["requests"]:
            if "finds" in request or "status" in request:
                found.append(pytest.param(request, id=f"{file.stem} {request['path'][:60]}"))
    return found


@pytest.mark.parametrize("golden", load())
def test_what_a_viewer_asks_it_finds(client, golden: dict[str, Any]) -> None:
    path = golden["path"]
    for name, value in VALUES.items():
        path = path.replace("{" + name + "}", value)
    answer = client.get(f"/dicom-web{path}", headers={"Accept": golden["accept"]})
    assert answer.status_code == golden.get("status", 200), answer.get_data(as_text=True)
    if "finds" in golden:
        level = path.partition("?")[0].rpartition("/")[2]
        assert uids(answer, KEY[level]) == golden["finds"]
        warnings = answer.headers.getlist("Warning")
        assert [told for told in warnings if "additional results" not in told] == []
