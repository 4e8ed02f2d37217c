"""Each group of a name is searched; the index of odd rows is one that SQLite uses.

Rows whose names have several groups stay odd, and right, until the record is read again.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

ORDERED = sa.Text(collation="C").with_variant(sa.Text(), "sqlite")


def upgrade() -> None:
    op.drop_index("study_odd", "study")
    # SQLite takes notice of a partial index for a search in the same words only.
    op.create_index(
        "study_odd", "study", ["odd"],
        sqlite_where=sa.text("odd = 1"), postgresql_where=sa.text("odd"),
    )  # fmt: skip
    op.execute("CREATE TABLE patient_name_before AS SELECT name_key, latin FROM patient_name")
    op.drop_table("patient_name")
    op.create_table(
        "patient_name",
        *(sa.Column(name, ORDERED, primary_key=True) for name in ("name_key", "folded", "latin")),
        sqlite_with_rowid=False,
    )
    op.execute(
        "INSERT INTO patient_name (name_key, folded, latin) "
        "SELECT name_key, name_key, latin FROM patient_name_before"
    )
    op.drop_table("patient_name_before")
    op.create_index("patient_name_by_folded", "patient_name", ["folded", "name_key"])
    op.create_index("patient_name_by_latin", "patient_name", ["latin", "name_key"])
