"""The small region of rows.py behind the real application: from the index on both databases, and
from sites that ignore every key, so that all is judged here.
"""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient

from gateway.records.engine import open_records
from gateway.web import create_app
from tests.records.conftest import postgres_url
from tests.web.indexed import indexed_gateway, stubborn_sites
from tests.web.rows import ROWS

__all__ = ["postgres_url"]


def empty(url: str) -> str:
    """The same database without a table."""
    records = open_records(url)
    with records.write() as connection:
        connection.execute(sa.text("DROP SCHEMA public CASCADE"))
        connection.execute(sa.text("CREATE SCHEMA public"))
    records.close()
    return url


@pytest.fixture(
    scope="session",
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.real), "sites"],
)
def region(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FlaskClient]:
    """The same region three times; read-only."""
    folder = tmp_path_factory.mktemp("region")
    if request.param == "sites":
        with stubborn_sites(ROWS) as urls, indexed_gateway(folder, {}, live=urls) as gateway:
            yield create_app(gateway).test_client()
        return
    on_postgres = request.param == "postgresql"
    url = empty(request.getfixturevalue("postgres_url")) if on_postgres else ""
    with indexed_gateway(folder, ROWS, database_url=url) as gateway:
        yield create_app(gateway).test_client()


@pytest.fixture(scope="session")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlaskClient]:
    """The region from its index on SQLite, instances from its sites; read-only."""
    folder = tmp_path_factory.mktemp("indexed")
    with stubborn_sites(ROWS) as urls, indexed_gateway(folder, ROWS, live=urls) as gateway:
        yield create_app(gateway).test_client()
