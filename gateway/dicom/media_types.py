"""Media types of DICOMweb: what a caller accepts, what it gets, what we ask of a site (PS3.18 8.7).

Our own reader, because what viewers send is not what RFC 9110 describes: `type` with and without
quotes, `transfer-syntax` inside the quotes of `type`, Java's `*; q=.2`. One pass over the text.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache

from gateway.dicom.uids import is_lenient_uid
from gateway.errors import BadRequest, NotAcceptable, UnsupportedMediaType

MAX_ACCEPT = 8192
MAX_RANGES = 100

MULTIPART = "multipart/related"
DICOM = "application/dicom"
DICOM_JSON = "application/dicom+json"
DICOM_XML = "application/dicom+xml"
ZIP = "application/zip"
PDF = "application/pdf"
HTML = "text/html"
TEXT = "text/plain"
XML = "text/xml"
OCTETS = "application/octet-stream"
EXPLICIT_LE = "1.2.840.10008.1.2.1"

_TOKEN = r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,127}"  # noqa: S105 - RFC 9110's word for a name
_MEDIA_TYPE = re.compile(rf"{_TOKEN}/{_TOKEN}\Z", re.ASCII)
_NAME = re.compile(rf"{_TOKEN}\Z", re.ASCII)
_QUALITY = re.compile(r"(?:0?\.[0-9]{1,10}|[01]|0\.|1\.0{0,10})\Z", re.ASCII)
_SEPARATORS = re.compile(r'[",;]')
_BOUNDARY_LAST = re.compile(r"""(.*); ?boundary=("?)([0-9A-Za-z'()+_./:=?-]+)\2""", re.ASCII)
_STRING_END = re.compile(r'["\\]')

# PS3.18 Table 8.7.3-1 and 8.7.3-5: transfer syntaxes of each media type, the default first.
# Implicit VR Little Endian and Explicit VR Big Endian shall not be used, so they are nowhere.
_SYNTAXES: dict[str, tuple[str, ...]] = {
    OCTETS: (EXPLICIT_LE,),
    "image/jpeg": tuple(f"1.2.840.10008.1.2.4.{n}" for n in (70, 50, 51, 57)),
    "image/jls": tuple(f"1.2.840.10008.1.2.4.{n}" for n in (80, 81)),
    "image/jp2": tuple(f"1.2.840.10008.1.2.4.{n}" for n in (90, 91)),
    "image/jpx": tuple(f"1.2.840.10008.1.2.4.{n}" for n in (92, 93)),
    "image/jphc": tuple(f"1.2.840.10008.1.2.4.{n}" for n in (201, 202, 203)),
    "image/dicom-rle": ("1.2.840.10008.1.2.5",),
    "video/mpeg": tuple(f"1.2.840.10008.1.2.4.{n}" for n in (100, 101)),
    "video/mp4": tuple(f"1.2.840.10008.1.2.4.{n}" for n in (102, 103, 104, 105, 106)),
}
_DEFLATED = "1.2.840.10008.1.2.1.99"
_DICOM_SYNTAXES = (
    EXPLICIT_LE,
    _DEFLATED,
    *(uid for kind, uids in _SYNTAXES.items() if kind != OCTETS for uid in uids),
)
# Names of retired editions and of clients.
_ALIASES = {
    "application/json": DICOM_JSON,
    "image/dicom+jpeg": "image/jpeg",
    "image/jpg": "image/jpeg",
    "image/dicom+jpeg-ls": "image/jls",
    "image/x-jls": "image/jls",
    "image/dicom+jp2": "image/jp2",
    "image/dicom+jpx": "image/jpx",
    "image/dicom+rle": "image/dicom-rle",
    "image/x-dicom-rle": "image/dicom-rle",
    "video/mpeg2": "video/mpeg",
}


