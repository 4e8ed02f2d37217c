"""The state of each series at a site: a new image of another series does not touch what is kept.

Not known yet: sizes are asked again where the study changes, and the mark comes with them.
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.add_column("series", sa.Column("mark", sa.String(32)))
