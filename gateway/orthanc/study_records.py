"""What a site's QIDO says of a study and its series: the records that the index keeps.

Records come for up to UIDS_PER_REQUEST studies at once (feed.py tells what that saves).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gateway.dicom.attributes import Dataset, integer, make, tag_of, text
from gateway.dicom.part10 import decoded
from gateway.errors import (
    SiteUnreachable,
)
from gateway.model.sites import Site
from gateway.orthanc.asking import (
    ABOUT_ONE,
    ALONE_S,
    SERIES_FIELDS,
    STUDY_FIELDS,
    Asker,
    list_of,
    object_of,
)
from gateway.orthanc.entries import series_row, study_row
from gateway.orthanc.feed import ORTHANC_ID, Listed
from gateway.orthanc.wire import Wire

UIDS_PER_REQUEST = 50
SHARE_S = 0.5  # and so much more for each of several
NOBODYS_UID = "1.2.826.0.1.3680043.10.999.0"
# What a server repeats of the study in each of its series; some questions bring it, some do not.
_REPEATED = {*STUDY_FIELDS.split(",")} - {*SERIES_FIELDS.split(","), tag_of("StudyInstanceUID")}


@dataclass(frozen=True)
class StudyRecord:
    """DICOM JSON of a study and of each of its series, as the site's QIDO gives them.

    Series do not repeat what stands in the study's record.
    """

    record: Dataset
    series: tuple[Dataset, ...]


def read_studies(
    wire: Wire, site: Site, studies: Sequence[Listed], within_s: float | None = None
) -> dict[str, StudyRecord]:
    """The records of these studies, at most UIDS_PER_REQUEST of them, at an Orthanc.

    within_s  for each of the few questions; None: the longer the more studies there are
    returns   by study UID, without those that the site does not have
    raises    SiteError; one of ABOUT_ONE if a single study may be to blame
    """
    within_s = within_s or min(ALONE_S + SHARE_S * len(studies), site.timeouts.metadata_s)
    ask = Asker(wire, site, within_s)
    found = _read_together(ask, [study.study_uid for study in studies])
    return {uid: _with_name(ask, uid, found[uid], studies) for uid in found}


def read_study(wire: Wire, site: Site, study: Listed) -> StudyRecord | None:
    """One study's record, within ALONE_S for each question; None if the site does not have it.

    raises  SiteError; one of ABOUT_ONE if the site cannot tell of this study, but of others
    """
    within_s = min(ALONE_S, site.timeouts.metadata_s)
    ask = Asker(wire, site, within_s)
    try:
        if site.kind == "orthanc":
            return read_studies(wire, site, [study], within_s).get(study.study_uid)
        return _read_alone(ask, study).get(study.study_uid)
    except ABOUT_ONE:
        # A question that no study answers to: if that fails too, it is the site.
        try:
            ask.search(f"/studies?StudyInstanceUID={NOBODYS_UID}", STUDY_FIELDS)
        except ABOUT_ONE as error:
            raise SiteUnreachable(site.site_id, f"search: {error.code}") from error
        raise


def read_entry(wire: Wire, site: Site, study: Listed) -> StudyRecord | None:
    """What an Orthanc knows of a study without its files, of which one is damaged or gone; None if
    the study is. raises SiteError
    """
    ask = Asker(wire, site, min(ALONE_S, site.timeouts.metadata_s))
    raw = ask.get(f"/studies/{study.orthanc_id}")
    if raw is None:
        return None
    entry = object_of(site, raw)
    series = list_of(site, ask.get(f"/studies/{study.orthanc_id}/series"))
    rows = [series_row({}, one) for one in series]
    uid = make("StudyInstanceUID", study.study_uid)
    return StudyRecord(study_row(entry, series), tuple({**row, "0020000D": uid} for row in rows))


def _read_together(ask: Asker, uids: Sequence[str]) -> dict[str, StudyRecord]:
    some = f"?StudyInstanceUID={','.join(uids)}"
    records = _by_uid(ask.search("/studies" + some, STUDY_FIELDS), uids)
    rows = ask.search("/series" + some, SERIES_FIELDS) if records else []
    series: dict[str, list[Dataset]] = {}
    for row in rows:
        series.setdefault(text(row, "StudyInstanceUID"), []).append(_lean(row))
    return {uid: StudyRecord(row, tuple(series.get(uid, ()))) for uid, row in records.items()}


def _with_name(ask: Asker, uid: str, found: StudyRecord, studies: Sequence[Listed]) -> StudyRecord:
    """The record with the patient's name from the file, where Orthanc has dropped its letters.

    It drops what its DefaultEncoding cannot read in a file that names no character set: of
    "Иван^Ян" in windows-1251 it leaves "^" (measured on both generations).
    """
    name = text(found.record, "PatientName")
    if not name or name.strip("^= "):
        return found
    orthanc_id = next((study.orthanc_id for study in studies if study.study_uid == uid), "")
    for series in list_of(ask.site, ask.get(f"/studies/{orthanc_id}/series") or b"[]"):
        for instance in (series.get("Instances") or ())[:1]:
            if ORTHANC_ID.fullmatch(str(instance)):
                raw = ask.get(f"/instances/{instance}/content/0010-0010") or b""
                charset = ask.get(f"/instances/{instance}/content/0008-0005") or b""
                name = _decode(raw, charset.decode("latin-1"))
                record = {**found.record, "00100010": make("PatientName", name)}
                return StudyRecord(record, found.series) if name.strip("^= ") else found
    return found


def _decode(raw: bytes, charset: str) -> str:
    """A name as it stands in a file; windows-1251 is what Russian devices write unnamed."""
    try:
        if b"\x1b" not in raw:  # escape sequences are ASCII too
            return raw.decode("utf-8").strip(" \0")
    except UnicodeDecodeError:
        pass
    named = decoded(raw, charset.strip(" \0").split("\\"))
    return (named or raw.decode("cp1251", "replace")).strip(" \0")


def _read_alone(ask: Asker, study: Listed) -> dict[str, StudyRecord]:
    uid = study.study_uid
    one = f"/studies?StudyInstanceUID={uid}"
    rows = [study.record] if study.record else ask.search(one, STUDY_FIELDS)
    records = _by_uid(rows, [uid])
    if not records:
        return {}
    series = ask.search(f"/studies/{uid}/series?", SERIES_FIELDS)
    mine = (_lean(row) for row in series if text(row, "StudyInstanceUID") in ("", uid))
    return {uid: StudyRecord(records[uid], tuple(mine))}


def _lean(series: Dataset) -> Dataset:
    return {tag: element for tag, element in series.items() if tag not in _REPEATED}


def _by_uid(rows: Iterable[Dataset], uids: Sequence[str]) -> dict[str, Dataset]:
    """One record for each UID: one UID of two patients at one site is taken once, never blended."""
    found: dict[str, Dataset] = {}
    for row in sorted(rows, key=_rank):
        uid = text(row, "StudyInstanceUID")
        if uid in uids:
            found[uid] = row
    return found


def _rank(record: Dataset) -> tuple[int, str]:
    return integer(record, "NumberOfStudyRelatedInstances") or 0, text(record, "PatientID")
