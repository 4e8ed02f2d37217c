"""What hospitals got lately, as the index knows it: by it their servers delete what is oldest."""

from datetime import datetime, timedelta

import sqlalchemy as sa

from gateway.model.storages import Came
from gateway.records.arrivals import arrival
from gateway.records.studies import study

HABIT = timedelta(days=7)


def load_intake(
    connection: sa.Connection, site_id: str, since: datetime, now: datetime
) -> tuple[Came, Came]:
    """What a site got since a moment, and in the last days or as long as it is followed.

    Studies whose size is not known yet count as one of the usual size.
    """
    return _came(connection, site_id, since, now), _lately(connection, site_id, now)


def _lately(connection: sa.Connection, site_id: str, now: datetime) -> Came:
    first = sa.select(sa.func.min(arrival.c.first_seen_at)).where(arrival.c.site_id == site_id)
    followed_since = connection.execute(first).scalar_one() or now
    return _came(connection, site_id, max(followed_since, now - HABIT), now, new=True)


def _came(
    connection: sa.Connection, site_id: str, since: datetime, now: datetime, *, new: bool = False
) -> Came:
    """new: not what lay there before the site was followed, which came all at once"""
    same = sa.and_(study.c.site_id == arrival.c.site_id, study.c.study_uid == arrival.c.study_uid)
    question = (
        sa.select(sa.func.count(), sa.func.count(study.c.size_bytes),
                  sa.func.coalesce(sa.func.sum(study.c.size_bytes), 0))
        .select_from(arrival)
        .outerjoin(study, same)
        .where(arrival.c.site_id == site_id, arrival.c.first_seen_at > since)
    )  # fmt: skip
    if new:
        question = question.where(arrival.c.backlog == sa.false())
    studies, sized, size_bytes = connection.execute(question).one()
    usual = int(size_bytes) // sized if sized else 0
    span_s = (now - since).total_seconds()
    return Came(int(size_bytes) + usual * (studies - sized), studies, span_s)
