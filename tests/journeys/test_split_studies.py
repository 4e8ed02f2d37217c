"""Studies that no site holds whole are served whole, each instance once (PS3.18 10.4)."""

import io
import os
import sys
import zipfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
import requests
from pydicom.dataset import Dataset
from pydicom.uid import JPEG2000Lossless, RLELossless

from gateway.dicom.attributes import text
from gateway.model.alarms import Alarm
from gateway.records.alarms import load_alarms
from gateway.records.engine import open_records
from tests.conftest import StartOrthanc
from tests.documents import a_text_report
from tests.forked import ForkedProgram
from tests.journeys.conftest import Region, start_region
from tests.journeys.test_retrieve_journey import AS_STORED, parts, path_of
from tests.running import load, start_gateway
from tests.studies import ROOT, SIDE, Instance, a_study, an_instance
from tests.waiting import wait_until

pytestmark = pytest.mark.real


def forged(instance: Instance) -> Instance:
    """The same UIDs with other pixels and another description."""
    data = instance.data.replace("грудной".encode(), "брюшной".encode())
    return replace(instance, data=data[:-SIDE] + bytes(SIDE))


def rewritten(instance: Instance) -> Instance:
    """As another program writes the same data set: its name stands in the file's head."""
    file = pydicom.dcmread(io.BytesIO(instance.data))
    file.file_meta.ImplementationVersionName = "ANOTHER"
    return replace(instance, data=written(file))


def coerced(instance: Instance) -> Instance:
    """With another description, and a word about the one that was there (PS3.3 C.12.1.1.9)."""
    file = pydicom.dcmread(io.BytesIO(instance.data))
    former, change = Dataset(), Dataset()
    former.StudyDescription, file.StudyDescription = file.StudyDescription, "КТ"
    change.ModifiedAttributesSequence = [former]
    file.OriginalAttributesSequence = [change]
    return replace(instance, data=written(file))


def written(file: Dataset) -> bytes:
    out = io.BytesIO()
    file.save_as(out, enforce_file_format=True)
    return out.getvalue()


# Study 70: series 1 overlaps, series 2 is at one site, series 3 at the other.
OVERLAPPING = a_study(70, (3, 2, 1))
# Study 71: as many instances of one series at each site, and none at both.
HALVES = a_study(71, (2,))
# Study 72: stored in different transfer syntaxes; the same image once again as 1.
MIXED = [an_instance(72, number=1, syntax=JPEG2000Lossless), an_instance(72, number=2)]
COPIED = a_study(73, (2,))
WHOLE = {70: OVERLAPPING, 71: HALVES, 72: MIXED, 73: COPIED}
# Study 75: split, instance 1 has another content at magnit; 76: two whole copies, and 2 has.
PARTED = a_study(75, (3,))
DOUBLED = a_study(76, (2,))
# Studies 77 and 78: split; what both hold is the same image, written by another program, or packed.
REWRITTEN = a_study(77, (3,))
PACKED = a_study(78, (3,))
# Study 80: the same image, whose attributes a rule has coerced and said so.
COERCED = a_study(80, (3,))
# Study 79: its images are at one hospital, and what was found is written at the other.
DESCRIBED = a_study(79, (2,))
CONTENT = {
    "gkb1": [
        *(*OVERLAPPING[:2], *OVERLAPPING[3:5], HALVES[0], MIXED[0], *COPIED),
        *(*PARTED[:2], *DOUBLED, *REWRITTEN[:2], *PACKED[:2], *DESCRIBED, *COERCED[:2]),
    ],
    "magnit": [
        *(*OVERLAPPING[1:3], OVERLAPPING[5], HALVES[1], MIXED[1], *COPIED),
        *(forged(PARTED[0]), PARTED[2], DOUBLED[0], forged(DOUBLED[1])),
        *(rewritten(REWRITTEN[0]), REWRITTEN[2]),
        *(coerced(COERCED[0]), COERCED[2]),
        *(an_instance(78, syntax=RLELossless), PACKED[2], a_text_report(79, DESCRIBED)),
    ],
}


@pytest.fixture(scope="module")
def split(
    orthanc_generation: str,
    start_orthanc: StartOrthanc,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Region]:
    """Two hospitals and a keeper that has read both; tests leave it as it was."""
    for region in start_region(
        orthanc_generation, start_orthanc, tmp_path_factory, CONTENT, home="gkb1"
    ):
        folder = region.gateway.folder
        command = [sys.executable, "-m", "gateway.cli", "keeper"]
        keeper = ForkedProgram(
            "keeper",
            [*command, "--region", str(folder / "region.toml")],
            folder / "keeper.log",
            environ={
                **os.environ,
                "GATEWAY_STATE_DIR": str(folder / "state"),
                "GATEWAY_REDIS_URL": "redis://127.0.0.1:1/0",
            },
        )
        keeper.launch()
        try:
            wait_until(lambda region=region: all_read(region), 60, "the index")
            yield region
        finally:
            keeper.stop()


