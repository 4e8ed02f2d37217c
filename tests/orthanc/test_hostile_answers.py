"""A site may answer any JSON: it fails alone, by a SiteError, and the merge stands (H84)."""

from typing import Any, Self

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.clock import Deadline
from gateway.dicom.attributes import Level
from gateway.dicom.query import Query, parse_query
from gateway.errors import SiteError
from gateway.federation.merge import merge
from gateway.orthanc import dicomweb, holdings
from gateway.orthanc.storing import send_store
from tests.fakes import a_site

STUDY = "1.2.3"
UIDS = st.sampled_from([STUDY, "1.2.4", " 1.2.3 ", "1.2.3\n", "../../system", "", "x" * 70])
ATOMS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(min_value=-(2**63), max_value=2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    UIDS,
    st.sampled_from(["20240501", "99999999", "-", "101500", "CT", "1e999", "9" * 30]),
)
_TAGS = """0020000D 0020000E 00080018 00080020 00080030 00080050 00080061 00080060 00100010 00100020
    00100030 00200010 00200011 00200013 00201206 00201208 00081190 00080201 00080090 00100021
    00101000 00101002"""
_WORDS = """vr Value Alphabetic BulkDataURI ID ParentStudy ParentSeries MainDicomTags
    PatientMainDicomTags StudyInstanceUID SeriesInstanceUID SOPInstanceUID StudyDate Modality"""
KEYS = st.sampled_from([*_TAGS.split(), *_WORDS.split()])
JSON = st.recursive(
    ATOMS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=25,
)
TAGS = st.dictionaries(KEYS, UIDS | ATOMS, max_size=6)
ENTRY = st.fixed_dictionaries(
    {"ID": ATOMS, "MainDicomTags": TAGS | JSON},
    optional={"PatientMainDicomTags": TAGS | JSON, "ParentStudy": JSON, "ParentSeries": JSON},
)
ELEMENT = st.fixed_dictionaries({"vr": ATOMS}, optional={"Value": st.lists(JSON, max_size=3)})
ROW = st.dictionaries(KEYS, ELEMENT | JSON, max_size=8)
ANSWER = st.lists(ENTRY | ROW, max_size=4) | JSON

QUERIES = [
    parse_query(level, params, max_results=10)
    for level in Level
    for params in (
        [],
        [("PatientName", "a*")],
        [("StudyDate", "20240101-"), ("ModalitiesInStudy", "CT")],
        [("StudyInstanceUID", STUDY), ("RequestAttributesSequence.ScheduledProcedureStepID", "a")],
    )
]


class HostileWire:
    """Answers every question with the next of its answers."""

    def __init__(self, answers: list[Any]) -> None:
        self.answers = answers
        self.asked = 0

    def open(self, *_args: Any, **_more: Any) -> "HostileWire":
        self.asked += 1
        return self

    status = 200

    def read_all(self, _limit: int) -> bytes:
        return orjson.dumps(self.answers[self.asked % len(self.answers)])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        pass


@pytest.mark.parametrize("kind", ["orthanc", "dicomweb"])
@settings(max_examples=100, deadline=None)
@given(answers=st.lists(ANSWER, min_size=1, max_size=3), query=st.sampled_from(QUERIES))
def test_any_json_is_an_answer_or_a_site_error(kind: str, answers: list[Any], query: Query) -> None:
    site = a_site("gkb1", kind=kind)
    wire: Any = HostileWire(answers)
    try:
        page = dicomweb.search(wire, site, query, Deadline(5))
        holdings.find_study(wire, site, STUDY, Deadline(5))
        copies = holdings.list_copies(wire, site, STUDY, Deadline(5))
        holdings.find_studies_of(wire, site, {STUDY, "1.2.4"}, Deadline(5))
        holdings.find_patients(wire, site, STUDY, Deadline(5))
        send_store(wire, site, "b", iter(()), 5)
    except SiteError:
        return
    assert all(
        path.count("/") in (2, 6) and "\n" not in path for p in copies.values() for path in p
    )
    assert all("/" not in uid and "\n" not in uid for uid in page.uids)
    merged = merge([page], query, {"gkb1": site}, "https://gw.example/dicom-web")
    orjson.dumps(merged.rows)
