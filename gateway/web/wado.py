"""Retrieve (WADO-RS, PS3.18 10.4): studies, series, instances, metadata, frames, bulk data,
renderings and thumbnails, streamed from the best holder.

A stream that breaks after its first byte raises inside the response: the server then cuts the
connection without a last chunk, so that no client takes a part for the whole (trust.md R3).
"""

from collections.abc import Callable

from flask import Blueprint, Response

from gateway.bootstrap import Gateway
from gateway.model.access import Action
from gateway.web.bulk import BulkData
from gateway.web.images import Images
from gateway.web.metadata import Metadata
from gateway.web.opening import Opener
from gateway.web.permissions import needs
from gateway.web.rendered import Renderer
from gateway.web.versions import Versions


def create_blueprint(gateway: Gateway, name: str) -> Blueprint:
    """The retrieve resources; `name` keeps the two registrations apart."""
    door = Blueprint(f"wado-{name}", __name__)
    levels = ("", "/series/<series>", "/series/<series>/instances/<instance>")

    def at_levels(below: str, some: tuple[str, ...] = levels) -> list[str]:
        return [f"/studies/<study>{level}{below}" for level in some]

    def add(rules: list[str], endpoint: str, view: Callable[..., Response]) -> None:
        for n, rule in enumerate(rules):
            door.add_url_rule(rule, f"{endpoint}{n}", needs(Action.RETRIEVE)(view), methods=["GET"])

    versions = Versions(gateway)
    opener = Opener(gateway, versions)
    renderer = Renderer(opener, versions)
    metadata = Metadata(opener, versions)
    bulk_data = BulkData(opener, metadata)
    images = Images(opener, versions, bulk_data)
    add(at_levels(""), "dicom", images.dicom)
    add(at_levels("/metadata"), "metadata", metadata.metadata)
    add(at_levels("/bulkdata"), "allbulkdata", bulk_data.all)
    add(at_levels("/pixeldata"), "pixeldata", bulk_data.pixels)
    add(at_levels("/frames/<frames>", levels[2:]), "frames", images.frames)
    for word in ("bulkdata", "bulk"):
        rules = at_levels(f"/{word}/<path:bulk>", levels[2:])
        add(rules, word, images.bulkdata)
    for form, view in (("rendered", renderer.rendered), ("thumbnail", renderer.thumbnail)):
        rules = at_levels(f"/{form}") + at_levels(f"/frames/<frames>/{form}", levels[2:])
        add(rules, form, view)
    return door
