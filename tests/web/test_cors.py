"""Browsers let another site's page in only if its origin stands in the list, letter by letter."""

from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient

from gateway.errors import SettingsError
from gateway.settings import load_settings
from gateway.web import create_app
from tests.web.rows import ROWS
from tests.web.signing_in import login_gateway

LISTED, ALSO = "https://viewer.hospital.ru", "http://127.0.0.1:3000"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlaskClient]:
    folder = tmp_path_factory.mktemp("cors")
    origins = f"{LISTED}, {ALSO}"
    with login_gateway(folder, ROWS, cors_origins=origins) as (gateway, _):
        yield create_app(gateway).test_client()


def preflight(client: FlaskClient, origin: str, path: str, method: str = "GET"):
    headers = {
        "Origin": origin, "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization,accept",
    }  # fmt: skip
    return client.options(path, headers=headers)


@pytest.mark.parametrize("origin", [LISTED, ALSO])
@pytest.mark.parametrize(
    ("path", "method"),
    [
        ("/dicom-web/studies", "GET"),
        ("/sites/gkb1/dicom-web/studies", "POST"),
        ("/oauth/token", "POST"),
        ("/oauth/revoke", "POST"),
        ("/.well-known/oauth-authorization-server", "GET"),
    ],
)
def test_a_listed_origin_may_ask_with_a_token_and_never_with_a_cookie(
    client: FlaskClient, origin: str, path: str, method: str
) -> None:
    answer = preflight(client, origin, path, method)
    assert answer.status_code == 204
    assert answer.headers["Access-Control-Allow-Origin"] == origin
    assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]
    assert method in answer.headers["Access-Control-Allow-Methods"]
    assert "Access-Control-Allow-Credentials" not in answer.headers
    assert "Origin" in answer.headers["Vary"]


@pytest.mark.parametrize(
    "origin",
    [
        "null", "https://evil.example", "https://viewer.hospital.ru.evil.ru",
        "https://viewerXhospital.ru", "https://evil-viewer.hospital.ru", "http://viewer.hospital.ru",
        "https://viewer.hospital.ru:8443", "https://VIEWER.hospital.ru", "*", "",
        "https://viewer.hospital.ru/", "https://viewer.hospital.ru, https://evil.example",
    ],
)  # fmt: skip
def test_any_other_origin_is_told_nothing(client: FlaskClient, origin: str) -> None:
    for answer in (
        preflight(client, origin, "/dicom-web/studies"),
        client.get("/.well-known/jwks.json", headers={"Origin": origin}),
    ):
        found = [name for name, _ in answer.headers if name.startswith("Access-Control")]
        assert found == []
        assert "Origin" in answer.headers["Vary"]


def test_a_refusal_too_can_be_read_by_a_listed_page(client: FlaskClient) -> None:
    answer = client.get("/dicom-web/studies", headers={"Origin": LISTED})
    assert answer.status_code == 401
    assert answer.headers["Access-Control-Allow-Origin"] == LISTED


@pytest.mark.parametrize(
    "origins", ["*", "https://*.hospital.ru", "viewer.hospital.ru", "https://v.ru/", "null"]
)
def test_a_list_that_names_no_exact_origins_is_refused_at_the_start(origins: str) -> None:
    with pytest.raises(SettingsError, match="GATEWAY_CORS_ORIGINS"):
        load_settings({"GATEWAY_CORS_ORIGINS": origins})