@dataclass(frozen=True)
class MediaRange:
    """One alternative of Accept. Names are in lower case, values as they were sent.

    part_type        `type` of multipart/related; None if it says nothing
    transfer_syntax  a UID, "*" (as stored) or None (the media type's default)
    instead          counts only where none of the others can be given
    """

    media_type: str
    part_type: str | None = None
    transfer_syntax: str | None = None
    q: float = 1.0
    parameters: tuple[tuple[str, str], ...] = ()
    instead: bool = False


@dataclass(frozen=True)
class Offer:
    """One representation that we can give.

    part_type          media type of each item, also of a single one; None for JSON and pictures
    transfer_syntaxes  all that may be asked, "*" (as stored) among them; () where there are none
    """

    media_type: str
    part_type: str | None = None
    transfer_syntaxes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Choice:
    """What the caller gets. transfer_syntax None: the default of the part's media type.

    part_type    media type of each item, also of a single one; None for JSON and pictures
    single_part  one body, without multipart around it
    """

    media_type: str
    part_type: str | None = None
    transfer_syntax: str | None = None
    single_part: bool = False


def parse_accept(values: Sequence[str], otherwise: Sequence[str] = ()) -> tuple[MediaRange, ...]:
    """Alternatives of all Accept headers, or of the `accept` query parameter, in their order.

    otherwise  headers beside a query parameter: of use where nothing in that can be given (8.7.8.1)
    raises     BadRequest("Accept") for what cannot be read, and beyond 8 KB or 100 alternatives
    """
    if sum(map(len, [*values, *otherwise])) > MAX_ACCEPT:
        raise BadRequest("Accept", f"is longer than {MAX_ACCEPT} characters")
    return _parse_accept(tuple(values), tuple(otherwise))


@lru_cache(maxsize=256)  # a viewer sends the same ones with each of a thousand frames
def _parse_accept(values: tuple[str, ...], otherwise: tuple[str, ...]) -> tuple[MediaRange, ...]:
    first, last = ([_range(piece) for piece in _pieces(some)] for some in (values, otherwise))
    if len(first) + len(last) > MAX_RANGES:
        raise BadRequest("Accept", f"has more than {MAX_RANGES} alternatives")
    return (*first, *(replace(one, instead=bool(first)) for one in last))


def _pieces(values: Sequence[str]) -> Iterator[list[str]]:
    for value in values:
        yield from _alternatives("Accept", value)


def parse_content_type(value: str) -> tuple[str, dict[str, str]]:
    """Content-Type as (media type, parameters), all names in lower case.

    Parameters that a server put inside the quotes of `type` (Orthanc's DICOMweb 1.7 does) come out
    as parameters of their own.
    raises  BadRequest("Content-Type")
    """
    if len(value) <= MAX_ACCEPT and (ended := _BOUNDARY_LAST.fullmatch(value)):
        # A boundary is new with each answer of a site; what stands before it is always the same.
        with suppress(BadRequest):  # it may be a quoted value that is torn here
            media_type, parameters = _parse_content_type(ended[1])
            return media_type, {"boundary": ended[3], **parameters}
    media_type, parameters = _parse_content_type(value)
    return media_type, dict(parameters)


@lru_cache(maxsize=256)
def _parse_content_type(value: str) -> tuple[str, Mapping[str, str]]:
    found = list(_alternatives("Content-Type", value[: MAX_ACCEPT + 1]))
    if len(found) != 1 or len(value) > MAX_ACCEPT:
        raise BadRequest("Content-Type", "is not one media type")
    return _read("Content-Type", found[0])


def format_content_type(media_type: str, parameters: Mapping[str, str]) -> str:
    """The header for a media type; every value that needs quotes gets them (RFC 2045 5.1)."""
    return "; ".join([media_type, *(f"{n}={_quoted(v)}" for n, v in parameters.items())])


def _quoted(value: str) -> str:
    if _NAME.match(value):
        return value
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _alternatives(field: str, value: str) -> Iterator[list[str]]:
    """Split at commas and, inside, at semicolons; both only outside of quotes."""
    pieces: list[str] = [""]
    at = 0
    while at < len(value):
        hit = _SEPARATORS.search(value, at)
        stop = hit.start() if hit else len(value)
        pieces[-1] += value[at:stop]
        at = stop + 1
        if hit is None:
            break
        if hit[0] == ";":
            pieces.append("")
        elif hit[0] == ",":
            if any(piece.strip() for piece in pieces):
                yield pieces
            pieces = [""]
        else:
            string, at = _string(field, value, at)
            pieces[-1] += string
    if any(piece.strip() for piece in pieces):
        yield pieces


