"""Which sites the index answers for: what of it is the same for all searches of one moment.

With hundreds of sites these few loops would cost a search more than the search itself.
"""

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
    def _oldest(self) -> datetime | None:
        """When the feed that was read longest ago was read; None if one has not been read."""
        times = [at for at in self.read_at.values() if at is not None]
        return min(times) if len(times) == len(self.sites) and not self.filling else None

    def is_fresh(self, site_id: str, since: datetime) -> bool:
        """Whether all that the site had at `since` is in the index."""
        read_at = self.read_at.get(site_id)
        return site_id not in self.filling and read_at is not None and read_at >= since

    def stale(self, since: datetime) -> list[Site]:
        """The sites that are not."""
        if self._oldest is not None and self._oldest >= since:
            return []
        return [site for site in self.sites if not self.is_fresh(site.site_id, since)]
