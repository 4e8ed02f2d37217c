"""The index gives exactly what a slow list of all records gives."""

from datetime import timedelta
from random import Random

import pytest
import sqlalchemy as sa

from gateway.dicom.attributes import Level, belongs, text
from gateway.dicom.query import Query, matches, parse_query, sort_key
from gateway.index.query import find_page, paging_key
from gateway.records.engine import metadata, open_records
from gateway.records.studies import series, study
from tests.index.rows import (
    START,
    a_series_record,
    element,
    series_row,
    some_params,
    some_studies,
    study_row,
)
from tests.records.conftest import database_url, postgres_url

__all__ = ["database_url", "postgres_url"]
SITES = ["north", "south", "west"]
UID = {Level.STUDY: "StudyInstanceUID", Level.SERIES: "SeriesInstanceUID"}


@pytest.fixture
def index(database_url):
    records = open_records(database_url)
    metadata.create_all(records.engine, tables=[study, series])
    yield records
    records.close()


def fill(index, studies, all_series=()):
    with index.write() as connection:
        connection.execute(sa.delete(series))
        connection.execute(sa.delete(study))
        connection.execute(sa.insert(study), [study_row(*held) for held in studies])
        if all_series:
            connection.execute(sa.insert(series), [series_row(*held) for held in all_series])


def answer_of_a_list(level, held, query, site_ids, as_of):
    """Independent of SQL: every record judged, sorted, each UID once. `held`: site, record, seen"""
    places = {}
    for site_id, record, seen in held:
        if site_id in site_ids and (as_of is None or seen <= as_of) and matches(query, record):
            places.setdefault(text(record, UID[level]), []).append(sort_key(level, record))
    uids = sorted(places, key=lambda uid: min(places[uid]))
    page = uids[query.offset : query.offset + query.limit]
    records = {
        (site_id, text(record, UID[level]))
        for site_id, record, seen in held
        if site_id in site_ids
        and (as_of is None or seen <= as_of)
        and text(record, UID[level]) in page
    }
    return tuple(page), len(uids), records


def check(index, level, held, random, times):
    for _ in range(times):
        params = some_params(random, level)
        query = parse_query(
            level,
            params,
            max_results=1000,
            study_uid="1.2.3" if level is Level.SERIES and random.random() < 0.3 else None,
        )
        site_ids = random.choice([SITES, SITES, SITES[:2], ["north"], []])
        as_of = random.choice([None, START + timedelta(minutes=50)])
        found = find_page(index, query, site_ids, as_of)
        shown = {(page.site_id, uid) for page in found.pages for uid in page.uids}
        wanted = answer_of_a_list(level, held, query, site_ids, as_of)
        assert (found.uids, found.total, shown) == wanted, (params, query.study_uid)


@pytest.mark.parametrize("odd", [False, True], ids=["clean rows", "odd rows too"])
@pytest.mark.parametrize("seed", range(4))
def test_studies_are_found_exactly_as_in_a_list(index, seed, odd):
    random = Random(seed)  # noqa: S311
    studies = some_studies(random, 40, SITES)
    if not odd:
        studies = [one for one in studies if not study_row(*one)["odd"]]
    fill(index, studies)
    held = [(site_id, record, seen) for site_id, _, record, seen in studies]
    check(index, Level.STUDY, held, random, 300)


def held_series(random, studies):
    """Series of the studies: rows for the table, and records as a live row would be."""
    rows, held = [], []
    for site_id, study_uid, record, seen in studies:
        for number in range(random.randrange(3)):
            uid = f"{study_uid}.{number}"
            own = a_series_record(random, uid)
            came = seen + timedelta(minutes=random.choice([0, 0, 20]))
            rows.append((site_id, uid, study_uid, own, came))
            above = {tag: value for tag, value in record.items() if belongs(tag, Level.STUDY)}
            held.append((site_id, {**own, **above}, came))
    return rows, held


@pytest.mark.parametrize("seed", range(4))
def test_series_are_found_exactly_as_in_a_list(index, seed):
    random = Random(seed)  # noqa: S311
    studies = some_studies(random, 25, SITES)
    rows, held = held_series(random, studies)
    fill(index, studies, rows)
    check(index, Level.SERIES, held, random, 200)


def test_a_page_shows_the_records_of_all_holders(index):
    record = element("StudyInstanceUID", "1.2") | element("PatientName", "Иванов^Пётр")
    latin = element("StudyInstanceUID", "1.2") | element("PatientName", "Sidorov^Ivan")
    fill(index, [("north", "1.2", record, START), ("south", "1.2", latin, START)])
    query = parse_query(Level.STUDY, [("PatientName", "ivanov*")], max_results=10)
    page = find_page(index, query, SITES, None)
    assert (page.uids, page.total) == (("1.2",), 1)
    assert {one.site_id: one.rows for one in page.pages} == {"north": (record,), "south": (latin,)}


def test_a_list_does_not_shift_when_studies_arrive(index):
    def one(number):
        record = element("StudyInstanceUID", f"1.2.{number}") | element("StudyDate", "20240105")
        return ("north", f"1.2.{number}", record, START + timedelta(minutes=number))

    studies = [one(number) for number in range(10, 20)]
    fill(index, studies)
    query = parse_query(Level.STUDY, [("limit", "5"), ("offset", "5")], max_results=10)
    as_of = START + timedelta(minutes=30)
    before = find_page(index, query, SITES, as_of)
    # Newer to us, but among the first by their UIDs.
    arrived = [
        ("south", f"1.2.0.{n}", element("StudyDate", "20240106"), START + timedelta(minutes=31))
        for n in range(3)
    ]
    fill(index, studies + arrived)
    assert find_page(index, query, SITES, as_of) == before
    assert find_page(index, query, SITES, None).total == 13


def test_the_key_of_a_list_is_the_same_for_each_of_its_pages():
    def key(*params, sites=("a", "b")):
        return paging_key(parse_query(Level.STUDY, params, max_results=10), sites)

    first = key(("PatientID", "7"), ("StudyDate", "20240105"), ("limit", "5"))
    assert first == key(
        ("StudyDate", "20240105"), ("PatientID", "7"), ("offset", "5"), sites=("b", "a")
    )
    others = [
        key(("PatientID", "8"), ("StudyDate", "20240105")),
        key(("PatientID", "7"), ("StudyDate", "20240105"), sites=("a",)),
        key(("PatientID", "7")),
        paging_key(Query(level=Level.SERIES), ("a", "b")),
    ]
    assert len({first, *others}) == 5
