"""What every retrieve resource does first: read the request, find the holders, open the object.

The families of resources lie in images.py, metadata.py, rendered.py and zipped.py.
"""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from flask import g, has_request_context

from gateway.bootstrap import Gateway
from gateway.clock import Deadline, utc_now
from gateway.dicom.asked import Asked
from gateway.dicom.attributes import Dataset, Level, text
from gateway.dicom.media_types import (
    DICOM,
    MULTIPART,
    parse_content_type,
)
from gateway.dicom.multipart import check_boundary
from gateway.dicom.query import Query
from gateway.dicom.uids import check_uid
from gateway.errors import (
    BadRequest,
    Gone,
    NoSiteAnswered,
    NotAcceptable,
    NotFound,
    RecordsRefused,
    RecordsUnavailable,
    SiteAnswersOther,
    SiteError,
    SiteRefused,
    SiteSpeaksGarbage,
)
from gateway.federation.contents import MOST_INSTANCES
from gateway.federation.locate import in_fixed_order
from gateway.federation.retrieve import IsShort, Opened, open_best
from gateway.federation.shares import (
    UNKNOWN,
    Coverage,
    Known,
    Listing,
    complete_sites,
    is_lacking,
    names_of,
    of_series,
    place_of,
    plan_shares,
)
from gateway.index.holders import load_count, load_series
from gateway.log import log
from gateway.model.alarms import ANSWERS_OTHER
from gateway.model.answers import Location
from gateway.model.sites import Site
from gateway.orthanc import dicomweb, holdings
from gateway.orthanc.answer import SiteAnswer
from gateway.records.alarms import write_alarm
from gateway.records.versions import load_marks
from gateway.web.kept import KeptAnswer, KeptImages
from gateway.web.scope import Scope, scope_of
from gateway.web.versions import Versions

FRAMES_LIMIT = 1000
MOST_ROWS = 200_000
FRAME_LIST = re.compile(r"[1-9]\d{0,8}(?:,[1-9]\d{0,8})*", re.ASCII)
WHOLE_AS_STORED = f'{MULTIPART}; type="{DICOM}"; transfer-syntax=*'
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

    @property
    def asked(self) -> Asked:
        """What files of it are of."""
        return Asked(self.study, self.series, self.instance)

    @property
    def is_of_instances(self) -> bool:
        """Whether its answer has an item for each instance of a study or series."""
        return self.instance is None and self.below in ("", "/metadata")


