"""to_find against a real Orthanc: whatever `matches` accepts is among what /tools/find gives.

Skipped where no Orthanc is installed.
"""

import contextlib
import io
import json
import shutil
import subprocess
import threading
import urllib.request

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset as File
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from gateway.clock import Deadline
from gateway.demo.servers import free_port
from gateway.dicom.attributes import Level, text
from gateway.dicom.find import to_find
from gateway.dicom.query import matches, parse_query

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(shutil.which("Orthanc") is None, reason="Orthanc is not installed"),
]

NAMES = [
    ("Иванов^Пётр", "ISO_IR 192"),
    ("ИВАНОВ^ПЕТР^^", "ISO_IR 144"),
    ("ИВАНОВА ЁЛКА", "ISO_IR 192"),
    ("IVANOV^PETR^^", "ISO_IR 100"),
    ("Müller^Jörg", "ISO_IR 100"),
    ("Smith John", "ISO_IR 100"),
    ("DOE, JR^X", "ISO_IR 192"),
    ("Yamada^Tarou=山田^太郎", "ISO_IR 192"),
    ("Пад ^ Y-Z", "ISO_IR 192"),
    ("a*b?c%d_e'f[g](h).+", "ISO_IR 192"),
]
NAME_KEYS = [
    "иванов*", "*иванов*", "иванов петр", "ИВАНОВ^ПЁТР", "Иванов^П?тр", "Иванов?Петр", "*ё*",
    "елка", "*елка", "ivanov^petr", "IVANOV^*", "ivanov petr", "müller*", "MÜLLER^JÖRG", "M?ller*",
    "smith john", "SMITH^JOHN", "DOE, JR*", "*jr*", "Yamada*", "*山田*", "yamada^tarou",
    "yamada*=山田*", "пад y-z", "ПАД*", "a*b*", "*[g]*", "*.+", "*_e'f*", "*%*", "?????*", "zzz*",
]  # fmt: skip
DATES = ["20240105", "20240110", "20231231", "", "20240105 "]
MODALITIES = [("CT", "SR"), ("MR",), ("CR",), ("CT",), ("US", "OT")]
STUDY_KEYS = [
    *[{name: key} for name in ("PatientName", "ReferringPhysicianName") for key in NAME_KEYS],
    *[
        {"StudyDate": key}
        for key in ("20240105", "20240101-20240106", "20240105-", "-20240105", "20240106 - ")
    ],
    *[{"StudyTime": key} for key in ("1015", "10", "1000-1016", "101530", "-1015")],
    *[{"ModalitiesInStudy": key} for key in ("CT", "CT,MR", "C?", "S*\\MR", "ct", "XX")],
    {"ModalitiesInStudy": "CT,SR", "multiplevaluematching": "true"},
    {"Modality": "CT"},
    *[
        {"PatientID": key}
        for key in ("P 1", "p 1", "P*", "P?1", "*1", "P 1\\P 2", "p 1\\P 2", "1\\P-9")
    ],
    *[{"AccessionNumber": key} for key in ("Акт-3", "акт-3", "Акт*", "А?т-3")],
    *[
        {"StudyDescription": key}
        for key in ("Грудная Ё Z я", "Грудная*", "*Ё*", "?рудная *", "*Z я", "* Ё Z*")
    ],
    {"StudyInstanceUID": "1.2.3.1,1.2.3.2"},
    {"StudyID": "S1"},
    {"StudyID": "S*"},
    {"PatientSex": "M"},
    {"PatientBirthDate": "19700102"},
    {"PatientBirthDate": "19700101-"},
    {"PatientName": "*иванов*", "StudyDate": "20240101-20240131", "ModalitiesInStudy": "MR,CT"},
    {"IssuerOfPatientID": "H1"},
    {},
]


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory):
    """URL of a fresh Orthanc that holds one study for each name."""
    folder = tmp_path_factory.mktemp("orthanc")
    http, dicom = free_port(), free_port()
    (folder / "orthanc.json").write_text(
        json.dumps(
            {
                "StorageDirectory": str(folder / "db"),
                "IndexDirectory": str(folder / "db"),
                "HttpPort": http,
                "DicomPort": dicom,
                "AuthenticationEnabled": False,
                "RemoteAccessAllowed": False,
                "DefaultEncoding": "Utf8",
                "Plugins": [],
            }
        )
    )
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(["Orthanc", folder / "orthanc.json"], stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{http}"
        _wait_for(url + "/system", process)
        for n, (name, charset) in enumerate(NAMES, 1):
            for body in _study(n, name, charset):
                _call(url + "/instances", body)
        yield url
    finally:
        process.terminate()
        process.wait(20)


def _wait_for(url: str, process: subprocess.Popen) -> None:
    deadline = Deadline(60)
    while process.poll() is None and not deadline.passed:
        with contextlib.suppress(OSError):
            _call(url)
            return
        threading.Event().wait(0.1)
    raise RuntimeError("Orthanc did not start")


def _call(url: str, body: bytes | None = None) -> object:
    with urllib.request.urlopen(url, body, timeout=20) as answer:
        return json.load(answer)


def _study(n: int, name: str, charset: str) -> list[bytes]:
    bodies = []
    for series, modality in enumerate(MODALITIES[n % len(MODALITIES)], 1):
        file = File()
        file.file_meta = FileMetaDataset()
        file.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        file.file_meta.MediaStorageSOPClassUID = file.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
        file.SOPInstanceUID = f"1.2.3.{n}.{series}.1"
        file.file_meta.MediaStorageSOPInstanceUID = file.SOPInstanceUID
        file.StudyInstanceUID, file.SeriesInstanceUID = f"1.2.3.{n}", f"1.2.3.{n}.{series}"
        file.SpecificCharacterSet = charset
        file.PatientName = file.ReferringPhysicianName = name
        file.PatientID, file.StudyID, file.Modality = f"P {n}", f"S{n}", modality
        file.PatientBirthDate, file.PatientSex = "19700102", "M"
        file.StudyDate, file.StudyTime = DATES[n % len(DATES)].strip(), ("1015", "101530.5")[n % 2]
        if charset == "ISO_IR 192":
            file.AccessionNumber, file.StudyDescription = f"Акт-{n}", "Грудная Ё Z я"
        file.SeriesNumber = file.InstanceNumber = series
        buffer = io.BytesIO()
        file.save_as(buffer, enforce_file_format=True)
        bodies.append(buffer.getvalue())
    return bodies


def _find(orthanc: str, level: str, asked: dict[str, str]) -> list[dict]:
    question = {"Level": level, "Expand": True, "Query": asked}
    return _call(orthanc + "/tools/find", json.dumps(question).encode())


@pytest.fixture(scope="module")
def rows(orthanc):
    """All studies as DICOM JSON, told by Orthanc itself, with ModalitiesInStudy from its series."""
    found = []
    for study in _find(orthanc, "Study", {}):
        first = _call(f"{orthanc}/studies/{study['ID']}/instances")[0]["ID"]
        raw = urllib.request.urlopen(f"{orthanc}/instances/{first}/file", timeout=20).read()
        file = dcmread(io.BytesIO(raw))
        uid = str(file.StudyInstanceUID)
        series = _find(orthanc, "Series", {"StudyInstanceUID": uid})
        modalities = [one["MainDicomTags"]["Modality"] for one in series]
        dataset = json.loads(json.dumps(file.to_json_dict()))
        found.append(dataset | {"00080061": {"vr": "CS", "Value": modalities}})
    assert len(found) == len(NAMES)
    return found


@pytest.mark.parametrize("keys", STUDY_KEYS, ids=str)
def test_orthanc_is_never_asked_too_narrowly(orthanc, rows, keys):
    query = parse_query(Level.STUDY, list(keys.items()), max_results=1000)
    answer = _find(orthanc, "Study", to_find(query))
    asked = {one["MainDicomTags"]["StudyInstanceUID"] for one in answer}
    wanted = {text(one, "StudyInstanceUID") for one in rows if matches(query, one)}
    assert wanted <= asked


def test_the_rows_that_doctors_look_for_are_found(rows):
    def found(key: str) -> set[str]:
        query = parse_query(Level.STUDY, [("PatientName", key)], max_results=1000)
        return {text(one, "PatientName") for one in rows if matches(query, one)}

    assert found("иванов петр") == {"Иванов^Пётр", "ИВАНОВ^ПЕТР^^", "IVANOV^PETR^^"}
    assert found("*山田*") == {"Yamada^Tarou"}
    assert found("müller*") == {"Müller^Jörg"}
