"""What the audit keeps of each access, and the chain that makes a changed row show. Pure.

A row holds ids and UIDs; what was searched for is sealed with the gateway's key, because it may be
a name (trust.md 1). A row's `chain` is the SHA-256 of the chain before it and of the row itself.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

import orjson

FIRST_CHAIN = "0" * 64


@dataclass(frozen=True)
class Entry:
    """One line of the audit.

    entry_id  made once, so that a line that is written twice is kept once
    request   the same in all lines of one request
    actor     an account or client id, "local", or "" for nobody
    action    of model.access.Action, or sign_in, sign_out, token
    outcome   "began", "done", "failed", "cut" or "refused"; `reason` says why, as a code
    status    HTTP status of the answer; 0: not yet known
    detail    sealed text of a query; "" if there was none
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

    def to_line(self) -> bytes:
        """As JSON on one line, the same bytes for the same entry."""
        told = vars(self) | {"at": self.at.astimezone(UTC).isoformat(timespec="microseconds")}
        return orjson.dumps(told, option=orjson.OPT_SORT_KEYS)


def from_line(line: bytes) -> Entry:
    """raises ValueError for a line that is not whole: the process died while it wrote"""
    told: dict[str, Any] = orjson.loads(line)
    if not isinstance(told, dict) or set(told) != {f.name for f in fields(Entry)}:
        raise ValueError("no line of the audit")
    return Entry(**told | {"at": datetime.fromisoformat(told["at"])})


def next_chain(chain: str, number: int, entry: Entry) -> str:
    """Chain of the row `number` that follows the one with this chain."""
    told = chain.encode() + b"\n" + str(number).encode() + b"\n" + entry.to_line()
    return hashlib.sha256(told).hexdigest()


def find_break(rows: Iterable[tuple[int, Entry, str]]) -> int | None:
    """The number of the first row that is not what was written, that is missing, or that has come
    in between; None if all (number, entry, chain) from the first on are in order.
    """
    return next(_breaks(rows), None)


def _breaks(rows: Iterable[tuple[int, Entry, str]]) -> Iterator[int]:
    chain, expected = FIRST_CHAIN, 1
    for number, entry, kept in rows:
        if number != expected:
            yield expected
        chain = next_chain(chain, number, entry)
        if chain != kept:
            yield number
        expected = number + 1
