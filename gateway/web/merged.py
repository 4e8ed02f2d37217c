"""A study or series that no site holds whole: one multipart answer, each instance once.

The parts are read here, because only their UIDs tell a copy from an image that is still missing.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from flask import Response

from gateway.dicom.media_types import DICOM, EXPLICIT_LE, MULTIPART, parse_content_type
from gateway.dicom.multipart import (
    MultipartReader,
    closing,
    new_boundary,
    part_head,
)
from gateway.dicom.part10 import MoreBytesNeeded, NotUnderstood, identify
from gateway.dicom.transcode import Plan
from gateway.errors import (
    BadRequest,
    NoSiteAnswered,
    SiteSpeaksGarbage,
    SiteStreamCut,
    SiteUnreachable,
)
from gateway.federation.retrieve import Opened, checked_blocks
from gateway.federation.shares import Coverage, Share
from gateway.model.answers import Location
from gateway.pixels.workers import PixelWorkers
from gateway.web.decoding import HEADER, instances
from gateway.web.opening import Target, boundary_of, upstream_type
from gateway.web.representation import in_parts
from gateway.web.streaming import streamed

OpenShare = Callable[[Target, Location], tuple[Opened, Plan]]
"""Opens what one site gives, in the form that is wanted."""
Item = tuple[str, Iterable[bytes]]
"""Media type and bytes of one instance."""


@dataclass(frozen=True)
class Merger:
    """One answer of several sites.

    is_missing  judges the UIDs that never came: whether a site holds one of them still
    """

    target: Target
    location: Location
    coverage: Coverage
    open_share: OpenShare
    pixels: PixelWorkers
    is_missing: Callable[[frozenset[str]], bool]

    def answer(self) -> Response:
        """Streamed from one site after the other.

        raises  SiteUnreachable if the first site gives nothing; NotAcceptable, NotFound
        """
        shares = self.coverage.shares
        first, plan = self._open(shares[0])
        boundary = new_boundary()

        def body() -> Iterator[bytes]:
            for media_type, blocks in self._each_once(first, plan, shares):
                yield part_head(boundary, [("Content-Type", media_type)])
                yield from blocks
                yield b"\r\n"
            yield closing(boundary)

        media_type = f'{MULTIPART}; type="{DICOM}"; boundary="{boundary}"'
        shown = replace(first, partial=self.coverage.lacking)
        return in_parts(streamed(body(), media_type, None, shown), shown, None)

    def _open(self, share: Share) -> tuple[Opened, Plan]:
        target = target_of_share(self.target, share)
        try:
            return self.open_share(target, self.location.only(share.site_id))
        except NoSiteAnswered as error:
            code = error.silent.get(share.site_id, "failed")
            raise SiteUnreachable(share.site_id, code) from error

    def _each_once(self, first: Opened, plan: Plan, shares: Sequence[Share]) -> Iterator[Item]:
        sent: set[str] = set()
        opened = first
        for n, share in enumerate(shares):
            if n:
                opened, plan = self._open(share)
            for media_type, blocks in self._items(opened, plan):
                begun, uid = _begun(iter(blocks))
                if uid not in sent:
                    sent.add(uid)
                    yield media_type, chain(begun, blocks)
        missing = self.coverage.instances - sent
        if missing and self.is_missing(missing):
            raise SiteStreamCut(opened.site.site_id, f"{len(missing)} instances are missing")

    def _items(self, opened: Opened, plan: Plan) -> Iterator[Item]:
        try:
            if plan is Plan.DECODE:
                for item in instances(opened, self.pixels):
                    yield f"{DICOM}; transfer-syntax={EXPLICIT_LE}", iter(item)
                return
            kind, _ = upstream_type(opened)
            if kind != MULTIPART:
                raise SiteSpeaksGarbage(opened.site.site_id, "no multipart answer")
            boundary = boundary_of(opened)
            blocks = checked_blocks(opened, boundary)
            for part in MultipartReader(lambda _size: next(blocks, b""), boundary):
                yield _type_of(part.headers.get("content-type", DICOM)), part.chunks
        except BadRequest as error:
            raise SiteStreamCut(opened.site.site_id, error.problem) from error
        finally:
            opened.answer.close()


def target_of_share(target: Target, share: Share) -> Target:
    """The resource to ask that site for."""
    series = share.series_uid or target.series
    return replace(target, series=series, instance=share.instance_uid)


def _type_of(said: str) -> str:
    """Whatever a site calls it: a part of ours is DICOM (trust.md H36)."""
    syntax = parse_content_type(said)[1].get("transfer-syntax")
    return f"{DICOM}; transfer-syntax={syntax}" if syntax else DICOM


def _begun(blocks: Iterator[bytes]) -> tuple[list[bytes], str]:
    """The first bytes of a file and its SOP instance UID; raises BadRequest if it has none."""
    begun = bytearray()
    for block in blocks:
        begun += block
        try:
            identity = identify(bytes(begun), whole=False)
        except MoreBytesNeeded:
            if len(begun) > HEADER:
                break
            continue
        except NotUnderstood:
            break
        if identity.sop_instance_uid:
            return [bytes(begun)], identity.sop_instance_uid
        break
    raise BadRequest("body", "a part is no DICOM file with a UID")
