"""Writes down each access: when it begins, how it ends, and what was refused (trust.md 1).

Sign-ins, tokens, stores and what is refused to somebody known are on the disk before the answer.
Searches and retrievals are in the kernel's hands before the first byte: kill -9 loses none of them,
a power cut may lose those of the last seconds. Otherwise a sync would cost each image milliseconds,
and what the power cut leaves out of the audit it has cut off at the caller's too. Strangers are
never worth a sync: a flood of wrong tokens must not keep the disk busy.
"""

import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any
from urllib.parse import urlencode

from flask import Flask, Response, g, request

from gateway.clock import monotonic_s, utc_now
from gateway.dicom.store_response import InstanceResult
from gateway.dicom.uids import is_uid
from gateway.errors import AuditUnavailable, RecordsRefused, RecordsUnavailable
from gateway.log import log
from gateway.model.access import NOBODY, Action, Thing
from gateway.model.audit import Entry
from gateway.model.credentials import new_id
from gateway.records.audit_patients import Digests
from gateway.records.engine import Records
from gateway.records.journal import Journal
from gateway.records.keyring import Keyring
from gateway.web.identity import address_of_caller
from gateway.web.streaming import Streamed

DRAIN_EVERY_S = 1.0
UNWRITTEN = frozenset({Action.OPEN, Action.OWN_ACCOUNT, Action.SEE_STATUS, Action.VIEW})
LOOKS = frozenset(
    {Action.READ_DELIVERIES, Action.READ_RULES, Action.READ_FIGURES, Action.READ_REGISTER}
)
"""Pages of the console, which show themselves again every few seconds: written down where they are
of one study, once a minute; the others name nobody."""
WORDS_IN_FORMS = frozenset({Action.READ_AUDIT, Action.BREAK_GLASS})
"""What was asked for stands in a form; it is kept sealed, like a search."""
ONCE_IN_S = 60.0
MOST_LOOKS = 1000
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
QUERY_LIMIT = 2000
FORM_LIMIT = 16 * 1024


class Auditor:
    """The audit of one web process."""

    def __init__(self, journal: Journal, keyring: Keyring) -> None:
        self._journal = journal
        self._keyring = keyring
        self._digests = Digests(keyring.derived("audit patients"))
        self._looks: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._lock = threading.Lock()

    def began(self, action: Action, thing: Thing) -> bool:
        """Whether the access is one that is written down; then its end is to be told, too."""
        is_look = action in LOOKS and request.method in SAFE and not g.get("is_export")
        if action in UNWRITTEN or (is_look and not self._is_new_look(thing)):
            return False
        query = self._words(action)
        self._write(
            action, "began", _named(thing),
            detail=self._keyring.seal(query[:QUERY_LIMIT]) if query else "",
            patient=self._patient() if action is Action.SEARCH and query else "",
        )  # fmt: skip
        return True

    def granted(self, thing: Thing) -> None:
        """The front nginx may give images of this study by itself for some seconds."""
        self._write(Action.RETRIEVE, "granted", thing)

    def refused(self, action: Action, thing: Thing, reason: str) -> None:
        known = g.get("actor", NOBODY) is not NOBODY
        self._write(action, "refused", thing, reason=reason, synced=known)

    def ended(
        self, action: Action, thing: Thing, outcome: str, status: int, **said: Any
    ) -> None:  # fmt: skip
        """said: what more is known: size_bytes, instances, reason, target, address."""
        self._write(action, outcome, thing, status=status, **said)

    def told(
        self, action: str, outcome: str, actor: str, reason: str = "", study_uid: str = ""
    ) -> None:
        """A sign-in, a sign-out, a token; a study that is shown to somebody."""
        thing = Thing(study_uid=study_uid)
        self._write(action, outcome, thing, actor=actor, reason=reason, synced=bool(actor))

    def _is_new_look(self, thing: Thing) -> bool:
        if thing.study_uid is None:
            return False
        look, now_s = (g.actor.subject, request.path), monotonic_s()
        with self._lock:
            last = self._looks.get(look)
            if last is not None and now_s - last < ONCE_IN_S:
                return False
            self._looks[look] = now_s
            self._looks.move_to_end(look)
            while len(self._looks) > MOST_LOOKS:
                self._looks.popitem(last=False)
        return True

    def _words(self, action: Action) -> str:
        """What was asked for."""
        if action in WORDS_IN_FORMS and request.method == "POST":
            request.max_content_length = FORM_LIMIT
            asked = request.form.items(multi=True)
            return urlencode([(name, value) for name, value in asked if name != "csrf_token"])
        return request.query_string.decode("utf-8", "replace")

    def _patient(self) -> str:
        """Digest of the one PatientID that a search names; "" if it names none, or many."""
        given = request.args
        number = given.get("PatientID") or given.get("00100020") or ""
        if not number or any(sign in number for sign in "*?\\,"):
            return ""
        issuer = given.get("IssuerOfPatientID") or given.get("00100021") or ""
        return self._digests.of(number, issuer)

    def _write(
        self, action: str, outcome: str, thing: Thing, *, actor: str | None = None,
        reason: str = "", status: int = 0, detail: str = "", synced: bool = False,
        patient: str = "", size_bytes: int = 0, instances: int = 0, target: str | None = None,
        address: str | None = None,
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
            site_id=_plain(",".join(sorted(thing.sites or ())))[:64],
            study_uid=(thing.study_uid or "")[:64],
            outcome=outcome,
            reason=reason[:64],
            status=status,
            detail=detail,
            target=_target() if target is None else target,
            address=address_of_caller() if address is None else address,
            patient=patient,
            size_bytes=size_bytes,
            instances=instances,
        )
        self._journal.write(entry, synced=synced or action == Action.STORE)


