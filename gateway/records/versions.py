"""Which version of a study each site holds: the mark of its row in the study index."""

from collections.abc import Mapping

import sqlalchemy as sa

from gateway.records.engine import Records
from gateway.records.studies import study


def load_marks(records: Records, study_uid: str) -> Mapping[str, str]:
    """Mark by site id; it stays the same as long as the study has not changed there."""
    question = sa.select(study.c.site_id, study.c.mark).where(study.c.study_uid == study_uid)
    with records.read() as connection:
        return {site_id: mark for site_id, mark in connection.execute(question) if mark}
