"""Which holder gives which part of a study or series, where no site alone holds all of it."""

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace

from gateway.clock import Deadline
from gateway.federation.fanout import ask_all
from gateway.model.answers import Location, SeriesHeld
from gateway.model.sites import Site

Listing = Mapping[str, frozenset[str]]
"""What a site holds of a study: series UID -> a name of each instance."""
ListHeld = Callable[[Site, str, Deadline, bool], Listing]
"""Lists a study at a site by SOP instance UIDs (True), or by names that cost less: the same name
is the same instance everywhere, but one instance may have two names (holdings.list_held)."""


@dataclass(frozen=True)
class Share:
    """What one site gives: all it has of what was asked, a series of that, or one instance."""

    site_id: str
    series_uid: str | None = None
    instance_uid: str | None = None


@dataclass(frozen=True)
class Coverage:
    """How what is asked for lies at its holders.

    complete   sites that hold all that the answering holders have together; empty: unknown, or
               there was no question because there is one holder
    shares     who gives what, where nobody is complete: together all of it, nothing twice
    instances  SOP instance UIDs of all shares
    silent     holders that did not answer, with the code of each
    lacking    a silent site is known to hold something that no other has
    differing  sites that hold something with another content than others do, in the order in which
               they are to give it; empty: none is known to
    """

    complete: frozenset[str] = frozenset()
    shares: tuple[Share, ...] = ()
    instances: frozenset[str] = frozenset()
    silent: Mapping[str, str] = field(default_factory=dict)
    lacking: bool = False
    differing: tuple[str, ...] = ()

    def applied(self, location: Location) -> Location:
        """Complete holders first, and whoever was silent meanwhile named."""
        holders = [holder for holder in location.holders if holder.site_id not in self.silent]
        holders.sort(key=lambda holder: place_of(holder.site_id, self.differing))
        holders.sort(key=lambda holder: holder.site_id not in self.complete)
        return replace(
            location,
            holders=tuple(holders),
            silent={**location.silent, **self.silent},
            differing=self.differing or location.differing,
        )

    def is_partial(self, site_id: str) -> bool:
        """Whether what this site gives is known not to be all."""
        return self.lacking or bool(self.complete and site_id not in self.complete)


def place_of(site_id: str, differing: Sequence[str]) -> int:
    """To sort by: sites whose copies differ in their fixed order, then the others."""
    return differing.index(site_id) if site_id in differing else len(differing)


UNKNOWN = Coverage()
"""There was no question: the holders stay as they are."""


def list_holders(
    study_uid: str, sites: Sequence[Site], list_held: ListHeld, pool: Executor, deadline_s: float
) -> tuple[Mapping[str, Listing], Mapping[str, str]]:
    """Listings by site id in the order of `sites`, and the code of each silent site.

    Copies of one study are mostly equal, which cheap names show; where they are not, UIDs decide.
    """
    listings: dict[str, Listing] = {}
    silent: dict[str, str] = {}
    for by_uid in (False, True):

        def ask(site: Site, deadline: Deadline, by_uid: bool = by_uid) -> Listing:
            return list_held(site, study_uid, deadline, by_uid)

        answers, late = ask_all(
            [site for site in sites if site.site_id not in silent], ask, pool, deadline_s
        )
        silent |= late
        listings = {
            site.site_id: answers[site.site_id] for site in sites if site.site_id in answers
        }
        if complete_sites(listings, None):
            break
    return listings, silent


def of_series(listing: Listing, series_uid: str | None) -> Listing:
    """The part of a listing that lies in one series; all of it for None."""
    return {uid: names for uid, names in listing.items() if series_uid in (None, uid)}


def names_of(listing: Listing) -> frozenset[str]:
    return frozenset().union(*listing.values())


def complete_sites(listings: Mapping[str, Listing], series_uid: str | None) -> frozenset[str]:
    """Sites that hold whatever one of them holds."""
    held = {site: names_of(of_series(found, series_uid)) for site, found in listings.items()}
    union = frozenset().union(*held.values())
    return frozenset(site for site, names in held.items() if names == union)


def plan_shares(listings: Mapping[str, Listing], series_uid: str | None) -> tuple[Share, ...]:
    """The first site gives all it has, each later one what those before it lack.

    listings  by SOP instance UID
    """
    shares: list[Share] = []
    seen: set[str] = set()
    for site_id, found in listings.items():
        held = of_series(found, series_uid)
        if names_of(held) and names_of(held).isdisjoint(seen):
            shares.append(Share(site_id))
        else:
            for uid, names in held.items():
                if names.isdisjoint(seen):
                    shares.append(Share(site_id, uid))
                else:
                    shares += [Share(site_id, uid, name) for name in sorted(names - seen)]
        seen |= names_of(held)
    return tuple(shares)


Known = Mapping[str, SeriesHeld]
"""What the index knows of a study at a site, by series UID."""


def is_lacking(
    listings: Mapping[str, Listing],
    series_uid: str | None,
    silent: Collection[Known],
    answering: Collection[Known],
    *,
    was_split: bool,
) -> bool:
    """Whether a silent site is known to hold something that those that answer do not.

    silent, answering  what the index knows of each such site
    was_split          no site held the whole study when all answered. Of such a study, or of one
                       of which a series is missing, equal numbers of instances do not mean equal
                       instances
    """
    there: dict[str, set[str]] = {}
    for found in listings.values():
        for uid, names in found.items():
            there.setdefault(uid, set()).update(names)
    split = was_split or any(
        held.instances > len(there.get(uid, ())) for known in silent for uid, held in known.items()
    )
    asked = [
        (uid, held)
        for known in silent
        for uid, held in known.items()
        if series_uid in (None, uid) and held.instances
    ]
    return bool(asked) and (split or any(_is_other(uid, held, answering) for uid, held in asked))


def _is_other(uid: str, held: SeriesHeld, answering: Collection[Known]) -> bool:
    """Whether it is known that no site that answers has these very instances."""
    copies = [known[uid] for known in answering if uid in known]
    contents = {copy.content for copy in copies if copy.patient_id == held.patient_id} - {""}
    return bool(held.content and contents and held.content not in contents)
