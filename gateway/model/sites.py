"""Sites of the region and how each of them behaves; reading_region.py reads them.

A site is one DICOMweb server: a hospital's Orthanc, the regional archive, or any other server
(kind `dicomweb`). region.toml lists them; README has the table of keys.
"""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from gateway.model.address_lists import AddressList
    from gateway.model.destinations import Destination
    from gateway.model.outside import Posts

SITE_ID = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?", re.ASCII)
AE_TITLE = re.compile(r"[A-Za-z0-9_ .-]{1,16}", re.ASCII)
WINDOW = re.compile(r"([01]\d|2[0-4]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)", re.ASCII)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Secret(str):
    """A password that does not show itself in repr, logs or tracebacks."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Secret('***')"


@dataclass(frozen=True)
class Timeouts:
    """Seconds for each transaction with one site."""

    connect_s: float = 1.0
    search_s: float = 2.0
    metadata_s: float = 30.0
    first_byte_s: float = 15.0
    idle_s: float = 30.0
    store_s: float = 60.0
    probe_s: float = 5.0


PLAIN_HTTP, ANSWERS_ANYONE = "plain_http", "answers_anyone"
RISKS = (PLAIN_HTTP, ANSWERS_ANYONE)
"""Images and the password go unencrypted; whoever reaches the site is given images, because its
Orthanc has AuthenticationEnabled = false (trust.md 1 e)."""


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@dataclass(frozen=True)
class Site:
    """One DICOMweb server of the region; all values are checked.

    recycles_… when its Orthanc begins to delete the oldest, where it does not tell by itself
    cache      its images are kept on the gateway's disk, because the line to it is thin
    event_key  what the site's plugin signs its events with (model/events.py); empty: none taken
    client_…   certificate and key by which the site knows us (mutual TLS), PEM files
    addresses  networks that its name may lead to; empty: any that `may_be_at` lets through
    signed     risks that the operator takes at this site, of RISKS: no alarm is raised for them
    kind       `webhook` is no server of images: notices go to its own address, nothing else
    guarded    its name must not lead to this host: set for destinations (trust.md H32), not by
               region.toml
    """

    site_id: str
    name_ru: str
    name_en: str
    url: str
    kind: Literal["orthanc", "dicomweb", "webhook"] = "orthanc"
    role: Literal["hospital", "archive"] = "hospital"
    dicomweb_root: str = "/dicom-web"
    username: str = ""
    password: Secret = Secret("")
    ca_file: str = ""
    client_certificate_file: str = ""
    client_key_file: str = ""
    addresses: tuple[Network, ...] = ()
    time_zone: str = "Europe/Moscow"
    patient_id_issuer: str = ""
    ae_title: str = ""
    window: str = "00:00-24:00"
    event_key: Secret = Secret("")
    cache: bool = False
    recycles_gb: int = 0
    recycles_patients: int = 0
    signed: tuple[str, ...] = ()
    timeouts: Timeouts = field(default_factory=Timeouts)
    guarded: bool = False

    @property
    def dicomweb_url(self) -> str:
        return self.url + self.dicomweb_root

    def risks(self, profile: "QuirkProfile") -> tuple[str, ...]:
        """Of RISKS, those that nobody has signed for; none where only this host reaches it."""
        parts = urlsplit(self.url)
        if is_loopback(parts.hostname or ""):
            return ()
        found = {PLAIN_HTTP: parts.scheme == "http", ANSWERS_ANYONE: profile.answers_anyone}
        return tuple(name for name in RISKS if found[name] and name not in self.signed)

    def may_be_at(self, told: str) -> bool:
        """Whether its name may lead to this address, to be asked of the connection itself.

        Whoever runs a hospital's name server decides where its name leads: not to a cloud's own
        services, and not past the networks that the operator wrote down (F14, H32).
        """
        address = ipaddress.ip_address(told.partition("%")[0])
        address = getattr(address, "ipv4_mapped", None) or address
        if self.addresses:
            return any(address in network for network in self.addresses)
        host = urlsplit(self.url).hostname or ""
        if host in ("localhost", str(address)):
            return True
        nowhere = address.is_link_local or address.is_unspecified or address.is_multicast
        return not (nowhere or (self.guarded and address.is_loopback))


@dataclass(frozen=True)
class Region:
    """All sites, the one that stores what names no other site, and where deliveries may go."""

    name_ru: str
    name_en: str
    home_site: str
    sites: tuple[Site, ...]
    destinations: "tuple[Destination, ...]" = ()
    address_lists: "tuple[AddressList, ...]" = ()
    posts: "Posts | None" = None  # that groups of another issuer give (model/outside.py)

    @cached_property
    def by_id(self) -> Mapping[str, Site]:
        """Sites by their id, in the order of region.toml; made once for each region."""
        return {site.site_id: site for site in self.sites}

    def site(self, site_id: str) -> Site | None:
        return self.by_id.get(site_id)

    def destination(self, destination_id: str) -> "Destination | None":
        found = (one for one in self.destinations if one.destination_id == destination_id)
        return next(found, None)

    def address_list(self, list_id: str) -> "AddressList | None":
        return next((one for one in self.address_lists if one.list_id == list_id), None)


@dataclass(frozen=True)
class QuirkProfile:
    """What one site was seen to do; the default is the oldest server that we support.

    decodes_query      percent-encoded search arguments are decoded (Orthanc 1.10: no)
    pages              `limit` and `offset` are obeyed; None: a site with fewer than two studies
                       cannot show it
    has_thumbnail      /thumbnail exists (Orthanc's plugin: from 1.19)
    single_part        an instance comes as plain application/dicom
    forwarded          RetrieveURL and BulkDataURI follow our `Forwarded` header
    decodes            transfer syntax families that it can decode ("jpeg2000", ...)
    recycles_bytes     of images; when it has so many it deletes the oldest patients (Orthanc's
                       MaximumStorageSize; it tells from 1.11.3). 0: never, or it does not tell
    recycles_patients  the same, in patients (MaximumPatientCount)
    clock_ahead_s      seconds that its clock is ahead, by its `Date` (Orthanc alone says none: 0)
    answers_anyone     studies are shown to who brings no password and no certificate
    """

    software: str = ""
    version: str = ""
    dicomweb_version: str = ""
    plugins: tuple[str, ...] = ()
    decodes_query: bool = False
    pages: bool | None = None
    has_thumbnail: bool = False
    single_part: bool = False
    forwarded: bool = False
    decodes: tuple[str, ...] = ()
    recycles_bytes: int = 0
    recycles_patients: int = 0
    clock_ahead_s: int = 0
    answers_anyone: bool = False
    probed_at: datetime | None = None
    problem: str = ""