def _string(field: str, value: str, at: int) -> tuple[str, int]:
    """Content of a quoted string that begins before `at`, and the place behind it."""
    found = []
    while (hit := _STRING_END.search(value, at)) is not None:
        found.append(value[at : hit.start()])
        at = hit.end()
        if hit[0] == '"':
            return "".join(found), at
        found.append(value[at : at + 1])
        at += 1
    raise BadRequest(field, "has a quotation mark without its partner")


def _read(field: str, pieces: Sequence[str]) -> tuple[str, dict[str, str]]:
    media_type = pieces[0].strip().lower()
    # "+" of a query parameter arrives as a space when the caller did not encode it.
    media_type = re.sub(r"\Aapplication/dicom (json|xml)\Z", r"application/dicom+\1", media_type)
    if media_type == "*":
        media_type = "*/*"  # Java's HttpURLConnection
    if _MEDIA_TYPE.match(media_type) is None:
        raise BadRequest(field, "has something that is not a media type")
    parameters: dict[str, str] = {}
    for piece in pieces[1:]:
        if not piece.strip():
            continue
        name, equals, value = piece.partition("=")
        name, value = name.strip().lower(), value.strip()
        if not equals or _NAME.match(name) is None or min(value, default=" ") < " ":
            raise BadRequest(field, "has a parameter that is not name=value")
        if name == "type":
            value, *inside = value.split(";")
            for inner in inside:
                inner_name, _, inner_value = inner.partition("=")
                parameters.setdefault(inner_name.strip().lower(), _bare(inner_value))
            value = _bare(value).lower().replace(" ", "+")
        parameters.setdefault(name, _bare(value) if name == "transfer-syntax" else value)
    return media_type, parameters


def _bare(value: str) -> str:
    """Without blanks and quotes: some clients use single ones (dicomweb.md 2.26)."""
    return value.strip().strip("\"'")


def _range(pieces: Sequence[str]) -> MediaRange:
    media_type, parameters = _read("Accept", pieces)
    part_type = parameters.pop("type", None) or None
    if part_type is not None and _MEDIA_TYPE.match(part_type) is None:
        raise BadRequest("Accept", "has a `type` that is not a media type")
    syntax = parameters.pop("transfer-syntax", None) or None
    if syntax not in (None, "*") and not is_lenient_uid(syntax or ""):
        raise BadRequest("Accept", "has a transfer-syntax that is neither a UID nor *")
    quality = parameters.pop("q", "1")
    if _QUALITY.match(quality) is None:
        raise BadRequest("Accept", "has a q that is not a number from 0 to 1")
    return MediaRange(
        media_type=_ALIASES.get(media_type, media_type),
        part_type=_ALIASES.get(part_type, part_type) if part_type else None,
        transfer_syntax=syntax,
        q=float(quality),
        parameters=tuple(parameters.items()),
    )


def negotiate(ranges: Sequence[MediaRange], offers: Sequence[Offer]) -> Choice:
    """The first of `rank`."""
    return rank(ranges, offers)[0]


def rank(ranges: Sequence[MediaRange], offers: Sequence[Offer]) -> tuple[Choice, ...]:
    """What is acceptable, highest q first; among equals the most exactly named, then our order.

    No range at all means that everything is fine. A transfer syntax is always the caller's: we do
    not know here what a site can make, so the next choice may have to be taken.
    raises  NotAcceptable if nothing is
    """
    last = tuple(one for one in ranges if one.instead)
    if last:
        with suppress(NotAcceptable):
            return _rank(tuple(one for one in ranges if not one.instead), tuple(offers))
    return _rank(last or tuple(ranges), tuple(offers))


