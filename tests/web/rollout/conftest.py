"""A small region with its snapshots behind the real application; read-only."""

from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient

from gateway.bootstrap import Gateway
from gateway.rollout.register import Shelf
from gateway.web import create_app
from gateway.web.rollout.shown import Shown
from gateway.web.rollout.teller import Teller
from tests.web.indexed import indexed_gateway
from tests.web.rollout.region import write_region


@pytest.fixture(scope="session")
def rollout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with indexed_gateway(tmp_path_factory.mktemp("rollout"), {"gkb1": []}) as gateway:
        write_region(gateway.records, facilities=60, months=5)
        yield gateway


@pytest.fixture(scope="session")
def browser(rollout: Gateway) -> FlaskClient:
    return create_app(rollout).test_client()


@pytest.fixture(scope="session")
def shown(rollout: Gateway) -> Shown:
    return Teller(rollout.records, Shelf(rollout.records)).now()
