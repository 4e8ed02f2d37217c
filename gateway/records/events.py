"""Events of the sites' plugins, each recorded once (model/events.py tells what they mean)."""

from collections.abc import Mapping
from datetime import datetime

import sqlalchemy as sa

from gateway.model.events import Event
from gateway.records.engine import BigId, Records, UtcDateTime, metadata

site_event = sa.Table(
    "site_event",
    metadata,
    sa.Column("id", BigId, primary_key=True),
    sa.Column("site_id", sa.String(32), nullable=False),
    sa.Column("event", sa.String(16), nullable=False),
    sa.Column("orthanc_id", sa.String(44), nullable=False),
    sa.Column("study_uid", sa.String(64), nullable=False),
    sa.Column("count", sa.Integer, nullable=False),
    sa.Column("happened_at", UtcDateTime, nullable=False),
    sa.Column("received_at", UtcDateTime, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.UniqueConstraint("digest"),
    sa.Index(None, "event", "site_id", "received_at"),
    sa.Index(None, "received_at"),
)


def save_event(records: Records, event: Event, received_at: datetime) -> bool:
    """Record an event once. Returns False if the same body was recorded before (a replay)."""
    row = {
        "site_id": event.site_id,
        "event": event.name,
        "orthanc_id": event.orthanc_id,
        "study_uid": event.study_uid,
        "count": event.count,
        "happened_at": event.happened_at,
        "received_at": received_at,
        "digest": event.digest,
    }
    insert = records.insert(site_event).values(row).on_conflict_do_nothing()
    with records.write() as connection:
        return connection.execute(insert.returning(site_event.c.id)).first() is not None


def load_last_starts(records: Records) -> Mapping[str, datetime]:
    """For each site id, when we last heard that its Orthanc had started."""
    question = (
        sa.select(site_event.c.site_id, sa.func.max(site_event.c.received_at))
        .where(site_event.c.event == "Started")
        .group_by(site_event.c.site_id)
    )
    with records.read() as connection:
        return dict(connection.execute(question).all())


def forget_events(records: Records, before: datetime) -> int:
    """Delete what was received before `before`: bells, of no use once the feed was read."""
    with records.write() as connection:
        return connection.execute(
            sa.delete(site_event).where(site_event.c.received_at < before)
        ).rowcount
