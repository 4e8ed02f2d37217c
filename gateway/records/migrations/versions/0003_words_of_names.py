"""Words of names and sets of modalities; indexes that answer a search alone.

The Latin form of names is another one now, so that the index is emptied: the keeper fills it anew
from the sites, and meanwhile they are asked live. Nothing in it is the only copy of anything.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

ORDERED = sa.Text(collation="C").with_variant(sa.Text(), "sqlite")


def upgrade() -> None:
    for table in ("series", "study", "site_cursor"):
        op.execute(f"DELETE FROM {table}")  # noqa: S608 - three words of ours
    for index in ("study_in_order", "study_by_name_latin", "study_by_name"):
        op.drop_index(index, "study")
    place = [sa.text("study_date DESC"), sa.text("study_time DESC"), "study_uid"]
    scope = ["site_id", "first_seen_at"]
    name = ["name_latin", "name_key"]
    op.create_index("study_in_order", "study", [*place, *scope, "modalities", *name])
    op.create_index("study_by_name_latin", "study", ["name_latin", *place, *scope, "name_key"])
    op.create_index("study_by_modalities", "study", ["modalities", *place, *scope])
    op.create_table(
        "name_word",
        sa.Column("word", ORDERED, primary_key=True),
        sa.Column("latin", ORDERED, nullable=False),
    )
    op.create_table(
        "name_with_word",
        sa.Column("word", ORDERED, primary_key=True),
        sa.Column("name_latin", ORDERED, primary_key=True),
    )
    op.create_index("words_of_name", "name_with_word", ["name_latin"])
    op.create_table("modality_set", sa.Column("modalities", ORDERED, primary_key=True))
