"""Searches and reads one site by DICOMweb, and knows what each kind of server does differently.

Orthanc is searched in two steps: POST /tools/find names the matches from its index (measured:
0.08 ms each; QIDO needs 0.3-1 ms and, up to plugin 1.17, does not decode percent-encoded
arguments), then QIDO by UID describes only the rows that the page needs. /tools/find is the one
address below /tools that the gateway calls. Other servers are asked by plain paged QIDO.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import lru_cache
from urllib.parse import quote, urlencode, urlsplit

from gateway.clock import Deadline
from gateway.dicom.attributes import Dataset, Level, make, tag_of, text
from gateway.dicom.find import to_find
from gateway.dicom.matching import has_wildcard
from gateway.dicom.names import repair
from gateway.dicom.order import sort_key
from gateway.dicom.query import Condition, Query, matches
from gateway.dicom.uids import is_lenient_uid
from gateway.errors import SiteRefused, SiteSpeaksGarbage
from gateway.log import log
from gateway.model.answers import SitePage
from gateway.model.persons import with_issuer
from gateway.model.sites import Site
from gateway.orthanc.answer import SiteAnswer
from gateway.orthanc.entries import (
    FIND_LEVEL,
    KEY,
    PARENT,
    PLAIN,
    SEARCH_LIMIT_BYTES,
    find_entries,
    find_rows,
    main_tags,
    read_list,
    row_of,
)
from gateway.orthanc.wire import Wire

METADATA_LIMIT_BYTES = 128 * 2**20  # some 30,000 instances
NEVER_ASKED = frozenset({tag_of("SpecificCharacterSet")})
"""Orthanc's rows are in UTF-8 and say so by themselves. Asked for the file's own character set it
refuses the question (400, both generations) if that is one that it does not know, or several."""
ROWS_LIMIT = 5000
UIDS_PER_REQUEST = 50  # Orthanc takes request lines of 8 KB
OVER_A_ROW = frozenset({400, 500})
"""What Orthanc answers if one of the files that it opens for a question is damaged or gone."""
MOST_REFUSALS = 16
"""For one page; two bad rows are found among fifty, of more the rest comes from the entries."""
PAGE = 500
FEW = 50

# Keys that few rows answer to, and values that mean the same with and without percent-encoding.
SELECTIVE = {
    Level.STUDY: frozenset({"StudyInstanceUID", "PatientID", "AccessionNumber"}),
    Level.SERIES: frozenset({"StudyInstanceUID", "SeriesInstanceUID"}),
}


# What /tools/find shows of each level without opening a file (Orthanc's main DICOM tags): a key
# among these is judged before any row is fetched.
_STUDY_TAGS = """PatientName PatientID PatientBirthDate PatientSex StudyDate StudyTime StudyID
    StudyDescription AccessionNumber StudyInstanceUID ReferringPhysicianName"""
IN_INDEX = {
    Level.STUDY: frozenset(_STUDY_TAGS.split()),
    Level.SERIES: frozenset({"Modality", "SeriesInstanceUID", "SeriesNumber"}),
    Level.INSTANCE: frozenset({"SOPInstanceUID", "InstanceNumber"}),
}
# What query.sort_key reads, at all levels.
_ORDER = """StudyDate StudyTime StudyInstanceUID SeriesNumber SeriesInstanceUID InstanceNumber
    SOPInstanceUID"""
ORDER = frozenset(_ORDER.split())
# includefield=all adds nothing in Orthanc (measured), so `all` is spelt out here.
ALL_FIELDS = (
    "00081030,0008103E,00080080,00081040,00081048,00081060,00180015,00101010,00101020,00102160,"
    "00104000,00080070,00081090,00181000,00081010,00181030,00200052,00200060,00080021,00080031"
)


def search(wire: Wire, site: Site, query: Query, deadline: Deadline) -> SitePage:
    """One site's matches of a query: the rows that a merged page can need, every match's UID.

    Only the first offset + limit rows of the query's order are given: the order is total and its
    keys are in the rows, so a row of the merged page is among the first rows of a holder. Where
    the index knew enough they are light: `describe` brings those that the merged page shows.
    raises  SiteError
    """
    if site.kind == "orthanc":
        return _search_orthanc(wire, site, query, deadline)
    return _search_paged(wire, site, query, deadline)


def ping(wire: Wire, site: Site, deadline: Deadline) -> None:
    """The cheapest question that a site answers through its DICOMweb door; raises SiteError."""
    ask_rows(wire, site, f"{site.dicomweb_root}/studies?limit=1", deadline)


def open_object(
    wire: Wire, site: Site, path: str, accept: str, deadline: Deadline, base_url: str
) -> SiteAnswer:
    """Open what lies at `path` below the site's DICOMweb root; the status is the caller's to judge.

    base_url  our public address: Orthanc writes its URLs by the Forwarded header (measured)
    """
    headers = [("Accept", accept), ("Forwarded", _forwarded(base_url))]
    return wire.open(
        site,
        "GET",
        site.dicomweb_root + path,
        deadline=deadline,
        headers=headers,
        carries_pixels=True,
    )


@lru_cache(maxsize=16)
def _forwarded(base_url: str) -> str:
    public = urlsplit(base_url)
    return f"host={public.netloc};proto={public.scheme}"


def read_metadata(site: Site, blocks: Iterable[bytes]) -> list[Dataset]:
    """The datasets of a metadata answer (PS3.18 10.4.1.1.2).

    raises  SiteSpeaksGarbage if it is no list of datasets or longer than METADATA_LIMIT_BYTES;
            whatever `blocks` raise
    """
    raw = bytearray()
    for block in blocks:
        raw += block
        if len(raw) > METADATA_LIMIT_BYTES:
            raise SiteSpeaksGarbage(site.site_id, "metadata without end")
    return read_list(site, bytes(raw))


def _search_orthanc(wire: Wire, site: Site, query: Query, deadline: Deadline) -> SitePage:
    few = _few_rows(wire, site, query, deadline)
    if few is not None:
        uids_of_few = frozenset(text(row, KEY[query.level]) for row in few)
        return SitePage(site.site_id, tuple(few), uids_of_few)
    light = list(_light_rows(wire, site, query, deadline))
    if _judged_by_index(query):
        light = [row for row in light if matches(query, _trusting(query, row))]
        light.sort(key=lambda row: sort_key(query.level, row))
        uids = frozenset(text(row, KEY[query.level]) for row in light)
        first = tuple(light[: query.offset + query.limit])
        return SitePage(site.site_id, first, uids, light=True)
    light.sort(key=lambda row: sort_key(query.level, row))
    some = [text(row, KEY[query.level]) for row in light[:ROWS_LIMIT]]
    rows = describe(wire, site, query, some, deadline)
    uids = frozenset(text(row, KEY[query.level]) for row in rows)
    return SitePage(site.site_id, rows, uids, truncated=len(light) > len(some))


def _few_rows(wire: Wire, site: Site, query: Query, deadline: Deadline) -> list[Dataset] | None:
    """The matches by QIDO alone, one exchange instead of two or three; None if they may be many.

    Only for keys that select little and need no encoding. At most FEW rows are read: a PatientID
    can be the one that a hospital gives to everybody, and each row costs Orthanc a millisecond.
    """
    keys = {name: key for name, key in to_find(query).items() if PLAIN.fullmatch(key)}
    if query.level is Level.INSTANCE or not keys.keys() & SELECTIVE[query.level]:
        return None
    asked = {**keys, "includefield": _fields(query), "limit": str(FEW + 1)}
    question = "&".join(f"{name}={value}" for name, value in asked.items())
    target = f"{site.dicomweb_root}{_path(query)}?{question}"
    found = try_rows(wire, site, target, deadline)
    if isinstance(found, SiteRefused) or len(found) > FEW:
        return None
    rows = {text(row, KEY[query.level]): row for row in found if matches(query, row)}
    rows = {uid: row for uid, row in rows.items() if is_lenient_uid(uid)}
    return sorted(rows.values(), key=lambda row: sort_key(query.level, row))


def _judged_by_index(query: Query) -> bool:
    """Whether every key can be judged on what /tools/find shows."""
    shown = set(IN_INDEX[query.level])
    level = query.level
    while level in PARENT:
        level = PARENT[level]
        shown |= IN_INDEX[level]
    return not query.any_of and all(
        (condition.keyword in shown and not condition.path) or _exact_in_find(condition)
        for condition in query.conditions
    )


def _exact_in_find(condition: Condition) -> bool:
    """Orthanc judges ModalitiesInStudy itself, any of a list, exactly (measured)."""
    plain = not (condition.all_of or condition.empty or condition.path)
    wild = any(has_wildcard(value) for value in condition.values)
    return condition.keyword == "ModalitiesInStudy" and plain and not wild


def _trusting(query: Query, row: Dataset) -> Dataset:
    """The light row with the modalities that /tools/find has already judged."""
    asked = [
        value
        for condition in query.conditions
        if condition.keyword == "ModalitiesInStudy"
        for value in condition.values
    ]
    return {**row, "00080061": make("ModalitiesInStudy", *asked)} if asked else row


def _light_rows(wire: Wire, site: Site, query: Query, deadline: Deadline) -> Iterator[Dataset]:
    """What the index says of each match and of its parents, as DICOM JSON; a superset.

    Only what order and conditions need: of some thousand rows most are never shown.
    """
    needed = ORDER | {condition.keyword for condition in query.conditions}
    found = find_entries(wire, site, query.level, to_find(query), deadline)
    parents = _parents(wire, site, query, deadline) if found and query.level in PARENT else {}
    for entry in found:
        tags = main_tags(entry) | main_tags(entry, "PatientMainDicomTags")
        if query.level in PARENT:
            tags = (
                parents.get(str(entry.get(f"Parent{FIND_LEVEL[PARENT[query.level]]}")), {}) | tags
            )
        row = row_of({name: value for name, value in tags.items() if name in needed})
        if is_lenient_uid(text(row, KEY[query.level])):
            yield row


def _parents(wire: Wire, site: Site, query: Query, deadline: Deadline) -> dict[str, dict[str, str]]:
    """Main tags of the levels above, by Orthanc's id of the parent."""
    scope = {}
    if query.study_uid is not None:
        scope["StudyInstanceUID"] = query.study_uid
    studies = {
        str(entry.get("ID")): main_tags(entry) | main_tags(entry, "PatientMainDicomTags")
        for entry in find_entries(wire, site, Level.STUDY, scope, deadline)
    }
    if query.level is Level.SERIES:
        return studies
    return {
        str(entry.get("ID")): studies.get(str(entry.get("ParentStudy")), {}) | main_tags(entry)
        for entry in find_entries(wire, site, Level.SERIES, scope, deadline)
    }