def all_read(region: Region, *, sized: bool = False) -> bool:
    sites = requests.get(region.gateway.url + "/status/sites", timeout=30).json()["sites"]
    found = [site["index"] for site in sites]
    return all(
        index
        and index["phase"] == "following"
        and (not sized or index["sized_studies"] >= len(WHOLE))
        for index in found
    )


def alarms(region: Region) -> list[Alarm]:
    records = open_records(f"sqlite:///{region.gateway.folder / 'state' / 'gateway.db'}")
    with closing(records):
        return load_alarms(records)


def stored(instances: list[Instance]) -> list[bytes]:
    return sorted(instance.data for instance in instances)


def uids_of(answer: requests.Response) -> list[str]:
    return sorted(text(row, "SOPInstanceUID") for row in answer.json())


@pytest.mark.parametrize("number", WHOLE)
def test_a_study_of_two_sites_comes_whole_and_each_instance_once(
    split: Region, number: int
) -> None:
    """F18"""
    found = parts(split, f"/studies/{ROOT}.{number}", AS_STORED)
    assert sorted(data for _, data in found) == stored(WHOLE[number])


@pytest.mark.parametrize("series", [1, 2, 3])
def test_a_series_comes_whole_wherever_it_lies(split: Region, series: int) -> None:
    path = f"/studies/{ROOT}.70/series/{ROOT}.70.{series}"
    wanted = [i for i in OVERLAPPING if i.series_uid.endswith(f".{series}")]
    assert sorted(data for _, data in parts(split, path, AS_STORED)) == stored(wanted)
    metadata = split.gateway.get(path + "/metadata")
    assert uids_of(metadata) == sorted(i.instance_uid for i in wanted)


@pytest.mark.parametrize("number", WHOLE)
def test_metadata_of_two_sites_are_one_list(split: Region, number: int) -> None:
    answer = split.gateway.get(f"/studies/{ROOT}.{number}/metadata")
    assert (answer.status_code, uids_of(answer)) == (
        200,
        sorted(instance.instance_uid for instance in WHOLE[number]),
    )


def test_every_instance_can_be_had_alone(split: Region) -> None:
    found = [parts(split, path_of(instance), AS_STORED)[0][1] for instance in OVERLAPPING]
    assert found == [instance.data for instance in OVERLAPPING]


def test_parts_of_several_codings_come_in_one(split: Region) -> None:
    files = [pydicom.dcmread(io.BytesIO(data)) for _, data in parts(split, f"/studies/{ROOT}.72")]
    assert sorted((f.file_meta.TransferSyntaxUID, f.PixelData) for f in files) == sorted(
        ("1.2.840.10008.1.2.1", instance.pixels) for instance in MIXED
    )


def test_a_form_that_one_site_cannot_give_is_refused_before_the_first_byte(split: Region) -> None:
    accept = f'multipart/related; type="application/dicom"; transfer-syntax={JPEG2000Lossless}'
    answer = split.gateway.get(f"/studies/{ROOT}.72", headers={"Accept": accept})
    assert answer.status_code == 406


def test_a_zip_of_two_sites_holds_each_instance_once(split: Region) -> None:
    answer = split.gateway.get(f"/studies/{ROOT}.70", headers={"Accept": "application/zip"})
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        found = [archive.read(name) for name in archive.namelist()]
    assert sorted(found) == stored(OVERLAPPING)


def differing(answer: requests.Response) -> bool:
    return "other content at magnit" in answer.headers.get("Warning", "")


def test_other_content_under_one_uid_is_never_mixed_in_without_a_word(split: Region) -> None:
    """F19: of a study that is put together the first site's instance is given, and it is said."""
    study = f"/studies/{ROOT}.75"
    whole = split.gateway.get(study, headers={"Accept": AS_STORED})
    packed = split.gateway.get(study, headers={"Accept": "application/zip"})
    metadata = split.gateway.get(study + "/metadata")
    assert [differing(answer) for answer in (whole, packed, metadata)] == [True] * 3
    assert sorted(data for _, data in parts(split, study, AS_STORED)) == stored(PARTED)
    with zipfile.ZipFile(io.BytesIO(packed.content)) as archive:
        assert sorted(archive.read(name) for name in archive.namelist()) == stored(PARTED)
    assert {text(row, "StudyDescription") for row in metadata.json()} == {"КТ грудной клетки"}
    subjects = {alarm.subject for alarm in alarms(split) if alarm.kind == "copies_differ"}
    assert f"{ROOT}.75" in subjects


def test_attributes_and_pixels_of_copies_that_differ_are_of_one_site(split: Region) -> None:
    """F19: whoever opens the study first has them compared; then one hospital gives it all."""
    study = f"/studies/{ROOT}.76"
    wait_until(lambda: differing(split.gateway.get(study + "/metadata")), 60, "the comparison")
    changed = DOUBLED[1]
    for _ in range(3):
        for row in split.gateway.get(study + "/metadata").json():
            assert text(row, "StudyDescription") == "КТ грудной клетки"
        assert parts(split, path_of(changed), AS_STORED)[0][1] == changed.data
        frame = split.gateway.get(
            path_of(changed) + "/frames/1", headers={"Accept": "application/octet-stream"}
        )
        assert (frame.content, differing(frame)) == (changed.pixels, True)
    assert differing(split.gateway.get(study, headers={"Accept": AS_STORED}))


