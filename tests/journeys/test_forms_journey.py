"""Forms that the gateway makes itself, over real sites: zip, ranges, versions, documents, URI."""

import io
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import quote

import numpy as np
import pydicom
import pytest
import requests
from PIL import Image
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)

from gateway.dicom.media_types import parse_content_type
from gateway.dicom.multipart import MultipartReader, check_boundary
from tests.conftest import StartOrthanc
from tests.documents import a_document, a_pdf, a_text_report
from tests.journeys.conftest import Region, start_region
from tests.journeys.indexed import write_study
from tests.journeys.test_retrieve_journey import path_of
from tests.studies import ROOT, Instance, a_study, an_instance
from tests.waiting import wait_until

pytestmark = pytest.mark.real

IMAGES = a_study(1, (2, 1), SeriesDescription="Грудь / chest")
J2K = an_instance(2, frames=3, syntax=JPEG2000Lossless)
REPORT, PDF = a_text_report(1, IMAGES[:1]), a_pdf(1)
STUDY = f"/studies/{ROOT}.1"
SINGLE = {"Accept": "application/dicom; transfer-syntax=*"}


def a_big_endian_one() -> Instance:
    plain = an_instance(4)
    ds = pydicom.dcmread(io.BytesIO(plain.data))
    ds.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    assert len(list(ds)) > 10  # elements that were only read over would keep their byte order
    out = io.BytesIO()
    pydicom.dcmwrite(out, ds, little_endian=False, implicit_vr=False, force_encoding=True)
    return Instance(
        plain.study_uid, plain.series_uid, plain.instance_uid, plain.pixels, out.getvalue()
    )


def a_deflated_one() -> Instance:
    plain = an_instance(12)
    ds = pydicom.dcmread(io.BytesIO(plain.data))
    ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    out = io.BytesIO()
    ds.save_as(out)
    return replace(plain, data=out.getvalue())


def some_bits() -> Instance:
    """Three frames of 10 x 10 single bits: the second begins in the middle of a byte."""
    plain = an_instance(13)
    ds = pydicom.dcmread(io.BytesIO(plain.data))
    ds.Rows = ds.Columns = 10
    ds.NumberOfFrames, ds.BitsAllocated, ds.BitsStored, ds.HighBit = 3, 1, 1, 0
    bits = np.random.default_rng(0).integers(0, 2, (3, 100), dtype=np.uint8)
    ds.PixelData = np.packbits(bits, bitorder="little").tobytes()
    out = io.BytesIO()
    ds.save_as(out)
    frames = b"".join(np.packbits(frame, bitorder="little").tobytes() for frame in bits)
    return replace(plain, data=out.getvalue(), pixels=frames)


def a_slow_one() -> Instance:
    """Noise as JPEG 2000: seconds of work for a decoder."""
    plain = an_instance(5)
    ds = pydicom.dcmread(io.BytesIO(plain.data))
    noise = np.random.default_rng(0).integers(0, 4096, (1600, 1600), dtype=np.uint16)
    ds.Rows = ds.Columns = 1600
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 12, 11
    ds.PixelData = noise.tobytes()
    ds["PixelData"].VR = "OW"
    ds.compress(JPEG2000Lossless, generate_instance_uid=False)
    out = io.BytesIO()
    ds.save_as(out)
    return Instance(
        plain.study_uid, plain.series_uid, plain.instance_uid, noise.tobytes(), out.getvalue()
    )


def a_monster() -> Instance:
    """A few bytes that say that they are an image of 65535 x 65535."""
    plain = an_instance(6)
    ds = pydicom.dcmread(io.BytesIO(plain.data))
    ds.Rows = ds.Columns = 65535
    out = io.BytesIO()
    ds.save_as(out)
    return Instance(plain.study_uid, plain.series_uid, plain.instance_uid, b"", out.getvalue())


