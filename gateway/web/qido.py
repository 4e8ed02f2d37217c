"""Search (QIDO-RS, PS3.18 10.6): all six resources, over all sites or the one in the path."""

import orjson
from flask import Blueprint, Response, request

from gateway.bootstrap import Gateway
from gateway.dicom.attributes import Level
from gateway.dicom.media_types import choose_metadata, parse_accept
from gateway.dicom.query import parse_query
from gateway.dicom.uids import check_uid
from gateway.model.answers import SearchResult
from gateway.web.scope import Scope, scope_of
from gateway.web.searching import search

WARNINGS_IN_HEADERS = 20


def create_blueprint(gateway: Gateway, name: str) -> Blueprint:
    """The search resources; `name` keeps the two registrations apart."""
    door = Blueprint(f"qido-{name}", __name__)

    def find(level: Level, site_id: str | None, study: str | None, series: str | None) -> Response:
        choose_metadata(parse_accept(request.headers.getlist("Accept")))
        if study is not None:
            check_uid(study, "study")
        if series is not None:
            check_uid(series, "series")
        query = parse_query(
            level,
            list(request.args.items(multi=True)),
            study_uid=study,
            series_uid=series,
            max_results=gateway.settings.max_results,
        )
        scope = scope_of(gateway, site_id)
        return _answer(search(gateway, query, scope.sites, scope.service_url), scope)

    @door.get("/studies")
    def studies(site_id: str | None = None) -> Response:
        return find(Level.STUDY, site_id, None, None)

    @door.get("/studies/<study>/series")
    @door.get("/series")
    def series(site_id: str | None = None, study: str | None = None) -> Response:
        return find(Level.SERIES, site_id, study, None)

    @door.get("/studies/<study>/series/<series>/instances")
    @door.get("/studies/<study>/instances")
    @door.get("/instances")
    def instances(
        site_id: str | None = None, study: str | None = None, series: str | None = None
    ) -> Response:
        return find(Level.INSTANCE, site_id, study, series)

    return door


def _answer(result: SearchResult, scope: Scope) -> Response:
    """The page with what it lacks said in Warning 299 (PS3.18 8.3.4.4.1) and X-Gateway-Sites."""
    answer = Response(orjson.dumps(result.rows), content_type="application/dicom+json")
    for sentence in result.warnings[:WARNINGS_IN_HEADERS]:
        answer.headers.add("Warning", f"299 {scope.service_url}: {sentence}")
    if result.total is not None:  # else they are many, and nobody has counted them
        answer.headers["X-Total-Count"] = str(result.total)
    asked = len(scope.sites)
    answer.headers["X-Gateway-Sites"] = (
        f"ok={asked - len(result.silent)};failed={len(result.silent)}"
    )
    return answer
