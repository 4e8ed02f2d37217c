"""Writes the sample studies of the demo region: the catalogue's series as DICOM files.

The same arguments write the same bytes: pixels grow from names, UIDs from a digest, dates count
back from a fixed day.
"""

import hashlib
import io
import json
import os
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import click
from PIL import Image
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit

from gateway.demo.catalogue import (
    DEVICES,
    EXPLICIT,
    HOSPITALS,
    JPEG,
    STUDIES,
    TODAY,
    Patient,
    Series,
    Study,
)
from gateway.demo.equip import write_register_files
from gateway.demo.pictures import draw_series
from gateway.demo.reports import Reference, pdf_report, text_report

CATALOGUE = "catalogue.json"
ROOT = "2.25."
IMPLEMENTATION = "2.25.198402837465012983740192837465"
SOP_CLASSES = {
    "CT": "1.2.840.10008.5.1.4.1.1.2",
    "MR": "1.2.840.10008.5.1.4.1.1.4",
    "CR": "1.2.840.10008.5.1.4.1.1.1",
    "DX": "1.2.840.10008.5.1.4.1.1.1.1",
    "MG": "1.2.840.10008.5.1.4.1.1.1.2",
    "US": "1.2.840.10008.5.1.4.1.1.3.1",
    "SR": "1.2.840.10008.5.1.4.1.1.88.11",
    "DOC": "1.2.840.10008.5.1.4.1.1.104.1",
}
Progress = Callable[[int, int, str], None]


def write_samples(
    out: Path, *, small: bool, today: date | None = None, progress: Progress = lambda *_: None
) -> None:
    """Write out/SITE/STUDY/N.dcm for every study, then out/catalogue.json.

    small     small matrices and few slices, for tests
    today     study dates count back from it
    progress  called with (studies done, studies in all, title of the next)
    """
    entries = []
    for number, study in enumerate(STUDIES):
        progress(number, len(STUDIES), study.title_ru)
        entries.append(_write_study(out, study, small, today or TODAY))
    text = json.dumps(entries, ensure_ascii=False, indent=1)
    (out / CATALOGUE).write_text(text, encoding="utf-8")
    progress(len(STUDIES), len(STUDIES), "")


