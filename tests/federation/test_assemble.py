"""Metadata and bulk data parts become files, or the request is refused."""

import io
import tempfile
from collections.abc import Iterator
from typing import BinaryIO

import orjson
import pydicom
import pytest
from PIL import Image

from gateway.dicom.media_types import DICOM_JSON, DICOM_XML
from gateway.dicom.multipart import MultipartReader, Part, closing, part_head
from gateway.dicom.native_model import to_xml
from gateway.dicom.store_response import CANNOT_UNDERSTAND, OUT_OF_RESOURCES
from gateway.errors import BadRequest, NoRoom, PayloadTooLarge, UnsupportedMediaType
from gateway.federation import assemble as module
from gateway.federation.assemble import assemble
from gateway.model.answers import Refused
from tests.dicom.test_encode import UIDS

Headers = dict[str, str]
SECOND = UIDS | {"00080018": {"vr": "UI", "Value": ["1.2.3.5"]}}


def parts_of(*parts: tuple[Headers, bytes]) -> Iterator[Part]:
    body = b"".join(part_head("b", h.items()) + data + b"\r\n" for h, data in parts)
    return iter(MultipartReader(io.BytesIO(body + closing("b")).read, b"b"))


def json_part(*datasets: dict) -> tuple[Headers, bytes]:
    return {"Content-Type": "application/dicom+json"}, orjson.dumps(list(datasets))


def xml_part(dataset: dict) -> tuple[Headers, bytes]:
    return {"Content-Type": "application/dicom+xml"}, to_xml(dataset)


def bulk_part(
    data: bytes, kind: str = "application/octet-stream", location: str = "pixels"
) -> tuple[Headers, bytes]:
    return {"Content-Type": kind, "Content-Location": location}, data


def with_pixels(dataset: dict, uri: str = "pixels", **more: object) -> dict:
    return dataset | {"7FE00010": {"vr": "OW", "BulkDataURI": uri}} | more


def files(*parts: tuple[Headers, bytes], kind: str = DICOM_JSON) -> list[bytes | int]:
    """Each file, or the FailureReason."""
    made = assemble(parts_of(*parts), kind, tempfile.TemporaryFile)
    return [m.failure if isinstance(m, Refused) else b"".join(m.chunks) for m in made]


def read(file: bytes | int) -> pydicom.Dataset:
    assert isinstance(file, bytes)
    return pydicom.dcmread(io.BytesIO(file))


def test_each_dataset_gets_its_own_pixels_whatever_their_order() -> None:
    made = files(
        bulk_part(b"2222", location="two"),
        json_part(with_pixels(UIDS, "one"), with_pixels(SECOND, "two")),
        bulk_part(b"1111", location="one"),
    )
    assert [(read(f).SOPInstanceUID, read(f).PixelData) for f in made] == [
        ("1.2.3.4", b"1111"),
        ("1.2.3.5", b"2222"),
    ]


def test_xml_metadata_come_in_parts_of_their_own() -> None:
    made = files(xml_part(with_pixels(UIDS)), xml_part(SECOND), bulk_part(b"1111"), kind=DICOM_XML)
    assert [read(f).get("PixelData") for f in made] == [b"1111", None]


def jpeg() -> bytes:
    out = io.BytesIO()
    Image.new("L", (8, 8), 77).save(out, "JPEG")
    return out.getvalue()


def test_a_photograph_is_stored_under_the_process_that_it_really_has() -> None:
    (made,) = files(json_part(with_pixels(UIDS)), bulk_part(jpeg(), "image/jpeg"))
    assert read(made).file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.50"


def test_frames_come_in_parts_of_one_location() -> None:
    frames = {"00280008": {"vr": "IS", "Value": [2]}}
    parts = [bulk_part(bytes([n]) * 4, "image/jp2") for n in (1, 2)]
    (made,) = files(json_part(with_pixels(UIDS, **frames)), *parts)
    found = pydicom.encaps.generate_frames(read(made).PixelData, number_of_frames=2)
    assert list(found) == [b"\1" * 4, b"\2" * 4]


