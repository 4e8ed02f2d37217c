"""Files of imports that were shown and wait for a word, for a day: any web process may be the one
that applies them.
"""

import zlib
from collections.abc import Sequence
from datetime import date, datetime, timedelta

import sqlalchemy as sa

from gateway.model.credentials import new_id
from gateway.records.engine import Records, UtcDateTime, metadata

LIFE = timedelta(days=1)
LONGEST_NAME = 200

register_draft = sa.Table(
    "register_draft",
    metadata,
    sa.Column("draft_id", sa.String(32), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("made_at", UtcDateTime, nullable=False),
    sa.Column("author", sa.String(128), nullable=False),
    sa.Column("valid_from", sa.Date, nullable=False),
    sa.Column("name", sa.String(LONGEST_NAME), nullable=False),
    sa.Column("packed", sa.LargeBinary, nullable=False),
)


def keep_draft(
    records: Records, files: Sequence[tuple[str, bytes]], day: date, author: str, now: datetime
) -> str:
    """The new draft's id; drafts of the author and those that are too old are gone.

    files  name and content of each
    """
    draft_id = new_id()
    rows = [
        {
            "draft_id": draft_id, "position": position, "made_at": now, "author": author,
            "valid_from": day, "name": name[:LONGEST_NAME], "packed": zlib.compress(content),
        }
        for position, (name, content) in enumerate(files)
    ]  # fmt: skip
    old = sa.or_(register_draft.c.author == author, register_draft.c.made_at < now - LIFE)
    with records.write() as connection:
        connection.execute(sa.delete(register_draft).where(old))
        connection.execute(sa.insert(register_draft), rows)
    return draft_id


def load_draft(
    records: Records, draft_id: str, author: str
) -> tuple[date, list[tuple[str, bytes]]] | None:
    """The day and the files of the author's own draft; None if it is gone."""
    mine = sa.and_(register_draft.c.draft_id == draft_id, register_draft.c.author == author)
    question = sa.select(register_draft).where(mine).order_by(register_draft.c.position)
    with records.read() as connection:
        rows = connection.execute(question).all()
    if not rows:
        return None
    return rows[0].valid_from, [(row.name, zlib.decompress(row.packed)) for row in rows]


def drop_draft(records: Records, draft_id: str) -> None:
    """It was applied."""
    with records.write() as connection:
        mine = register_draft.c.draft_id == draft_id
        connection.execute(sa.delete(register_draft).where(mine))
