"""The doors that are tried: over an index alone, and over a real Orthanc."""

from collections.abc import Iterator

import flask_wtf.csrf
import pytest

from gateway.bootstrap import build_gateway
from gateway.model.access import LOCAL_OPERATOR
from gateway.settings import Settings
from gateway.turns import Turns
from gateway.web import create_app
from tests.conftest import StartOrthanc
from tests.fuzz.door import Door
from tests.running import region_toml
from tests.web.rows import ROWS
from tests.web.signing_in import login_gateway


@pytest.fixture(autouse=True, scope="package")
def however_often() -> Iterator[None]:
    """A thousand searches a minute: what is told to wait is not looked at here. Elsewhere it is."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Turns, "take", lambda *_: 0.0)
        yield


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """All pages and resources, over the rows of a small region; its sites do not answer."""
    with login_gateway(tmp_path_factory.mktemp("door"), ROWS) as (gateway, _):
        yield Door(create_app(gateway, lambda: LOCAL_OPERATOR))


@pytest.fixture(scope="module")
def form_door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """The same; every form comes with its token, from a page of ours."""
    with login_gateway(tmp_path_factory.mktemp("forms"), ROWS) as (gateway, _):
        app = create_app(gateway, lambda: LOCAL_OPERATOR)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(flask_wtf.csrf, "validate_csrf", lambda *_, **__: None)
            yield Door(app, gateway.settings.base_url)


@pytest.fixture(scope="module")
def store_door(
    start_orthanc: StartOrthanc, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Door]:
    """A gateway before one real Orthanc, empty at first."""
    folder = tmp_path_factory.mktemp("store")
    hospital = start_orthanc("gkb1")
    region = folder / "region.toml"
    (folder / "gkb1.password").write_text(hospital.password)
    told = region_toml({"gkb1": hospital.url}, {"gkb1": hospital}, "gkb1")
    region.write_text(told, encoding="utf-8")
    gateway = build_gateway(Settings(region=region, state_dir=folder))
    yield Door(create_app(gateway))
    gateway.wire.close()
    gateway.pool.shutdown()
    gateway.records.close()
