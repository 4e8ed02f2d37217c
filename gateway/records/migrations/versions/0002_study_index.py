"""The study index: studies, series, and how far each site was read."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

MOMENT = sa.DateTime(timezone=True)
ORDERED = sa.Text(collation="C").with_variant(sa.Text(), "sqlite")


def _ordered(length: int) -> sa.types.TypeEngine[str]:
    return sa.String(length, collation="C").with_variant(sa.String(length), "sqlite")


def upgrade() -> None:
    op.create_table(
        "study",
        sa.Column("site_id", sa.String(32), primary_key=True),
        sa.Column("study_uid", _ordered(64), primary_key=True),
        sa.Column("orthanc_id", sa.String(44), nullable=False),
        sa.Column("study_date", _ordered(8), nullable=False),
        sa.Column("study_time", _ordered(13), nullable=False),
        sa.Column("accession_number", ORDERED, nullable=False),
        sa.Column("patient_id", ORDERED, nullable=False),
        sa.Column("name_key", ORDERED, nullable=False),
        sa.Column("name_latin", ORDERED, nullable=False),
        sa.Column("modalities", ORDERED, nullable=False),
        sa.Column("odd", sa.Boolean, nullable=False),
        sa.Column("series_count", sa.Integer, nullable=False),
        sa.Column("instance_count", sa.Integer, nullable=False),
        sa.Column("record", sa.LargeBinary, nullable=False),
        sa.Column("changed_at", MOMENT),
        sa.Column("mark", sa.String(64), nullable=False),
        sa.Column("first_seen_at", MOMENT, nullable=False),
        sa.Column("indexed_at", MOMENT, nullable=False),
    )
    place = [sa.text("study_date DESC"), sa.text("study_time DESC"), "study_uid"]
    scope = ["site_id", "first_seen_at"]
    op.create_index("study_in_order", "study", [*place, *scope, "modalities"])
    op.create_index("study_by_name_latin", "study", ["name_latin", *place, *scope])
    op.create_index("study_by_name", "study", ["name_key"])
    op.create_index("study_by_patient_id", "study", ["patient_id"])
    op.create_index("study_by_accession_number", "study", ["accession_number"])
    op.create_index("study_by_first_seen", "study", ["first_seen_at"])
    op.create_index("study_by_uid", "study", ["study_uid", *scope])
    odd = sa.text("odd")
    op.create_index("study_odd", "study", ["odd"], sqlite_where=odd, postgresql_where=odd)
    op.create_index("study_by_orthanc_id", "study", ["site_id", "orthanc_id"])
    op.create_table(
        "series",
        sa.Column("site_id", sa.String(32), primary_key=True),
        sa.Column("series_uid", _ordered(64), primary_key=True),
        sa.Column("study_uid", _ordered(64), nullable=False),
        sa.Column("modality", sa.String(16), nullable=False),
        sa.Column("series_number", sa.BigInteger),
        sa.Column("instance_count", sa.Integer, nullable=False),
        sa.Column("record", sa.LargeBinary, nullable=False),
    )
    op.create_index("series_of_study", "series", ["site_id", "study_uid"])
    op.create_index("series_by_study", "series", ["study_uid"])
    op.create_table(
        "site_cursor",
        sa.Column("site_id", sa.String(32), primary_key=True),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("phase", sa.String(16), nullable=False),
        sa.Column("filled", sa.Integer, nullable=False),
        sa.Column("to_fill", sa.Integer, nullable=False),
        sa.Column("fill_began_at", MOMENT, nullable=False),
        sa.Column("read_at", MOMENT),
        sa.Column("swept_at", MOMENT),
    )
