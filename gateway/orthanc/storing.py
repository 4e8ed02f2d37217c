"""Stores at one site by STOW-RS, and knows how an Orthanc says that it has no room."""

from collections.abc import Iterable, Iterator

from gateway.clock import Deadline
from gateway.dicom.attributes import Dataset, integer, text, values
from gateway.errors import SiteRefused
from gateway.model.answers import SiteSaid
from gateway.model.sites import Site
from gateway.orthanc.entries import SEARCH_LIMIT_BYTES, read_object
from gateway.orthanc.request import Chunk, size_of
from gateway.orthanc.wire import Wire

FULL = 507
STORES_BYTES_S = 5 * 2**20
"""Slowest storing of a large instance: Orthanc begins when its last byte has come."""
STORES_S = 600.0
CANNOT_WRITE = (14, 19)  # Orthanc's numbers for "cannot write to file" and "file storage is full"


class Counted:
    """A body to be stored, and how long its site may take to answer: the longer, the more came."""

    def __init__(self, site: Site, body: Iterable[Chunk]) -> None:
        self._site, self._body, self._sent_bytes = site, body, 0

    def __iter__(self) -> Iterator[Chunk]:
        for chunk in self._body:
            self._sent_bytes += size_of(chunk)
            yield chunk

    def answer_s(self) -> float:
        """Seconds for the head of the answer, once all is sent."""
        return self._site.timeouts.store_s + min(self._sent_bytes / STORES_BYTES_S, STORES_S)


def send_store(
    wire: Wire, site: Site, boundary: str, body: Iterable[Chunk], longest_s: float
) -> SiteSaid:
    """Send a STOW-RS body in chunks; what the site's answer says of single instances.

    An error status with a body is an answer too (Orthanc says 400 and 409 when some are stored);
    what is really there is asked afterwards.
    raises  SiteError if the exchange itself failed; SiteRefused with 507 if the site has no room
    """
    counted = Counted(site, body)
    with wire.open(
        site,
        "POST",
        f"{site.dicomweb_root}/studies",
        deadline=Deadline(longest_s),
        headers=[
            ("Content-Type", f'multipart/related; type="application/dicom"; boundary={boundary}'),
            ("Accept", "application/dicom+json"),
        ],
        body=counted,
        answer_s=counted.answer_s,
        carries_pixels=True,
    ) as answer:
        full = answer.status == FULL
        module = {} if full else read_object(answer.read_all(SEARCH_LIMIT_BYTES))
        full |= answer.status >= 500 and module.get("OrthancStatus") in CANNOT_WRITE
        if answer.status >= 500 and not full:
            raise SiteRefused(site.site_id, answer.status)
    if full:  # outside, because it is no failure: such a site can still be read
        raise SiteRefused(site.site_id, FULL)
    failed = {uid: reason or 0x0110 for uid, reason in _reasons(module, "Failed", "Failure")}
    warned = {uid: reason for uid, reason in _reasons(module, "Referenced", "Warning") if reason}
    return SiteSaid(failed, warned, answer.status)


def _reasons(module: Dataset, sequence: str, reason: str) -> Iterator[tuple[str, int | None]]:
    """(SOP instance UID, reason) of each item; 16 bits are all that a reason may have."""
    for item in values(module, f"{sequence}SOPSequence"):
        if isinstance(item, dict):
            number = integer(item, f"{reason}Reason")
            known = number is not None and 0 < number < 0x10000
            yield text(item, "ReferencedSOPInstanceUID"), number if known else None
