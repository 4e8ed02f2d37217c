"""What people are told of alarms and of studies, and which alarms were told."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"

MOMENT = sa.DateTime(timezone=True)
BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column(
        "alarm", sa.Column("noted", sa.String(8), nullable=False, server_default=sa.text("''"))
    )
    # What has gone before anybody could be told is no news.
    op.execute("UPDATE alarm SET noted = 'cleared' WHERE cleared_at IS NOT NULL")
    op.create_table(
        "notice",
        sa.Column("id", BIG_ID, primary_key=True),
        sa.Column("list_id", sa.String(32), nullable=False),
        sa.Column("way", sa.String(16), nullable=False),
        sa.Column("key", sa.String(96), nullable=False),
        sa.Column("told", sa.Text, nullable=False),
        sa.Column("made_at", MOMENT, nullable=False),
        sa.Column("message", sa.String(32), nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("next_at", MOMENT),
        sa.Column("sent_at", MOMENT),
        sa.Column("reason", sa.Text, nullable=False),
        sa.UniqueConstraint("list_id", "way", "key", name="uq_notice_list_id_way_key"),
    )
    unsent = sa.text("sent_at IS NULL")
    op.create_index(
        "notice_unsent", "notice", ["list_id", "way", "id"],
        sqlite_where=unsent, postgresql_where=unsent,
    )  # fmt: skip
