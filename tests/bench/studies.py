"""What the bench stores: a CT of 200 slices and some hundred small studies for each site.

Made anew for each run, always the same; every UID and every pixel is known, so every answer can be
judged.
"""

import io
from dataclasses import dataclass
from functools import cached_property

import numpy
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import (
    PYDICOM_IMPLEMENTATION_UID,
    ComputedRadiographyImageStorage,
    CTImageStorage,
    ExplicitVRLittleEndian,
)

SLICES = 200
ROWS = 512
ROOT = "1.2.826.0.1.3680043.9.7433"
SHARED_PATIENT = "REGION-1"  # one study at every site
TOKEN = b"4000000000"  # stands in the UIDs of a study to be stored; each store writes its own


@dataclass(frozen=True)
class SmallStudy:
    """One instance, one study; newer ones have a higher `number`."""

    study_uid: str
    patient_id: str
    date: str
    time: str

    @property
    def order(self) -> tuple[int, int, str]:
        """Sorts newest first, as the gateway's answer must be."""
        return (-int(self.date), -int(self.time), self.study_uid)


def small_studies(site: int, count: int) -> list[SmallStudy]:
    """Studies of one site; number 0 belongs to the patient whom all sites know."""
    return [
        SmallStudy(
            study_uid=f"{ROOT}.1.{site}.{n}",
            patient_id=SHARED_PATIENT if n == 0 else f"S{site}-{n}",
            date=f"20{10 + n % 15:02}{1 + n % 12:02}{1 + (n * 7 + site) % 28:02}",
            time=f"{n % 24:02}{(n * 7) % 60:02}{(n * 13 + site) % 60:02}",
        )
        for n in range(count)
    ]


def small_file(study: SmallStudy) -> bytes:
    """A CR image of 64 x 64 pixels."""
    dataset = _dataset(ComputedRadiographyImageStorage, study.study_uid, "1", 1)
    dataset.PatientID = study.patient_id
    dataset.StudyDate, dataset.StudyTime = study.date, study.time
    dataset.Modality = "CR"
    _pixels(dataset, numpy.zeros((64, 64), dtype="<u2"))
    return _written(dataset)


@dataclass(frozen=True)
class CtStudy:
    """A CT of SLICES slices of 512 x 512 x 16 bit, about 105 MB."""

    study_uid: str

    @property
    def series_uid(self) -> str:
        return f"{self.study_uid}.1"

    def instance_uid(self, n: int) -> str:
        return f"{self.series_uid}.{n + 1}"

    @cached_property
    def files(self) -> tuple[bytes, ...]:
        """One DICOM file for each slice."""
        return tuple(self.file(n) for n in range(SLICES))

    @cached_property
    def frames(self) -> tuple[bytes, ...]:
        """The pixels of each slice, little endian."""
        return tuple(_slice(n).tobytes() for n in range(SLICES))

    def file(self, n: int) -> bytes:
        """The DICOM file of one slice; also of one beyond SLICES, for a longer study."""
        dataset = _dataset(CTImageStorage, self.study_uid, "1", n + 1)
        dataset.PatientID = "CT-1"
        dataset.StudyDate, dataset.StudyTime = "20000101", "120000"
        dataset.Modality = "CT"
        dataset.ImagePositionPatient = [0, 0, n]
        dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        dataset.PixelSpacing = [0.7, 0.7]
        dataset.SliceThickness = 1
        dataset.RescaleIntercept, dataset.RescaleSlope = -1024, 1
        dataset.WindowCenter, dataset.WindowWidth = 40, 400
        _pixels(dataset, _slice(n))
        return _written(dataset)


CT = CtStudy(f"{ROOT}.2")
CT_TO_STORE = CtStudy(f"{ROOT}.{TOKEN.decode()}")


def store_body(boundary: str) -> bytes:
    """A STOW-RS body with all slices of CT_TO_STORE; TOKEN is still in its UIDs."""
    head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    parts = b"".join(head + file + b"\r\n" for file in CT_TO_STORE.files)
    return parts + f"--{boundary}--\r\n".encode()


def _slice(n: int) -> "numpy.ndarray[tuple[int, ...], numpy.dtype[numpy.uint16]]":
    """Noise: no server can make it smaller or find it again in another slice."""
    noise = numpy.random.default_rng(n).integers(0, 4096, (ROWS, ROWS))
    return noise.astype("<u2")


def _dataset(sop_class: str, study_uid: str, series: str, number: int) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = f"{study_uid}.{series}.{number}"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = PYDICOM_IMPLEMENTATION_UID
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = sop_class
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.StudyInstanceUID = study_uid
    dataset.SeriesInstanceUID = f"{study_uid}.{series}"
    dataset.SeriesNumber, dataset.InstanceNumber = series, number
    dataset.PatientName = "ИСПЫТАНИЕ^СКОРОСТЬ"
    dataset.PatientBirthDate, dataset.PatientSex = "19500101", "O"
    dataset.StudyID, dataset.AccessionNumber = "1", ""
    dataset.ReferringPhysicianName = ""
    dataset.StudyDescription = "Замер"
    return dataset


def _pixels(
    dataset: FileDataset, image: "numpy.ndarray[tuple[int, ...], numpy.dtype[numpy.uint16]]"
) -> None:
    dataset.Rows, dataset.Columns = image.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelRepresentation = 0
    dataset.PixelData = image.tobytes()


def _written(dataset: FileDataset) -> bytes:
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()
