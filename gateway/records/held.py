"""What the index keeps of one copy of a study: enough to judge most rules without its site."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from gateway.records.engine import Records
from gateway.records.studies import series, study


@dataclass(frozen=True)
class HeldSeries:
    """record: DICOM JSON of the series alone."""

    series_uid: str
    instance_count: int
    record: bytes


@dataclass(frozen=True)
class HeldStudy:
    """A study at a site, as the index has it.

    record      DICOM JSON of the study, texts repaired, PatientID with its issuer
    size_bytes  None: not known yet
    changed_at  the site's own time of the last change; None at a site that does not tell
    """

    site_id: str
    study_uid: str
    orthanc_id: str
    instance_count: int
    size_bytes: int | None
    changed_at: datetime | None
    first_seen_at: datetime
    record: bytes
    series: tuple[HeldSeries, ...] = ()


_STUDY = [study.c[name] for name in HeldStudy.__dataclass_fields__ if name != "series"]
_SERIES = [series.c[name] for name in HeldSeries.__dataclass_fields__]


def load_held(records: Records, site_id: str, study_uid: str) -> HeldStudy | None:
    """A study at a site with its series; None if the index does not have it."""
    mine = sa.select(*_STUDY).where(study.c.site_id == site_id, study.c.study_uid == study_uid)
    parts = sa.select(*_SERIES).where(series.c.site_id == site_id, series.c.study_uid == study_uid)
    with records.read() as connection:
        row = connection.execute(mine).first()
        rows = connection.execute(parts.order_by(series.c.series_uid)).all() if row else []
    return HeldStudy(*row, series=tuple(HeldSeries(*one) for one in rows)) if row else None


def find_held(records: Records, site_id: str, words: str) -> list[str]:
    """UIDs of the studies at a site with this UID or AccessionNumber, the newest first."""
    named = sa.or_(study.c.study_uid == words, study.c.accession_number == words)
    question = (
        sa.select(study.c.study_uid)
        .where(study.c.site_id == site_id, named)
        .order_by(study.c.study_date.desc(), study.c.study_time.desc(), study.c.study_uid)
        .limit(20)
    )
    with records.read() as connection:
        return [str(uid) for uid in connection.execute(question).scalars()]
