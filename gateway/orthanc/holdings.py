"""What a site holds of one study: counts, copies, series and patients, asked anew each time.

Searches of a caller are dicomweb.py's; these are the gateway's own questions.
"""

import hashlib
import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from gateway.clock import Deadline, monotonic_s
from gateway.dicom import part10
from gateway.dicom.attributes import Dataset, Level, integer, text
from gateway.dicom.names import repair
from gateway.dicom.query import Query
from gateway.dicom.uids import is_lenient_uid
from gateway.errors import SiteRefused, SiteSpeaksGarbage
from gateway.model.answers import Holder
from gateway.model.persons import Identity, identity_of, with_issuer
from gateway.model.sites import Site
from gateway.orthanc.dicomweb import ROWS_LIMIT, ask_rows, search, try_rows
from gateway.orthanc.entries import (
    KEY,
    PLAIN,
    SEARCH_LIMIT_BYTES,
    find_entries,
    find_rows,
    instance_ids,
    main_tags,
    read_object,
    row_of,
)
from gateway.orthanc.wire import Wire

FIND_PAGE = 2000  # some 6 MB of memory
PATIENT_ID = 0x00100020


def find_study(wire: Wire, site: Site, study_uid: str, deadline: Deadline) -> Holder | None:
    """How much of a study the site holds; None if it answered that it has none of it."""
    start = monotonic_s()
    target = f"{site.dicomweb_root}/studies?StudyInstanceUID={study_uid}"
    rows = [
        row
        for row in _described(wire, site, Level.STUDY, study_uid, target, deadline)
        if text(row, "StudyInstanceUID") == study_uid
    ]
    if not rows:
        return None
    count = integer(rows[0], "NumberOfStudyRelatedInstances") or 0
    # The row does not tell whose the PatientID is where that is not asked, at the cost of a file.
    patient = replace(identity_of(rows[0]), issuer="")
    return Holder(site.site_id, count, monotonic_s() - start, patient)


def _described(
    wire: Wire, site: Site, level: Level, uid: str, target: str, deadline: Deadline
) -> list[Dataset]:
    """What QIDO says of one study or series, or its entry where a damaged file keeps it from that:
    the other images can be had all the same."""
    rows = try_rows(wire, site, target, deadline)
    return find_rows(wire, site, level, [uid], deadline) if isinstance(rows, SiteRefused) else rows


def count_instances(
    wire: Wire, site: Site, study_uid: str, series_uid: str | None, deadline: Deadline
) -> int:
    """Instances of a study or series at the site, asked anew; 0 if there are none, or it does not
    count them. raises SiteError
    """
    if series_uid is None:
        holder = find_study(wire, site, study_uid, deadline)
        return holder.instances if holder is not None else 0
    path = f"{site.dicomweb_root}/studies/{study_uid}/series"
    target = f"{path}?SeriesInstanceUID={series_uid}&includefield=00201209"
    rows = _described(wire, site, Level.SERIES, series_uid, target, deadline)
    named = [row for row in rows if text(row, "SeriesInstanceUID") == series_uid]
    return (integer(named[0], "NumberOfSeriesRelatedInstances") or 0) if named else 0


def list_copies(
    wire: Wire, site: Site, study_uid: str, deadline: Deadline
) -> dict[str, tuple[str, ...]]:
    """SOP instance UID -> paths of the copies that the site holds of it, asked anew.

    The paths are for copies.py. Orthanc holds a UID twice if it came under two PatientIDs.
    """
    found: dict[str, tuple[str, ...]] = {}
    if site.kind != "orthanc":
        query = Query(level=Level.INSTANCE, study_uid=study_uid, limit=ROWS_LIMIT)
        page = search(wire, site, query, deadline)
        if page.truncated:
            raise SiteSpeaksGarbage(site.site_id, f"more than {ROWS_LIMIT} instances of a study")
        for row in page.rows:
            uid, series = text(row, "SOPInstanceUID"), text(row, "SeriesInstanceUID")
            if is_lenient_uid(series):
                found[uid] = (f"/studies/{study_uid}/series/{series}/instances/{uid}",)
        return found
    for entry in find_instances(wire, site, study_uid, deadline):
        uid, orthanc_id = main_tags(entry).get("SOPInstanceUID", ""), str(entry.get("ID"))
        path = f"/instances/{orthanc_id}"
        if PLAIN.fullmatch(orthanc_id) and path not in found.get(uid, ()):
            found[uid] = (*found.get(uid, ()), path)
    return found


