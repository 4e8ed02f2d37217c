"""What municipalities and lines of funding are called in English."""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"


def upgrade() -> None:
    for table, name in (("facility_revision", "municipality_en"), ("unit_revision", "funding_en")):
        op.add_column(
            table, sa.Column(name, sa.String(120), nullable=False, server_default=sa.text("''"))
        )
