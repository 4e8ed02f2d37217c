"""Storing: parts pass through, and each instance is judged by what the site then holds."""

import io
import tempfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain
from typing import BinaryIO

import pytest

from gateway.dicom.fingerprint import Fingerprint, fingerprint
from gateway.dicom.multipart import MultipartReader, closing, part_head
from gateway.dicom.part10 import Identity, identify, patient_of
from gateway.dicom.store_response import (
    CANNOT_UNDERSTAND,
    DUPLICATE,
    OTHER_PATIENT,
    OTHER_STUDY,
    OUT_OF_RESOURCES,
    PROCESSING_FAILURE,
    TRANSFER_SYNTAX,
)
from gateway.errors import (
    BadRequest,
    NoRoom,
    NoSiteAnswered,
    PatientsDiffer,
    SiteRefused,
    SiteTimeout,
)
from gateway.federation import arriving
from gateway.federation import store as module
from gateway.federation.store import store
from gateway.model.answers import Copy, Place, Refused, SiteSaid
from gateway.model.persons import identity_of
from tests.dicom.test_part10 import file_of

NORTH, SOUTH = "north", "south"


class FakeRegion:
    """Two sites that keep what is sent to them, as Orthanc does: the first copy of a UID stays.

    Studies go to `home`. keeps False: says yes and keeps nothing.
    """

    def __init__(self, *, keeps: bool = True, home: str = NORTH) -> None:
        self.files: dict[str, dict[str, bytes]] = {NORTH: {}, SOUTH: {}}
        self.homes: dict[str, str] = {}
        self.home = home
        self.keeps = keeps
        self.fails: dict[str, Exception] = {}
        self.said = SiteSaid()
        self.sent: list[str] = []
        self.asked: list[int] = []
        self.requests = 0
        self.chunks: list[int] = []
        self.disk_full = False

    def place(self, study_uid: str) -> Place:
        self._fail("place")
        site_id = self.homes.get(study_uid, self.home)
        other = SOUTH if site_id == NORTH else NORTH
        held = {name: self._of_study(name, study_uid) for name in (site_id, other)}
        patients = {
            name: tuple({identity_of(patient_of(found)): None for found in files.values()})
            for name, files in held.items()
        }
        return Place(
            site_id,
            patients[site_id],
            patients[other],
            "",
            {uid: [uid] for uid in held[site_id]},
            {uid: [Copy(other, uid)] for uid in held[other]},
        )

    def _of_study(self, site_id: str, study_uid: str) -> dict[str, Identity]:
        found = {uid: identify(data, whole=True) for uid, data in self.files[site_id].items()}
        return {uid: one for uid, one in found.items() if one.study_uid == study_uid}

    def held_otherwise(
        self, site_id: str, instances: Sequence[Identity]
    ) -> Collection[tuple[str, str]]:
        self._fail("held_otherwise")
        self.asked.append(len(instances))
        held = {
            uid: identify(data, whole=True).study_uid for uid, data in self.files[site_id].items()
        }
        return {
            (i.study_uid, i.sop_instance_uid)
            for i in instances
            if held.get(i.sop_instance_uid, i.study_uid) != i.study_uid
        }

    def send(self, site_id: str, boundary: str, body: Iterable[Sequence[bytes]]) -> SiteSaid:
        self.requests += 1
        chunks = [b"".join(pieces) for pieces in body]
        self.chunks += map(len, chunks)
        stream = io.BytesIO(b"".join(chunks))
        for part in MultipartReader(stream.read, boundary.encode()):
            data = part.read(2**20)
            uid = identify(data, whole=True).sop_instance_uid
            self.sent.append(uid)
            if self.keeps and uid not in self.said.failed:
                self.files[site_id].setdefault(uid, data)
        self._fail("send")
        return self.said

    def held(
        self, site_id: str, _study_uid: str, _sent: Collection[Identity]
    ) -> Mapping[str, Sequence[str]]:
        self._fail("held")
        return {uid: [uid] for uid in self.files[site_id]}

    def has_content(self, copy: Copy, content: Fingerprint) -> bool:
        self._fail("has_content")
        return fingerprint([self.files[copy.site_id][copy.path]]).same_content(content)

    def spool(self) -> BinaryIO:
        if self.disk_full:
            raise NoRoom
        return tempfile.TemporaryFile()

    def _fail(self, call: str) -> None:
        if call in self.fails:
            raise self.fails[call]


