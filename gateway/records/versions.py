"""Which version of a study or series each site holds: the mark of its row in the study index."""

from collections.abc import Mapping

import sqlalchemy as sa

from gateway.records.engine import Records
from gateway.records.studies import series, study


def load_series_marks(records: Records, study_uid: str, series_uid: str) -> Mapping[str, str]:
    """Mark by site id, of sites where it is known; the same as long as the series is."""
    question = sa.select(series.c.site_id, series.c.mark).where(
        series.c.study_uid == study_uid, series.c.series_uid == series_uid
    )
    with records.read() as connection:
        return {site_id: mark for site_id, mark in connection.execute(question) if mark}


def load_marks(records: Records, study_uid: str) -> Mapping[str, str]:
    """Mark by site id; it stays the same as long as the study has not changed there."""
    question = sa.select(study.c.site_id, study.c.mark).where(study.c.study_uid == study_uid)
    with records.read() as connection:
        return {site_id: mark for site_id, mark in connection.execute(question) if mark}
