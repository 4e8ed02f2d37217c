"""Retrieve from real sites: the right bytes, the right media type, our own URLs (PS3.18 10.4)."""

import io
import json

import pydicom
import pytest
from PIL import Image

from gateway.dicom.attributes import Dataset
from gateway.dicom.media_types import parse_content_type
from gateway.dicom.multipart import MultipartReader, check_boundary
from tests.journeys.conftest import Region
from tests.studies import ROOT, Instance

pytestmark = pytest.mark.real

AS_STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'


def parts(region: Region, path: str, accept: str | None = None) -> list[tuple[str, bytes]]:
    """(media type, bytes) of each part of a multipart answer."""
    answer = region.gateway.get(path, headers={"Accept": accept} if accept else {})
    assert answer.status_code == 200, answer.text
    kind, parameters = parse_content_type(answer.headers["Content-Type"])
    assert kind == "multipart/related"
    boundary = check_boundary(parameters["boundary"])
    reader = MultipartReader(io.BytesIO(answer.content).read, boundary)
    return [(part.headers["content-type"], part.read(2**24)) for part in reader]


def path_of(instance: Instance) -> str:
    return (
        f"/studies/{instance.study_uid}/series/{instance.series_uid}"
        f"/instances/{instance.instance_uid}"
    )


@pytest.mark.parametrize(("site", "study"), [("gkb1", 1), ("magnit", 11), ("zlat", 20)])
def test_a_study_of_each_hospital_comes_byte_for_byte(
    region: Region, site: str, study: int
) -> None:
    stored = [i.data for i in region.loaded[site] if i.study_uid == f"{ROOT}.{study}"]
    found = parts(region, f"/studies/{ROOT}.{study}", AS_STORED)
    assert sorted(data for _, data in found) == sorted(stored)


def test_a_series_holds_only_its_own_instances(region: Region) -> None:
    found = parts(region, f"/studies/{ROOT}.1/series/{ROOT}.1.2", AS_STORED)
    uids = [pydicom.dcmread(io.BytesIO(data)).SOPInstanceUID for _, data in found]
    assert uids == [f"{ROOT}.1.2.1"]


def test_an_instance_comes_alone_or_in_a_part(region: Region) -> None:
    instance = region.loaded["gkb1"][0]
    alone = region.gateway.get(
        path_of(instance), headers={"Accept": "application/dicom; transfer-syntax=*"}
    )
    assert (alone.headers["Content-Type"].split(";")[0], alone.content) == (
        "application/dicom",
        instance.data,
    )
    assert [data for _, data in parts(region, path_of(instance), AS_STORED)] == [instance.data]


def test_the_complete_copy_is_served_where_another_site_has_a_part(region: Region) -> None:
    """F18"""
    assert len(parts(region, f"/studies/{ROOT}.50", AS_STORED)) == 3


def test_frames_are_the_stored_pixels(region: Region) -> None:
    instance = next(i for i in region.loaded["zlat"] if i.study_uid == f"{ROOT}.20")
    size = len(instance.pixels) // 5
    wanted = [instance.pixels[n * size : (n + 1) * size] for n in (4, 1)]
    found = parts(region, path_of(instance) + "/frames/5,2")
    assert [data for _, data in found] == wanted


def stored_as(region: Region, study: int) -> Instance:
    return next(i for i in region.loaded["gkb1"] if i.study_uid == f"{ROOT}.{study}")


@pytest.mark.parametrize(("study", "name"), [(60, "JPEG 2000"), (61, "RLE")])
def test_compressed_frames_come_decoded_by_default(region: Region, study: int, name: str) -> None:
    instance = stored_as(region, study)
    found = parts(region, path_of(instance) + "/frames/1")
    assert [data for _, data in found] == [instance.pixels], name


@pytest.mark.parametrize("study", [60, 61])
def test_compressed_instances_come_decoded_by_default(region: Region, study: int) -> None:
    instance = stored_as(region, study)
    for path in (path_of(instance), f"/studies/{instance.study_uid}"):
        ((_, data),) = parts(region, path)
        ds = pydicom.dcmread(io.BytesIO(data))
        found = (ds.file_meta.TransferSyntaxUID, ds.SOPInstanceUID, ds.PixelData)
        assert found == ("1.2.840.10008.1.2.1", instance.instance_uid, instance.pixels)


