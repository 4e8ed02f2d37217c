"""The small region of rows.py behind the real application: from the index on both databases, and
from sites that ignore every key, so that all is judged here.
"""

from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient

from gateway.web import create_app
from tests.databases import another
from tests.web.indexed import indexed_gateway, stubborn_sites
from tests.web.rows import ROWS


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
    url = another(request.getfixturevalue("postgres_url"), "web") if on_postgres else ""
    with indexed_gateway(folder, ROWS, database_url=url) as gateway:
        yield create_app(gateway).test_client()


@pytest.fixture(scope="session")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlaskClient]:
    """The region from its index on SQLite, instances from its sites; read-only."""
    folder = tmp_path_factory.mktemp("indexed")
    with stubborn_sites(ROWS) as urls, indexed_gateway(folder, ROWS, live=urls) as gateway:
        yield create_app(gateway).test_client()
