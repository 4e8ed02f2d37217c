"""Lets the front nginx fetch frames and instances itself: the gateway decides, nginx carries.

gateway/nginx.py writes the other half. nginx asks here before it answers (auth_request) and
may keep the answer for PROXY_DECISION_S seconds, for one caller, series and form; so that is also
how long a withdrawn right may go on (trust.md A). Only bodies with a length go that way, because
nginx takes a body that breaks off without one for a whole one (performance.md 5.1).
"""

import re
from dataclasses import dataclass

from flask import Blueprint, Response, g, request

from gateway.bootstrap import Gateway
from gateway.clock import Deadline
from gateway.dicom.media_types import DICOM, EXPLICIT_LE, MULTIPART, OCTETS, parse_accept
from gateway.dicom.transcode import Plan, plan_transcoding
from gateway.dicom.uids import check_uid
from gateway.errors import GatewayError
from gateway.model.access import Action, at
from gateway.model.sites import Site
from gateway.nginx import DECISION_PATH, OBJECT
from gateway.web.errors import problem
from gateway.web.grants import is_by_grant
from gateway.web.permissions import decide as decide_access
from gateway.web.permissions import needs
from gateway.web.scope import scope_of

PATH = re.compile(
    rf"(?:/sites/(?P<site_id>[a-z0-9-]+))?/dicom-web{OBJECT.replace('(?<', '(?P<')}", re.ASCII
)


@dataclass(frozen=True)
class Grant:
    """Where nginx may fetch an object, and with which Accept."""

    site_id: str
    accept: str


def create_blueprint(gateway: Gateway) -> Blueprint:
    """The one question of the proxy."""
    door = Blueprint("front_proxy", __name__)
    seconds = gateway.settings.proxy_decision_s

    @door.get(DECISION_PATH)
    @needs(Action.RETRIEVE, written=False)
    def decide() -> Response:
        try:
            grant = _grant(gateway) if seconds else None
        except GatewayError:
            grant = None  # the same question comes again, to be answered in words
        if grant is None:
            # auth_request knows no other "no"; the caller never sees it, nginx asks us then.
            return problem(403, "Not for the proxy")
        answer = Response(status=204)
        answer.headers["X-Gateway-Site"] = grant.site_id
        answer.headers["X-Gateway-Accept"] = grant.accept
        # nginx counts whole seconds and lets the last one pass: one less keeps the promise.
        answer.headers["X-Accel-Expires"] = str(seconds - 1)
        return answer

    return door


def _grant(gateway: Gateway) -> Grant | None:
    """What nginx may do with the request that it names; None: the gateway answers that itself.

    raises  GatewayError if it would be refused anyway
    """
    asked = PATH.fullmatch(request.headers.get("X-Original-URI", ""))
    accept = request.headers.get("Accept", "")
    if asked is None or request.headers.get("X-Original-Method") != "GET":
        return None
    # A second line is part of ours but not of nginx's, and that is what it keeps decisions by.
    if accept != request.headers.get("X-Original-Accept", ""):
        return None
    if request.headers.get("X-Original-Conditions"):
        return None  # a range, an entity tag, another origin: the answer depends on them
    for level in ("study", "series", "instance"):
        check_uid(asked[level], level)
    decide_access(Action.RETRIEVE, at(asked["site_id"], asked["study"]), written=False)
    scope = scope_of(gateway, asked["site_id"])
    if scope.for_patient and not asked["kind"]:
        return None  # a patient's files go without their preambles (trust.md H73)
    location = gateway.locator.locate(
        asked["study"], scope.sites, gateway.settings.search_deadline_s
    )
    if is_by_grant(asked["study"], location):
        return None  # the gateway says what a grant does not give
    if location.silent:
        return None  # the answer needs a Warning
    site = scope.by_id[location.holders[0].site_id]
    if site.cache and gateway.image_cache is not None:
        return None  # the gateway may have it on its disk
    if gateway.wire.standing(site).opened_at is not None:
        return None  # a refused password must not be tried once more for each frame
    wanted = _accept_of_stored(
        gateway, site, asked["study"], asked["series"], OCTETS if asked["kind"] else DICOM, accept
    )
    if wanted is None:
        return None
    if (auditor := g.get("auditor")) is not None:  # all that is seen here of what nginx gives
        auditor.granted(at(site.site_id, asked["study"]))
    return Grant(site.site_id, wanted)


def _accept_of_stored(
    gateway: Gateway, site: Site, study_uid: str, series_uid: str, part_type: str, accept: str
) -> str | None:
    """What to ask the site for; None unless all that is wanted is the stored bytes, in parts."""
    ranges = parse_accept([accept])
    if site.kind != "orthanc" or len(ranges) != 1:
        return None
    (only,) = ranges
    if (only.media_type, only.part_type) != (MULTIPART, part_type):
        return None
    syntax = only.transfer_syntax or EXPLICIT_LE
    stored = frozenset[str]()
    if syntax != "*":
        deadline = Deadline(site.timeouts.search_s)
        stored = gateway.stored.find(site, study_uid, series_uid, deadline)
    if plan_transcoding(syntax, stored) is not Plan.AS_STORED:
        return None
    return f'{MULTIPART}; type="{part_type}"; transfer-syntax=*'
