"""The audit as DICOM audit messages (PS3.15 A.5) and FHIR AuditEvents (BALP): whole, and without a
patient's data. The schema is checked element by element, as A.5.1.1 orders and counts them."""

import base64
import re
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element, fromstring

import pytest

from gateway.model.audit import Entry, Head, Row
from gateway.model.audit_balp import DCM, PROFILE, to_audit_event
from gateway.model.audit_dicom import Source, to_message, to_syslog
from gateway.model.audit_seals import Signer, entry_of
from gateway.model.audit_words import COLUMNS, to_csv
from tests.records.test_audit import NOW, entry

SOURCE = Source("https://images.region.example", "images.region.example")
STUDY = "1.2.643.5"
CODED = ("csd-code", "codeSystemName", "originalText")


@dataclass(frozen=True)
class Shape:
    """children: names in their order, with "?", "*" or "+"; attributes: name -> what it may be"""

    children: str = ""
    must: dict[str, str] = field(default_factory=dict)
    may: dict[str, str] = field(default_factory=dict)


ANY, BASE64, TRUTH = r"(?s).*", r"[A-Za-z0-9+/]*={0,2}", "true|false"
CODE = Shape("", dict.fromkeys(CODED, ".+"), {"displayName": ANY})
SHAPES = {
    "AuditMessage": Shape(
        "EventIdentification ActiveParticipant+ AuditSourceIdentification "
        "ParticipantObjectIdentification*"
    ),
    "EventIdentification": Shape(
        "EventID EventTypeCode* EventOutcomeDescription?",
        {"EventDateTime": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z",
         "EventOutcomeIndicator": "0|4|8|12"},
        {"EventActionCode": "[CRUDE]"},
    ),
    "ActiveParticipant": Shape(
        "RoleIDCode* MediaIdentifier?", {"UserID": ".+", "UserIsRequestor": TRUTH},
        {"AlternativeUserID": ANY, "UserName": ANY, "NetworkAccessPointID": ".+",
         "NetworkAccessPointTypeCode": "[1-5]"},
    ),
    "AuditSourceIdentification": Shape(
        "AuditSourceTypeCode*", {"AuditSourceID": ".+"}, {"AuditEnterpriseSiteID": ANY}
    ),
    "AuditSourceTypeCode": Shape("", {"csd-code": "[1-9]"}),
    "ParticipantObjectIdentification": Shape(
        "ParticipantObjectIDTypeCode (ParticipantObjectName|ParticipantObjectQuery) "
        "ParticipantObjectDetail* ParticipantObjectDescription*",
        {"ParticipantObjectID": ".+"},
        {"ParticipantObjectTypeCode": "[1-4]", "ParticipantObjectTypeCodeRole": r"[1-9]|1\d|2[0-6]",
         "ParticipantObjectDataLifeCycle": r"[1-9]|1[0-5]", "ParticipantObjectSensitivity": ANY},
    ),
    "ParticipantObjectDetail": Shape("", {"type": ".+", "value": BASE64}),
    "ParticipantObjectDescription": Shape("SOPClass*"),
    "SOPClass": Shape("Instance*", {"NumberOfInstances": r"\d+"}, {"UID": "[0-9.]+"}),
    "EventID": CODE, "EventTypeCode": CODE, "RoleIDCode": CODE, "ParticipantObjectIDTypeCode": CODE,
    **dict.fromkeys(
        ("EventOutcomeDescription", "ParticipantObjectName", "ParticipantObjectQuery"), Shape()
    ),
}  # fmt: skip


def check(element: Element) -> None:
    """raises AssertionError with the name of what is not as A.5.1.1 has it"""
    shape, name = SHAPES[element.tag], element.tag
    pattern = re.sub(r"(\w+)", r"(?:\1;)", shape.children).replace(" ", "")
    assert re.fullmatch(pattern, "".join(f"{child.tag};" for child in element)), name
    assert set(shape.must) <= set(element.attrib) <= set(shape.must) | set(shape.may), name
    for key, value in element.attrib.items():
        assert re.fullmatch((shape.must | shape.may)[key], value), (name, key, value)
    if name == "ParticipantObjectQuery":
        assert base64.b64decode(element.text or "", validate=True)
    for child in element:
        check(child)


def message_of(one: Entry) -> Element:
    found = fromstring(to_message(Row(7, one, "c" * 64), SOURCE))
    check(found)
    return found


