"""Stores the parts of a request at one site and reports each instance by what the site then holds.

Parts are forwarded while they come: of each part only its first bytes are kept, to identify it.
No status proves a store (design.md 3.3): an instance counts as stored only if the site lists it
when asked again by another request.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

from gateway.dicom.multipart import Part, closing, new_boundary, part_head
from gateway.dicom.part10 import DEFLATED, Identity, MoreBytesNeeded, NotUnderstood, identify
from gateway.dicom.store_response import (
    CANNOT_UNDERSTAND,
    OTHER_STUDY,
    OUT_OF_RESOURCES,
    TRANSFER_SYNTAX,
    InstanceResult,
)
from gateway.errors import NoSiteAnswered, SiteBusy, SiteError

PREFIX_STEPS = (64 * 1024, 1024 * 1024, 16 * 1024 * 1024)

SendBody = Callable[[str, Iterable[bytes]], Mapping[str, int]]
"""(boundary, body) -> FailureReason by SOP instance UID, as the site's answer lists them."""

ListInstances = Callable[[str], frozenset[str]]
"""study_uid -> SOP instance UIDs that the site holds of it."""


@dataclass
class _Ledger:
    """What was forwarded and what was refused, in the order of the request."""

    results: list[InstanceResult] = field(default_factory=list)
    studies: set[str] = field(default_factory=set)


def store(
    parts: Iterable[Part],
    site_id: str,
    study_uid: str | None,
    send: SendBody,
    list_instances: ListInstances,
) -> tuple[InstanceResult, ...]:
    """Forward every part that can be identified; tell for each what became of it.

    study_uid  of the request's path; parts of another study are refused one by one
    raises     BadRequest if the request's framing breaks (then nothing is reported as stored),
               NoSiteAnswered if the site cannot say what it holds: the client may repeat safely
    """
    ledger = _Ledger()
    boundary = new_boundary()
    body = _forward(parts, study_uid, boundary, ledger)
    first = next(body, None)
    if first is None:
        return tuple(ledger.results)
    refused: Mapping[str, int] = {}
    failed: SiteError | None = None
    try:
        refused = send(boundary, chain([first], body))
    except SiteError as error:
        failed = error
    for _ in body:  # what the site did not take: the client hears our answer, and all is listed
        pass
    if isinstance(failed, SiteBusy) or (failed is not None and not failed.transient):
        raise NoSiteAnswered({site_id: failed.code}) from failed
    try:
        held = frozenset().union(*(list_instances(uid) for uid in ledger.studies))
    except SiteError as error:
        raise NoSiteAnswered({site_id: error.code}) from error
    return tuple(_settle(ledger.results, refused, held))


def _settle(
    results: Sequence[InstanceResult], refused: Mapping[str, int], held: frozenset[str]
) -> Iterator[InstanceResult]:
    for result in results:
        if result.failure is not None:
            yield result
        elif result.sop_instance_uid in refused:
            yield replace(result, failure=refused[result.sop_instance_uid])
        elif result.sop_instance_uid not in held:
            yield replace(result, failure=OUT_OF_RESOURCES)  # said nothing and kept nothing: E13
        else:
            yield result


def _forward(
    parts: Iterable[Part], study_uid: str | None, boundary: str, ledger: _Ledger
) -> Iterator[bytes]:
    """The body for the site: our boundary, plain part headers, bytes of each part untouched."""
    sent = False
    for part in parts:
        prefix, identity, failure = _read_identity(part)
        if failure is None and study_uid is not None and identity.study_uid != study_uid:
            failure = OTHER_STUDY
        ledger.results.append(
            InstanceResult(
                identity.sop_class_uid,
                identity.sop_instance_uid,
                identity.study_uid,
                identity.series_uid,
                failure,
            )
        )
        if failure is not None:
            continue
        ledger.studies.add(identity.study_uid)
        sent = True
        yield part_head(boundary, [("Content-Type", "application/dicom")]) + prefix
        yield from part.chunks
        yield b"\r\n"
    if sent:
        yield closing(boundary)


def _read_identity(part: Part) -> tuple[bytes, Identity, int | None]:
    """Read just enough of a part; (what was read, who it is, FailureReason or None)."""
    prefix = bytearray()
    whole = False
    for step in PREFIX_STEPS:
        while len(prefix) < step and not whole:
            block = next(part.chunks, None)
            whole = block is None
            prefix += block or b""
        try:
            return bytes(prefix), identify(bytes(prefix), whole=whole), None
        except MoreBytesNeeded:
            continue
        except NotUnderstood as error:
            identity = error.identity or Identity()
            deflated = identity.transfer_syntax in DEFLATED
            return b"", identity, TRANSFER_SYNTAX if deflated else CANNOT_UNDERSTAND
    return b"", Identity(), CANNOT_UNDERSTAND
