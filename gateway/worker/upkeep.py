"""Looks each hour for what runs out (routing/upkeep.py): one thread of the keeper that leads, for a
site that does not answer must hold up nothing else.
"""

from collections.abc import Callable

from gateway.clock import utc_now
from gateway.model.sites import Region
from gateway.records.engine import Records
from gateway.records.leases import Fence
from gateway.records.probes import load_profiles
from gateway.routing.upkeep import check_upkeep
from gateway.settings import Settings
from gateway.worker.rounds import Rounds

FIRST_S = 60.0  # by then the sites have been probed
EVERY_S = 3600.0


class Upkeep(Rounds):
    """From its start to its end one keeper's, under one fence."""

    def __init__(
        self, records: Records, settings: Settings, region: Callable[[], Region], fence: Fence
    ) -> None:
        super().__init__("upkeep", EVERY_S, "certificates are not looked at", FIRST_S)
        self._records, self._settings, self._region = records, settings, region
        self._fence = fence

    def round(self) -> None:
        self.look()

    def look(self) -> None:
        """One round. Raises LeaseLost, RecordsUnavailable."""
        profiles = load_profiles(self._records)
        check_upkeep(
            self._records, self._settings, self._region(), profiles, utc_now(), self._fence
        )