class Opener:
    """Finds and opens objects for the doors; one for each blueprint."""

    def __init__(self, gateway: Gateway, versions: Versions) -> None:
        self.gateway = gateway
        self.kept = KeptImages(gateway, versions)
        self._versions = versions

    def scope(self, site_id: str | None) -> Scope:
        return scope_of(self.gateway, site_id)

    def locate(self, scope: Scope, study_uid: str) -> Location:
        """Who holds the study; raises NotFound, Gone if the index knows it, NoSiteAnswered."""
        deadline_s = self.gateway.settings.search_deadline_s
        try:
            found = self.gateway.locator.locate(study_uid, scope.sites, deadline_s)
        except NotFound as error:
            if self._was_there(scope, study_uid):
                raise Gone("study") from error
            raise
        if has_request_context():  # what the right to it is judged by while it is sent
            g.holders = frozenset(holder.site_id for holder in found.holders)
        return found

    def _was_there(self, scope: Scope, study_uid: str) -> bool:
        try:
            marks = load_marks(self.gateway.records, study_uid)
        except RecordsUnavailable:
            return False
        return any(site.site_id in marks for site in scope.sites)

    def open(
        self,
        scope: Scope,
        target: Target,
        accept: str,
        what: str,
        location: Location | None = None,
    ) -> Opened:
        """The object at its best holder, in the one form that `accept` names."""

        def open_at(site: Site) -> SiteAnswer:
            return self.ask(site, target.path, accept)

        opened = self.open_at(scope, target, open_at, what, location)
        return replace(opened, asked=target.asked) if accept == WHOLE_AS_STORED else opened

    def open_at(
        self,
        scope: Scope,
        target: Target,
        open_at: Callable[[Site], SiteAnswer],
        what: str,
        location: Location | None = None,
        *,
        converted: bool = False,
    ) -> Opened:
        """The object as `open_at` asks for it.

        converted  the site is asked for another form than the stored one: when it refuses, it is
                   asked whether it has the object at all
        """
        location = location or self.locate(scope, target.study)
        counts: dict[str, int] = {}

        def counted(site: Site) -> SiteAnswer:
            counts[site.site_id] = self._count(site, target, location)
            return open_at(site)

        has = (lambda site: self._has(site, target)) if converted else None
        try:
            opened = open_best(location, scope.by_id, counted, what, has)
            is_short = self._is_short(opened.site, target, counts[opened.site.site_id])
            return replace(
                opened,
                service_url=scope.service_url,
                is_short=is_short,
                asked=None if target.below else replace(target.asked, instance_uid=None),
                tell=self._tell_alarm(target.study),
                differing=location.differing,
                blank=scope.for_patient and not target.below,
            )
        except NoSiteAnswered:
            self.gateway.locator.forget(target.study)
            raise
        except NotFound:
            self.gateway.locator.forget(target.study)
            again = self.locate(scope, target.study)
            asked = {holder.site_id for holder in location.holders}
            if asked.issuperset(holder.site_id for holder in again.holders):
                if again.silent:  # it may be there by now
                    raise NoSiteAnswered(again.silent) from None
                raise
        # It has come to a site that did not hold of the study when the holders were asked.
        return self.open_at(scope, target, open_at, what, again, converted=converted)

    def _tell_alarm(self, study_uid: str) -> Callable[[SiteAnswersOther], None]:
        """An alarm of a site that gives what was not asked for (trust.md H84)."""

        def tell(error: SiteAnswersOther) -> None:
            log.error("a site gives what was not asked for", site=error.site_id, study=study_uid)
            facts = {"asked": study_uid}
            try:
                with self.gateway.records.write() as connection:
                    write_alarm(connection, ANSWERS_OTHER, error.site_id, facts, utc_now())
            except (RecordsUnavailable, RecordsRefused) as failure:
                log.error("its alarm is not kept", why=str(failure))

        return tell

    def coverage(self, scope: Scope, location: Location, target: Target) -> Coverage:
        """How a study or series lies at its holders; nothing is asked where there is only one, and
        nobody silent who is known to hold of it.
        """
        if not target.is_of_instances:
            return UNKNOWN
        known = self._known_of(target) if location.silent else {}
        sites = [scope.by_id[h.site_id] for h in location.holders if h.site_id in scope.by_id]
        if len(sites) < 2 and not location.silent.keys() & known.keys():
            return UNKNOWN
        deadline_s = self.gateway.settings.search_deadline_s
        listings, silent = self.gateway.locator.listings(target.study, sites, deadline_s)
        if silent:
            self.gateway.locator.forget(target.study)
            known = self._known_of(target)
        complete = complete_sites(listings, target.series)
        differing = self._differing(scope, location, listings, whole=bool(complete))
        listings = dict(sorted(listings.items(), key=lambda one: place_of(one[0], differing)))
        split = () if complete else plan_shares(listings, target.series)
        held = [names_of(of_series(found, target.series)) for found in listings.values()]
        return Coverage(
            complete=complete,
            shares=split,
            instances=frozenset().union(*held) if split else frozenset(),
            silent=silent,
            differing=differing,
            lacking=is_lacking(
                listings,
                target.series,
                [known[site_id] for site_id in {**location.silent, **silent} if site_id in known],
                [known[site_id] for site_id in listings if site_id in known],
                was_split=self.gateway.locator.was_split(target.study),
            ),
        )

    def _differing(
        self, scope: Scope, location: Location, listings: Mapping[str, Listing], *, whole: bool
    ) -> tuple[str, ...]:
        """Sites whose copies of the study are known to differ, the one that is to give it first.

        whole  one site gives the whole answer: it does not wait until copies have been compared
        """
        sites = [scope.by_id[site_id] for site_id in sorted(listings)]
        most = max((len(names_of(found)) for found in listings.values()), default=0)
        if len(sites) < 2 or most > MOST_INSTANCES:
            return ()
        study_uid = location.study_uid
        version = tuple(self._versions.mark(study_uid, site.site_id) for site in sites)
        wait_s = 0.0 if whole else self.gateway.settings.search_deadline_s
        found = self.gateway.contents.differing(study_uid, sites, version, wait_s)
        fixed = in_fixed_order(location.holders, scope.by_id)
        return tuple(holder.site_id for holder in fixed if holder.site_id in found.sites)

    def _known_of(self, target: Target) -> Mapping[str, Known]:
        """What the index knows of the study, by site id."""
        try:
            return load_series(self.gateway.records, target.study)
        except RecordsUnavailable:
            return {}

    def is_missing(
        self, scope: Scope, location: Location, target: Target, uids: frozenset[str]
    ) -> bool:
        """Whether a holder still has one of the instances that did not come."""
        self.gateway.locator.forget(target.study)
        now = self.coverage(scope, location, target)
        return bool(now.complete or now.silent or uids & now.instances)

    def judge_of_length(self, site: Site, target: Target, location: Location) -> IsShort | None:
        """To be asked for before the site is: whether so many instances are fewer than it holds."""
        return self._is_short(site, target, self._count(site, target, location))

    def _count(self, site: Site, target: Target, location: Location) -> int:
        """Instances of a study or series that the site holds before it is asked for them: as it
        has said, as the index knows; 0 if nobody knows.
        """
        if not target.is_of_instances:
            return 0
        known = [h.instances for h in location.holders if h.site_id == site.site_id]
        if target.series is not None:
            known = []
        with suppress(RecordsUnavailable):
            records = self.gateway.records
            known.append(load_count(records, site.site_id, target.study, target.series))
        return max(known, default=0) or self._count_now(site, target) or 0

    def _count_now(self, site: Site, target: Target) -> int | None:
        """The same, asked of the site now; None if it does not say."""
        deadline = Deadline(site.timeouts.search_s)
        try:
            return holdings.count_instances(
                self.gateway.wire, site, target.study, target.series, deadline
            )
        except SiteError:
            return None

    def _is_short(self, site: Site, target: Target, known: int) -> IsShort | None:
        """Fewer than were known beforehand, and no fewer than these are there still: instances may
        have come and gone meanwhile.
        """
        if not known:
            return None

        def is_short(parts: int) -> bool:
            if parts >= known:
                return False
            now = self._count_now(site, target)
            return now is None or parts < now

        return is_short

    def series_of(self, site: Site, target: Target, deadline: Deadline) -> list[Dataset]:
        """Rows of a study's series at a site, or of the one series, in order; raises SiteError."""
        query = Query(level=Level.SERIES, study_uid=target.study, limit=MOST_ROWS)
        wire = self.gateway.wire
        page = dicomweb.search(wire, site, query, deadline)
        rows = page.rows
        if page.light:
            uids = [text(row, "SeriesInstanceUID") for row in rows]
            rows = dicomweb.describe(wire, site, query, uids, deadline)
        return [row for row in rows if target.series in (None, text(row, "SeriesInstanceUID"))]

    def instances_of(self, site: Site, target: Target, deadline: Deadline) -> list[Dataset]:
        """Rows of a series' instances, or of the one instance, in order: UID and number at least.

        raises  SiteError; NotAcceptable if there are more than can be listed
        """
        query = Query(
            level=Level.INSTANCE,
            study_uid=target.study,
            series_uid=target.series,
            limit=MOST_ROWS,
        )
        page = dicomweb.search(self.gateway.wire, site, query, deadline)
        if page.truncated:
            raise NotAcceptable("Accept", "the series is too large for this form")
        rows = page.rows
        return [row for row in rows if target.instance in (None, text(row, "SOPInstanceUID"))]

    def ask(self, site: Site, path: str, accept: str) -> SiteAnswer:
        """Ask one holder; what it says must at least be of a kind that could be an answer.

        An image of a site that is marked `cache` may come from the disk.
        """
        key = self.kept.key(site, path, accept)
        kept = self.kept.find(site, key) if key is not None else None
        if kept is not None:
            return kept
        deadline = Deadline(site.timeouts.first_byte_s)
        base_url = self.gateway.settings.base_url
        answer = dicomweb.open_object(self.gateway.wire, site, path, accept, deadline, base_url)
        if answer.status == 200 and kind_of(answer) not in POSSIBLE_KINDS:
            raise answer.refuse(SiteSpeaksGarbage(site.site_id, "an unexpected media type"))
        if key is not None:
            self.kept.keep(key, answer)
        return answer

    def fetch_ahead(self, site: Site, path: str, accept: str) -> None:
        """Bring an image into the disk cache, if it is not there; nothing if none is kept.

        raises  SiteError
        """
        if self.kept.key(site, path, accept) is None:
            return
        with self.ask(site, path, accept) as answer:
            if answer.status != 200:
                raise SiteRefused(site.site_id, answer.status, "an image")
            while not isinstance(answer, KeptAnswer) and answer.read():
                pass

    def _has(self, site: Site, target: Target) -> bool:
        """Whether the site gives the instances behind a refused resource as they are stored."""
        with self.ask(site, replace(target, below="").path, WHOLE_AS_STORED) as answer:
            if answer.status == 404:
                raise NotFound("instance")
            return answer.status == 200 and bool(answer.read())


