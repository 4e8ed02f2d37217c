"""Evidence of machines in arriving studies, and what persons said of them."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"

MOMENT = sa.DateTime(timezone=True)
BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
SAID = ("manufacturer", "model", "serial", "station", "institution")


def _texts() -> list[sa.Column[str]]:
    return [sa.Column(name, sa.String(64), nullable=False) for name in SAID]


def upgrade() -> None:
    op.create_table(
        "sender",
        sa.Column("sender_id", BIG_ID, primary_key=True),
        sa.Column("site_id", sa.String(32), nullable=False),
        sa.Column("machine", sa.LargeBinary(16), nullable=False),
        *_texts(),
        sa.Column("noted_at", MOMENT, nullable=False),
        sa.UniqueConstraint("site_id", "machine", name="uq_sender_site_id_machine"),
    )
    op.create_table(
        "sender_day",
        sa.Column("sender_id", BIG_ID, primary_key=True, autoincrement=False),
        sa.Column("day", sa.Date, primary_key=True),
        sa.Column("modality", sa.String(16), primary_key=True),
        sa.Column("studies", sa.Integer, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("sender_day_by_day", "sender_day", ["day"])
    op.create_table(
        "study_day",
        sa.Column("day", sa.Date, primary_key=True),
        sa.Column("site_id", sa.String(32), primary_key=True),
        sa.Column("studies", sa.Integer, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "clock_day",
        sa.Column("day", sa.Date, primary_key=True),
        sa.Column("site_id", sa.String(32), primary_key=True),
        sa.Column("moment", sa.String(16), primary_key=True),
        sa.Column("seconds", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("studies", sa.Integer, nullable=False),
        sqlite_with_rowid=False,
    )
    _create_what_was_counted()
    _create_words()


def _create_what_was_counted() -> None:
    op.create_table(
        "seen_study",
        sa.Column("study", sa.LargeBinary(16), primary_key=True),
        sa.Column("site_id", sa.String(32), nullable=False),
        sa.Column("is_archive", sa.Boolean, nullable=False),
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("taken_at", MOMENT),
        sa.Column("visible_s", sa.Integer),
        sa.Column("archived_s", sa.Integer),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "sighting",
        sa.Column("study", sa.LargeBinary(16), primary_key=True),
        sa.Column("machine", sa.LargeBinary(16), primary_key=True),
        sa.Column("sender_id", sa.BigInteger, nullable=False),
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("modality", sa.String(16), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "evidence_cursor",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("place", sa.String(64), nullable=False),
        sa.Column("done_at", MOMENT),
    )


def _create_words() -> None:
    op.create_table(
        "unit_fingerprint",
        sa.Column("fingerprint_id", sa.String(32), primary_key=True),
        sa.Column("unit_id", sa.String(64), nullable=False),
        sa.Column("site_id", sa.String(32), nullable=False),
        *_texts(),
        sa.Column("is_not", sa.Boolean, nullable=False),
        sa.Column("origin", sa.String(16), nullable=False),
        sa.Column("author", sa.String(64), nullable=False),
        sa.Column("reason", sa.String(200), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("undone_at", MOMENT),
        sa.Column("undone_by", sa.String(64)),
    )
    op.create_index("unit_fingerprint_of", "unit_fingerprint", ["unit_id"])
    op.create_table(
        "ignored_sender",
        sa.Column("ignored_id", BIG_ID, primary_key=True),
        sa.Column("sender_id", sa.BigInteger, nullable=False),
        sa.Column("author", sa.String(64), nullable=False),
        sa.Column("reason", sa.String(200), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("undone_at", MOMENT),
        sa.Column("undone_by", sa.String(64)),
    )
    op.create_index("ignored_sender_of", "ignored_sender", ["sender_id"])
