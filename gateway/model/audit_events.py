"""What kind of event a line of the audit is, in the codes of PS3.15 A.5.3 and PS3.16 CID 400 and
401, for the two forms in which the audit leaves (audit_dicom.py, audit_balp.py). Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from gateway.model.access import Action
from gateway.model.audit import SEAL, VERIFY, Entry


@dataclass(frozen=True)
class Code:
    code: str
    meaning: str
    system: str = "DCM"


BEGIN_TRANSFER = Code("110102", "Begin Transferring DICOM Instances")
TRANSFERRED = Code("110104", "DICOM Instances Transferred")
LOG_USED = Code("110101", "Audit Log Used")
QUERY = Code("110112", "Query")
ALERT = Code("110113", "Security Alert")
AUTHENTICATION = Code("110114", "User Authentication")
LOGIN, LOGOUT = Code("110122", "Login"), Code("110123", "Logout")
EMERGENCY = Code("110127", "Emergency Override Started")
SECURITY_CONFIGURATION = Code("110129", "Security Configuration")
SOFTWARE_CONFIGURATION = Code("110131", "Software Configuration")
RESTRICTED = Code("110132", "Use of Restricted Function")
OBJECT_SECURITY = Code("110135", "Object Security Attributes Changed")
USER_SECURITY = Code("110137", "User Security Attributes Changed")


class Family(StrEnum):
    """Which objects and actors the message of an event names."""

    QUERY = "query"
    TRANSFER = "transfer"
    LOG = "log"
    AUTHENTICATION = "authentication"
    ALERT = "alert"


@dataclass(frozen=True)
class Event:
    """action: one of CRUDE; outcome: "0" it went well, "4" minor, "8" serious failure."""

    family: Family
    code: Code
    kind: Code | None
    action: str
    outcome: str


COMMANDS_OF_ACCOUNTS = frozenset({"users", "clients", "keys", "init"})
KINDS: Mapping[str, Code] = {
    Action.SHARE: OBJECT_SECURITY,
    Action.GIVE_ACCESS: OBJECT_SECURITY,
    Action.BREAK_GLASS: EMERGENCY,
    Action.LINK_PERSONS: OBJECT_SECURITY,
    Action.MANAGE_ACCOUNTS: USER_SECURITY,
    Action.OWN_ACCOUNT: USER_SECURITY,
    Action.OWN_PROOF: USER_SECURITY,
    "password": USER_SECURITY,
    "authenticator": USER_SECURITY,
    "viewer": USER_SECURITY,
    "share_link": OBJECT_SECURITY,
    "share_grant": OBJECT_SECURITY,
    "share_revoke": OBJECT_SECURITY,
}
SIGN_INS = frozenset({"sign_in", "step_up", "token", "open_link"})
READS = frozenset(
    {
        Action.SEARCH, Action.READ_DELIVERIES, Action.READ_RULES, Action.READ_FIGURES,
        Action.READ_REGISTER,
    }
)  # fmt: skip


def event_of(entry: Entry) -> Event:
    """What the line is; a refusal is an alert, whatever was refused (A.5.3.11)."""
    outcome = _outcome(entry)
    match entry.action:
        case "sign_out":
            return Event(Family.AUTHENTICATION, AUTHENTICATION, LOGOUT, "E", outcome)
        case _ if entry.action in SIGN_INS:
            kind = LOGOUT if entry.outcome == "withdrawn" else LOGIN
            return Event(Family.AUTHENTICATION, AUTHENTICATION, kind, "E", outcome)
        case _ if entry.outcome == "refused":
            return Event(Family.ALERT, ALERT, RESTRICTED, "E", outcome)
        case _ if entry.action in READS:
            return Event(Family.QUERY, QUERY, None, "E", outcome)
        case Action.RETRIEVE | Action.STORE if entry.outcome == "began":
            return Event(Family.TRANSFER, BEGIN_TRANSFER, None, "E", outcome)
        case Action.RETRIEVE:
            return Event(Family.TRANSFER, TRANSFERRED, None, "R", outcome)
        case Action.STORE:
            return Event(Family.TRANSFER, TRANSFERRED, None, "C", outcome)
        case Action.READ_AUDIT | "verify" | "seal":
            return Event(Family.LOG, LOG_USED, None, "R", outcome)
    kind = KINDS.get(entry.action, SOFTWARE_CONFIGURATION)
    if entry.action == Action.BREAK_GLASS and not entry.study_uid:
        kind = RESTRICTED  # the page was looked at, or a number sent: no study is open yet
    if entry.kind == "terminal" and entry.target.partition(" ")[0] in COMMANDS_OF_ACCOUNTS:
        kind = SECURITY_CONFIGURATION
    return Event(Family.ALERT, ALERT, kind, "E", outcome)


def _outcome(entry: Entry) -> str:
    """A download that broke off is worse than one that was answered "no" (trust.md F8)."""
    if entry.outcome in ("began", "done", "granted", "withdrawn"):
        return "0"
    serious = entry.outcome == "cut" or entry.status >= 500
    return "8" if serious or entry.action == VERIFY else "4"


def description(entry: Entry) -> str:
    """What the codes do not say, in words of ours: never a patient's data."""
    said = [f"{entry.action} {entry.outcome}"]
    said += [f"{name}={value}" for name in _TOLD if (value := getattr(entry, name))]
    if entry.action == SEAL:
        said.append(f"signature={entry.detail}")
    return " ".join(said)


_TOLD = ("reason", "status", "target", "site_id", "size_bytes", "instances", "patient")
