"""Where a store request puts a study, as the index and the sites know it; the body's own faults."""

import os
import shutil
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import gevent
import pytest
import sqlalchemy as sa
from flask import Flask
from structlog.testing import capture_logs

from gateway.bootstrap import Gateway
from gateway.dicom.part10 import Identity
from gateway.dicom.store_response import (
    DUPLICATE,
    OTHER_PATIENT,
    PROCESSING_FAILURE,
    InstanceResult,
)
from gateway.errors import BadRequest, NoRoom, PatientsDiffer, SiteError, TooSlow
from gateway.model.answers import Copy
from gateway.records.alarms import load_alarms
from gateway.records.engine import metadata, open_records
from gateway.records.studies import site_cursor
from gateway.web import create_app, stow
from gateway.web.storing import RegionStorage, _Spool, raise_alarms
from tests.web.indexed import indexed_gateway, stubborn_sites
from tests.web.rows import ROWS, U, instances

CHEST, SMITH, DOE, NEW = (f"{U}.{n}" for n in (1, 2, 3, 99))


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """gkb1 and the archive hold CHEST; gkb1, the first of the list, is the home site."""
    folder = tmp_path_factory.mktemp("storing")
    with stubborn_sites(ROWS) as urls, indexed_gateway(folder, ROWS, live=urls) as gateway:
        yield gateway


def copy(site_id: str, study: int, number: int = 1) -> Copy:
    uid = f"{U}.{study}"
    return Copy(site_id, f"/studies/{uid}/series/{uid}.1/instances/{uid}.1.{number}")


@pytest.mark.parametrize(
    ("study_uid", "site_id"),
    [(CHEST, "gkb1"), (DOE, "zlat"), (NEW, "gkb1")],
    ids=["held at two sites", "held at one", "new"],
)
def test_a_study_goes_to_its_best_holder_and_a_new_one_home(
    gateway: Gateway, study_uid: str, site_id: str
) -> None:
    assert RegionStorage(gateway, None).place(study_uid).site_id == site_id


def test_a_named_site_wins_and_copies_of_others_are_known(gateway: Gateway) -> None:
    place = RegionStorage(gateway, "zlat").place(SMITH)
    assert (place.site_id, place.patients, place.here) == ("zlat", (), {})
    assert [other.patient_id for other in place.others] == ["78"]
    assert place.elsewhere == {f"{U}.2.1.1": [copy("gkb1", 2)]}


def test_what_the_site_holds_itself_is_known(gateway: Gateway) -> None:
    place = RegionStorage(gateway, None).place(CHEST)
    mine = {f"{U}.1.1.{n}": (copy("gkb1", 1, n).path,) for n in (1, 2)}
    others = {f"{U}.1.1.{n}": [copy("archive", 1, n)] for n in (1, 2)}
    assert (place.here, place.elsewhere, place.others) == (mine, others, ())
    (patient,) = place.patients
    assert (patient.patient_id, patient.issuer, patient.name) == ("77", "GKB1", "иванов петр ильич")


def test_a_series_that_another_hospital_holds_in_another_study_is_looked_at_there(
    gateway: Gateway,
) -> None:
    """H82"""
    known, unknown = (
        Identity("1.2", f"{U}.2.1.{n}", NEW, f"{U}.2.1") for n in (1, 2)
    )  # SMITH's series, which gkb1 holds
    storage = RegionStorage(gateway, "zlat")
    assert storage.held_otherwise("zlat", [known, unknown]) == {(NEW, known.sop_instance_uid)}
    same_study = replace(known, study_uid=SMITH)
    assert storage.held_otherwise("gkb1", [same_study]) == set()


def test_a_site_that_does_not_answer_takes_nothing(tmp_path: Path) -> None:
    with indexed_gateway(tmp_path, ROWS) as gateway, pytest.raises(SiteError):
        RegionStorage(gateway, None).place(NEW)


def test_sites_are_asked_where_there_is_no_index(tmp_path: Path) -> None:
    with stubborn_sites(ROWS) as urls, indexed_gateway(tmp_path, ROWS, live=urls) as gateway:
        with gateway.records.write() as connection:
            for table in metadata.tables.values():
                connection.execute(sa.delete(table))
        gateway._states_now.forget()
        assert RegionStorage(gateway, None).place(DOE).site_id == "zlat"


BYKOV, KOZLOVA = (
    instances(9, 1, PatientID=number, PatientName={"Alphabetic": name}, PatientBirthDate=born)
    for number, name, born in (("60", "Быков^Иван", "19700101"), ("61", "Козлова^Мария", "1980"))
)
SHARED = f"{U}.9"


