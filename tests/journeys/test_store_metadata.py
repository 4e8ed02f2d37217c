"""Metadata and bulk data in parts of their own become real files at a real site (PS3.18 10.5.2)."""

import io
from dataclasses import replace
from pathlib import Path

import orjson
import pydicom
import pytest
import requests
from PIL import Image

from gateway.dicom.multipart import closing, part_head
from gateway.dicom.native_model import to_xml
from tests.journeys.conftest import Region
from tests.journeys.test_store_journey import store, stored
from tests.journeys.test_store_truth import copies, md5, reasons
from tests.running import start_gateway
from tests.studies import SIDE, Instance, an_instance

pytestmark = pytest.mark.real

BOUNDARY = "metadata-and-bulk"
JSON, XML = "application/dicom+json", "application/dicom+xml"


def metadata_of(instance: Instance, uri: str) -> dict:
    """Its dataset with a reference instead of its pixels."""
    dataset = pydicom.dcmread(io.BytesIO(instance.data))
    del dataset.PixelData
    found = orjson.loads(dataset.to_json())
    return found | {"7FE00010": {"vr": "OB", "BulkDataURI": uri}}


def send(region: Region, kind: str, *parts: tuple[dict[str, str], bytes]) -> requests.Response:
    body = b"".join(part_head(BOUNDARY, h.items()) + data + b"\r\n" for h, data in parts)
    return requests.post(
        f"{region.gateway.dicomweb}/studies",
        data=body + closing(BOUNDARY),
        headers={"Content-Type": f'multipart/related; type="{kind}"; boundary={BOUNDARY}'},
        timeout=60,
    )


def read_back(region: Region, instance: Instance) -> pydicom.Dataset:
    """The instance as the gateway gives it to a viewer."""
    path = (
        f"/studies/{instance.study_uid}/series/{instance.series_uid}"
        f"/instances/{instance.instance_uid}"
    )
    accept = "application/dicom; transfer-syntax=*"
    answer = region.gateway.get(path, headers={"Accept": accept})
    assert answer.status_code == 200
    return pydicom.dcmread(io.BytesIO(answer.content))


def octets(data: bytes, uri: str) -> tuple[dict[str, str], bytes]:
    return {"Content-Type": "application/octet-stream", "Content-Location": uri}, data


def test_json_metadata_with_pixels_are_stored(empty_region: Region) -> None:
    first, second = an_instance(300), an_instance(300, number=2)
    metadata = [metadata_of(first, "one"), metadata_of(second, "two")]
    answer = send(
        empty_region,
        JSON,
        ({"Content-Type": JSON}, orjson.dumps(metadata)),
        octets(second.pixels, "two"),
        octets(first.pixels, "one"),
    )
    assert (answer.status_code, stored(answer)) == (200, [first.instance_uid, second.instance_uid])
    found = read_back(empty_region, second)
    assert (found.PixelData, str(found.PatientName)) == (second.pixels, "Иванов^Пётр^Ильич")


def test_xml_metadata_with_pixels_are_stored(empty_region: Region) -> None:
    instance = an_instance(301)
    answer = send(
        empty_region,
        XML,
        ({"Content-Type": XML}, to_xml(metadata_of(instance, "pixels"))),
        octets(instance.pixels, "pixels"),
    )
    assert (answer.status_code, stored(answer)) == (200, [instance.instance_uid])
    found = read_back(empty_region, instance)
    assert (found.PixelData, str(found.PatientName)) == (instance.pixels, "Иванов^Пётр^Ильич")


def test_a_photograph_stays_the_jpeg_that_it_is(empty_region: Region) -> None:
    instance = an_instance(302)
    photograph = io.BytesIO()
    Image.frombytes("L", (SIDE, SIDE), instance.pixels).save(photograph, "JPEG")
    answer = send(
        empty_region,
        JSON,
        ({"Content-Type": JSON}, orjson.dumps([metadata_of(instance, "photo")])),
        ({"Content-Type": "image/jpeg", "Content-Location": "photo"}, photograph.getvalue()),
    )
    assert answer.status_code == 200
    (frame,) = pydicom.encaps.generate_frames(
        read_back(empty_region, instance).PixelData, number_of_frames=1
    )
    assert frame.rstrip(b"\0") == photograph.getvalue().rstrip(b"\0")


def test_what_lacks_its_pixels_fails_alone(empty_region: Region) -> None:
    good, lacking = an_instance(303), an_instance(303, number=2)
    metadata = [metadata_of(good, "here"), metadata_of(lacking, "file:///etc/passwd")]
    answer = send(
        empty_region,
        JSON,
        ({"Content-Type": JSON}, orjson.dumps(metadata)),
        octets(good.pixels, "here"),
    )
    assert (answer.status_code, stored(answer), reasons(answer)) == (
        202,
        [good.instance_uid],
        [0xC000],
    )


@pytest.mark.parametrize("kind", [JSON, XML])
def test_what_cannot_be_written_stands_in_no_log(empty_region: Region, kind: str) -> None:
    """H70: neither the value nor where we met it."""
    wrong = {"00280009": {"vr": "AT", "Value": ["ЗЗКАНАРЕЙКА"]}}
    dataset = metadata_of(an_instance(304), "pixels") | wrong
    body = orjson.dumps([dataset]) if kind == JSON else to_xml(dataset)
    assert reasons(send(empty_region, kind, ({"Content-Type": kind}, body))) == [0xC000]
    broken = send(empty_region, kind, ({"Content-Type": kind}, body[:-20]))
    assert (broken.status_code, broken.json()["field"]) == (400, "body")
    log = (empty_region.gateway.folder / "web.log").read_text(encoding="utf-8")
    assert [word for word in ("ЗЗКАНАРЕЙКА", "Traceback") if word in log] == []


def test_nothing_stays_on_our_disk(empty_region: Region) -> None:
    """F33"""
    state = Path(empty_region.gateway.folder) / "state"
    before = set(state.iterdir())
    test_json_metadata_with_pixels_are_stored(empty_region)
    assert {file for file in state.iterdir() if file.suffix == ""} - before == set()


SMALL_DISK = 'mkdir -p "$0" && mount -t tmpfs -o size=32m tmpfs "$0" && exec "$@"'


def test_without_room_of_our_own_the_caller_is_told_and_what_needs_none_is_stored(
    empty_region: Region, tmp_path: Path
) -> None:
    """F35: less is free beside the database than it needs; files pass without waiting on disk."""
    state = tmp_path / "state"
    gateway = start_gateway(
        tmp_path,
        {name: server.url for name, server in empty_region.servers.items()},
        empty_region.servers,
        home="archive",
        wrap=("unshare", "--mount", "--map-root-user", "sh", "-c", SMALL_DISK, str(state)),
    )
    crowded = replace(empty_region, gateway=gateway)
    waiting, plain = an_instance(305), an_instance(306)
    try:
        answer = send(
            crowded,
            JSON,
            ({"Content-Type": JSON}, orjson.dumps([metadata_of(waiting, "pixels")])),
            octets(waiting.pixels, "pixels"),
        )
        assert (answer.status_code, stored_of(answer), copies(crowded, "archive", waiting)) == (
            507,
            [],
            [],
        )
        assert store(crowded, plain.data).status_code == 200
        assert copies(crowded, "archive", plain) == [md5(plain)]
    finally:
        gateway.program.stop()


def stored_of(answer: requests.Response) -> list[str]:
    """What it says is stored; a refusal of the whole request says nothing."""
    return stored(answer) if answer.headers["Content-Type"] == JSON else []
