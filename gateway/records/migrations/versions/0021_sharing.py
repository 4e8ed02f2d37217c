"""Links for patients, grants for colleagues, and the sessions that a link opens."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "share",
        sa.Column("share_id", sa.String(16), primary_key=True),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("study_uid", sa.String(64), nullable=False),
        sa.Column("whom", sa.String(16), nullable=False),
        sa.Column("secret_digest", sa.String(64)),
        sa.Column("factor_digest", sa.String(64), nullable=False),
        sa.Column("made_by", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(200), nullable=False),
        sa.Column("made_at", MOMENT, nullable=False),
        sa.Column("not_before", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("revoked_at", MOMENT),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("uses", sa.Integer, nullable=False),
        sa.Column("last_used_at", MOMENT),
        sa.UniqueConstraint("secret_digest", name="uq_share_secret_digest"),
    )
    op.create_index("share_by_study", "share", ["study_uid"])
    op.create_index("share_by_whom", "share", ["whom"])
    op.create_table(
        "link_session",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("share_id", sa.String(16), nullable=False),
        sa.Column("made_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["share_id"], ["share.share_id"], ondelete="CASCADE",
            name="fk_link_session_share_id_share",
        ),
    )  # fmt: skip
