"""What one copy of an instance at a site holds, told by its hashes (dicom/fingerprint.py)."""

from collections.abc import Iterator
from contextlib import contextmanager

from gateway.clock import Deadline
from gateway.dicom.fingerprint import Fingerprint, fingerprint
from gateway.dicom.media_types import parse_content_type
from gateway.dicom.multipart import MultipartReader, check_boundary
from gateway.errors import BadRequest, SiteRefused, SiteSpeaksGarbage
from gateway.model.sites import Site
from gateway.orthanc.answer import SiteAnswer
from gateway.orthanc.wire import Wire

ANSWER_LIMIT = 8192
AS_STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'


def has_content(
    wire: Wire, site: Site, path: str, content: Fingerprint, deadline: Deadline
) -> bool:
    """Whether the copy at `path` (holdings.list_copies) holds this content.

    Orthanc knows the MD5 of each file; only where that differs, or is not kept, the copy itself is
    read, because the same data set may stand behind another file meta information.
    raises  SiteError
    """
    if site.kind == "orthanc" and _stored_md5(wire, site, path, deadline) == content.file:
        return True
    return _read(wire, site, path, deadline).same_content(content)


def _stored_md5(wire: Wire, site: Site, path: str, deadline: Deadline) -> str:
    """ "" where the site does not keep it (StoreMD5ForAttachments)."""
    target = f"{path}/attachments/dicom/md5"
    with wire.open(site, "GET", target, deadline=deadline) as answer:
        raw = answer.read_all(ANSWER_LIMIT)
    return raw.decode("ascii", "replace").strip() if answer.status == 200 else ""


def _read(wire: Wire, site: Site, path: str, deadline: Deadline) -> Fingerprint:
    with open_copy(wire, site, path, deadline) as blocks:
        return fingerprint(blocks)


@contextmanager
def open_copy(wire: Wire, site: Site, path: str, deadline: Deadline) -> Iterator[Iterator[bytes]]:
    """The file behind `path` (holdings.list_copies), block by block, as the site stores it.

    deadline  until it begins; then it may take as long as it does not stop
    raises    SiteError; SiteRefused with 404 if it has gone
    """
    target, headers = f"{path}/file", []
    if site.kind != "orthanc":
        target, headers = site.dicomweb_root + path, [("Accept", AS_STORED)]
    with wire.open(
        site, "GET", target, deadline=deadline, headers=headers, carries_pixels=True
    ) as answer:
        if answer.status != 200:
            raise SiteRefused(site.site_id, answer.status, "a stored copy")
        answer.become_stream()
        blocks = iter(answer.read, b"")
        yield blocks if site.kind == "orthanc" else _only_part(answer, blocks)


def _only_part(answer: SiteAnswer, blocks: Iterator[bytes]) -> Iterator[bytes]:
    try:
        _, parameters = parse_content_type(answer.content_type)
        boundary = check_boundary(parameters.get("boundary"))
        for part in MultipartReader(lambda _size: next(blocks, b""), boundary):
            yield from part.chunks
    except BadRequest as error:
        raise SiteSpeaksGarbage(answer.site.site_id, "no instance") from error
