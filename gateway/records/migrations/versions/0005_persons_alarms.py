"""Who a study's patient is, links between identifiers, what is to be checked, and alarms.

Studies that were read before have to be read again: what is new stands in no record of theirs.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

MOMENT = sa.DateTime(timezone=True)
ORDERED = sa.Text(collation="C").with_variant(sa.Text(), "sqlite")
PAIR = "first_issuer", "first_id", "second_issuer", "second_id"
ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _id(name: str) -> sa.Column[str]:
    kind = sa.String(64, collation="C").with_variant(sa.String(64), "sqlite")
    return sa.Column(name, kind, primary_key=True)


def upgrade() -> None:
    for name in ("issuer", "birth_date", "sex", "alike", "numbers"):
        op.add_column(
            "study", sa.Column(name, ORDERED, nullable=False, server_default=sa.text("''"))
        )
    op.add_column(
        "site_cursor",
        sa.Column("issuer", sa.String(64), nullable=False, server_default=sa.text("''")),
    )
    op.create_index("study_by_alike", "study", ["alike"])
    op.execute("UPDATE study SET mark = ''")
    op.execute("UPDATE site_cursor SET swept_at = NULL")
    op.create_table(
        "due",
        sa.Column("kind", sa.String(16), primary_key=True),
        sa.Column("key", ORDERED, primary_key=True),
        sa.Column("asked_at", MOMENT, nullable=False),
    )
    op.create_table(
        "person_link",
        sa.Column("name", sa.String(16), primary_key=True),
        *(sa.Column(name, sa.String(64), nullable=False) for name in PAIR),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("noted_at", MOMENT, nullable=False),
        sa.Column("decided_by", sa.Text),
        sa.Column("decided_at", MOMENT),
    )
    op.create_index("person_link_by_first_id", "person_link", ["first_id"])
    op.create_index("person_link_by_second_id", "person_link", ["second_id"])
    op.create_index("person_link_by_state", "person_link", ["state", "noted_at"])
    op.create_table(
        "person_member",
        _id("patient_id"),
        _id("issuer"),
        sa.Column("person", sa.String(32), nullable=False),
        sa.Column("alike", ORDERED, nullable=False),
    )
    op.create_index("person_member_by_person", "person_member", ["person"])
    op.create_table(
        "person_decision",
        sa.Column("id", ROW_ID, primary_key=True),
        *(sa.Column(name, sa.String(64), nullable=False) for name in PAIR),
        sa.Column("verdict", sa.String(16), nullable=False),
        sa.Column("decided_by", sa.Text, nullable=False),
        sa.Column("decided_at", MOMENT, nullable=False),
    )
    op.create_table(
        "alarm",
        sa.Column("id", ROW_ID, primary_key=True),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("subject", sa.String(128), nullable=False),
        sa.Column("facts", sa.Text, nullable=False),
        sa.Column("raised_at", MOMENT, nullable=False),
        sa.Column("last_seen_at", MOMENT, nullable=False),
        sa.Column("cleared_at", MOMENT),
    )
    is_open = sa.text("cleared_at IS NULL")
    op.create_index(
        "alarm_open", "alarm", ["kind", "subject"], unique=True,
        sqlite_where=is_open, postgresql_where=is_open,
    )  # fmt: skip
