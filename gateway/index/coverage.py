"""Which sites the index answers for: what of it is the same for all searches of one moment.

With hundreds of sites these few loops would cost a search more than the search itself.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from gateway.model.sites import Site
from gateway.records.studies import IndexState


@dataclass(frozen=True)
class Coverage:
    """How far the index has these sites.

    known  as load_index_states gives it: also of other sites
    """

    sites: Sequence[Site]
    known: Mapping[str, IndexState]

    @cached_property
    def by_id(self) -> Mapping[str, Site]:
        return {site.site_id: site for site in self.sites}

    @cached_property
    def states(self) -> Mapping[str, IndexState]:
        """Of those of the sites that the keeper has begun to read."""
        return {site_id: state for site_id, state in self.known.items() if site_id in self.by_id}

    @cached_property
    def read_at(self) -> Mapping[str, datetime | None]:
        return {site_id: state.read_at for site_id, state in self.states.items()}

    @cached_property
    def filling(self) -> frozenset[str]:
        """Sites that were not yet read to the end."""
        return frozenset(
            site_id for site_id, state in self.states.items() if state.phase != "following"
        )

    @cached_property
    def _unread(self) -> list[Site]:
        """Sites whose rows are not all there yet, whenever they were read."""
        return [
            site
            for site in self.sites
            if self.read_at.get(site.site_id) is None or site.site_id in self.filling
        ]

    @cached_property
    def _by_age(self) -> tuple[list[datetime], list[Site]]:
        """The other sites, with when their feeds were read, the longest ago first."""
        unread = {site.site_id for site in self._unread}
        dated = [
            (at, site)
            for site in self.sites
            if site.site_id not in unread and (at := self.read_at[site.site_id]) is not None
        ]
        dated.sort(key=lambda pair: pair[0])
        return [at for at, _ in dated], [site for _, site in dated]

    @cached_property
    def as_known(self) -> Mapping[str, str]:
        """How old what is known of each site is, in words for a Warning."""
        return {
            site_id: f"at {at:%Y-%m-%dT%H:%M:%SZ}" if at else "before"
            for site_id, at in self.read_at.items()
        }

    def is_fresh(self, site_id: str, since: datetime) -> bool:
        """Whether all that the site had at `since` is in the index."""
        read_at = self.read_at.get(site_id)
        return site_id not in self.filling and read_at is not None and read_at >= since

    def stale(self, since: datetime) -> list[Site]:
        """The sites that are not."""
        times, dated = self._by_age
        return [*self._unread, *dated[: bisect_left(times, since)]]