def parts_of(*files: bytes, end: bytes | None = None) -> MultipartReader:
    head = part_head("b", [("Content-Type", "application/dicom")])
    body = b"".join(head + data + b"\r\n" for data in files)
    body += closing("b") if end is None else end
    return MultipartReader(io.BytesIO(body).read, b"b")


def outcome(region: FakeRegion, *files: bytes, study: str | None = None) -> list[int | None]:
    return [result.failure for result in store(parts_of(*files), study, region)]


GOOD = file_of()
SECOND = file_of(SOPInstanceUID="1.2.3.5")
CHANGED = file_of(StudyDescription="Подмена")
ELSEWHERE = file_of(StudyInstanceUID="1.2.9", SOPInstanceUID="1.2.9.1")


def test_bytes_arrive_untouched() -> None:
    region = FakeRegion()
    assert outcome(region, GOOD, SECOND) == [None, None]
    assert list(region.files[NORTH].values()) == [GOOD, SECOND]


def test_a_file_without_its_preamble_gets_one() -> None:
    region = FakeRegion()
    assert (outcome(region, GOOD[128:]), list(region.files[NORTH].values())) == ([None], [GOOD])


def test_a_part_that_is_no_dicom_does_not_spoil_the_others() -> None:
    region = FakeRegion()
    assert outcome(region, GOOD, b"garbage", SECOND) == [None, CANNOT_UNDERSTAND, None]


def test_a_deflated_part_is_refused_for_its_transfer_syntax() -> None:
    assert outcome(FakeRegion(), file_of("1.2.840.10008.1.2.1.99")) == [TRANSFER_SYNTAX]


def test_parts_of_another_study_are_refused_one_by_one() -> None:
    region = FakeRegion()
    assert outcome(region, GOOD, ELSEWHERE, study="1.2.3") == [None, OTHER_STUDY]
    assert region.sent == ["1.2.3.4"]


def test_each_study_goes_to_its_own_site() -> None:
    region = FakeRegion()
    region.homes["1.2.9"] = SOUTH
    assert outcome(region, GOOD, ELSEWHERE, SECOND) == [None, None, None]
    assert [list(files) for files in region.files.values()] == [["1.2.3.4", "1.2.3.5"], ["1.2.9.1"]]


def test_many_instances_go_in_several_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 2)
    region = FakeRegion()
    files = [file_of(SOPInstanceUID=f"1.2.3.{n}") for n in range(10, 15)]
    assert (outcome(region, *files), region.requests) == ([None] * 5, 3)
    assert list(region.files[NORTH].values()) == files


def test_a_refused_instance_that_cannot_become_a_part_is_told_with_the_others() -> None:
    refused = Refused(identify(SECOND, whole=True), CANNOT_UNDERSTAND)
    results = store(chain(parts_of(GOOD), [refused]), None, FakeRegion())
    assert [(r.sop_instance_uid, r.failure) for r in results] == [
        ("1.2.3.4", None),
        ("1.2.3.5", CANNOT_UNDERSTAND),
    ]


def test_what_is_held_already_is_success_and_is_not_sent_again() -> None:
    region = FakeRegion()
    assert [outcome(region, GOOD), outcome(region, GOOD)] == [[None], [None]]
    assert region.sent == ["1.2.3.4"]


def test_other_content_under_a_held_uid_is_a_conflict_and_the_original_stays() -> None:
    region = FakeRegion()
    assert [outcome(region, GOOD), outcome(region, CHANGED)] == [[None], [DUPLICATE]]
    assert list(region.files[NORTH].values()) == [GOOD]


def test_a_uid_twice_in_one_request_is_judged_by_its_content() -> None:
    region = FakeRegion()
    assert outcome(region, GOOD, GOOD, CHANGED) == [None, None, DUPLICATE]
    assert region.sent == ["1.2.3.4"]


@pytest.mark.parametrize(("file", "failure"), [(GOOD, None), (CHANGED, DUPLICATE)])
def test_a_uid_that_another_hospital_holds_may_only_come_with_its_content(
    file: bytes, failure: int | None
) -> None:
    region = FakeRegion()
    region.files[SOUTH]["1.2.3.4"] = GOOD
    assert outcome(region, file) == [failure]
    assert list(region.files[NORTH].values()) == ([] if failure else [GOOD])


