"""What a site's plugin tells us: "something arrived here" (plugins/gateway_bell.py sends it).

An event only rings the bell: it makes things fast, the sweep of `/changes` makes them sure, so a
lost event costs seconds. Pure; the row that stops a replay is in records/events.py.

Signature: `X-Gateway-Signature: v1=<hex>` is HMAC-SHA256 over `timestamp + "." + body` with the
site's `event_key`; `X-Gateway-Timestamp` is in Unix seconds, `X-Gateway-Site` names the site.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, cast, get_args

import orjson

from gateway.dicom.uids import is_lenient_uid
from gateway.errors import BadRequest, BadSignature, PayloadTooLarge
from gateway.model.sites import SITE_ID, Region, Secret

VERSION = 1
BODY_LIMIT = 16 * 1024
WINDOW_S = 300
SITE_HEADER = "X-Gateway-Site"
TIMESTAMP_HEADER = "X-Gateway-Timestamp"
SIGNATURE_HEADER = "X-Gateway-Signature"

EventName = Literal["NewInstance", "StableStudy", "Started"]

_ORTHANC_ID = re.compile(r"(?:[0-9a-f]{8}-){4}[0-9a-f]{8}", re.ASCII)
_PROGRAM = re.compile(r"[A-Za-z0-9._+-]{0,32}", re.ASCII)
_SECONDS = re.compile(r"[0-9]{1,12}", re.ASCII)
_COUNT_LIMIT = 1_000_000


@dataclass(frozen=True)
class Event:
    """One bell of one site.

    orthanc_id   the site's own id of the instance (NewInstance) or study (StableStudy), or ""
    study_uid    "" when the plugin did not know it cheaply
    count        how many new instances this one bell stands for
    digest       hex; the same for the same body, so that a repeated event is seen
    """

    site_id: str
    name: EventName
    orthanc_id: str
    study_uid: str
    count: int
    happened_at: datetime
    plugin_version: str
    orthanc_version: str
    digest: str


def read_event(region: Region, headers: Mapping[str, str], body: bytes, now: datetime) -> Event:
    """Check who sent this and turn it into an Event.

    headers  case-insensitive, as Flask's `request.headers`
    now      aware UTC
    raises   BadSignature for an unknown site, a wrong key or a wrong time; BadRequest (naming the
             field) for what is signed and still wrong; PayloadTooLarge above BODY_LIMIT
    """
    if len(body) > BODY_LIMIT:
        raise PayloadTooLarge("body", f"is longer than {BODY_LIMIT} bytes")
    site_id = headers.get(SITE_HEADER, "")
    site = region.site(site_id)
    verify_signature(
        site.event_key if site else Secret(""),
        headers.get(TIMESTAMP_HEADER, ""),
        body,
        headers.get(SIGNATURE_HEADER, ""),
        now,
    )
    event = parse_event(body)
    if event.site_id != site_id:
        raise BadRequest("site", f"is not the site that {SITE_HEADER} names")
    return event


def sign_event(key: Secret, timestamp: str, body: bytes) -> str:
    """The value of SIGNATURE_HEADER."""
    mac = hmac.new(key.encode(), timestamp.encode() + b"." + body, hashlib.sha256)
    return "v1=" + mac.hexdigest()


def verify_signature(
    key: Secret, timestamp: str, body: bytes, signature: str, now: datetime
) -> None:
    """Return if `signature` was made with `key` within WINDOW_S of `now`, in constant time.

    key     empty when the site is unknown or has no key: then nothing is accepted
    raises  BadSignature
    """
    seconds = timestamp if _SECONDS.fullmatch(timestamp) else "0"
    right = sign_event(key, seconds, body)
    # Compared even without a key, so that time does not tell which sites have one.
    same = hmac.compare_digest(right.encode(), signature.encode("utf-8", "replace"))
    if not same or not key:
        raise BadSignature("the event is not signed with the key of its site")
    if abs(now.timestamp() - int(seconds)) > WINDOW_S:
        raise BadSignature(f"the event's time is more than {WINDOW_S} s from now: set the clocks")


def parse_event(body: bytes) -> Event:
    """Turn a body into an Event. Unknown keys are left alone: a newer plugin may send more.

    raises  BadRequest naming the field; PayloadTooLarge above BODY_LIMIT
    """
    if len(body) > BODY_LIMIT:
        raise PayloadTooLarge("body", f"is longer than {BODY_LIMIT} bytes")
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise BadRequest("body", "is not JSON") from None
    if not isinstance(document, dict):
        raise BadRequest("body", "is not a JSON object")
    if document.get("version") != VERSION:
        raise BadRequest("version", f"must be {VERSION}")
    name = _text(document, "event")
    if name not in get_args(EventName):
        raise BadRequest("event", "must be one of " + ", ".join(get_args(EventName)))
    count = document.get("count", 1)
    if type(count) is not int or not 1 <= count <= _COUNT_LIMIT:
        raise BadRequest("count", f"must be a whole number from 1 to {_COUNT_LIMIT}")
    study_uid = _text(document, "study_uid", "")
    if study_uid and not is_lenient_uid(study_uid):
        raise BadRequest("study_uid", "is not a DICOM UID")
    return Event(
        site_id=_matching(document, "site", SITE_ID),
        name=cast(EventName, name),
        orthanc_id=_matching(document, "orthanc_id", _ORTHANC_ID, ""),
        study_uid=study_uid,
        count=count,
        happened_at=_moment(document, "at"),
        plugin_version=_matching(document, "plugin", _PROGRAM, ""),
        orthanc_version=_matching(document, "orthanc", _PROGRAM, ""),
        digest=hashlib.sha256(body).hexdigest(),
    )


def _text(document: Mapping[str, Any], field: str, default: str | None = None) -> str:
    value = document.get(field)
    if value is None and default is not None:
        return default
    if not isinstance(value, str):
        raise BadRequest(field, "must be a text" if field in document else "is missing")
    return value


def _matching(
    document: Mapping[str, Any], field: str, pattern: re.Pattern[str], default: str | None = None
) -> str:
    value = _text(document, field, default)
    if value != default and not pattern.fullmatch(value):
        raise BadRequest(field, "does not have the form that it must have")
    return value


def _moment(document: Mapping[str, Any], field: str) -> datetime:
    try:
        moment = datetime.fromisoformat(_text(document, field))
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise BadRequest(field, "must be a time like 2026-01-31T10:20:30.5+00:00")
