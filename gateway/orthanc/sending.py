"""Gives instances to an Orthanc by its own REST API, and lets a hospital's Orthanc send by C-STORE.

Of the addresses below /modalities only those of named modalities are called, which the hospital's
own configuration lists: echo, store, storage commitment, query.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson

from gateway.clock import Deadline
from gateway.dicom.uids import is_lenient_uid
from gateway.errors import SiteRefused, SiteSpeaksGarbage, SiteTimeout
from gateway.model.sites import Site
from gateway.orthanc.entries import PLAIN
from gateway.orthanc.storing import CANNOT_WRITE, FULL, Counted
from gateway.orthanc.wire import Wire

ANSWER_LIMIT = 64 * 1024
FOUND_LIMIT = 64 * 2**20
LOOK_EVERY_S = 0.25
COMMITTED_S = 120.0
UNKNOWN_MODALITY = 404

Watch = Callable[[], None]
"""Called while something is waited for; raises to end it."""


def post_instance(
    wire: Wire, server: Site, body: bytes | Iterable[bytes], longest_s: float
) -> bool:
    """POST /instances. False: it has that UID already, whatever it holds (routing.md E15).

    raises  SiteError; SiteRefused with 507 if there is no room; with 400 if it takes no such file
    """
    counted = None if isinstance(body, bytes) else Counted(server, body)
    with wire.open(
        server,
        "POST",
        "/instances",
        deadline=Deadline(longest_s if counted else server.timeouts.store_s),
        headers=[("Content-Type", "application/dicom")],
        body=counted or body,
        answer_s=counted.answer_s if counted else None,
        carries_pixels=True,
    ) as answer:
        said = _object(server, answer.read_all(ANSWER_LIMIT), answer.status == 200)
        full = answer.status == FULL or said.get("OrthancStatus") in CANNOT_WRITE
        if answer.status >= 500 and not full:
            raise SiteRefused(server.site_id, answer.status, "an instance")
    if full or answer.status != 200:  # outside: such a server can still be read
        raise SiteRefused(server.site_id, FULL if full else answer.status, "an instance")
    return said.get("Status") == "Success"


def echo_modality(wire: Wire, site: Site, modality: str) -> None:
    """C-ECHO from the site's Orthanc; raises SiteError, SiteRefused 404 if it knows no such one."""
    _post(wire, site, f"/modalities/{_named(modality)}/echo", {}, Deadline(site.timeouts.store_s))


def store_by_modality(
    wire: Wire, site: Site, modality: str, orthanc_ids: Sequence[str], watch: Watch
) -> None:
    """Let the site's Orthanc C-STORE these instances; returns when it has done it, well or badly.

    Which of them arrived is to be asked afterwards: its job tells only that some did not.
    raises  SiteError; SiteRefused with 404 if it knows no such modality
    """
    job = _post(
        wire,
        site,
        f"/modalities/{_named(modality)}/store",
        {"Resources": list(orthanc_ids), "Asynchronous": True, "Permissive": True},
        Deadline(site.timeouts.store_s),
    )
    job_id = str(job.get("ID"))
    if not PLAIN.fullmatch(job_id):
        raise SiteSpeaksGarbage(site.site_id, "no job")
    try:
        while _get(wire, site, f"/jobs/{job_id}").get("State") in ("Pending", "Running", "Retry"):
            watch()
            time.sleep(LOOK_EVERY_S)
    except BaseException:
        _post(wire, site, f"/jobs/{job_id}/cancel", {}, Deadline(site.timeouts.probe_s))
        raise


def read_sop_class(wire: Wire, site: Site, orthanc_id: str) -> str:
    """SOP class UID of an instance that the site holds; raises SiteError."""
    target = f"/instances/{orthanc_id}/metadata/SopClassUid"
    with wire.open(site, "GET", target, deadline=Deadline(site.timeouts.metadata_s)) as answer:
        if answer.status != 200:
            raise SiteRefused(site.site_id, answer.status, "an instance")
        found = answer.read_all(ANSWER_LIMIT).decode("latin-1").strip("\0 ")
    if not is_lenient_uid(found):
        raise SiteSpeaksGarbage(site.site_id, "no SOP class")
    return found