def describe(
    wire: Wire, site: Site, query: Query, uids: Sequence[str], deadline: Deadline
) -> tuple[Dataset, ...]:
    """Full rows of these UIDs in the query's order; one that has gone or changed is left out.

    raises  SiteError
    """
    rows = [row for row in _describe(wire, site, query, uids, deadline) if matches(query, row)]
    return tuple(sorted(rows, key=lambda row: sort_key(query.level, row)))


def _describe(
    wire: Wire, site: Site, query: Query, uids: Sequence[str], deadline: Deadline
) -> Iterator[Dataset]:
    """Rows by QIDO; a UID holds nothing that would need encoding.

    A question that is refused is halved until the bad row is alone: that one is made of entries.
    """
    path = site.dicomweb_root + _path(query)
    seen: set[str] = set()
    starts = range(0, len(uids), UIDS_PER_REQUEST)
    waiting = [uids[start : start + UIDS_PER_REQUEST] for start in reversed(starts)]
    refusals = 0
    while waiting:
        some = waiting.pop()
        target = f"{path}?{KEY[query.level]}={','.join(some)}&includefield={_fields(query)}"
        rows = try_rows(wire, site, target, deadline)
        if isinstance(rows, SiteRefused):
            refusals += 1
            if len(some) > 1 and refusals < MOST_REFUSALS:
                half = len(some) // 2
                waiting += [some[half:], some[:half]]
                continue
            log.warning("rows made of entries", site=site.site_id, rows=len(some), why=str(rows))
            rows = _as_read(site, find_rows(wire, site, query.level, some, deadline))
        for row in rows:
            uid = text(row, KEY[query.level])
            if uid in some and uid not in seen:  # a site may answer what was not asked (H84)
                seen.add(uid)
                yield row


