"""Tests a connection before any study goes: is it there, does it take us, has it room?

Nothing is stored: a store request without instances is all that is sent.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from gateway.clock import Deadline
from gateway.dicom.multipart import closing, new_boundary
from gateway.errors import SiteError, SiteRefused
from gateway.model.destinations import Destination
from gateway.model.sites import Site
from gateway.orthanc.dicomweb import ping
from gateway.orthanc.rest import statistics, system
from gateway.orthanc.sending import UNKNOWN_MODALITY, echo_modality
from gateway.orthanc.storing import send_store
from gateway.orthanc.wire import Wire
from gateway.routing.consignment import event_of, event_of_status

NO_STORE = (404, 405, 501)
MEGABYTE = 2**20


@dataclass(frozen=True)
class Check:
    """One answer of a destination.

    what    "answers", "stores", "room", or "node ID": C-ECHO from the Orthanc of that site
    reason  a code of model/delivery_words.py; "" if it is well
    facts   version, instances, used_bytes, free_bytes: what it tells of itself
    """

    what: str
    reason: str = ""
    facts: Mapping[str, object] = field(default_factory=dict)


def try_destination(
    wire: Wire, destination: Destination, sites: Sequence[Site]
) -> tuple[Check, ...]:
    """Ask it everything that a delivery needs; the first thing that fails ends what follows of it.

    sites  of the region: their Orthancs are asked to reach a destination of kind `dicom`
    """
    checks: list[Check] = []
    server = destination.server
    if server is not None:
        checks += _try_server(wire, destination, server)
    if destination.modality:
        checks += [
            _try_node(wire, site, destination.modality)
            for site in sites
            if site.kind == "orthanc" and site is not server and site.role == "hospital"
        ]
    return tuple(checks)


def _try_server(wire: Wire, destination: Destination, server: Site) -> Iterator[Check]:
    try:
        if server.kind == "orthanc":
            facts = _facts(server)
            yield Check("answers", "", facts)
            free = facts.get("free_bytes")
            if isinstance(free, int):
                yield Check("room", "" if free > 0 else "destination_full", {"free_bytes": free})
        else:
            ping(wire, server, Deadline(server.timeouts.search_s))
            yield Check("answers")
    except SiteError as error:
        reason = event_of(error)[1]
        yield Check("answers", "garbage" if reason == "refused" else reason)
        return
    if destination.kind == "dicomweb":
        yield Check("stores", _why_no_store(wire, server))


def _facts(server: Site) -> dict[str, object]:
    """Version and how full it is; only an Orthanc with a limit tells what is left (1.12)."""
    said, counts = system(server), statistics(server)
    used = str(counts.get("TotalDiskSize", ""))
    facts: dict[str, object] = {
        "version": said.get("Version"),
        "instances": counts.get("CountInstances"),
    }
    if used.isdecimal():
        facts["used_bytes"] = int(used)
        limit = said.get("MaximumStorageSize")
        if isinstance(limit, int) and limit > 0 and said.get("MaximumStorageMode") == "Reject":
            facts["free_bytes"] = max(0, limit * MEGABYTE - int(used))
    return facts


def _why_no_store(wire: Wire, server: Site) -> str:
    """Why a store request without instances is not taken; servers differ in what they call it."""
    boundary = new_boundary()
    try:
        longest_s = server.timeouts.store_s
        status = send_store(wire, server, boundary, iter([closing(boundary)]), longest_s).status
    except SiteRefused as error:
        status = error.status
    except SiteError as error:
        return event_of(error)[1]
    if status in NO_STORE:
        return "garbage"
    return event_of_status(status)[1] if status >= 500 else ""


def _try_node(wire: Wire, site: Site, modality: str) -> Check:
    what = f"node {site.site_id}"
    try:
        echo_modality(wire, site, modality)
    except SiteRefused as error:
        unknown = error.status == UNKNOWN_MODALITY
        return Check(what, "no_modality" if unknown else "unreachable")
    except SiteError:
        return Check(what, "source_silent")
    return Check(what)
