"""Brings the audit to its collector: one thread of the keeper that leads. The table is the spool,
a cursor in the database tells how far the collector has it; so nothing is lost when the collector,
the keeper or the line is away for a day (trust.md F59), and the order is kept.
"""

import socket
import threading
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from gateway.clock import utc_now
from gateway.errors import CollectorUnavailable, GatewayError
from gateway.log import log
from gateway.model.alarms import AUDIT_WAITS
from gateway.model.audit_dicom import Source, to_syslog
from gateway.records.alarms import write_alarm, write_clearance
from gateway.records.audit import load_after, load_cursor, write_cursor
from gateway.records.engine import Records
from gateway.settings import Settings
from gateway.worker.collector import collector_of, deliver

LOOK_S = 2.0
MOST_LINES = 1000
BACK_OFF_S, BACK_OFF_CAP_S = 5.0, 300.0
PATIENCE = timedelta(minutes=1)
CURSOR = SUBJECT = "collector"
"""There is one; who takes over from it goes on where it was."""


def source_of(settings: Settings) -> Source:
    """The gateway as its audit names it."""
    host = urlsplit(settings.base_url).hostname or ""
    return Source(settings.base_url, host if settings.public_url else socket.gethostname()[:255])


class Forwarder(threading.Thread):
    """From its start to its end one keeper's."""

    def __init__(self, records: Records, settings: Settings) -> None:
        super().__init__(name="forwarder", daemon=True)
        self._records = records
        self._collector = collector_of(settings)
        self._source = source_of(settings)
        self._ended = threading.Event()
        self._lines = MOST_LINES
        self._wait_s = LOOK_S
        self._fails_since: datetime | None = None
        self._told: bool | None = None

    def end(self) -> None:
        self._ended.set()

    def run(self) -> None:
        if self._collector is None:
            return
        while not self._ended.wait(self._wait_s):
            try:
                self.look(utc_now())
            except GatewayError as error:
                log.error("the audit is not handed on", problem=str(error))
            except Exception as error:  # noqa: BLE001 - the thread's door: its cursor stays
                log.error("the audit is not handed on", problem=type(error).__name__)

    def look(self, now: datetime) -> None:
        """Hand on what is there. Raises RecordsUnavailable."""
        collector, after = self._collector, load_cursor(self._records, CURSOR)
        while collector is not None and not self._ended.is_set():
            rows = load_after(self._records, after, self._lines)
            if rows:
                try:
                    deliver(collector, [to_syslog(row, self._source) for row in rows])
                except CollectorUnavailable as error:
                    self._failed(error, now)
                    return
                after = rows[-1].number
                with self._records.write() as connection:
                    write_cursor(connection, self._records, CURSOR, after)
                self._lines = min(2 * self._lines, MOST_LINES)
            self._wait_s, self._fails_since = LOOK_S, None
            self._tell(None, now)
            if not rows:
                return

    def _failed(self, error: CollectorUnavailable, now: datetime) -> None:
        """Fewer lines the next time: a slow collector gets on, too."""
        self._lines = max(1, self._lines // 2)
        self._wait_s = min(max(2 * self._wait_s, BACK_OFF_S), BACK_OFF_CAP_S)
        self._fails_since = self._fails_since or now
        log.warning("the audit waits for its collector", why=str(error))
        if now - self._fails_since >= PATIENCE:
            self._tell(error.code, now)

    def _tell(self, code: str | None, now: datetime) -> None:
        if self._told == bool(code):
            return
        with self._records.write() as connection:
            if code:
                write_alarm(connection, AUDIT_WAITS, SUBJECT, {"reason": code}, now)
            else:
                write_clearance(connection, AUDIT_WAITS, [SUBJECT], now)
        self._told = bool(code)