def _write_study(out: Path, study: Study, small: bool, today: date) -> dict[str, Any]:
    folders = {site: out / site / study.slug for site in study.sites}
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
    first = folders[study.sites[0]]
    series: set[str] = set()
    study_uid = ""
    count = 0
    for ds in _real_files(study) if study.real else _instances(study, small, today):
        count += 1
        file = first / f"{count:04d}.dcm"
        if isinstance(ds, Path):
            shutil.copyfile(ds, file)
            ds = dcmread(file, stop_before_pixels=True)
        else:
            ds.save_as(file, enforce_file_format=True)
        series.add(str(ds.SeriesInstanceUID))
        study_uid = str(ds.StudyInstanceUID)
    for site, tenths in study.partial.items():
        for n in range(1, count * tenths // 10 + 1):
            shutil.copyfile(first / f"{n:04d}.dcm", folders[site] / f"{n:04d}.dcm")
    return {
        "slug": study.slug,
        "title_ru": study.title_ru,
        "title_en": study.title_en,
        "sites": list(study.sites),
        "study_uid": study_uid,
        "modality": study.series[0].modality if study.series else "",
        "series": len(series),
        "instances": count,
        "patient_name": study.patient.name,
        "patient_id": study.patient.patient_id,
        "features": list(study.features),
    }


def _real_files(study: Study) -> Iterator[Path]:
    for name in study.real:
        yield Path(str(get_testdata_file(name, download=False)))


def _instances(study: Study, small: bool, today: date) -> Iterator[Dataset]:
    drawn: list[Reference] = []
    for number, series in enumerate(study.series, 1):
        common = _series_attributes(study, series, number, today)
        if series.drawing in ("sr", "pdf"):
            yield _report(study, series, common, drawn)
            continue
        count = series.small if small else series.count
        pictures = draw_series(series.drawing, study.patient.name, count, small)
        for n, picture in enumerate(pictures, 1):
            ds = _dataset(common, n)
            _set(ds, picture.attributes)
            _set_pixels(ds, picture.pixels, series.syntax)
            if n == (count + 1) // 2:
                uids = (
                    ds.StudyInstanceUID,
                    ds.SeriesInstanceUID,
                    ds.SOPClassUID,
                    ds.SOPInstanceUID,
                )
                drawn.append(Reference(*map(str, uids)))
            yield ds


def _series_attributes(study: Study, series: Series, number: int, today: date) -> Mapping[str, Any]:
    """What all instances of a series share, by keyword."""
    site = study.sites[0]
    hospital, patient = HOSPITALS[site], study.patient
    day = (today - timedelta(days=study.days_ago)).strftime("%Y%m%d")
    begun = datetime.strptime(study.time, "%H%M%S") + timedelta(minutes=2 * number)
    study_uid = _uid(study.slug)
    attributes: dict[str, Any] = {
        "SpecificCharacterSet": study.charset,
        "SOPClassUID": SOP_CLASSES[series.modality],
        "StudyInstanceUID": study_uid,
        "SeriesInstanceUID": _uid(study.slug, number),
        "StudyDate": day,
        "StudyTime": study.time,
        "SeriesDate": day,
        "SeriesTime": begun.strftime("%H%M%S"),
        "ContentDate": day,
        "ContentTime": begun.strftime("%H%M%S"),
        "StudyID": str(1 + STUDIES.index(study)),
        "AccessionNumber": f"{hospital.accession_prefix}{1 + STUDIES.index(study):06d}",
        "StudyDescription": study.description,
        "SeriesDescription": series.description,
        "SeriesNumber": number,
        "Modality": series.modality if series.modality != "DOC" else "DOC",
        "BodyPartExamined": series.body_part,
        "InstitutionName": hospital.institution,
        "InstitutionAddress": hospital.address,
        "ReferringPhysicianName": hospital.referring[len(study.slug) % len(hospital.referring)],
        "NameOfPhysiciansReadingStudy": hospital.reader,
        "FrameOfReferenceUID": _uid(study.slug, "frame of reference", series.body_part),
        **_patient_attributes(patient, today),
    }
    device = DEVICES.get((site, series.modality))
    if device:
        keys = ("Manufacturer", "ManufacturerModelName", "DeviceSerialNumber", "SoftwareVersions")
        attributes |= dict(zip(keys, device, strict=True))
        attributes["StationName"] = f"{hospital.station}-{series.modality}1"
    if study.mislabelled:  # bytes of one encoding under the label of another
        attributes = {
            key: value.encode(study.mislabelled).decode("latin-1")
            if isinstance(value, str) and not value.isascii()
            else value
            for key, value in attributes.items()
        }
    return attributes


def _patient_attributes(patient: Patient, today: date) -> dict[str, Any]:
    years = (
        today.year
        - patient.born.year
        - ((today.month, today.day) < (patient.born.month, patient.born.day))
    )
    return {
        "PatientName": patient.name,
        "PatientID": patient.patient_id,
        "PatientBirthDate": patient.born.strftime("%Y%m%d"),
        "PatientSex": patient.sex,
        "PatientAge": f"{years:03d}Y",
    }


def _report(
    study: Study, series: Series, common: Mapping[str, Any], drawn: Sequence[Reference]
) -> Dataset:
    ds = _dataset(common, 1)
    if series.drawing == "sr":
        _set(ds, text_report(drawn))
    else:
        hospital = HOSPITALS[study.sites[0]]
        name = study.patient.name.replace("^", " ")
        day = datetime.strptime(ds.StudyDate, "%Y%m%d").strftime("%d.%m.%Y")
        _set(ds, pdf_report(hospital.institution, name, study.description, day))
    return ds


def _dataset(common: Mapping[str, Any], number: int) -> Dataset:
    ds = Dataset()
    _set(ds, common)
    ds.InstanceNumber = number
    ds.SOPInstanceUID = _uid(ds.SeriesInstanceUID, number)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = EXPLICIT
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.file_meta.ImplementationClassUID = IMPLEMENTATION
    return ds


def _set(ds: Dataset, attributes: Mapping[str, Any]) -> None:
    with warnings.catch_warnings(action="ignore"):  # a wrong label is wanted in one study
        for keyword, value in attributes.items():
            setattr(ds, keyword, value)


def _set_pixels(ds: Dataset, pixels: Any, syntax: str) -> None:
    """Write an array of shape ([frames,] rows, columns[, 3]) in the given transfer syntax."""
    colour = pixels.shape[-1] == 3
    rows_at = pixels.ndim - (3 if colour else 2)
    ds.Rows, ds.Columns = pixels.shape[rows_at], pixels.shape[rows_at + 1]
    ds.SamplesPerPixel = 3 if colour else 1
    ds.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        ds.PlanarConfiguration = 0
    ds.BitsAllocated = 8 * pixels.dtype.itemsize
    ds.BitsStored = 8 if pixels.dtype.itemsize == 1 else 12
    ds.HighBit, ds.PixelRepresentation = ds.BitsStored - 1, 0
    if syntax == JPEG:
        _set_jpeg(ds, pixels, colour)
        return
    ds.PixelData = pixels.tobytes()
    ds["PixelData"].VR = "OB" if ds.BitsAllocated == 8 else "OW"
    if syntax != EXPLICIT:
        ds.compress(syntax, generate_instance_uid=False)


def _set_jpeg(ds: Dataset, pixels: Any, colour: bool) -> None:
    """JPEG baseline by Pillow: 8 bits, so deeper pixels lose their lowest bits."""
    if pixels.dtype.itemsize == 2:
        pixels = (pixels >> 4).astype("uint8")
        ds.BitsAllocated = ds.BitsStored = 8
        ds.HighBit, ds.WindowCenter, ds.WindowWidth = 7, 128, 256
    frames = pixels if pixels.ndim == (4 if colour else 3) else pixels[None]
    encoded = []
    for frame in frames:
        out = io.BytesIO()
        Image.fromarray(frame).save(out, "JPEG", quality=90, subsampling=0)
        encoded.append(out.getvalue())
    if colour:
        ds.PhotometricInterpretation = "YBR_FULL"
    ds.LossyImageCompression, ds.LossyImageCompressionMethod = "01", "ISO_10918_1"
    ratio = pixels.nbytes / sum(map(len, encoded))
    ds.LossyImageCompressionRatio = round(ratio, 2)
    ds.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    ds.PixelData = encapsulate(encoded)
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True


def _uid(*words: object) -> str:
    digest = hashlib.sha256("\n".join(map(str, words)).encode()).digest()
    return ROOT + str(int.from_bytes(digest[:15]))


def make_samples(out: Path, say: Callable[[str], None]) -> None:
    """Write the samples of a demo region; small ones if REGION_SAMPLES is "small"."""

    def tell(done: int, total: int, title: str) -> None:
        say(f"  {done:3d}/{total}  {title}".rstrip())

    write_samples(out, small=os.environ.get("REGION_SAMPLES") == "small", progress=tell)


@click.command("sample-data")
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path))
@click.option("--today", type=click.DateTime(["%Y-%m-%d"]), help="Study dates count back from it.")
@click.option("--small", is_flag=True, help="Small images, for tests.")
def sample_data(out: Path, today: datetime | None, small: bool) -> None:
    """Write the sample studies into a folder: OUT/SITE/STUDY/N.dcm and OUT/catalogue.json.

    Beside them the register of the sample region: OUT/register/facilities.csv and units.csv, for
    `gateway register import`.
    """

    def tell(done: int, total: int, title: str) -> None:
        click.echo(f"{done:3d}/{total}  {title}")

    write_samples(out, small=small, today=today.date() if today else None, progress=tell)
    write_register_files(out / "register")