def test_what_cannot_be_compared_for_want_of_disk_is_told() -> None:
    region = FakeRegion()
    region.files[SOUTH]["1.2.3.4"] = GOOD
    region.disk_full = True
    assert outcome(region, GOOD, SECOND) == [OUT_OF_RESOURCES, None]


def test_images_of_another_patient_do_not_come_into_a_held_study() -> None:
    region = FakeRegion()
    mine, other = (
        file_of(PatientID=name, SOPInstanceUID=f"1.2.3.{n}") for n, name in ((7, "A"), (8, "B"))
    )
    assert [outcome(region, mine), outcome(region, other)] == [[None], [OTHER_PATIENT]]
    assert outcome(FakeRegion(), mine, other) == [None, OTHER_PATIENT]


IVANOV = {"PatientID": "7", "PatientName": "Иванов^Пётр", "PatientBirthDate": "19700101"}


@pytest.mark.parametrize(
    ("changed", "failure"),
    [
        pytest.param({"PatientID": ""}, None, id="no id"),
        pytest.param({"PatientID": "", "PatientName": "Сидорова^Анна"}, OTHER_PATIENT, id="name"),
        pytest.param({"PatientID": "", "PatientBirthDate": "19800101"}, OTHER_PATIENT, id="birth"),
        pytest.param({"PatientID": "Ж-7"}, OTHER_PATIENT, id="an id that is not ASCII"),
        pytest.param({"PatientID": "7", "PatientName": "IVANOV^PETR"}, None, id="in Latin"),
        pytest.param(
            {"PatientName": "Сидорова^Анна", "PatientBirthDate": "19800101"},
            OTHER_PATIENT,
            id="the id alone is the same",
        ),
    ],
)
def test_a_patient_is_told_by_more_than_the_identifier(
    changed: dict[str, str], failure: int | None
) -> None:
    """F20"""
    region = FakeRegion()
    assert outcome(region, file_of(**IVANOV)) == [None]
    other = file_of(SOPInstanceUID="1.2.3.5", **{**IVANOV, **changed})
    assert outcome(region, other) == [failure]


@pytest.mark.parametrize(
    ("name", "failure"), [("Иванов^Пётр^Ильич", None), ("Сидорова^Анна", OTHER_PATIENT)]
)
def test_a_new_study_of_a_site_may_not_be_another_patients_at_another(
    name: str, failure: int | None
) -> None:
    """H83, F20: the identifiers of two hospitals differ anyhow."""
    region = FakeRegion()
    region.files[SOUTH]["1.2.3.9"] = file_of(SOPInstanceUID="1.2.3.9", **IVANOV)
    other = file_of(**{**IVANOV, "PatientID": "A-1", "PatientName": name})
    assert outcome(region, other) == [failure]


def test_a_uid_that_is_held_in_another_study_is_a_conflict() -> None:
    """H82"""
    region = FakeRegion()
    assert outcome(region, GOOD) == [None]
    forged = file_of(StudyInstanceUID="1.2.9", SeriesInstanceUID="1.2.9.1")
    results = store(parts_of(forged, ELSEWHERE), None, region)
    assert [(r.failure, r.site_id) for r in results] == [(DUPLICATE, NORTH), (None, NORTH)]
    assert region.sent == ["1.2.3.4", "1.2.9.1"]
    assert outcome(FakeRegion(), GOOD, forged) == [None, DUPLICATE]


def test_a_site_is_asked_once_for_many_instances() -> None:
    region = FakeRegion()
    files = [file_of(SOPInstanceUID=f"1.2.3.{n}") for n in range(10, 90)]
    assert outcome(region, *files) == [None] * 80
    assert region.asked == [arriving.GROUP_PARTS, 80 - arriving.GROUP_PARTS]


def test_a_site_gets_the_first_instance_at_once_and_later_ones_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(arriving, "FIRST_BYTES", 1)
    monkeypatch.setattr(arriving, "GROUP_BYTES", 10 * len(GOOD))
    monkeypatch.setattr(arriving, "PREFIX_STEPS", (1000,))
    monkeypatch.setattr(module, "CHUNK_BYTES", 3 * len(GOOD))
    region = FakeRegion()
    files = [file_of(SOPInstanceUID=f"1.2.3.{n}") for n in range(10, 90)]
    assert outcome(region, *files) == [None] * 80
    assert region.asked[0] == 1
    assert max(region.asked) > 5
    assert region.chunks[0] < 2 * len(GOOD)
    assert len(region.chunks) < 80 / 2


