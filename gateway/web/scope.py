"""Which sites a DICOMweb request is about: all of them, or the one named in its path."""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.bootstrap import Gateway
from gateway.errors import NotFound
from gateway.model.sites import Site


@dataclass(frozen=True)
class Scope:
    """Sites of a request and the public root of the service that it used."""

    sites: Sequence[Site]
    service_url: str

    @property
    def by_id(self) -> dict[str, Site]:
        return {site.site_id: site for site in self.sites}


def scope_of(gateway: Gateway, site_id: str | None) -> Scope:
    """raises NotFound for a site that region.toml does not name."""
    base = gateway.settings.base_url
    if site_id is None:
        return Scope(gateway.region.sites, f"{base}/dicom-web")
    site = gateway.region.site(site_id)
    if site is None:
        raise NotFound("site")
    return Scope([site], f"{base}/sites/{site_id}/dicom-web")
