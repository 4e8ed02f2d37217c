"""The first tables: events of the sites, their probes, and the keepers' lease."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

# Spelled out, not imported: a migration must do tomorrow what it did on the day it was written.
BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "site_event",
        sa.Column("id", BIG_ID, primary_key=True),
        sa.Column("site_id", sa.String(32), nullable=False),
        sa.Column("event", sa.String(16), nullable=False),
        sa.Column("orthanc_id", sa.String(44), nullable=False),
        sa.Column("study_uid", sa.String(64), nullable=False),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("happened_at", MOMENT, nullable=False),
        sa.Column("received_at", MOMENT, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.UniqueConstraint("digest", name="uq_site_event_digest"),
    )
    op.create_index(
        "ix_site_event_event_site_id_received_at",
        "site_event",
        ["event", "site_id", "received_at"],
    )
    op.create_index("ix_site_event_received_at", "site_event", ["received_at"])
    op.create_table(
        "site_probe",
        sa.Column("site_id", sa.String(32), primary_key=True),
        sa.Column("profile", sa.JSON, nullable=False),
        sa.Column("problem", sa.Text, nullable=False),
        sa.Column("probed_at", MOMENT),
        sa.Column("answered_at", MOMENT),
        sa.Column("due_since", MOMENT),
    )
    op.create_table(
        "lease",
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("holder", sa.String(128), nullable=False),
        sa.Column("fence", sa.BigInteger, nullable=False),
        sa.Column("until", MOMENT, nullable=False),
    )