@pytest.mark.parametrize(
    "unread", [(), ("zlat",), ("gkb1", "zlat")], ids=["by the index", "by both", "by the sites"]
)
def test_a_study_of_two_patients_is_stored_at_the_address_of_a_hospital_alone(
    tmp_path: Path, unread: tuple[str, ...]
) -> None:
    rows = {"gkb1": BYKOV, "zlat": KOZLOVA}
    with stubborn_sites(rows) as urls, indexed_gateway(tmp_path, rows, live=urls) as gateway:
        with gateway.records.write() as connection:
            connection.execute(sa.delete(site_cursor).where(site_cursor.c.site_id.in_(unread)))
        gateway._states_at = 0.0
        storage = RegionStorage(gateway, None)
        with pytest.raises(PatientsDiffer):
            storage.place(SHARED)
        assert storage.shared == {SHARED: ("gkb1", "zlat")}
        place = RegionStorage(gateway, "zlat").place(SHARED)
        numbers = [patient.patient_id for patient in place.patients]
        assert (place.site_id, numbers, list(place.elsewhere)) == (
            "zlat", ["61"], [f"{SHARED}.1.1"]
        )  # fmt: skip


def result(study: int, number: int, failure: int | None, site_id: str = "gkb1") -> InstanceResult:
    study_uid = f"{U}.{study}"
    uid = f"{study_uid}.1.{number}"
    return InstanceResult("1.2", uid, study_uid, f"{study_uid}.1", failure, None, site_id)


def test_refusals_of_a_study_are_one_alarm_of_each_kind(tmp_path: Path) -> None:
    with indexed_gateway(tmp_path, ROWS) as gateway:
        conflicts = [result(1, n, DUPLICATE) for n in range(1, 8)]
        foreign = [result(2, 1, OTHER_PATIENT), result(9, 1, OTHER_PATIENT, site_id="")]
        others = [result(3, 1, None), result(4, 1, PROCESSING_FAILURE)]
        # H73: what was not stored runs nowhere.
        programs = [replace(result(5, 1, why), program=True) for why in (None, PROCESSING_FAILURE)]
        for _ in range(2):
            raise_alarms(gateway.records, [*conflicts, *foreign, *others, *programs])
        found = {(a.kind, a.subject): a.facts for a in load_alarms(gateway.records)}
        assert found == {
            ("refused_other_content", CHEST): {
                "sites": ["gkb1"],
                "refused": 7,
                "instances": [f"{U}.1.1.{n}" for n in range(1, 6)],
            },
            ("refused_other_patient", SMITH): {
                "sites": ["gkb1"],
                "refused": 1,
                "instances": [f"{U}.2.1.1"],
            },
            ("executable_preamble", f"{U}.5"): {
                "sites": ["gkb1"],
                "stored": 1,
                "instances": [f"{U}.5.1.1"],
            },
        }


def test_a_database_that_is_away_costs_the_alarm_and_not_the_answer() -> None:
    records = open_records("postgresql://nobody@127.0.0.1:1/nothing")
    with capture_logs() as said:
        raise_alarms(records, [result(1, 1, DUPLICATE)])
    records.close()
    assert [line["event"] for line in said] == ["alarms of a store are not kept"]


def test_a_full_disk_is_told_by_the_write_that_meets_it() -> None:
    with _Spool(os.open("/dev/full", os.O_RDWR), "r+b") as spool, pytest.raises(NoRoom):
        spool.write(b"x")


def test_nothing_is_spooled_on_a_disk_that_is_nearly_full(gateway: Gateway, monkeypatch) -> None:
    """F35: the caller hears 507 before its body is read, and the database keeps its room."""
    nearly_full = shutil._ntuple_diskusage(10**12, 10**12 - 10**6, 10**6)
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: nearly_full)
    with pytest.raises(NoRoom):
        RegionStorage(gateway, None).spool()
    kind = 'multipart/related; type="application/dicom+json"; boundary=b'
    client = create_app(gateway).test_client()
    answer = client.post("/dicom-web/studies", data=b"--b\r\n", content_type=kind)
    assert (answer.status_code, answer.content_type) == (507, "application/problem+json")


def test_a_spool_leaves_no_name_behind(gateway: Gateway) -> None:
    folder = gateway.settings.state_dir
    before = set(folder.iterdir())
    with RegionStorage(gateway, None).spool() as spool:
        spool.write(b"abc")
        spool.seek(0)
        assert (spool.read(), set(folder.iterdir())) == (b"abc", before)


class Body:
    """The body of a request as gunicorn gives it."""

    def __init__(self, fails: Exception | None = None) -> None:
        self.fails = fails

    def read(self, _size: int = -1) -> bytes:
        if self.fails:
            raise self.fails
        gevent.sleep(60)
        return b""


class Dripping(Body):
    """None of its bytes is long in coming."""

    def read1(self, _size: int) -> bytes:
        gevent.sleep(0.002)
        return b"a"


@pytest.mark.parametrize(
    ("body", "error"),
    [(Body(), TooSlow), (Dripping(), TooSlow), (Body(OSError()), BadRequest)],
    ids=["stalls", "drips", "breaks off"],
)
def test_a_body_that_does_not_come_is_refused(
    monkeypatch: pytest.MonkeyPatch, body: Body, error: type[Exception]
) -> None:
    monkeypatch.setattr(stow, "SLOWEST_S", 0.01)
    environ = {"wsgi.input": body, "wsgi.input_terminated": True}
    app = Flask("test")
    with app.test_request_context("/", method="POST", environ_overrides=environ):
        sent = stow._Sent()
        with pytest.raises(error):
            deque(iter(lambda: sent.read(100), b""), maxlen=0)
