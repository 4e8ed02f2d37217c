"""Reports made to order: a structured one and a PDF, as files."""

import io
from collections.abc import Sequence

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from gateway.demo.reports import Reference, pdf_report, text_report
from tests.studies import CT, ROOT, Instance

BASIC_TEXT = "1.2.840.10008.5.1.4.1.1.88.11"
ENCAPSULATED_PDF = "1.2.840.10008.5.1.4.1.1.104.1"


def _instance(study: int, series: int, sop_class: str, **elements: object) -> Instance:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SpecificCharacterSet = "ISO_IR 192"
    study_uid = f"{ROOT}.{study}"
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = sop_class
    ds.StudyInstanceUID, ds.SeriesInstanceUID = study_uid, f"{study_uid}.{series}"
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"{study_uid}.{series}.1"
    ds.PatientName, ds.PatientID = "Иванов^Пётр^Ильич", f"P{study}"
    ds.PatientBirthDate, ds.PatientSex = "19700101", "M"
    ds.StudyDate, ds.StudyTime, ds.StudyID = "20260101", "101010", "1"
    ds.StudyDescription, ds.AccessionNumber = "КТ грудной клетки", f"A{study}"
    ds.SeriesNumber, ds.InstanceNumber = series, 1
    for keyword, value in elements.items():
        setattr(ds, keyword, value)
    out = io.BytesIO()
    ds.save_as(out, enforce_file_format=True)
    return Instance(study_uid, ds.SeriesInstanceUID, ds.SOPInstanceUID, b"", out.getvalue())


def a_text_report(study: int, images: Sequence[Instance] = (), **elements: object) -> Instance:
    """A Basic Text SR in series 8 of a study that speaks of these images."""
    report = text_report(
        [Reference(one.study_uid, one.series_uid, CT, one.instance_uid) for one in images]
    )
    return _instance(study, 8, BASIC_TEXT, **({"Modality": "SR"} | report | elements))


def a_pdf(study: int, **elements: object) -> Instance:
    """An encapsulated PDF in series 9 of a study."""
    report = pdf_report("Больница", "Иванов", "КТ", "01.01.2026")
    return _instance(study, 9, ENCAPSULATED_PDF, **({"Modality": "DOC"} | report | elements))


def a_document(study: int, media_type: str, content: bytes) -> Instance:
    """A document in series 9 of a study that calls itself whatever it likes."""
    return _instance(
        study,
        9,
        ENCAPSULATED_PDF,
        Modality="DOC",
        MIMETypeOfEncapsulatedDocument=media_type,
        EncapsulatedDocument=content,
        EncapsulatedDocumentLength=len(content),
    )
