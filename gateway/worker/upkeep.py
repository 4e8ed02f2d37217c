"""Looks each hour for what runs out (routing/upkeep.py): one thread of the keeper that leads, for a
site that does not answer must hold up nothing else.
"""

import threading
from collections.abc import Callable

from gateway.clock import utc_now
from gateway.errors import GatewayError, LeaseLost
from gateway.log import log
from gateway.model.sites import Region
from gateway.records.engine import Records
from gateway.records.leases import Fence
from gateway.records.probes import load_profiles
from gateway.routing.upkeep import check_upkeep
from gateway.settings import Settings

FIRST_S = 60.0  # by then the sites have been probed
EVERY_S = 3600.0


class Upkeep(threading.Thread):
    """From its start to its end one keeper's, under one fence."""

    def __init__(
        self, records: Records, settings: Settings, region: Callable[[], Region], fence: Fence
    ) -> None:
        super().__init__(name="upkeep", daemon=True)
        self._records, self._settings, self._region = records, settings, region
        self._fence = fence
        self._ended = threading.Event()

    def end(self) -> None:
        """Nothing is looked at any more."""
        self._ended.set()

    def run(self) -> None:
        wait_s = FIRST_S
        while not self._ended.wait(wait_s):
            wait_s = EVERY_S
            try:
                self.look()
            except LeaseLost:
                return
            except GatewayError as error:
                log.warning("certificates are not looked at", problem=str(error))
            except Exception as error:  # noqa: BLE001 - the thread's door: it is tried again
                log.error("certificates are not looked at", problem=type(error).__name__)

    def look(self) -> None:
        """One round. Raises LeaseLost, RecordsUnavailable."""
        profiles = load_profiles(self._records)
        check_upkeep(
            self._records, self._settings, self._region(), profiles, utc_now(), self._fence
        )
