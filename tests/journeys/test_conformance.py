"""Every retrieve resource x Accept, over both generations of Orthanc (PS3.18 8.7, 10.4).

The bytes must be of the kind that the header says, and both generations must give the one table
that stands in README: what is printed when it differs is the new table.
"""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from pydicom.uid import JPEG2000Lossless

from gateway.dicom.media_types import parse_content_type
from gateway.dicom.multipart import MultipartReader, check_boundary
from tests.conftest import StartOrthanc
from tests.documents import a_pdf, a_text_report
from tests.journeys.conftest import Region, start_region
from tests.journeys.test_retrieve_journey import path_of
from tests.studies import a_study, an_instance

pytestmark = pytest.mark.real

README = Path(__file__).parents[2] / "README.md"
IMAGES = a_study(1, (2,))
J2K = an_instance(2, syntax=JPEG2000Lossless)
FRAMES = an_instance(3, frames=3, Modality="US")
REPORT, PDF = a_text_report(1, IMAGES[:1]), a_pdf(1)
STUDY = f"/studies/{IMAGES[0].study_uid}"

RESOURCES = {
    "study, series": STUDY,
    "instance": path_of(IMAGES[0]),
    "instance, JPEG 2000": path_of(J2K),
    "metadata": STUDY + "/metadata",
    "one frame": path_of(IMAGES[0]) + "/frames/1",
    "one frame, JPEG 2000": path_of(J2K) + "/frames/1",
    "several frames": path_of(FRAMES) + "/frames/1,3",
    "bulk data": path_of(IMAGES[0]) + "/bulk/7fe00010",
    "rendered": path_of(IMAGES[0]) + "/rendered",
    "thumbnail": STUDY + "/thumbnail",
    "report, rendered": path_of(REPORT) + "/rendered",
    "PDF, rendered": path_of(PDF) + "/rendered",
}
DICOM_PARTS = 'multipart/related; type="application/dicom"'
ACCEPTS = (
    "",
    "*/*",
    DICOM_PARTS,
    f"{DICOM_PARTS}; transfer-syntax=*",
    f"{DICOM_PARTS}; transfer-syntax=1.2.840.10008.1.2.4.90",
    "application/dicom",
    "application/zip",
    "application/dicom+json",
    'multipart/related; type="application/dicom+xml"',
    'multipart/related; type="application/octet-stream"',
    'multipart/related; type="application/octet-stream"; transfer-syntax=*',
    "application/octet-stream",
    'multipart/related; type="image/jpeg"',
    'multipart/related; type="image/jp2"; transfer-syntax=1.2.840.10008.1.2.4.90',
    "image/jpeg",
    "image/png",
    "image/gif",
    "text/html",
    "text/plain",
    "text/xml",
    "application/pdf",
)


@pytest.fixture(scope="module")
def region(
    orthanc_generation: str,
    start_orthanc: StartOrthanc,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Region]:
    content = {"gkb1": [*IMAGES, J2K, FRAMES, REPORT, PDF]}
    yield from start_region(
        orthanc_generation, start_orthanc, tmp_path_factory, content, home="gkb1"
    )


BEGINNINGS = {
    "application/dicom+xml": b"<?xml",
    "application/zip": b"PK\x03\x04",
    "application/pdf": b"%PDF-",
    "image/jpeg": b"\xff\xd8\xff",
    "image/jp2": b"\xff\x4f\xff\x51",  # a bare codestream, as DICOM has it
    "image/png": b"\x89PNG",
    "image/gif": b"GIF8",
    "text/html": b"<!doctype html>",
    "text/plain": "Протокол".encode(),
    "text/xml": b"<?xml",
}


def is_of(kind: str, body: bytes) -> bool:
    if kind == "application/dicom":
        return body[128:132] == b"DICM"
    if kind == "application/dicom+json":
        return isinstance(json.loads(body), list)
    if kind == "application/octet-stream":  # pixels of a frame, of all frames, or a document
        return len(body) in (64 * 64, 3 * 64 * 64) or body.startswith(b"%PDF-")
    return body.lstrip().startswith(BEGINNINGS[kind])


def judged(answer: requests.Response) -> str:
    """The media type of a good answer, after a look at every part of it; else the status."""
    kind, parameters = parse_content_type(answer.headers["Content-Type"])
    if answer.status_code != 200:
        assert (kind, answer.json()["status"]) == ("application/problem+json", answer.status_code)
        return str(answer.status_code)
    if kind != "multipart/related":
        assert is_of(kind, answer.content), answer.request.url
        return kind
    reader = MultipartReader(
        io.BytesIO(answer.content).read, check_boundary(parameters["boundary"])
    )
    found = [(part.headers["content-type"], part.read(2**24)) for part in reader]
    kinds = {parse_content_type(content_type)[0] for content_type, _ in found}
    assert kinds == {parameters["type"]}, answer.request.url
    assert [is_of(parameters["type"], body) for _, body in found] == [True] * len(found)
    return f"{parameters['type']} in parts"


def measured_table(region: Region) -> str:
    lines = ["| Accept | " + " | ".join(RESOURCES) + " |", "|---" * (len(RESOURCES) + 1) + "|"]
    for accept in ACCEPTS:
        cells = []
        for path in RESOURCES.values():
            found = judged(region.gateway.get(path, headers={"Accept": accept or None}))
            told = found.replace("application/", "").replace("octet-stream", "bytes")
            cells.append(told if found == "406" or accept in ("", "*/*") else "200")
        lines.append(f"| {f'`{accept}`' if accept else '–'} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def test_the_table_of_readme_is_what_both_generations_give(region: Region) -> None:
    between = README.read_text("utf-8").split("<!-- conformance -->")[1]
    measured = measured_table(region)
    assert between.split("<!-- /conformance -->")[0].strip() == measured, "\n" + measured