def find_stored(
    wire: Wire,
    site: Site,
    study_uid: str,
    instances: Collection[part10.Identity],
    deadline: Deadline,
) -> dict[str, tuple[str, ...]]:
    """As list_copies, but of these instances alone if the site lists all of them.

    An Orthanc then tells nothing but ids, which follow from what the instances say of themselves:
    a tenth of the time that its entries take.
    """
    if site.kind == "orthanc" and instances:
        paths = {orthanc_id(one): one.sop_instance_uid for one in instances}
        series = find_entries(wire, site, Level.SERIES, {"StudyInstanceUID": study_uid}, deadline)
        if paths.keys() <= {name for one in series for name in instance_ids(one)}:
            return {uid: (f"/instances/{name}",) for name, uid in paths.items()}
    return list_copies(wire, site, study_uid, deadline)


def orthanc_id(instance: part10.Identity) -> str:
    """What an Orthanc calls this instance; of a PatientID that is not ASCII another one."""
    patient_id = dict(instance.patient).get(PATIENT_ID, b"").decode("ascii", "replace")
    uids = (instance.study_uid, instance.series_uid, instance.sop_instance_uid)
    name = "|".join((patient_id, *uids)).encode()
    digest = hashlib.sha1(name, usedforsecurity=False).hexdigest()
    return "-".join(digest[at : at + 8] for at in range(0, len(digest), 8))


def list_held(
    wire: Wire, site: Site, study_uid: str, deadline: Deadline, by_uid: bool
) -> dict[str, frozenset[str]]:
    """Series UID -> its instances at the site, by SOP instance UID; {} if it has none of the study.

    by_uid  False: an Orthanc may name them by its own ids, which come with the series alone; they
            are digests of PatientID and UIDs, so the same id is the same instance everywhere
    """
    found: dict[str, set[str]] = {}
    if site.kind != "orthanc":
        query = Query(level=Level.INSTANCE, study_uid=study_uid, limit=ROWS_LIMIT)
        page = search(wire, site, query, deadline)
        if page.truncated:
            raise SiteSpeaksGarbage(site.site_id, f"more than {ROWS_LIMIT} instances of a study")
        for row in page.rows:
            found.setdefault(text(row, "SeriesInstanceUID"), set()).add(text(row, KEY[query.level]))
        return {uid: frozenset(names) for uid, names in found.items() if is_lenient_uid(uid)}
    keys = {"StudyInstanceUID": study_uid}
    series = find_entries(wire, site, Level.SERIES, keys, deadline)
    uids = _series_uids(series)
    if not by_uid:
        for one in series:
            if names := instance_ids(one):
                found.setdefault(uids[str(one.get("ID"))], set()).update(names)
        return {uid: frozenset(names) for uid, names in found.items() if is_lenient_uid(uid)}
    for entry in find_instances(wire, site, study_uid, deadline):
        name = main_tags(entry).get("SOPInstanceUID", "")
        if is_lenient_uid(name):
            found.setdefault(uids.get(str(entry.get("ParentSeries")), ""), set()).add(name)
    return {uid: frozenset(names) for uid, names in found.items() if is_lenient_uid(uid)}