SCRIPT = b"<script>alert(36)</script>"
ACTIVE = [
    a_document(7, "text/html", b"<html>" + SCRIPT + b"</html> "),
    a_document(
        8, "image/svg+xml", b'<svg xmlns="http://www.w3.org/2000/svg">' + SCRIPT + b"</svg>"
    ),
    a_document(9, "application/pdf", b"<html>" + SCRIPT + b"</html> "),
]
MIXED = [
    an_instance(11, 1, 1),
    an_instance(11, 1, 2, syntax=JPEG2000Lossless),
    an_instance(11, 1, 3, syntax=RLELossless),
    an_instance(11, 1, 4),
]
MANY = [
    an_instance(14, 1, number, syntax=JPEG2000Lossless if number == 17 else ExplicitVRLittleEndian)
    for number in range(1, 31)
]
"""Too many to ask of each how it is stored."""
BIG_ENDIAN, SLOW, MONSTER = a_big_endian_one(), a_slow_one(), a_monster()
DEFLATED, BITS = a_deflated_one(), some_bits()


@pytest.fixture(scope="module")
def region(
    orthanc_generation: str,
    start_orthanc: StartOrthanc,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Region]:
    content = {
        "gkb1": [
            *IMAGES,
            J2K,
            REPORT,
            PDF,
            BIG_ENDIAN,
            SLOW,
            MONSTER,
            *ACTIVE,
            *MIXED,
            DEFLATED,
            BITS,
        ]
    }
    yield from start_region(
        orthanc_generation,
        start_orthanc,
        tmp_path_factory,
        content,
        home="gkb1",
        settings={"GATEWAY_MAX_INDEX_AGE_S": "3600"},
    )


# ---- zip


def unzipped(answer: requests.Response) -> dict[str, bytes]:
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/zip")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def parts_of(answer: requests.Response) -> list[tuple[str, bytes]]:
    """Media type and bytes of each part."""
    assert answer.status_code == 200, answer.text
    boundary = check_boundary(parse_content_type(answer.headers["Content-Type"])[1]["boundary"])
    reader = MultipartReader(io.BytesIO(answer.content).read, boundary)
    return [(part.headers["content-type"], part.read(2**24)) for part in reader]


def test_a_zip_holds_the_stored_files_under_readable_names(region: Region) -> None:
    answer = region.gateway.get(STUDY, headers={"Accept": "application/zip"})
    assert f'filename="{ROOT}.1.zip"' in answer.headers["Content-Disposition"]
    assert unzipped(answer) == {
        "001_CT_Грудь_chest/0001.dcm": IMAGES[0].data,
        "001_CT_Грудь_chest/0002.dcm": IMAGES[1].data,
        "002_CT_Грудь_chest/0001.dcm": IMAGES[2].data,
        "008_SR/0001.dcm": REPORT.data,
        "009_DOC/0001.dcm": PDF.data,
    }


def test_a_zip_of_a_series_and_of_an_instance(region: Region) -> None:
    for path, count in ((f"{STUDY}/series/{ROOT}.1.1", 2), (path_of(IMAGES[0]), 1)):
        answer = region.gateway.get(path, headers={"Accept": "application/zip"})
        assert len(unzipped(answer)) == count


def test_a_broken_zip_is_resumed_by_name(region: Region) -> None:
    def rest(name: str) -> requests.Response:
        path = f"{STUDY}?accept=application/zip&after={quote(name)}"
        return region.gateway.get(path)

    found = unzipped(rest("002_CT_Грудь_chest/0001.dcm"))
    assert list(found) == ["008_SR/0001.dcm", "009_DOC/0001.dcm"]
    assert (rest("unknown").status_code, rest("009_DOC/0001.dcm").status_code) == (400, 404)


# ---- single parts and ranges


@pytest.mark.parametrize(
    ("asked", "status", "expected"),
    [
        ("bytes=0-9", 206, slice(0, 10)),
        ("bytes=4000-", 206, slice(4000, None)),
        ("bytes=-20", 206, slice(-20, None)),
        ("bytes=0-1,5-6", 200, slice(None)),
        ("bytes=" + ",".join(["0-"] * 1000), 200, slice(None)),  # H22
        ("items=1-2", 200, slice(None)),
    ],
)
def test_a_range_of_a_single_part_is_cut_out(
    region: Region, asked: str, status: int, expected: slice
) -> None:
    answer = region.gateway.get(path_of(IMAGES[0]), headers=SINGLE | {"Range": asked})
    assert (answer.status_code, answer.content) == (status, IMAGES[0].data[expected])
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert int(answer.headers["Content-Length"]) == len(answer.content)


def test_a_range_behind_the_end_is_416_and_tells_the_size(region: Region) -> None:
    answer = region.gateway.get(path_of(IMAGES[0]), headers=SINGLE | {"Range": "bytes=99999-"})
    size = len(IMAGES[0].data)
    assert (answer.status_code, answer.headers["Content-Range"]) == (416, f"bytes */{size}")


