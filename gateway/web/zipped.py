"""A study, series or instance as one zip file, streamed: the instances as they are stored.

Names are readable and stay the same: FOLDER/NUMBER.dcm, the folder after the series. A download
that broke off goes on after the last name that came whole: `?after=NAME` gives what follows it.
There is no patient in the names, and no DICOMDIR: a folder of files is what people can use.
"""

import re
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from flask import Response, request

from gateway.clock import Deadline
from gateway.dicom.attributes import Dataset, integer, text
from gateway.dicom.media_types import ZIP
from gateway.errors import (
    BadRequest,
    NoSiteAnswered,
    NotFound,
    SiteError,
    SiteSpeaksGarbage,
)
from gateway.federation.retrieve import Opened, unwrapped
from gateway.model.sites import Site
from gateway.web.opening import WHOLE_AS_STORED, Opener, Target, boundary_of
from gateway.web.representation import located
from gateway.web.scope import Scope
from gateway.web.streaming import streamed

NOT_IN_NAMES = re.compile(r"[^\w-]+")
LONGEST_WORD = 40
SeriesRows = tuple[Dataset, list[Dataset]]
EARLIEST = (1980, 1, 1, 0, 0, 0)  # the same bytes for the same study: no file times


@dataclass(frozen=True)
class Entry:
    """One file of the zip."""

    name: str
    target: Target


def zipped(opener: Opener, scope: Scope, target: Target) -> Response:
    """The zip of everything below `target`; raises NotFound, NoSiteAnswered."""
    entries, partial, differing = _entries(opener, scope, target)
    entries = _after(entries, request.args.get("after"))
    if not entries:
        raise NotFound("instance behind the last one")
    first = replace(_open(opener, scope, entries[0]), partial=partial, differing=differing)
    answer = streamed(_packed(opener, scope, entries, first), ZIP, None, first)
    name = f"{target.instance or target.series or target.study}.zip"
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return located(answer, first)


def _after(entries: Sequence[Entry], name: str | None) -> Sequence[Entry]:
    if name is None:
        return entries
    names = [entry.name for entry in entries]
    if name not in names:
        raise BadRequest("after", "is no name of this zip")
    return entries[names.index(name) + 1 :]


def _packed(
    opener: Opener, scope: Scope, entries: Sequence[Entry], first: Opened
) -> Iterator[bytes]:
    """The bytes of the zip; whatever goes wrong with an instance cuts it off."""
    out = _Drain()
    opened: Opened | None = first
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for entry in entries:
            opened = opened or _open(opener, scope, entry)
            headers, body = _part_of(opened)
            info = zipfile.ZipInfo(entry.name, EARLIEST)
            length = headers.get("content-length", "")
            info.file_size = int(length) if length.isdecimal() else 0
            with archive.open(info, "w", force_zip64=not info.file_size) as file:
                for block in body:
                    file.write(block)
                    yield out.take()
            opened = None
    yield out.take()


def _part_of(opened: Opened) -> tuple[dict[str, str], Iterator[bytes]]:
    headers, body = unwrapped(opened, boundary_of(opened))
    return dict(headers), body


def _open(opener: Opener, scope: Scope, entry: Entry) -> Opened:
    return opener.open(scope, entry.target, WHOLE_AS_STORED, "instance")


class _Drain:
    """What zipfile writes to: a stream that cannot go back, emptied after each block."""

    def __init__(self) -> None:
        self._waiting: list[bytes] = []

    def write(self, block: bytes) -> int:
        self._waiting.append(bytes(block))
        return len(block)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Nothing is open."""

    def take(self) -> bytes:
        found = b"".join(self._waiting)
        self._waiting.clear()
        return found


def _entries(
    opener: Opener, scope: Scope, target: Target
) -> tuple[Sequence[Entry], bool, tuple[str, ...]]:
    """Every instance in reading order, with its name, by the best holder that answers, or by all
    if none has the whole; whether it is known that there is more; sites whose copies differ.
    """
    location = opener.locate(scope, target.study)
    coverage = opener.coverage(scope, location, target)
    location = coverage.applied(location)
    silent = dict(location.silent)
    found: list[SeriesRows] = []
    for holder in location.holders:
        site = scope.by_id[holder.site_id]
        try:
            is_short = opener.judge_of_length(site, target, location)
            rows = _rows(opener, site, target)
            if is_short and is_short(sum(len(of_series) for _, of_series in rows)):
                raise SiteSpeaksGarbage(site.site_id, "a list that lacks instances")
            found += rows
        except SiteError as error:
            if coverage.shares:
                raise  # a part is no whole
            silent[site.site_id] = error.code
            continue
        if found and not coverage.shares:
            partial = coverage.is_partial(site.site_id)
            return list(name_entries(found, target)), partial, coverage.differing
    if found:
        merged = _each_once(found)
        listed = {text(row, "SOPInstanceUID") for _, rows in merged for row in rows}
        missing = coverage.instances - listed
        if missing and opener.is_missing(scope, location, target, missing):
            raise SiteSpeaksGarbage(next(iter(location.holders)).site_id, "lists lack instances")
        return list(name_entries(merged, target)), coverage.lacking, coverage.differing
    if silent:
        raise NoSiteAnswered(silent)
    raise NotFound("study, series or instance")


def _each_once(found: Sequence[SeriesRows]) -> list[SeriesRows]:
    """Series that several sites hold parts of, as one."""
    merged: dict[str, tuple[Dataset, dict[str, Dataset]]] = {}
    for series, rows in found:
        _, known = merged.setdefault(text(series, "SeriesInstanceUID"), (series, {}))
        for row in rows:
            known.setdefault(text(row, "SOPInstanceUID"), row)
    return [(series, list(rows.values())) for series, rows in merged.values()]


def _rows(opener: Opener, site: Site, target: Target) -> list[SeriesRows]:
    """(series, its instances), all of them in order."""
    deadline = Deadline(site.timeouts.metadata_s)
    found = []
    for series in opener.series_of(site, target, deadline):
        inner = replace(target, series=text(series, "SeriesInstanceUID"))
        found.append((series, opener.instances_of(site, inner, deadline)))
    return found


def name_entries(found: Sequence[tuple[Dataset, list[Dataset]]], target: Target) -> Iterator[Entry]:
    """Each instance with a name of its own; a number that is missing or doubled becomes a UID."""
    folders = Counter(_folder(series) for series, _ in found)
    for series, rows in found:
        folder, series_uid = _folder(series), text(series, "SeriesInstanceUID")
        if folders[folder] > 1:
            folder += "_" + series_uid
        numbers = Counter(integer(row, "InstanceNumber") for row in rows)
        for row in rows:
            uid, number = text(row, "SOPInstanceUID"), integer(row, "InstanceNumber")
            alone = number is not None and numbers[number] == 1
            name = f"{number:04d}" if number is not None and alone else uid
            yield Entry(f"{folder}/{name}.dcm", Target(target.study, series_uid, uid))


def _folder(series: Dataset) -> str:
    """Such as 003_CT_Брюшная_полость."""
    number = integer(series, "SeriesNumber")
    words = [text(series, "Modality"), text(series, "SeriesDescription")]
    clean = [NOT_IN_NAMES.sub("_", word).strip("_")[:LONGEST_WORD] for word in words]
    return "_".join([f"{number or 0:03d}", *(word for word in clean if word)])
