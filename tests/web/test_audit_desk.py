"""The auditor's page: who touched a patient or a study, what a person opened; nothing of it in an
address, and reading it leaves its own lines."""

import csv
import io
from collections.abc import Iterator
from datetime import timedelta
from xml.etree.ElementTree import fromstring

import orjson
import pytest

from gateway.bootstrap import Gateway
from gateway.clock import utc_now
from gateway.model.access import Actor, Duty, Reach, Role
from gateway.records.audit import append, audit_entry
from gateway.records.audit_patients import Digests, note_patients
from gateway.records.keyring import Keyring
from gateway.records.studies import study
from gateway.web import create_app
from tests.records.test_audit import entry
from tests.web.forms import forms_of
from tests.web.rows import ROWS, U
from tests.web.signing_in import add_person, login_gateway

ORIGIN = "http://127.0.0.1:8080"
DAY = timedelta(days=1)


class Room:
    """A gateway with an auditor in front of it; `actor` is who comes."""

    def __init__(self, gateway: Gateway, keyring: Keyring) -> None:
        self.gateway, self.keyring = gateway, keyring
        self.actor = person("auditor", Role.AUDITOR)
        self.app = create_app(gateway, lambda: self.actor)
        self.client = self.app.test_client()
        page = self.client.get("/audit").text
        self.token = next(found["csrf_token"] for _, found in forms_of(page) if found)

    def ask(self, path: str = "/audit", **form: str):
        now = utc_now()
        times = {"since": f"{now - 2 * DAY:%Y-%m-%dT%H:%M}", "until": f"{now + DAY:%Y-%m-%dT%H:%M}"}
        form = {"csrf_token": self.token} | times | form
        answer = self.client.post(path, data=form, headers={"Origin": ORIGIN})
        answer.get_data()
        answer.close()
        return answer

    def drain(self) -> None:
        self.app.extensions["journal"].drain(self.gateway.records)
        note_patients(self.gateway.records, Digests(self.keyring.derived("audit patients")))


def person(subject: str, role: Role) -> Actor:
    return Actor(subject, (Duty(role, Reach()),), kind="session")


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    folder = tmp_path_factory.mktemp("desk")
    with login_gateway(folder, ROWS) as (gateway, keyring):
        room = Room(gateway, keyring)
        doctor, _ = add_person(gateway, keyring, "ivanova", "doctor@gkb1")
        now = utc_now()
        lines = [
            entry(n, at=now - timedelta(minutes=n), actor=doctor, request=f"r{n // 2}",
                  study_uid=f"{U}.{1 + n % 2}", outcome="done", size_bytes=1000)
            for n in range(240)
        ]  # fmt: skip
        append(gateway.records, lines)
        room.actor = person("service1", Role.SERVICE)
        room.client.get("/dicom-web/studies?PatientID=77&IssuerOfPatientID=GKB1").close()
        room.client.get("/dicom-web/studies?PatientName=Иванов*").close()
        room.drain()
        room.actor = person("auditor", Role.AUDITOR)
        yield room


def test_only_an_auditor_comes_in(room: Room) -> None:
    assert room.client.get("/audit").status_code == 200
    for role in (Role.DOCTOR, Role.HOSPITAL_IT, Role.REGIONAL_ADMIN, Role.MINISTRY, Role.SERVICE):
        room.actor = person("x", role)
        assert room.client.get("/audit").status_code == 403
        assert room.ask(actor="ivanova").status_code == 403
        assert room.ask("/audit/export", actor="ivanova", form="csv").status_code == 403
    room.actor = person("auditor", Role.AUDITOR)
    foreign = room.client.post("/audit", data={}, headers={"Origin": "https://evil.example"})
    assert foreign.status_code == 403


def test_what_a_person_opened_is_summed_up_and_paged(room: Room) -> None:
    first = room.ask(actor="ivanova")
    assert first.status_code == 200
    text = first.get_data(as_text=True)
    assert text.count('id="line-') == 100
    assert "ivanova" in text
    place = text.split('name="after" value="')[1].split('"')[0]
    second = room.ask(actor="ivanova", after=place).get_data(as_text=True)
    assert second.count('id="line-') == 100
    place = second.split('name="after" value="')[1].split('"')[0]
    third = room.ask(actor="ivanova", after=place).get_data(as_text=True)
    assert third.count('id="line-') == 40
    lines = [
        part.split('"')[0] for text in (text, second, third) for part in text.split('id="line-')[1:]
    ]
    assert len(set(lines)) == 240
    assert 'name="after"' not in third


