"""The database: SQLite with no set-up, PostgreSQL for a region. The same statements on both.

`Records` gives one transaction at a time and translates what SQLAlchemy raises. Tables stand in one
module for each family; `metadata` knows them all once records/schema.py is imported.
"""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.sqlite.base import SQLiteCompiler
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    InterfaceError,
    InternalError,
    NoSuchModuleError,
    OperationalError,
    SQLAlchemyError,
    TimeoutError,
)

from gateway.clock import Deadline, follow
from gateway.errors import NotRecordable, RecordsRefused, RecordsUnavailable, SettingsError

BUSY_S = 5
TRY_AGAIN_S = 0.05
CONNECT_S = 5
# A process that is frozen inside a transaction would keep its locks, the keeper's lease among them.
IDLE_IN_TRANSACTION_S = 5
CACHE_KB = 16_000  # of one connection
KEEPALIVE = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}

metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

BigId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
"""A row number: SQLite counts up only what is declared INTEGER."""


class UtcDateTime(sa.types.TypeDecorator[datetime]):
    """An aware moment, kept in UTC. A naive one is refused: nobody can say which hour it means."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment without a time zone cannot be recorded")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Records:
    """The database of this process. Safe to share between threads and greenlets, not over a fork.

    Both `read` and `write` raise RecordsUnavailable (try later) or RecordsRefused (our mistake).
    """

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine
        self._reader = engine.execution_options(gateway_writes=False)
        self._writer = engine.execution_options(gateway_writes=True)

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """One consistent look; nothing is kept of what is written here."""
        with _translated(), self._reader.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """One transaction: kept when the block ends, undone when it raises.

        On SQLite the write lock is taken at once (BEGIN IMMEDIATE), so that two writers wait for
        each other instead of failing half-way.
        """
        with _translated(), self._writer.begin() as connection:
            yield connection

    def ping(self) -> None:
        """Ask the database for a sign of life; raises RecordsUnavailable."""
        with self.read() as connection:
            connection.execute(sa.select(sa.literal(1)))

    def check_clock(self) -> float:
        """Set this process's clock by the database's (gateway/clock.py); SQLite has no other one.

        returns  seconds by which this host's own clock is ahead
        """
        if self.engine.dialect.name == "sqlite":
            return 0.0
        with self.read() as connection:
            return follow(connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one())

    def insert(self, table: sa.Table) -> "sqlite.Insert | postgresql.Insert":
        """An INSERT that knows ON CONFLICT, which both databases spell the same."""
        insert = sqlite.insert if self.engine.dialect.name == "sqlite" else postgresql.insert
        return insert(table)

    def leave_to_parent(self) -> None:
        """After a fork: the parent's connections are not ours, not even to close them."""
        self.engine.dispose(close=False)

    def close(self) -> None:
        self.engine.dispose()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (OperationalError, InterfaceError, InternalError, TimeoutError) as error:
        raise RecordsUnavailable(f"the database does not answer: {_reason(error)}") from error
    except (DataError, OverflowError) as error:  # sqlite3 has no error of its own for a number
        raise NotRecordable("a value is none that the database can hold") from error
    except SQLAlchemyError as error:
        if isinstance(getattr(error, "orig", None), OverflowError):  # a moment before the year 1
            raise NotRecordable("a value is none that the database can hold") from error
        raise RecordsRefused(f"the database refused a statement: {_reason(error)}") from error


def _reason(error: SQLAlchemyError) -> str:
    """The driver's first line: SQLAlchemy's own text would hold the statement."""
    cause = getattr(error, "orig", None) or error
    return (str(cause).splitlines() or [""])[0][:200] or type(cause).__name__


def open_records(url: str) -> Records:
    """Get ready to use the database at `url`; the first statement connects.

    url     sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME
    raises  SettingsError if it is neither
    """
    wrong = "GATEWAY_DATABASE_URL: must be sqlite:///FILE or postgresql://USER@HOST/DATABASE"
    try:
        parsed = sa.make_url(url)
        if parsed.drivername == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        if parsed.get_backend_name() == "sqlite":
            return Records(_open_sqlite(parsed))
        if parsed.drivername == "postgresql+psycopg":
            return Records(_open_postgresql(parsed))
    except (ArgumentError, NoSuchModuleError, ValueError):
        pass
    raise SettingsError([wrong])


def _open_postgresql(url: sa.URL) -> sa.Engine:
    return sa.create_engine(
        url,
        isolation_level="READ COMMITTED",  # whatever the server's default: leases.py relies on it
        pool_pre_ping=True,  # a connection that died while idle costs nobody an error
        pool_timeout=BUSY_S,
        hide_parameters=True,
        connect_args={
            "connect_timeout": CONNECT_S,
            "application_name": "gateway",
            "options": f"-c idle_in_transaction_session_timeout={IDLE_IN_TRANSACTION_S}s",
            **KEEPALIVE,
        },
    )


def _open_sqlite(url: sa.URL) -> sa.Engine:
    if not url.database or url.database == ":memory:":
        raise ValueError("a database in memory would be another one for each process")
    # The rows tell who was examined where, so that only the gateway's own user may read the file.
    folder = Path(url.database).parent
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not Path(url.database).exists():
        os.close(os.open(url.database, os.O_CREAT | os.O_RDWR, 0o600))
    engine = sa.create_engine(
        url, hide_parameters=True, pool_timeout=BUSY_S, connect_args={"timeout": BUSY_S}
    )
    engine.dialect.statement_compiler = _SqliteCompiler
    sa.event.listen(engine, "connect", _prepare_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


class _SqliteCompiler(SQLiteCompiler):
    """Lets a statement name the index of a table: with_hint(table, "INDEXED BY ...", "sqlite")."""

    def get_from_hint_text(self, table: Any, text: Any) -> Any:
        return text


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # BEGIN is ours, see _begin_sqlite
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA case_sensitive_like = ON")  # as PostgreSQL's LIKE
    # The file is read, not mapped: a page that is not in memory costs a mapping the kernel's whole
    # read-ahead (measured for a hundred rows here and there: half a second instead of 15 ms), and
    # one that is in memory no less than to copy it.
    connection.execute("PRAGMA mmap_size = 0")
    connection.execute(f"PRAGMA cache_size = -{CACHE_KB}")
    _use_wal(connection)


def _use_wal(connection: sqlite3.Connection) -> None:
    """On a new file processes that start at once all try it; SQLite refuses instead of waiting."""
    deadline = Deadline(BUSY_S)
    while connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if deadline.passed:
                raise
            time.sleep(TRY_AGAIN_S)


def _begin_sqlite(connection: Any) -> None:
    writes = connection.get_execution_options().get("gateway_writes", True)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
