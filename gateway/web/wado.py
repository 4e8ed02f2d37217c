"""Retrieve (WADO-RS, PS3.18 10.4): studies, series, instances, metadata, frames, bulk data,
renderings and thumbnails, streamed from the best holder.

A stream that breaks after its first byte raises inside the response: the server then cuts the
connection without a last chunk, so that no client takes a part for the whole (trust.md R3).
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import orjson
from flask import Blueprint, Response, request

from gateway.bootstrap import Gateway
from gateway.clock import Deadline
from gateway.dicom.attributes import rewrite_uris
from gateway.dicom.media_types import (
    DICOM,
    MULTIPART,
    Choice,
    choose_bulkdata,
    choose_dicom,
    choose_frames,
    choose_metadata,
    choose_rendered,
    parse_content_type,
    upstream_accept,
    wanted_syntax,
)
from gateway.dicom.multipart import check_boundary
from gateway.dicom.transcode import Plan, plan_transcoding
from gateway.dicom.uids import check_uid
from gateway.errors import (
    BadRequest,
    NoSiteAnswered,
    NotAcceptable,
    NotFound,
    SiteError,
    SiteSpeaksGarbage,
)
from gateway.federation.retrieve import (
    Opened,
    checked_blocks,
    open_best,
    representative,
    unwrapped,
)
from gateway.model.answers import Location
from gateway.model.sites import Site
from gateway.orthanc import dicomweb
from gateway.orthanc.wire import SiteAnswer
from gateway.web.decoding import decoded_answer
from gateway.web.scope import Scope, accepted, scope_of
from gateway.web.streaming import streamed, warn_of_silence

FRAMES_LIMIT = 1000
FRAME_LIST = re.compile(r"[1-9]\d{0,8}(?:,[1-9]\d{0,8})*", re.ASCII)
BULK_PATH = re.compile(r"[0-9A-Za-z._~-]+(?:/[0-9A-Za-z._~-]+){0,40}", re.ASCII)
NUMBER = r"-?\d{1,9}(?:\.\d{1,9})?"
RENDER_PARAMETERS = {
    "window": re.compile(rf"{NUMBER},{NUMBER},(?:linear|linear-exact|sigmoid)", re.ASCII),
    "viewport": re.compile(rf"[1-9]\d{{0,4}},[1-9]\d{{0,4}}(?:,{NUMBER}){{0,4}}", re.ASCII),
    "quality": re.compile(r"[1-9]\d?|100", re.ASCII),
    "annotation": re.compile(r"(?:patient|technique)(?:,(?:patient|technique))?", re.ASCII),
}
WHOLE_AS_STORED = f'{MULTIPART}; type="{DICOM}"; transfer-syntax=*'
THUMBNAIL_VIEWPORT = "128,128"
# What an answer without multipart may be; anything else would be served under our name (H36).
_SINGLE_KINDS = """application/dicom application/octet-stream application/dicom+json image/jpeg
    image/png image/gif image/jp2 video/mpeg video/mp4"""
SINGLE_KINDS = frozenset(_SINGLE_KINDS.split())
POSSIBLE_KINDS = SINGLE_KINDS | {MULTIPART, "application/json"}


@dataclass(frozen=True)
class Target:
    """One retrieve resource: its UIDs and what lies below them."""

    study: str
    series: str | None = None
    instance: str | None = None
    below: str = ""

    @property
    def path(self) -> str:
        path = f"/studies/{self.study}"
        if self.series is not None:
            path += f"/series/{self.series}"
        if self.instance is not None:
            path += f"/instances/{self.instance}"
        return path + self.below


def create_blueprint(gateway: Gateway, name: str) -> Blueprint:
    """The retrieve resources; `name` keeps the two registrations apart."""
    door = Blueprint(f"wado-{name}", __name__)
    levels = ("", "/series/<series>", "/series/<series>/instances/<instance>")

    def at_levels(below: str, some: tuple[str, ...] = levels) -> list[str]:
        return [f"/studies/<study>{level}{below}" for level in some]

    def add(rules: list[str], endpoint: str, view: Callable[..., Response]) -> None:
        for n, rule in enumerate(rules):
            door.add_url_rule(rule, f"{endpoint}{n}", view, methods=["GET"])

    retriever = _Retriever(gateway)
    add(at_levels(""), "dicom", retriever.dicom)
    add(at_levels("/metadata"), "metadata", retriever.metadata)
    add(at_levels("/frames/<frames>", levels[2:]), "frames", retriever.frames)
    for word in ("bulkdata", "bulk"):
        rules = at_levels(f"/{word}/<path:bulk>", levels[2:])
        add(rules, word, retriever.bulkdata)
    for form in ("rendered", "thumbnail"):
        rules = at_levels(f"/{form}") + at_levels(f"/frames/<frames>/{form}", levels[2:])
        add(rules, form, getattr(retriever, form))
    return door


class _Retriever:
    """The views; they share how an object is located, opened and answered."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    def dicom(self, site_id: str | None = None, **uids: str) -> Response:
        choice = choose_dicom(accepted(), one_instance="instance" in uids)
        return self._images(site_id, _target(uids), choice, "study, series or instance")

    def frames(self, frames: str, site_id: str | None = None, **uids: str) -> Response:
        numbers = _frame_list(frames)
        choice = choose_frames(accepted(), one_frame=len(numbers) == 1)
        target = _target(uids, "/frames/" + ",".join(numbers))
        try:
            return self._images(site_id, target, choice, "frame", [int(n) for n in numbers])
        except NotAcceptable:
            self._check_frames(site_id, target, numbers)
            raise

    def bulkdata(self, bulk: str, site_id: str | None = None, **uids: str) -> Response:
        if not BULK_PATH.fullmatch(bulk) or ".." in bulk:
            raise BadRequest("bulkdata", "is no path of a bulk data resource")
        word = request.path.split("/instances/", 1)[1].split("/")[1]
        choice = choose_bulkdata(accepted())
        return self._stream(site_id, _target(uids, f"/{word}/{bulk}"), choice, "bulk data")

    def rendered(
        self, site_id: str | None = None, frames: str | None = None, **uids: str
    ) -> Response:
        return self._rendering("rendered", site_id, uids, frames)

    def thumbnail(
        self, site_id: str | None = None, frames: str | None = None, **uids: str
    ) -> Response:
        return self._rendering("thumbnail", site_id, uids, frames)

    def metadata(self, site_id: str | None = None, **uids: str) -> Response:
        choice = choose_metadata(accepted())
        scope = scope_of(self.gateway, site_id)
        target = _target(uids, "/metadata")
        location = self._locate(scope, target.study)
        while True:
            opened = self._open(scope, target, upstream_accept(choice), "metadata", location)
            try:
                blocks = checked_blocks(opened, None)
                datasets = dicomweb.read_metadata(opened.site, blocks, target.study)
                break
            except SiteError as error:  # nothing has been sent yet: the next holder may do better
                location = location.without(opened.site.site_id, error.code)
        rewrite_uris(datasets, lambda uri: dicomweb.public_uri(opened.site, uri, scope.service_url))
        answer = Response(orjson.dumps(datasets), content_type=choice.media_type)
        warn_of_silence(answer, opened)
        return answer

    def _check_frames(self, site_id: str | None, target: Target, numbers: list[str]) -> None:
        """Tell a frame that does not exist from one that cannot be given: Orthanc says 400 to both.

        raises  NotFound if the instance has fewer frames
        """
        scope = scope_of(self.gateway, site_id)
        for holder in self._locate(scope, target.study).holders:
            site = scope.by_id[holder.site_id]
            deadline = Deadline(site.timeouts.metadata_s)
            where = replace(target, below="").path
            count = dicomweb.count_frames(self.gateway.wire, site, where, deadline)
            if count is not None:
                if max(map(int, numbers)) > count:
                    raise NotFound("frame")
                return

    def _rendering(
        self,
        form: str,
        site_id: str | None,
        uids: dict[str, str],
        frames: str | None,
    ) -> Response:
        """A rendered image; of a study or series the one that stands for it."""
        choice = choose_rendered(accepted())
        query = _render_query()
        scope = scope_of(self.gateway, site_id)
        target = _target(uids)
        if target.instance is None:
            target = self._representative(scope, target)
        if frames is not None:
            target = replace(target, below="/frames/" + ",".join(_frame_list(frames)))

        def open_at(site: Site) -> SiteAnswer:
            asked = dict(query)
            below = f"/{form}"
            if form == "thumbnail" and not self.gateway.profile(site.site_id).has_thumbnail:
                below, asked = "/rendered", {"viewport": THUMBNAIL_VIEWPORT} | asked
            # Orthanc takes raw commas only (measured: percent-encoded ones fail).
            text = "&".join(f"{name}={value}" for name, value in asked.items())
            path = target.path + below + (f"?{text}" if text else "")
            return self._ask(site, path, choice.media_type)

        opened = self._open_at(scope, target.study, open_at, form)
        return self._answer(opened, choice)

    def _representative(self, scope: Scope, target: Target) -> Target:
        """The middle instance of the series (of the study: of its first series)."""
        location = self._locate(scope, target.study)
        silent = dict(location.silent)
        for holder in location.holders:
            site = scope.by_id[holder.site_id]
            deadline = Deadline(site.timeouts.search_s)
            try:
                found = dicomweb.list_series_instances(
                    self.gateway.wire, site, target.study, target.series, deadline
                )
            except SiteError as error:
                silent[site.site_id] = error.code
                continue
            if found:
                first = found[0][0]
                series, instance = representative([pair for pair in found if pair[0] == first])
                return replace(target, series=series, instance=instance)
        if silent:
            raise NoSiteAnswered(silent)
        raise NotFound("series")

    def _stream(self, site_id: str | None, target: Target, choice: Choice, what: str) -> Response:
        scope = scope_of(self.gateway, site_id)
        opened = self._open(scope, target, upstream_accept(choice), what)
        return self._answer(opened, choice)

    def _images(
        self,
        site_id: str | None,
        target: Target,
        choice: Choice,
        what: str,
        frames: Sequence[int] = (),
    ) -> Response:
        """Instances or frames in the transfer syntax that is wanted, decoded where it is safe."""
        scope = scope_of(self.gateway, site_id)
        wanted = wanted_syntax(choice)
        as_stored = upstream_accept(replace(choice, transfer_syntax="*"))
        plans: dict[str, Plan] = {}

        def open_at(site: Site) -> SiteAnswer:
            stored = frozenset[str]()
            if wanted != "*":
                deadline = Deadline(site.timeouts.search_s)
                stored = self.gateway.stored.find(site, target.study, target.series, deadline)
            plan = plans[site.site_id] = plan_transcoding(wanted, stored)
            if plan is Plan.REFUSE:
                raise NotAcceptable("Accept", "the images cannot be had in this transfer syntax")
            if plan is Plan.DECODE:
                return self._ask(site, replace(target, below="").path, WHOLE_AS_STORED)
            accept = as_stored if plan is Plan.AS_STORED else upstream_accept(choice)
            return self._ask(site, target.path, accept)

        opened = self._open_at(scope, target.study, open_at, what)
        if plans[opened.site.site_id] is Plan.DECODE:
            return decoded_answer(opened, choice, frames)
        return self._answer(opened, choice)

    def _locate(self, scope: Scope, study_uid: str) -> Location:
        deadline_s = self.gateway.settings.search_deadline_s
        return self.gateway.locator.locate(study_uid, scope.sites, deadline_s)

    def _open(
        self,
        scope: Scope,
        target: Target,
        accept: str,
        what: str,
        location: Location | None = None,
    ) -> Opened:
        def open_at(site: Site) -> SiteAnswer:
            return self._ask(site, target.path, accept)

        return self._open_at(scope, target.study, open_at, what, location)

    def _open_at(
        self,
        scope: Scope,
        study_uid: str,
        open_at: Callable[[Site], SiteAnswer],
        what: str,
        location: Location | None = None,
    ) -> Opened:
        location = location or self._locate(scope, study_uid)
        try:
            opened = open_best(location, scope.by_id, open_at, what)
            return replace(opened, service_url=scope.service_url)
        except (NotFound, NoSiteAnswered):
            self.gateway.locator.forget(study_uid)
            raise

    def _ask(self, site: Site, path: str, accept: str) -> SiteAnswer:
        """Ask one holder; what it says must at least be of a kind that could be an answer."""
        deadline = Deadline(site.timeouts.first_byte_s)
        base_url = self.gateway.settings.base_url
        answer = dicomweb.open_object(self.gateway.wire, site, path, accept, deadline, base_url)
        if answer.status == 200 and _kind_of(answer) not in POSSIBLE_KINDS:
            raise answer.refuse(SiteSpeaksGarbage(site.site_id, "an unexpected media type"))
        return answer

    def _answer(self, opened: Opened, choice: Choice) -> Response:
        """The holder's bytes under a media type that we write; one part alone where it is asked."""
        kind, parameters = _upstream_type(opened)
        answer = opened.answer
        if kind != MULTIPART:
            if choice.media_type == MULTIPART or kind not in SINGLE_KINDS:
                answer.close()
                raise SiteSpeaksGarbage(opened.site.site_id, "an unexpected media type")
            body: Iterator[bytes] = checked_blocks(opened, None)
            return streamed(body, kind, answer.length_of_body, opened)
        boundary = check_boundary(parameters.get("boundary"))
        if not choice.single_part:
            part_type = parameters.get("type", choice.part_type)
            media_type = f'{MULTIPART}; type="{part_type}"; boundary="{boundary.decode()}"'
            return streamed(
                checked_blocks(opened, boundary), media_type, answer.length_of_body, opened
            )
        headers, body = unwrapped(opened, boundary)
        single_type, _ = parse_content_type(headers.get("content-type", choice.media_type))
        syntax = choice.transfer_syntax
        if syntax not in (None, "*"):
            single_type += f"; transfer-syntax={syntax}"
        length = headers.get("content-length", "")
        return streamed(body, single_type, int(length) if length.isdecimal() else None, opened)


