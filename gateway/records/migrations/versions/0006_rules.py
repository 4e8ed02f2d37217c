"""Versions of rule sets, and from when each of them counts."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "rule_version",
        sa.Column("owner", sa.String(32), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("author", sa.String(128), nullable=False),
        sa.Column("comment", sa.Text, nullable=False),
        sa.Column("made_at", MOMENT, nullable=False),
    )
    op.create_table(
        "rule_activation",
        sa.Column("id", BIG_ID, primary_key=True),
        sa.Column("owner", sa.String(32), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("starts_at", MOMENT, nullable=False),
        sa.Column("author", sa.String(128), nullable=False),
        sa.Column("made_at", MOMENT, nullable=False),
        sa.Column("needs_approval", sa.Boolean, nullable=False),
        sa.Column("approved_by", sa.String(128), nullable=False),
        sa.Column("approved_at", MOMENT),
        sa.ForeignKeyConstraint(
            ["owner", "number"],
            ["rule_version.owner", "rule_version.number"],
            name="fk_rule_activation_owner_number_rule_version",
        ),
    )
    op.create_index("rule_activation_by_owner", "rule_activation", ["owner", "starts_at"])