@lru_cache(maxsize=256)  # as for parse_accept
def _rank(ranges: tuple[MediaRange, ...], offers: tuple[Offer, ...]) -> tuple[Choice, ...]:
    found: list[tuple[tuple[float, int, int], Choice]] = []
    for place, offer in enumerate(offers):
        for syntax in _asked_syntaxes(ranges, offer):
            # The most exact range decides about a representation, also when it says q=0.
            exact, quality = max(
                (_exactness(r), r.q) for r in ranges or _ANYTHING if _covers(r, offer, syntax)
            )
            if quality > 0:
                single = offer.media_type != MULTIPART
                choice = Choice(offer.media_type, offer.part_type, syntax, single)
                found.append(((-quality, -exact, place), choice))
    if not found:
        known = ", ".join(dict.fromkeys(map(_shown, offers)))
        raise NotAcceptable("Accept", f"names nothing that can be given here; that is {known}")
    return tuple(choice for _, choice in sorted(found, key=lambda pair: pair[0]))


def _shown(offer: Offer) -> str:
    if offer.media_type != MULTIPART or offer.part_type is None:
        return offer.media_type
    return format_content_type(MULTIPART, {"type": offer.part_type})


_ANYTHING = (MediaRange("*/*"),)


def _asked_syntaxes(ranges: Sequence[MediaRange], offer: Offer) -> list[str | None]:
    """Transfer syntaxes to think about, None first: what the ranges that fit this offer name."""
    asked = dict.fromkeys(
        r.transfer_syntax
        for r in ranges or _ANYTHING
        if _names(r, offer)
        and (r.transfer_syntax in (None, *offer.transfer_syntaxes) or not offer.transfer_syntaxes)
    )
    # A resource without pixels has no transfer syntax: what a caller says about it is idle.
    if offer.transfer_syntaxes:
        return list(asked)
    return [None] if asked else []


def _names(asked: MediaRange, offer: Offer) -> bool:
    if not _fits(asked.media_type, offer.media_type):
        return False
    if offer.media_type != MULTIPART or offer.part_type is None:
        return True
    return _fits(asked.part_type or "*/*", offer.part_type)


def _covers(asked: MediaRange, offer: Offer, syntax: str | None) -> bool:
    return _names(asked, offer) and (
        not offer.transfer_syntaxes or asked.transfer_syntax in ("*", syntax)
    )


def _fits(wanted: str, media_type: str) -> bool:
    kind, _, rest = wanted.partition("/")
    return wanted in ("*/*", media_type) or (rest == "*" and media_type.startswith(kind + "/"))


def _exactness(asked: MediaRange) -> int:
    """A number that grows with what a range says: media type, then part, then syntax."""
    exact = 0
    for name in (asked.media_type, asked.part_type or "*/*"):
        exact = exact * 3 + (0 if name == "*/*" else 1 if name.endswith("/*") else 2)
    return exact * 3 + (0 if asked.transfer_syntax is None else 1 + (asked.transfer_syntax != "*"))


_DICOM_PARTS = Offer(MULTIPART, DICOM, ("*", *_DICOM_SYNTAXES))
_DICOM_SINGLE = Offer(DICOM, DICOM, ("*", *_DICOM_SYNTAXES))
_FRAME_PARTS = tuple(Offer(MULTIPART, kind, ("*", *uids)) for kind, uids in _SYNTAXES.items())
_FRAME_SINGLE = tuple(Offer(kind, kind, ("*", *uids)) for kind, uids in _SYNTAXES.items())
_JSON = (Offer(DICOM_JSON),)
_ROWS = (*_JSON, Offer(MULTIPART, DICOM_XML))
_BULK = (Offer(MULTIPART, OCTETS), Offer(OCTETS, OCTETS))
_ZIP = Offer(ZIP, None, ("*",))
PICTURES = ("image/jpeg", "image/png", "image/gif")
REPORTS = (HTML, TEXT, XML)


