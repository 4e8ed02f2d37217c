"""`/console/versions`: what the gateway is built of and which servers it talks to, against the
oldest versions that are known to be safe (model/versions.py).
"""

import platform
import ssl
from collections.abc import Mapping
from functools import cache
from importlib.metadata import distributions, version

from flask import Blueprint, Response

from gateway.bootstrap import Gateway
from gateway.log import log
from gateway.model.access import Action
from gateway.model.sites import QuirkProfile, Region
from gateway.model.versions import FLOORS, Component
from gateway.web.console.frame import show
from gateway.web.permissions import needs

OURS = "regional-imaging-gateway"
SHOWN = frozenset(FLOORS) | {
    "alembic", "argon2-cffi", "cryptography", "flask", "gevent", "pillow", "psycopg", "pyorthanc",
    "redis", "rq", "sqlalchemy",
}  # fmt: skip
"""Packages that face the network or hold data, of the hundred that are installed."""


def add_routes(door: Blueprint, gateway: Gateway) -> None:
    """/console/versions"""
    for one in own_components():
        if one.is_below and one.floor is not None:
            log.error("version with a known hole", of=one.name, version=one.version,
                      hole=one.floor.hole, needs=one.floor.version)  # fmt: skip

    @door.get("/versions")
    @needs(Action.OPERATE)
    def versions() -> Response:
        profiles = {site.site_id: gateway.profile(site.site_id) for site in gateway.region.sites}
        return show(
            gateway, "versions", own=own_components(), servers=servers(gateway.region, profiles)
        )


@cache
def own_components() -> tuple[Component, ...]:
    """The gateway, its language, and the packages that matter, worst first."""
    found = {one.metadata["Name"].lower(): one.version for one in distributions()}
    known = [Component(name, text) for name, text in sorted(found.items()) if name in SHOWN]
    base = [
        Component(OURS, version(OURS)),
        Component("Python", platform.python_version()),
        Component("OpenSSL", ssl.OPENSSL_VERSION.split()[1]),
    ]
    return tuple(sorted([*base, *known], key=lambda one: not one.is_below))


def servers(
    region: Region, profiles: Mapping[str, QuirkProfile]
) -> list[tuple[Component, Component | None, bool]]:
    """Each site's server, its DICOMweb plugin, and whether it is reached by TLS; worst first."""
    found = []
    for site in region.sites:
        profile = profiles[site.site_id]
        plugin = profile.dicomweb_version
        found.append(
            (
                Component(profile.software, profile.version, site.site_id),
                Component("DICOMweb", plugin, site.site_id) if plugin else None,
                site.url.startswith("https:"),
            )
        )
    return sorted(found, key=lambda row: not row[0].is_below)
