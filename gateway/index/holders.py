"""Which sites are known to hold a study, and how much of it."""

import sqlalchemy as sa

from gateway.records.engine import Records
from gateway.records.studies import study


def load_holders(records: Records, study_uid: str) -> dict[str, int]:
    """Instances of a study by site id, as the index knows them.

    raises  RecordsUnavailable
    """
    question = sa.select(study.c.site_id, study.c.instance_count).where(
        study.c.study_uid == study_uid
    )
    with records.read() as connection:
        return {row.site_id: row.instance_count for row in connection.execute(question)}
