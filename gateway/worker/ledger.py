"""Looks after the audit, in one thread of the keeper that leads: each hour what is new is verified
and sealed, each night all of it is verified; what was changed, taken out or put in is an alarm.

Only a look at all rows clears that alarm.
"""

from datetime import datetime, timedelta

from gateway.clock import utc_now
from gateway.errors import LeaseLost
from gateway.log import log
from gateway.model.alarms import AUDIT_BROKEN
from gateway.model.audit import FIRST_HEAD, SEAL, VERIFY, Entry
from gateway.model.audit_seals import Signer
from gateway.model.credentials import new_id
from gateway.records.alarms import write_alarm, write_clearance
from gateway.records.audit import (
    GIVEN,
    Verified,
    append,
    append_seal,
    load_after,
    load_cursor,
    load_last,
    verify,
)
from gateway.records.audit_patients import Digests, note_patients
from gateway.records.audit_seals import load_seals, load_signer, save_seal, seals_file
from gateway.records.engine import Records
from gateway.records.keyring import load_keyring
from gateway.settings import Settings
from gateway.worker.rounds import Rounds

LOOK_S = 30.0
SEAL_EVERY = timedelta(hours=1)
NIGHT_BEGINS = 22  # o'clock UTC: one in Moscow, three in the Urals
BREATH_S = 0.02
SUBJECT = "audit"
ALL = "all"


def is_due(last: datetime | None, now: datetime) -> bool:
    """Whether nobody has looked at all rows since this night began."""
    began = now.replace(hour=NIGHT_BEGINS, minute=0, second=0, microsecond=0)
    if now < began:
        began -= timedelta(days=1)
    return last is None or last < began


class Ledger(Rounds):
    """From its start to its end one keeper's."""

    def __init__(self, records: Records, settings: Settings) -> None:
        super().__init__("ledger", LOOK_S, "the audit is not looked after")
        self._records, self._settings = records, settings

    def round(self) -> None:
        self.look(utc_now())

    def look(self, now: datetime) -> None:
        """One round. Raises LeaseLost if it is ended meanwhile, RecordsUnavailable, OSError."""
        signer = load_signer(self._settings)
        if not (load_cursor(self._records, GIVEN) or load_after(self._records, 0, 1)):
            return
        if signer is not None:
            digests = digests_of(self._settings)
            while note_patients(self._records, digests):
                self._breathe()
            self._seal(signer, now)
        last = load_last(self._records, VERIFY, reason=ALL)
        if is_due(last.entry.at if last else None, now):
            self._verify_all(signer, now)

    def _breathe(self) -> None:
        if self._ended.wait(BREATH_S):
            raise LeaseLost(SUBJECT)

    def _seal(self, signer: Signer, now: datetime) -> None:
        """Verify what was added since the last seal, then vouch for it."""
        last = load_last(self._records, SEAL)
        if last is not None and (
            now - last.entry.at < SEAL_EVERY or not load_after(self._records, last.number, 1)
        ):
            return
        path = seals_file(self._settings)
        seals = load_seals(path)
        since = seals[-1].head if seals else FIRST_HEAD
        found = verify(
            self._records, signer=signer, since=since, seals=seals[-1:], breathe=self._breathe
        )
        if found.breaks:
            self._tell(found, now)
        seal = append_seal(self._records, signer, now)
        save_seal(path, seal)
        log.info("audit sealed", number=seal.number, chain=seal.chain)

    def _verify_all(self, signer: Signer | None, now: datetime) -> None:
        seals = load_seals(seals_file(self._settings)) if signer else ()
        found = verify(self._records, signer=signer, seals=seals, breathe=self._breathe)
        self._tell(found, now)
        append(self._records, [entry_of(found, now, "", ALL)])
        log.info("audit verified", rows=found.looked, breaks=len(found.breaks))

    def _tell(self, found: Verified, now: datetime) -> None:
        with self._records.write() as connection:
            if found.breaks:
                facts = {"line": found.breaks[0], "lines": len(found.breaks)}
                write_alarm(connection, AUDIT_BROKEN, SUBJECT, facts, now)
            else:
                write_clearance(connection, AUDIT_BROKEN, [SUBJECT], now)
        if found.breaks:
            log.error("the audit is not as it was written", line=found.breaks[0])


def digests_of(settings: Settings) -> Digests:
    """raises SettingsError"""
    return Digests(load_keyring(settings.keyring_file).derived("audit patients"))


def entry_of(found: Verified, now: datetime, actor: str, reason: str) -> Entry:
    """That the audit was verified is itself a line of it; actor "": the keeper did."""
    return Entry(
        entry_id=new_id(), request="", at=now, actor=actor,
        kind="terminal" if actor else "keeper", purpose="", action=VERIFY, site_id="",
        study_uid="", outcome="failed" if found.breaks else "done", reason=reason, status=0,
        detail="", target=f"{found.looked} rows, {len(found.breaks)} breaks",
    )  # fmt: skip
