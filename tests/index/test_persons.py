"""Links and alarms as they stand in the database, whatever order the studies came in."""

import threading
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
import sqlalchemy as sa

from gateway.dicom.attributes import Dataset, Level, make, text
from gateway.dicom.query import parse_query
from gateway.errors import LinkRefused, PatientsDiffer
from gateway.index.linked import widen
from gateway.index.person_lists import load_persons, load_suggestions, load_torn
from gateway.index.persons import check_one_patient, decide, settle
from gateway.index.query import find_page
from gateway.index.rows import row_of
from gateway.model.persons import with_issuer
from gateway.orthanc.feed import Listed, StudyRecord
from gateway.records.alarms import load_alarms
from gateway.records.engine import Records, metadata
from gateway.records.indexing import Cursor, IndexWriter
from gateway.records.leases import take_lease
from gateway.records.persons import person_decision, person_link, person_member
from tests.fakes import a_row

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)
SNILS, OTHER_SNILS = "112-233-445 95", "087-654-303 00"
ISSUERS = {"north": "NORTH", "south": "SOUTH", "archive": ""}
CURSOR = Cursor(1, "", "following", 0, 0, NOW)


class Region:
    """Sites whose studies are written as the keeper writes them."""

    def __init__(self, records: Records) -> None:
        self.records = records
        assert take_lease(records, "keeper", "me", NOW, 60)
        self.turn = threading.Lock()

    def write(self, site_id: str, *rows: Dataset, gone: Iterable[str] = ()) -> None:
        writer = IndexWriter(self.records, site_id, "keeper", "me", self.turn)
        made = [
            row_of(
                Listed(text(row, "StudyInstanceUID"), "id", "mark"),
                StudyRecord(row, ()),
                ISSUERS[site_id],
            )
            for row in rows
        ]
        writer.save(CURSOR, made, list(gone), NOW)

    def settle(self, now: datetime = NOW) -> None:
        while settle(self.records, now, most=3):
            pass

    def groups(self) -> list[list[str]]:
        found = load_persons(self.records, 100)
        return sorted(sorted(f"{m.issuer} {m.patient_id}" for m in one.members) for one in found)

    def find(self, *params: tuple[str, str]) -> tuple[list[str], tuple[str, ...]]:
        query = widen(self.records, parse_query(Level.STUDY, list(params), max_results=100))
        page = find_page(self.records, query, list(ISSUERS))
        return sorted(page.uids), query.notes

    def state(self) -> list[object]:
        """All that was concluded, without times."""
        tables = (person_link, person_member)
        with self.records.read() as connection:
            rows = [
                sorted(
                    tuple(value for name, value in row.items() if not name.endswith("_at"))
                    for row in connection.execute(sa.select(table)).mappings()
                )
                for table in tables
            ]
        alarms = load_alarms(self.records)
        return [*rows, sorted((alarm.kind, alarm.subject, *alarm.facts.items()) for alarm in alarms)]


@pytest.fixture
def region(records: Records) -> Region:
    return Region(records)


def a_study(
    uid: str, patient_id: str, name: str = "Иванов^Пётр", number: str = "", **more: object
) -> Dataset:
    said = {"PatientBirthDate": "19700101", "PatientSex": "M", "StudyDate": "20260101", **more}
    if number:
        said["OtherPatientIDs"] = number
    return a_row(StudyInstanceUID=uid, PatientID=patient_id, PatientName=name, **said)


NORTH_AND_SOUTH = [["NORTH 1", "SOUTH 7"]]
LINKED = "The PatientID is linked with 1 other identifier of the same person; their studies are included"


def test_the_same_state_number_links_and_a_search_by_either_finds_all_and_says_so(region):
    region.write("north", a_study("1.1", "1", number=SNILS), a_study("1.2", "2", "Петров^Иван"))
    region.write("south", a_study("1.3", "7", "ИВАНОВ^ПЕТР^ИЛЬИЧ", SNILS))
    region.settle()
    assert region.groups() == NORTH_AND_SOUTH
    assert region.find(("PatientID", "1")) == (["1.1", "1.3"], (LINKED,))
    assert region.find(("PatientID", "7")) == (["1.1", "1.3"], (LINKED,))
    assert region.find(("PatientID", "2")) == (["1.2"], ())


def test_a_search_by_number_and_issuer_is_about_that_issuer_alone(region):
    region.write("north", a_study("1.1", "1", number=SNILS))
    region.write("south", a_study("1.2", "1", "Петров^Иван"), a_study("1.3", "7", number=SNILS))
    region.settle()
    issued = ("PatientID", "1"), ("IssuerOfPatientID", "NORTH")
    assert region.find(*issued) == (["1.1", "1.3"], (LINKED,))
    assert region.find(("PatientID", "1"), ("IssuerOfPatientID", "SOUTH")) == (["1.2"], ())
    assert region.find(("PatientID", "1"), ("IssuerOfPatientID", "WEST")) == ([], ())
    assert region.find(("PatientID", "1"))[0] == ["1.1", "1.2", "1.3"]


def test_linked_studies_must_answer_the_other_keys_too(region):
    region.write("north", a_study("1.1", "1", number=SNILS, StudyDate="20250101"))
    region.write("south", a_study("1.3", "7", number=SNILS))
    region.settle()
    assert region.find(("PatientID", "1"), ("StudyDate", "2026-".replace("-", "0101-")))[0] == ["1.3"]
    assert region.find(("PatientID", "1*")) == (["1.1"], ())


def test_an_archive_that_issues_no_numbers_is_found_by_name_and_birth_date_too(region):
    region.write("north", a_study("1.1", "1", number=SNILS))
    region.write("south", a_study("1.3", "7", number=SNILS))
    region.write("archive", a_study("1.4", "7"), a_study("1.5", "7", "Петров^Иван"))
    region.settle()
    assert region.groups() == NORTH_AND_SOUTH
    assert region.find(("PatientID", "1"))[0] == ["1.1", "1.3", "1.4"]


def test_without_a_state_number_a_person_is_asked_and_what_he_says_is_kept(region):
    region.write("north", a_study("1.1", "1"))
    region.write("south", a_study("1.3", "7"))
    region.settle()
    assert (region.groups(), region.find(("PatientID", "1"))) == ([], (["1.1"], ()))
    (waiting,) = load_suggestions(region.records, 10)
    name = waiting.link.name
    assert [(one.issuer, one.patient_id, one.name, one.studies) for one in waiting.ends] == [
        ("NORTH", "1", "Иванов^Пётр", 1),
        ("SOUTH", "7", "Иванов^Пётр", 1),
    ]
    decide(region.records, name, "confirm", "registrar", LATER)
    assert (region.groups(), load_suggestions(region.records, 10)) == (NORTH_AND_SOUTH, [])
    decide(region.records, name, "separate", "doctor", LATER)
    region.write("north", a_study("1.1", "1"))
    region.settle()
    assert (region.groups(), load_suggestions(region.records, 10)) == ([], [])
    decide(region.records, name, "confirm", "registrar", LATER)
    (person,) = load_persons(region.records, 10)
    (link,) = person.links
    assert (link.state, link.decided_by, link.decided_at) == ("confirmed", "registrar", LATER)
    with region.records.read() as connection:
        said = connection.execute(
            sa.select(person_decision.c.verdict, person_decision.c.decided_by)
        ).all()
    assert [tuple(row) for row in said] == [
        ("confirmed", "registrar"),
        ("rejected", "doctor"),
        ("confirmed", "registrar"),
    ]