def test_a_decoded_frame_and_bulk_data_have_ranges_too(region: Region) -> None:
    frame = path_of(J2K) + "/frames/2"
    size = len(J2K.pixels) // 3
    part = {"Accept": "application/octet-stream", "Range": "bytes=10-19"}
    bulk = path_of(IMAGES[0]) + "/bulk/7fe00010"
    found = [region.gateway.get(path, headers=part).content for path in (frame, bulk)]
    assert found == [J2K.pixels[size + 10 : size + 20], IMAGES[0].pixels[10:20]]


def test_answers_say_where_they_lie_and_run_nowhere(region: Region) -> None:
    answer = region.gateway.get(path_of(IMAGES[0]), headers=SINGLE)
    assert answer.headers["Content-Location"] == region.gateway.dicomweb + path_of(IMAGES[0])
    assert answer.headers["Content-Disposition"] == "attachment"
    assert "sandbox" in answer.headers["Content-Security-Policy"]


def test_big_endian_images_come_decoded(region: Region) -> None:
    path = path_of(BIG_ENDIAN)
    frame = region.gateway.get(path + "/frames/1", headers={"Accept": "application/octet-stream"})
    picture = region.gateway.get(path + "/rendered")
    assert (frame.content, picture.status_code) == (BIG_ENDIAN.pixels, 200)


@pytest.mark.parametrize("accept", ["*/*", 'multipart/related; type="application/octet-stream"'])
def test_frames_of_which_one_does_not_exist_are_not_begun(region: Region, accept: str) -> None:
    """H4: the first of them could be given, but then the answer could only be cut off."""
    for path in (path_of(IMAGES[0]) + "/frames/1,2", path_of(J2K) + "/frames/1,2,3,4"):
        assert region.gateway.get(path, headers={"Accept": accept}).status_code == 404


def test_several_frames_are_drawn_in_parts_in_the_order_that_is_asked_for(region: Region) -> None:
    """Table 10.4.4-1: what is no single item is never given alone."""

    def ask(below: str, accept: str) -> requests.Response:
        return region.gateway.get(path_of(J2K) + below, headers={"Accept": accept})

    in_parts = 'multipart/related; type="image/png"'
    pictures = [ask(f"/frames/{n}/rendered", "image/png").content for n in (1, 2, 3)]
    several = ask("/frames/3,1/rendered?quality=50", in_parts)
    assert parts_of(several) == [("image/png", pictures[2]), ("image/png", pictures[0])]
    assert parts_of(ask("/frames/2/rendered", in_parts)) == [("image/png", pictures[1])]
    assert parts_of(ask("/rendered", in_parts)) == [("image/png", pictures[1])]
    assert [kind for kind, _ in parts_of(ask("/frames/1,2/rendered", "*/*"))] == ["image/jpeg"] * 2
    refused = ("image/png", 'multipart/related; type="text/html"')
    assert [ask("/frames/1,2/rendered", a).status_code for a in refused] == [406, 406]
    assert ask("/frames/1,4/rendered", "*/*").status_code == 404


@pytest.mark.parametrize("below", ["/rendered", "/thumbnail", "/frames/1/rendered"])
def test_an_image_that_claims_to_be_huge_is_drawn_by_nobody(region: Region, below: str) -> None:
    """H78: the site, which may die of it, is not asked either."""
    answer = region.gateway.get(path_of(MONSTER) + below)
    assert (answer.status_code, "too large" in answer.json()["detail"]) == (406, True)


# ---- a series whose instances are stored in several transfer syntaxes


@pytest.mark.parametrize(
    "one", [*MIXED, MANY[16], MANY[0]],
    ids=["plain", "J2K", "RLE", "plain again", "J2K among many", "plain among many"],
)  # fmt: skip
def test_an_image_is_judged_by_its_own_transfer_syntax(region: Region, one: Instance) -> None:
    for _ in range(2):
        frame = region.gateway.get(path_of(one) + "/frames/1")
        assert [body for _, body in parts_of(frame)] == [one.pixels]
        whole = region.gateway.get(path_of(one), headers={"Accept": "application/dicom"})
        ds = pydicom.dcmread(io.BytesIO(whole.content))
        syntax = ds.file_meta.TransferSyntaxUID
        assert (syntax, ds.PixelData) == (ExplicitVRLittleEndian, one.pixels)
    stored = pydicom.dcmread(io.BytesIO(one.data)).file_meta.TransferSyntaxUID
    own = {"Accept": f"application/dicom; transfer-syntax={stored}"}
    assert region.gateway.get(path_of(one), headers=own).content == one.data


