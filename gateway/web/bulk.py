"""All bulk data of a study, series or instance, or its pixel data, in one multipart answer (PS3.18
10.4.1.1.5, 10.4.1.1.6); each part says in Content-Location which element of the metadata it is.

Sites have no such resources: the metadata tells what there is, and each element is asked for. What
people look at is uncompressed (8.7.3.3): pixels that a site stores otherwise are decoded here.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from flask import Response

from gateway.clock import Deadline
from gateway.dicom.attributes import Dataset, text
from gateway.dicom.media_types import EXPLICIT_LE, MULTIPART, OCTETS, choose_all_bulkdata
from gateway.dicom.multipart import closing, new_boundary, part_head
from gateway.dicom.uids import is_lenient_uid
from gateway.errors import NotFound, SiteSpeaksGarbage
from gateway.federation.retrieve import unwrapped
from gateway.model.sites import Site
from gateway.orthanc.answer import SiteAnswer
from gateway.web.decoding import pixel_data
from gateway.web.grants import check_files, may_be_by_grant
from gateway.web.metadata import PIXELS, Metadata
from gateway.web.opening import (
    WHOLE_AS_STORED,
    Opener,
    Target,
    boundary_of,
    target_of,
    upstream_type,
)
from gateway.web.representation import in_parts
from gateway.web.scope import Scope, accepted
from gateway.web.streaming import streamed

STORED_BYTES = f'{MULTIPART}; type="{OCTETS}"'
NATIVE = frozenset({EXPLICIT_LE, "1.2.840.10008.1.2", "1.2.840.10008.1.2.1.99"})


@dataclass(frozen=True)
class Element:
    """One bulk data element; `tag` is "" for what lies in a sequence."""

    tag: str
    uri: str
    instance: Target


class BulkData:
    """The views."""

    def __init__(self, opener: Opener, metadata: Metadata) -> None:
        self._opener = opener
        self._metadata = metadata

    def all(self, site_id: str | None = None, **uids: str) -> Response:
        return self._answer(site_id, uids, lambda _element: True)

    def pixels(self, site_id: str | None = None, **uids: str) -> Response:
        """Of the top level only: not those of an icon."""
        return self._answer(site_id, uids, lambda element: element.tag in PIXELS)

    def _answer(
        self, site_id: str | None, uids: dict[str, str], is_wanted: Callable[[Element], bool]
    ) -> Response:
        choose_all_bulkdata(accepted())
        scope = self._opener.scope(site_id)
        target = target_of(uids, "/metadata")
        if may_be_by_grant():
            check_files(target.study, self._opener.locate(scope, target.study))
        opened, datasets = self._metadata.datasets(scope, target)
        found = [one for one in _elements(datasets, scope.service_url) if is_wanted(one)]
        if not found:
            raise NotFound("bulk data")
        first = self._value(scope, found[0])  # what fails here has a status still
        boundary = new_boundary()

        def body() -> Iterator[bytes]:
            values = chain([first], (self._value(scope, one) for one in found[1:]))
            for element, value in zip(found, values, strict=True):
                about = [("Content-Type", OCTETS), ("Content-Location", element.uri)]
                yield part_head(boundary, about)
                yield from value
                yield b"\r\n"
            yield closing(boundary)

        media_type = f'{MULTIPART}; type="{OCTETS}"; boundary="{boundary}"'
        return in_parts(streamed(body(), media_type, None, opened), opened, None)

    def _value(self, scope: Scope, element: Element) -> Iterable[bytes]:
        """The bytes, opened; raises what Opener.open_at raises"""
        whole = element.instance
        target = replace(whole, below=element.uri.partition(whole.path)[2])
        decoded: dict[str, bool] = {}

        def open_at(site: Site) -> SiteAnswer:
            decoded[site.site_id] = self.is_compressed(site, whole, element.tag)
            if decoded[site.site_id]:
                return self._opener.ask(site, whole.path, WHOLE_AS_STORED)
            return self._opener.ask(site, target.path, STORED_BYTES)

        opened = self._opener.open_at(scope, target, open_at, "bulk data")
        kind, _ = upstream_type(opened)
        if kind != MULTIPART:
            opened.answer.close()
            raise SiteSpeaksGarbage(opened.site.site_id, "an unexpected media type")
        if decoded[opened.site.site_id]:
            return next(pixel_data(self._opener, whole, replace(opened, asked=whole.asked)))
        return unwrapped(opened, boundary_of(opened))[1]

    def is_compressed(self, site: Site, instance: Target, tag: str) -> bool:
        """Whether these are pixels that are stored otherwise than they are to be given (8.7.3.3):
        what Orthanc gives instead are no pixels at all, or the bytes of an offset table.
        """
        if tag.upper() not in PIXELS:
            return False
        deadline = Deadline(site.timeouts.search_s)
        stored = self._opener.gateway.stored
        return not stored.find(site, instance.study, instance.series, deadline) <= NATIVE


def _elements(datasets: Sequence[Dataset], service_url: str) -> Iterator[Element]:
    """Of each instance, those of the top level in the order of their tags first."""
    for dataset in datasets:
        uids = [
            text(dataset, name)
            for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
        ]
        if not all(map(is_lenient_uid, uids)):
            continue
        instance = Target(*uids)
        for tag, uri in _uris(dataset):
            if uri.startswith(service_url + instance.path + "/"):
                yield Element(tag, uri, instance)


def _uris(dataset: Dataset) -> Iterator[tuple[str, str]]:
    waiting: list[tuple[bool, Any]] = [(True, dataset)]
    while waiting:  # without recursion: hostile sites nest sequences deeply
        on_top, some = waiting.pop(0)
        for tag, element in sorted(some.items()) if isinstance(some, dict) else ():
            if not isinstance(element, dict):
                continue
            if isinstance(uri := element.get("BulkDataURI"), str):
                yield tag.upper() if on_top else "", uri
            elif element.get("vr") == "SQ":
                waiting += [(False, item) for item in element.get("Value") or ()]
