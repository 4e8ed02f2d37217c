"""Every test of the records runs on SQLite and on a real PostgreSQL."""

from pathlib import Path

import pytest

from gateway.records.engine import open_records
from tests.databases import empty, open_without_rows


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.real)])
def database_url(request, tmp_path: Path):
    """The address of a database that nobody uses; on PostgreSQL something may stand there."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'gateway.db'}"
    return request.getfixturevalue("postgres_url")


@pytest.fixture
def empty_database_url(database_url):
    """The same without a table."""
    if database_url.startswith("postgresql"):
        records = open_records(database_url)
        empty(records)
        records.close()
    return database_url


@pytest.fixture
def records(database_url):
    """A database with all tables and no row."""
    records = open_without_rows(database_url)
    yield records
    records.close()