@pytest.mark.parametrize("images", [MIXED, MANY], ids=["few", "many"])
def test_a_mixed_series_comes_whole_in_one_transfer_syntax_or_is_cut(
    region: Region, images: list[Instance]
) -> None:
    path = f"/studies/{images[0].study_uid}/series/{images[0].series_uid}"

    def whole() -> list[tuple[str, bytes]] | None:
        try:
            parts = parts_of(region.gateway.get(path))
        except requests.exceptions.ChunkedEncodingError:  # it was only seen on the way
            return None
        files = [pydicom.dcmread(io.BytesIO(body)) for _, body in parts]
        return [(str(ds.file_meta.TransferSyntaxUID), ds.PixelData) for ds in files]

    found = whole() or whole()
    assert found is not None
    assert sorted(found) == sorted((ExplicitVRLittleEndian, one.pixels) for one in images)


# ---- what sites have no frames or no pixels of


AS_STORED = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'


@pytest.mark.parametrize("accept", ["*/*", AS_STORED], ids=["by default", "as stored"])
@pytest.mark.parametrize(
    ("one", "count"),
    [(BIG_ENDIAN, 1), (DEFLATED, 1), (BITS, 3)],
    ids=["big-endian", "deflated", "single bits"],
)
def test_any_image_has_frames_and_pictures(
    region: Region, one: Instance, count: int, accept: str
) -> None:
    below = "/frames/" + ",".join(map(str, range(1, count + 1)))
    found = parts_of(region.gateway.get(path_of(one) + below, headers={"Accept": accept}))
    assert b"".join(body for _, body in found) == one.pixels
    beyond = f"{path_of(one)}/frames/{count + 1}"
    assert region.gateway.get(beyond, headers={"Accept": accept}).status_code == 404
    picture = region.gateway.get(path_of(one) + "/rendered", headers={"Accept": "image/png"})
    assert Image.open(io.BytesIO(picture.content)).mode == "L"


@pytest.mark.parametrize(
    "one", [IMAGES[0], J2K, MIXED[2], DEFLATED, BIG_ENDIAN],
    ids=["plain", "J2K", "RLE", "deflated", "big-endian"],
)  # fmt: skip
def test_the_pixels_that_metadata_names_are_there_uncompressed(
    region: Region, one: Instance
) -> None:
    """Orthanc 1.10.1 names no compressed ones, 1.12.7 does and gives an offset table for them."""
    (row,) = region.gateway.get(path_of(one) + "/metadata").json()
    uri = row["7FE00010"]["BulkDataURI"]
    assert uri.startswith(region.gateway.dicomweb + path_of(one))
    assert [body for _, body in parts_of(requests.get(uri, timeout=60))] == [one.pixels]
    alone = requests.get(uri, headers={"Accept": "application/octet-stream"}, timeout=60)
    assert alone.content == one.pixels


# ---- all bulk data of a resource (PS3.18 10.4.1.1.5, .6)


def located_parts(region: Region, path: str, accept: str = "*/*") -> dict[str, bytes]:
    """Bytes of each part by the place that it names."""
    answer = region.gateway.get(path, headers={"Accept": accept})
    assert answer.status_code == 200, answer.text
    kind, parameters = parse_content_type(answer.headers["Content-Type"])
    assert (kind, parameters["type"]) == ("multipart/related", "application/octet-stream")
    boundary = check_boundary(parameters["boundary"])
    reader = MultipartReader(io.BytesIO(answer.content).read, boundary)
    return {part.headers["content-location"]: part.read(2**24) for part in reader}


def uris_of(region: Region, path: str, tag: str) -> list[str]:
    rows = region.gateway.get(path + "/metadata").json()
    return [row[tag]["BulkDataURI"] for row in rows if "BulkDataURI" in row.get(tag, {})]


