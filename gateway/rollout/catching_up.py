"""What evidence does in portions, beside the index: studies that were in the index before evidence
was counted, and the clock of those that have come to an archive.

Each portion is one transaction that moves its own cursor: it may break off anywhere.
"""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import orjson
import sqlalchemy as sa

from gateway.model.alarms import SENDERS_WITHOUT_END
from gateway.model.rollout.senders import shown_by
from gateway.model.sites import Region, Site
from gateway.records.alarms import write_clearance
from gateway.records.catching_up import (
    Uncounted,
    last_event,
    load_delivered,
    load_place,
    load_uncounted,
    save_place,
    write_archived,
)
from gateway.records.engine import Records
from gateway.records.leases import Fence
from gateway.records.sightings import Sight, room_for_new, witness_of, write_sightings

ARCHIVED = "archived"
LATE = timedelta(minutes=1)
"""By then a transaction has ended: events are read in the order of their numbers."""


class CatchingUp:
    """Writes under a keeper's fence, in turn with those who write the index."""

    def __init__(self, records: Records, fence: Fence, turn: threading.Lock) -> None:
        self._records, self._fence, self._turn = records, fence, turn

    def count(self, site: Site, now: datetime) -> bool:
        """Count the next portion of what a site had in the index; whether anything is left.

        raises  LeaseLost, RecordsUnavailable
        """
        name = f"index of {site.site_id}"
        place, is_done = load_place(self._records, name)
        if is_done:
            return False
        found, after = load_uncounted(self._records, site.site_id, place)
        with self._write() as connection:
            zone = ZoneInfo(site.time_zone)
            sights = [_sight_of(one, zone) for one in found]
            write_sightings(connection, witness_of(site), sights, now, filling=False)
            save_place(connection, name, after, None if after else now)
        return bool(after)

    def stop_clocks(self, region: Region, now: datetime) -> bool:
        """Note which studies have come to an archive; whether more may be left. Raises as count."""
        place, _ = load_place(self._records, ARCHIVED)
        archives = {
            one.destination_id
            for one in region.destinations
            if one.server is not None and one.server.role == "archive"
        }
        after = int(place) if place else last_event(self._records)
        found = load_delivered(self._records, after, now - LATE, archives)
        if place and not found:
            return False
        with self._write() as connection:
            write_archived(connection, found)
            save_place(connection, ARCHIVED, str(found[-1].number if found else after))
        return bool(found)

    def clear(self, sites: Iterable[Site], now: datetime) -> None:
        """End the alarm of sites that may show new senders again. Raises as count."""
        with self._write() as connection:
            fine = [s.site_id for s in sites if room_for_new(connection, witness_of(s), now)]
            write_clearance(connection, SENDERS_WITHOUT_END, fine, now)

    @contextmanager
    def _write(self) -> Iterator[sa.Connection]:
        with self._turn, self._records.write() as connection:
            self._fence.check(connection)
            yield connection


def _sight_of(one: Uncounted, zone: ZoneInfo) -> Sight:
    shown = shown_by(orjson.loads(one.record), map(orjson.loads, one.series), zone)
    return Sight(one.study_uid, shown, one.study_date, one.changed_at)
