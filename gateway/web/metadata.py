"""Metadata (PS3.18 10.4.1.1.2) as DICOM JSON or native XML, with our own addresses in it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import orjson
from flask import Response, request

from gateway.dicom.attributes import Dataset, Level, integer, rewrite_uris, text
from gateway.dicom.media_types import DICOM_JSON, DICOM_XML, MULTIPART, choose_rows
from gateway.dicom.multipart import closing, new_boundary, part_head
from gateway.dicom.native_model import to_xml
from gateway.dicom.order import sort_key
from gateway.dicom.uids import is_lenient_uid
from gateway.errors import NoSiteAnswered, SiteError, SiteStreamCut, SiteUnreachable
from gateway.federation.retrieve import Opened, checked_blocks
from gateway.federation.shares import Coverage, Share
from gateway.model.answers import Location
from gateway.orthanc import dicomweb
from gateway.web.merged import target_of_share
from gateway.web.opening import Opener, Target, frames_below, target_of
from gateway.web.packed import PackedBodies, packed_answer
from gateway.web.prefetch import Ahead, Prefetcher
from gateway.web.representation import located, located_below
from gateway.web.scope import Scope, accepted
from gateway.web.stored import FRAME_AS_STORED
from gateway.web.streaming import tell_differing, tell_silence, warn_of_silence
from gateway.web.versions import Versions, stamp

FRAMES_AHEAD = 4
PIXELS = frozenset({"7FE00008", "7FE00009", "7FE00010"})


class Metadata:
    """The view; `versions` knows when an answer cannot have changed."""

    def __init__(self, opener: Opener, versions: Versions) -> None:
        self._opener = opener
        self._versions = versions
        self._packed = PackedBodies()
        self._prefetcher = Prefetcher(opener.gateway, self._warm)

    def metadata(self, site_id: str | None = None, **uids: str) -> Response:
        choice = choose_rows(accepted())
        scope = self._opener.scope(site_id)
        target = target_of(uids, "/metadata")
        location = self._opener.locate(scope, target.study)
        while True:  # nothing has been sent yet: where a holder fails the next one may do better
            coverage = self._opener.coverage(scope, location, target)
            location = coverage.applied(location)
            form = f"metadata {choice.media_type}"
            sure = location.only(*coverage.complete) if coverage.complete else location
            sure = sure.alike
            whole = not (coverage.lacking or coverage.shares)
            unchanged = self._versions.not_modified(sure, form, weak=True) if whole else None
            if unchanged is not None:
                if choice.media_type == DICOM_JSON:
                    unchanged.vary.add("Accept-Encoding")
                return located_below(unchanged, scope.service_url)
            if whole and choice.media_type == DICOM_JSON:
                kept = self._kept(scope, sure, form)
                if kept is not None:
                    self._read_ahead(scope, target, sure)
                    return kept
            try:
                opened, tag, datasets = self._read(scope, target, location, coverage, form)
                break
            except SiteError as error:
                location = location.without(error.site_id, error.code)
        answer = as_xml(datasets)
        if choice.media_type == DICOM_JSON:
            answer = self._as_json(datasets, tag)
            if tag is not None:
                self._read_ahead(scope, target, location.only(opened.site.site_id))
        warn_of_silence(answer, opened)
        # Weak, also for JSON: it comes compressed or not.
        return located(stamp(answer, tag, weak=True), opened)

    def datasets(self, scope: Scope, target: Target) -> tuple[Opened, list[Dataset]]:
        """What the view gives, and of whom; raises what that does."""
        location = self._opener.locate(scope, target.study)
        while True:
            coverage = self._opener.coverage(scope, location, target)
            location = coverage.applied(location)
            try:
                opened, _, found = self._read(scope, target, location, coverage, "")
            except SiteError as error:
                location = location.without(error.site_id, error.code)
            else:
                return opened, found

    def _kept(self, scope: Scope, location: Location, form: str) -> Response | None:
        """The answer that one of these holders has given before and would give again."""
        for holder in location.holders:
            tag = self._versions.tag(location.study_uid, holder.site_id, form)
            packed = self._packed.find(tag) if tag is not None else None
            if packed is not None:
                answer = packed_answer(packed, DICOM_JSON)
                tell_silence(answer, location.silent, scope.service_url)
                tell_differing(answer, location.differing, scope.service_url)
                return located_below(stamp(answer, tag, weak=True), scope.service_url)
        return None

    def _read_ahead(self, scope: Scope, target: Target, location: Location) -> None:
        for holder in location.holders[:1]:
            site = scope.by_id[holder.site_id]
            self._prefetcher.opened(scope, target, request.full_path, site)

    def _warm(self, wish: Ahead, may_go_on: Callable[[], bool]) -> None:
        """Let the series' metadata be kept, and its first images where images are."""
        scope, target, form = wish.scope, wish.target, f"metadata {DICOM_JSON}"
        location = self._opener.locate(scope, target.study)
        coverage = self._opener.coverage(scope, location, target)
        if coverage.shares or coverage.lacking:
            return
        location = coverage.applied(location).only(wish.site.site_id)
        tag = self._versions.tag(target.study, wish.site.site_id, form, wish.path)
        if not location.holders or tag is None or self._packed.find(tag) is not None:
            return
        _, tag, datasets = self._read(scope, target, location, coverage, form, wish.path)
        if tag is not None:
            self._packed.keep(tag, orjson.dumps(datasets))
        images = [row for row in datasets if integer(row, "Rows")]
        images.sort(key=lambda row: sort_key(Level.INSTANCE, row))
        for uid in [text(row, "SOPInstanceUID") for row in images[:FRAMES_AHEAD]]:
            if not (may_go_on() and is_lenient_uid(uid)):
                return
            image = replace(target, instance=uid, below=frames_below([1]))
            self._opener.fetch_ahead(wish.site, image.path, FRAME_AS_STORED)

    def _as_json(self, datasets: Sequence[Dataset], tag: str | None) -> Response:
        body = orjson.dumps(datasets)
        packed = self._packed.keep(tag, body) if tag is not None else None
        if packed is not None:
            return packed_answer(packed, DICOM_JSON)
        return Response(body, content_type=DICOM_JSON)

    def _read(
        self,
        scope: Scope,
        target: Target,
        location: Location,
        coverage: Coverage,
        form: str,
        path: str | None = None,
    ) -> tuple[Opened, str | None, list[Dataset]]:
        """The datasets, each instance once, and the tag of them if they are of one site.

        raises  SiteError of the holder that failed; what Opener.open raises
        """
        if not coverage.shares:
            opened = self._opener.open(scope, target, DICOM_JSON, "metadata", location)
            # Read before the bytes: what changes meanwhile must not get the new version's tag.
            tag = self._versions.tag(target.study, opened.site.site_id, form, path)
            datasets = _datasets(opened, target)
            if coverage.is_partial(opened.site.site_id):
                opened, tag = replace(opened, partial=True), None
            return opened, tag, datasets
        found: dict[str, Dataset] = {}
        # Of a series that is split itself all is read: cheaper than one answer for each instance.
        for site_id, series_uid in dict.fromkeys(
            (s.site_id, s.series_uid) for s in coverage.shares
        ):
            part = target_of_share(target, Share(site_id, series_uid))
            try:
                opened = self._opener.open(
                    scope, part, DICOM_JSON, "metadata", location.only(site_id)
                )
            except NoSiteAnswered as error:
                code = error.silent.get(site_id, "failed")
                raise SiteUnreachable(site_id, code) from error
            for dataset in _datasets(opened, target):
                found.setdefault(text(dataset, "SOPInstanceUID"), dataset)
        missing = coverage.instances - found.keys()
        if missing and self._opener.is_missing(scope, location, target, missing):
            raise SiteStreamCut(opened.site.site_id, f"{len(missing)} datasets are missing")
        return replace(opened, partial=coverage.lacking), None, list(found.values())