@pytest.mark.parametrize(
    "images", [IMAGES, [J2K], [BIG_ENDIAN]], ids=["plain", "J2K", "big-endian"]
)
def test_pixel_data_of_a_study_comes_uncompressed_under_the_names_of_its_metadata(
    region: Region, images: list[Instance]
) -> None:
    study = f"/studies/{images[0].study_uid}"
    found = located_parts(region, study + "/pixeldata")
    assert list(found) == uris_of(region, study, "7FE00010")
    assert sorted(found.values()) == sorted(one.pixels for one in images)
    in_series = located_parts(region, f"{study}/series/{images[-1].series_uid}/pixeldata")
    assert in_series.items() <= found.items()
    assert located_parts(region, path_of(images[-1]) + "/pixeldata").items() <= in_series.items()


def test_bulk_data_of_a_study_are_all_that_its_metadata_name(region: Region) -> None:
    found = located_parts(region, STUDY + "/bulkdata")
    pdf = pydicom.dcmread(io.BytesIO(PDF.data)).EncapsulatedDocument
    uris = uris_of(region, STUDY, "7FE00010") + uris_of(region, STUDY, "00420011")
    assert sorted(found) == sorted(uris)
    assert sorted(found.values()) == sorted([*(one.pixels for one in IMAGES), pdf])
    old = located_parts(region, STUDY, 'multipart/related; type="application/octet-stream"')
    assert old == found


def test_what_has_no_bulk_data_is_not_found_and_many_are_never_one_part(region: Region) -> None:
    get = region.gateway.get
    octets = {"Accept": "application/octet-stream"}
    answers = [
        get(path_of(PDF) + "/pixeldata"),
        get(f"{STUDY}/series/{ROOT}.1.77/bulkdata"),
        get(STUDY + "/bulkdata", headers=octets),
    ]
    assert [answer.status_code for answer in answers] == [404, 404, 406]


# ---- versions


VERSIONED = {
    "metadata": (STUDY + "/metadata", {}),
    "instance": (path_of(IMAGES[0]), SINGLE),
    "frames": (path_of(J2K) + "/frames/1,2", {}),
    "picture": (path_of(IMAGES[0]) + "/rendered", {}),
    "report": (path_of(REPORT) + "/rendered", {}),
}


def said_of_cache(answer: requests.Response) -> list[object]:
    """What a 304 repeats of the 200 (RFC 9110 15.4.5)."""
    told = [answer.headers[name] for name in ("ETag", "Cache-Control", "Content-Location")]
    return [*told, set(answer.headers["Vary"].split(", "))]


def test_an_answer_is_304_until_the_study_changes(region: Region) -> None:
    state = region.gateway.folder / "state"
    tags: dict[str, str] = {}

    def ask(name: str) -> requests.Response:
        path, headers = VERSIONED[name]
        return region.gateway.get(path, headers=headers | {"If-None-Match": tags.get(name, "")})

    assert [n for n in VERSIONED if "ETag" in ask(n).headers] == []  # not in the index yet
    for version in ("one", "two"):
        for study in ("1", "2"):
            write_study(state, "gkb1", f"{ROOT}.{study}", version)
        wait_until(
            lambda: all(ask(name).status_code == 200 and "ETag" in ask(name).headers
                        for name in VERSIONED), 60, "the gateway to see the new version",
        )  # fmt: skip
        first = {name: ask(name) for name in VERSIONED}
        tags = {name: answer.headers["ETag"] for name, answer in first.items()}
        again = {name: ask(name) for name in VERSIONED}
        assert {a.status_code for a in again.values()} == {304}
        assert {n: said_of_cache(a) for n, a in again.items()} == {
            n: said_of_cache(a) for n, a in first.items()
        }
    assert tags["instance"].startswith('"')
    assert tags["frames"].startswith('W/"')  # its boundary is new each time


def test_a_range_of_an_old_version_is_the_whole_of_the_new_one(region: Region) -> None:
    write_study(region.gateway.folder / "state", "gkb1", f"{ROOT}.1", "three")
    path = path_of(IMAGES[0])
    wait_until(lambda: "ETag" in region.gateway.get(path, headers=SINGLE).headers, 60, "a version")
    tag = region.gateway.get(path, headers=SINGLE).headers["ETag"]
    wanted = SINGLE | {"Range": "bytes=0-9"}
    statuses = [
        region.gateway.get(path, headers=wanted | {"If-Range": one}).status_code
        for one in (tag, '"old"', "W/" + tag, "Wed, 21 Oct 2015 07:28:00 GMT")
    ]
    assert statuses == [206, 200, 200, 200]


