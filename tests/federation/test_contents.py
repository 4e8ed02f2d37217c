"""Copies of a study are compared once for each version, and only content counts (trust.md F19)."""

from collections.abc import Mapping
from threading import Event

import pytest
from pydicom.dataset import Dataset, FileMetaDataset

from gateway.clock import Deadline
from gateway.dicom.content import Content
from gateway.errors import SiteTimeout
from gateway.federation.contents import LARGEST_READ, Contents, Differing, File, pairs_to_read
from gateway.model.sites import Site
from tests.fakes import a_site

NORTH, SOUTH = a_site("north"), a_site("south")
SITES = [NORTH, SOUTH]
LE, IMPLICIT, JPEG = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.4.70"
PATIENCE_S = 60.0
DIFFER = Differing(frozenset({"1.2.1"}), frozenset({"north", "south"}))


def a_content(
    words: str = "КТ", pixels: str = "P", syntax: str = LE, *, coerced: bool = False
) -> Content:
    dataset = Dataset()
    dataset.StudyDescription = words
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    if coerced:
        dataset.OriginalAttributesSequence = [Dataset()]
    return Content(dataset, pixels)


class Hospitals:
    """Files by site: UID -> (hash, what is in it)."""

    def __init__(self, **files: Mapping[str, tuple[str, Content]]) -> None:
        self.files = files
        self.listed: list[str] = []
        self.told: list[tuple[str, Differing]] = []
        self.fails = False

    def list_files(self, site: Site, _study_uid: str, _deadline: Deadline) -> Mapping[str, File]:
        self.listed.append(site.site_id)
        if self.fails:
            raise SiteTimeout(site.site_id, 1.0)
        found = self.files[site.site_id]
        return {uid: File(md5, 1000, uid) for uid, (md5, _) in found.items()}

    def read_file(self, site: Site, path: str, _deadline: Deadline) -> Content:
        return self.files[site.site_id][path][1]

    def tell(self, study_uid: str, found: Differing) -> None:
        self.told.append((study_uid, found))

    def contents(self) -> Contents:
        return Contents(self.list_files, self.read_file, self.tell)


ORIGINAL, OTHER = ("a", a_content()), ("b", a_content("МР"))


@pytest.mark.parametrize(
    ("other", "found"),
    [
        pytest.param(ORIGINAL, Differing(), id="the same file"),
        pytest.param(OTHER, DIFFER, id="other attributes"),
        pytest.param(("b", a_content(pixels="Q")), DIFFER, id="other pixels"),
        pytest.param(("b", a_content()), Differing(), id="another head of the file"),
        pytest.param(("b", a_content(syntax=IMPLICIT)), Differing(), id="without VRs"),
        pytest.param(("b", a_content("МР", "Q", JPEG)), Differing(), id="compressed"),
        pytest.param(("b", a_content("МР", coerced=True)), Differing(), id="coerced attributes"),
        pytest.param(("b", a_content("МР", "Q", coerced=True)), DIFFER, id="more than coerced"),
        pytest.param(("", a_content("МР")), Differing(), id="a hash that is not kept"),
    ],
)
def test_only_other_content_counts(other: tuple[str, Content], found: Differing) -> None:
    hospitals = Hospitals(north={"1.2.1": ORIGINAL}, south={"1.2.1": other, "1.2.2": ORIGINAL})
    assert hospitals.contents().differing("1.2", SITES, "v1", PATIENCE_S) == found
    assert hospitals.told == [("1.2", found)]


def test_copies_are_compared_once_for_each_version() -> None:
    hospitals = Hospitals(north={"1.2.1": ORIGINAL}, south={"1.2.1": OTHER})
    contents = hospitals.contents()
    for version in ("v1", "v1", "v2"):
        assert contents.differing("1.2", SITES, version, PATIENCE_S) == DIFFER
    assert hospitals.listed == ["north", "south"] * 2


def test_who_does_not_wait_hears_the_outcome_later() -> None:
    hospitals = Hospitals(north={"1.2.1": ORIGINAL}, south={"1.2.1": OTHER})
    may_go_on = Event()
    tell = hospitals.tell

    def tell_late(study_uid: str, found: Differing) -> None:
        may_go_on.wait(PATIENCE_S)
        tell(study_uid, found)

    contents = Contents(hospitals.list_files, hospitals.read_file, tell_late)
    assert contents.differing("1.2", SITES, "v1", 0.0) == Differing()
    may_go_on.set()
    assert contents.differing("1.2", SITES, "v1", PATIENCE_S) == DIFFER


def test_a_site_that_fails_is_asked_again_and_nothing_is_claimed_meanwhile() -> None:
    hospitals = Hospitals(north={"1.2.1": ORIGINAL}, south={"1.2.1": OTHER})
    hospitals.fails = True
    contents = hospitals.contents()
    assert contents.differing("1.2", SITES, "v1", PATIENCE_S) == Differing()
    assert hospitals.told == []
    hospitals.fails = False
    while contents.differing("1.2", SITES, "v1", PATIENCE_S) != DIFFER:
        pass  # the failed comparison may still be leaving
    assert hospitals.told == [("1.2", DIFFER)]


def test_the_smallest_pairs_are_read_first_and_huge_ones_never() -> None:
    held = {
        "north": {"1": File("a", 10, "1"), "2": File("a", 5, "2"), "3": File("a", 1, "3")},
        "south": {"1": File("b", 10, "1"), "2": File("b", 6, "2"), "3": File("a", 1, "3")},
        "west": {"2": File("c", LARGEST_READ + 1, "2"), "4": File("d", 1, "4")},
    }
    assert pairs_to_read(held) == [("2", "north", "south"), ("1", "north", "south")]
