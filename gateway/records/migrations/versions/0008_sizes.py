"""How large studies, series and sites are, and whether a study is still arriving.

Sizes are not known yet: the keeper asks for them in quiet moments. What stands in the index counts
as arrived; a study that is not is read again when its site says that it has come.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    arriving = sa.Column("arriving", sa.Boolean, nullable=False, server_default=sa.false())
    op.add_column("study", arriving)
    for table in ("study", "series"):
        op.add_column(table, sa.Column("size_bytes", sa.BigInteger))
    for name, kind in (("size_bytes", sa.BigInteger), ("sized", sa.Integer)):
        op.add_column("site_cursor", sa.Column(name, kind, nullable=False, server_default="0"))
    unsized = sa.text("size_bytes IS NULL")
    op.create_index(
        "study_unsized", "study", ["site_id", "indexed_at"],
        sqlite_where=unsized, postgresql_where=unsized,
    )  # fmt: skip