def test_what_the_index_knows_and_nobody_has_is_gone(region: Region) -> None:
    write_study(region.gateway.folder / "state", "gkb1", f"{ROOT}.77", "one")
    assert region.gateway.get(f"/studies/{ROOT}.77/metadata").status_code == 410


# ---- documents


def test_a_report_is_a_page_that_runs_nothing(region: Region) -> None:
    answer = region.gateway.get(path_of(REPORT) + "/rendered")
    policy = answer.headers["Content-Security-Policy"]
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert ("default-src 'none'" in policy, "script" in answer.text + policy) == (True, False)
    texts = ("Иванов Пётр Ильич", "Заключение", "01.01.2026", path_of(IMAGES[0]) + "/thumbnail")
    assert [text for text in texts if text not in answer.text] == []


@pytest.mark.parametrize(
    ("kind", "beginning", "word"),
    [
        ("text/plain", "Протокол лучевого исследования · ", "Заключение · Conclusions: "),
        ("text/xml", '<?xml version="1.0" encoding="UTF-8"?>\n<report ', 'concept="Conclusions"'),
    ],
)
def test_a_report_comes_as_text_and_as_xml_too(
    region: Region, kind: str, beginning: str, word: str
) -> None:
    """PS3.18 Table 8.7.4-1 has both as required."""
    answer = region.gateway.get(path_of(REPORT) + "/rendered", headers={"Accept": kind})
    assert answer.headers["Content-Type"] == f"{kind}; charset=utf-8"
    assert answer.content.decode().startswith(beginning)
    assert ("Иванов Пётр Ильич" in answer.text, word in answer.text) == (True, True)
    assert wado(region, REPORT, contentType=kind).content == answer.content


@pytest.mark.parametrize("below", ["/frames/1", "/frames/1/rendered", "/frames/1/thumbnail"])
@pytest.mark.parametrize("document", [REPORT, PDF], ids=["SR", "PDF"])
def test_a_document_has_no_frames(region: Region, document: Instance, below: str) -> None:
    assert region.gateway.get(path_of(document) + below).status_code == 404


def test_a_pdf_comes_as_it_was_stored(region: Region) -> None:
    answer = region.gateway.get(path_of(PDF) + "/rendered")
    ds = pydicom.dcmread(io.BytesIO(PDF.data))
    assert (answer.headers["Content-Type"], answer.content) == (
        "application/pdf",
        ds.EncapsulatedDocument[: ds.EncapsulatedDocumentLength],
    )


def test_a_study_shows_its_picture_or_its_report_as_is_accepted(region: Region) -> None:
    kinds = [
        region.gateway.get(STUDY + "/rendered", headers={"Accept": accept}).headers["Content-Type"]
        for accept in ("*/*", "image/png", "text/html")
    ]
    assert kinds == ["image/jpeg", "image/png", "text/html; charset=utf-8"]


@pytest.mark.parametrize(
    ("study", "status", "words"),
    [
        (1, 200, ["Описание", "Протокол (PDF)", f"{ROOT}.1.9.1/rendered"]),
        (2, 200, ["нет протокола", "no report"]),
        (999, 404, ["Такого исследования нет", "No hospital has this study"]),
    ],
)
def test_the_page_of_reports_speaks_to_people(
    region: Region, study: int, status: int, words: list[str]
) -> None:
    answer = requests.get(f"{region.gateway.url}/report/{ROOT}.{study}", timeout=60)
    assert (answer.status_code, [w for w in words if w not in answer.text]) == (status, [])


