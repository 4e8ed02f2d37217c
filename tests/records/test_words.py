"""The short tables have what the rows of studies have, and no more."""

import threading
from dataclasses import replace
from datetime import UTC, datetime
from random import Random

import pytest
import sqlalchemy as sa

from gateway.dicom.names import latin_readings, name_key
from gateway.records.indexing import Cursor, IndexRow, IndexWriter, forget_site, load_sums
from gateway.records.studies import modality_set, patient_name, study, word_ending, word_of_name
from gateway.records.words import forget_names
from tests.waiting import wait_until

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
CURSOR = Cursor(5, "here", "filling", 1, 4, NOW)
NAMES = ["Иванов^Пётр^Петрович", "Иванов^Иван", "NICOLAI^CAPLINA", "Петров^Пётр", "", "Ь", "Ли-Ли"]
NAMES += ["Ivanov^Ivan=Иванов^Иван", "Иванов^Иван=Ли^Иван"]


def a_row(number, name):
    columns = dict.fromkeys(
        ("study_date", "study_time", "accession_number", "patient_id", "issuer"), ""
    )
    rest = {"name_latin": "", "odd": False, "record": b"{}", "changed_at": None, "mark": ""}
    counts = {"series_count": 0, "instance_count": 0, "orthanc_id": ""}
    folded = "=".join(map(name_key, name.split("=")))
    row = {"study_uid": f"1.2.{number}", "name_key": folded, "modalities": "|CT|"}
    return IndexRow({**row, **columns, **rest, **counts}, [])


@pytest.fixture
def writers(records):
    turn = threading.Lock()
    return [IndexWriter(records, site, None, turn) for site in ("north", "south")]


def rows_of(records, table):
    with records.read() as connection:
        return {tuple(row) for row in connection.execute(sa.select(table))}


def wanted(names):
    """(patient_name, word_of_name, word_ending) of these names."""
    groups = {(name, group) for name in names for group in name.split("=")}
    words = {(word, at, name) for name, group in groups for at, word in enumerate(group.split())}
    forms = {(form, word) for word, _, _ in words for form in (word, *latin_readings(word))}
    endings = {(form[at:], form, word) for form, word in forms for at in range(len(form))}
    return (
        {(name, group, latin) for name, group in groups for latin in latin_readings(group)},
        words,
        endings | {(" " + form, form, word) for form, word in forms},
    )


@pytest.mark.parametrize("seed", range(3))
def test_short_tables_follow_whatever_comes_changes_and_goes(records, writers, seed):
    random = Random(seed)  # noqa: S311
    for _ in range(25):
        rows = [a_row(n, random.choice(NAMES)) for n in random.sample(range(8), 3)]
        gone = {f"1.2.{n}" for n in random.sample(range(8), random.choice([0, 1, 4]))}
        gone -= {row.study["study_uid"] for row in rows}
        random.choice(writers).save(CURSOR, rows, gone, now=NOW)
        held = {name for (name,) in rows_of(records, sa.select(study.c.name_key).subquery())}
        found = [rows_of(records, table) for table in (patient_name, word_of_name, word_ending)]
        assert found == list(wanted(held - {""}))
    assert rows_of(records, modality_set) == {("|CT|",)}


def test_nothing_is_left_of_names_that_nobody_has(records, writers):
    for writer in writers:
        writer.save(replace(CURSOR, seq=6), [a_row(1, "Иванов^Пётр")], now=NOW)
        writer.save(CURSOR, gone={"1.2.1"})
    for table in (patient_name, word_of_name, word_ending):
        assert rows_of(records, table) == set()


def test_site_that_is_forgotten_takes_along_the_names_that_only_it_had(records, writers):
    north, south = writers
    north.save(CURSOR, [a_row(n, f"Иванов^Пётр^{n}") for n in range(9)], now=NOW)
    south.save(CURSOR, [a_row(1, "Иванов^Пётр^1"), a_row(2, "Орлова^Анна")], now=NOW)
    assert forget_site(records, "north", NOW) == 9
    found = [rows_of(records, table) for table in (patient_name, word_of_name, word_ending)]
    assert found == list(wanted({name_key("Иванов^Пётр^1"), name_key("Орлова^Анна")}))


@pytest.mark.parametrize("database_url", [pytest.param("postgresql", marks=pytest.mark.real)],
                         indirect=True)  # fmt: skip
def test_name_that_comes_while_its_last_site_is_forgotten_is_kept(records, writers, monkeypatch):
    """Two processes, here threads with a turn for each, at the same moment."""
    north, south = writers
    south._turn = threading.Lock()
    north.save(CURSOR, [a_row(1, "Орлова^Анна")], now=NOW)
    comes = threading.Thread(target=south.save, args=(CURSOR, [a_row(2, "Орлова^Анна")], (), NOW))
    waits = sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")

    def forget_while_it_comes(connection, names):
        monkeypatch.undo()
        forget_names(connection, names)
        comes.start()
        wait_until(
            lambda: connection.execute(waits).scalar_one() or not comes.is_alive(), 60, "the other"
        )

    monkeypatch.setattr("gateway.records.indexing.forget_names", forget_while_it_comes)
    assert forget_site(records, "north", NOW) == 1
    comes.join()
    assert load_sums(records, "south")[0] == 1
    found = [rows_of(records, table) for table in (patient_name, word_of_name, word_ending)]
    assert found == list(wanted({name_key("Орлова^Анна")}))
