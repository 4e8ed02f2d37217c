"""Search (QIDO-RS, PS3.18 10.6): all six resources, over all sites or the one in the path."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from urllib.parse import unquote_to_bytes

import orjson
from flask import Blueprint, Response, g, request

from gateway.bootstrap import Gateway
from gateway.dicom.attributes import Dataset, Level, tag_of, text
from gateway.dicom.matching import has_wildcard
from gateway.dicom.media_types import (
    DICOM_JSON,
    DICOM_XML,
    MULTIPART,
    choose_rows,
    format_content_type,
)
from gateway.dicom.multipart import closing, new_boundary, part_head
from gateway.dicom.native_model import to_xml
from gateway.dicom.query import Condition, Query, parse_query
from gateway.dicom.soundness import keep_sound
from gateway.dicom.uids import check_uid
from gateway.errors import BadRequest, NotFound, PayloadTooLarge
from gateway.model.access import Action
from gateway.model.answers import SearchResult
from gateway.web.permissions import needs
from gateway.web.scope import Scope, accepted, scope_of
from gateway.web.searching import search

WARNINGS_IN_HEADERS = 20
NAMED = 10
"""Attributes that one warning names."""
NARROW = frozenset(
    {"StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "PatientID", "AccessionNumber"}
)
"""Keys of which one must be given, without wildcards, to search for instances."""


def create_blueprint(gateway: Gateway, name: str) -> Blueprint:
    """The search resources; `name` keeps the two registrations apart."""
    door = Blueprint(f"qido-{name}", __name__)

    def find(level: Level, site_id: str | None, study: str | None, series: str | None) -> Response:
        choice = choose_rows(accepted())
        if study is not None:
            check_uid(study, "study")
        if series is not None:
            check_uid(series, "series")
        _check_letters(request.query_string)
        query = parse_query(
            level,
            list(request.args.items(multi=True)),
            study_uid=study,
            series_uid=series,
            max_results=gateway.settings.max_results,
        )
        reaches = g.decision.scope.for_search(_named(query))
        query = _narrowed(query, reaches.studies)
        _refuse_broad(query)
        scope = scope_of(gateway, site_id, reaches)
        result = search(gateway, query, scope.sites, scope.service_url)
        # Asked for nothing else already; what a site gives all the same is not passed on.
        rows = [row for row in result.rows if reaches.shows(text(row, "StudyInstanceUID"))]
        if len(rows) < len(result.rows):
            result = replace(result, rows=tuple(rows), total=None)
        return _answer(result, scope, choice.media_type)

    @door.get("/studies")
    @needs(Action.SEARCH)
    def studies(site_id: str | None = None) -> Response:
        return find(Level.STUDY, site_id, None, None)

    @door.get("/studies/<study>/series")
    @door.get("/series")
    @needs(Action.SEARCH)
    def series(site_id: str | None = None, study: str | None = None) -> Response:
        return find(Level.SERIES, site_id, study, None)

    @door.get("/studies/<study>/series/<series>/instances")
    @door.get("/studies/<study>/instances")
    @door.get("/instances")
    @needs(Action.SEARCH)
    def instances(
        site_id: str | None = None, study: str | None = None, series: str | None = None
    ) -> Response:
        return find(Level.INSTANCE, site_id, study, series)

    return door


def _check_letters(query_string: bytes) -> None:
    """Werkzeug leaves alone what is no UTF-8, and a name in cp1251 would find nobody in silence.

    raises  BadRequest that names the parameter
    """
    for piece in query_string.split(b"&"):
        try:
            unquote_to_bytes(piece).decode()
        except UnicodeDecodeError as error:
            name = piece.partition(b"=")[0].decode("latin-1")
            field = name if tag_of(name) else "query"
            raise BadRequest(field, "is not written in UTF-8 (PS3.18 8.3.1)") from error


def _named(query: Query) -> frozenset[str] | None:
    """The studies that a search is confined to by its own words."""
    if query.study_uid is not None:
        return frozenset({query.study_uid})
    found = next((c for c in query.conditions if _is_study_uid(c)), None)
    return None if found is None or not found.values else frozenset(found.values)


def _is_study_uid(condition: Condition) -> bool:
    return condition.keyword == "StudyInstanceUID" and not condition.path


def _narrowed(query: Query, studies: frozenset[str] | None) -> Query:
    """The search confined to the studies that its actor may see.

    raises  NotFound if it names others only
    """
    if studies is None or query.study_uid is not None:
        return query
    seen = studies & (_named(query) or studies)
    if not seen:
        raise NotFound("study")
    only = Condition("0020000D", "StudyInstanceUID", "UI", tuple(sorted(seen)))
    others = tuple(c for c in query.conditions if not _is_study_uid(c))
    return replace(query, conditions=(*others, only))


def _refuse_broad(query: Query) -> None:
    """Instances of the whole region, or of a day, are millions: the caller is to narrow the query.

    Their rows are not in the index: each site would have to read them all.
    raises    PayloadTooLarge
    standard  PS3.18 10.6.3.1: 413
    """
    if query.level is not Level.INSTANCE or query.study_uid is not None:
        return
    for condition in query.conditions:
        exact = condition.values and not any(map(has_wildcard, condition.values))
        if condition.keyword in NARROW and not condition.path and exact:
            return
    raise PayloadTooLarge(
        "query",
        "instances are found by StudyInstanceUID, SeriesInstanceUID, SOPInstanceUID, PatientID or "
        "AccessionNumber, without wildcards; name one of these",
    )


def _answer(result: SearchResult, scope: Scope, media_type: str) -> Response:
    """The page in the chosen form, with what it lacks said in Warning 299 (PS3.18 8.3.4.4.1).

    The validator is weak: X-Gateway-Sites tells the age of rows and moves on while they stay the
    same, and the boundary of XML is new each time. A browser may keep the page but asks again
    before it shows it (trust.md H87).
    """
    rows, left_out = keep_sound(result.rows)
    sentences = [*result.warnings, *_unsound(left_out)]
    body = orjson.dumps(rows)
    warnings = [f"299 {scope.service_url}: {sentence}" for sentence in _told(sentences)]
    said = orjson.dumps([media_type, result.total, warnings])
    digest = hashlib.blake2b(body + said, digest_size=16).hexdigest()
    if media_type == DICOM_JSON:
        answer = Response(body, content_type=DICOM_JSON)
    elif not rows:
        answer = Response(status=204)  # a multipart body has one part at least (RFC 2046 5.1.1)
    else:
        boundary = new_boundary()
        parameters = {"type": DICOM_XML, "boundary": boundary}
        answer = Response(
            b"".join(_parts(rows, boundary)),
            content_type=format_content_type(MULTIPART, parameters),
        )
    for warning in warnings:
        answer.headers.add("Warning", warning)
    if result.total is not None:
        answer.headers["X-Total-Count"] = str(result.total)
    answer.headers["X-Gateway-Sites"] = _sites(result, len(scope.sites))
    answer.headers["Cache-Control"] = "private, no-cache"
    answer.headers["Vary"] = "Accept, Authorization, Cookie"
    answer.set_etag(digest, weak=True)
    answer.make_conditional(request)
    return answer


def _parts(rows: Sequence[Dataset], boundary: str) -> Iterator[bytes]:
    """One part for each row (PS3.18 8.7.3.2)."""
    head = part_head(boundary, [("Content-Type", DICOM_XML)])
    for row in rows:
        yield head + to_xml(row) + b"\r\n"
    yield closing(boundary)


def _unsound(keywords: Sequence[str]) -> Iterator[str]:
    """trust.md H80: attributes that some row has, but not as DICOM allows."""
    if keywords:
        more = f" and {len(keywords) - NAMED} more" if len(keywords) > NAMED else ""
        yield f"Invalid values were left out of {', '.join(keywords[:NAMED])}{more}"


def _told(warnings: Sequence[str]) -> list[str]:
    """The first of the warnings, and how many are left out: a proxy refuses a long head."""
    told, left = list(warnings[:WARNINGS_IN_HEADERS]), len(warnings) - WARNINGS_IN_HEADERS
    return [*told, f"There are {left} more warnings; see /status/sites"] if left > 0 else told


def _sites(result: SearchResult, asked: int) -> str:
    """How many sites are in the answer, how many of them by the index, and how old that is.

    indexed_at  the time up to which the index has followed every site that it answered for and
                that is not silent; each site's own is in /status/sites
    """
    silent = len(result.silent)
    told = f"ok={asked - silent};failed={silent}"
    followed = [at for site_id, at in result.indexed.items() if site_id not in result.silent]
    if not followed:
        return told
    told += f";indexed={len(followed)}"
    times = list(filter(None, followed))
    return f"{told};indexed_at={min(times):%Y-%m-%dT%H:%M:%SZ}" if times else told