def test_a_patient_is_found_by_number_though_no_line_has_it(room: Room) -> None:
    text = room.ask(patient_id="77").get_data(as_text=True)
    assert "service1" in text  # who searched for the number
    assert f"{U}.1" in text
    assert f"{U}.2" not in text
    assert room.ask(patient_id="77", issuer="ZLAT").get_data(as_text=True).count('id="line-') == 0
    assert room.ask(patient_id="nobody").get_data(as_text=True).count('id="line-') == 0
    with room.gateway.records.read() as connection:
        rows = str(connection.execute(audit_entry.select()).all())
    assert "GKB1" not in rows


def test_a_study_that_the_index_forgot_is_still_the_patients(room: Room) -> None:
    with room.gateway.records.write() as connection:
        connection.execute(study.delete().where(study.c.study_uid == f"{U}.2"))
    assert f"{U}.2" in room.ask(patient_id="78").get_data(as_text=True)


def test_what_was_searched_for_is_shown_to_the_auditor_alone(room: Room) -> None:
    assert "PatientName=Иванов*" in room.ask(action="search").get_data(as_text=True)


def test_reading_the_audit_is_a_line_with_the_question_sealed(room: Room) -> None:
    room.ask(patient_id="77")
    room.ask("/audit/export", actor="ivanova", form="csv")
    room.drain()
    with room.gateway.records.read() as connection:
        found = connection.execute(
            audit_entry.select()
            .where(audit_entry.c.action == "read_audit", audit_entry.c.outcome == "began")
            .order_by(audit_entry.c.number.desc())
            .limit(2)
        ).all()
    assert [row.target for row in found] == ["/audit/export", "/audit"]
    assert "actor=ivanova" in room.keyring.unseal(found[0].detail)
    assert "patient_id=77" in room.keyring.unseal(found[1].detail)
    assert "read_audit" in room.ask(actor="auditor", action="read_audit").get_data(as_text=True)


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({}, "кто"),
        ({"actor": "x", "since": "yesterday"}, "с какого"),
        ({"study": "../../system"}, "исследование"),
        ({"action": "'; drop table"}, "что делал"),
        ({"actor": "x", "after": "first"}, "страница"),
        ({"actor": "x" * 201}, "кто"),
    ],
    ids=["a period alone", "no moment", "no UID", "no action", "no page", "too long"],
)
def test_a_question_that_cannot_be_is_told_by_its_field(room: Room, form, field) -> None:
    answer = room.ask(**form)
    assert answer.status_code == 400
    assert f"▲ {field}" in answer.get_data(as_text=True)


def test_the_export_comes_in_three_forms(room: Room) -> None:
    asked = {"actor": "ivanova", "study": f"{U}.1"}
    table = room.ask("/audit/export", form="csv", **asked)
    assert table.headers["Content-Disposition"].endswith('.csv"')
    lines = list(csv.DictReader(io.StringIO(table.get_data(as_text=True).lstrip("\ufeff"))))
    assert len(lines) == 120
    assert {line["study_uid"] for line in lines} == {f"{U}.1"}
    messages = fromstring(room.ask("/audit/export", form="dicom", **asked).get_data())
    assert len(messages.findall("AuditMessage")) == 120
    events = room.ask("/audit/export", form="balp", **asked).get_data().splitlines()
    assert {orjson.loads(line)["resourceType"] for line in events} == {"AuditEvent"}
    assert room.ask("/audit/export", form="pdf", **asked).status_code == 400


def test_no_page_of_it_stays_or_runs_a_script(room: Room) -> None:
    answer = room.ask(actor="ivanova")
    assert answer.headers["Cache-Control"] == "no-store"
    assert "<script" not in answer.get_data(as_text=True)
    assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
