"""Databases with this version's tables and without a row, without two dozen migrations each time:
those are tried by tests/records/test_schema.py, not by each of a thousand tests.
"""

import tempfile
from functools import cache
from pathlib import Path

import sqlalchemy as sa

from gateway.records.engine import Records, metadata, open_records
from gateway.records.schema import known_migrations, migrate

USED = " UNION ALL ".join(
    f"SELECT '{name}' WHERE EXISTS (SELECT 1 FROM {name})"  # noqa: S608 - our own tables
    for name in sorted(metadata.tables)
)
COUNTED = "SELECT sequencename FROM pg_sequences WHERE last_value IS NOT NULL"


def open_without_rows(url: str) -> Records:
    """Our tables and no row in them.

    url  of a SQLite file that is not there yet, or of a PostgreSQL database however it was left
    """
    records = open_records(url)
    if records.engine.dialect.name == "sqlite":
        Path(records.engine.url.database or "").write_bytes(_migrated_once())
    elif not _emptied(records):
        empty(records)
        migrate(records)
    return records


def another(postgres_url: str, name: str) -> str:
    """Address of a new database of that server, without a table."""
    url = sa.make_url(postgres_url)
    engine = sa.create_engine(
        url.set(drivername="postgresql+psycopg"),
        isolation_level="AUTOCOMMIT",
        poolclass=sa.NullPool,
    )
    with engine.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    return url.set(database=name).render_as_string()


def empty(records: Records) -> None:
    """Leave a PostgreSQL database without a table."""
    with records.write() as connection:
        connection.execute(sa.text("DROP SCHEMA public CASCADE"))
        connection.execute(sa.text("CREATE SCHEMA public"))


def _emptied(records: Records) -> bool:
    """Whether it had our tables; then no row is left, and all numbers begin again."""
    with records.write() as connection:
        if not sa.inspect(connection).has_table("alembic_version"):
            return False
        at = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalars()
        if at.all() != known_migrations()[-1:]:
            return False
        if used := connection.execute(sa.text(USED)).scalars().all():
            connection.execute(sa.text(f"TRUNCATE {', '.join(used)} CASCADE"))
        for sequence in connection.execute(sa.text(COUNTED)).scalars().all():
            connection.execute(sa.text(f"ALTER SEQUENCE {sequence} RESTART"))
    return True


@cache
def _migrated_once() -> bytes:
    """A SQLite file."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "gateway.db"
        records = open_records(f"sqlite:///{file}")
        migrate(records)
        records.close()
        return file.read_bytes()