def test_pixels_that_are_not_in_the_request_refuse_their_instance_alone() -> None:
    made = files(json_part(with_pixels(UIDS, "http://127.0.0.1:9/pixels"), SECOND))
    assert (made[0], read(made[1]).SOPInstanceUID) == (CANNOT_UNDERSTAND, "1.2.3.5")


@pytest.mark.parametrize(("size", "whole"), [(32, True), (31, False), (0, False)])
def test_pixels_that_were_cut_off_refuse_the_instance(size: int, whole: bool) -> None:
    """Two frames of 4 x 2 pixels of 16 bits."""
    said = {"00280008": 2, "00280010": 4, "00280011": 2, "00280100": 16, "00280002": 1}
    facts = {tag: {"vr": "IS", "Value": [value]} for tag, value in said.items()}
    (made,) = files(json_part(with_pixels(UIDS) | facts), bulk_part(bytes(size)))
    assert (made != CANNOT_UNDERSTAND) is whole


def test_too_many_frames_refuse_the_instance() -> None:
    frames = {"00280008": {"vr": "IS", "Value": [3]}}
    parts = [bulk_part(b"1", "image/jp2"), bulk_part(b"2", "image/jp2")]
    assert files(json_part(with_pixels(UIDS, **frames)), *parts) == [CANNOT_UNDERSTAND]


def test_a_full_disk_of_ours_is_told_when_all_was_read() -> None:
    class Full(io.BytesIO):
        def write(self, _block: object) -> int:
            raise NoRoom

    def spool() -> BinaryIO:
        return Full()

    parts = list(
        assemble(parts_of(json_part(with_pixels(UIDS)), bulk_part(b"1111")), DICOM_JSON, spool)
    )
    assert [p.failure for p in parts if isinstance(p, Refused)] == [OUT_OF_RESOURCES]


@pytest.mark.parametrize(
    ("parts", "error"),
    [
        pytest.param([], BadRequest, id="no part"),
        pytest.param([bulk_part(b"1")], BadRequest, id="no metadata"),
        pytest.param([({}, b"{")], BadRequest, id="no JSON"),
        pytest.param([({}, b"[1]")], BadRequest, id="no datasets"),
        pytest.param([({}, b"[" * 10**6)], BadRequest, id="a million lists in each other"),
        pytest.param([({}, b'[{"a":NaN}]')], BadRequest, id="NaN"),
        pytest.param([({}, b'[{"a":1e400}]')], BadRequest, id="more than a number"),
        pytest.param([({}, b'[{"a":' + b"9" * 400 + b"}]")], BadRequest, id="400 digits"),
        pytest.param([({}, b'[{"a":"\\ud800"}]')], BadRequest, id="half a letter"),
        pytest.param([({}, b'[{"00100020":{},"00100020":{}}]')], BadRequest, id="a key twice"),
        pytest.param([({}, b'[{"0020000d":{},"0020000D":{}}]')], BadRequest, id="a tag twice"),
        pytest.param([({}, b'"x"')], BadRequest, id="a text"),
        pytest.param(
            [({"Content-Type": "application/octet-stream"}, b"1")],
            BadRequest,
            id="bulk data without a name",
        ),
        pytest.param([bulk_part(b"1", "text/html")], UnsupportedMediaType, id="a web page"),
        pytest.param(
            [bulk_part(b"1", "image/jpeg; transfer-syntax=1.2.840.10008.1.2.5")],
            UnsupportedMediaType,
            id="a syntax of another media type",
        ),
        pytest.param(
            [bulk_part(b"1", "image/jp2"), bulk_part(b"1", "image/jls")],
            BadRequest,
            id="frames of two syntaxes",
        ),
    ],
)
def test_what_is_no_store_request_is_refused(
    parts: list[tuple[Headers, bytes]], error: type[Exception]
) -> None:
    with pytest.raises(error):
        files(*parts)


def test_metadata_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "METADATA_LIMIT", 500)
    with pytest.raises(PayloadTooLarge):
        files(json_part(UIDS), json_part(UIDS), json_part(UIDS))
