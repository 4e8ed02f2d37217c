"""The sample studies: what the demo region needs is there, readable, and the same at each run."""

import io
import json
from pathlib import Path

import pydicom
import pytest
import requests
from pydicom.pixels import pixel_array

from gateway.demo.load import load_folder
from gateway.demo.samples import CATALOGUE, write_samples
from tests.conftest import StartOrthanc


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("samples")
    write_samples(folder, small=True)
    return folder


@pytest.fixture(scope="module")
def catalogue(samples: Path) -> list[dict]:
    return json.loads((samples / CATALOGUE).read_text(encoding="utf-8"))


def files(samples: Path, entry: dict, site: str | None = None) -> list[Path]:
    return sorted((samples / (site or entry["sites"][0]) / entry["slug"]).glob("*.dcm"))


def having(catalogue: list[dict], feature: str) -> list[dict]:
    return [entry for entry in catalogue if feature in entry["features"]]


def test_every_kind_of_study_is_there(catalogue: list[dict]) -> None:
    wanted = """ct200 cr mg us-multiframe jpeg jpeg2000 jpegls rle sr pdf two-sites same-patient
        same-id cp1251 iso144 real"""
    found = {feature for entry in catalogue for feature in entry["features"]}
    assert set(wanted.split()) - found == set()
    assert {site for entry in catalogue for site in entry["sites"]} == {"gkb1", "magnit", "zlat"}


def test_the_same_bytes_come_at_each_run(samples: Path, tmp_path: Path) -> None:
    write_samples(tmp_path, small=True)
    both = [
        {file.relative_to(root): file.read_bytes() for file in root.rglob("*") if file.is_file()}
        for root in (samples, tmp_path)
    ]
    assert both[0] == both[1]


def test_one_patient_has_two_ids_and_one_id_has_two_patients(catalogue: list[dict]) -> None:
    patient, one_id = having(catalogue, "same-patient"), having(catalogue, "same-id")
    assert ({e["patient_name"] for e in patient}, len({e["patient_id"] for e in patient})) == (
        {"Иванов^Пётр^Ильич"},
        2,
    )
    assert ({e["patient_id"] for e in one_id}, len({e["patient_name"] for e in one_id})) == (
        {"20001"},
        2,
    )
    assert [e["sites"] for e in patient] == [["gkb1"], ["magnit"]]


def test_a_shared_study_is_whole_at_one_site_and_a_part_of_it_at_the_other(
    samples: Path, catalogue: list[dict]
) -> None:
    (entry,) = having(catalogue, "two-sites")
    whole, part = (
        {f.name: f.read_bytes() for f in files(samples, entry, site)} for site in entry["sites"]
    )
    assert (len(whole), 0 < len(part) < len(whole)) == (entry["instances"], True)
    assert part.items() - whole.items() == set()


@pytest.mark.parametrize(
    ("feature", "label", "codec"),
    [("iso144", "ISO_IR 144", "iso8859_5"), ("cp1251", "ISO_IR 100", "cp1251")],
)
def test_names_stand_in_the_bytes_that_are_promised(
    samples: Path, catalogue: list[dict], feature: str, label: str, codec: str
) -> None:
    (entry,) = having(catalogue, feature)
    data = files(samples, entry)[0].read_bytes()
    assert label.encode() in data
    assert entry["patient_name"].encode(codec) in data


def test_every_image_can_be_decoded(samples: Path, catalogue: list[dict]) -> None:
    blank = []
    for entry in catalogue:
        if "real" in entry["features"]:
            continue
        for file in files(samples, entry):
            ds = pydicom.dcmread(file)
            if "PixelData" in ds and pixel_array(ds).std() < 1:
                blank.append(file)
    assert blank == []


def test_lossless_compression_keeps_every_pixel(samples: Path, catalogue: list[dict]) -> None:
    by_feature = {
        name: pixel_array(pydicom.dcmread(files(samples, having(catalogue, name)[0])[0]))
        for name in ("jpeg2000", "jpegls")
    }
    assert {name: int(found.max()) > 1000 for name, found in by_feature.items()} == {
        "jpeg2000": True,
        "jpegls": True,
    }


@pytest.mark.real
def test_a_real_orthanc_takes_all_of_them_and_the_second_time_nothing(
    samples: Path, catalogue: list[dict], start_orthanc: StartOrthanc
) -> None:
    server = start_orthanc("zlat")
    total = len(list((samples / "zlat").rglob("*.dcm")))
    counts = [
        (result.stored, result.already, result.failed)
        for result in (
            load_folder(samples / "zlat", server.url, server.username, server.password)
            for _ in range(2)
        )
    ]
    assert counts == [(total, 0, ()), (0, total, ())]
    rendered = requests.get(f"{server.dicomweb_url}/studies", auth=server.auth, timeout=20)
    assert len(rendered.json()) == len([e for e in catalogue if "zlat" in e["sites"]])


def test_the_pdf_is_a_pdf(samples: Path, catalogue: list[dict]) -> None:
    entry = having(catalogue, "pdf")[0]
    datasets = [pydicom.dcmread(file) for file in files(samples, entry)]
    (document,) = [ds.EncapsulatedDocument for ds in datasets if "EncapsulatedDocument" in ds]
    assert (io.BytesIO(document).read(5), b"%%EOF" in document) == (b"%PDF-", True)
