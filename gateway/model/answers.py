"""What sites say, in the words that the services and the doors share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from gateway.dicom.attributes import Dataset
from gateway.dicom.part10 import Identity
from gateway.model import persons


@dataclass(frozen=True)
class SitePage:
    """One site's answer to one search.

    rows       its best rows in the order of the query, at least offset + limit of them if it has
               that many; every row matches the query
    uids       identity of every match, also of those without a row: they make the total exact
    truncated  it has more matches than we were willing to read
    light      the rows hold what the order needs and little more: those of the page are described
               by a second question
    """

    site_id: str
    rows: tuple[Dataset, ...]
    uids: frozenset[str]
    truncated: bool = False
    light: bool = False


@dataclass(frozen=True)
class SearchResult:
    """One page over all sites.

    rows      of the merged list, offset and limit applied
    total     matches over all sites, each UID once; None: more than the page, too many to count
    silent    site id -> SiteError.code of each site that did not answer
    warnings  sentences for Warning 299, without the service base
    indexed   site id -> when its rows of the index were right, of each site that the index
              answered for; the others were asked live
    """

    rows: tuple[Dataset, ...]
    total: int | None
    silent: Mapping[str, str]
    warnings: tuple[str, ...]
    indexed: Mapping[str, datetime | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Holder:
    """A site that holds (part of) a study, how much of it, and of whom it says it is."""

    site_id: str
    instances: int
    seconds: float
    patient: persons.Identity = field(default=persons.Identity(), repr=False)


@dataclass(frozen=True)
class SeriesHeld:
    """What the index knows of a series at a site.

    content  the same where the instances are the same and patient_id is; "" if it is not known
    """

    instances: int
    content: str = ""
    patient_id: str = field(default="", repr=False)


@dataclass(frozen=True)
class Location:
    """Who holds a study, best holder first, and who could not be asked.

    differing  sites whose copies are known to differ in content, the one that is preferred first
    """

    study_uid: str
    holders: tuple[Holder, ...]
    silent: Mapping[str, str]
    differing: tuple[str, ...] = ()

    def without(self, site_id: str, code: str) -> "Location":
        """The same, after that holder has failed with the code of a SiteError."""
        rest = tuple(holder for holder in self.holders if holder.site_id != site_id)
        return replace(self, holders=rest, silent={**self.silent, site_id: code})

    def only(self, *site_ids: str) -> "Location":
        """The same, of these holders alone."""
        kept = tuple(holder for holder in self.holders if holder.site_id in site_ids)
        return replace(self, holders=kept)

    @property
    def alike(self) -> "Location":
        """The same, of holders that give the same: where copies differ, of the first alone."""
        return self.only(self.holders[0].site_id) if self.differing and self.holders else self


@dataclass(frozen=True)
class Refused:
    """An instance of a store request that cannot even become a part; failure: a FailureReason."""

    identity: Identity
    failure: int


@dataclass(frozen=True)
class SiteSaid:
    """What a site's answer to a store says: FailureReason and WarningReason by SOP instance UID.

    status  of HTTP; it proves nothing
    """

    failed: Mapping[str, int] = field(default_factory=dict)
    warned: Mapping[str, int] = field(default_factory=dict)
    status: int = 200


@dataclass(frozen=True)
class Copy:
    """One copy of an instance: the site that holds it and the path by which it is known there."""

    site_id: str
    path: str


@dataclass(frozen=True)
class Place:
    """Where instances of one study are to be stored, and what is known of the study already.

    patients   of whom the site holds the study; empty if it is new there
    others     of whom other sites hold it
    issuer     of a PatientID that names none
    here       SOP instance UID -> paths of what the site holds
    elsewhere  SOP instance UID -> copies that other sites hold
    """

    site_id: str
    patients: tuple[persons.Identity, ...] = field(default=(), repr=False)
    others: tuple[persons.Identity, ...] = field(default=(), repr=False)
    issuer: str = ""
    here: Mapping[str, Sequence[str]] = field(default_factory=dict)
    elsewhere: Mapping[str, Sequence[Copy]] = field(default_factory=dict)
