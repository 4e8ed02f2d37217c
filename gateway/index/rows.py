"""Makes the index rows of one study of what its site says of it. Pure."""

from datetime import UTC, tzinfo

import orjson

from gateway.dicom.attributes import Dataset, integer, make, text, values
from gateway.dicom.names import repair
from gateway.dicom.uids import is_lenient_uid
from gateway.index.columns import series_columns, study_columns
from gateway.model.persons import with_issuer
from gateway.model.rollout.senders import shown_by
from gateway.orthanc.feed import Listed
from gateway.orthanc.study_records import StudyRecord
from gateway.records.indexing import IndexRow

MODALITIES, SERIES, INSTANCES = "00080061", "00201206", "00201208"
MOST = 2**31 - 1  # what a column takes; a hostile site may claim more


def row_of(listed: Listed, found: StudyRecord, issuer: str, zone: tzinfo = UTC) -> IndexRow:
    """Columns and records of a study and its series, texts repaired (dicom/names.py).

    issuer  of the site's PatientIDs, for records that name none
    zone    of the times of its images
    Counts and modalities that the site left out are computed of its series.
    """
    series = {
        uid: repair(one)
        for one in found.series
        if is_lenient_uid(uid := text(one, "SeriesInstanceUID"))
    }
    record = with_issuer(_complete(repair(found.record), list(series.values())), issuer)
    study = {
        "study_uid": listed.study_uid,
        "orthanc_id": listed.orthanc_id,
        "mark": listed.mark,
        "changed_at": listed.changed_at,
        "arriving": listed.arriving,
        **study_columns(record),
        "series_count": _count(record, "NumberOfStudyRelatedSeries"),
        "instance_count": _count(record, "NumberOfStudyRelatedInstances"),
        "record": orjson.dumps(record),
    }
    rows = [
        {
            "series_uid": uid,
            "study_uid": listed.study_uid,
            **series_columns(one),
            "instance_count": _count(one, "NumberOfSeriesRelatedInstances"),
            "record": orjson.dumps(one),
        }
        for uid, one in series.items()
    ]
    return IndexRow(study, rows, shown_by(record, series.values(), zone))


def _complete(record: Dataset, series: list[Dataset]) -> Dataset:
    added: Dataset = {}
    if not values(record, "ModalitiesInStudy"):
        found = sorted({text(one, "Modality") for one in series} - {""})
        if found:
            added[MODALITIES] = make("ModalitiesInStudy", *found)
    if integer(record, "NumberOfStudyRelatedSeries") is None:
        added[SERIES] = make("NumberOfStudyRelatedSeries", len(series))
    if integer(record, "NumberOfStudyRelatedInstances") is None:
        total = sum(_count(one, "NumberOfSeriesRelatedInstances") for one in series)
        added[INSTANCES] = make("NumberOfStudyRelatedInstances", total)
    return {**record, **added} if added else record


def _count(record: Dataset, keyword: str) -> int:
    return min(max(integer(record, keyword) or 0, 0), MOST)