def code(message: Element, path: str) -> str:
    found = message.find(path)
    assert found is not None, path
    return found.attrib["csd-code"]


def said(**what) -> Entry:
    return entry(1, study_uid="", address="10.1.2.3", **what)


KINDS = {
    "a search": (said(action="search", detail="sealed"), "110112", "E", "0"),
    "a retrieval begins": (
        entry(1, study_uid=STUDY), "110102", "E", "0"),
    "a retrieval is done": (
        entry(1, study_uid=STUDY, outcome="done", status=200, instances=3), "110104", "R", "0"),
    "a download is cut": (entry(1, study_uid=STUDY, outcome="cut", status=200), "110104", "R", "8"),
    "a site is silent": (
        entry(1, study_uid=STUDY, outcome="failed", status=503), "110104", "R", "8"),
    "not found": (entry(1, study_uid=STUDY, outcome="failed", status=404), "110104", "R", "4"),
    "nginx gives it": (entry(1, study_uid=STUDY, outcome="granted"), "110104", "R", "0"),
    "a store": (
        entry(1, study_uid=STUDY, action="store", outcome="done", instances=2), "110104", "C", "0"),
    "a sign-in": (said(action="sign_in", outcome="done"), "110114", "E", "0"),
    "a wrong password": (
        said(action="sign_in", outcome="refused", actor="", reason="password"), "110114", "E", "4"),
    "a patient's link": (
        said(action="open_link", outcome="done", actor="link1"), "110114", "E", "0"),
    "a wrong date of birth": (
        said(action="open_link", outcome="refused", actor="link1"), "110114", "E", "4"),
    "a token is taken back": (said(action="token", outcome="withdrawn"), "110114", "E", "0"),
    "a look into the console": (
        entry(1, study_uid=STUDY, action="read_deliveries", outcome="done"), "110112", "E", "0"),
    "a study is looked for": (
        said(action="read_deliveries", outcome="done", target="/console/find"),
        "110112", "E", "0"),
    "a sign-out": (said(action="sign_out", outcome="done"), "110114", "E", "0"),
    "a refusal": (
        entry(1, study_uid=STUDY, outcome="refused", reason="outside"), "110113", "E", "4"),
    "a rule change": (
        said(action="write_rules", outcome="done", target="/console/rules/gkb1"),
        "110113", "E", "0"),
    "an account": (said(action="manage_accounts", outcome="done"), "110113", "E", "0"),
    "a command": (
        said(action="command", kind="terminal", target="users lock", outcome="done"),
        "110113", "E", "0"),
    "reading the audit": (said(action="read_audit", outcome="done", target="/audit"),
        "110101", "R", "0"),
    "a broken audit": (said(action="verify", outcome="failed"), "110101", "R", "8"),
    "a seal": (
        entry_of(Signer(b"k" * 32).sign(Head(6, "c" * 64), NOW)),
        "110101", "R", "0"),
}  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_line_is_a_message_of_the_schema(name: str) -> None:
    one, event, action, outcome = KINDS[name]
    message = message_of(one)
    head = message.find("EventIdentification")
    assert head is not None
    assert code(message, "EventIdentification/EventID") == event
    assert (head.get("EventActionCode"), head.get("EventOutcomeIndicator")) == (action, outcome)


def test_a_transfer_names_its_study_its_two_ends_and_no_patient() -> None:
    message = message_of(KINDS["a retrieval is done"][0])
    study, patient = message.findall("ParticipantObjectIdentification")
    assert study.get("ParticipantObjectID") == STUDY
    assert study.find("ParticipantObjectDescription/SOPClass").get("NumberOfInstances") == "3"  # type: ignore[union-attr]
    assert patient.get("ParticipantObjectID") == "<none>"
    ends = [
        (one.get("UserID"), one.find("RoleIDCode").get("csd-code"))  # type: ignore[union-attr]
        for one in message.findall("ActiveParticipant")
    ]
    assert ends == [("a1", "110152"), (SOURCE.url, "110153")]
    purpose = study.find("ParticipantObjectDetail")
    assert purpose is not None
    assert base64.b64decode(purpose.get("value", "")) == b"TREAT"


def test_what_was_searched_for_leaves_sealed() -> None:
    message = message_of(KINDS["a search"][0])
    query = message.find("ParticipantObjectIdentification/ParticipantObjectQuery")
    assert query is not None
    assert base64.b64decode(query.text or "") == b"sealed"


