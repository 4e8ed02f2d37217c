"""Every test of the records runs on SQLite and on a real PostgreSQL."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from gateway.records.engine import open_records
from gateway.records.schema import migrate
from tests.postgres import run_postgres


@pytest.fixture(scope="session")
def postgres_url():
    with run_postgres() as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.real)])
def database_url(request, tmp_path: Path):
    """The address of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'gateway.db'}"
    url = request.getfixturevalue("postgres_url")
    records = open_records(url)
    with records.write() as connection:
        connection.execute(sa.text("DROP SCHEMA public CASCADE"))
        connection.execute(sa.text("CREATE SCHEMA public"))
    records.close()
    return url


@pytest.fixture
def records(database_url):
    """A database with all tables and no row."""
    records = open_records(database_url)
    migrate(records)
    yield records
    records.close()
