"""The index gives exactly what a slow list of all records gives."""

from collections import Counter
from datetime import timedelta
from random import Random

import pytest
import sqlalchemy as sa

from gateway.dicom.attributes import Level, belongs, text
from gateway.dicom.order import sort_key
from gateway.dicom.query import Query, matches, parse_query
from gateway.errors import TooBroad
from gateway.index import names
from gateway.index import query as plans
from gateway.index.query import find_page, paging_key
from gateway.records.studies import (
    modality_set,
    patient_name,
    series,
    site_cursor,
    study,
    word_ending,
    word_of_name,
)
from gateway.records.words import save_words
from tests.databases import open_without_rows
from tests.index.rows import (
    START,
    a_series_record,
    element,
    series_row,
    some_params,
    some_studies,
    study_row,
)
from tests.records.conftest import database_url

__all__ = ["database_url"]
SITES = ["north", "south", "west"]
UID = {Level.STUDY: "StudyInstanceUID", Level.SERIES: "SeriesInstanceUID"}


@pytest.fixture
def index(database_url):
    records = open_without_rows(database_url)
    yield records
    records.close()


def fill(index, studies, all_series=()):
    with index.write() as connection:
        words = (patient_name, word_of_name, word_ending, modality_set)
        for table in (series, study, *words, site_cursor):
            connection.execute(sa.delete(table))
        rows = [study_row(*held) for held in studies]
        filled = Counter(row["site_id"] for row in rows)
        read = {"seq": 1, "fingerprint": "", "phase": "following", "fill_began_at": START}
        cursors = [
            {"site_id": site_id, "filled": count, "to_fill": count, **read}
            for site_id, count in filled.items()
        ]
        connection.execute(sa.insert(site_cursor), cursors)
        connection.execute(sa.insert(study), rows)
        save_words(index, connection, rows)
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


@pytest.fixture(params=["few", "many"])
def plan(request, monkeypatch):
    """Every plan is tried: that for few rows, and that for more than can be sorted at once."""
    if request.param == "many":
        for module, limits in (
            (names, {"MANY_NAMES": 2, "MANY_WORDS": 3, "MANY_NEAR_WORDS": 3, "MANY_JUDGED": 1}),
            (plans, {"HANDFUL": 2, "MANY": 4, "JUDGED_FOR_TOTAL": 3}),
        ):
            for name, limit in limits.items():
                monkeypatch.setattr(module, name, limit)


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
        uids, total, rows = answer_of_a_list(level, held, query, site_ids, as_of)
        assert (found.uids, shown) == (uids, rows), (params, query.study_uid)
        if found.total is None:
            assert total > min(plans.MANY, query.offset + query.limit), params
        else:
            assert found.total == total, (params, query.study_uid)


@pytest.mark.parametrize("odd", [False, True], ids=["clean rows", "odd rows too"])
@pytest.mark.parametrize("seed", range(3))
def test_studies_are_found_exactly_as_in_a_list(index, plan, seed, odd):
    random = Random(seed)  # noqa: S311
    studies = some_studies(random, 40, SITES)
    if not odd:
        studies = [one for one in studies if not study_row(*one)["odd"]]
    fill(index, studies)
    held = [(site_id, record, seen) for site_id, _, record, seen in studies]
    check(index, Level.STUDY, held, random, 100)


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


@pytest.mark.parametrize(
    ("name", "odd"),
    [
        ("Иванов^Пётр=Петров^Иван", False),
        ({"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎"}, False),
        ({"Ideographic": "山田^太郎"}, False),
        (["Иванов^Иван", "Петров^Пётр"], False),
        ("Ъ^Иван", True),
        ("x" * 129, True),
    ],
)
def test_no_name_of_several_groups_is_read_row_by_row(name, odd):
    """A site that writes each name in two alphabets must not make every search read its rows."""
    assert study_row("north", "1.2", element("PatientName", name), START)["odd"] is odd


@pytest.mark.parametrize("seed", range(3))
def test_series_are_found_exactly_as_in_a_list(index, plan, seed):
    random = Random(seed)  # noqa: S311
    studies = some_studies(random, 25, SITES)
    rows, held = held_series(random, studies)
    fill(index, studies, rows)
    check(index, Level.SERIES, held, random, 60)


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


def described(number, description):
    record = element("StudyInstanceUID", f"1.2.{number}") | element("StudyDate", "20240105")
    record |= element("StudyDescription", description) | element("AccessionNumber", f"A{number}")
    return ("north", f"1.2.{number}", record, START)


@pytest.mark.parametrize(
    ("params", "found"),
    [
        ([], 3),
        ([("StudyDescription", "MRT")], 3),
        ([("StudyDescription", "КТ*"), ("AccessionNumber", "A1")], 1),
        ([("StudyDescription", "КТ*"), ("PatientName", "никто*")], 0),
        ([("StudyDescription", "КТ*")], TooBroad),
        ([("StudyDescription", "нет такого")], TooBroad),
        ([("StudyDescription", "нет такого"), ("StudyDate", "20240105")], TooBroad),
    ],
    ids=[
        "the opening question", "a full page", "a key that leads to few", "a name that nobody has",
        "a page that few records fill", "nothing is found", "one day with too many",
    ],
)  # fmt: skip
def test_a_search_that_reads_too_many_records_is_refused(index, monkeypatch, params, found):
    monkeypatch.setattr(plans, "MOST_JUDGED", 8)
    studies = [described(n, "MRT") for n in range(10, 19)]
    fill(index, [described(1, "КТ ОГК"), *studies])
    query = parse_query(Level.STUDY, [*params, ("limit", "3")], max_results=10)
    if found is TooBroad:
        with pytest.raises(TooBroad) as refused:
            find_page(index, query, SITES, None)
        assert refused.value.field == "StudyDescription"
    else:
        assert len(find_page(index, query, SITES, None).uids) == found


@pytest.mark.parametrize("params", [[], [("SeriesInstanceUID", "1.2.1.1")]], ids=["all", "one"])
def test_no_search_for_series_reads_all_series(tmp_path, params):
    """By SQLite's own plans: with hundreds of sites only the UID leads to the row of a series."""
    records = open_without_rows(f"sqlite:///{tmp_path / 'gateway.db'}")
    above = element("StudyInstanceUID", "1.2.1")
    inside = element("SeriesInstanceUID", "1.2.1.1")
    fill(records, [("gkb1", "1.2.1", above, START)], [("gkb1", "1.2.1.1", "1.2.1", inside, START)])
    asked = []

    def note(_connection, _cursor, statement, values, _context, _many):
        if statement.startswith("SELECT") and "LIMIT" not in statement:
            asked.append((statement, values))

    sa.event.listen(records.engine, "after_cursor_execute", note)
    sites = [f"site-{number}" for number in range(300)] + ["gkb1"]
    query = parse_query(Level.SERIES, params, max_results=10)
    assert find_page(records, query, sites).uids == ("1.2.1.1",)
    sa.event.remove(records.engine, "after_cursor_execute", note)
    with records.read() as connection:
        steps = {
            row[3]
            for statement, values in asked
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
        }
    records.close()
    assert [step for step in steps if step.startswith("SCAN series")] == []
    assert any("series_by_uid" in step for step in steps), steps
