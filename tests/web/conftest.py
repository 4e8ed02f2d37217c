"""The small region of rows.py behind the real application: from the index on both databases, and
from sites that ignore every key, so that all is judged here.
"""

from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient
from jinja2.bccache import Bucket, BytecodeCache

from gateway.web import create_app
from tests.databases import another
from tests.web.indexed import indexed_gateway, stubborn_sites
from tests.web.rows import ROWS


class Compiled(BytecodeCache):
    """Templates are compiled once, not for each of a thousand applications."""

    def __init__(self) -> None:
        self._codes: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if bucket.key in self._codes:
            bucket.bytecode_from_string(self._codes[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._codes[bucket.key] = bucket.bytecode_to_string()


@pytest.fixture(scope="session", autouse=True)
def templates_are_compiled_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(Flask.jinja_options, "bytecode_cache", Compiled())
        yield


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
