"""`/console/sites`: how each site stands, what its server was seen to do, how far it is read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response

from gateway.bootstrap import Gateway, Reread
from gateway.model.access import Action
from gateway.model.sites import QuirkProfile, Site
from gateway.model.wording import Words
from gateway.web.console.frame import reach, show
from gateway.web.health import describe_sites
from gateway.web.home import TROUBLE
from gateway.web.permissions import needs

SITES_AGE_S = 5.0
SILENT = ("не отвечает", "does not answer")
QUIRKS: Mapping[str, Words] = {
    "decodes_query": Words("понимает закодированные ключи поиска", "decodes escaped search keys"),
    "pages": Words("отдаёт списки по частям", "gives lists in pages"),
    "has_thumbnail": Words("рисует миниатюры", "draws thumbnails"),
    "single_part": Words("отдаёт один файл без обёртки", "gives a single file unwrapped"),
    "forwarded": Words("называет адреса шлюза, а не свои", "names our addresses, not its own"),
}


@dataclass(frozen=True)
class Standing:
    """One site: its entry, what /status/sites tells of it, and its quirks."""

    site: Site
    told: Mapping[str, Any]
    profile: QuirkProfile

    @property
    def trouble(self) -> Words | None:
        """Why it does not answer; None if it does."""
        if self.told["answers"]:
            return None
        return Words(*TROUBLE.get(str(self.told["last_failure"]), SILENT))

    @property
    def quirks(self) -> Sequence[tuple[Words, bool | None]]:
        return [(words, getattr(self.profile, name)) for name, words in QUIRKS.items()]


def add_routes(door: Blueprint, gateway: Gateway) -> None:
    """/console/sites"""
    sites_now = read_sites(gateway)

    @door.get("/sites")
    @needs(Action.READ_DELIVERIES)
    def sites() -> Response:
        return show(gateway, "sites", sites=within_reach(sites_now.get()))


def within_reach(sites: Sequence[Standing]) -> list[Standing]:
    """Those that the actor of this request may see."""
    within = reach()
    return [one for one in sites if within is None or one.site.site_id in within]


def read_sites(gateway: Gateway) -> Reread[list[Standing]]:
    """Every site, those that do not answer first; not older than some seconds."""

    def read() -> list[Standing]:
        told = {str(one["id"]): one for one in describe_sites(gateway)}
        found = [
            Standing(site, told[site.site_id], gateway.profile(site.site_id))
            for site in gateway.region.sites
            if site.site_id in told
        ]
        return sorted(found, key=lambda one: bool(one.told["answers"]))

    return Reread(read, SITES_AGE_S)
