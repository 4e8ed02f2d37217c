"""The audit says more of each access and is asked by more; patients by a keyed digest."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"

ADDED = (
    ("target", sa.String(128), "''"),
    ("address", sa.String(64), "''"),
    ("patient", sa.String(32), "''"),
    ("size_bytes", sa.BigInteger(), "0"),
    ("instances", sa.Integer(), "0"),
)


def upgrade() -> None:
    for name, kind, nothing in ADDED:
        column = sa.Column(name, kind, nullable=False, server_default=sa.text(nothing))
        op.add_column("audit_entry", column)
    op.create_index("audit_entry_by_action", "audit_entry", ["action", "at"])
    refused, searched = sa.text("outcome = 'refused'"), sa.text("patient != ''")
    op.create_index(
        "audit_entry_refused", "audit_entry", ["at"],
        sqlite_where=refused, postgresql_where=refused,
    )  # fmt: skip
    op.create_index(
        "audit_entry_by_patient", "audit_entry", ["patient", "at"],
        sqlite_where=searched, postgresql_where=searched,
    )  # fmt: skip
    op.create_table(
        "audit_cursor",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "audit_patient",
        sa.Column("patient", sa.String(32), primary_key=True),
        sa.Column("study_uid", sa.String(64), primary_key=True),
    )
