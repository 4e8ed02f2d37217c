"""Metadata (PS3.18 10.4.1.1.2) as DICOM JSON or native XML, with our own addresses in it."""

from collections.abc import Iterator, Sequence

import orjson
from flask import Response

from gateway.dicom.attributes import Dataset, rewrite_uris
from gateway.dicom.media_types import DICOM_JSON, DICOM_XML, MULTIPART, choose_rows
from gateway.dicom.multipart import closing, new_boundary, part_head
from gateway.dicom.native_model import to_xml
from gateway.errors import SiteError, SiteStreamCut
from gateway.federation.retrieve import checked_blocks
from gateway.orthanc import dicomweb
from gateway.web.opening import Opener, target_of
from gateway.web.representation import located
from gateway.web.scope import accepted
from gateway.web.streaming import warn_of_silence
from gateway.web.versions import Versions, stamp


class Metadata:
    """The view; `versions` knows when an answer cannot have changed."""

    def __init__(self, opener: Opener, versions: Versions) -> None:
        self._opener = opener
        self._versions = versions

    def metadata(self, site_id: str | None = None, **uids: str) -> Response:
        choice = choose_rows(accepted())
        scope = self._opener.scope(site_id)
        target = target_of(uids, "/metadata")
        location = self._opener.locate(scope, target.study)
        form = f"metadata {choice.media_type}"
        unchanged = self._versions.not_modified(location, form)
        if unchanged is not None:
            return unchanged
        while True:
            opened = self._opener.open(scope, target, DICOM_JSON, "metadata", location)
            # Read before the bytes: what changes meanwhile must not get the new version's tag.
            tag = self._versions.tag(target.study, opened.site.site_id, form)
            try:
                blocks = checked_blocks(opened, None)
                datasets = dicomweb.read_metadata(opened.site, blocks, target.study)
                if opened.is_short and opened.is_short(len(datasets)):
                    raise SiteStreamCut(opened.site.site_id, f"only {len(datasets)} datasets")
                break
            except SiteError as error:  # nothing has been sent yet: the next holder may do better
                location = location.without(opened.site.site_id, error.code)
        rewrite_uris(datasets, lambda uri: dicomweb.public_uri(opened.site, uri, scope.service_url))
        answer = as_json(datasets) if choice.media_type == DICOM_JSON else as_xml(datasets)
        warn_of_silence(answer, opened)
        return located(stamp(answer, tag, weak=choice.media_type != DICOM_JSON), opened)


def as_json(datasets: Sequence[Dataset]) -> Response:
    return Response(orjson.dumps(datasets), content_type=DICOM_JSON)


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
