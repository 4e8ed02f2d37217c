"""What a grant gives, and who has looked at an emergency access."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    none = sa.false()
    op.add_column("share", sa.Column("downloads", sa.Boolean, nullable=False, server_default=none))
    op.add_column("share", sa.Column("reviewed_at", sa.DateTime(timezone=True)))
    op.add_column("share", sa.Column("reviewed_by", sa.String(16)))
    op.add_column("share", sa.Column("review", sa.String(200)))