def test_a_security_alert_says_what_it_is_about() -> None:
    message = message_of(KINDS["a rule change"][0])
    assert code(message, "EventIdentification/EventTypeCode") == "110131"
    detail = message.find("ParticipantObjectIdentification/ParticipantObjectDetail")
    assert detail is not None
    assert detail.get("type") == "Alert Description"
    assert b"write_rules" in base64.b64decode(detail.get("value", ""))
    assert {one.get("UserIsRequestor") for one in message.findall("ActiveParticipant")} == {"false"}


@pytest.mark.parametrize(
    ("action", "study", "kind"),
    [
        ("password", "", "110137"),
        ("viewer", "", "110137"),
        ("share_link", STUDY, "110135"),
        ("share_revoke", STUDY, "110135"),
        ("break_glass", STUDY, "110127"),
        ("break_glass", "", "110132"),
    ],
)
def test_an_alert_says_of_what_kind_it_is(action: str, study: str, kind: str) -> None:
    """An emergency has begun when a study is open, not when the page for it was looked at."""
    message = message_of(entry(1, action=action, study_uid=study, outcome="done"))
    assert code(message, "EventIdentification/EventTypeCode") == kind


def test_hostile_text_stays_text() -> None:
    one = entry(1, study_uid="", action="store", actor='"><svg onload="x">', target="/a&b")
    assert message_of(one).find("ActiveParticipant").get("UserID") == one.actor  # type: ignore[union-attr]


def test_a_frame_counts_its_octets_and_keeps_its_number() -> None:
    one = Row(2**31 + 4, entry(1, actor="я"), "c" * 64)
    frame = to_syslog(one, SOURCE)
    length, _, told = frame.partition(b" ")
    assert len(told) == int(length)
    assert b'[meta sequenceId="5"]' in told


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_line_is_an_audit_event(name: str) -> None:
    one, _, _, outcome = KINDS[name]
    told = to_audit_event(Row(7, one, "c" * 64), SOURCE)
    assert {"type", "recorded", "agent", "source", "outcome", "id"} <= set(told)
    assert told["outcome"] == outcome
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", told["recorded"])
    assert [agent["requestor"] for agent in told["agent"]].count(True) == 1
    assert told["source"]["observer"]
    assert re.fullmatch(r"[A-Za-z0-9.-]{1,64}", told["id"])


@pytest.mark.parametrize(
    ("name", "profile", "interaction", "client", "entity"),
    [
        ("a search", "Query", "search", "110153", ("2", "24")),
        ("a retrieval is done", "Read", "read", "110152", ("2", "3")),
        ("a store", "Create", "create", "110153", ("2", "3")),
    ],
)
def test_a_claimed_pattern_is_kept(name, profile, interaction, client, entity) -> None:
    told = to_audit_event(Row(7, KINDS[name][0], "c" * 64), SOURCE)
    assert told["meta"]["profile"] == [PROFILE + profile]
    assert told["type"]["code"] == "rest"
    assert told["subtype"][0]["code"] == interaction
    kinds = [agent["type"]["coding"][0] for agent in told["agent"]]
    assert kinds[0] == {"system": DCM, "code": client, "display": kinds[0]["display"]}
    assert kinds[2]["code"] == ("AUT" if name == "a store" else "IRCP")
    assert all("network" in agent for agent in told["agent"][:2])
    assert "network" not in told["agent"][2]
    request, thing = told["entity"]
    assert request["type"]["code"] == "XrequestId"
    assert (thing["type"]["code"], thing["role"]["code"]) == entity
    assert ("query" in thing) is (name == "a search")
    assert ("what" in thing) is (name != "a search")


def test_what_failed_claims_no_pattern() -> None:
    for name in ("a download is cut", "not found", "a refusal", "a sign-in"):
        assert "meta" not in to_audit_event(Row(7, KINDS[name][0], "c" * 64), SOURCE)


def test_a_table_holds_no_formula() -> None:
    one = entry(1, actor="=1+1", target="@x")
    head, line = (part.decode("utf-8-sig") for part in to_csv([Row(1, one, "c" * 64)]))
    assert head.strip().split(",")[0] == f'"{COLUMNS[0]}"'
    assert '"\'=1+1"' in line
    assert '"\'@x"' in line
