"""Store (STOW-RS, PS3.18 10.5): parts are streamed to one site, each instance gets its own result.

Without a site in the path it is the region's home site (until logins know the caller's own).
"""

from collections.abc import Iterator

import orjson
from flask import Blueprint, Response, request
from gunicorn.http.errors import ParseException

from gateway.bootstrap import Gateway
from gateway.clock import Deadline
from gateway.dicom.media_types import (
    DICOM,
    DICOM_JSON,
    MULTIPART,
    choose_metadata,
    parse_accept,
    parse_content_type,
)
from gateway.dicom.multipart import Limits, MultipartReader, Part, check_boundary
from gateway.dicom.store_response import response_module, status_of
from gateway.dicom.uids import check_uid
from gateway.errors import BadRequest, PayloadTooLarge, UnsupportedMediaType
from gateway.federation.store import store
from gateway.log import log
from gateway.orthanc import dicomweb
from gateway.web.scope import scope_of

LONGEST_S = 6 * 3600.0


def create_blueprint(gateway: Gateway, name: str) -> Blueprint:
    """The store resources; `name` keeps the two registrations apart."""
    door = Blueprint(f"stow-{name}", __name__)

    @door.post("/studies")
    @door.post("/studies/<study>")
    def instances(site_id: str | None = None, study: str | None = None) -> Response:
        if study is not None:
            check_uid(study, "study", lenient=False)
        choose_metadata(parse_accept(request.headers.getlist("Accept")))
        parts = _parts(gateway.settings.max_store_bytes)
        region = gateway.region
        scope = scope_of(gateway, site_id or region.home_site)
        site = scope.sites[0]
        results = store(
            parts,
            site.site_id,
            study,
            lambda boundary, body: dicomweb.send_store(
                gateway.wire, site, boundary, body, LONGEST_S
            ),
            lambda uid: dicomweb.list_instances(
                gateway.wire, site, uid, Deadline(site.timeouts.store_s)
            ),
        )
        for uid in {result.study_uid for result in results}:
            gateway.locator.forget(uid)
        if not results:
            raise BadRequest("body", "holds no part")
        status = status_of(results)
        log.info("store", site=site.site_id, instances=len(results), status=status)
        service_url = scope_of(gateway, site_id).service_url
        module = response_module(results, service_url)
        return Response(orjson.dumps(module), status, content_type=DICOM_JSON)

    return door


def _parts(limit: int) -> Iterator[Part]:
    """The request's parts; refuses before a byte is read what can be refused then."""
    if request.content_encoding not in (None, "", "identity"):
        raise UnsupportedMediaType("Content-Encoding", "send the body without any coding")
    media_type, parameters = parse_content_type(request.headers.get("Content-Type", ""))
    if media_type != MULTIPART:
        raise UnsupportedMediaType("Content-Type", f'must be {MULTIPART}; type="{DICOM}"')
    if parameters.get("type", DICOM) != DICOM:
        raise UnsupportedMediaType("Content-Type", f"the parts must be {DICOM}")
    boundary = check_boundary(parameters.get("boundary"))
    if request.content_length is not None and request.content_length > limit:
        raise PayloadTooLarge("Content-Length", f"at most {limit} bytes are taken")
    stream = request.stream

    def read(size: int) -> bytes:
        try:
            return stream.read(size)
        except (OSError, ValueError, ParseException) as error:
            raise BadRequest("body", "broke off or is wrongly chunked") from error

    return _dicom_only(MultipartReader(read, boundary, Limits(total_bytes=limit)))


def _dicom_only(reader: MultipartReader) -> Iterator[Part]:
    """The parts as they come; one of another media type refuses the request (trust.md H18)."""
    for part in reader:
        kind, _ = parse_content_type(part.headers.get("content-type", DICOM))
        if kind != DICOM:
            raise UnsupportedMediaType("body", f"each part must be {DICOM}")
        yield part
