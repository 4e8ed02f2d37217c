"""The register of facilities and modality units: their revisions, and imports that wait."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"

MOMENT = sa.DateTime(timezone=True)
NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def of_a_revision() -> list[sa.Column]:
    return [
        sa.Column("number", NUMBER, primary_key=True, autoincrement=False),
        sa.Column("valid_from", sa.Date, nullable=False),
        sa.Column("recorded_at", MOMENT, nullable=False),
        sa.Column("author", sa.String(128), nullable=False),
        sa.Column("reason", sa.String(500), nullable=False),
    ]


def upgrade() -> None:
    op.create_table(
        "facility_revision",
        *of_a_revision(),
        sa.Column("facility_id", sa.String(32), nullable=False),
        sa.Column("name_ru", sa.String(300), nullable=False),
        sa.Column("name_en", sa.String(300), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("municipality", sa.String(120), nullable=False),
        sa.Column("latitude", sa.Double),
        sa.Column("longitude", sa.Double),
        sa.Column("oid", sa.String(64), nullable=False),
        sa.Column("parent_id", sa.String(32), nullable=False),
        sa.Column("planned_on", sa.Date),
        sa.Column("joined_on", sa.Date),
        sa.Column("site_id", sa.String(32), nullable=False),
        sa.Column("merged_into", sa.String(32), nullable=False),
    )
    op.create_index("facility_revision_by_facility", "facility_revision", ["facility_id"])
    op.create_table(
        "unit_revision",
        *of_a_revision(),
        sa.Column("unit_id", sa.String(32), nullable=False),
        sa.Column("facility_id", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("manufacturer", sa.String(64), nullable=False),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("serial", sa.String(64), nullable=False),
        sa.Column("year", sa.Integer),
        sa.Column("capture", sa.String(32), nullable=False),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("funding", sa.String(120), nullable=False),
        sa.Column("cost", sa.BigInteger),
        sa.Column("renewed", sa.Boolean, nullable=False),
        sa.Column("renewal_on", sa.Date),
        sa.Column("merged_into", sa.String(32), nullable=False),
    )
    op.create_index("unit_revision_by_unit", "unit_revision", ["unit_id"])
    op.create_table(
        "register_draft",
        sa.Column("draft_id", sa.String(32), primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("made_at", MOMENT, nullable=False),
        sa.Column("author", sa.String(128), nullable=False),
        sa.Column("valid_from", sa.Date, nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("packed", sa.LargeBinary, nullable=False),
    )
