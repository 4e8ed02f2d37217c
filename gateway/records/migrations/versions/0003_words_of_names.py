"""Names of patients, their words and sets of modalities; indexes that answer a search alone.

The index is emptied: its words are made as its rows are written, and the Latin form of names is
another one now. The keeper fills it anew from the sites, and meanwhile they are asked live. Nothing
in it is the only copy of anything.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

ORDERED = sa.Text(collation="C").with_variant(sa.Text(), "sqlite")


def _key(name: str, kind: sa.types.TypeEngine[object] = ORDERED) -> sa.Column[object]:
    return sa.Column(name, kind, primary_key=True)


def upgrade() -> None:
    for table in ("series", "study", "site_cursor"):
        op.execute(f"DELETE FROM {table}")  # noqa: S608 - three words of ours
    for index in ("study_in_order", "study_by_name_latin", "study_by_name"):
        op.drop_index(index, "study")
    place = [sa.text("study_date DESC"), sa.text("study_time DESC"), "study_uid"]
    scope = ["site_id", "first_seen_at"]
    op.create_index(
        "study_in_order", "study", [*place, *scope, "modalities", "name_key", "name_latin"]
    )
    op.create_index("study_by_name", "study", ["name_key", *place, *scope])
    op.create_index("study_by_modalities", "study", ["modalities", *place, *scope])
    op.create_table("patient_name", _key("name_key"), _key("latin"), sqlite_with_rowid=False)
    op.create_index("patient_name_by_latin", "patient_name", ["latin", "name_key"])
    op.create_table(
        "word_of_name",
        _key("word"),
        _key("place", sa.SmallInteger()),
        _key("name_key"),
        sqlite_with_rowid=False,
    )
    op.create_index("words_of_name", "word_of_name", ["name_key", "word", "place"])
    op.create_table(
        "word_ending", _key("ending"), _key("form"), _key("word"), sqlite_with_rowid=False
    )
    op.create_table("modality_set", _key("modalities"), sqlite_with_rowid=False)