@pytest.mark.parametrize(
    "number", [77, 78, 80], ids=["another program", "another coding", "coerced attributes"]
)
def test_the_same_image_written_otherwise_is_no_other_content(split: Region, number: int) -> None:
    answer = split.gateway.get(f"/studies/{ROOT}.{number}", headers={"Accept": AS_STORED})
    assert (answer.status_code, answer.headers.get("Warning")) == (200, None)


def test_a_report_is_found_at_the_hospital_that_wrote_it(split: Region) -> None:
    answer = requests.get(f"{split.gateway.url}/report/{ROOT}.79", timeout=60)
    assert (answer.status_code, "Описание" in answer.text) == (200, True)
    assert f"{DESCRIBED[0].instance_uid}/thumbnail" in answer.text


def test_what_has_just_come_to_another_site_is_found(split: Region) -> None:
    """The gateway remembers who holds a study; what it remembers is no reason for a 404."""
    here, there = a_study(74, (1, 1))
    load(split.servers["gkb1"], [here])
    series = f"/studies/{ROOT}.74/series/{there.series_uid}"
    assert split.gateway.get(path_of(here)).status_code == 200
    load(split.servers["magnit"], [there])
    assert [data for _, data in parts(split, series, AS_STORED)] == [there.data]
    found = parts(split, f"/studies/{ROOT}.74", AS_STORED)
    assert sorted(data for _, data in found) == stored([here, there])


def test_a_gateway_that_has_just_started_knows_halves_from_copies(
    split: Region, tmp_path: Path
) -> None:
    """Nothing that this needs is remembered by a process: two halves of as many images (71)."""
    wait_until(lambda: all_read(split, sized=True), 60, "the sizes")
    urls = {name: server.url for name, server in split.servers.items()}
    state = {"GATEWAY_STATE_DIR": str(split.gateway.folder / "state")}
    split.servers["magnit"].kill()
    fresh = start_gateway(tmp_path, urls, split.servers, home="gkb1", settings=state)
    try:
        for below in ("", "/metadata", f"/series/{ROOT}.71.1"):
            half = fresh.get(f"/studies/{ROOT}.71{below}")
            assert (half.status_code, "magnit" in half.headers["Warning"]) == (206, True)
        for accept in ("application/zip", AS_STORED):
            half = fresh.get(f"/studies/{ROOT}.71", headers={"Accept": accept})
            assert half.status_code == 206
        assert fresh.get(f"/studies/{ROOT}.73").status_code == 200
    finally:
        fresh.program.stop()
        split.servers["magnit"].start()
    wait_until(
        lambda: split.gateway.get(f"/studies/{ROOT}.71").status_code == 200, 60, "its return"
    )


def test_what_only_a_silent_site_holds_is_told_and_never_404(split: Region) -> None:
    study = f"/studies/{ROOT}.70"
    for number in (70, 71, 79):
        assert split.gateway.get(f"/studies/{ROOT}.{number}/metadata").status_code == 200
    split.servers["magnit"].kill()
    try:
        for below in ("", f"/series/{ROOT}.70.1"):
            answer = split.gateway.get(study + below, headers={"Accept": AS_STORED})
            assert (answer.status_code, "magnit" in answer.headers["Warning"]) == (206, True)
            partial = split.gateway.get(study + below + "/metadata")
            held = {i.instance_uid for i in CONTENT["gkb1"] if i.study_uid == f"{ROOT}.70"}
            if below:
                held = {uid for uid in held if uid.startswith(f"{ROOT}.70.1.")}
            assert (partial.status_code, uids_of(partial)) == (206, sorted(held))
        report = requests.get(f"{split.gateway.url}/report/{ROOT}.79", timeout=60)
        assert (report.status_code, "не отвечает magnit" in report.text) == (200, True)
        half = split.gateway.get(f"/studies/{ROOT}.71")  # as many as the other half
        assert half.status_code == 206
        packed = split.gateway.get(study, headers={"Accept": "application/zip"})
        assert packed.status_code == 206
        for below in (f"/series/{ROOT}.70.3", path_of(OVERLAPPING[2]).removeprefix(study)):
            for form in ("", "/metadata"):
                silent = split.gateway.get(study + below + form)
                assert (silent.status_code, "Retry-After" in silent.headers) == (503, True)
        copied = parts(split, f"/studies/{ROOT}.73", AS_STORED)  # 200: nothing of it is missing
        assert sorted(data for _, data in copied) == stored(COPIED)
    finally:
        split.servers["magnit"].start()
    wait_until(lambda: split.gateway.get(study).status_code == 200, 60, "its return")
