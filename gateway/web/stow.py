"""Store (STOW-RS, PS3.18 10.5): parts are streamed to the sites, each instance gets its own result.

Where an instance goes is decided by storing.py; what becomes of it by federation/store.py.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

import gevent
import orjson
from flask import Blueprint, Response, g, request
from gunicorn.http.errors import ParseException

from gateway.bootstrap import Gateway
from gateway.clock import monotonic_s
from gateway.dicom.media_types import (
    DICOM,
    DICOM_JSON,
    DICOM_XML,
    MULTIPART,
    Offer,
    negotiate,
    parse_content_type,
)
from gateway.dicom.multipart import BLOCK, Limits, MultipartReader, Part, check_boundary
from gateway.dicom.native_model import to_xml
from gateway.dicom.store_response import (
    DUPLICATE,
    OTHER_PATIENT,
    InstanceResult,
    response_module,
    status_of,
)
from gateway.dicom.uids import check_uid
from gateway.errors import BadRequest, PayloadTooLarge, TooSlow, UnsupportedMediaType
from gateway.federation.assemble import assemble
from gateway.federation.store import store
from gateway.log import log
from gateway.model.access import Action
from gateway.model.answers import Refused
from gateway.settings import Settings
from gateway.web.capabilities import TAKES
from gateway.web.permissions import needs
from gateway.web.scope import accepted, scope_of
from gateway.web.storing import RegionStorage, raise_alarms

ANSWERS = (Offer(DICOM_JSON), Offer(DICOM_XML))
SLOWEST_S = 60.0
"""Longest wait for one block of 256 KB, 4 KB/s: a slower caller holds a place of others."""
RETRY_AFTER_S = 30
STUDIES_TOLD = 5
SITES_TOLD = 10
PLAIN = frozenset({"", "identity", "binary", "8bit", "7bit"})
"""Codings that change no byte (RFC 9110 8.4.1, RFC 2045 6.2)."""
MOST_PARTS = 50_000
"""trust.md H16; a CT of a whole body has 20,000 slices at most."""


def create_blueprint(gateway: Gateway, name: str) -> Blueprint:
    """The store resources; `name` keeps the two registrations apart."""
    door = Blueprint(f"stow-{name}", __name__)

    @door.post("/studies")
    @door.post("/studies/<study>")
    @needs(Action.STORE)
    def instances(site_id: str | None = None, study: str | None = None) -> Response:
        if study is not None:
            check_uid(study, "study", lenient=False)
        choice = negotiate(accepted(), ANSWERS)
        scope = scope_of(gateway, site_id)
        storage = RegionStorage(gateway, site_id, scope)
        parts = _parts(gateway.settings, storage)
        service_url = scope.service_url
        results = store(parts, study, storage)
        if not results:
            raise BadRequest("body", "holds no part")
        g.stored = results  # for the audit: what became of each study
        status = status_of(results)
        _log(site_id, results, status)
        raise_alarms(gateway.records, results)
        module = response_module(results, service_url)
        body = to_xml(module) if choice.media_type == DICOM_XML else orjson.dumps(module)
        answer = Response(body, status, content_type=choice.media_type)
        if status == 503:
            answer.headers["Retry-After"] = str(RETRY_AFTER_S)
        for sentence in _ways_out(storage.shared):
            answer.headers.add("Warning", f"299 {service_url}: {sentence}")
        return answer

    return door


def _ways_out(shared: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """What to do with studies that sites hold for different patients: no reason code can say it."""
    for study_uid, sites in islice(shared.items(), STUDIES_TOLD):
        yield (
            f"Study {study_uid} is held for different patients, so nothing of it is stored here; "
            "store it at /sites/{id}/dicom-web of its own hospital: "
            f"{', '.join(sites[:SITES_TOLD])}"
        )


def _log(site_id: str | None, results: Sequence[InstanceResult], status: int) -> None:
    """One line, a warning where somebody may have tried to replace images (trust.md H82, F20)."""
    reasons = Counter(f"{r.failure:04X}" for r in results if r.failure is not None)
    conflict = any(r.failure in (DUPLICATE, OTHER_PATIENT) for r in results)
    (log.warning if conflict else log.info)(
        "store",
        site=site_id,
        instances=len(results),
        stored=len(results) - reasons.total(),
        reasons=dict(reasons),
        studies=sorted({r.study_uid for r in results})[:STUDIES_TOLD],
        status=status,
    )


def _parts(settings: Settings, storage: RegionStorage) -> Iterator[Part | Refused]:
    """The request's parts; refuses before a byte is read what can be refused then."""
    if (request.content_encoding or "").lower() not in ("", "identity"):
        raise UnsupportedMediaType("Content-Encoding", "send the body without any coding")
    media_type, parameters = parse_content_type(request.headers.get("Content-Type", ""))
    kind = parameters.get("type", DICOM)
    if media_type != MULTIPART or kind not in TAKES:
        known = " or ".join(f'{MULTIPART}; type="{name}"' for name in TAKES)
        raise UnsupportedMediaType("Content-Type", f"must be {known}")
    boundary = check_boundary(parameters.get("boundary"))
    limit = settings.max_store_bytes
    if request.content_length is not None and request.content_length > limit:
        raise PayloadTooLarge("Content-Length", f"at most {limit} bytes are taken")
    limits = Limits(parts=MOST_PARTS, total_bytes=limit)
    parts = _flat(MultipartReader(_Sent().read, boundary, limits))
    return _dicom_only(parts) if kind == DICOM else assemble(parts, kind, storage.spool)


class _Sent:
    """The request's body as it comes; TooSlow if the caller lets us wait too long for a block."""

    def __init__(self) -> None:
        stream = request.stream
        self._read = getattr(stream, "read1", stream.read)
        self._slow = TooSlow("body", f"comes slower than {BLOCK // SLOWEST_S:.0f} bytes a second")
        self._waited_s, self._came = 0.0, 0

    def read(self, size: int) -> bytes:
        """Up to `size` bytes, b"" at the end."""
        start = monotonic_s()
        try:
            with gevent.Timeout(SLOWEST_S - self._waited_s, self._slow):
                block = bytes(self._read(size))
        except (OSError, ValueError, ParseException) as error:
            raise BadRequest("body", "broke off or is wrongly chunked") from error
        self._waited_s += monotonic_s() - start
        self._came += len(block)
        if self._came >= BLOCK:
            self._waited_s, self._came = 0.0, 0
        return block


def _flat(parts: Iterable[Part]) -> Iterator[Part]:
    """The parts as they come. None may hold parts in turn (H15), none may be packed: its pixels
    would be stored as they are not (H20).
    """
    for part in parts:
        if part.headers.get("content-type", "").lstrip().lower().startswith("multipart/"):
            raise BadRequest("body", "a part must hold no parts of its own")
        for name in ("content-encoding", "content-transfer-encoding"):
            if part.headers.get(name, "binary").lower() not in PLAIN:
                raise UnsupportedMediaType("body", "each part must come without any coding")
        yield part


def _dicom_only(parts: Iterable[Part]) -> Iterator[Part]:
    """The parts as they come; one of another media type refuses the request (trust.md H18)."""
    for part in parts:
        kind, _ = parse_content_type(part.headers.get("content-type", DICOM))
        if kind != DICOM:
            raise UnsupportedMediaType("body", f"each part must be {DICOM}")
        yield part
