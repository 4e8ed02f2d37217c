"""What a grant shows of a study at another hospital, and what it does not give."""

import io
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from flask.testing import FlaskClient
from PIL import Image

from gateway.bootstrap import build_gateway
from gateway.model.access import LOCAL_OPERATOR, Actor, Duty, Purpose, Reach, Role
from gateway.settings import load_settings
from gateway.web import create_app
from tests.journeys.conftest import Region
from tests.journeys.test_retrieve_journey import path_of

pytestmark = pytest.mark.real
FILES = "application/dicom; transfer-syntax=*"
PARTS = 'multipart/related; type="application/dicom"; transfer-syntax=*'
OCTETS = 'multipart/related; type="application/octet-stream"'
FRAMES = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'


@dataclass
class Door:
    """The gateway of the region, at which each request comes from the actor that is named."""

    browser: FlaskClient | None = None
    actor: Actor = LOCAL_OPERATOR

    def get(self, actor: Actor, path: str, accept: str = "*/*"):
        self.actor = actor
        return self.browser.get(path, headers={"Accept": accept}, buffered=True)


@pytest.fixture(scope="module")
def door(region: Region, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    file = region.gateway.folder / "region.toml"
    settings = load_settings({}, region=file, state_dir=tmp_path_factory.mktemp("grants"))
    gateway = build_gateway(settings)
    found = Door()
    app = create_app(gateway, lambda: found.actor)
    found.browser = app.test_client()
    yield found
    gateway.pool.shutdown()
    gateway.wire.close()
    gateway.pixels.close()
    gateway.records.close()


def expert(study: str, *, home: str = "zlat", files: bool = False) -> Actor:
    """A doctor of one hospital to whom a study was granted."""
    granted = frozenset({study})
    duties = (
        Duty(Role.DOCTOR, Reach(sites=frozenset({home}))),
        Duty(Role.EXPERT, Reach(studies=granted)),
    )
    given = granted if files else frozenset()
    return Actor("0123456789abcdef", duties, Purpose.TREATMENT, "session", files=given)


def picture(answer) -> np.ndarray:
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.data)).convert("L")).astype(int)


def test_a_grant_shows_images_and_gives_no_files(door: Door, region: Region) -> None:
    image = region.loaded["gkb1"][0]
    study = f"/dicom-web/studies/{image.study_uid}"
    whole, who = "/dicom-web" + path_of(image), expert(image.study_uid)
    for path, accept in (
        (study, PARTS), (study, "application/zip"), (study, "*/*"), (whole, FILES), (whole, PARTS),
        (whole.rpartition("/instances/")[0], PARTS),
        (f"/sites/gkb1{study}", PARTS),
        (study, OCTETS), (whole, OCTETS), (f"{study}/bulkdata", OCTETS),
        (f"{study}/pixeldata", OCTETS), (f"{whole}/pixeldata", "*/*"),
        (f"/wado?requestType=WADO&studyUID={image.study_uid}&seriesUID={image.series_uid}"
         f"&objectUID={image.instance_uid}&contentType=application/dicom", "*/*"),
    ):  # fmt: skip
        refused = door.get(who, path, accept)
        assert (refused.status_code, refused.get_json()["title"]) == (403, "Only to view"), path
        assert door.get(expert(image.study_uid, files=True), path, accept).status_code == 200
    assert door.get(who, f"{study}/metadata", "application/dicom+json").status_code == 200
    frame = door.get(who, f"{whole}/frames/1", FRAMES)
    assert (frame.status_code, image.pixels in frame.data) == (200, True)
    assert door.get(who, f"{whole}/rendered", "image/png").status_code == 200


def test_the_own_hospital_gives_its_files_whatever_was_granted_beside(
    door: Door, region: Region
) -> None:
    image = region.loaded["gkb1"][0]
    who = expert(image.study_uid, home="gkb1")
    assert door.get(who, "/dicom-web" + path_of(image), FILES).data == image.data
    shown = "/dicom-web" + path_of(image) + "/rendered"
    plain = picture(door.get(LOCAL_OPERATOR, shown, "image/png"))
    assert np.array_equal(picture(door.get(who, shown, "image/png")), plain)


@pytest.mark.parametrize("kind", ["image/png", "image/jpeg", "image/gif"])
def test_a_picture_by_a_grant_is_marked(door: Door, region: Region, kind: str) -> None:
    image = region.loaded["gkb1"][0]
    shown = "/dicom-web" + path_of(image) + "/rendered?viewport=512,512"
    plain, marked = (
        picture(door.get(who, shown, kind)) for who in (LOCAL_OPERATOR, expert(image.study_uid))
    )
    differs = np.abs(marked - plain) > 20
    halves = [np.array_split(half, 2, axis=1) for half in np.array_split(differs, 2)]
    assert all(quarter.any() for half in halves for quarter in half)
    again = picture(door.get(LOCAL_OPERATOR, shown, kind))
    assert np.array_equal(again, plain)  # nobody else is given what was marked
