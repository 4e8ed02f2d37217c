"""Studies, series, instances, frames and bulk data (PS3.18 10.4), in the form that is wanted.

What is acceptable is tried in the caller's order: as stored where that is what is wanted, made by
the site, or decoded here where a site must not be asked or has refused.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial

from flask import Response, request

from gateway.clock import Deadline
from gateway.dicom.asked import coding_of
from gateway.dicom.media_types import (
    DICOM,
    EXPLICIT_LE,
    OCTETS,
    Choice,
    MediaRange,
    choose_bulkdata,
    dicom_offers,
    frame_offers,
    is_syntax_of,
    parse_accept,
    parse_content_type,
    rank,
    upstream_accept,
    wanted_syntax,
)
from gateway.dicom.transcode import CannotDecode, Plan, plan_transcoding
from gateway.errors import BadRequest, NotAcceptable, NotFound, SiteError
from gateway.federation.retrieve import Opened
from gateway.federation.shares import UNKNOWN, Coverage
from gateway.model.answers import Location
from gateway.model.sites import Site
from gateway.orthanc.answer import SiteAnswer
from gateway.web.bulk import BulkData
from gateway.web.decoding import answer_of_items, decoded_frames, decoded_instances, pixel_data
from gateway.web.grants import check_files, may_be_by_grant
from gateway.web.merged import Merger
from gateway.web.opening import (
    WHOLE_AS_STORED,
    Opener,
    Target,
    frame_list,
    frames_below,
    target_of,
)
from gateway.web.representation import located_below, passed_on
from gateway.web.scope import Scope, accept_values, accepted
from gateway.web.stored import FRAME_AS_STORED, open_instance
from gateway.web.versions import Versions
from gateway.web.zipped import zipped

BULK_PATH = re.compile(r"[0-9A-Za-z._~-]+(?:/[0-9A-Za-z._~-]+){0,40}", re.ASCII)
PART_TYPE = re.compile(rb"\r\ncontent-type:[ \t]*([^\r\n]+)", re.IGNORECASE)
MOST_TRIES = 4
CHEAP = frozenset({Plan.AS_STORED})
Asked = tuple[tuple[str, ...], tuple[str, ...]]
"""scope.accept_values"""


@dataclass(frozen=True)
class Wish:
    """Images that are wanted in one form.

    numbers  frames; none: whole instances
    only_if  which plans are worth it: for "anything" a site is not asked for every coding
    """

    target: Target
    choice: Choice
    numbers: tuple[int, ...] = ()
    only_if: frozenset[Plan] = frozenset(Plan)

    @property
    def what(self) -> str:
        return "frame" if self.numbers else "study, series or instance"


@dataclass(frozen=True)
class Choices:
    """What to try, in the caller's order.

    open_ended  he takes whatever there is: of more than one form only the cheap ones are tried
    """

    ranked: Sequence[Choice]
    open_ended: bool


def _choices(ranges: Sequence[MediaRange], ranked: Sequence[Choice]) -> Choices:
    first = [r for r in ranges if not r.instead]
    open_ended = not first or any("*" in f"{r.media_type}{r.part_type}" for r in first)
    return Choices(ranked if open_ended else ranked[:MOST_TRIES], open_ended)


# A viewer sends the same Accept with each of a thousand frames.
@lru_cache(maxsize=256)
def _instance_choices(asked: Asked, one_instance: bool) -> Choices | Choice:
    """The one choice if a ZIP file or bulk data are wanted most."""
    ranges = parse_accept(*asked)
    ranked = rank(ranges, dicom_offers(one_instance=one_instance))
    if ranked[0].part_type != DICOM:
        return ranked[0]
    return _choices(ranges, [choice for choice in ranked if choice.part_type == DICOM])


@lru_cache(maxsize=256)
def _frame_choices(asked: Asked, one_frame: bool) -> Choices:
    ranges = parse_accept(*asked)
    return _choices(ranges, rank(ranges, frame_offers(one_frame=one_frame)))


@lru_cache(maxsize=256)
def _form(choice: Choice) -> str:
    """The same for the same bytes of an object."""
    return f"images {choice}"


def _plan_of(wish: Wish, stored: frozenset[str]) -> Plan:
    part_type = wish.choice.part_type
    plan = plan_transcoding(wanted_syntax(wish.choice), stored)
    if plan is Plan.AS_STORED and not all(is_syntax_of(part_type, one) for one in stored):
        return Plan.REFUSE
    return plan


def _frame_coding(begun: bytes) -> str | None:
    """The transfer syntax of a multipart answer's first part, as its head says."""
    said = PART_TYPE.search(begun.partition(b"\r\n\r\n")[0])
    if said is None:
        return None
    try:
        return parse_content_type(said[1].decode("latin-1"))[1].get("transfer-syntax")
    except BadRequest:
        return None


