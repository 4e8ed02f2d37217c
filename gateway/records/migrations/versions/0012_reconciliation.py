"""What the last reconciliation of each site with each of its destinations found."""

import sqlalchemy as sa
from alembic import op

from gateway.records.engine import UtcDateTime

revision = "0012"
down_revision = "0011"

_KEY = (("site_id", 32), ("destination", 32))
_VERDICTS = ("complete", "partial", "missing", "conflicting", "waiting", "unknown", "compared")


def upgrade() -> None:
    op.create_table(
        "reconciliation",
        *(sa.Column(name, sa.String(most), primary_key=True) for name, most in _KEY),
        sa.Column("began_at", UtcDateTime, nullable=False),
        sa.Column("ended_at", UtcDateTime, nullable=False),
        *(sa.Column(name, sa.Integer, nullable=False) for name in _VERDICTS),
    )
    op.create_table(
        "reconciled",
        *(sa.Column(name, sa.String(most), primary_key=True) for name, most in _KEY),
        sa.Column("study_uid", sa.String(64), primary_key=True),
        sa.Column("verdict", sa.String(16), nullable=False),
        sa.Column("lacking", sa.Integer, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("found_at", UtcDateTime, nullable=False),
    )
