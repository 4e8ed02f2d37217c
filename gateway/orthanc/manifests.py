"""Reads what a site holds of a study: its manifest, with sizes and MD5 as Orthanc keeps them.

Orthanc from 1.12.5 on gives both for 2,000 instances in one answer; an older one gives the sizes so
and the MD5 one by one (measured: 0.3 ms each). Other servers tell neither.
"""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import orjson

from gateway.clock import Deadline
from gateway.dicom.uids import is_lenient_uid
from gateway.errors import NotFound, SiteRefused, SiteSpeaksGarbage
from gateway.model.manifests import Instance, Manifest, make_manifest
from gateway.model.sites import Site
from gateway.orthanc.entries import PLAIN, main_tags
from gateway.orthanc.holdings import find_instances, find_series_uids, list_copies
from gateway.orthanc.wire import Wire

AT_ONCE = 4
ANSWER_LIMIT = 8192
DICOM_FILE = 1  # Orthanc's number for the attachment that is the instance itself
CONTENT = ("MainDicomTags", "Parent", "Attachments")


@dataclass(frozen=True)
class Held:
    """One instance at a site, and the path by which copies.py reads it there."""

    instance: Instance
    path: str


def read_manifest(wire: Wire, site: Site, study_uid: str, deadline: Deadline) -> Manifest:
    """The study as the site holds it now.

    raises  NotFound if the site answered that it has none of it; SiteError
    """
    held = list_files(wire, site, study_uid, deadline, hashes=True)
    if not held:
        raise NotFound(study_uid)
    return make_manifest(study_uid, [one.instance for one in held])


def list_files(
    wire: Wire, site: Site, study_uid: str, deadline: Deadline, *, hashes: bool
) -> list[Held]:
    """Every file of the study at the site, asked anew; [] if it has none of it.

    hashes  also the MD5 of each, where the site keeps it
    raises  SiteError
    """
    if site.kind != "orthanc":
        copies = list_copies(wire, site, study_uid, deadline)
        return [Held(Instance(uid, _series_of(path)), path) for uid, (path,) in copies.items()]
    content = CONTENT if hashes else ()
    entries = list(find_instances(wire, site, study_uid, deadline, *content))
    series = find_series_uids(wire, site, study_uid, deadline) if entries else {}
    held = [found for entry in entries if (found := _held(entry, series)) is not None]
    lacking = [one for one in held if hashes and not one.instance.md5]
    if not lacking:
        return held
    with ThreadPoolExecutor(min(AT_ONCE, len(lacking))) as pool:
        known = pool.map(lambda one: _with_hash(wire, site, one, deadline), lacking)
        return [one for one in held if one.instance.md5] + [one for one in known if one is not None]


def _series_of(path: str) -> str:
    return path.split("/")[4]  # /studies/1.2/series/1.2.3/instances/1.2.3.4


def _held(entry: Mapping[str, Any], series: Mapping[str, str]) -> Held | None:
    """What Orthanc says of one instance; None if it has no proper name (hostile sites, H84)."""
    uid, orthanc_id = main_tags(entry).get("SOPInstanceUID", ""), str(entry.get("ID"))
    series_uid = series.get(str(entry.get("ParentSeries")), "")
    if not (is_lenient_uid(uid) and is_lenient_uid(series_uid) and PLAIN.fullmatch(orthanc_id)):
        return None
    size, md5 = entry.get("FileSize"), ""
    for info in _attachments(entry):
        size, md5 = info.get("UncompressedSize"), str(info.get("UncompressedMD5", ""))
    known = size if isinstance(size, int) else 0
    return Held(Instance(uid, series_uid, known, md5), f"/instances/{orthanc_id}")


def _attachments(entry: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    found = entry.get("Attachments")
    for info in found if isinstance(found, list) else ():
        if isinstance(info, dict) and info.get("ContentType") == DICOM_FILE:
            yield info


def _with_hash(wire: Wire, site: Site, held: Held, deadline: Deadline) -> Held | None:
    """None if it has gone since it was listed."""
    target = f"{held.path}/attachments/dicom/info"
    with wire.open(site, "GET", target, deadline=deadline) as answer:
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise SiteRefused(site.site_id, answer.status, "an attachment")
        raw = answer.read_all(ANSWER_LIMIT)
    try:
        info = orjson.loads(raw)
        size, md5 = int(info["UncompressedSize"]), str(info["UncompressedMD5"])
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise SiteSpeaksGarbage(site.site_id, "no attachment") from error
    return replace(held, instance=replace(held.instance, size=size, md5=md5))
