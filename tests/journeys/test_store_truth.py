"""What a store answer says is what the real sites then hold: duplicates, conflicts, a full disk."""

import gzip
import hashlib
import io
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from xml.etree import ElementTree

import pydicom
import pytest
import requests
from pydicom.uid import DeflatedExplicitVRLittleEndian

from gateway.demo.servers import GENERATIONS, OrthancServer, free_port
from gateway.dicom.native_model import NAMESPACE
from gateway.dicom.store_response import (
    DUPLICATE,
    OTHER_PATIENT,
    OUT_OF_RESOURCES,
    PROCESSING_FAILURE,
)
from gateway.records.alarms import load_alarms
from gateway.records.engine import open_records
from tests.dicom.test_part10 import nested
from tests.journeys.conftest import Region
from tests.journeys.test_retrieve_journey import path_of
from tests.journeys.test_store_journey import BOUNDARY, multipart, store, stored
from tests.running import start_gateway
from tests.studies import Instance, a_study, an_instance

pytestmark = pytest.mark.real

CONTENT_TYPE = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'


def reasons(answer: requests.Response) -> list[int]:
    items = answer.json().get("00081198", {}).get("Value", [])
    return [item["00081197"]["Value"][0] for item in items]


def copies(region: Region, site: str, instance: Instance) -> list[str]:
    """MD5 of each copy that a site holds of an instance, asked past the gateway."""
    server = region.servers[site]
    session = requests.Session()
    session.auth = server.auth
    query = {"Level": "Instance", "Query": {"SOPInstanceUID": instance.instance_uid}}
    found = session.post(server.url + "/tools/find", json=query, timeout=30).json()
    return [
        hashlib.md5(
            session.get(f"{server.url}/instances/{name}/file", timeout=30).content,
            usedforsecurity=False,
        ).hexdigest()
        for name in found
    ]


def md5(instance: Instance) -> str:
    return hashlib.md5(instance.data, usedforsecurity=False).hexdigest()


def test_other_content_under_a_held_uid_is_a_conflict_and_the_original_stays(
    empty_region: Region,
) -> None:
    """H82"""
    original = an_instance(200)
    forged = an_instance(200, StudyDescription="Подмена")
    assert store(empty_region, original.data).status_code == 200
    answer = store(empty_region, forged.data)
    assert (answer.status_code, stored(answer), reasons(answer)) == (409, [], [DUPLICATE])
    assert copies(empty_region, "archive", original) == [md5(original)]


def test_a_conflict_does_not_hold_up_the_rest(empty_region: Region) -> None:
    original, other = an_instance(201), an_instance(201, number=2)
    assert store(empty_region, original.data).status_code == 200
    forged = an_instance(201, StudyDescription="Подмена")
    answer = store(empty_region, forged.data, original.data, other.data)
    assert (answer.status_code, stored(answer), reasons(answer)) == (
        202,
        [original.instance_uid, other.instance_uid],
        [DUPLICATE],
    )


def test_a_study_goes_to_the_hospital_that_holds_it(empty_region: Region) -> None:
    image, report = an_instance(210), an_instance(210, series=2)
    assert store(empty_region, image.data, root="/sites/zlat/dicom-web").status_code == 200
    assert store(empty_region, report.data).status_code == 200
    assert (
        copies(empty_region, "zlat", report),
        copies(empty_region, "archive", report),
    ) == ([md5(report)], [])


def test_a_named_site_takes_a_copy_but_not_other_content_of_what_another_holds(
    empty_region: Region,
) -> None:
    """H83"""
    image = an_instance(211)
    forged = an_instance(211, StudyDescription="Подмена")
    root = "/sites/archive/dicom-web"
    assert store(empty_region, image.data, root="/sites/zlat/dicom-web").status_code == 200
    answer = store(empty_region, forged.data, root=root)
    assert (answer.status_code, reasons(answer)) == (409, [DUPLICATE])
    assert copies(empty_region, "archive", image) == []
    assert store(empty_region, image.data, root=root).status_code == 200
    assert copies(empty_region, "archive", image) == [md5(image)]


def test_images_of_another_patient_do_not_come_into_a_held_study(empty_region: Region) -> None:
    mine, foreign = an_instance(212), an_instance(212, number=2, PatientID="another")
    assert store(empty_region, mine.data).status_code == 200
    answer = store(empty_region, foreign.data)
    assert (answer.status_code, reasons(answer)) == (409, [OTHER_PATIENT])
    assert copies(empty_region, "archive", foreign) == []


