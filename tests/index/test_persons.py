"""Links and alarms as they stand in the database, whatever order the studies came in."""

import threading
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
import sqlalchemy as sa

from gateway.dicom.attributes import Dataset, Level, make, text
from gateway.dicom.query import parse_query
from gateway.errors import LeaseLost, LinkRefused, PatientsDiffer
from gateway.index.linked import widen
from gateway.index.person_lists import load_persons, load_suggestions, load_torn
from gateway.index.persons import check_one_patient, decide, settle
from gateway.index.query import find_page
from gateway.index.rows import row_of
from gateway.model.persons import with_issuer
from gateway.orthanc.feed import Listed
from gateway.orthanc.study_records import StudyRecord
from gateway.records.alarms import load_alarms
from gateway.records.engine import Records, metadata
from gateway.records.indexing import Cursor, IndexWriter
from gateway.records.leases import Fence, take_lease
from gateway.records.persons import person_decision, person_link, person_member
from tests.fakes import a_row

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)
SNILS, OTHER_SNILS = "112-233-445 95", "087-654-303 00"
ISSUERS = {"north": "NORTH", "south": "SOUTH", "archive": ""}
LEADERS = (("old", NOW), ("new", LATER))
CURSOR = Cursor(1, "", "following", 0, 0, NOW)


class Region:
    """Sites whose studies are written as the keeper writes them."""

    def __init__(self, records: Records) -> None:
        self.records = records
        self.turn = threading.Lock()

    def write(self, site_id: str, *rows: Dataset, gone: Iterable[str] = ()) -> None:
        writer = IndexWriter(self.records, site_id, None, self.turn)
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
        return [
            *rows,
            sorted((alarm.kind, alarm.subject, *alarm.facts.items()) for alarm in alarms),
        ]


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
LINKED = (
    "The PatientID is linked with 1 other identifier of the same person; their studies are included"
)


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
    assert region.find(("PatientID", "1"), ("StudyDate", "2026-".replace("-", "0101-")))[0] == [
        "1.3"
    ]
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


def test_a_word_that_does_not_fit_is_refused_and_nothing_is_kept(region):
    region.write("north", a_study("1.1", "1", number=SNILS))
    region.write("south", a_study("1.3", "7", number=SNILS), a_study("1.4", "8"))
    region.settle()
    (person,) = load_persons(region.records, 10)
    joined = person.links[0].name
    waiting = [shown.link.name for shown in load_suggestions(region.records, 10)]
    before = region.state()
    wrong = [("confirm", "0" * 16, "unknown"), ("confirm", joined, "state")]
    wrong += [("reject", joined, "state"), ("separate", waiting[0], "state")]
    for word, name, why in wrong:
        with pytest.raises(LinkRefused) as refused:
            decide(region.records, name, word, "me", LATER)
        assert refused.value.why == why
    assert (len(waiting), region.state()) == (2, before)


def test_who_was_taken_apart_is_not_joined_by_a_third(region):
    region.write("north", a_study("1.1", "1"), a_study("1.2", "2"))
    region.write("south", a_study("1.3", "7"))
    region.settle()
    first, second, third = (shown.link.name for shown in load_suggestions(region.records, 10))
    decide(region.records, first, "confirm", "me", LATER)
    decide(region.records, second, "reject", "me", LATER)
    with pytest.raises(LinkRefused) as refused:
        decide(region.records, third, "confirm", "me", LATER)
    assert refused.value.why == "contradiction"


def test_a_confirmed_link_that_becomes_impossible_joins_nobody_and_raises_an_alarm(region):
    region.write("north", a_study("1.1", "1"))
    region.write("south", a_study("1.3", "7"))
    region.settle()
    name = load_suggestions(region.records, 10)[0].link.name
    decide(region.records, name, "confirm", "me", LATER)
    region.write("north", a_study("1.1", "1", number=SNILS))
    region.write("south", a_study("1.3", "7", number=OTHER_SNILS))
    region.settle()
    (alarm,) = load_alarms(region.records)
    torn = [shown.link.name for shown in load_torn(region.records, 10)]
    assert (region.groups(), torn, alarm.kind, alarm.facts) == (
        [], [name], "torn_link", {"links": [name]}
    )  # fmt: skip
    region.write("south", a_study("1.3", "7"))
    region.settle()
    assert (region.groups(), load_alarms(region.records)) == (NORTH_AND_SOUTH, [])


def test_links_go_with_the_studies_that_made_them(region):
    region.write("north", a_study("1.1", "1", number=SNILS))
    region.write("south", a_study("1.3", "7", number=SNILS))
    region.settle()
    region.write("south", gone=["1.3"])
    region.settle()
    assert (region.groups(), region.state()) == ([], [[], [], []])


