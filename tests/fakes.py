"""Fakes are functions: rows, sites and an application without a network."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gateway.clock import Deadline
from gateway.dicom.attributes import Dataset, Level, make, text
from gateway.dicom.order import sort_key
from gateway.dicom.query import Query, matches
from gateway.model.answers import SitePage
from gateway.model.sites import Site

KEY = {
    Level.STUDY: "StudyInstanceUID",
    Level.SERIES: "SeriesInstanceUID",
    Level.INSTANCE: "SOPInstanceUID",
}


def a_site(site_id: str, **changed: Any) -> Site:
    """A site that nobody listens for."""
    values: dict[str, Any] = {
        "name_ru": f"Больница {site_id}",
        "name_en": f"Hospital {site_id}",
        "url": "http://127.0.0.1:9",
        "ae_title": site_id.upper(),
        "patient_id_issuer": site_id.upper(),
        "time_zone": "Asia/Yekaterinburg",
    }
    return Site(site_id=site_id, **(values | changed))


def a_row(**elements: Any) -> Dataset:
    """DICOM JSON from keywords; a list gives several values."""
    row: Dataset = {}
    for keyword, value in elements.items():
        given = value if isinstance(value, list) else [value]
        element = make(keyword, *given)
        row[_tag(keyword)] = element
    return row


def _tag(keyword: str) -> str:
    from pydicom.datadict import tag_for_keyword

    return f"{tag_for_keyword(keyword):08X}"


def site_answers(
    query: Query, rows: Iterable[Dataset]
) -> tuple[tuple[Dataset, ...], frozenset[str]]:
    """What an honest site says: its best rows in order, and every match's UID."""
    good = sorted(
        (row for row in rows if matches(query, row)), key=lambda row: sort_key(query.level, row)
    )
    uids = frozenset(text(row, KEY[query.level]) for row in good)
    return tuple(good[: query.offset + query.limit]), uids


def page_of(site_id: str, query: Query, rows: Sequence[Dataset]) -> SitePage:
    best, uids = site_answers(query, rows)
    return SitePage(site_id, best, uids)


def asker(rows: dict[str, Sequence[Dataset] | Exception]) -> Any:
    """An AskSite that answers from memory or raises."""

    def ask(site: Site, query: Query, _deadline: Deadline) -> SitePage:
        known = rows[site.site_id]
        if isinstance(known, Exception):
            raise known
        return page_of(site.site_id, query, known)

    return ask


def describer(
    rows: Mapping[str, Sequence[Dataset] | Exception], asked: dict[str, list[str]] | None = None
) -> Any:
    """A DescribeAt that answers from memory or raises; notes in `asked` who was asked for what."""

    def describe(
        site: Site, query: Query, uids: Sequence[str], _deadline: Deadline
    ) -> tuple[Dataset, ...]:
        known = rows[site.site_id]
        if asked is not None:
            asked[site.site_id] = list(uids)
        if isinstance(known, Exception):
            raise known
        return tuple(row for row in known if text(row, KEY[query.level]) in uids)

    return describe
