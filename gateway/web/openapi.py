"""What programs may ask, as an OpenAPI 3.1 document made from the routes, so that none lags behind.

Pages for people are not in it; what WADL and OPTIONS tell (capabilities.py) is told here with every
parameter and status.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from flask import Blueprint, Flask, Response, current_app, jsonify
from werkzeug.routing import Rule

from gateway.dicom.media_types import DICOM_JSON, MULTIPART
from gateway.dicom.uids import MAX_LENGTH
from gateway.model.access import Action
from gateway.web.capabilities import GIVES, TAKES
from gateway.web.permissions import action_of, needs
from gateway.web.rollout import api as rollout
from gateway.web.rollout.api_examples import examples
from gateway.web.rollout.api_forms import SCHEMAS

PAGES = frozenset(
    {
        "home",
        "console",
        "upload",
        "viewer",
        "sign_in",
        "reports",
        "account",
        "audit_desk",
        "authenticator",
        "emergency",
        "authorize",
        "metrics",
        "outside",
        "sharing",
        "front_proxy",
        "openapi",
        "rollout",
    }
)
"""Doors for people, for the proxy before us, and this one."""
JSON, PROBLEM = "application/json", "application/problem+json"
FORM = "application/x-www-form-urlencoded"

SUMMARIES: Mapping[str, str] = {
    "search": "Поиск: подходящие строки, новые первыми · Search (QIDO-RS, PS3.18 10.6)",
    "retrieve": "Получение снимков · Retrieve (WADO-RS, PS3.18 10.4)",
    "store": "Сохранение · Store (STOW-RS, PS3.18 10.5)",
    "wado": "Один снимок для старых просмотрщиков · One image for old viewers (WADO-URI, PS3.18 9)",
    "healthz": "Жив ли процесс · Is the process alive",
    "readyz": "Готов ли отвечать · Can it serve",
    "status": "Как отвечает каждая больница · How each site stands",
    "events": "Больница сообщает о новом · A site tells that something has arrived",
    "oauth": "Токены для программ · Tokens for programs (OAuth 2)",
    ".well-known": "Ключи и адреса · Keys and addresses (RFC 7517, RFC 8414)",
}
QUERY: tuple[tuple[str, dict[str, Any]], ...] = (
    ("limit", {"type": "integer", "minimum": 1}),
    ("offset", {"type": "integer", "minimum": 0, "maximum": 1_000_000}),
    ("fuzzymatching", {"type": "boolean"}),
    ("includefield", {"type": "string"}),
    ("PatientName", {"type": "string", "examples": ["иванов*"]}),
    ("PatientID", {"type": "string"}),
    ("AccessionNumber", {"type": "string"}),
    ("StudyInstanceUID", {"type": "string"}),
    ("StudyDate", {"type": "string", "examples": ["20260101-20260131"]}),
    ("ModalitiesInStudy", {"type": "string", "examples": ["CT"]}),
)
WADO: tuple[tuple[str, dict[str, Any]], ...] = tuple(
    (name, {"type": "string"})
    for name in ("requestType", "studyUID", "seriesUID", "objectUID", "contentType", "frameNumber")
)
UID = {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)*$", "maxLength": MAX_LENGTH}
PLACES: Mapping[str, dict[str, Any]] = {
    "study": UID,
    "series": UID,
    "instance": UID,
    "site_id": {"type": "string", "pattern": "^[a-z0-9-]+$"},
    "frames": {"type": "string", "pattern": "^[1-9][0-9]*(,[1-9][0-9]*)*$"},
    "facility_id": {"type": "string", "maxLength": 32, "examples": ["gkb1"]},
    "month": rollout.OF_SNAPSHOT["month"],
    "bulk": {"type": "string"},
}
STATUSES: Mapping[Action, tuple[int, ...]] = {
    Action.SEARCH: (400, 401, 403, 404, 406, 413, 429, 502, 503, 504),
    Action.RETRIEVE: (400, 401, 403, 404, 406, 409, 410, 416, 429, 502, 503, 504),
    Action.STORE: (400, 401, 403, 404, 406, 408, 409, 411, 413, 415, 429, 502, 503, 504, 507),
    Action.SEE_STATUS: (401, 403),
    Action.OPEN: (400, 401, 403, 413, 415, 429, 503),
    Action.READ_FIGURES: (400, 401, 403, 404, 429, 503),
}
GOOD: Mapping[Action, tuple[int, ...]] = {
    Action.RETRIEVE: (200, 206, 304),
    Action.STORE: (200, 202),
    Action.OPEN: (200, 202),
    Action.READ_FIGURES: (200, 304),
}
PROBLEM_SCHEMA = {
    "type": "object",
    "description": "RFC 9457; field names what is wrong, detail says what to do",
    "required": ["title", "status"],
    "properties": {
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "field": {"type": "string"},
        "detail": {"type": "string"},
    },
}
PLACE = re.compile(r"<(?:\w+:)?(\w+)>")


def create_blueprint() -> Blueprint:
    """/openapi.json."""
    door = Blueprint("openapi", __name__)

    @door.get("/openapi.json")
    @needs(Action.OPEN)
    def document() -> Response:
        return jsonify(describe(current_app))

    return door


def describe(app: Flask) -> dict[str, Any]:
    """The OpenAPI document of these routes."""
    paths: dict[str, dict[str, Any]] = {}
    for rule in sorted(programs_rules(app), key=lambda rule: rule.rule):
        action = action_of(app, rule)
        assert action is not None  # noqa: S101 - the application would not have started
        path = paths.setdefault(PLACE.sub(r"{\1}", rule.rule), {})
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            of_figures = rule.endpoint.startswith("rollout_api.")
            path[method.lower()] = (
                _figures(rule) if of_figures else _operation(rule, method, action)
            )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Региональный шлюз снимков · Regional Imaging Gateway",
            "version": "1",
            "description": "DICOMweb всех больниц региона · DICOMweb of all hospitals of a region",
        },
        "paths": paths,
        "security": [{"token": []}, {}],
        "components": {
            "schemas": {"Problem": PROBLEM_SCHEMA},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def programs_rules(app: Flask) -> Iterator[Rule]:
    """The routes that programs ask."""
    for rule in app.url_map.iter_rules():
        if rule.endpoint.partition(".")[0] not in PAGES:
            yield rule


def _figures(rule: Rule) -> dict[str, Any]:
    """A view of the rollout's figures: each has a schema and an example of its own."""
    name = rule.endpoint.partition(".")[2]
    asked = rollout.PARAMETERS.get(name, rollout.OF_SNAPSHOT)
    found = _operation(rule, "GET", Action.READ_FIGURES) | {"summary": rollout.SUMMARIES[name]}
    found["parameters"] += [{"name": n, "in": "query", "schema": kind} for n, kind in asked.items()]
    content = {"schema": SCHEMAS[name], "example": examples()[name]}
    found["responses"]["200"]["content"] = {JSON: content}
    return found