@pytest.mark.parametrize("document", ACTIVE, ids=["HTML", "SVG", "HTML that is called PDF"])
def test_a_document_that_could_run_is_given_in_no_form_that_does(
    region: Region, document: Instance
) -> None:
    """H36: as a file, as bytes, drawn, on the page of reports, by WADO-URI."""
    path = path_of(document)
    (row,) = region.gateway.get(path + "/metadata").json()
    bulk = row["00420011"]["BulkDataURI"]
    assert bulk.startswith(region.gateway.dicomweb + path)
    below = region.gateway.dicomweb + path
    addresses = [below, bulk, below + "/rendered", below + "/thumbnail"]
    addresses += [f"{region.gateway.url}/report/{document.study_uid}"]
    answers = [
        requests.get(address, headers={"Accept": accept}, timeout=60)
        for address in addresses
        for accept in ("*/*", "text/html", "image/svg+xml", "application/octet-stream")
    ]
    answers += [wado(region, document, contentType=kind) for kind in ("text/html", "*/*")]
    given = [answer for answer in answers if b"alert(36)" in answer.content]
    assert any(answer.url == bulk for answer in given)
    for answer in given:
        kind = answer.headers["Content-Type"].partition(";")[0]
        assert kind in {"application/dicom", "application/octet-stream", "multipart/related"}
        assert answer.headers["Content-Disposition"] == "attachment"
        assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert {answer.headers["X-Content-Type-Options"] for answer in answers} == {"nosniff"}


# ---- WADO-URI


def wado(region: Region, instance: Instance, /, **parameters: str) -> requests.Response:
    named = {
        "requestType": "WADO",
        "studyUID": instance.study_uid,
        "seriesUID": instance.series_uid,
        "objectUID": instance.instance_uid,
    }
    return requests.get(f"{region.gateway.url}/wado", params=named | parameters, timeout=60)


def test_wado_uri_gives_the_file_that_is_stored(region: Region) -> None:
    answer = wado(region, IMAGES[0], contentType="application/dicom")
    assert (answer.headers["Content-Type"], answer.content) == (
        "application/dicom",
        IMAGES[0].data,
    )
    answer = wado(region, J2K, contentType="application/dicom", transferSyntax=JPEG2000Lossless)
    assert answer.content == J2K.data


@pytest.mark.parametrize(
    ("parameters", "size"),
    [
        ({}, (64, 64)),
        ({"rows": "32"}, (32, 32)),
        ({"columns": "128", "rows": "64"}, (64, 64)),
        ({"region": "0,0,0.5,1"}, (32, 64)),
        ({"windowCenter": "100", "windowWidth": "50", "imageQuality": "50"}, (64, 64)),
        ({"frameNumber": "3"}, (64, 64)),
    ],
)
def test_wado_uri_draws(region: Region, parameters: dict[str, str], size: tuple[int, int]) -> None:
    answer = wado(region, J2K, **parameters)
    assert answer.headers["Content-Type"] == "image/jpeg"
    assert Image.open(io.BytesIO(answer.content)).size == size


def test_wado_uri_shows_reports(region: Region) -> None:
    kinds = [wado(region, one).headers["Content-Type"] for one in (REPORT, PDF)]
    assert kinds == ["text/html; charset=utf-8", "application/pdf"]


@pytest.mark.parametrize(
    ("parameters", "status", "field"),
    [
        ({"requestType": "RID"}, 400, "requestType"),
        ({"objectUID": "../../system"}, 400, "objectUID"),
        ({"studyUID": ""}, 400, "studyUID"),
        ({"rows": "0"}, 400, "rows"),
        ({"rows": "99999"}, 400, "rows"),
        ({"region": "1,1,0,0"}, 400, "region"),
        ({"windowCenter": "5"}, 400, "windowWidth"),
        ({"frameNumber": "x"}, 400, "frameNumber"),
        ({"frameNumber": "2"}, 400, "frameNumber"),
        ({"anonymize": "yes"}, 400, "anonymize"),
        ({"contentType": "video/mp4"}, 406, "Accept"),
        ({"contentType": "application/dicom", "transferSyntax": "x"}, 400, "transferSyntax"),
    ],
)
def test_wado_uri_refuses_by_name(
    region: Region, parameters: dict[str, str], status: int, field: str
) -> None:
    answer = wado(region, IMAGES[0], **parameters)
    assert (answer.status_code, answer.json()["field"]) == (status, field)


# ---- work


def test_other_requests_are_answered_while_an_image_is_decoded(region: Region) -> None:
    """One web process serves all of them: decoding must not be done in it."""
    done = threading.Event()
    statuses: list[int] = []

    def draw() -> None:
        statuses.append(region.gateway.get(path_of(SLOW) + "/rendered").status_code)
        done.set()

    drawing = threading.Thread(target=draw)
    drawing.start()
    answered = 0
    while not done.is_set():
        answered += requests.get(f"{region.gateway.url}/healthz", timeout=60).status_code == 200
    drawing.join()
    assert (statuses, answered > 5) == ([200], True)
