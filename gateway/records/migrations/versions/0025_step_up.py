"""When a session was proven anew, and recovery codes."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("login_session", sa.Column("proved_at", MOMENT))
    op.create_table(
        "recovery_code",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("account_id", sa.String(16), nullable=False),
        sa.Column("used_at", MOMENT),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.account_id"], ondelete="CASCADE",
            name="fk_recovery_code_account_id_account",
        ),
    )  # fmt: skip
    op.create_index("recovery_code_by_account", "recovery_code", ["account_id"])
