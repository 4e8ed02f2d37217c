"""What runs out or falls behind while nobody looks: certificates, the key of tokens, versions with
known holes, sites that are open. Each is an alarm in time, and gone with its cause (trust.md F15).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path

from gateway.certificates import ends_at
from gateway.errors import SiteError
from gateway.log import log
from gateway.model import alarms
from gateway.model.sites import QuirkProfile, Region, Site
from gateway.model.versions import ORTHANC, Component
from gateway.orthanc.trust import certificate_ends_at
from gateway.records.alarms import load_alarms
from gateway.records.clients import newest_signing_key_at
from gateway.records.engine import Records
from gateway.records.leases import Fence
from gateway.routing.house import Found, keep_alarms
from gateway.settings import Settings

WARN_DAYS = (1, 7, 30)
"""Three messages for each, the nearest of them open."""
KEY_YEARS = timedelta(days=365)
"""How long one key signs tokens."""
KINDS = (alarms.CERTIFICATE_ENDS, alarms.VERSION_HAS_HOLE, alarms.SITE_UNGUARDED)

Ends = tuple[str, str | None, datetime]
"""(what, the site that it is of, when it ends)."""
Show = Callable[[Site], datetime | None]
"""When the certificate that a site shows ends; None where it shows none. Raises SiteError."""


def check_upkeep(
    records: Records,
    settings: Settings,
    region: Region,
    profiles: Mapping[str, QuirkProfile],
    now: datetime,
    fence: Fence | None,
    show: Show = certificate_ends_at,
) -> Found:
    """Raise an alarm for everything that ends soon or is too old; raises LeaseLost."""
    of_sites, unseen = _of_sites(region, show)
    ends = [*_of_files(settings, region), *of_sites]
    if (made_at := newest_signing_key_at(records)) is not None:
        ends.append(("signing-key", None, made_at + KEY_YEARS))
    found: Found = {}
    for name, site_id, moment in ends:
        left = moment - now
        mark = next((days for days in WARN_DAYS if left <= timedelta(days=days)), None)
        if mark is not None:
            where = {"sites": [site_id]} if site_id else {}
            subject = f"{name} {mark if left > timedelta() else 0} d"
            found[alarms.CERTIFICATE_ENDS, subject] = {"ends": moment.isoformat(), **where}
    for one in load_alarms(records) if unseen else ():
        if one.kind == alarms.CERTIFICATE_ENDS and one.subject.partition(" ")[0] in unseen:
            found[one.kind, one.subject] = dict(one.facts)  # a silent site has mended nothing
    for site_id, profile in profiles.items():
        server = Component(profile.software, profile.version, site_id)
        if profile.software == ORTHANC and server.is_below and region.site(site_id):
            facts = {"version": profile.version, "holes": server.floor.hole if server.floor else ""}
            found[alarms.VERSION_HAS_HOLE, site_id] = facts
    for site in region.sites:
        if risks := site.risks(profiles.get(site.site_id, QuirkProfile())):
            found[alarms.SITE_UNGUARDED, site.site_id] = {"risks": list(risks)}
    keep_alarms(records, KINDS, found, now, fence)
    return found


def _of_files(settings: Settings, region: Region) -> Iterator[Ends]:
    """Our own certificate, and those by which sites and destinations know us."""
    files: dict[str, tuple[str, str | None]] = {
        site.client_certificate_file: (f"client-{site.site_id}", site.site_id)
        for site in _servers(region)
    }
    files[settings.tls_certificate_file] = ("gateway", None)
    for file, (name, site_id) in files.items():
        if not file:
            continue
        try:
            yield name, site_id, ends_at(Path(file).read_bytes())
        except (OSError, ValueError) as error:
            log.error("certificate cannot be read", of=name, problem=type(error).__name__)


def _of_sites(region: Region, show: Show) -> tuple[list[Ends], set[str]]:
    """What the sites show, and the ids of those that show nothing now."""
    found: list[Ends] = []
    unseen: set[str] = set()
    for site in _servers(region):
        try:
            moment = show(site)
        except SiteError as error:  # silence has an alarm of its own
            log.info("certificate not seen", site=site.site_id, problem=str(error))
            unseen.add(site.site_id)
            continue
        if moment is not None:
            found.append((site.site_id, site.site_id, moment))
    return found, unseen


def _servers(region: Region) -> Iterable[Site]:
    """Sites, and what is sent to that is none."""
    known = {site.site_id: site for site in region.sites}
    for destination in region.destinations:
        if destination.server is not None:
            known.setdefault(destination.server.site_id, destination.server)
    return known.values()
