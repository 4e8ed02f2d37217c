"""What the audit keeps of each access, and the chain that makes a changed row show. Pure.

A row holds ids and UIDs; what was searched for is sealed with the gateway's key, because it may be
a name (trust.md 1). A row's `chain` is the SHA-256 of the chain before it and of the row itself.
Who can write to the table could make a new chain; a signed head (model/audit_seals.py) finds that.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson

FIRST_CHAIN = "0" * 64
SEAL = "seal"
VERIFY = "verify"
LATER: tuple[str, ...] = ("target", "address", "patient", "size_bytes", "instances")
"""Fields that came after the first rows: where one says nothing it is not part of the chain."""


@dataclass(frozen=True)
class Entry:
    """One line of the audit.

    entry_id    made once, so that a line that is written twice is kept once
    request     the same in all lines of one request
    actor       an account or client id, "local", "terminal:USER", or "" for nobody
    action      of model.access.Action, or sign_in, sign_out, token, seal, verify, or a command
    outcome     "began", "done", "failed", "cut", "refused", or "granted": the front nginx may
                fetch images of this study itself for some seconds; `reason` says why, as a code
    status      HTTP status of the answer; 0: not yet known
    detail      sealed text of a query or of a command's words; "" if there was none
    target      what was changed: the path of a form, the name of a command
    address     where the request came from
    patient     keyed digest of the PatientID that was searched for (records/audit_patients.py)
    size_bytes  of the body that was sent, or taken in a store
    instances   that were stored, or named by the path; 0: not known
    """

    entry_id: str
    request: str
    at: datetime
    actor: str
    kind: str
    purpose: str
    action: str
    site_id: str
    study_uid: str
    outcome: str
    reason: str
    status: int
    detail: str
    target: str = ""
    address: str = ""
    patient: str = ""
    size_bytes: int = 0
    instances: int = 0

    def to_line(self) -> bytes:
        """As JSON on one line, the same bytes for the same entry."""
        told = {name: value for name, value in self.__dict__.items() if value or name not in _LATER}
        told["at"] = self.at.astimezone(UTC).isoformat(timespec="microseconds")
        return orjson.dumps(told, option=orjson.OPT_SORT_KEYS)


_LATER = frozenset(LATER)
_ALL = frozenset(f.name for f in fields(Entry))
_FIRST = _ALL - _LATER


def from_line(line: bytes) -> Entry:
    """raises ValueError for a line that is not whole: the process died while it wrote"""
    told: dict[str, Any] = orjson.loads(line)
    if not isinstance(told, dict) or not _FIRST <= set(told) <= _ALL:
        raise ValueError("no line of the audit")
    return Entry(**told | {"at": datetime.fromisoformat(told["at"])})


class Head(NamedTuple):
    """How far the audit reaches: its last row and that row's chain."""

    number: int
    chain: str


FIRST_HEAD = Head(0, FIRST_CHAIN)


@dataclass(frozen=True)
class Row:
    """A line with its place."""

    number: int
    entry: Entry
    chain: str


def next_chain(chain: str, number: int, entry: Entry) -> str:
    """Chain of the row `number` that follows the one with this chain."""
    told = chain.encode() + b"\n" + str(number).encode() + b"\n" + entry.to_line()
    return hashlib.sha256(told).hexdigest()


def judged(rows: Iterable[Row], head: Head = FIRST_HEAD) -> Iterator[tuple[Row, int | None]]:
    """Each row, and the number of what is wrong there: its own if it is not what was written, of
    the one before it if that is missing; None if nothing is.

    head  what is known to stand before the first of them
    What follows a break is judged by the chain that stands there, so that one change is one break.
    """
    number, chain = head
    for row in rows:
        if row.number != number + 1:
            yield row, min(number + 1, row.number)
        elif next_chain(chain, row.number, row.entry) != row.chain:
            yield row, row.number
        else:
            yield row, None
        number, chain = row.number, row.chain


def as_dict(entry: Entry) -> dict[str, Any]:
    """What the entry says, without what it says nothing of."""
    told = vars(entry) | {"at": entry.at.astimezone(UTC).isoformat(timespec="microseconds")}
    return {name: value for name, value in told.items() if value not in ("", 0)}
