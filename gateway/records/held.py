"""What the index keeps of one copy of a study: enough to judge most rules without its site."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import orjson
import sqlalchemy as sa

from gateway.records.engine import Records
from gateway.records.studies import series, study

PAGE = 500


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
    below = sa.select(*_SERIES).where(series.c.site_id == site_id, series.c.study_uid == study_uid)
    with records.read() as connection:
        row = connection.execute(mine).first()
        rows = connection.execute(below.order_by(series.c.series_uid)).all() if row else []
    parts = tuple(HeldSeries(*one) for one in rows)
    return HeldStudy(**row._mapping, series=parts) if row else None


def find_holders(records: Records, words: str) -> list[tuple[str, str]]:
    """(site id, study UID) of what has this UID or AccessionNumber, the newest studies first."""
    question = (
        sa.select(study.c.site_id, study.c.study_uid)
        .where(sa.or_(study.c.study_uid == words, study.c.accession_number == words))
        .order_by(
            study.c.study_date.desc(), study.c.study_time.desc(), study.c.study_uid, study.c.site_id
        )
        .limit(20)
    )
    with records.read() as connection:
        return [(site_id, uid) for site_id, uid in connection.execute(question)]


def walk_held(
    records: Records, site_ids: Collection[str], day: date, *, with_series: bool
) -> Iterator[list[HeldStudy]]:
    """The studies of these sites with this StudyDate, PAGE at a time; no transaction stays open.

    with_series  False: `series` has one entry for each modality instead, and no records
    """
    columns = [*_STUDY, study.c.study_time, study.c.modalities]
    of_day = sa.and_(study.c.study_date == f"{day:%Y%m%d}", study.c.site_id.in_(sorted(site_ids)))
    # The order of the index study_in_order.
    order = (study.c.study_time.desc(), study.c.study_uid, study.c.site_id)
    question = sa.select(*columns).where(of_day).order_by(*order).limit(PAGE)
    after: sa.ColumnElement[bool] = sa.true()
    while True:
        with records.read() as connection:
            rows = connection.execute(question.where(after)).all()
            parts = _series_of(connection, rows) if with_series else {}
        if rows:
            yield [_held(row, parts.get((row.site_id, row.study_uid), ())) for row in rows]
        if len(rows) < PAGE:
            return
        last = rows[-1]
        same_time = study.c.study_time == last.study_time
        further = sa.tuple_(study.c.study_uid, study.c.site_id) > (last.study_uid, last.site_id)
        after = sa.or_(study.c.study_time < last.study_time, sa.and_(same_time, further))


def _held(row: Any, parts: Collection[HeldSeries]) -> HeldStudy:
    values = dict(row._mapping)
    del values["study_time"]
    modalities = values.pop("modalities").strip("|")
    if not parts and modalities:
        parts = [
            HeldSeries(modality, 0, orjson.dumps({"00080060": {"vr": "CS", "Value": [modality]}}))
            for modality in modalities.split("|")
        ]
    return HeldStudy(**values, series=tuple(parts))


def _series_of(
    connection: sa.Connection, rows: Sequence[Any]
) -> dict[tuple[str, str], list[HeldSeries]]:
    found: dict[tuple[str, str], list[HeldSeries]] = {}
    wanted = {(row.site_id, row.study_uid) for row in rows}
    mine = series.c.study_uid.in_(sorted({row.study_uid for row in rows}))
    for row in connection.execute(
        sa.select(series.c.site_id, series.c.study_uid, *_SERIES).where(mine)
    ):
        if (row.site_id, row.study_uid) in wanted:
            found.setdefault((row.site_id, row.study_uid), []).append(HeldSeries(*row[2:]))
    return found