def _datasets(opened: Opened, target: Target) -> list[Dataset]:
    """What a site says, with our addresses; raises SiteError"""
    blocks = checked_blocks(opened, None)
    said = dicomweb.read_metadata(opened.site, blocks)
    datasets = [row for row in said if _is_of(row, target)]
    if len(datasets) < len(said):
        error = opened.answers_other()
        if not datasets:
            raise error
    if opened.is_short and opened.is_short(len(datasets)):
        raise SiteStreamCut(opened.site.site_id, f"only {len(datasets)} datasets")
    rewrite_uris(datasets, lambda uri: dicomweb.public_uri(opened.site, uri, opened.service_url))
    for dataset in datasets:
        _name_pixels(dataset, opened.service_url)
    return datasets


def _name_pixels(dataset: Dataset, service_url: str) -> None:
    """Say where the pixels of an image are, also where its site says nothing: Orthanc before
    DICOMweb 1.20 leaves out compressed ones, and the later one deflated ones.
    """
    names = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
    uids = [text(dataset, name) for name in names]
    if (
        dataset.keys() & PIXELS
        or not integer(dataset, "Rows")
        or not all(map(is_lenient_uid, uids))
    ):
        return
    uri = f"{service_url}{Target(*uids).path}/bulk/7fe00010"
    dataset["7FE00010"] = {"vr": "OB", "BulkDataURI": uri}


def _is_of(row: Dataset, target: Target) -> bool:
    """Whether it is of what was asked for; what it does not say does not count (trust.md H84)."""
    wanted = {
        "StudyInstanceUID": target.study,
        "SeriesInstanceUID": target.series,
        "SOPInstanceUID": target.instance,
    }
    return all(text(row, name) in ("", uid) for name, uid in wanted.items() if uid is not None)


def as_xml(datasets: Sequence[Dataset]) -> Response:
    """One part for each dataset (PS3.18 8.7.3.2), written while they are sent: other requests of
    this process go on between two of them."""
    boundary = new_boundary()
    head = part_head(boundary, [("Content-Type", DICOM_XML)])

    def parts() -> Iterator[bytes]:
        for dataset in datasets:
            yield head + to_xml(dataset) + b"\r\n"
        yield closing(boundary)

    media_type = f'{MULTIPART}; type="{DICOM_XML}"; boundary="{boundary}"'
    return Response(parts(), content_type=media_type)
