"""Arrivals of studies, what each epoch of them held, and their deliveries.

What the index knows already becomes backlog: it is judged after all that arrives from now on.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    _make_arrivals()
    _make_deliveries()
    op.execute(
        "INSERT INTO arrival (site_id, study_uid, first_seen_at, changed_at, mark, instance_count,"
        " backlog, due_at, growing_since, state, reason, rule, versions, epoch, manifest_hash)"
        " SELECT site_id, study_uid, first_seen_at, indexed_at, mark, instance_count,"
        " true, indexed_at, indexed_at, 'seen', '', '', '', 0, '' FROM study"
    )


def _make_arrivals() -> None:
    op.create_table(
        "arrival",
        sa.Column("site_id", sa.String(32), primary_key=True),
        sa.Column("study_uid", sa.String(64), primary_key=True),
        sa.Column("first_seen_at", MOMENT, nullable=False),
        sa.Column("changed_at", MOMENT, nullable=False),
        sa.Column("mark", sa.String(64), nullable=False),
        sa.Column("instance_count", sa.Integer, nullable=False),
        sa.Column("backlog", sa.Boolean, nullable=False),
        sa.Column("due_at", MOMENT),
        sa.Column("growing_since", MOMENT),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("rule", sa.String(96), nullable=False),
        sa.Column("versions", sa.String(96), nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("manifest_hash", sa.String(64), nullable=False),
        sa.Column("judged_at", MOMENT),
    )
    due = sa.text("due_at IS NOT NULL")
    op.create_index(
        "arrival_due", "arrival", ["site_id", "backlog", "due_at"],
        sqlite_where=due, postgresql_where=due,
    )  # fmt: skip
    op.create_index("arrival_by_state", "arrival", ["state", "site_id"])
    op.create_index("arrival_judged", "arrival", ["judged_at"])
    op.create_table(
        "manifest",
        sa.Column("site_id", sa.String(32), primary_key=True),
        sa.Column("study_uid", sa.String(64), primary_key=True),
        sa.Column("epoch", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("taken_at", MOMENT, nullable=False),
        sa.Column("instances", sa.LargeBinary, nullable=False),
    )


def _make_deliveries() -> None:
    op.create_table(
        "delivery",
        sa.Column("delivery_id", sa.String(32), primary_key=True),
        sa.Column("site_id", sa.String(32), nullable=False),
        sa.Column("study_uid", sa.String(64), nullable=False),
        sa.Column("destination", sa.String(32), nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("versions", sa.String(96), nullable=False),
        sa.Column("rule", sa.String(96), nullable=False),
        sa.Column("lane", sa.String(16), nullable=False),
        sa.Column("plan", sa.Text, nullable=False),
        sa.Column("instance_count", sa.Integer, nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("fence", sa.BigInteger, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("refusals", sa.Integer, nullable=False),
        sa.Column("next_at", MOMENT),
        sa.Column("lease_until", MOMENT),
        sa.Column("worker", sa.String(128), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("made_at", MOMENT, nullable=False),
        sa.Column("changed_at", MOMENT, nullable=False),
        sa.UniqueConstraint(
            "site_id", "study_uid", "destination", "epoch",
            name="uq_delivery_site_id_study_uid_destination_epoch",
        ),
    )  # fmt: skip
    due, leased = sa.text("next_at IS NOT NULL"), sa.text("lease_until IS NOT NULL")
    op.create_index(
        "delivery_due", "delivery", ["destination", "lane", "state", "made_at", "next_at"],
        sqlite_where=due, postgresql_where=due,
    )  # fmt: skip
    op.create_index(
        "delivery_leased", "delivery", ["lease_until"],
        sqlite_where=leased, postgresql_where=leased,
    )  # fmt: skip
    op.create_index(
        "delivery_next", "delivery", ["next_at"], sqlite_where=due, postgresql_where=due
    )
    op.create_index("delivery_by_study", "delivery", ["study_uid"])
    op.create_index("delivery_by_state", "delivery", ["state", "destination", "changed_at"])
    op.create_table(
        "delivery_event",
        sa.Column("id", BIG_ID, primary_key=True),
        sa.Column("delivery_id", sa.String(32), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("event", sa.String(24), nullable=False),
        sa.Column("from_state", sa.String(16), nullable=False),
        sa.Column("to_state", sa.String(16), nullable=False),
        sa.Column("fence", sa.BigInteger, nullable=False),
        sa.Column("by", sa.String(128), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    )
    op.create_index("delivery_event_of", "delivery_event", ["delivery_id", "id"])
    op.create_table(
        "delivery_instance",
        sa.Column("delivery_id", sa.String(32), primary_key=True),
        sa.Column("sop_uid", sa.String(64), primary_key=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    )
    op.create_table(
        "destination_pace",
        sa.Column("destination", sa.String(32), primary_key=True),
        sa.Column("parallel", sa.Float, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("rests_until", MOMENT),
        sa.Column("blocked", sa.Boolean, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("changed_at", MOMENT, nullable=False),
    )
