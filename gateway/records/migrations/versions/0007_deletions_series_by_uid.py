"""How many studies were deleted from the index, by site; series are found by their UID."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "study_deletion",
        sa.Column("site_id", sa.String(32), primary_key=True),
        sa.Column("rows", sa.BigInteger, nullable=False),
    )
    op.create_index("series_by_uid", "series", ["series_uid"])
