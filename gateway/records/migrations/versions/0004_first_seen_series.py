"""When each series was first seen; how a fill gets on; what cannot be read."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("series", sa.Column("first_seen_at", MOMENT))
    # What stands there already came with its study, as far as anybody knows.
    op.execute(
        "UPDATE series SET first_seen_at = (SELECT study.first_seen_at FROM study WHERE "
        "study.site_id = series.site_id AND study.study_uid = series.study_uid)"
    )
    op.execute("DELETE FROM series WHERE first_seen_at IS NULL")
    with op.batch_alter_table("series") as batch:
        batch.alter_column("first_seen_at", existing_type=MOMENT, nullable=False)
    for name in ("filled_before", "aside"):
        column = sa.Column(name, sa.Integer, nullable=False, server_default="0")
        op.add_column("site_cursor", column)
