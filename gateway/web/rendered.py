"""Pictures and documents that people see: /rendered and /thumbnail (PS3.18 10.4.1.1.3, .4).

The gateway draws them itself from the stored bytes: sites differ, old ones have no thumbnails, die
of JPEG 2000 or of damaged sizes (trust.md H78). Only for a coding that nobody here can read is the
site asked, after the size was checked.
"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace

from flask import Response, request

from gateway.clock import Deadline
from gateway.dicom.attributes import text
from gateway.dicom.media_types import (
    HTML,
    MULTIPART,
    PDF,
    PICTURES,
    REPORTS,
    Choice,
    MediaRange,
    choose_rendered,
    choose_renderings,
)
from gateway.dicom.transcode import DANGEROUS, LARGEST_PICTURE, CannotDecode
from gateway.dicom.view_query import (
    IGNORED,
    OutOfPicture,
    View,
    Viewport,
    format_view,
    parse_view,
    view_as_dict,
)
from gateway.errors import BadRequest, NoSiteAnswered, NotAcceptable, NotFound, SiteError
from gateway.federation.retrieve import Opened
from gateway.model.answers import Location
from gateway.model.sites import Site
from gateway.orthanc.answer import SiteAnswer
from gateway.web.decoding import Items, answer_of_items
from gateway.web.grants import is_by_grant, mark_of
from gateway.web.opening import WHOLE_AS_STORED, Opener, Target, frame_list, target_of
from gateway.web.reports import IS_PDF, html_answer, pdf_answer, text_answer
from gateway.web.representation import passed_on, single
from gateway.web.scope import Scope, accepted
from gateway.web.stored import StoredInstance, open_instance
from gateway.web.versions import Versions

THUMBNAIL = Viewport(128, 128)
# Series that hold no picture of the patient: another one stands for the study.
_NO_PICTURES = """SR KO PR DOC SEG RTSTRUCT RTPLAN RTDOSE RTRECORD REG FID RWV PLAN ECG HD EPS
    AU M3D SMR TEXTUREMAP"""
NO_PICTURES = frozenset(_NO_PICTURES.split())
DOCUMENTS = frozenset({"SR", "DOC"})


@dataclass(frozen=True)
class Wish:
    """One rendering: of what, how, and which frame (None: the one that stands for all).

    in_parts  what a multipart answer is wanted of, a picture of each of `frames` in its order
    mark      drawn into it, for whom a grant shows the study
    """

    target: Target
    ranges: tuple[MediaRange, ...]
    view: View
    frame: int | None = None
    thumbnail: bool = False
    in_parts: str | None = None
    frames: tuple[int, ...] = ()
    mark: str = ""


class Renderer:
    """The views; they share how an instance is found, read and drawn."""

    def __init__(self, opener: Opener, versions: Versions) -> None:
        self._opener = opener
        self._versions = versions
        self._pixels = opener.gateway.pixels

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
        numbers = [] if frames is None else frame_list(frames)
        in_parts = None
        if thumbnail and len(numbers) > 1:
            raise BadRequest("frames", "names several frames; a thumbnail is of one")
        if thumbnail or "instance" not in uids:
            choose_rendered(ranges, PICTURES if thumbnail else (*PICTURES, *REPORTS, PDF))
        else:
            choice = choose_renderings(ranges, several=len(numbers) > 1)
            in_parts = choice.part_type if choice.media_type == MULTIPART else None
        view = parse_view(request.args)
        if thumbnail and view.viewport is None:
            view = replace(view, viewport=THUMBNAIL)
        number = numbers[0] if len(numbers) == 1 else None
        wish = Wish(target_of(uids), ranges, view, number, thumbnail, in_parts, tuple(numbers))
        return self.answer(self._opener.scope(site_id), wish)

    def answer(self, scope: Scope, wish: Wish) -> Response:
        """The rendering; 304 where the caller has it already.

        raises  NotAcceptable for what cannot be seen, or not in an accepted form
        """
        location = self._opener.locate(scope, wish.target.study)
        if is_by_grant(wish.target.study, location):
            wish = replace(wish, mark=mark_of(self._opener.gateway))
        form = f"rendered {wish}"
        weak = wish.in_parts is not None
        unchanged = self._versions.not_modified(location, form, weak=weak)
        if unchanged is not None:
            if wish.target.instance is not None:
                unchanged.headers["Content-Location"] = scope.service_url + _place(wish)
            return unchanged
        if wish.target.instance is None:
            wish = replace(wish, target=self._representative(scope, wish))
        answer = self._by_some_holder(scope, wish, location, form)
        answer.headers["Content-Location"] = scope.service_url + _place(wish)
        for name in IGNORED:
            if name in request.args:
                note = f"299 {scope.service_url}: The {name} parameter is not supported."
                answer.headers.add("Warning", note)
        return answer

    def _by_some_holder(self, scope: Scope, wish: Wish, location: Location, form: str) -> Response:
        """Nothing is sent before it is drawn, so any failure of a holder is the next one's turn."""
        kept = self._kept(scope, wish, location, form)
        if kept is not None:
            return kept
        while True:
            try:
                if wish.in_parts is not None:
                    return self._in_parts(scope, wish, location, form)
                with self._pixels.holding() as held:
                    stored = open_instance(self._opener, scope, wish.target, held, location)
                    with closing(stored):
                        tag = self._versions.tag(
                            wish.target.study, stored.opened.site.site_id, form
                        )
                        if stored.about.frames:
                            return self._draw(scope, wish, stored, tag)
                        return self._document(scope, wish, stored, tag)
            except SiteError as error:
                location = location.without(error.site_id, error.code)
            except CannotDecode as error:
                raise NotAcceptable("Accept", f"it cannot be rendered: {error}") from error

    def _kept(self, scope: Scope, wish: Wish, location: Location, form: str) -> Response | None:
        """What was drawn before of the best holder's image, if that one's images are kept."""
        for holder in () if wish.mark or wish.in_parts else location.holders[:1]:
            site = scope.by_id[holder.site_id]
            tag = self._versions.tag(wish.target.study, site.site_id, form)
            kept = self._opener.kept.find(site, tag) if tag is not None else None
            if kept is not None:
                opened = Opened(site, kept, b"", location.silent, scope.service_url)
                return single(iter(kept.read, b""), kept.content_type, kept.length, opened, tag)
        return None

    def _in_parts(self, scope: Scope, wish: Wish, location: Location, form: str) -> Response:
        whole = replace(wish.target, below="")
        opened = self._opener.open(scope, whole, WHOLE_AS_STORED, "instance", location)
        tag = self._versions.tag(wish.target.study, opened.site.site_id, form)
        kind = wish.in_parts or ""
        pictures = self._pictures(wish, opened, kind)
        return answer_of_items(pictures, opened, Choice(MULTIPART, kind), tag, kind)

    def _pictures(self, wish: Wish, opened: Opened, kind: str) -> Items:
        """Of each frame, one at a time; the first answers for all that can be known before."""
        with (
            self._pixels.holding() as held,
            closing(StoredInstance(self._opener, wish.target, opened, held)) as stored,
        ):
            if max(wish.frames, default=0) > stored.about.frames:
                raise NotFound("frame")
            if not stored.about.frames:
                raise CannotDecode("this instance has no pixels")
            for number in wish.frames or (_frame_for_all(stored),):
                before = held.size
                try:
                    yield [self._picture(wish, stored, number, kind)]
                except CannotDecode as error:
                    raise NotAcceptable("Accept", f"frame {number} cannot be drawn") from error
                held.keep_only(before)

    def _draw(self, scope: Scope, wish: Wish, stored: StoredInstance, tag: str | None) -> Response:
        kind = choose_rendered(wish.ranges, PICTURES).media_type
        try:
            number = wish.frame or _frame_for_all(stored)
            picture = self._picture(wish, stored, number, kind)
        except CannotDecode:
            about = stored.about
            in_shares = wish.view.viewport is not None and wish.view.viewport.relative
            unsafe = about.transfer_syntax in DANGEROUS or about.samples > LARGEST_PICTURE
            if unsafe or kind == "image/gif" or in_shares or wish.mark:
                raise
            return self._drawn_by_site(scope, wish, kind)
        if tag is not None and not wish.mark:
            self._opener.kept.keep_body(stored.opened.site, tag, kind, picture)
        return single(iter([picture]), kind, len(picture), stored.opened, tag)

    def _picture(self, wish: Wish, stored: StoredInstance, number: int, kind: str) -> bytes:
        """raises CannotDecode; NotFound beyond the last frame; BadRequest"""
        if stored.about.samples > LARGEST_PICTURE:
            raise CannotDecode("the image is too large")
        options = {"number": number, "media_type": kind, "view": view_as_dict(wish.view)}
        options["mark"] = wish.mark
        try:
            return self._pixels.run("picture", options, *stored.frame(number))
        except OutOfPicture:
            raise BadRequest("viewport", "lies outside of the image") from None
        except LookupError:
            raise NotFound("frame") from None

    def _document(
        self, scope: Scope, wish: Wish, stored: StoredInstance, tag: str | None
    ) -> Response:
        if wish.frame is not None:
            raise NotFound("frame")
        if wish.thumbnail:
            raise NotAcceptable("Accept", "this instance has no pixels")
        found = self._pixels.run("document", {}, stored.document())
        if found.startswith(IS_PDF):
            choose_rendered(wish.ranges, (PDF,))
            return pdf_answer(found, stored.opened, tag)
        kind = choose_rendered(wish.ranges, REPORTS).media_type
        if kind != HTML:
            return text_answer(found, kind, stored.opened, tag)
        return html_answer(found, scope.service_url, stored.opened, tag)

    def _drawn_by_site(self, scope: Scope, wish: Wish, kind: str) -> Response:
        """A coding that nobody here can read; its site may."""
        below = f"/frames/{wish.frame}/rendered" if wish.frame else "/rendered"
        query = format_view(wish.view)

        def open_at(site: Site) -> SiteAnswer:
            path = wish.target.path + below + (f"?{query}" if query else "")
            return self._opener.ask(site, path, kind)

        opened = self._opener.open_at(scope, wish.target, open_at, "rendering", converted=True)
        return passed_on(opened, Choice(kind, single_part=True))

    def _representative(self, scope: Scope, wish: Wish) -> Target:
        """The middle instance of the series (of the study: of its first series of that kind)."""
        location = self._opener.locate(scope, wish.target.study)
        silent = dict(location.silent)
        for holder in location.holders:
            site = scope.by_id[holder.site_id]
            try:
                found = next(self._middle_ones(site, wish), None)
            except SiteError as error:
                silent[site.site_id] = error.code
                continue
            if found is not None:
                return found
        if silent:
            raise NoSiteAnswered(silent)
        raise NotFound("series")

    def _middle_ones(self, site: Site, wish: Wish) -> Iterator[Target]:
        """The middle instance of each series; first those that suit what is accepted."""
        deadline = Deadline(site.timeouts.search_s)
        best = choose_rendered(wish.ranges).media_type
        rows = self._opener.series_of(site, wish.target, deadline)
        for row in sorted(rows, key=lambda row: _unsuited(text(row, "Modality"), best)):
            series = replace(wish.target, series=text(row, "SeriesInstanceUID"))
            found = self._opener.instances_of(site, series, deadline)
            if found:
                yield replace(series, instance=text(found[len(found) // 2], "SOPInstanceUID"))


def _frame_for_all(stored: StoredInstance) -> int:
    """The frame that stands for its instance: as that says, else the middle one."""
    about = stored.about
    return (
        about.representative
        if 1 <= about.representative <= about.frames
        else (about.frames + 1) // 2
    )


def _place(wish: Wish) -> str:
    """Where the rendering of an instance lies, however it was asked for."""
    below = request.path.partition(f"/instances/{wish.target.instance}")[2]
    return wish.target.path + (below or ("/thumbnail" if wish.thumbnail else "/rendered"))


def _unsuited(modality: str, media_type: str) -> bool:
    if media_type in PICTURES:
        return modality in NO_PICTURES
    return modality not in DOCUMENTS