def _target() -> str:
    """What a form changes, or a file is of: its page. Paths of ours hold ids and UIDs alone."""
    is_look = request.method in SAFE and not g.get("is_export")
    return "" if is_look else _plain(request.path)[:128]


def _plain(text: str) -> str:
    """What PostgreSQL, XML and a line all take: a path that is none of ours may hold anything."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)


def _named(thing: Thing) -> Thing:
    """With the study that a search names as a key."""
    if thing.study_uid is None and b"StudyInstanceUID" in request.query_string:
        named = request.args.get("StudyInstanceUID", "")
        return Thing(thing.sites, named) if is_uid(named) else thing
    return thing


def register(app: Flask) -> None:
    """Write down how each access ended that was allowed to begin."""

    @app.after_request
    def watch(answer: Response) -> Response:
        auditor, begun = g.get("auditor"), g.get("begun")
        if auditor is None or begun is None:
            return answer
        # The context is gone when a stream ends; what is needed then is kept here.
        actor, request_id, status = g.actor, g.request_id, answer.status_code
        told = {"target": _target(), "address": address_of_caller()}
        instances = 1 if "instance" in (request.view_args or {}) and status < 400 else 0
        stored: Sequence[InstanceResult] = g.get("stored", ())
        taken = request.content_length or 0 if begun[0] is Action.STORE else 0
        streams = answer.is_streamed and request.method != "HEAD"
        plain = 0 if streams or request.method == "HEAD" else answer.content_length or 0

        def ended(cut: bool = False, sent_bytes: int = plain) -> None:
            try:
                with app.app_context():
                    write_end(cut, sent_bytes)
            except AuditUnavailable as error:  # that it began is written
                log.error("the end of an access is not written", why=str(error))

        def write_end(cut: bool, sent_bytes: int) -> None:
            g.actor, g.request_id = actor, request_id
            outcome = "failed" if status >= 400 else "cut" if cut else "done"
            for study_uid, reason, count in _by_study(stored):
                one, kept = Thing(begun[1].sites, study_uid), "done" if count else "failed"
                auditor.ended(begun[0], one, kept, 0, reason=reason, instances=count, **told)
            size = taken or sent_bytes
            auditor.ended(*begun, outcome, status, size_bytes=size, instances=instances, **told)

        if streams:
            answer.response = _Sent(answer, ended)
        else:
            answer.call_on_close(ended)
        return answer


def _by_study(stored: Sequence[InstanceResult]) -> Iterator[tuple[str, str, int]]:
    """Of each study that came in a store: its UID, what was not stored of it, how many were."""
    kept = Counter(one.study_uid for one in stored if one.failure is None)
    lost = Counter(one.study_uid for one in stored if one.failure is not None)
    for study_uid in sorted({*kept, *lost} - {""}):
        left_out = lost[study_uid]
        yield study_uid, f"{left_out} refused" if left_out else "", kept[study_uid]


class _Sent:
    """A streamed body, how many bytes of it went out, and whether it has come to its end.

    The server closes it, whatever became of it; a body that passes Werkzeug by (direct_passthrough)
    has no other end that anybody hears of.
    """

    def __init__(self, answer: Response, ended: Callable[[bool, int], None]) -> None:
        self._answer, self._ended = answer, ended
        self._body: Iterable[Any] = answer.response
        self._blocks = iter(self._body)
        self._size_bytes = self._last_bytes = 0
        self._whole = self._closed = False

    def __iter__(self) -> "_Sent":
        return self

    def __next__(self) -> Any:
        self._size_bytes += self._last_bytes  # who asks for the next block has sent the last one
        self._last_bytes = 0
        try:
            block = next(self._blocks)
        except StopIteration:
            self._whole = True
            raise
        self._last_bytes = len(block)
        return block

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        try:
            if hasattr(self._body, "close"):
                self._body.close()
        finally:
            # And what went past the blocks, straight from the site's socket (web/streaming.py).
            outlet = self._answer.outlet if isinstance(self._answer, Streamed) else None
            poured = outlet.poured_bytes if outlet is not None else 0
            self._ended(not self._whole, self._size_bytes + poured)


def drain_forever(journal: Journal, records: Records) -> Callable[[], None]:
    """Bring lines into the table, from a thread of its own (under gevent a greenlet).

    returns  what stops it
    """
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(DRAIN_EVERY_S):
            try:
                journal.drain(records)
            except (RecordsUnavailable, RecordsRefused, AuditUnavailable) as error:
                log.error("the audit waits in its file", why=str(error))

    threading.Thread(target=run, name="audit", daemon=True).start()
    return stop.set
