"""Requests as real viewers write them (tests/golden) get what these need, from real Orthancs."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests

from gateway.dicom.media_types import parse_content_type
from tests.journeys.conftest import Region
from tests.studies import ROOT

pytestmark = pytest.mark.real

FILES = sorted((Path(__file__).parents[1] / "golden").glob("*.json"))
GOLDEN = {file.stem: json.loads(file.read_text("utf-8"))["requests"] for file in FILES}
VALUES = {
    "study": f"{ROOT}.20",
    "other_study": f"{ROOT}.1",
    "series": f"{ROOT}.20.1",
    "instance": f"{ROOT}.20.1.1",
    "frame": "3",
    "patient_id": "P20",
    "accession": "A20",
    "name": quote("Иванов"),
    "dates": "20260101-20261231",
}


def name_of(golden: dict[str, Any]) -> str:
    return (
        golden["path"].split("?")[0].replace("{", "").replace("}", "")
        + " "
        + golden.get("when", [""])[0]
    )


def filled(golden: dict[str, Any]) -> str:
    path = golden["path"]
    for name, value in VALUES.items():
        path = path.replace("{" + name + "}", value)
    return path


@pytest.mark.parametrize(
    "golden",
    [g for g in GOLDEN["ohif"] if "/bulk/" not in g["path"]],
    ids=name_of,
)
def test_what_ohif_asks_it_gets(region: Region, golden: dict[str, Any]) -> None:
    answer = requests.request(
        golden["method"],
        region.gateway.dicomweb + filled(golden),
        headers={"Accept": golden["accept"]},
        timeout=30,
    )
    kind, parameters = parse_content_type(answer.headers["Content-Type"])
    if golden["path"].partition("?")[0].endswith("frames/{frame}"):
        pixels = next(i for i in region.loaded["zlat"] if i.study_uid == f"{ROOT}.20").pixels
        size = len(pixels) // 5
        assert (answer.status_code, kind, parameters["type"]) == (
            200,
            "multipart/related",
            "application/octet-stream",
        )
        assert pixels[2 * size : 3 * size] in answer.content
        return
    rows = answer.json()
    assert (answer.status_code, kind) == (200, "application/dicom+json")
    # Every list that OHIF asks for here has the study 20 in it, but the one filtered by CT.
    studies = {row["0020000D"]["Value"][0] for row in rows if "0020000D" in row}
    listed = f"{ROOT}.20" in studies
    assert listed == ("ModalitiesInStudy=CT" not in golden["path"])
    asked = golden["path"].partition("includefield=")[2].partition("&")[0].split("%2C")
    if golden["path"].startswith("/studies?"):
        absent = [row for row in rows if "00080061" in row and "Value" not in row["00080061"]]
        assert ("00081030" in asked, absent) == (True, [])
        assert [row for row in rows if "00081030" not in row] == []


def is_retrieved(golden: dict[str, Any]) -> bool:
    return "finds" not in golden and "status" not in golden


@pytest.mark.parametrize(
    ("viewer", "golden"),
    [
        (viewer, g)
        for viewer in GOLDEN
        if viewer != "ohif"
        for g in GOLDEN[viewer]
        if is_retrieved(g)
    ],
    ids=lambda value: value if isinstance(value, str) else name_of(value),
)
def test_what_other_viewers_retrieve_they_get(
    region: Region, viewer: str, golden: dict[str, Any]
) -> None:
    """What they search for is replayed in web/test_golden_searches.py."""
    asked = {"Accept": golden["accept"]}
    answer = requests.get(region.gateway.dicomweb + filled(golden), headers=asked, timeout=30)
    kind, parameters = parse_content_type(answer.headers["Content-Type"])
    assert answer.status_code == 200
    if kind == "application/dicom+json":
        assert [row["00080018"]["Value"] for row in answer.json()] == [[VALUES["instance"]]]
    else:
        stored = next(i for i in region.loaded["zlat"] if i.instance_uid == VALUES["instance"])
        assert (kind, parameters["type"]) == ("multipart/related", "application/dicom")
        assert stored.data in answer.content