def dicom_offers(*, one_instance: bool = False) -> tuple[Offer, ...]:
    """Study, series, instance (10.4): multipart by default; alone only where there is one item.

    A zip holds the instances as they are stored; bytes in parts are their bulk data (10.4.4).
    """
    return (_DICOM_PARTS, *((_DICOM_SINGLE,) if one_instance else ()), _ZIP, _BULK[0])


def frame_offers(*, one_frame: bool = False) -> tuple[Offer, ...]:
    """Frames (10.4.1.1.6): uncompressed multipart by default, a single frame also alone."""
    return (*_FRAME_PARTS, *_FRAME_SINGLE) if one_frame else _FRAME_PARTS


def choose_bulkdata(ranges: Sequence[MediaRange]) -> Choice:
    """Bulk data (10.4.1.1.5): the stored bytes, in one part or alone."""
    return negotiate(ranges, _BULK)


def choose_all_bulkdata(ranges: Sequence[MediaRange]) -> Choice:
    """Bulk data of many elements: in parts only."""
    return negotiate(ranges, _BULK[:1])


def choose_metadata(ranges: Sequence[MediaRange]) -> Choice:
    """What a store is answered with: DICOM JSON."""
    return negotiate(ranges, _JSON)


def choose_rows(ranges: Sequence[MediaRange]) -> Choice:
    """Search and metadata (10.6.3.3, 8.7.3.2): DICOM JSON by default, or Native XML in parts."""
    return negotiate(ranges, _ROWS)


def choose_rendered(
    ranges: Sequence[MediaRange], kinds: Sequence[str] = (*PICTURES, *REPORTS, PDF)
) -> Choice:
    """Rendered and thumbnail (8.7.4): the first of `kinds` by default."""
    return negotiate(ranges, [Offer(kind) for kind in kinds])


def choose_renderings(ranges: Sequence[MediaRange], *, several: bool) -> Choice:
    """Rendered frames of one instance (Table 10.4.4-1): in parts, a single one alone by default."""
    parts = [Offer(MULTIPART, kind) for kind in PICTURES]
    alone = [] if several else [Offer(kind) for kind in (*PICTURES, *REPORTS, PDF)]
    return negotiate(ranges, [*alone, *parts])


def wanted_syntax(choice: Choice) -> str:
    """The transfer syntax that a choice of DICOM or frames stands for; "*" is as stored."""
    return choice.transfer_syntax or _SYNTAXES.get(choice.part_type or "", (EXPLICIT_LE,))[0]


def bulk_syntax(media_type: str, parameters: Mapping[str, str]) -> str:
    """Transfer syntax of a bulk data part that is stored; "" if its bytes are not encapsulated.

    raises  UnsupportedMediaType
    """
    kind = _ALIASES.get(media_type, media_type)
    syntax = parameters.get("transfer-syntax", "")
    if kind not in _SYNTAXES or syntax not in ("", *_SYNTAXES[kind]):
        raise UnsupportedMediaType("body", "a bulk data part is of no media type of PS3.18 8.7.3.3")
    return "" if kind == OCTETS else syntax or _SYNTAXES[kind][0]


def is_syntax_of(part_type: str | None, syntax: str) -> bool:
    """Whether frames in this transfer syntax are of that media type (Table 8.7.3-5)."""
    return part_type in (None, DICOM, OCTETS) or syntax in _SYNTAXES.get(part_type or "", ())


def upstream_accept(choice: Choice) -> str:
    """The Accept to send to a site for this choice.

    Measured on Orthanc 1.10.1 with DICOMweb 1.7: DICOM, frames and bulk data come as
    multipart/related only, one alternative (of several the last wins), transfer-syntax outside of
    the quotes; `type="*/*"`, q and lists are 400. `transfer-syntax=*` gives stored bytes under
    their own media type. A syntax that it cannot make is 400 or 500, never 406.
    """
    if choice.part_type is None:
        return choice.media_type
    syntax = f"; transfer-syntax={choice.transfer_syntax}" if choice.transfer_syntax else ""
    return f'{MULTIPART}; type="{choice.part_type}"{syntax}'