@pytest.mark.parametrize("site", ["", "/sites/archive"], ids=["where it is", "at another site"])
@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"PatientID": "", "PatientName": "Сидорова^Анна"}, id="no id"),
        pytest.param({"PatientID": "Ж-17", "PatientName": "Сидорова^Анна"}, id="a Russian id"),
        pytest.param({"PatientName": "Чужой^Олег", "PatientBirthDate": "19990909"}, id="same id"),
    ],
)
def test_another_patient_is_known_by_more_than_an_identifier(
    empty_region: Region, site: str, changed: dict[str, str]
) -> None:
    """F20, H83"""
    mine, foreign = an_instance(214), an_instance(214, number=2, **changed)
    root = "/sites/zlat/dicom-web"
    assert store(empty_region, mine.data, root=root).status_code == 200
    answer = store(empty_region, foreign.data, root=f"{site}/dicom-web")
    assert (answer.status_code, reasons(answer)) == (409, [OTHER_PATIENT])
    assert [copies(empty_region, name, foreign) for name in ("zlat", "archive")] == [[], []]


def test_one_patient_may_be_spelt_in_several_ways(empty_region: Region) -> None:
    """F20: what does not disagree is no reason to refuse."""
    spelt = [
        an_instance(215, PatientID="Ж-17"),
        an_instance(215, number=2, PatientID="Ж-17", charset="ISO_IR 144"),
        an_instance(215, number=3, PatientID="", PatientName="IVANOV^PETR"),
        an_instance(215, number=4, PatientID="Ж-17", PatientName="Иванов^П", PatientBirthDate=""),
    ]
    answers = [store(empty_region, instance.data).status_code for instance in spelt]
    assert answers == [200] * 4


def test_a_uid_that_the_site_holds_in_another_study_is_a_conflict(empty_region: Region) -> None:
    """H82: an instance UID is of one study in the world."""
    original, new = an_instance(216), an_instance(217, number=2)
    forged = an_instance(217, SOPInstanceUID=original.instance_uid)
    assert store(empty_region, original.data).status_code == 200
    answer = store(empty_region, new.data, forged.data)
    assert (answer.status_code, stored(answer), reasons(answer)) == (
        202,
        [new.instance_uid],
        [DUPLICATE],
    )
    assert copies(empty_region, "archive", original) == [md5(original)]


def test_two_clients_that_send_the_same_study_at_once_both_succeed(empty_region: Region) -> None:
    study = a_study(213, (12,))
    files = [instance.data for instance in study]
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda _n: store(empty_region, *files), range(2)))
    assert [a.status_code for a in answers] == [200, 200]
    assert [len(copies(empty_region, "archive", i)) for i in study] == [1] * 12


def test_a_file_that_was_cut_is_refused(empty_region: Region) -> None:
    """H76: pydicom reads such a file without a word."""
    instance = an_instance(220)
    answer = store(empty_region, instance.data[:-10])
    assert (answer.status_code, reasons(answer)) == (400, [0xC000])
    assert copies(empty_region, "archive", instance) == []


def test_a_deflated_file_is_refused_and_never_inflated(empty_region: Region) -> None:
    """H74"""
    plain, good = an_instance(221), an_instance(222)
    file = pydicom.dcmread(io.BytesIO(plain.data))
    file.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    out = io.BytesIO()
    file.save_as(out)
    answer = store(empty_region, out.getvalue())
    (other,) = answer.json()["0008119A"]["Value"]  # it is not read, so it has no name
    assert (answer.status_code, other["00081197"]["Value"]) == (409, [0xC122])
    answer = store(empty_region, out.getvalue(), good.data)
    assert (answer.status_code, stored(answer)) == (202, [good.instance_uid])
    assert [copies(empty_region, "archive", one) for one in (plain, good)] == [[], [md5(good)]]


PREAMBLES = [b"MZ", b"\x7fELF", b"<html>", b"%PDF-1.4", b"II*\0"]