def test_nobody_is_asked_to_compress_into_jpeg_2000(region: Region) -> None:
    accept = 'multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.4.90'
    plain, compressed = region.loaded["gkb1"][0], stored_as(region, 60)
    assert region.gateway.get(path_of(plain), headers={"Accept": accept}).status_code == 406
    assert [data for _, data in parts(region, path_of(compressed), accept)] == [compressed.data]


def test_compressed_frames_come_as_stored_on_request(region: Region) -> None:
    instance = stored_as(region, 60)
    accept = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'
    ((kind, data),) = parts(region, path_of(instance) + "/frames/1", accept)
    assert ("jp2" in kind or "1.2.840.10008.1.2.4.90" in kind, data[:4]) == (
        True,
        b"\xff\x4f\xff\x51",  # a JPEG 2000 codestream begins so (ISO/IEC 15444-1 A.4)
    )


def urls(found: Dataset | list[Dataset]) -> list[str]:
    text = json.dumps(found)
    return [word for word in text.split('"') if word.startswith("http")]


@pytest.mark.parametrize("below", ["", f"/series/{ROOT}.1.1"])
def test_metadata_points_to_this_gateway_and_its_bulk_data_is_there(
    region: Region, below: str
) -> None:
    found = region.gateway.get(f"/studies/{ROOT}.1{below}/metadata").json()
    links = urls(found)
    base = region.gateway.dicomweb
    assert (len(found), len(links)) == ((3, 3) if not below else (2, 2))
    assert [link for link in links if not link.startswith(base + "/")] == []
    pixels = {i.pixels for i in region.loaded["gkb1"]}
    bodies = [parts(region, link.removeprefix(base)) for link in links]
    assert [data in pixels for body in bodies for _, data in body] == [True] * len(links)


@pytest.mark.parametrize(
    "path",
    [
        "/rendered",
        "/rendered?viewport=32,32&quality=50",
        "/rendered?window=128,256,linear",
        "/frames/1/rendered",
        "/thumbnail",
    ],
)
def test_renderings_are_pictures(region: Region, path: str) -> None:
    answer = region.gateway.get(path_of(region.loaded["gkb1"][0]) + path)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "image/jpeg")
    assert Image.open(io.BytesIO(answer.content)).format == "JPEG"


@pytest.mark.parametrize("path", [f"/studies/{ROOT}.1", f"/studies/{ROOT}.1/series/{ROOT}.1.1"])
@pytest.mark.parametrize("form", ["rendered", "thumbnail"])
def test_a_study_and_a_series_have_a_picture_too(region: Region, path: str, form: str) -> None:
    answer = region.gateway.get(f"{path}/{form}")
    assert (answer.status_code, answer.content[:2]) == (200, b"\xff\xd8")


@pytest.mark.parametrize(
    ("path", "what"),
    [
        (f"/studies/{ROOT}.999", "study"),
        (f"/studies/{ROOT}.999/metadata", "study"),
        (f"/studies/{ROOT}.1/series/{ROOT}.1.9", "study, series or instance"),
        (f"/studies/{ROOT}.1/series/{ROOT}.1.1/instances/{ROOT}.1.1.1/frames/2", "frame"),
    ],
)
def test_what_nobody_has_is_404_when_all_have_answered(
    region: Region, path: str, what: str
) -> None:
    answer = region.gateway.get(path)
    assert (
        answer.status_code,
        answer.headers["Content-Type"],
        what in answer.json()["detail"],
    ) == (
        404,
        "application/problem+json",
        True,
    )


@pytest.mark.parametrize(
    "accept",
    [
        "text/html",
        'multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2',
        'multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.2',
        "image/png",
    ],
)
def test_what_cannot_be_given_is_406(region: Region, accept: str) -> None:
    answer = region.gateway.get(f"/studies/{ROOT}.1", headers={"Accept": accept})
    assert (answer.status_code, answer.json()["field"]) == (406, "Accept")


def test_no_answer_names_a_site_or_its_software(region: Region) -> None:
    inner = [server.url.encode() for server in region.servers.values()]
    for path in (f"/studies/{ROOT}.1", f"/studies/{ROOT}.1/metadata", "/studies"):
        answer = region.gateway.get(path)
        said = answer.content + str(answer.headers).encode()
        assert [url for url in (*inner, b"Orthanc", b"civetweb") if url in said] == []
