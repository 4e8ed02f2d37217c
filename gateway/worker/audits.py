"""Once a night each hospital is compared with each of its destinations (routing/reconcile.py), one
after the other, in one thread of the keeper that leads. What a destination has lost is sent again
(trust.md F24); what it holds otherwise waits for a person, with an alarm.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from gateway.clock import utc_now
from gateway.index.plan import is_in_window
from gateway.log import log
from gateway.model.destinations import Destination
from gateway.model.sites import Region, Site
from gateway.records.engine import Records
from gateway.records.reconciling import Figures, load_figures, load_pairs
from gateway.routing.reconcile import Comparison, mend, reconcile
from gateway.worker.rounds import Rounds

NIGHT_BEGINS = 1  # o'clock at the hospital
LOOK_S = 300.0


def pairs_of(records: Records, region: Region) -> list[tuple[Site, Destination]]:
    """Every site with each destination to which studies of it went, or are to go."""
    found = ((region.site(s), region.destination(d)) for s, d in load_pairs(records))
    return [(site, destination) for site, destination in found if site and destination]


def is_due(site: Site, last: Figures | None, now: datetime) -> bool:
    """Whether no comparison has begun since this night began at the site, in its hours for heavy
    reading. A keeper that was away at night does it when it comes."""
    there = now.astimezone(ZoneInfo(site.time_zone))
    began = there.replace(hour=NIGHT_BEGINS, minute=0, second=0, microsecond=0)
    if there < began:
        began -= timedelta(days=1)
    return is_in_window(site.window, there) and (last is None or last.began_at < began)


class Audits(Rounds):
    """From its start to its end one keeper's."""

    def __init__(self, records: Records, region: Callable[[], Region]) -> None:
        super().__init__("audits", LOOK_S, "destinations are not compared")
        self._records = records
        self._region = region

    def round(self) -> None:
        self.look()

    def look(self) -> None:
        """Compare what is due. Raises LeaseLost if it is ended meanwhile, RecordsUnavailable."""
        last: Mapping[tuple[str, str], Figures] = load_figures(self._records)
        region = self._region()
        for site, destination in pairs_of(self._records, region):
            key = (site.site_id, destination.destination_id)
            if not is_due(site, last.get(key), utc_now()):
                continue
            figures = reconcile(
                self._records, region, Comparison(site, destination),
                lambda: not self._ended.is_set(),
            )  # fmt: skip
            amiss = figures.partial + figures.missing + figures.conflicting
            tell = log.warning if amiss else log.info
            facts = {"studies": figures.studies, "complete": figures.complete, "amiss": amiss}
            tell("destination is compared", site=key[0], destination=key[1], **facts)
            if again := mend(self._records, *key):
                log.warning("what was lost is sent again", destination=key[1], deliveries=again)