@pytest.mark.parametrize("magic", PREAMBLES)
def test_a_preamble_of_another_kind_of_file_is_kept_as_it_is(
    empty_region: Region, magic: bytes
) -> None:
    """H73: the bytes that are stored are those that came, what is given runs nowhere, and of a
    program somebody is told.
    """
    plain = an_instance(270 + PREAMBLES.index(magic))
    data = magic + plain.data[len(magic) :]
    polyglot = Instance(plain.study_uid, plain.series_uid, plain.instance_uid, plain.pixels, data)
    assert store(empty_region, polyglot.data).status_code == 200
    assert copies(empty_region, "archive", polyglot) == [md5(polyglot)]
    given = empty_region.gateway.get(
        path_of(polyglot), headers={"Accept": "application/dicom; transfer-syntax=*"}
    )
    assert (given.content, given.headers["Content-Type"]) == (data, "application/dicom")
    said = [given.headers[name] for name in ("X-Content-Type-Options", "Content-Disposition")]
    assert said == ["nosniff", "attachment"]
    records = open_records(f"sqlite:///{empty_region.gateway.folder / 'state' / 'gateway.db'}")
    kinds = [alarm.kind for alarm in load_alarms(records) if alarm.subject == plain.study_uid]
    records.close()
    assert kinds == (["executable_preamble"] if magic in (b"MZ", b"\x7fELF") else [])


# 7FE0 stands last in these files.
UNTIDY = {
    "an element out of order": struct.pack("<HH2sH", 0x0010, 0x0040, b"CS", 2) + b"M ",
    "group 0002 inside": struct.pack("<HH2sH", 0x0002, 0x0016, b"AE", 2) + b"AB",
    "an end of no item": struct.pack("<HHI", 0xFFFE, 0xE00D, 0),
    "a VR of a later edition": struct.pack("<HH2sHI", 0x0029, 0x1001, b"ZZ", 0, 2) + b"ab",
    "no VR": struct.pack("<HH2sH", 0x0029, 0x1001, b"??", 2) + b"ab",
    "no VR before the UIDs": b"",
    "an odd length": struct.pack("<HH2sH", 0x0029, 0x1001, b"LO", 3) + b"odd",
    "4,000 private elements": b"".join(
        struct.pack("<HH2sH", 0x0029, 0x1000 + n, b"LO", 2) + b"ab" for n in range(4_000)
    ),
}


def test_a_nesting_that_a_site_could_die_of_never_reaches_it(empty_region: Region) -> None:
    """H75: measured, Orthanc 1.10.1 dies of 100 sequences within each other."""
    good, plain, large = an_instance(290), an_instance(291), an_instance(292)
    deep = nested(100, defined=True, explicit=True)
    at = [one.data.rindex(b"\xe0\x7f\x10\x00") for one in (plain, large)]
    much = struct.pack("<HH2sHI", 0x0029, 0x1010, b"OB", 0, 2**23) + bytes(2**23)
    answer = store(
        empty_region,
        plain.data[: at[0]] + deep + plain.data[at[0] :],
        good.data,
        large.data[: at[1]] + much + deep + large.data[at[1] :],
    )
    assert (answer.status_code, stored(answer)) == (202, [good.instance_uid])
    assert reasons(answer) == [0xC000, 0xC000]
    assert copies(empty_region, "archive", good) == [md5(good)]


