"""What a DICOMweb request says: sites and UIDs of its path, and what it accepts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from urllib.parse import unquote

from flask import request

from gateway.bootstrap import Gateway
from gateway.dicom.media_types import MediaRange, parse_accept
from gateway.dicom.uids import check_uid
from gateway.errors import NotFound
from gateway.model.sites import Site


@dataclass(frozen=True)
class Scope:
    """Sites of a request and the public root of the service that it used."""

    sites: Sequence[Site]
    service_url: str
    by_id: Mapping[str, Site]


def scope_of(gateway: Gateway, site_id: str | None) -> Scope:
    """raises NotFound for a site that region.toml does not name."""
    base = gateway.settings.base_url
    if site_id is None:
        region = gateway.region
        return Scope(region.sites, f"{base}/dicom-web", region.by_id)
    site = gateway.region.site(site_id)
    if site is None:
        raise NotFound("site")
    return Scope((site,), f"{base}/sites/{site_id}/dicom-web", {site_id: site})


def accepted() -> tuple[MediaRange, ...]:
    """What the caller accepts, in its order; raises BadRequest."""
    return parse_accept(accept_values())


def accept_values() -> tuple[str, ...]:
    """Accept headers, or the query parameter `accept`, which wins (PS3.18 8.3.3.1)."""
    if request.query_string and (asked := request.args.getlist("accept")):
        return tuple(asked)
    header = request.headers.get("Accept")  # the server has joined several
    return () if header is None else (header,)


UID_FOLLOWS = {"studies": "study", "series": "series", "instances": "instance"}


def check_path() -> None:
    """Judge the UIDs of the path as they were sent.

    Before routing: a UID like `..%2fsystem` is decoded into other segments and would end as an
    unknown resource, without a word about the field (trust.md H1).
    raises  BadRequest that names the level
    """
    raw = str(request.environ.get("RAW_URI") or request.path).partition("?")[0]
    _, mark, below = raw.partition("/dicom-web/")
    if not mark:
        return
    for word, value in pairwise(below.split("/")):
        if word in UID_FOLLOWS and value:
            check_uid(unquote(value, errors="replace"), UID_FOLLOWS[word])
