"""Replays of rules that somebody asked for, with how far they are."""

import sqlalchemy as sa
from alembic import op

from gateway.records.engine import UtcDateTime

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    op.create_table(
        "rule_replay",
        sa.Column("replay_id", sa.String(32), primary_key=True),
        sa.Column("owner", sa.String(32), nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("last_day", sa.Date, nullable=False),
        sa.Column("days", sa.Integer, nullable=False),
        sa.Column("asked_by", sa.String(128), nullable=False),
        sa.Column("asked_at", UtcDateTime, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("days_done", sa.Integer, nullable=False),
        sa.Column("studies", sa.BigInteger, nullable=False),
        sa.Column("told_at", UtcDateTime, nullable=False),
        sa.Column("result", sa.Text, nullable=False),
    )
    op.create_index("rule_replay_by_state", "rule_replay", ["state", "asked_at"])
