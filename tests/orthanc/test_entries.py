"""What an Orthanc refuses over one of its files is told by its entries, at a bounded cost."""

import re
from typing import Any, Self

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.clock import Deadline
from gateway.dicom.attributes import Level, integer, make, text, values
from gateway.dicom.query import Query
from gateway.errors import SiteError, SiteRefused
from gateway.orthanc import dicomweb, holdings
from gateway.orthanc.entries import find_rows
from tests.fakes import a_site
from tests.orthanc.test_hostile_answers import ANSWER

SITE = a_site("gkb1", patient_id_issuer="GKB1")
UIDS = [f"1.2.{n}" for n in range(1, 51)]
STUDIES = Query(level=Level.STUDY, limit=100)


class Answer:
    def __init__(self, status: int, found: Any) -> None:
        self.status = status
        self._found = found

    def read_all(self, _limit: int) -> bytes:
        return orjson.dumps(self._found)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        pass


class DamagedOrthanc:
    """Refuses every QIDO question that is about a bad study, as Orthanc does."""

    def __init__(self, *bad: str, status: int = 500) -> None:
        self.bad = set(bad)
        self.status = status
        self.refused = self.found = 0

    def open(self, _site: Any, _method: str, target: str, **more: Any) -> Answer:
        if target == "/tools/find":
            self.found += 1
            return Answer(200, self._entries(orjson.loads(more["body"])))
        uids = re.search(r"StudyInstanceUID=([0-9.,]+)", target)
        asked = uids[1].split(",") if uids else []
        if self.bad & set(asked):
            self.refused += 1
            return Answer(self.status, {"OrthancError": "Corrupted file"})
        return Answer(200, [{"0020000D": make("StudyInstanceUID", uid)} for uid in asked])

    def _entries(self, question: dict[str, Any]) -> list[dict[str, Any]]:
        uids = question["Query"]["StudyInstanceUID"].split("\\")
        if question["Level"] == "Series":
            return [
                {"ID": f"s-{uid}", "ParentStudy": uid, "Instances": ["a", "b"]}
                | {"MainDicomTags": {"Modality": "CT"}}
                for uid in uids
            ]
        return [
            {"ID": uid, "MainDicomTags": {"StudyInstanceUID": uid}}
            | {"PatientMainDicomTags": {"PatientName": "Иванов^Пётр", "PatientID": "7"}}
            for uid in uids
        ]


def describe(orthanc: Any) -> list[Any]:
    return list(dicomweb.describe(orthanc, SITE, STUDIES, UIDS, Deadline(5)))


@pytest.mark.parametrize("status", [400, 500])
def test_a_bad_row_is_isolated_and_made_of_its_entry(status: int) -> None:
    orthanc = DamagedOrthanc("1.2.17", status=status)
    rows = {text(row, "StudyInstanceUID"): row for row in describe(orthanc)}
    assert sorted(rows) == sorted(UIDS)
    assert (orthanc.refused, orthanc.found) == (7, 2)  # 50, 25, 13, 7, 4, 2, 1
    bad = rows["1.2.17"]
    assert (text(bad, "PatientName"), text(bad, "IssuerOfPatientID")) == ("Иванов^Пётр", "GKB1")
    assert (integer(bad, "NumberOfStudyRelatedInstances"), values(bad, "ModalitiesInStudy")) == (
        2,
        ["CT"],
    )
    assert "00100010" not in rows["1.2.18"], "the others are described by QIDO"


def test_where_everything_is_bad_the_questions_are_bounded() -> None:
    orthanc = DamagedOrthanc(*UIDS)
    assert len(describe(orthanc)) == len(UIDS)
    assert orthanc.refused <= 2 * dicomweb.MOST_REFUSALS


def test_a_refusal_over_a_row_is_none_where_no_entries_are() -> None:
    """Other servers have no /tools/find, and a site that is busy says so by another status."""
    target = "/dicom-web/studies?StudyInstanceUID=1.2.1"
    for site, status in ((a_site("pacs", kind="dicomweb"), 500), (SITE, 503)):
        wire: Any = DamagedOrthanc("1.2.1", status=status)
        with pytest.raises(SiteRefused):
            dicomweb.try_rows(wire, site, target, Deadline(5))


def test_the_holder_of_a_damaged_study_is_found() -> None:
    wire: Any = DamagedOrthanc("1.2.1")
    holder = holdings.find_study(wire, SITE, "1.2.1", Deadline(5))
    assert holder is not None
    assert (holder.site_id, holder.instances) == ("gkb1", 2)


class HostileWire:
    def __init__(self, answers: list[Any]) -> None:
        self.answers = answers
        self.asked = 0

    def open(self, *_args: Any, **_more: Any) -> Answer:
        self.asked += 1
        return Answer(200, self.answers[self.asked % len(self.answers)])


@given(answers=st.lists(ANSWER, min_size=1, max_size=3), level=st.sampled_from(Level))
def test_any_entries_are_rows_or_a_site_error(answers: list[Any], level: Level) -> None:
    """H84"""
    wire: Any = HostileWire(answers)
    try:
        rows = find_rows(wire, SITE, level, ["1.2.3"], Deadline(5))
    except SiteError:
        return
    assert all(isinstance(text(row, "StudyInstanceUID"), str) for row in rows)
    orjson.dumps(rows)