def ask_commitment(
    wire: Wire, site: Site, modality: str, asked_for: Mapping[str, Any], watch: Watch
) -> dict[str, int]:
    """Storage commitment (PS3.4 J) asked by the site's Orthanc: SOP instance UID -> 0, or the
    reason why the archive does not commit itself.

    asked_for  "Resources": ids of the site's Orthanc; or "DicomInstances": (SOP class UID, SOP
               instance UID) as the archive has them, whatever the site has
    raises     SiteError; SiteTimeout if the archive never answered
    """
    asked = _post(
        wire,
        site,
        f"/modalities/{_named(modality)}/storage-commitment",
        asked_for,
        Deadline(site.timeouts.store_s),
    )
    transaction = str(asked.get("ID"))
    if not is_lenient_uid(transaction):
        raise SiteSpeaksGarbage(site.site_id, "no transaction")
    deadline = Deadline(COMMITTED_S)
    while True:
        said = _get(wire, site, f"/storage-commitment/{transaction}")
        if said.get("Status") != "Pending":
            break
        if deadline.passed:
            raise SiteTimeout(site.site_id, COMMITTED_S)
        watch()
        time.sleep(LOOK_EVERY_S)
    committed = {uid: 0 for uid, _ in _referred(said.get("Success"))}
    return committed | {uid: reason or 0x0110 for uid, reason in _referred(said.get("Failures"))}


def find_by_modality(wire: Wire, site: Site, modality: str, study_uid: str) -> frozenset[str]:
    """SOP instance UIDs of a study at a modality, asked by C-FIND through the site's Orthanc."""
    deadline = Deadline(site.timeouts.store_s)
    keys = {"StudyInstanceUID": study_uid, "SeriesInstanceUID": "", "SOPInstanceUID": ""}
    question = {"Level": "Instance", "Query": keys}
    asked = _post(wire, site, f"/modalities/{_named(modality)}/query", question, deadline)
    query_id = str(asked.get("ID"))
    if not PLAIN.fullmatch(query_id):
        raise SiteSpeaksGarbage(site.site_id, "no query")
    target = f"/queries/{query_id}/answers?expand&simplify"
    with wire.open(site, "GET", target, deadline=deadline) as answer:
        if answer.status != 200:
            raise SiteRefused(site.site_id, answer.status, "a query")
        raw = answer.read_all(FOUND_LIMIT)
    try:
        rows = orjson.loads(raw)
        return frozenset(str(row["SOPInstanceUID"]) for row in rows)
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise SiteSpeaksGarbage(site.site_id, "no answers of a query") from error


def _named(modality: str) -> str:
    if not PLAIN.fullmatch(modality):
        raise ValueError("a modality's name is checked where it is read")  # a fault of ours
    return modality


def _referred(items: Any) -> Iterator[tuple[str, int]]:
    for item in items if isinstance(items, list) else ():
        if isinstance(item, dict):
            reason = item.get("FailureReason")
            yield str(item.get("SOPInstanceUID")), reason if isinstance(reason, int) else 0


def _post(
    wire: Wire, site: Site, target: str, question: Mapping[str, Any], deadline: Deadline
) -> dict[str, Any]:
    headers = [("Content-Type", "application/json")]
    body = orjson.dumps(question)
    with wire.open(site, "POST", target, deadline=deadline, headers=headers, body=body) as answer:
        raw = answer.read_all(ANSWER_LIMIT)
    # Outside: Orthanc says 500 when the modality does not answer it, and is well itself.
    if answer.status != 200:
        raise SiteRefused(site.site_id, answer.status, "a modality")
    return _object(site, raw, strict=True)


def _get(wire: Wire, site: Site, target: str) -> dict[str, Any]:
    with wire.open(site, "GET", target, deadline=Deadline(site.timeouts.metadata_s)) as answer:
        if answer.status != 200:
            raise SiteRefused(site.site_id, answer.status, "a job")
        return _object(site, answer.read_all(FOUND_LIMIT), strict=True)


def _object(site: Site, raw: bytes, strict: bool) -> dict[str, Any]:
    try:
        found = orjson.loads(raw or b"{}")
    except orjson.JSONDecodeError as error:
        if strict:
            raise SiteSpeaksGarbage(site.site_id, "no JSON") from error
        return {}
    if isinstance(found, dict):
        return found
    if strict:
        raise SiteSpeaksGarbage(site.site_id, "no JSON object")
    return {}
