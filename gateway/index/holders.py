"""Which sites are known to hold a study, how much of it, and whose they say it is."""

import sqlalchemy as sa

from gateway.model.answers import Holder
from gateway.records.engine import Records
from gateway.records.persons import find_holders
from gateway.records.studies import study


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
