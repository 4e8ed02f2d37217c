"""Capabilities (OPTIONS, PS3.18 8.9 and Annex H) and CORS (Fetch standard).

Both use OPTIONS: a preflight has Origin and Access-Control-Request-Method, the rest asks what the
service can do. The description is made from the routes, so it cannot lag behind them.
"""

import xml.etree.ElementTree as ET
from collections.abc import Iterator

import orjson
from flask import Flask, Response, request
from werkzeug.routing import Rule

from gateway.bootstrap import Gateway
from gateway.dicom.media_types import (
    DICOM,
    DICOM_JSON,
    DICOM_XML,
    MULTIPART,
    OCTETS,
    PDF,
    PICTURES,
    REPORTS,
    ZIP,
    Offer,
    negotiate,
    parse_accept,
)
from gateway.web.scope import scope_of

WADL = "application/vnd.sun.wadl+xml"
WADL_NAMESPACE = "http://wadl.dev.java.net/2009/02"
EXPOSED = (
    "Warning, X-Total-Count, X-Gateway-Sites, Content-Location, Location, ETag, Retry-After, "
    "Accept-Ranges, Content-Range"
)
ALLOWED_HEADERS = "Accept, Content-Type, Authorization, Range, If-Range, If-None-Match"
ROWS = (DICOM_JSON, f'{MULTIPART}; type="{DICOM_XML}"')
TAKES = (DICOM, DICOM_JSON, DICOM_XML)
GIVES = {
    "dicom": (f'{MULTIPART}; type="{DICOM}"', DICOM, ZIP, f'{MULTIPART}; type="{OCTETS}"'),
    "metadata": ROWS,
    "frames": (f'{MULTIPART}; type="{OCTETS}"', OCTETS),
    "bulkdata": (f'{MULTIPART}; type="{OCTETS}"', OCTETS),
    "bulk": (f'{MULTIPART}; type="{OCTETS}"', OCTETS),
    "allbulkdata": (f'{MULTIPART}; type="{OCTETS}"',),
    "pixeldata": (f'{MULTIPART}; type="{OCTETS}"',),
    "rendered": (*PICTURES, *REPORTS, PDF, *(f'{MULTIPART}; type="{kind}"' for kind in PICTURES)),
    "thumbnail": PICTURES,
    "studies": ROWS,
    "series": ROWS,
    "instances": ROWS,
}


def register(app: Flask, gateway: Gateway) -> None:
    """Answer OPTIONS everywhere, and let the listed origins in."""

    @app.before_request
    def options() -> Response | None:
        if request.method != "OPTIONS":
            return None
        if request.headers.get("Origin") and request.headers.get("Access-Control-Request-Method"):
            return Response(status=204)  # `open_to_origins` adds the permission, if there is one
        return _describe(app, gateway)

    @app.after_request
    def open_to_origins(answer: Response) -> Response:
        origin = request.headers.get("Origin")
        answer.headers.add("Vary", "Origin")
        if origin is None or origin not in gateway.settings.allowed_origins:
            return answer
        answer.headers["Access-Control-Allow-Origin"] = origin
        answer.headers["Access-Control-Expose-Headers"] = EXPOSED
        if request.method == "OPTIONS":
            answer.headers["Access-Control-Allow-Methods"] = "GET, HEAD, POST, OPTIONS"
            answer.headers["Access-Control-Allow-Headers"] = ALLOWED_HEADERS
            answer.headers["Access-Control-Max-Age"] = "600"
        return answer


def _describe(app: Flask, gateway: Gateway) -> Response:
    """What can be asked below the service root that the request names."""
    site_id = None
    parts = request.path.split("/")
    if len(parts) > 2 and parts[1] == "sites":
        site_id = parts[2]
    scope = scope_of(gateway, site_id)
    resources = list(_resources(app))
    choice = negotiate(
        parse_accept(request.headers.getlist("Accept")), (Offer(WADL), Offer(DICOM_JSON))
    )
    if choice.media_type == DICOM_JSON:
        listed = [
            {"path": path, "method": method, "mediaTypes": list(types)}
            for path, method, types in resources
        ]
        body = orjson.dumps({"base": scope.service_url, "resources": listed})
    else:
        body = _wadl(scope.service_url, resources)
    answer = Response(body, content_type=choice.media_type)
    answer.headers["Allow"] = "GET, HEAD, POST, OPTIONS"
    return answer


def _resources(app: Flask) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """(path template, method, media types) of each DICOMweb route of the region's root."""
    for rule in sorted(app.url_map.iter_rules(), key=lambda rule: rule.rule):
        name = rule.endpoint.partition(".")[2].rstrip("0123456789")
        if not rule.rule.startswith("/dicom-web/"):
            continue
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            types = (DICOM_JSON, DICOM_XML) if method == "POST" else GIVES[name]
            yield _template(rule), method, types


def _template(rule: Rule) -> str:
    path = rule.rule.removeprefix("/dicom-web/")
    return path.replace("<path:", "<").replace("<", "{").replace(">", "}")


def _wadl(base: str, resources: list[tuple[str, str, tuple[str, ...]]]) -> bytes:
    root = ET.Element("application", xmlns=WADL_NAMESPACE)
    below = ET.SubElement(root, "resources", base=base + "/")
    for path, method, types in resources:
        resource = ET.SubElement(below, "resource", path=path)
        call = ET.SubElement(resource, "method", name=method)
        if method == "POST":
            asked = ET.SubElement(call, "request")
            for kind in TAKES:
                ET.SubElement(asked, "representation", mediaType=f'{MULTIPART}; type="{kind}"')
        answer = ET.SubElement(call, "response", status="200")
        for media_type in types:
            ET.SubElement(answer, "representation", mediaType=media_type)
    described: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return described
