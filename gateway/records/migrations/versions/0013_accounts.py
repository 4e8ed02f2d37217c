"""Accounts, posts, wrong tries, sessions, clients, signing keys and withdrawn tokens."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "account",
        sa.Column("account_id", sa.String(16), primary_key=True),
        sa.Column("login", sa.String(64), nullable=False),
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("password_hash", sa.String(256), nullable=False),
        sa.Column("one_time_until", MOMENT),
        sa.Column("totp_sealed", sa.Text, nullable=False),
        sa.Column("totp_step", sa.BigInteger, nullable=False),
        sa.Column("locked_at", MOMENT),
        sa.Column("made_at", MOMENT, nullable=False),
        sa.UniqueConstraint("login", name="uq_account_login"),
    )
    op.create_table(
        "account_post",
        sa.Column("account_id", sa.String(16), primary_key=True),
        sa.Column("role", sa.String(32), primary_key=True),
        sa.Column("site_id", sa.String(32), primary_key=True),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.account_id"], ondelete="CASCADE",
            name="fk_account_post_account_id_account",
        ),
    )  # fmt: skip
    op.create_table(
        "wrong_try",
        sa.Column("subject", sa.String(80), primary_key=True),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("last_at", MOMENT, nullable=False),
    )
    op.create_table(
        "login_session",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("account_id", sa.String(16), nullable=False),
        sa.Column("address_digest", sa.String(64), nullable=False),
        sa.Column("purpose", sa.String(8), nullable=False),
        sa.Column("made_at", MOMENT, nullable=False),
        sa.Column("seen_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.account_id"], ondelete="CASCADE",
            name="fk_login_session_account_id_account",
        ),
    )  # fmt: skip
    op.create_index("login_session_by_account", "login_session", ["account_id"])
    op.create_table(
        "oauth_client",
        sa.Column("client_id", sa.String(16), primary_key=True),
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("secret_digest", sa.String(64), nullable=False),
        sa.Column("site_id", sa.String(32), nullable=False),
        sa.Column("made_at", MOMENT, nullable=False),
        sa.Column("revoked_at", MOMENT),
    )
    op.create_table(
        "signing_key",
        sa.Column("kid", sa.String(64), primary_key=True),
        sa.Column("sealed", sa.Text, nullable=False),
        sa.Column("public", sa.Text, nullable=False),
        sa.Column("made_at", MOMENT, nullable=False),
    )
    op.create_table(
        "withdrawn_token",
        sa.Column("jti", sa.String(64), primary_key=True),
        sa.Column("until", MOMENT, nullable=False),
    )
