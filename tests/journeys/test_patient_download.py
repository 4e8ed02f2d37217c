"""What a patient takes home is an image and nothing else (trust.md H73)."""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from gateway.bootstrap import build_gateway
from gateway.model.access import Actor, Duty, Reach, Role
from gateway.settings import Settings
from gateway.web import create_app
from tests.conftest import StartOrthanc
from tests.journeys.test_retrieve_journey import path_of
from tests.running import load, region_toml
from tests.studies import Instance, a_study, an_instance

pytestmark = pytest.mark.real

PREAMBLE = b"MZ" + b"\x90" * 126


def a_program(image: Instance) -> Instance:
    data = PREAMBLE + image.data[128:]
    return Instance(image.study_uid, image.series_uid, image.instance_uid, image.pixels, data)


PROGRAMS = [a_program(image) for image in a_study(610, (2,))]
OTHER = an_instance(611)
FIRST = PROGRAMS[0]
BLANK = {bytes(128) + image.data[128:] for image in PROGRAMS}
STUDY = f"/dicom-web/studies/{FIRST.study_uid}"
AS_STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'
ALONE = "application/dicom; transfer-syntax=*"


@pytest.fixture(scope="module")
def actors(
    start_orthanc: StartOrthanc, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[FlaskClient, FlaskClient]]:
    """(a patient with a link, a machine of the region) before one hospital."""
    folder: Path = tmp_path_factory.mktemp("patient")
    hospital = start_orthanc("gkb1")
    load(hospital, [*PROGRAMS, OTHER])
    region = folder / "region.toml"
    (folder / "gkb1.password").write_text(hospital.password)
    told = region_toml({"gkb1": hospital.url}, {"gkb1": hospital}, "gkb1")
    region.write_text(told, encoding="utf-8")
    gateway = build_gateway(Settings(region=region, state_dir=folder))

    def who(duty: Duty) -> FlaskClient:
        return create_app(gateway, lambda: Actor("somebody", (duty,))).test_client()

    patient = who(Duty(Role.PATIENT, Reach(studies=frozenset({FIRST.study_uid}))))
    yield patient, who(Duty(Role.SERVICE, Reach()))
    gateway.wire.close()
    gateway.pool.shutdown()
    gateway.records.close()


def files(browser: FlaskClient, path: str, accept: str) -> list[bytes]:
    """Every file of an answer."""
    answer = browser.get(path, headers={"Accept": accept})
    assert answer.status_code == 200, answer.get_data()[:300]
    body = answer.get_data()
    if answer.content_type == "application/zip":
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            return [archive.read(name) for name in archive.namelist()]
    if not answer.content_type.startswith("multipart/"):
        assert len(body) == answer.content_length
        return [body]
    boundary = answer.content_type.partition("boundary=")[2].strip('"').encode()
    found = (b"\r\n" + body).split(b"\r\n--" + boundary)[1:-1]
    return [part.partition(b"\r\n\r\n")[2] for part in found]


@pytest.mark.parametrize(
    ("path", "accept", "count"),
    [
        (STUDY, AS_STORED, 2),
        (STUDY, "application/zip", 2),
        (STUDY + f"/series/{FIRST.series_uid}", AS_STORED, 2),
        ("/dicom-web" + path_of(FIRST), AS_STORED, 1),
        ("/dicom-web" + path_of(FIRST), ALONE, 1),
        ("/dicom-web" + path_of(FIRST), "application/dicom", 1),
        ("/sites/gkb1/dicom-web" + path_of(FIRST), ALONE, 1),
        (
            f"/wado?requestType=WADO&studyUID={FIRST.study_uid}&seriesUID={FIRST.series_uid}"
            f"&objectUID={FIRST.instance_uid}&contentType=application/dicom",
            "*/*",
            1,
        ),
    ],
)
def test_no_program_comes_in_a_patients_download(actors, path: str, accept: str, count: int):
    patient, machine = actors
    taken = files(patient, path, accept)
    assert (len(taken), set(taken) <= BLANK) == (count, True)
    assert all(one.startswith(b"MZ") for one in files(machine, path, accept))


def test_a_range_of_it_is_of_what_is_given(actors) -> None:
    patient, _ = actors
    asked = {"Accept": ALONE, "Range": "bytes=0-131"}
    answer = patient.get("/dicom-web" + path_of(FIRST), headers=asked)
    assert (answer.status_code, answer.get_data()) == (206, bytes(128) + b"DICM")


@pytest.mark.parametrize(
    "below",
    [
        "",
        "/metadata",
        "/frames/1",
        "/rendered",
        "/thumbnail",
        "/frames/1/rendered",
        "/bulkdata/7FE00010",
    ],
)
@pytest.mark.parametrize("series", [OTHER.series_uid, FIRST.series_uid])
def test_another_study_is_not_reached_through_the_own_one(actors, series: str, below: str) -> None:
    """H55"""
    path = f"{STUDY}/series/{series}/instances/{OTHER.instance_uid}{below}"
    assert actors[0].get(path).status_code == 404
    assert actors[1].get(path).status_code == 404


@pytest.mark.parametrize("below", ["", "/metadata", "/rendered", "/thumbnail"])
def test_another_series_is_not_reached_through_the_own_study(actors, below: str) -> None:
    """H55"""
    path = f"{STUDY}/series/{OTHER.series_uid}{below}"
    assert [one.get(path).status_code for one in actors] == [404, 404]
    for found in (f"{STUDY}/series/{OTHER.series_uid}/instances", f"{STUDY}/instances"):
        rows = actors[0].get(found).get_json()
        assert OTHER.instance_uid not in str(rows)


def test_wado_uri_reaches_nothing_through_the_own_study(actors) -> None:
    """H55, H56"""
    asked = {"requestType": "WADO", "studyUID": FIRST.study_uid, "seriesUID": OTHER.series_uid}
    for kind in ("application/dicom", "image/jpeg"):
        more = {"objectUID": OTHER.instance_uid, "contentType": kind}
        answer = actors[0].get("/wado", query_string=asked | more)
        assert answer.status_code == 404
