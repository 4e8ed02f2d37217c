"""Studies for the fault tests: real DICOM files, made of noise."""

import io
from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid


@dataclass(frozen=True, repr=False)
class Study:
    """One study with one series; `files` are its instances as they are stored."""

    uid: str
    series_uid: str
    sop_uids: tuple[str, ...]
    files: tuple[bytes, ...]

    @property
    def path(self) -> str:
        return f"/dicom-web/studies/{self.uid}"

    @property
    def below(self) -> str:
        """The path of the first instance, below that of the study."""
        return f"/series/{self.series_uid}/instances/{self.sop_uids[0]}"

    @property
    def instance_path(self) -> str:
        return self.path + self.below


def make_study(name: str, *, instances: int, side: int = 512, frames: int = 1) -> Study:
    """A study of `instances` images of side x side pixels with 16 bits; the same for each name."""
    study_uid, series_uid = uid_of(name), uid_of(name, "series")
    sop_uids = tuple(uid_of(name, str(n)) for n in range(instances))
    noise = np.random.default_rng(7).integers(0, 4096, side * side * frames, dtype=np.uint16)
    files = tuple(
        _file(name, study_uid, series_uid, sop_uid, n, (side, frames), noise.tobytes())
        for n, sop_uid in enumerate(sop_uids, 1)
    )
    return Study(study_uid, series_uid, sop_uids, files)


def uid_of(*words: str) -> str:
    return str(generate_uid(entropy_srcs=["faults", *words]))


def _file(
    name: str,
    study_uid: str,
    series_uid: str,
    sop_uid: str,
    number: int,
    size: tuple[int, int],
    pixels: bytes,
) -> bytes:
    side, frames = size
    image = Dataset()
    image.SpecificCharacterSet = "ISO_IR 192"
    image.SOPClassUID = SecondaryCaptureImageStorage
    image.SOPInstanceUID = sop_uid
    image.StudyInstanceUID = study_uid
    image.SeriesInstanceUID = series_uid
    image.PatientName = f"Сбоев^{name}"
    image.PatientID = name
    image.PatientBirthDate, image.PatientSex = "19700101", "M"
    image.StudyDate, image.StudyTime, image.Modality = "20240501", "101500", "CT"
    image.AccessionNumber, image.StudyID, image.ReferringPhysicianName = "", "", ""
    image.SeriesNumber, image.InstanceNumber = 1, number
    image.Rows = image.Columns = side
    image.NumberOfFrames = frames
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit = 16, 12, 11
    image.PixelRepresentation = 0
    image.add_new("PixelData", "OW", pixels)
    image.file_meta = FileMetaDataset()
    image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID
    image.file_meta.MediaStorageSOPInstanceUID = sop_uid
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    out = io.BytesIO()
    dcmwrite(out, image, enforce_file_format=True)
    return out.getvalue()
