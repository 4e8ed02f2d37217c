"""The whole database into one file, and back: SQLite by its own online backup, PostgreSQL by its
own programs (pg_dump, pg_restore; of the server's version, in PATH).

Both take a picture of one moment while the gateway goes on. Putting back is whole or not at all.
"""

import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from gateway.errors import RecordsRefused, RecordsUnavailable

FORMER = "before_restore"
"""Schema of PostgreSQL that holds what was there until the copy has come in whole."""


def save_copy(url: str, file: Path) -> str:
    """Write a picture of the database into the file; returns its kind, "sqlite" or "postgresql".

    raises  RecordsUnavailable
    """
    place = sa.make_url(url)
    if place.get_backend_name() == "sqlite":
        try:
            source = sqlite3.connect(f"file:{place.database}?mode=ro", uri=True)
            with closing(source), closing(sqlite3.connect(file)) as target:
                source.backup(target)
        except sqlite3.Error as error:
            raise RecordsUnavailable(f"the database cannot be copied: {error}") from error
        return "sqlite"
    _run(place, "pg_dump", "--format=custom", "--schema=public", "--no-owner", f"--file={file}")
    return "postgresql"


def is_empty(url: str) -> bool:
    """Whether there is nothing that a copy would replace; raises RecordsUnavailable."""
    place = sa.make_url(url)
    if place.get_backend_name() == "sqlite":
        return not Path(place.database or "").exists()
    with _connected(place) as connection:
        return not sa.inspect(connection).get_table_names()


def check_copy(file: Path, kind: str) -> None:
    """Raises RecordsRefused for a file that is no whole copy."""
    if kind == "sqlite":
        try:
            with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as copy:
                (found,) = copy.execute("PRAGMA integrity_check").fetchone()
        except sqlite3.Error as error:
            raise RecordsRefused(f"the copy cannot be read: {error}") from error
        if found != "ok":
            raise RecordsRefused(f"the copy is damaged: {found}")
        return
    _run(None, "pg_restore", "--list", str(file))


def put_back(url: str, file: Path) -> None:
    """The copy in place of the database. No gateway may run on it meanwhile.

    raises  RecordsRefused or RecordsUnavailable; then everything is as it was
    """
    place = sa.make_url(url)
    if place.get_backend_name() == "sqlite":
        target = Path(place.database or "")
        for rest in ("-wal", "-shm"):  # of the database that goes
            target.with_name(target.name + rest).unlink(missing_ok=True)
        os.replace(file, target)
        return
    _rename(place, f"ALTER SCHEMA public RENAME TO {FORMER}", "CREATE SCHEMA public")
    try:
        options = ["--no-owner", "--schema=public", "--single-transaction", "--exit-on-error"]
        _run(place, "pg_restore", *options, f"--dbname={place.database}", str(file))
    except BaseException:
        _rename(place, "DROP SCHEMA public CASCADE", f"ALTER SCHEMA {FORMER} RENAME TO public")
        raise
    _rename(place, f"DROP SCHEMA {FORMER} CASCADE")


@contextmanager
def _connected(place: sa.URL) -> Iterator[sa.Connection]:
    engine = sa.create_engine(place.set(drivername="postgresql+psycopg"))
    try:
        with engine.begin() as connection:
            yield connection
    except SQLAlchemyError as error:
        raise RecordsUnavailable(type(error).__name__) from error
    finally:
        engine.dispose()


def _rename(place: sa.URL, *statements: str) -> None:
    with _connected(place) as connection:
        for statement in statements:
            connection.execute(sa.text(statement))


def _run(place: sa.URL | None, program: str, *options: str) -> None:
    """The password goes by the environment: arguments are seen by everybody on the machine."""
    told = {} if place is None else {
        "PGHOST": place.host, "PGPORT": str(place.port or 5432), "PGUSER": place.username,
        "PGPASSWORD": None if place.password is None else str(place.password),
        "PGDATABASE": place.database,
    }  # fmt: skip
    environ = os.environ | {name: value for name, value in told.items() if value}
    try:
        done = subprocess.run(
            [program, *options], env=environ, capture_output=True, text=True, check=False
        )
    except FileNotFoundError as error:
        raise RecordsUnavailable(f"{program} is not installed (postgresql-client)") from error
    if done.returncode:
        problem = done.stderr.strip().splitlines()
        raise RecordsRefused(f"{program}: {problem[-1] if problem else done.returncode}")
