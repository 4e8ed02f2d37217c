"""Small real DICOM files, made to order: every pixel and UID is known to the test."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, RLELossless

ROOT = "1.2.826.0.1.3680043.10.999"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
CT = "1.2.840.10008.5.1.4.1.1.2"
SIDE = 64


@dataclass(frozen=True)
class Instance:
    """One file and what stands in it."""

    study_uid: str
    series_uid: str
    instance_uid: str
    pixels: bytes
    data: bytes


def an_instance(
    study: int,
    series: int = 1,
    number: int = 1,
    *,
    frames: int = 1,
    syntax: str = ExplicitVRLittleEndian,
    charset: str = "ISO_IR 192",
    **elements: Any,
) -> Instance:
    """A 64 x 64 image of 8 bits whose pixels tell study, series, number and frame."""
    study_uid = f"{ROOT}.{study}"
    series_uid = f"{study_uid}.{series}"
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SpecificCharacterSet = charset
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = CT
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"{series_uid}.{number}"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = study_uid, series_uid
    ds.PatientName, ds.PatientID = "Иванов^Пётр^Ильич", f"P{study}"
    ds.PatientBirthDate, ds.PatientSex = "19700101", "M"
    ds.StudyDate, ds.StudyTime = "20260101", "101010"
    ds.StudyID, ds.AccessionNumber, ds.StudyDescription = "1", f"A{study}", "КТ грудной клетки"
    ds.ReferringPhysicianName = "Врачёв^Семён"
    ds.Modality, ds.SeriesNumber, ds.InstanceNumber = "CT", series, number
    for keyword, value in elements.items():
        setattr(ds, keyword, value)
    ds.Rows = ds.Columns = SIDE
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit, ds.PixelRepresentation = 7, 0
    if frames > 1:
        ds.NumberOfFrames = frames
    pixels = b"".join(
        bytes((7 * study + 5 * series + 3 * number + frame + at) % 251 for at in range(SIDE**2))
        for frame in range(frames)
    )
    ds.PixelData = pixels
    ds["PixelData"].VR = "OB"
    if syntax in (RLELossless, JPEG2000Lossless):
        ds.compress(syntax, generate_instance_uid=False)
    out = io.BytesIO()
    ds.save_as(out, enforce_file_format=True)
    return Instance(study_uid, series_uid, ds.SOPInstanceUID, pixels, out.getvalue())


def relabelled(instance: Instance, charset: str) -> Instance:
    """The same bytes under another SpecificCharacterSet, also one that there is not."""
    at = instance.data.index(b"\x08\x00\x05\x00CS") + 8
    length = int.from_bytes(instance.data[at - 2 : at], "little")
    said = charset.encode("ascii") + b" " * (len(charset) % 2)
    head = instance.data[: at - 2] + len(said).to_bytes(2, "little") + said
    return replace(instance, data=head + instance.data[at + length :])


def a_study(study: int, series: Sequence[int] = (2, 1), **elements: Any) -> list[Instance]:
    """A study with as many series as numbers are given, each with so many instances."""
    return [
        an_instance(study, s, number, **elements)
        for s, count in enumerate(series, 1)
        for number in range(1, count + 1)
    ]
