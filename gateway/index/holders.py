"""Which sites are known to hold a study or series, and how much of it."""

from collections.abc import Mapping

import sqlalchemy as sa

from gateway.records.engine import Records
from gateway.records.studies import series, study


def load_holders(
    records: Records, study_uid: str, series_uid: str | None = None
) -> Mapping[str, int]:
    """Instances of a study, or of one series of it, by site id; as the index knows them.

    raises  RecordsUnavailable
    """
    table = study if series_uid is None else series
    question = sa.select(table.c.site_id, table.c.instance_count).where(
        table.c.study_uid == study_uid
    )
    if series_uid is not None:
        question = question.where(series.c.series_uid == series_uid)
    with records.read() as connection:
        return {row.site_id: row.instance_count for row in connection.execute(question)}


def load_series(records: Records, study_uid: str) -> Mapping[str, Mapping[str, int]]:
    """Site id -> series UID -> instances, as the index knows them; raises RecordsUnavailable"""
    columns = (series.c.site_id, series.c.series_uid, series.c.instance_count)
    question = sa.select(*columns).where(series.c.study_uid == study_uid)
    found: dict[str, dict[str, int]] = {}
    with records.read() as connection:
        for row in connection.execute(question):
            found.setdefault(row.site_id, {})[row.series_uid] = row.instance_count
    return found