class Images:
    """The views; they share how the form is chosen."""

    def __init__(self, opener: Opener, versions: Versions, bulk_data: BulkData) -> None:
        self._opener = opener
        self._bulk_data = bulk_data
        self._versions = versions
        self._pixels = opener.gateway.pixels

    def dicom(self, site_id: str | None = None, **uids: str) -> Response:
        choices = _instance_choices(accept_values(), "instance" in uids)
        target = target_of(uids)
        if not isinstance(choices, Choices):
            if choices.part_type == OCTETS:
                return self._bulk_data.all(site_id, **uids)
            scope = self._opener.scope(site_id)
            if may_be_by_grant():
                check_files(target.study, self._opener.locate(scope, target.study))
            return zipped(self._opener, scope, target)
        return self._first_that_works(site_id, choices, target)

    def one_alone(self, site_id: str | None, target: Target, wanted: MediaRange) -> Response:
        """One instance as a single part (WADO-URI)."""
        choices = _choices([wanted], rank([wanted], dicom_offers(one_instance=True)))
        return self._first_that_works(site_id, choices, target)

    def frames(self, frames: str, site_id: str | None = None, **uids: str) -> Response:
        numbers = frame_list(frames)
        choices = _frame_choices(accept_values(), len(numbers) == 1)
        target = target_of(uids, frames_below(numbers))
        try:
            return self._first_that_works(site_id, choices, target, numbers)
        except NotAcceptable:
            # Orthanc says 400 both to a frame that does not exist and to one that it cannot give.
            self._check_frames(site_id, target, max(numbers))
            raise

    def bulkdata(self, bulk: str, site_id: str | None = None, **uids: str) -> Response:
        if not BULK_PATH.fullmatch(bulk) or ".." in bulk:
            raise BadRequest("bulkdata", "is no path of a bulk data resource")
        word = request.path.split("/instances/", 1)[1].split("/")[1]
        choice = choose_bulkdata(accepted())
        scope = self._opener.scope(site_id)
        target = target_of(uids, f"/{word}/{bulk}")
        location = self._opener.locate(scope, target.study)
        form = f"bulk {choice}"
        unchanged = self._versions.not_modified(location, form, weak=not choice.single_part)
        if unchanged is not None:
            return located_below(unchanged, scope.service_url)
        accept = upstream_accept(replace(choice, transfer_syntax=None))

        whole = replace(target, below="")
        compressed: set[str] = set()

        def open_at(site: Site) -> SiteAnswer:
            if self._bulk_data.is_compressed(site, whole, bulk):
                compressed.add(site.site_id)
                return self._opener.ask(site, whole.path, WHOLE_AS_STORED)
            return self._opener.ask(site, target.path, accept)

        try:
            opened = self._opener.open_at(
                scope, target, open_at, "bulk data", location, converted=True
            )
        except NotAcceptable:  # the form was the stored one: the site has no such element
            raise NotFound("bulk data") from None
        tag = self._versions.tag(target.study, opened.site.site_id, form)
        if opened.site.site_id not in compressed:
            return passed_on(opened, choice, tag)
        pixels = pixel_data(self._opener, whole, replace(opened, asked=whole.asked))
        return answer_of_items(pixels, opened, choice, tag, OCTETS)

    def _first_that_works(
        self,
        site_id: str | None,
        choices: Choices,
        target: Target,
        numbers: Sequence[int] = (),
    ) -> Response:
        scope = self._opener.scope(site_id)
        location = self._opener.locate(scope, target.study)
        if not numbers:
            check_files(target.study, location)
        refusal: NotAcceptable | None = None
        for choice in choices.ranked:
            wish = Wish(target, choice, tuple(numbers))
            if refusal is not None and choices.open_ended:
                wish = replace(wish, only_if=CHEAP)
            try:
                return self._by_some_holder(scope, location, wish)
            except NotAcceptable as error:
                refusal = refusal or error
        raise refusal or NotAcceptable("Accept", "names nothing that can be given here")

    def _by_some_holder(self, scope: Scope, location: Location, wish: Wish) -> Response:
        """Also a holder that fails while the first item is decoded is the next one's turn."""
        while True:
            try:
                return self._give(scope, location, wish)
            except SiteError as error:
                location = location.without(error.site_id, error.code)

    def _give(self, scope: Scope, location: Location, wish: Wish) -> Response:
        coverage = self._opener.coverage(scope, location, wish.target)
        if coverage is not UNKNOWN:
            location = coverage.applied(location)
        if coverage.shares:
            return self._merged(scope, location, wish, coverage)
        form = _form(wish.choice)
        sure = location.only(*coverage.complete) if coverage.complete else location
        weak = not wish.choice.single_part
        unchanged = self._versions.not_modified(sure.alike, form, weak=weak)
        if unchanged is not None and not coverage.lacking:
            return located_below(unchanged, scope.service_url)
        opened, plan = self._open_or_decode(scope, location, wish)
        tag = self._versions.tag(wish.target.study, opened.site.site_id, form)
        if coverage.is_partial(opened.site.site_id):
            opened, tag = replace(opened, partial=True), None
        if plan is not Plan.DECODE:
            return passed_on(opened, wish.choice, tag)
        if not wish.numbers:
            return decoded_instances(opened, wish.choice, self._pixels, tag)
        whole = replace(wish.target, below="")
        return decoded_frames(self._opener, whole, opened, wish.numbers, wish.choice, tag)

    def _merged(self, scope: Scope, location: Location, wish: Wish, coverage: Coverage) -> Response:
        """A study or series of several sites; it has no tag, for no site has its version."""

        # Asked before the first byte: later a refusal could only cut the answer off.
        sites = {share.site_id: scope.by_id[share.site_id] for share in coverage.shares}
        if Plan.REFUSE in [self._plan(site, wish) for site in sites.values()]:
            if wanted_syntax(wish.choice) != EXPLICIT_LE or Plan.DECODE not in wish.only_if:
                raise NotAcceptable("Accept", "a site cannot give its part in this form")
            wish = replace(wish, only_if=frozenset({Plan.DECODE}))

        def open_share(target: Target, at: Location) -> tuple[Opened, Plan]:
            return self._open_or_decode(scope, at, replace(wish, target=target))

        def is_missing(uids: frozenset[str]) -> bool:
            return self._opener.is_missing(scope, location, wish.target, uids)

        merger = Merger(wish.target, location, coverage, open_share, self._pixels, is_missing)
        return merger.answer()

    def _open_or_decode(self, scope: Scope, location: Location, wish: Wish) -> tuple[Opened, Plan]:
        try:
            return self._open(scope, location, wish)
        except NotAcceptable:
            if (
                wish.numbers
                and wish.choice.transfer_syntax == "*"
                and wish.choice.part_type == OCTETS
            ):
                # Orthanc has no stored frames of some codings; "*" takes any, so also this one.
                choice = replace(wish.choice, transfer_syntax=None)
                return self._open_or_decode(scope, location, replace(wish, choice=choice))
            decodable = wanted_syntax(wish.choice) == EXPLICIT_LE
            if not decodable or Plan.DECODE not in wish.only_if:
                raise
            return self._open(scope, location, replace(wish, only_if=frozenset({Plan.DECODE})))

    def _open(self, scope: Scope, location: Location, wish: Wish) -> tuple[Opened, Plan]:
        plans: dict[str, Plan] = {}
        as_stored = FRAME_AS_STORED if wish.numbers else WHOLE_AS_STORED

        def open_at(site: Site) -> SiteAnswer:
            plan = plans[site.site_id] = self._plan(site, wish)
            if plan is Plan.REFUSE:
                raise NotAcceptable("Accept", "the images cannot be had in this form")
            if plan is Plan.DECODE:
                whole = replace(wish.target, below="")
                return self._opener.ask(site, whole.path, WHOLE_AS_STORED)
            accept = as_stored if plan is Plan.AS_STORED else upstream_accept(wish.choice)
            return self._opener.ask(site, wish.target.path, accept)

        opened = self._opener.open_at(
            scope, wish.target, open_at, wish.what, location, converted=True
        )
        plan = plans[opened.site.site_id]
        if plan is not Plan.ASK and not wish.numbers:  # a lossy image has another instance UID
            opened = replace(opened, asked=wish.target.asked)
        wanted = wanted_syntax(wish.choice)
        if plan is not Plan.AS_STORED or wanted == "*":
            return opened, plan
        # A series is judged by one of its instances: these may be stored otherwise.
        learn = partial(
            self._opener.gateway.stored.learn, opened.site, wish.target.study, wish.target.series
        )
        found = _frame_coding(opened.first) if wish.numbers else coding_of(opened.first)
        if found not in (None, wanted):
            opened.answer.close()
            learn(found)
            return self._open(scope, location, wish)
        if opened.asked is not None:
            asked = replace(opened.asked, transfer_syntax=wanted)
            opened = replace(opened, asked=asked, learn=learn)
        return opened, plan

    def _plan(self, site: Site, wish: Wish) -> Plan:
        """How this site's images can be given; REFUSE also where it is not worth trying."""
        if wish.only_if == {Plan.DECODE}:
            return Plan.DECODE
        wanted, part_type = wanted_syntax(wish.choice), wish.choice.part_type
        if wanted == "*" and part_type in (DICOM, OCTETS):
            return Plan.AS_STORED
        deadline = Deadline(site.timeouts.search_s)
        target = wish.target
        stored = self._opener.gateway.stored.find(site, target.study, target.series, deadline)
        plan = _plan_of(wish, stored)
        if target.instance is not None and (plan is Plan.REFUSE or len(stored) > 1):
            plan = _plan_of(wish, self._own_syntax(site, target) or stored)
        return plan if plan in wish.only_if else Plan.REFUSE

    def _own_syntax(self, site: Site, target: Target) -> frozenset[str]:
        """That of one instance, which its series need not share; empty if the site does not say."""
        shelf, name = self._opener.gateway.stored, f"{target.series}/{target.instance}"
        found = shelf.known(site, target.study, name)
        if not found:
            whole = replace(target, below="")
            with self._opener.ask(site, whole.path, WHOLE_AS_STORED) as answer:
                syntax = coding_of(answer.read()) if answer.status == 200 else None
            if syntax is not None:
                found = shelf.learn(site, target.study, name, syntax)
        return found

    def _check_frames(self, site_id: str | None, target: Target, last: int) -> None:
        """raises NotFound if the instance has fewer frames, or none at all"""
        with self._pixels.holding() as held:
            try:
                stored = open_instance(self._opener, self._opener.scope(site_id), target, held)
            except CannotDecode:
                return
            stored.close()
            if stored.about.frames < last:
                raise NotFound("frame")