def _operation(rule: Rule, method: str, action: Action) -> dict[str, Any]:
    found: dict[str, Any] = {
        "summary": SUMMARIES.get(_kind(rule), SUMMARIES.get(str(action), str(action))),
        "operationId": f"{rule.endpoint}.{method.lower()}.{len(rule.arguments)}",
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": PLACES[name]}
            for name in PLACE.findall(rule.rule)
        ],
        "responses": _responses(rule, action),
    }
    asked = WADO if _kind(rule) == "wado" else QUERY if action is Action.SEARCH else ()
    found["parameters"] += [{"name": name, "in": "query", "schema": kind} for name, kind in asked]
    if method == "POST":
        found["requestBody"] = _body(action)
    return found


def _kind(rule: Rule) -> str:
    """The segment that says what a route is about: that of WADO-URI stands at the end."""
    segments = rule.rule.strip("/").split("/")
    return "wado" if segments[-1] == "wado" else segments[0]


def _body(action: Action) -> dict[str, Any]:
    if action is Action.STORE:
        kinds = [f'{MULTIPART}; type="{kind}"' for kind in TAKES]
    else:
        kinds = [FORM, JSON]
    return {"required": True, "content": {kind: {} for kind in kinds}}


def _responses(rule: Rule, action: Action) -> dict[str, Any]:
    name = rule.endpoint.partition(".")[2].rstrip("0123456789")
    gives = (DICOM_JSON, "application/dicom+xml") if action is Action.STORE else GIVES.get(name)
    content: dict[str, Any] = {kind: {} for kind in gives or (JSON,)}
    if _kind(rule) == "wado":
        content = {"*/*": {}}
    found: dict[str, Any] = {
        str(status): {
            "description": "Готово · Done",
            **({} if status == 304 else {"content": content}),
        }
        for status in GOOD.get(action, (200,))
    }
    told: dict[str, Any] = {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    if _kind(rule) == "oauth":
        told[JSON] = {}  # in the words of RFC 6749 5.2
    for status in STATUSES[action]:
        found[str(status)] = {"description": "Отказ · Refusal", "content": told}
    if action is Action.STORE:  # the Store Instances Response Module (PS3.18 I.2)
        found["409"]["content"] = told | content
    return found
