"""Any search (trust.md H3, H24-H28, H39): refused with its field named, or answered soundly."""

from hypothesis import given
from hypothesis import strategies as st
from pydicom.datadict import DicomDictionary

from tests.fuzz.door import Door
from tests.fuzz.words import words

PATHS = ("/dicom-web/studies", "/dicom-web/series", "/dicom-web/studies/1.2.840.9.1/series",
         "/sites/gkb1/dicom-web/studies")  # fmt: skip
USUAL = ("PatientName", "PatientID", "StudyDate", "StudyTime", "AccessionNumber",
         "StudyInstanceUID", "ModalitiesInStudy", "ReferringPhysicianName", "limit", "offset",
         "includefield",
         "fuzzymatching", "00100010", "RequestAttributesSequence.RequestedProcedureID",
         "emptyvaluematching", "multiplevaluematching", "PatientBirthDate")  # fmt: skip
ALL_KEYWORDS = sorted(entry[4] for entry in DicomDictionary.values() if entry[4])
VALUES = ("20260101", "20260101-", "-20260101", "20260101-20261231", "1010-1030", "*", "?",
          "CT\\MR", "Иван*", "*ив*", "", '""', "true", "false", "0", "1", "100", "all",
          "1.2.840.9.1")  # fmt: skip

keys = st.one_of(st.sampled_from(USUAL), st.sampled_from(ALL_KEYWORDS), words)
values = st.one_of(st.sampled_from(VALUES), words)


@given(
    path=st.sampled_from(PATHS),
    asked=st.lists(st.tuples(keys, values), max_size=5),
    accept=st.sampled_from(("application/dicom+json", "*/*")),
)
def test_a_search_is_refused_or_its_page_is_sound(
    door: Door, path: str, asked: list[tuple[str, str]], accept: str
) -> None:
    answer = door.ask("GET", path, query_string=asked, headers={"Accept": accept})
    if answer.status_code != 200:
        assert answer.status_code in (400, 404, 413), answer.get_data()
        assert answer.status_code == 404 or answer.get_json()["field"]
        return
    rows = answer.get_json()
    limits = [value for name, value in asked if name == "limit" and value]
    assert len(rows) <= int(limits[0] if limits else 1000)
    assert int(answer.headers.get("X-Total-Count", len(rows))) >= len(rows)
    for row in rows:
        assert row["0020000D"]["Value"]
