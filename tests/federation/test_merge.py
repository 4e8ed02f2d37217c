"""Properties of the merged list: nothing lost, nothing doubled, nothing blended."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dicom.attributes import Dataset, Level, text, values
from gateway.dicom.order import sort_key
from gateway.dicom.query import Query, parse_query
from gateway.federation.merge import merge
from gateway.model.answers import SitePage
from tests.fakes import a_row, a_site, page_of

SERVICE = "https://images.example/dicom-web"
SITES = {name: a_site(name) for name in ("east", "north", "west")} | {
    "archive": a_site("archive", role="archive")
}
# What only one site can know; the federation never writes it.
OF_ONE_SITE = ("PatientName", "PatientID", "StudyDate", "StudyTime", "StudyDescription")


@st.composite
def region_rows(draw: st.DrawFn) -> dict[str, list[Dataset]]:
    """Studies of four sites, some held twice; every value names its site and study."""
    studies = draw(st.lists(st.integers(1, 40), unique=True, max_size=25))
    region: dict[str, list[Dataset]] = {name: [] for name in SITES}
    for number in studies:
        date = draw(st.sampled_from(["20260101", "20260102", "20251231", ""]))
        time = draw(st.sampled_from(["101010", "235959", ""]))
        for name in draw(st.lists(st.sampled_from(sorted(SITES)), min_size=1, unique=True)):
            region[name].append(
                a_row(
                    StudyInstanceUID=f"1.2.{number}",
                    StudyDate=date,
                    StudyTime=time,
                    PatientName=f"{name}^{number}",
                    PatientID=f"{name}-{number}",
                    StudyDescription=f"{name} {number}",
                    ModalitiesInStudy=draw(
                        st.lists(st.sampled_from(["CT", "MR", "SR"]), min_size=1)
                    ),
                    NumberOfStudyRelatedSeries=draw(st.integers(1, 3)),
                    NumberOfStudyRelatedInstances=draw(st.integers(1, 300)),
                )
            )
    return region


def pages_of(region: dict[str, list[Dataset]], query: Query) -> list[SitePage]:
    return [page_of(name, query, rows) for name, rows in region.items()]


def study_query(limit: int, offset: int = 0) -> Query:
    return Query(level=Level.STUDY, limit=limit, offset=offset, include=("00081030",))


@given(region_rows())
def test_every_study_of_every_site_comes_once(region: dict[str, list[Dataset]]) -> None:
    query = study_query(limit=1000)
    merged = merge(pages_of(region, query), query, SITES, SERVICE)
    found = [text(row, "StudyInstanceUID") for row in merged.rows]
    wanted = {text(row, "StudyInstanceUID") for rows in region.values() for row in rows}
    assert (sorted(found), merged.total) == (sorted(wanted), len(wanted))


@given(region_rows(), st.integers(1, 7))
def test_pages_put_together_are_the_whole(region: dict[str, list[Dataset]], limit: int) -> None:
    whole_query = study_query(limit=1000)
    whole = merge(pages_of(region, whole_query), whole_query, SITES, SERVICE)
    rows: list[Dataset] = []
    while True:
        query = study_query(limit, offset=len(rows))
        page = merge(pages_of(region, query), query, SITES, SERVICE)
        assert page.total == whole.total
        rows += page.rows
        if not page.rows:
            break
    assert rows == list(whole.rows)


@given(region_rows())
def test_no_row_mixes_two_studies_or_two_sites(region: dict[str, list[Dataset]]) -> None:
    query = study_query(limit=1000)
    said = {
        tuple(text(row, name) for name in ("StudyInstanceUID", *OF_ONE_SITE))
        for rows in region.values()
        for row in rows
    }
    merged = merge(pages_of(region, query), query, SITES, SERVICE)
    given_out = {
        tuple(text(row, name) for name in ("StudyInstanceUID", *OF_ONE_SITE)) for row in merged.rows
    }
    assert given_out - said == set()


@given(region_rows(), st.randoms(use_true_random=False))
def test_the_order_of_sites_and_rows_does_not_matter(
    region: dict[str, list[Dataset]], chance: st.DataObject
) -> None:
    query = study_query(limit=5, offset=2)
    pages = pages_of(region, query)
    first = merge(pages, query, SITES, SERVICE)
    shuffled = [replace(page, rows=tuple(reversed(page.rows))) for page in pages]
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert merge(shuffled, query, SITES, SERVICE) == first


@given(region_rows())
def test_rows_stand_in_the_total_order(region: dict[str, list[Dataset]]) -> None:
    query = study_query(limit=1000)
    rows = merge(pages_of(region, query), query, SITES, SERVICE).rows
    keys = [sort_key(Level.STUDY, row) for row in rows]
    assert keys == sorted(keys)


def test_a_study_at_two_sites_names_both_and_takes_the_fuller_record() -> None:
    full = a_row(
        StudyInstanceUID="1.2.3",
        PatientName="Иванов^Пётр",
        ModalitiesInStudy=["CT"],
        NumberOfStudyRelatedInstances=200,
    )
    part = a_row(
        StudyInstanceUID="1.2.3",
        PatientName="ИВАНОВ^ПЕТР",
        ModalitiesInStudy=["SR"],
        NumberOfStudyRelatedInstances=3,
    )
    query = study_query(limit=10)
    merged = merge(pages_of({"east": [part], "archive": [full]}, query), query, SITES, SERVICE)
    row = merged.rows[0]
    assert {
        "name": text(row, "PatientName"),
        "holders": values(row, "RetrieveAETitle"),
        "modalities": values(row, "ModalitiesInStudy"),
        "instances": values(row, "NumberOfStudyRelatedInstances"),
        "availability": text(row, "InstanceAvailability"),
        "url": text(row, "RetrieveURL"),
        "conflicts": merged.conflicts,
        "total": merged.total,
    } == {
        "name": "Иванов^Пётр",
        "holders": ["ARCHIVE", "EAST"],
        "modalities": ["CT", "SR"],
        "instances": [200],
        "availability": "ONLINE",
        "url": f"{SERVICE}/studies/1.2.3",
        "conflicts": (),
        "total": 1,
    }


def test_a_patient_who_is_spelt_in_two_ways_is_reported_and_not_blended() -> None:
    rows = {
        "east": [a_row(StudyInstanceUID="1.2.3", PatientName="Иванов^Пётр", PatientSex="M")],
        "west": [a_row(StudyInstanceUID="1.2.3", PatientName="ИВАНОВ^ПЕТР^И", PatientSex="F")],
    }
    query = study_query(limit=10)
    merged = merge(pages_of(rows, query), query, SITES, SERVICE)
    pairs = [(text(row, "PatientName"), text(row, "PatientSex")) for row in merged.rows]
    assert (pairs, merged.conflicts) == ([("Иванов^Пётр", "M")], ("1.2.3",))


TWO_PATIENTS = {
    "east": [
        a_row(
            StudyInstanceUID="1.2.3",
            PatientName="Иванов^Пётр",
            ModalitiesInStudy=["CT"],
            NumberOfStudyRelatedInstances=9,
        )
    ],
    "west": [
        a_row(
            StudyInstanceUID="1.2.3",
            PatientName="Сидорова^Анна",
            ModalitiesInStudy=["MR"],
            NumberOfStudyRelatedInstances=200,
        )
    ],
    "archive": [
        a_row(
            StudyInstanceUID="1.2.3",
            PatientName="ИВАНОВ^ПЕТР",
            ModalitiesInStudy=["SR"],
            NumberOfStudyRelatedInstances=3,
        )
    ],
}


@pytest.mark.parametrize(
    ("asked", "name", "holders", "modalities", "instances", "site"),
    [
        ("", "Сидорова^Анна", ["WEST"], ["MR"], [200], "west"),
        ("Иванов*", "Иванов^Пётр", ["ARCHIVE", "EAST"], ["CT", "SR"], [9], "east"),
        ("Сидорова*", "Сидорова^Анна", ["WEST"], ["MR"], [200], "west"),
    ],
    ids=["nobody is asked for", "the one is", "the other is"],
)
def test_one_uid_with_two_patients_is_the_study_of_one_alone_at_its_own_address(
    asked: str,
    name: str,
    holders: list[str],
    modalities: list[str],
    instances: list[int],
    site: str,
) -> None:
    query = parse_query(Level.STUDY, [("PatientName", asked)] if asked else [], max_results=10)
    # The index shows every holder's record, also of one whose patient was not asked for.
    pages = [
        SitePage(site_id, tuple(rows), frozenset({"1.2.3"}))
        for site_id, rows in TWO_PATIENTS.items()
    ]
    merged = merge(pages, query, SITES, SERVICE)
    (row,) = merged.rows
    assert {
        "name": text(row, "PatientName"),
        "holders": values(row, "RetrieveAETitle"),
        "modalities": values(row, "ModalitiesInStudy"),
        "instances": values(row, "NumberOfStudyRelatedInstances"),
        "url": text(row, "RetrieveURL"),
        "told": (merged.parted, merged.conflicts, merged.total),
    } == {
        "name": name,
        "holders": holders,
        "modalities": modalities,
        "instances": instances,
        "url": f"https://images.example/sites/{site}/dicom-web/studies/1.2.3",
        "told": (("1.2.3",), (), 1),
    }


def test_a_study_only_in_the_archive_is_nearline_and_has_its_zone() -> None:
    rows = {"archive": [a_row(StudyInstanceUID="1.2.3", StudyDate="20260102")]}
    query = study_query(limit=10)
    row = merge(pages_of(rows, query), query, SITES, SERVICE).rows[0]
    assert (text(row, "InstanceAvailability"), text(row, "TimezoneOffsetFromUTC")) == (
        "NEARLINE",
        "+0500",
    )