def find_instances(
    wire: Wire, site: Site, study_uid: str, deadline: Deadline, *content: str
) -> Iterator[dict[str, Any]]:
    """Orthanc's entries of all instances of a study, page by page.

    content  what each entry shall have; an Orthanc before 1.12.5 does not know this word, and
             gives what it always gives
    """
    wanted = {"ResponseContent": content} if content else {}
    for since in itertools.count(0, FIND_PAGE):
        part = {"Since": since, "Limit": FIND_PAGE, **wanted}
        keys = {"StudyInstanceUID": study_uid}
        entries = find_entries(wire, site, Level.INSTANCE, keys, deadline, part)
        yield from entries
        if len(entries) < FIND_PAGE:
            return


def find_series_uids(wire: Wire, site: Site, study_uid: str, deadline: Deadline) -> dict[str, str]:
    """Orthanc's id of each series of a study -> its SeriesInstanceUID."""
    keys = {"StudyInstanceUID": study_uid}
    return _series_uids(find_entries(wire, site, Level.SERIES, keys, deadline))


def _series_uids(series: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    return {str(one.get("ID")): main_tags(one).get("SeriesInstanceUID", "") for one in series}


def find_patients(
    wire: Wire, site: Site, study_uid: str, deadline: Deadline
) -> frozenset[Identity] | None:
    """Of whom the site holds a study, as its records say; None if it holds none of it."""
    if site.kind == "orthanc":
        found = find_entries(wire, site, Level.STUDY, {"StudyInstanceUID": study_uid}, deadline)
        rows = [row_of(main_tags(entry, "PatientMainDicomTags")) for entry in found]
    else:
        target = f"{site.dicomweb_root}/studies?StudyInstanceUID={study_uid}&includefield=00100020"
        rows = ask_rows(wire, site, target, deadline)
        rows = [row for row in rows if text(row, "StudyInstanceUID") == study_uid]
    issuer = site.patient_id_issuer
    return frozenset(identity_of(with_issuer(repair(row), issuer)) for row in rows) or None


def find_studies_of(
    wire: Wire, site: Site, sop_uids: Collection[str], deadline: Deadline
) -> set[tuple[str, str]]:
    """(study UID, SOP instance UID) of whatever the site holds under these, in whichever study.

    raises  SiteError
    """
    if site.kind != "orthanc":
        asked = f"SOPInstanceUID={','.join(sorted(sop_uids))}&limit={ROWS_LIMIT}"
        rows = ask_rows(wire, site, f"{site.dicomweb_root}/instances?{asked}", deadline)
        named = {(text(row, "StudyInstanceUID"), text(row, "SOPInstanceUID")) for row in rows}
        return {(study, uid) for study, uid in named if study and uid in sop_uids}
    keys = {"SOPInstanceUID": "\\".join(sorted(sop_uids))}
    studies: dict[str, str] = {}
    found = set()
    for entry in find_entries(wire, site, Level.INSTANCE, keys, deadline):
        uid, parent = main_tags(entry).get("SOPInstanceUID", ""), str(entry.get("ParentSeries"))
        if uid in sop_uids and PLAIN.fullmatch(parent):
            if parent not in studies:
                studies[parent] = _study_of_series(wire, site, parent, deadline)
            found.add((studies[parent], uid))
    return found


def _study_of_series(wire: Wire, site: Site, orthanc_id: str, deadline: Deadline) -> str:
    with wire.open(site, "GET", f"/series/{orthanc_id}/study", deadline=deadline) as answer:
        if answer.status != 200:
            raise SiteRefused(site.site_id, answer.status, "the study of a series")
        study = read_object(answer.read_all(SEARCH_LIMIT_BYTES))
    return main_tags(study).get("StudyInstanceUID", "")


def find_series(
    wire: Wire, site: Site, study_uid: str, series_uid: str | None, deadline: Deadline
) -> list[list[str]]:
    """Orthanc's ids of the instances of each series of a study, or of the one series."""
    keys = {"StudyInstanceUID": study_uid}
    if series_uid is not None:
        keys["SeriesInstanceUID"] = series_uid
    found = find_entries(wire, site, Level.SERIES, keys, deadline)
    return [ids for entry in found if (ids := instance_ids(entry))]
