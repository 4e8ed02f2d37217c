"""Storing: parts pass through, and each instance is judged by what the site then holds."""

import io
from collections.abc import Iterable, Mapping

import pytest

from gateway.dicom.multipart import MultipartReader, closing, part_head
from gateway.dicom.store_response import CANNOT_UNDERSTAND, OTHER_STUDY, OUT_OF_RESOURCES
from gateway.errors import BadRequest, NoSiteAnswered, SiteTimeout
from gateway.federation.store import store
from tests.dicom.test_part10 import file_of


class FakeArchive:
    """Keeps what is sent to it, unless told otherwise."""

    def __init__(self, keeps: bool = True, fails: Exception | None = None) -> None:
        self.files: list[bytes] = []
        self.keeps = keeps
        self.fails = fails

    def send(self, boundary: str, body: Iterable[bytes]) -> Mapping[str, int]:
        stream = io.BytesIO(b"".join(body))
        reader = MultipartReader(stream.read, boundary.encode())
        received = [part.read(2**20) for part in reader]
        if self.keeps:
            self.files += received
        if self.fails:
            raise self.fails
        return {}

    def holds(self, _study_uid: str) -> frozenset[str]:
        return frozenset(
            uid
            for uid in ("1.2.3.4", "1.2.3.5")
            if any(uid.encode() in data for data in self.files)
        )


def parts_of(*files: bytes, end: bytes | None = None) -> MultipartReader:
    head = part_head("b", [("Content-Type", "application/dicom")])
    body = b"".join(head + data + b"\r\n" for data in files)
    body += closing("b") if end is None else end
    return MultipartReader(io.BytesIO(body).read, b"b")


def outcome(archive: FakeArchive, *files: bytes, study: str | None = None) -> list[int | None]:
    results = store(parts_of(*files), "north", study, archive.send, archive.holds)
    return [result.failure for result in results]


GOOD = file_of()
SECOND = file_of(SOPInstanceUID="1.2.3.5")


def test_bytes_arrive_untouched() -> None:
    archive = FakeArchive()
    assert (outcome(archive, GOOD, SECOND), archive.files) == ([None, None], [GOOD, SECOND])


def test_a_part_that_is_no_dicom_does_not_spoil_the_others() -> None:
    archive = FakeArchive()
    assert outcome(archive, GOOD, b"garbage", SECOND) == [None, CANNOT_UNDERSTAND, None]


def test_parts_of_another_study_are_refused_one_by_one() -> None:
    other = file_of(StudyInstanceUID="1.2.9")
    archive = FakeArchive()
    assert outcome(archive, GOOD, other, study="1.2.3") == [None, OTHER_STUDY]
    assert archive.files == [GOOD]


def test_a_site_that_says_yes_and_keeps_nothing_has_not_stored() -> None:
    assert outcome(FakeArchive(keeps=False), GOOD) == [OUT_OF_RESOURCES]


def test_a_site_that_stores_and_then_is_silent_has_stored() -> None:
    archive = FakeArchive(fails=SiteTimeout("north", 60))
    assert outcome(archive, GOOD) == [None]


def test_a_site_that_cannot_say_what_it_holds_makes_the_client_repeat() -> None:
    def silent(_study_uid: str) -> frozenset[str]:
        raise SiteTimeout("north", 60)

    with pytest.raises(NoSiteAnswered):
        store(parts_of(GOOD), "north", None, FakeArchive().send, silent)


def test_a_body_without_its_end_is_refused_and_nothing_is_reported() -> None:
    archive = FakeArchive()
    with pytest.raises(BadRequest):
        store(parts_of(GOOD, end=b""), "north", None, archive.send, archive.holds)
