"""A digest of which instances each series has at a site: halves of a study are told from copies.

Not known yet: sizes are asked again where the study changes, and the digest comes with them.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.add_column("series", sa.Column("content", sa.String(32)))
