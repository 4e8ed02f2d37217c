"""A small region, row by row: what each of its sites holds, one dataset for each instance."""

from gateway.dicom.attributes import Dataset, make, tag_of

U = "1.2.840.9"
CT = "1.2.840.10008.5.1.4.1.1.2"
SR = "1.2.840.10008.5.1.4.1.1.88.11"
SITES = ("gkb1", "zlat", "archive")


def row(**attributes: object) -> Dataset:
    """Values by keyword; a list is several values, a dict of keywords is an item of a sequence."""
    made: Dataset = {}
    for name, found in attributes.items():
        values = found if isinstance(found, list) else [found]
        values = [row(**v) if isinstance(v, dict) and "Alphabetic" not in v else v for v in values]
        made[tag_of(name) or name] = make(name, *values)
    return made


def instances(study: int, count: int, sop_class: str = CT, **attributes: object) -> list[Dataset]:
    """The instances of the one series of a study."""
    return [
        row(
            StudyInstanceUID=f"{U}.{study}", SeriesInstanceUID=f"{U}.{study}.1",
            SOPInstanceUID=f"{U}.{study}.1.{number}", SOPClassUID=sop_class, InstanceNumber=number,
            Rows=512, Columns=512, BitsAllocated=16, NumberOfFrames=1,
            NumberOfStudyRelatedSeries=1, NumberOfStudyRelatedInstances=count,
            NumberOfSeriesRelatedInstances=count, **attributes,
        )
        for number in range(1, count + 1)
    ]  # fmt: skip


CHEST = instances(
    1, 2,
    StudyDate="20260101", StudyTime="101530", AccessionNumber="A1", StudyID="S-1",
    PatientID="77", PatientName={"Alphabetic": "Иванов^Пётр^Ильич"}, PatientBirthDate="19700101",
    PatientSex="M", ReferringPhysicianName={"Alphabetic": "Врачёв^Семён"},
    StudyDescription="КТ ОГК", ModalitiesInStudy=["CT", "SR"], Modality="CT", SeriesNumber=1,
    SeriesDescription="лёгкие", BodyPartExamined="CHEST", InstitutionName="ГКБ 1",
    PerformedProcedureStepStartDate="20260101", PerformedProcedureStepStartTime="102000",
    IssuerOfPatientID="GKB1",
    RequestAttributesSequence={"ScheduledProcedureStepID": "SPS1", "RequestedProcedureID": "RP1"},
)  # fmt: skip
SMITH = instances(
    2, 1,
    StudyDate="20260102", StudyTime="2330", AccessionNumber="A2", StudyID="S-2", PatientID="78",
    PatientName={"Alphabetic": "SMITH^ANN"}, ModalitiesInStudy=["CT"], Modality="CT",
    SeriesNumber=10,
    RequestAttributesSequence=[
        {"ScheduledProcedureStepID": "SPS2", "RequestedProcedureID": "RP3"},
        {"ScheduledProcedureStepID": "SPS3", "RequestedProcedureID": "RP2"},
    ],
)  # fmt: skip
DOE = instances(
    3, 1,
    StudyDate="20260103", StudyTime="0800", AccessionNumber="", StudyID="S-3", PatientID="a1",
    PatientName={"Alphabetic": "DOE^JR., JOHN"}, ModalitiesInStudy=["MR"], Modality="MR",
    SeriesNumber=1,
)  # fmt: skip
PETROVA = instances(
    4, 1, SR,
    StudyDate="20260103", PatientID="A_1", PatientName={"Alphabetic": "Петрова^Анна"},
    Modality="SR", ModalitiesInStudy=["SR"],
)  # fmt: skip
ROWS = {"gkb1": [*CHEST, *SMITH], "zlat": [*DOE, *PETROVA], "archive": CHEST}
"""Newest first: 3, 4 (no time), 2, 1."""
