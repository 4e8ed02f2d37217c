"""A line of the audit as a DICOM audit message (PS3.15 A.5) and as a syslog message that carries it
(A.6, RFC 5424, RFC 5425). Pure.

What was searched for stays sealed, and a patient is named by nobody: a study's UID leads to both.
"""

import base64
from dataclasses import dataclass
from datetime import UTC
from xml.etree.ElementTree import Element, SubElement, tostring

from gateway.model.access import Action
from gateway.model.audit import Entry, Row
from gateway.model.audit_events import Code, Family, description, event_of

PRIORITY = 85  # facility 10 (security), severity 5 (A.6)
MESSAGE_ID = "DICOM+RFC3881"
MOST_SEQUENCE = 2**31 - 1
SOURCE_ROLE, DESTINATION_ROLE = (
    Code("110153", "Source Role ID"),
    Code("110152", "Destination Role ID"),
)
STUDY = Code("110180", "Study Instance UID")
URI, PATIENT_NUMBER = Code("12", "URI", "RFC-3881"), Code("2", "Patient Number", "RFC-3881")
UNKNOWN = "<none>"
WEB_SERVER = "3"


@dataclass(frozen=True)
class Source:
    """The gateway as the audit names it.

    url   its public address
    host  the name of its machine, for syslog
    """

    url: str
    host: str


def to_message(row: Row, source: Source) -> bytes:
    """AuditMessage of PS3.15 A.5.1.1, UTF-8, on one line."""
    entry, event = row.entry, event_of(row.entry)
    message = Element("AuditMessage")
    head = SubElement(
        message, "EventIdentification",
        EventActionCode=event.action, EventDateTime=_moment(entry),
        EventOutcomeIndicator=event.outcome,
    )  # fmt: skip
    _coded(head, "EventID", event.code)
    if event.kind is not None:
        _coded(head, "EventTypeCode", event.kind)
    SubElement(head, "EventOutcomeDescription").text = description(entry)
    _participants(message, entry, event.family, source)
    origin = SubElement(message, "AuditSourceIdentification", AuditSourceID=source.url)
    SubElement(origin, "AuditSourceTypeCode", {"csd-code": WEB_SERVER})
    _objects(message, row, event.family, source)
    told: bytes = tostring(message, encoding="utf-8", xml_declaration=False)
    return told


def to_syslog(row: Row, source: Source) -> bytes:
    """The octet-counted frame (RFC 5425 4.3) of one message; the row's number is its sequenceId
    (RFC 5424 7.3.1), by which a collector tells a message that came twice.
    """
    data = f'[meta sequenceId="{(row.number - 1) % MOST_SEQUENCE + 1}"]'
    head = f"<{PRIORITY}>1 {_moment(row.entry)} {source.host} gateway - {MESSAGE_ID} {data} "
    told = head.encode("ascii", "replace") + b"\xef\xbb\xbf" + to_message(row, source)
    return b"%d %s" % (len(told), told)


def _moment(entry: Entry) -> str:
    at = entry.at.astimezone(UTC).replace(tzinfo=None)
    return at.isoformat(timespec="microseconds") + "Z"


def _coded(parent: Element, name: str, code: Code) -> None:
    SubElement(
        parent, name,
        {"csd-code": code.code, "codeSystemName": code.system, "originalText": code.meaning},
    )  # fmt: skip


def _participants(message: Element, entry: Entry, family: Family, source: Source) -> None:
    """Who asked and, but for a sign-in, the gateway that answered (A.5.3: roles by the flow)."""
    sends = entry.action == Action.STORE or family is Family.QUERY
    roles = (SOURCE_ROLE, DESTINATION_ROLE) if sends else (DESTINATION_ROLE, SOURCE_ROLE)
    has_role = family in (Family.QUERY, Family.TRANSFER)
    who = _participant(
        message, entry.actor or entry.kind or UNKNOWN, requests=family is not Family.ALERT
    )
    who.set("NetworkAccessPointID", entry.address or source.host)
    who.set("NetworkAccessPointTypeCode", "2" if entry.address else "1")
    own = _participant(message, source.url, requests=False)
    own.set("NetworkAccessPointID", source.host)
    own.set("NetworkAccessPointTypeCode", "1")
    if has_role:
        _coded(who, "RoleIDCode", roles[0])
        _coded(own, "RoleIDCode", roles[1])


def _participant(message: Element, user_id: str, *, requests: bool) -> Element:
    asked = "true" if requests else "false"
    return SubElement(message, "ActiveParticipant", UserID=user_id, UserIsRequestor=asked)


def _objects(message: Element, row: Row, family: Family, source: Source) -> None:
    entry = row.entry
    match family:
        case Family.QUERY if entry.action != Action.SEARCH:
            _named(message, "2", "24", f"{source.url}{entry.target}", URI, entry.action)
        case Family.QUERY:
            asked = _object(message, "2", "24", f"{source.url}/dicom-web", URI)
            sealed = base64.b64encode(entry.detail.encode()).decode()
            SubElement(asked, "ParticipantObjectQuery").text = sealed
        case Family.LOG:
            _named(message, "2", "13", f"{source.url}/audit", URI, "Security Audit Log")
        case Family.ALERT:
            place = f"{source.url}{entry.target}" if entry.target[:1] == "/" else source.url
            subject = _named(message, "2", "13", place, URI, entry.target or entry.action)
            _detail(subject, "Alert Description", description(entry))
        case Family.TRANSFER:
            study = _named(message, "2", "3", entry.study_uid or UNKNOWN, STUDY, "study")
            if entry.instances:
                told = SubElement(study, "ParticipantObjectDescription")
                SubElement(told, "SOPClass", NumberOfInstances=str(entry.instances))
            _named(message, "1", "1", UNKNOWN, PATIENT_NUMBER, "not told")
        case Family.AUTHENTICATION:
            pass
    if entry.purpose and family in (Family.QUERY, Family.TRANSFER):
        first = message.find("ParticipantObjectIdentification")
        assert first is not None  # noqa: S101 - both families have one
        _detail(first, "PurposeOfUse", entry.purpose)
    if entry.study_uid and family not in (Family.TRANSFER, Family.AUTHENTICATION):
        _named(message, "2", "3", entry.study_uid, STUDY, "study")


def _object(message: Element, kind: str, role: str, object_id: str, code: Code) -> Element:
    found = SubElement(
        message, "ParticipantObjectIdentification",
        ParticipantObjectID=object_id, ParticipantObjectTypeCode=kind,
        ParticipantObjectTypeCodeRole=role,
    )  # fmt: skip
    _coded(found, "ParticipantObjectIDTypeCode", code)
    return found


def _named(
    message: Element, kind: str, role: str, object_id: str, code: Code, name: str
) -> Element:
    found = _object(message, kind, role, object_id, code)
    SubElement(found, "ParticipantObjectName").text = name
    return found


def _detail(parent: Element, kind: str, value: str) -> None:
    """After the name or query, before a description, as the schema has them."""
    detail = Element("ParticipantObjectDetail", type=kind)
    detail.set("value", base64.b64encode(value.encode()).decode())
    parent.insert(2, detail)