def target_of(uids: dict[str, str], below: str = "") -> Target:
    """The resource of a path; raises BadRequest that names the level of a wrong UID."""
    for field, value in uids.items():
        check_uid(value, field)
    return Target(**uids, below=below)


def frame_list(frames: str) -> list[int]:
    """Frame numbers of a path, each once; at most FRAMES_LIMIT (trust.md H4)."""
    if len(frames) > 10 * FRAMES_LIMIT or not FRAME_LIST.fullmatch(frames):
        raise BadRequest("frames", "is no list of frame numbers from 1, separated by commas")
    numbers = list(dict.fromkeys(map(int, frames.split(","))))
    if len(numbers) > FRAMES_LIMIT:
        raise BadRequest("frames", f"names more than {FRAMES_LIMIT} frames")
    return numbers


def frames_below(numbers: list[int]) -> str:
    return "/frames/" + ",".join(map(str, numbers))


def upstream_type(opened: Opened) -> tuple[str, dict[str, str]]:
    """Media type of an opened answer; raises SiteSpeaksGarbage if it has none."""
    try:
        return parse_content_type(opened.answer.content_type)
    except BadRequest as error:
        opened.answer.close()
        raise SiteSpeaksGarbage(opened.site.site_id, "no media type") from error


def boundary_of(opened: Opened) -> bytes:
    """Boundary of an opened answer of several parts; raises SiteSpeaksGarbage if it has none."""
    _, parameters = upstream_type(opened)
    try:
        return check_boundary(parameters.get("boundary"))
    except BadRequest as error:  # the site's mistake, not the caller's
        opened.answer.close()
        raise SiteSpeaksGarbage(opened.site.site_id, "parts without a boundary") from error


def kind_of(answer: SiteAnswer) -> str:
    try:
        return parse_content_type(answer.content_type)[0]
    except BadRequest:
        return ""
