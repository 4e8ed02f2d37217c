"""Writes down each access: when it begins, how it ends, and what was refused (trust.md 1).

Sign-ins, tokens, stores and what is refused to somebody known are on the disk before the answer.
Searches and retrievals are in the kernel's hands before the first byte: kill -9 loses none of them,
a power cut may lose those of the last seconds. Otherwise a sync would cost each image milliseconds,
and what the power cut leaves out of the audit it has cut off at the caller's too. Strangers are
never worth a sync: a flood of wrong tokens must not keep the disk busy.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from flask import Flask, Response, g, request

from gateway.clock import utc_now
from gateway.errors import RecordsRefused, RecordsUnavailable
from gateway.log import log
from gateway.model.access import NOBODY, Action, Thing
from gateway.model.audit import Entry
from gateway.model.credentials import new_id
from gateway.records.engine import Records
from gateway.records.journal import Journal
from gateway.records.keyring import Keyring

DRAIN_EVERY_S = 1.0
WRITTEN_DOWN = frozenset(Action) - {
    Action.OPEN,
    Action.OWN_ACCOUNT,
    Action.SEE_STATUS,
    Action.VIEW,
}
QUERY_LIMIT = 2000


class Auditor:
    """The audit of one web process."""

    def __init__(self, journal: Journal, keyring: Keyring) -> None:
        self._journal = journal
        self._keyring = keyring

    def began(self, action: Action, thing: Thing) -> None:
        if action in WRITTEN_DOWN:
            query = request.query_string.decode("utf-8", "replace")[:QUERY_LIMIT]
            detail = self._keyring.seal(query) if query else ""
            self._write(action, "began", thing, detail=detail)

    def refused(self, action: Action, thing: Thing, reason: str) -> None:
        known = g.get("actor", NOBODY) is not NOBODY
        self._write(action, "refused", thing, reason=reason, synced=known)

    def ended(self, action: Action, thing: Thing, outcome: str, status: int) -> None:
        if action in WRITTEN_DOWN:
            self._write(action, outcome, thing, status=status)

    def told(self, action: str, outcome: str, actor: str, reason: str = "") -> None:
        """A sign-in, a sign-out, a token."""
        self._write(action, outcome, Thing(), actor=actor, reason=reason, synced=bool(actor))

    def _write(
        self, action: str, outcome: str, thing: Thing, *, actor: str | None = None,
        reason: str = "", status: int = 0, detail: str = "", synced: bool = False,
    ) -> None:  # fmt: skip
        who = g.get("actor", NOBODY)
        if "request_id" not in g:
            g.request_id = new_id()
        entry = Entry(
            entry_id=new_id(),
            request=g.request_id,
            at=utc_now(),
            actor=who.subject if actor is None else actor,
            kind=who.kind,
            purpose=str(who.purpose or ""),
            action=str(action),
            site_id=",".join(sorted(thing.sites or ()))[:64],
            study_uid=(thing.study_uid or "")[:64],
            outcome=outcome,
            reason=reason[:64],
            status=status,
            detail=detail,
        )
        self._journal.write(entry, synced=synced or action == Action.STORE)


def register(app: Flask) -> None:
    """Write down how each access ended that was allowed to begin."""

    @app.after_request
    def watch(answer: Response) -> Response:
        auditor, begun = g.get("auditor"), g.get("begun")
        if auditor is None or begun is None or begun[0] not in WRITTEN_DOWN:
            return answer
        # The context is gone when a stream ends; what is needed then is kept here.
        actor, request_id, status = g.actor, g.request_id, answer.status_code
        streams = answer.is_streamed and request.method != "HEAD"
        sent = _Sent(answer.response) if streams else None
        if sent is not None:
            answer.response = sent.blocks()

        def close() -> None:
            with app.app_context():
                g.actor, g.request_id = actor, request_id
                cut = sent is not None and not sent.whole
                outcome = "failed" if status >= 400 else "cut" if cut else "done"
                auditor.ended(*begun, outcome, status)

        answer.call_on_close(close)
        return answer


class _Sent:
    """A streamed body, and whether it has come to its end."""

    def __init__(self, body: Iterable[Any]) -> None:
        self._body = body
        self.whole = False

    def blocks(self) -> Iterator[Any]:
        yield from self._body
        self.whole = True


def drain_forever(journal: Journal, records: Records) -> Callable[[], None]:
    """Bring lines into the table, from a thread of its own (under gevent a greenlet).

    returns  what stops it
    """
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(DRAIN_EVERY_S):
            try:
                journal.drain(records)
            except (RecordsUnavailable, RecordsRefused) as error:
                log.error("the audit waits in its file", why=str(error))

    threading.Thread(target=run, name="audit", daemon=True).start()
    return stop.set