def test_a_large_instance_is_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arriving, "FIRST_BYTES", 1000)
    monkeypatch.setattr(arriving, "PREFIX_STEPS", (2000,))
    region = FakeRegion()
    large = file_of(SOPInstanceUID="1.2.3.5", TextValue="x" * 9000)
    assert outcome(region, large, GOOD) == [None, None]
    assert region.asked == [1, 1]


def test_a_study_that_sites_hold_for_different_patients_goes_nowhere_and_the_rest_is_stored() -> (
    None
):
    class Shared(FakeRegion):
        def place(self, study_uid: str) -> Place:
            if study_uid == "1.2.9":
                raise PatientsDiffer(study_uid, (NORTH, SOUTH))
            return super().place(study_uid)

    region = Shared()
    results = store(parts_of(ELSEWHERE, GOOD), None, region)
    assert [(r.failure, r.site_id) for r in results] == [(OTHER_PATIENT, ""), (None, NORTH)]
    assert region.sent == ["1.2.3.4"]


def test_a_site_that_says_yes_and_keeps_nothing_has_not_stored() -> None:
    assert outcome(FakeRegion(keeps=False), GOOD) == [OUT_OF_RESOURCES]


def test_a_file_that_was_cut_and_is_not_kept_was_not_understood() -> None:
    assert outcome(FakeRegion(keeps=False), GOOD[:-1]) == [CANNOT_UNDERSTAND]


def test_what_the_site_could_not_read_is_not_taken_for_want_of_room() -> None:
    """H77: a status for the whole request, and no word of which part it is about."""
    region = FakeRegion(keeps=False)
    region.said = SiteSaid(status=400)
    assert outcome(region, GOOD) == [CANNOT_UNDERSTAND]
    assert outcome(region, GOOD, SECOND[:-1]) == [OUT_OF_RESOURCES, CANNOT_UNDERSTAND]


def test_the_reason_of_the_site_is_told() -> None:
    region = FakeRegion()
    region.said = SiteSaid(failed={"1.2.3.5": 0xA900})
    assert outcome(region, GOOD, SECOND) == [None, 0xA900]


def test_the_warning_of_the_site_is_told() -> None:
    region = FakeRegion()
    region.said = SiteSaid(warned={"1.2.3.4": 0xB000})
    assert [r.warning for r in store(parts_of(GOOD, SECOND), None, region)] == [0xB000, None]


def test_a_site_without_room_is_told_as_such() -> None:
    region = FakeRegion(keeps=False)
    region.fails["send"] = SiteRefused(NORTH, 507)
    assert outcome(region, GOOD) == [OUT_OF_RESOURCES]


def test_a_site_that_stores_and_then_is_silent_has_stored() -> None:
    region = FakeRegion()
    region.fails["send"] = SiteTimeout(NORTH, 60)
    assert outcome(region, GOOD) == [None]


@pytest.mark.parametrize("call", ["place", "held_otherwise", "send", "held"])
def test_a_site_that_fails_before_anything_is_stored_makes_the_client_repeat(call: str) -> None:
    region = FakeRegion(keeps=False)
    region.fails[call] = SiteTimeout(NORTH, 60)
    with pytest.raises(NoSiteAnswered) as caught:
        outcome(region, GOOD)
    assert caught.value.silent == {NORTH: "timeout"}


def test_a_second_study_whose_site_is_silent_does_not_hide_the_first() -> None:
    class OneStudyOnly(FakeRegion):
        def place(self, study_uid: str) -> Place:
            if study_uid == "1.2.9":
                raise SiteTimeout(SOUTH, 60)
            return super().place(study_uid)

    assert outcome(OneStudyOnly(), GOOD, ELSEWHERE) == [None, PROCESSING_FAILURE]


def test_a_copy_that_cannot_be_read_is_no_success() -> None:
    region = FakeRegion()
    assert outcome(region, GOOD) == [None]
    region.fails["has_content"] = SiteTimeout(NORTH, 60)
    assert outcome(region, GOOD) == [PROCESSING_FAILURE]


def test_a_body_without_its_end_is_refused_and_nothing_is_reported() -> None:
    with pytest.raises(BadRequest):
        store(parts_of(GOOD, end=b""), None, FakeRegion())