ITEM = struct.pack("<HHI", 0xFFFE, 0xE000, 4) + b"abcd"
UNREADABLE = {
    "an item outside of a sequence": ITEM,
    "an open item outside of a sequence": struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    + struct.pack("<HHI", 0xFFFE, 0xE00D, 0),
    "an end of no sequence": struct.pack("<HHI", 0xFFFE, 0xE0DD, 0),
    "a sequence of something else than items": struct.pack("<HH2sHI", 0x29, 0x1010, b"SQ", 0, 8)
    + struct.pack("<HH2sH", 0x29, 0x11, b"LO", 0),
    "an unknown VR in the short form": struct.pack("<HH2sH", 0x29, 0x1010, b"ZZ", 2) + b"ab",
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_no_site_can_read_is_told_as_such_and_never_as_want_of_room(
    empty_region: Region, name: str
) -> None:
    """H77: Orthanc says that something of a request was not read, and not what."""
    number = 310 + list(UNREADABLE).index(name)
    bad, good = an_instance(number), an_instance(number, number=2)
    at = bad.data.rindex(b"\xe0\x7f\x10\x00")
    data = bad.data[:at] + UNREADABLE[name] + bad.data[at:]
    answer = store(empty_region, data)
    assert (answer.status_code, stored(answer), reasons(answer)) == (400, [], [0xC000])
    answer = store(empty_region, data, good.data)
    assert (answer.status_code, stored(answer), reasons(answer)) == (
        202,
        [good.instance_uid],
        [0xC000],
    )
    assert [copies(empty_region, "archive", one) for one in (bad, good)] == [[], [md5(good)]]


OTHERS_STUDY = b"\x20\x00\x0d\x00UI" + struct.pack("<H", len(an_instance(320).study_uid))
FOREIGN = b"\x10\x00\x20\x00LO\x08\x00FOREIGN "
NO_TEXT = b"\x10\x00\x20\x00OB\0\0\x04\0\0\0ABCD"


def test_a_patients_identifier_that_is_no_text_is_not_taken_for_want_of_room(
    empty_region: Region,
) -> None:
    """Measured: Orthanc says yes and keeps nothing, as it does when its disk is full."""
    file = an_instance(330)
    start = file.data.index(b"\x10\x00\x20\x00LO")
    end = file.data.index(b"\x10\x00\x30\x00DA")
    answer = store(empty_region, file.data[:start] + NO_TEXT + file.data[end:])
    assert (answer.status_code, stored(answer)) == (400, [])
    assert copies(empty_region, "archive", file) == []


TWO_OWNERS = {
    "a study before its own": (0x0020000D, OTHERS_STUDY + an_instance(320).study_uid.encode()),
    "a patient before its own": (0x00100020, FOREIGN),
    "a patient behind all else": (0x7FE00010, FOREIGN),
}


@pytest.mark.parametrize("name", TWO_OWNERS)
def test_a_file_that_says_twice_whose_it_is_comes_into_nobodys_study(
    empty_region: Region, name: str
) -> None:
    """F20, H83: which of the two a site believes is not what we would have judged by."""
    assert store(empty_region, an_instance(320).data).status_code == 200
    file = an_instance(321 + list(TWO_OWNERS).index(name))
    tag, element = TWO_OWNERS[name]
    at = file.data.rindex(struct.pack("<HH", tag >> 16, tag & 0xFFFF))
    answer = store(empty_region, file.data[:at] + element + file.data[at:])
    assert (answer.status_code, stored(answer)) == (400, [])
    assert copies(empty_region, "archive", file) == []


OPEN_ITEM = struct.pack("<HH2sHIHHI", 0x10, 0x1002, b"SQ", 0, 8, 0xFFFE, 0xE000, 0xFFFFFFFF)
END_OF_ITEM = struct.pack("<HHI", 0xFFFE, 0xE00D, 0)


def test_a_study_that_is_hidden_behind_a_sequence_is_not_reached(empty_region: Region) -> None:
    """F20, H83: for who steps over the sequence by its length the file is of a new study."""
    mine = an_instance(325)
    foreign = an_instance(325, number=2, PatientID="FOREIGN", PatientName="Чужой^Олег")
    pretended = an_instance(326, number=2).data
    assert store(empty_region, mine.data).status_code == 200
    marks = (b"\x20\x00\x0d\x00UI", b"\x20\x00\x10\x00SH")
    shown = pretended[slice(*(pretended.index(mark) for mark in marks))]
    at = foreign.data.index(marks[0])
    data = foreign.data[:at] + OPEN_ITEM + shown + END_OF_ITEM + foreign.data[at:]
    answer = store(empty_region, data)
    assert (answer.status_code, stored(answer)) == (400, [])
    assert copies(empty_region, "archive", foreign) == []


@pytest.mark.parametrize("name", UNTIDY)
def test_an_untidy_file_is_stored_if_the_site_takes_it(empty_region: Region, name: str) -> None:
    """H77: what is told is what the site holds, and the gateway gives it on."""
    plain = an_instance(280 + list(UNTIDY).index(name))
    at = plain.data.rindex(b"\xe0\x7f\x10\x00")
    data = plain.data[:at] + UNTIDY[name] + plain.data[at:]
    if name == "no VR before the UIDs":
        data = plain.data.replace(b"\x08\x00\x60\x00CS", b"\x08\x00\x60\x00??")
    untidy = Instance(plain.study_uid, plain.series_uid, plain.instance_uid, plain.pixels, data)
    answer = store(empty_region, data)
    held = copies(empty_region, "archive", untidy)
    assert (answer.status_code, held) in [(200, [md5(untidy)]), (400, [])]
    if held:
        original = {"Accept": "application/dicom; transfer-syntax=*"}
        given = empty_region.gateway.get(path_of(untidy), headers=original)
        assert (given.status_code, given.content) == (200, data)
        statuses = [
            empty_region.gateway.get(path_of(untidy) + below).status_code
            for below in ("/metadata", "/rendered", "/frames/1")
        ]
        assert max(statuses) < 500


def test_the_answer_comes_in_xml_to_who_asks_for_it(empty_region: Region) -> None:
    instance = an_instance(230)
    answer = requests.post(
        f"{empty_region.gateway.dicomweb}/studies",
        data=multipart(instance.data),
        headers={"Content-Type": CONTENT_TYPE, "Accept": "application/dicom+xml"},
        timeout=60,
    )
    root = ElementTree.fromstring(answer.content)
    uid = f"{{{NAMESPACE}}}DicomAttribute[@tag='00081155']/{{{NAMESPACE}}}Value"
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/dicom+xml")
    assert [e.text for e in root.iterfind(f".//{uid}")] == [instance.instance_uid]


def test_a_compressed_body_is_refused_and_no_site_sees_it(empty_region: Region) -> None:
    """H20, E20: Orthanc would take a gigabyte of memory for some of these."""
    instance = an_instance(231)
    answer = requests.post(
        f"{empty_region.gateway.dicomweb}/studies",
        data=gzip.compress(multipart(instance.data)),
        headers={"Content-Type": CONTENT_TYPE, "Content-Encoding": "gzip"},
        timeout=60,
    )
    assert (answer.status_code, copies(empty_region, "archive", instance)) == (415, [])


SMALL_DISK = 'mount -t tmpfs -o size=512k tmpfs "$0/storage" && exec "$@"'
REJECTS = {"MaximumStorageSize": 1, "MaximumStorageMode": "Reject"}


@dataclass(frozen=True)
class Full:
    """A hospital with little room, and what its Orthanc says when there is none.

    Orthanc 1.10 says 200, 1.12 "processing failure" (0110), or A700 if it was given a limit.
    """

    region: Region
    failure: int
    status: int


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((GENERATIONS[0], {}, OUT_OF_RESOURCES, 507), id="1.10, its disk is full"),
        pytest.param((GENERATIONS[1], {}, PROCESSING_FAILURE, 503), id="1.12, its disk is full"),
        pytest.param((GENERATIONS[1], REJECTS, OUT_OF_RESOURCES, 507), id="1.12, at its limit"),
    ],
)
def full(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Full]:
    generation, settings, failure, status = request.param
    folder = tmp_path_factory.mktemp("full")
    server = OrthancServer(
        folder,
        "zlat",
        free_port(),
        free_port(),
        username="tests",
        password="secret-of-zlat",
        generation=generation,
        settings={"IndexDirectory": str(folder / "index"), **settings},
    )
    if not settings:  # a file system of its own, which ends with the process
        wrap = ("unshare", "--mount", "--map-root-user", "sh", "-c", SMALL_DISK, str(folder))
        server.command = wrap + server.command
    server.start()
    gateway = start_gateway(
        tmp_path_factory.mktemp("gateway"), {"zlat": server.url}, {"zlat": server}, home="zlat"
    )
    yield Full(Region(gateway, {"zlat": server}, {}), failure, status)
    gateway.program.stop()
    server.kill()


def test_a_site_without_room_is_told_for_each_instance_that_it_does_not_hold(full: Full) -> None:
    """E13"""
    study = a_study(240, (40,), frames=10)
    answer = store(full.region, *(instance.data for instance in study))
    here = {i.instance_uid for i in study if copies(full.region, "zlat", i)}
    assert (answer.status_code, set(stored(answer)), set(reasons(answer))) == (
        202,
        here,
        {full.failure},
    )
    assert 0 < len(here) < len(study)

    answer = store(full.region, an_instance(241, frames=400).data)
    assert (answer.status_code, stored(answer), reasons(answer)) == (
        full.status,
        [],
        [full.failure],
    )
