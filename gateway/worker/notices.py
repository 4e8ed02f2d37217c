"""Looks after the gateway's own house and tells people of alarms: one thread of the keeper that
leads. Its own, because a mail server that hangs must hold up nothing else.
"""

import threading
from collections.abc import Callable

from gateway.clock import Deadline, utc_now
from gateway.errors import GatewayError, LeaseLost
from gateway.log import log
from gateway.model.sites import Region
from gateway.orthanc.wire import Wire
from gateway.records.engine import Records
from gateway.records.leases import Fence
from gateway.records.notices import forget_notices
from gateway.routing.house import check_house
from gateway.routing.tell import tell
from gateway.settings import Settings

LOOK_S = 5.0
CHECK_S = 30.0
TIDY_S = 3600.0


class Notices(threading.Thread):
    """From its start to its end one keeper's, under one fence."""

    def __init__(
        self, records: Records, settings: Settings, region: Callable[[], Region], fence: Fence
    ) -> None:
        super().__init__(name="notices", daemon=True)
        self._records, self._settings, self._region = records, settings, region
        self._fence = fence
        self._wire = Wire()
        self._check, self._tidy = Deadline(0.0), Deadline(TIDY_S)
        self._ended = threading.Event()
        self._silent = ""

    def end(self) -> None:
        """Nobody is told anything any more."""
        self._ended.set()

    def run(self) -> None:
        while not self._ended.is_set():
            try:
                self.look()
                problem = ""
            except LeaseLost:
                break
            except GatewayError as error:
                problem = str(error)
            except Exception as error:  # noqa: BLE001 - the thread's door: rows stay to be told
                problem = f"{type(error).__name__}: {error}"
            if problem and problem != self._silent:
                log.error("people are not told", problem=problem)
            self._silent = problem
            self._ended.wait(LOOK_S)
        self._wire.close()

    def look(self) -> None:
        """One round. Raises LeaseLost, RecordsUnavailable."""
        now = utc_now()
        if self._check.passed:
            self._check = Deadline(CHECK_S)
            check_house(self._records, self._settings, now, self._fence)
        if self._tidy.passed:
            self._tidy = Deadline(TIDY_S)
            forget_notices(self._records, now)
        tell(self._records, self._region(), self._settings, self._wire, now, self._fence)
