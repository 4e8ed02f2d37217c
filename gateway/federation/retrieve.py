"""Opens one object at the best holder and hands its bytes on untouched.

The next holder is tried only before the first byte. After it a failure is raised out of the
stream, and the door cuts the connection: a broken download never ends politely (trust.md R3).
"""

from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field

from gateway.dicom.asked import Asked
from gateway.dicom.multipart import MultipartReader, PassingParts
from gateway.dicom.preambles import BlankPreambles
from gateway.errors import (
    BadRequest,
    GatewayError,
    NoSiteAnswered,
    NotAcceptable,
    NotFound,
    SiteAnswersOther,
    SiteError,
    SiteRefused,
    SiteSpeaksGarbage,
    SiteStreamCut,
)
from gateway.model.answers import Location
from gateway.model.sites import Site
from gateway.orthanc.answer import SiteAnswer

OpenAt = Callable[[Site], SiteAnswer]
Pour = Callable[[bytes, SiteAnswer, int], int]
"""Sends a block and the next so many bytes of an answer; tells how many: all, or 0 for nothing."""

IsShort = Callable[[int], bool]
"""Whether so many parts are fewer than the site holds: the answer was cut, however it ended."""

WORTH_POURING = 64 * 1024
FIRST_BLOCK = 16 * 1024
"""Held as long as the answer runs, and copied on its way: a caller who stands still costs that."""
HEAD_BLOCK = 4 * 1024
ABOUT_THE_FORM = frozenset({400, 406, 415, 500, 501})
"""Refusals that may mean: I have it, but not like this."""


@dataclass(frozen=True)
class Opened:
    """An answer whose head has come. `first` is the first block: the holder really sends.

    silent    sites that could not be asked, with the code of each: they may hold more of the study
    partial   it is known that the answer is not all that there is
    is_short  judges the number of parts at the end; None where it is not known beforehand
    asked     what each part must be a file of; None where parts are no files
    tell      told that it is not
    learn     told the transfer syntax of a part that is in another than it must be in
    differing  sites whose copies are known to differ in content, this one perhaps among them
    blank     parts are files whose preamble is not given on (trust.md H73)
    """

    site: Site
    answer: SiteAnswer
    first: bytes
    silent: Mapping[str, str] = field(default_factory=dict)
    service_url: str = ""
    is_short: IsShort | None = None
    partial: bool = False
    asked: Asked | None = None
    tell: Callable[[SiteAnswersOther], None] = field(default=lambda _error: None)
    learn: Callable[[str], object] = field(default=lambda _syntax: None)
    differing: tuple[str, ...] = ()
    blank: bool = False

    def answers_other(self) -> SiteAnswersOther:
        """The error of a site that gives something else than was asked, told already."""
        error = SiteAnswersOther(self.site.site_id)
        self.tell(error)
        return error


def open_best(
    location: Location,
    sites: Mapping[str, Site],
    open_at: OpenAt,
    what: str,
    has: Callable[[Site], bool] | None = None,
) -> Opened:
    """Open the object at the first holder that gives it.

    A holder that says 500, 502, 503 or 504 is asked once more, after the others (trust.md F5).
    open_at  sends the request; statuses are judged here
    what     the resource's name, for NotFound
    has      whether a site that has just refused can give the stored object: Orthanc says 400 and
             500 both for a form that it cannot make and for its own troubles (dicomweb.md 2).
             None: nothing was to be made, so every refusal is trouble
    raises   NotFound if every holder lacks it and no site is silent; NotAcceptable if a holder
             has it but not in that form; NoSiteAnswered if the only holders are silent
    """
    silent = dict(location.silent)
    refusal: GatewayError | None = None
    waiting = deque(sites[h.site_id] for h in location.holders if h.site_id in sites)
    asked_again: set[str] = set()
    while waiting:
        site = waiting.popleft()
        try:
            return _first_block(site, open_at(site), what, silent)
        except NotFound:
            continue
        except NotAcceptable as error:
            refusal = error
        except SiteRefused as error:
            if error.stumbled and site.site_id not in asked_again:
                asked_again.add(site.site_id)
                waiting.append(site)
                continue
            judged = _second_look(site, error, has)
            if isinstance(judged, NotAcceptable):
                refusal = judged
            elif judged is not None:
                silent[site.site_id] = judged.code
        except SiteError as error:
            silent[site.site_id] = error.code
    if refusal is not None:
        raise refusal
    if silent:
        raise NoSiteAnswered(silent)
    raise NotFound(what)


def _second_look(
    site: Site, refused: SiteRefused, has: Callable[[Site], bool] | None
) -> NotAcceptable | SiteError | None:
    """What a refusal means; None if the site turns out not to have the object at all."""
    if has is None or refused.status not in ABOUT_THE_FORM:
        return refused
    try:
        if has(site):
            return NotAcceptable("Accept", "no holder can give it in an accepted form")
    except NotFound:
        return None
    except SiteError as error:
        return error
    return refused