def test_one_study_uid_of_two_patients_is_one_alarm_that_goes_with_its_cause(region):
    region.write("north", a_study("1.1", "1"))
    region.write("south", a_study("1.1", "7", "Сидорова^Анна"))
    region.settle()
    region.write("south", a_study("1.1", "7", "Сидорова^Анна"))
    region.settle(LATER)
    (alarm,) = load_alarms(region.records)
    assert (alarm.kind, alarm.subject, alarm.facts, alarm.raised_at, alarm.last_seen_at) == (
        "study_of_two_patients", "1.1", {"sites": ["north", "south"]}, NOW, LATER
    )  # fmt: skip
    with pytest.raises(PatientsDiffer) as refused:
        check_one_patient(region.records, "1.1", ISSUERS)
    assert refused.value.sites == ("north", "south")
    check_one_patient(region.records, "1.1", ["north"])
    region.write("south", a_study("1.1", "7", "ИВАНОВ^ПЕТР"))
    region.settle(LATER)
    check_one_patient(region.records, "1.1", ISSUERS)
    (ended,) = load_alarms(region.records, cleared=True)
    assert (load_alarms(region.records), ended.cleared_at) == ([], LATER)
    region.write("south", a_study("1.1", "7", "Сидорова^Анна"))
    region.settle(LATER)
    assert len(load_alarms(region.records, cleared=True)) == 2


def test_alarms_and_log_tell_no_patients_data(region, capsys):
    region.write("north", a_study("1.1", "P-4711"))
    region.write("south", a_study("1.1", "P-4712", "Сидорова^Анна"))
    region.settle()
    said = capsys.readouterr()
    told = f"{load_alarms(region.records)} {said.out} {said.err}"
    assert "1.1" in told
    assert [word for word in ("4711", "4712", "Иванов", "ivanov", "Сидор") if word in told] == []


def test_a_stopgap_that_half_the_region_has_links_nobody(region, monkeypatch):
    monkeypatch.setattr("gateway.index.persons.CROWD", 5)
    monkeypatch.setattr("gateway.model.links.MOST_ALIKE", 3)
    region.write("north", *(a_study(f"1.{n}", str(n), number=SNILS) for n in range(3)))
    region.settle()
    assert [len(group) for group in region.groups()] == [3]
    for n in range(3, 9):
        region.write("north", a_study(f"1.{n}", str(n), number=SNILS))
        region.settle()
        assert (region.groups(), load_suggestions(region.records, 10)) == ([], [])


def some_studies(chance: Random) -> list[tuple[str, Dataset]]:
    """Few names, numbers and identifiers, so that they meet in every way."""
    names = ["Иванов^Пётр", "ИВАНОВ^ПЕТР^ИЛЬИЧ", "IVANOV^PETR^SEMENOVICH", "Сидорова^Анна"]
    numbers = ["", "", SNILS, OTHER_SNILS, "ОМС 7712345678901234"]
    found = []
    for _ in range(20):
        patient = chance.randrange(10)
        name = names[patient % 3] if chance.random() < 0.9 else names[3]
        number = numbers[(patient + chance.randrange(2)) % 5]
        row = a_study(f"1.{chance.randrange(30)}", str(patient), name, number)
        found.append((chance.choice(list(ISSUERS)), row))
    return found


def test_who_leads_no_longer_settles_nothing(region):
    records = region.records
    region.write("north", a_study("1.1", "1", number=SNILS))
    old, new = (Fence("keeper", take_lease(records, "keeper", *who, 9)) for who in LEADERS)
    with pytest.raises(LeaseLost):
        settle(records, NOW, fence=old)
    assert settle(records, NOW, fence=new) == 2
    assert settle(records, NOW, fence=new) == 0


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_arrival_does_not_matter(region, seed):
    chance = Random(seed)  # noqa: S311
    last = {(site, text(row, "StudyInstanceUID")): row for site, row in some_studies(chance)}
    first = some_studies(chance)
    for site, row in first:  # what was there before is written over or deleted
        region.write(site, row)
        if chance.random() < 0.3:
            region.settle()
    final = list(last.items())
    chance.shuffle(final)
    for (site, _), row in final:
        region.write(site, row)
        if chance.random() < 0.3:
            region.settle()
    for site, row in first:
        uid = text(row, "StudyInstanceUID")
        if (site, uid) not in last:
            region.write(site, gone=[uid])
    region.settle()
    found = region.state()
    with region.records.write() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(sa.delete(table))
    anew = Region(region.records)
    for (site, _), row in sorted(last.items()):
        anew.write(site, row)
    anew.settle()
    assert found == anew.state()
    assert found[0] != []


def test_a_record_tells_its_own_issuer_before_its_sites():
    own = with_issuer({**a_study("1.1", "1"), "00100021": make("IssuerOfPatientID", "WEST")}, "N")
    assert text(own, "IssuerOfPatientID") == "WEST"
