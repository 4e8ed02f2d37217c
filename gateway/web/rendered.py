"""Pictures and documents that people see: /rendered and /thumbnail (PS3.18 10.4.1.1.3, .4).

The gateway draws them itself from the stored bytes: sites differ, old ones have no thumbnails, die
of JPEG 2000 or of damaged sizes (trust.md H78). Only for a coding that nobody here can read is the
site asked, after the size was checked.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from flask import Response, request

from gateway.clock import Deadline
from gateway.dicom.attributes import Level, text
from gateway.dicom.documents import document_of, pdf_of
from gateway.dicom.media_types import HTML, PDF, PICTURES, Choice, MediaRange, choose_rendered
from gateway.dicom.query import Query
from gateway.dicom.rendering import LARGEST_SAMPLES, OutOfPicture, View, Viewport, render
from gateway.dicom.transcode import DANGEROUS, CannotDecode
from gateway.dicom.view_query import IGNORED, format_view, parse_view
from gateway.errors import BadRequest, NoSiteAnswered, NotAcceptable, NotFound, SiteError
from gateway.federation.retrieve import Opened
from gateway.model.sites import Site
from gateway.orthanc import dicomweb
from gateway.orthanc.wire import SiteAnswer
from gateway.web.images import StoredInstance, open_instance
from gateway.web.off_loop import compute
from gateway.web.opening import Opener, Target, accepted, frame_list, target_of
from gateway.web.report_page import html_answer, pdf_answer
from gateway.web.representation import located, passed_on, single
from gateway.web.scope import Scope
from gateway.web.versions import Versions

THUMBNAIL = Viewport(128, 128)
# Series that hold no picture of the patient: another one stands for the study.
_NO_PICTURES = """SR KO PR DOC SEG RTSTRUCT RTPLAN RTDOSE RTRECORD REG FID RWV PLAN ECG HD EPS
    AU M3D PLAN SMR TEXTUREMAP"""
NO_PICTURES = frozenset(_NO_PICTURES.split())


@dataclass(frozen=True)
class Wish:
    """One rendering: of what, how, and which frame (None: the one that stands for all)."""

    target: Target
    ranges: tuple[MediaRange, ...]
    view: View
    frame: int | None = None
    thumbnail: bool = False


class Renderer:
    """The views; they share how an instance is found, read and drawn."""

    def __init__(self, opener: Opener, versions: Versions) -> None:
        self._opener = opener
        self._versions = versions

    def rendered(
        self, site_id: str | None = None, frames: str | None = None, **uids: str
    ) -> Response:
        return self._view(site_id, frames, uids, thumbnail=False)

    def thumbnail(
        self, site_id: str | None = None, frames: str | None = None, **uids: str
    ) -> Response:
        return self._view(site_id, frames, uids, thumbnail=True)

    def _view(
        self, site_id: str | None, frames: str | None, uids: dict[str, str], thumbnail: bool
    ) -> Response:
        ranges = accepted()
        choose_rendered(ranges, PICTURES if thumbnail else (*PICTURES, HTML, PDF))
        view = parse_view(request.args)
        if thumbnail and view.viewport is None:
            view = replace(view, viewport=THUMBNAIL)
        numbers = None if frames is None else frame_list(frames)
        if numbers is not None and len(numbers) > 1:
            raise BadRequest("frames", "names several frames; a rendering is of one")
        number = numbers[0] if numbers else None
        wish = Wish(target_of(uids), ranges, view, number, thumbnail)
        return self.answer(self._opener.scope(site_id), wish)

    def answer(self, scope: Scope, wish: Wish) -> Response:
        """The rendering; 304 where the caller has it already.

        raises  NotAcceptable for what cannot be seen, or not in an accepted form
        """
        form = f"rendered {wish}"
        location = self._opener.locate(scope, wish.target.study)
        unchanged = self._versions.not_modified(location, form)
        if unchanged is not None:
            return unchanged
        if wish.target.instance is None:
            wish = replace(wish, target=self._representative(scope, wish.target))
        try:
            stored = open_instance(self._opener, scope, wish.target)
        except CannotDecode as error:
            raise NotAcceptable("Accept", f"it cannot be rendered: {error}") from error
        tag = self._versions.tag(wish.target.study, stored.opened.site.site_id, form)
        try:
            answer = self._draw(scope, wish, stored, tag)
        finally:
            stored.close()
        answer.headers["Content-Location"] = scope.service_url + wish.target.path + (
            request.path.partition(wish.target.instance or "?")[2] or "/rendered"
        )
        for name in IGNORED:
            if name in request.args:
                note = f"299 {scope.service_url}: The {name} parameter is not supported."
                answer.headers.add("Warning", note)
        return answer

    def _draw(
        self, scope: Scope, wish: Wish, stored: StoredInstance, tag: str | None
    ) -> Response:
        if not stored.frames:
            return self._document(wish, stored, tag)
        kind = choose_rendered(wish.ranges, PICTURES).media_type
        number = wish.frame or _standing_for_all(stored)
        try:
            image = stored.frame(number)
            picture = compute(lambda: render(image, kind, wish.view, number))
        except OutOfPicture:
            raise BadRequest("viewport", "lies outside of the image") from None
        except CannotDecode as error:
            return self._drawn_by_site(scope, wish, stored, kind, str(error))
        return single(iter([picture]), kind, len(picture), stored.opened, tag)

    def _document(self, wish: Wish, stored: StoredInstance, tag: str | None) -> Response:
        if not wish.thumbnail and wish.frame is None:
            pdf = pdf_of(stored.header)
            if pdf is not None:
                choose_rendered(wish.ranges, (PDF,))
                return pdf_answer(pdf, stored.opened, tag)
            document = document_of(stored.header)
            if document is not None:
                choose_rendered(wish.ranges, (HTML,))
                return html_answer(document, tag, stored.opened)
        raise NotAcceptable("Accept", "this instance has no pixels to render")

    def _drawn_by_site(
        self, scope: Scope, wish: Wish, stored: StoredInstance, kind: str, why: str
    ) -> Response:
        """A coding that nobody here can read; its site may."""
        header = stored.header
        stored.close()
        samples = int(header.get("Rows") or 0) * int(header.get("Columns") or 0) * stored.frames
        syntax = str(header.file_meta.get("TransferSyntaxUID", ""))
        small = 0 < samples * int(header.get("SamplesPerPixel") or 1) <= 4 * LARGEST_SAMPLES
        if syntax in DANGEROUS or not small or kind == "image/gif":
            raise NotAcceptable("Accept", f"it cannot be rendered: {why}")
        below = f"/frames/{wish.frame}/rendered" if wish.frame else "/rendered"
        query = format_view(wish.view)

        def open_at(site: Site) -> SiteAnswer:
            path = wish.target.path + below + (f"?{query}" if query else "")
            return self._opener.ask(site, path, kind)

        opened = self._opener.open_at(scope, wish.target, open_at, "rendering", converted=True)
        return passed_on(opened, Choice(kind))

    def _representative(self, scope: Scope, target: Target) -> Target:
        """The middle instance of the series (of the study: of its first series with pictures)."""
        location = self._opener.locate(scope, target.study)
        silent = dict(location.silent)
        for holder in location.holders:
            site = scope.by_id[holder.site_id]
            try:
                found = next(self._middle_ones(site, target), None)
            except SiteError as error:
                silent[site.site_id] = error.code
                continue
            if found is not None:
                return found
        if silent:
            raise NoSiteAnswered(silent)
        raise NotFound("series")

    def _middle_ones(self, site: Site, target: Target) -> Iterator[Target]:
        """The middle instance of each series, those with pictures first."""
        wire = self._opener.gateway.wire
        deadline = Deadline(site.timeouts.search_s)
        series = [target.series]
        if target.series is None:
            query = Query(level=Level.SERIES, study_uid=target.study)
            rows = dicomweb.search(wire, site, query, deadline).rows
            rows = sorted(rows, key=lambda row: text(row, "Modality") in NO_PICTURES)
            series = [text(row, "SeriesInstanceUID") for row in rows]
        for series_uid in series:
            found = dicomweb.list_series_instances(wire, site, target.study, series_uid, deadline)
            if found:
                middle = found[len(found) // 2]
                yield replace(target, series=middle[0], instance=middle[1])


def _standing_for_all(stored: StoredInstance) -> int:
    """RepresentativeFrameNumber, or the middle frame."""
    try:
        said = int(stored.header.get("RepresentativeFrameNumber") or 0)
    except (TypeError, ValueError):
        said = 0
    return said if 1 <= said <= stored.frames else (stored.frames + 1) // 2
