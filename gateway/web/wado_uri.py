"""WADO-URI (PS3.18 9): one instance by query parameters, for older viewers and record systems.

`/wado?requestType=WADO&studyUID=…&seriesUID=…&objectUID=…`, for all sites or one. The same
instances and renderings as WADO-RS gives, in the words of the older service.
"""

import re
from collections.abc import Mapping

from flask import Blueprint, Response, request

from gateway.bootstrap import Gateway
from gateway.dicom.media_types import (
    DICOM,
    PDF,
    PICTURES,
    REPORTS,
    MediaRange,
    Offer,
    negotiate,
    parse_accept,
)
from gateway.dicom.uids import check_uid
from gateway.dicom.view_query import (
    LARGEST_SIDE,
    View,
    Viewport,
    check_side,
    parse_quality,
    parse_window,
)
from gateway.errors import BadRequest, NotFound
from gateway.model.access import Action, at
from gateway.web.bulk import BulkData
from gateway.web.images import Images
from gateway.web.metadata import Metadata
from gateway.web.opening import Opener, target_of
from gateway.web.permissions import decide, needs
from gateway.web.rendered import Renderer, Wish
from gateway.web.versions import Versions

UIDS = {"study": "studyUID", "series": "seriesUID", "instance": "objectUID"}
WHOLE = re.compile(r"[1-9]\d{0,8}", re.ASCII)
SHARE = r"(0|1|0?\.\d{1,9}|0\.|1\.0{0,9})"
REGION = re.compile(rf"{SHARE},{SHARE},{SHARE},{SHARE}", re.ASCII)
OFFERS = [Offer(kind) for kind in (*PICTURES, *REPORTS, PDF, DICOM)]
UNSUPPORTED = ("annotation", "presentationUID", "presentationSeriesUID")


def create_blueprint(gateway: Gateway) -> Blueprint:
    """`/wado` and `/sites/SITE/wado`."""
    door = Blueprint("wado-uri", __name__)
    versions = Versions(gateway)
    opener = Opener(gateway, versions)
    images = Images(opener, versions, BulkData(opener, Metadata(opener, versions)))
    renderer = Renderer(opener, versions)

    @door.get("/wado")
    @door.get("/sites/<site_id>/wado")
    @needs(Action.RETRIEVE, written=False)
    def wado(site_id: str | None = None) -> Response:
        asked = request.args
        if asked.get("requestType") != "WADO":
            raise BadRequest("requestType", "is WADO (PS3.18 9.1.2.1.1)")
        if asked.get("anonymize"):
            raise BadRequest("anonymize", "is not done here")
        uids = _uids(asked)
        decide(Action.RETRIEVE, at(site_id, uids["study"]))
        given = asked.getlist("contentType") or request.headers.getlist("Accept")
        ranges = parse_accept(given)
        if negotiate(ranges, OFFERS).media_type == DICOM:
            syntax = asked.get("transferSyntax")
            if syntax is not None:
                check_uid(syntax, "transferSyntax")
            return images.one_alone(site_id, target_of(uids), MediaRange(DICOM, None, syntax))
        wish = Wish(target_of(uids), ranges, _view(asked), _frame(asked))
        scope = opener.scope(site_id)
        try:
            answer = renderer.answer(scope, wish)
        except NotFound as error:
            if error.what != "frame":
                raise
            raise BadRequest("frameNumber", "is beyond the last frame (PS3.18 9.5.2.1)") from error
        for name in UNSUPPORTED:
            if name in asked:
                note = f"299 {scope.service_url}: The {name} parameter is not supported."
                answer.headers.add("Warning", note)
        return answer

    return door


def _uids(asked: Mapping[str, str]) -> dict[str, str]:
    """raises BadRequest that names the parameter"""
    found = {}
    for level, name in UIDS.items():
        check_uid(asked.get(name, ""), name)
        found[level] = asked[name]
    return found


def _frame(asked: Mapping[str, str]) -> int | None:
    return None if "frameNumber" not in asked else _whole(asked, "frameNumber")


def _whole(asked: Mapping[str, str], name: str) -> int:
    if not WHOLE.fullmatch(asked[name]):
        raise BadRequest(name, "is a whole number from 1")
    return int(asked[name])


def _view(asked: Mapping[str, str]) -> View:
    """Of rows, columns, region, windowCenter, windowWidth and imageQuality (PS3.18 9.1.2.2)."""
    window = None
    if "windowCenter" in asked or "windowWidth" in asked:
        center, width = asked.get("windowCenter", ""), asked.get("windowWidth", "")
        window = parse_window("windowWidth", center, width, "linear" if width else "")
    quality = asked.get("imageQuality")
    return View(
        window=window,
        viewport=_viewport(asked),
        quality=None if quality is None else parse_quality("imageQuality", quality),
    )


def _viewport(asked: Mapping[str, str]) -> Viewport | None:
    """The box that rows and columns make around the part that region cuts out."""
    if not {"rows", "columns", "region"} & set(asked):
        return None
    sides = {
        name: check_side(name, _whole(asked, name)) for name in ("rows", "columns") if name in asked
    }
    box = (sides.get("columns", LARGEST_SIDE), sides.get("rows", LARGEST_SIDE))
    if "region" not in asked:
        return Viewport(*box)
    found = REGION.fullmatch(asked["region"])
    left, top, right, bottom = (float(part) for part in found.groups()) if found else (0, 0, 0, 0)
    if left >= right or top >= bottom:
        raise BadRequest("region", "is left,top,right,bottom from 0 to 1 (PS3.18 9.1.2.2.4)")
    part = (left, top, right - left, bottom - top)
    # Without a size the part keeps its own.
    return Viewport(*box, *part, relative=True, enlarge=bool(sides))