def _first_block(site: Site, answer: SiteAnswer, what: str, silent: Mapping[str, str]) -> Opened:
    """Judge the status and wait for the first byte. A 404 is the only honest "not here"."""
    if answer.status in (200, 206):
        first = answer.read(FIRST_BLOCK)
        if not first and answer.ends_by_closing:
            raise answer.refuse(SiteStreamCut(site.site_id, "no byte of a body"))
        answer.become_stream()
        return Opened(site, answer, first, silent)
    answer.close()
    if answer.status in (404, 410):
        raise NotFound(what)
    raise SiteRefused(site.site_id, answer.status)


def checked_blocks(
    opened: Opened, boundary: bytes | None, pour: Pour | None = None
) -> Generator[bytes, None, None]:
    """The bytes of an opened answer, untouched (but for preambles, where that is said) and checked
    to their end.

    boundary  of the multipart body; without a length its closing delimiter must have come
    pour      takes bytes that need not be seen; what it takes is missing from what this gives
    raises    SiteStreamCut, SiteTimeout, SiteAnswersOther in the middle: the consumer must abort,
              not finish
    """
    if not opened.blank:
        return _checked(opened, boundary, pour)
    return _blanked(opened, boundary)


def _blanked(opened: Opened, boundary: bytes | None) -> Generator[bytes, None, None]:
    preambles = BlankPreambles(boundary)
    with closing(_checked(opened, boundary, None)) as blocks:
        try:
            for block in blocks:
                if passed := preambles.feed(block):
                    yield passed
        except BadRequest as error:
            raise SiteStreamCut(opened.site.site_id, error.problem) from error
    if rest := preambles.rest():
        yield rest


def _checked(
    opened: Opened, boundary: bytes | None, pour: Pour | None
) -> Generator[bytes, None, None]:
    answer = opened.answer
    watch = None
    counts = bool(boundary and (answer.ends_by_closing or opened.is_short))
    if boundary and (counts or opened.asked):
        watch = PassingParts(boundary, opened.asked)
    try:
        block = opened.first
        while block:
            if watch is not None and not watch.closed:
                watch.feed(block)
                if watch.foreign:
                    raise opened.answers_other()
                if watch.recoded:
                    opened.learn(watch.recoded)  # the next time all of it is decoded
                    raise SiteStreamCut(opened.site.site_id, "another transfer syntax within")
                # Before its last bytes are sent: a client may believe a length or the boundary.
                if watch.closed and opened.is_short and opened.is_short(watch.parts):
                    raise SiteStreamCut(opened.site.site_id, f"only {watch.parts} parts")
            ahead = watch.ahead if watch is not None and counts else answer.length or 0
            if watch is not None and watch.must_see:
                ahead = 0
            poured = pour(block, answer, ahead) if pour and ahead >= WORTH_POURING else 0
            if not poured:
                yield block
            elif watch is not None:
                watch.skip(poured)
            # Behind a head there may be bytes to be poured: what comes with it is held meanwhile.
            at_head = watch is not None and counts and (watch.is_at_head or watch.must_see)
            block = answer.read(HEAD_BLOCK) if pour and (poured or at_head) else answer.read()
        if watch is not None and counts and not watch.closed:
            raise SiteStreamCut(opened.site.site_id, "the closing boundary is missing")
        if watch is None and answer.ends_by_closing and boundary is None:
            raise SiteStreamCut(opened.site.site_id, "a body without any mark of its end")
    finally:
        answer.close()


def unwrapped(opened: Opened, boundary: bytes) -> tuple[Mapping[str, str], Iterator[bytes]]:
    """Headers and bytes of the only part of a multipart answer (PS3.18 10.4.4: single part).

    raises  SiteSpeaksGarbage if there is no part; out of the bytes: SiteStreamCut if the framing
            breaks or a second part follows
    """
    site_id = opened.site.site_id
    blocks = checked_blocks(opened, boundary)

    def read(_size: int) -> bytes:
        return next(blocks, b"")

    parts = iter(MultipartReader(read, boundary))
    try:
        part = next(parts)
    except (StopIteration, BadRequest) as error:
        blocks.close()
        raise SiteSpeaksGarbage(site_id, "no part in a multipart answer") from error

    def body() -> Iterator[bytes]:
        # The part's own length becomes ours: one byte more would be left off without a word.
        declared, count = part.headers.get("content-length", ""), 0
        try:
            for block in part.chunks:
                count += len(block)
                if declared.isdecimal() and count > int(declared):
                    raise SiteStreamCut(site_id, "a part is longer than it says")
                yield block
            if next(parts, None) is not None:
                raise SiteStreamCut(site_id, "more than one part")
        except BadRequest as error:
            raise SiteStreamCut(site_id, error.problem) from error
        finally:
            blocks.close()

    return part.headers, body()