def _fields(query: Query) -> str:
    """What each row should carry, for `includefield`."""
    tags = ",".join(sorted(query.wanted - NEVER_ASKED))
    return tags + ("," + ALL_FIELDS if query.include_all else "")


def _search_paged(wire: Wire, site: Site, query: Query, deadline: Deadline) -> SitePage:
    """Plain QIDO, page by page, until a page brings nothing new; every row is judged here."""
    path = site.dicomweb_root + _path(query)
    # Only UIDs have lists (PS3.18 8.3.4.1): elsewhere a comma is a letter of the one value.
    asked = [c for c in query.conditions if not c.path and (c.vr == "UI" or len(c.values) == 1)]
    keys = [(c.tag, ",".join(c.values)) for c in asked if not c.empty]
    keys = [(tag, value) for tag, value in keys if value]
    keys.append(("includefield", "all" if query.include_all else ",".join(sorted(query.wanted))))
    rows: dict[str, Dataset] = {}
    truncated = False
    while True:
        params = [*keys, ("limit", str(PAGE)), ("offset", str(len(rows)))]
        page = ask_rows(wire, site, f"{path}?{urlencode(params, quote_via=quote)}", deadline)
        named = {text(row, KEY[query.level]): row for row in page}
        fresh = {uid: row for uid, row in named.items() if is_lenient_uid(uid) and uid not in rows}
        rows |= fresh
        if len(rows) > ROWS_LIMIT:
            truncated = True
            break
        if not fresh or len(page) < PAGE:
            break
    good = [row for row in rows.values() if matches(query, row)]
    good.sort(key=lambda row: sort_key(query.level, row))
    uids = frozenset(text(row, KEY[query.level]) for row in good)
    return SitePage(site.site_id, tuple(good[: query.offset + query.limit]), uids, truncated)


