"""What a DICOMweb request says: sites and UIDs of its path, and what it accepts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from urllib.parse import unquote

from flask import g, request

from gateway.bootstrap import Gateway
from gateway.dicom.media_types import MediaRange, parse_accept
from gateway.dicom.uids import check_uid
from gateway.errors import BadRequest, NotFound
from gateway.model.access import Role
from gateway.model.access import Scope as Reaches
from gateway.model.sites import Region, Site


@dataclass(frozen=True)
class Scope:
    """Sites of a request and the public root of the service that it used.

    for_patient  what is given goes to a patient's own computer
    """

    sites: Sequence[Site]
    service_url: str
    by_id: Mapping[str, Site]
    for_patient: bool = False

    def home_site(self, region: Region) -> str:
        """Where a new study of this actor goes that names no site."""
        return region.home_site if region.home_site in self.by_id else self.sites[0].site_id


def scope_of(gateway: Gateway, site_id: str | None, reaches: Reaches | None = None) -> Scope:
    """The sites of a request, as far as its actor reaches; no other is ever asked for it.

    reaches  of the actor; None: all that the decision on this request lets through
    raises   NotFound for a site that region.toml does not name, or that lies outside
    """
    base, region = gateway.settings.base_url, gateway.region
    visible = (g.decision.scope if reaches is None else reaches).sites
    for_patient = Role.PATIENT in g.decision.roles
    if site_id is not None:
        site = region.site(site_id)
        if site is None or (visible is not None and site_id not in visible):
            raise NotFound("site")
        return Scope((site,), f"{base}/sites/{site_id}/dicom-web", {site_id: site}, for_patient)
    if visible is None:
        return Scope(region.sites, f"{base}/dicom-web", region.by_id, for_patient)
    sites = {site.site_id: site for site in region.sites if site.site_id in visible}
    if not sites:
        raise NotFound("site")
    return Scope(tuple(sites.values()), f"{base}/dicom-web", sites, for_patient)


def accepted() -> tuple[MediaRange, ...]:
    """What the caller accepts, in its order; raises BadRequest."""
    return parse_accept(*accept_values())


def accept_values() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The query parameter `accept`, which wins (PS3.18 8.3.3.1, 8.7.8.1), and Accept headers."""
    asked = tuple(request.args.getlist("accept")) if request.query_string else ()
    header = request.headers.get("Accept")  # the server has joined several
    return asked, () if header is None else (header,)


UID_FOLLOWS = {"studies": "study", "series": "series", "instances": "instance"}


def check_path() -> None:
    """Judge the UIDs of the path as they were sent.

    Before routing: a UID like `..%2fsystem` is decoded into other segments and would end as an
    unknown resource, without a word about the field (trust.md H1).
    raises  BadRequest that names the level, or what else holds a NUL
    """
    raw = str(request.environ.get("RAW_URI") or request.path).partition("?")[0]
    _, mark, below = raw.partition("/dicom-web/")
    for word, value in pairwise(below.split("/")) if mark else ():
        if word in UID_FOLLOWS and value:
            check_uid(unquote(value, errors="replace"), UID_FOLLOWS[word])
    if "%00" in raw or "\0" in raw:  # PostgreSQL has no place for it
        raise BadRequest("path", "holds a NUL")
