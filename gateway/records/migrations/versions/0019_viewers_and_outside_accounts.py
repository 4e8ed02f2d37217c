"""Viewers and their codes; accounts that another issuer vouches for; public ids of sessions."""

import sqlalchemy as sa
from alembic import op

from gateway.records.engine import UtcDateTime

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    op.add_column("login_session", sa.Column("session_id", sa.String(16)))
    op.add_column("login_session", sa.Column("outside_sid", sa.String(64)))
    op.execute("UPDATE login_session SET session_id = substr(digest, 1, 16)")
    op.create_index("login_session_by_id", "login_session", ["session_id"], unique=True)
    op.create_table(
        "oauth_redirect",
        sa.Column("client_id", sa.String(16), primary_key=True),
        sa.Column("redirect_uri", sa.String(512), primary_key=True),
        sa.ForeignKeyConstraint(
            ["client_id"], ["oauth_client.client_id"], ondelete="CASCADE",
            name="fk_oauth_redirect_client_id_oauth_client",
        ),
    )  # fmt: skip
    op.create_table(
        "oauth_code",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("client_id", sa.String(16), nullable=False),
        sa.Column("session_id", sa.String(16), nullable=False),
        sa.Column("redirect_uri", sa.String(512), nullable=False),
        sa.Column("challenge", sa.String(43), nullable=False),
        sa.Column("scope", sa.String(64), nullable=False),
        sa.Column("jti", sa.String(64), nullable=False),
        sa.Column("until", UtcDateTime, nullable=False),
        sa.Column("used_at", UtcDateTime),
    )
    op.create_index("oauth_code_by_session", "oauth_code", ["session_id"])
    op.create_table(
        "outside_account",
        sa.Column("account_id", sa.String(16), primary_key=True),
        sa.Column("issuer", sa.String(256), nullable=False),
        sa.Column("subject", sa.String(256), nullable=False),
        sa.Column("signed_out_at", UtcDateTime),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.account_id"], ondelete="CASCADE",
            name="fk_outside_account_account_id_account",
        ),
        sa.UniqueConstraint("issuer", "subject", name="uq_outside_account_issuer_subject"),
    )  # fmt: skip
