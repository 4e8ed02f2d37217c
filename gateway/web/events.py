"""The bell: an Orthanc plugin posts here that something has arrived (plugins/gateway_bell.py).

Recorded and answered at once with 202; nothing that must not be lost depends on it (design.md 3.9).
"""

from flask import Blueprint, Response, jsonify, request

from gateway.bootstrap import Gateway
from gateway.clock import utc_now
from gateway.errors import PayloadTooLarge
from gateway.log import log
from gateway.model.access import Action
from gateway.model.events import BODY_LIMIT, read_event
from gateway.records.events import save_event
from gateway.web.permissions import needs


def create_blueprint(gateway: Gateway) -> Blueprint:
    """POST /events."""
    door = Blueprint("events", __name__)

    @door.post("/events")
    @needs(Action.OPEN)
    def ring() -> tuple[Response, int]:
        if (request.content_length or 0) > BODY_LIMIT:
            raise PayloadTooLarge("body", f"is longer than {BODY_LIMIT} bytes")
        now = utc_now()
        body = request.stream.read(BODY_LIMIT + 1)
        event = read_event(gateway.region, dict(request.headers), body, now)
        new = save_event(gateway.records, event, now)
        log.info("event", site=event.site_id, kind=event.name, count=event.count, new=new)
        return jsonify(status="recorded" if new else "known"), 202

    return door
