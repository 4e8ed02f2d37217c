"""Which sites are known to hold a study, how much of it, and whose they say it is."""

from collections.abc import Collection, Mapping

import sqlalchemy as sa

from gateway.model.answers import Holder, SeriesHeld
from gateway.records.engine import Records
from gateway.records.persons import find_holders
from gateway.records.studies import series, study


def load_holders(records: Records, study_uid: str) -> list[Holder]:
    """Holders of a study, as the index knows them.

    raises  RecordsUnavailable
    """
    question = sa.select(study.c.site_id, study.c.instance_count).where(
        study.c.study_uid == study_uid
    )
    with records.read() as connection:
        counts = {row.site_id: row.instance_count for row in connection.execute(question)}
        found = list(find_holders(connection, [study_uid]))
    return [Holder(site_id, counts[site_id], 0.0, patient) for _, site_id, patient in found]


def load_count(records: Records, site_id: str, study_uid: str, series_uid: str | None) -> int:
    """Instances of a study, or of one series of it, at a site; 0 if the index does not know it.

    raises  RecordsUnavailable
    """
    table = study if series_uid is None else series
    question = sa.select(table.c.instance_count).where(
        table.c.site_id == site_id, table.c.study_uid == study_uid
    )
    if series_uid is not None:
        question = question.where(series.c.series_uid == series_uid)
    with records.read() as connection:
        return int(connection.scalar(question) or 0)


def load_series(records: Records, study_uid: str) -> Mapping[str, Mapping[str, SeriesHeld]]:
    """By site id and series UID, what the index knows of a study; raises RecordsUnavailable"""
    same = sa.and_(study.c.site_id == series.c.site_id, study.c.study_uid == series.c.study_uid)
    columns = (
        series.c.site_id,
        series.c.series_uid,
        series.c.instance_count,
        series.c.content,
        study.c.patient_id,
    )
    question = sa.select(*columns).select_from(series.join(study, same))
    found: dict[str, dict[str, SeriesHeld]] = {}
    with records.read() as connection:
        rows = connection.execute(question.where(series.c.study_uid == study_uid))
        for site_id, series_uid, count, content, patient_id in rows:
            held = SeriesHeld(count, content or "", patient_id)
            found.setdefault(site_id, {})[series_uid] = held
    return found


def load_series_holders(
    records: Records, series_uids: Collection[str]
) -> Mapping[str, set[tuple[str, str]]]:
    """Series UID -> (site, study UID) of each study that is known to have it, however many.

    raises  RecordsUnavailable
    """
    columns = (series.c.series_uid, series.c.site_id, series.c.study_uid)
    question = sa.select(*columns).where(series.c.series_uid.in_(sorted(series_uids)))
    found: dict[str, set[tuple[str, str]]] = {}
    with records.read() as connection:
        for row in connection.execute(question):
            found.setdefault(row.series_uid, set()).add((row.site_id, row.study_uid))
    return found