def _path(query: Query) -> str:
    if query.level is Level.STUDY:
        return "/studies"
    if query.study_uid is None:
        return "/series" if query.level is Level.SERIES else "/instances"
    path = f"/studies/{query.study_uid}"
    if query.level is Level.SERIES:
        return path + "/series"
    return path + (f"/series/{query.series_uid}" if query.series_uid else "") + "/instances"


def ask_rows(wire: Wire, site: Site, target: str, deadline: Deadline) -> list[Dataset]:
    """One QIDO exchange; 204 is an empty list (PS3.18 before CP-2473).

    404 is one too, but only below a study and never from Orthanc: elsewhere it means that this is
    not where the server answers searches, and silence is not emptiness. A server that stumbles is
    asked once more (trust.md F5).
    raises  SiteError
    """
    try:
        return _rows(wire, site, target, deadline)
    except SiteRefused as error:
        if not error.stumbled:
            raise
    return _rows(wire, site, target, deadline)


def _rows(wire: Wire, site: Site, target: str, deadline: Deadline) -> list[Dataset]:
    rows = try_rows(wire, site, target, deadline, ())
    if isinstance(rows, SiteRefused):
        raise rows
    return rows


def try_rows(
    wire: Wire,
    site: Site,
    target: str,
    deadline: Deadline,
    over_a_row: Collection[int] = OVER_A_ROW,
) -> list[Dataset] | SiteRefused:
    """The rows; or the refusal, if a single file may be the reason of its status: then it is no
    failure of the site. raises SiteError
    """
    headers = [("Accept", "application/dicom+json")]
    with wire.open(site, "GET", target, deadline=deadline, headers=headers) as answer:
        unknown = answer.status == 404 and site.kind != "orthanc" and "/studies/" in target
        if answer.status == 204 or unknown:
            return []
        if answer.status != 200:
            refusal = SiteRefused(site.site_id, answer.status, "search")
            if site.kind == "orthanc" and answer.status in over_a_row:
                return refusal
            raise refusal
        return _as_read(site, read_list(site, answer.read_all(SEARCH_LIMIT_BYTES)))


def _as_read(site: Site, rows: Iterable[Dataset]) -> list[Dataset]:
    """As the index shows them: names under a wrong character set, identifiers without issuer."""
    return [with_issuer(repair(row), site.patient_id_issuer) for row in rows]


def public_uri(site: Site, uri: str, service_url: str) -> str:
    """Our address of what a site calls by its own; "" if it lies outside its DICOMweb root."""
    parts = urlsplit(uri)
    if not parts.scheme and not parts.netloc:
        return uri
    root = urlsplit(site.dicomweb_url).path.rstrip("/") + "/"
    for prefix in (root, urlsplit(service_url).path.rstrip("/") + "/"):
        if parts.path.startswith(prefix):
            rest = parts.path[len(prefix) :]
            return f"{service_url}/{rest}" + (f"?{parts.query}" if parts.query else "")
    return ""
