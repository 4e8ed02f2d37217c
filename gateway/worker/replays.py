"""Replays of rules that somebody asked for on the console, one after the other, in one thread of
the keeper that leads. A month of a region is seconds of work, and no page waits for it.
"""

from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta

from gateway.clock import utc_now
from gateway.log import log
from gateway.model.sites import Region
from gateway.records.engine import Records
from gateway.records.replays import (
    DONE,
    FAILED,
    ReplayRow,
    end_replay,
    take_replay,
    tell_progress,
)
from gateway.routing.replay import fields_beyond_index, replay
from gateway.routing.trying import trials_of
from gateway.worker.rounds import Rounds

LOOK_S = 1.0


class _Unwanted(Exception):
    """It was cancelled, or this keeper ends: another one begins it anew."""


class Replays(Rounds):
    """From its start to its end one keeper's; what runs stops after the day that it is at."""

    def __init__(self, records: Records, region: Callable[[], Region]) -> None:
        super().__init__("replays", LOOK_S, "rules are not replayed")
        self._records = records
        self._region = region

    def round(self) -> None:
        while not self._ended.is_set() and self.work():
            pass

    def work(self) -> bool:
        """Do the oldest that waits; returns whether there was one. Raises RecordsUnavailable."""
        row = take_replay(self._records, utc_now())
        if row is None:
            return False
        try:
            end_replay(self._records, row.replay_id, DONE, self._result(row))
        except _Unwanted:
            log.info("replay stops", replay=row.replay_id)
        except Exception:
            end_replay(self._records, row.replay_id, FAILED)
            raise
        return True

    def _result(self, row: ReplayRow) -> object:
        sites = self._region().sites
        trials = trials_of(self._records, sites, row.rule_set, utc_now())
        days = [row.last_day - timedelta(days=n) for n in range(row.days)]

        def tell(done: int, studies: int) -> None:
            wanted = tell_progress(self._records, row.replay_id, done, studies, utc_now())
            if not wanted or self._ended.is_set():
                raise _Unwanted

        found = replay(self._records, trials, days, tell)
        beyond = {n: fields for trial in trials for n, fields in fields_beyond_index(trial).items()}
        return {**asdict(found), "beyond": beyond}
