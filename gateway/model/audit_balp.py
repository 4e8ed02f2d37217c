"""A line of the audit as a FHIR R4 AuditEvent, by the Basic Audit Log Patterns of IHE (BALP).

A profile is claimed only where the line is what it is made for: a search, a read or a create that
went well. What was searched for stays sealed, and a patient is named by nobody. Pure.
"""

import base64
from datetime import UTC
from typing import Any

import orjson

from gateway.model.access import Action
from gateway.model.audit import Row
from gateway.model.audit_dicom import Source
from gateway.model.audit_events import Event, Family, description, event_of

DCM = "http://dicom.nema.org/resources/ontology/DCM"
REST = {
    "system": "http://terminology.hl7.org/CodeSystem/audit-event-type", "code": "rest",
    "display": "Restful Operation",
}  # fmt: skip
INTERACTION = "http://hl7.org/fhir/restful-interaction"
OBJECT_TYPE = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
OBJECT_ROLE = "http://terminology.hl7.org/CodeSystem/object-role"
REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
BASIC_TYPE = "https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType"
PROFILE = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit."
PATTERNS = {
    Action.SEARCH: ("Query", "search", "E"),
    Action.RETRIEVE: ("Read", "read", "R"),
    Action.STORE: ("Create", "create", "C"),
}
SOURCE, DESTINATION = ("110153", "Source Role ID"), ("110152", "Destination Role ID")


def to_audit_event(row: Row, source: Source) -> dict[str, Any]:
    """One resource; `id` is the same each time that the line is told."""
    entry, event = row.entry, event_of(row.entry)
    told: dict[str, Any] = {"resourceType": "AuditEvent", "id": entry.entry_id}
    pattern = PATTERNS.get(Action(entry.action)) if entry.action in set(Action) else None
    if pattern is not None and entry.outcome != "refused":
        name, interaction, action = pattern
        if event.outcome == "0":
            told["meta"] = {"profile": [PROFILE + name]}
        told |= {"type": REST, "action": action}
        told["subtype"] = [{"system": INTERACTION, "code": interaction}, _dcm(event)]
    else:
        told |= {"type": _dcm(event), "action": event.action}
        if event.kind is not None:
            kind = {"system": DCM, "code": event.kind.code, "display": event.kind.meaning}
            told["subtype"] = [kind]
    at = entry.at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds")
    told |= {
        "recorded": at + "Z", "outcome": event.outcome, "outcomeDesc": description(entry),
        "agent": _agents(row, event, source),
        "source": {"site": source.host, "observer": {"display": source.url}},
    }  # fmt: skip
    entities = _entities(row, event, source)
    return told | ({"entity": entities} if entities else {})


def to_line(row: Row, source: Source) -> bytes:
    """One resource on one line (NDJSON)."""
    return orjson.dumps(to_audit_event(row, source))


def _dcm(event: Event) -> dict[str, str]:
    return {"system": DCM, "code": event.code.code, "display": event.code.meaning}


def _role(code: str, display: str) -> dict[str, Any]:
    return {"coding": [{"system": DCM, "code": code, "display": display}]}


def _agents(row: Row, event: Event, source: Source) -> list[dict[str, Any]]:
    """The program that asked, the gateway, and who stands behind the request."""
    entry = row.entry
    sends = entry.action == Action.STORE or event.family is Family.QUERY
    asks, gives = (SOURCE, DESTINATION) if sends else (DESTINATION, SOURCE)
    address = {"address": entry.address or source.host, "type": "2" if entry.address else "1"}
    client = {
        "type": _role(*asks), "who": {"display": entry.address or entry.kind or "gateway"},
        "requestor": False, "network": address,
    }  # fmt: skip
    server = {
        "type": _role(*gives), "who": {"display": source.url}, "requestor": False,
        "network": {"address": source.url, "type": "5"},
    }  # fmt: skip
    if not entry.actor:
        return [client | {"requestor": True}, server]
    part = "AUT" if entry.action == Action.STORE else "IRCP"  # who gives, or who is given
    user: dict[str, Any] = {
        "type": {"coding": [{"system": PARTICIPATION, "code": part}]},
        "who": {"identifier": {"value": entry.actor}}, "requestor": True,
    }  # fmt: skip
    if entry.purpose:
        user["purposeOfUse"] = [{"coding": [{"system": REASON, "code": entry.purpose}]}]
    return [client, server, user]


def _entities(row: Row, event: Event, source: Source) -> list[dict[str, Any]]:
    entry = row.entry
    found: list[dict[str, Any]] = []
    if entry.request:
        request = {"system": BASIC_TYPE, "code": "XrequestId"}
        found.append({"what": {"identifier": {"value": entry.request}}, "type": request})
    thing = {"type": {"system": OBJECT_TYPE, "code": "2", "display": "System Object"}}
    if entry.action == Action.SEARCH and event.family is Family.QUERY:
        query = base64.b64encode(entry.detail.encode() or b"-").decode()
        role = {"system": OBJECT_ROLE, "code": "24", "display": "Query"}
        return [*found, thing | {"role": role, "query": query}]
    what = entry.study_uid and f"urn:oid:{entry.study_uid}"
    if not what and event.family is Family.AUTHENTICATION:
        return found
    role = {"system": OBJECT_ROLE, "code": "3" if what else "13"}
    what = what or source.url + (entry.target if entry.target[:1] == "/" else "/audit")
    return [*found, thing | {"what": {"identifier": {"value": what}}, "role": role}]