def _upstream_type(opened: Opened) -> tuple[str, dict[str, str]]:
    try:
        return parse_content_type(opened.answer.content_type)
    except BadRequest as error:
        opened.answer.close()
        raise SiteSpeaksGarbage(opened.site.site_id, "no media type") from error


def _kind_of(answer: SiteAnswer) -> str:
    try:
        return parse_content_type(answer.content_type)[0]
    except BadRequest:
        return ""


def _target(uids: dict[str, str], below: str = "") -> Target:
    for field, value in uids.items():
        check_uid(value, field)
    return Target(**uids, below=below)


def _frame_list(frames: str) -> list[str]:
    if len(frames) > 10 * FRAMES_LIMIT or not FRAME_LIST.fullmatch(frames):
        raise BadRequest("frames", "is no list of frame numbers from 1, separated by commas")
    numbers = list(dict.fromkeys(frames.split(",")))
    if len(numbers) > FRAMES_LIMIT:
        raise BadRequest("frames", f"names more than {FRAMES_LIMIT} frames")
    return numbers


def _render_query() -> dict[str, str]:
    """Parameters of a rendering (PS3.18 8.3.5), checked; unknown ones are left out."""
    query = {}
    for name, form in RENDER_PARAMETERS.items():
        value = request.args.get(name)
        if value is None:
            continue
        if not form.fullmatch(value):
            raise BadRequest(name, "is not written as PS3.18 8.3.5 says")
        query[name] = value
    return query
