"""Deliveries in the order in which they were made: the console's pages."""

from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.create_index("delivery_made", "delivery", ["made_at", "delivery_id"])
