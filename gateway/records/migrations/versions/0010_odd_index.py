"""The index of odd rows says `odd = true`: SQLite took no notice of one that said `odd`."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0008"


def upgrade() -> None:
    op.drop_index("study_odd", "study")
    op.create_index(
        "study_odd", "study", ["odd"],
        sqlite_where=sa.text("odd = 1"), postgresql_where=sa.text("odd"),
    )  # fmt: skip
