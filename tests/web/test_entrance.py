"""Who reaches the gateway by which name, and what every answer of it carries."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from flask import Flask, jsonify, request
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from gateway.errors import RecordsUnavailable
from gateway.model.access import LOCAL_OPERATOR
from gateway.records.engine import Records
from gateway.settings import load_settings
from gateway.web import create_app, entrance, errors
from gateway.web.identity import address_of_caller
from tests.web.indexed import stubborn_sites
from tests.web.rows import ROWS
from tests.web.signing_in import login_gateway
from tests.web.test_permissions import path_of

PUBLIC = "https://images.example"
BEYOND = {
    "GATEWAY_BIND": "10.0.0.6",
    "GATEWAY_ACCESS": "login",
    "GATEWAY_PUBLIC_URL": PUBLIC,
    "GATEWAY_TRUSTED_PROXIES": "10.0.0.5",
}
TOLD = {"X-Forwarded-For": "198.51.100.1, 203.0.113.9", "X-Real-IP": "198.51.100.2"}
EVERYONES = ("/.well-known/", "/openapi.json", "/static/", "/viewer/")
"""Programs, pages without data, public keys: the same for everyone."""
INLINE = re.compile(r"(?:script-src|default-src)[^;]*'unsafe-inline'|(?<!wasm-)unsafe-eval")


def asking(given: dict[str, str]) -> FlaskClient:
    """A gateway of one door, which tells what it makes of its caller."""
    app = Flask("alone")
    errors.register(app)
    entrance.register(app, load_settings(given))
    app.add_url_rule("/", "tell", lambda: jsonify(peer=address_of_caller(), url=request.base_url))
    return app.test_client()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """All doors, where people sign in."""
    folder = tmp_path_factory.mktemp("guarded")
    with login_gateway(folder, ROWS, public_url=PUBLIC) as (gateway, _):
        yield create_app(gateway)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlaskClient]:
    folder = tmp_path_factory.mktemp("entrance")
    with (
        stubborn_sites(ROWS) as urls,
        login_gateway(folder, ROWS, live=urls, public_url=PUBLIC) as (gateway, _),
    ):
        yield create_app(gateway, lambda: LOCAL_OPERATOR).test_client()


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("images.example", 200),
        ("IMAGES.example:8443", 200),
        ("127.0.0.1:8080", 200),
        ("[::1]:8080", 200),
        ("second.example", 200),
        ("evil.example", 400),
        ("images.example.evil.example", 400),
        ("images.example@evil.example", 400),
        ("images.example:80@evil.example", 400),
        ("", 400),
    ],
)
def test_only_names_of_ours_are_answered(host: str, status: int) -> None:
    client = asking({"GATEWAY_PUBLIC_URL": PUBLIC, "GATEWAY_TRUSTED_HOSTS": "second.example"})
    answer = client.get("/", headers={"Host": host})
    assert answer.status_code == status
    assert "evil" not in answer.get_data(as_text=True)


@pytest.mark.parametrize(
    ("given", "peer", "believed"),
    [
        pytest.param({}, "127.0.0.1", "203.0.113.9", id="the proxy of this host"),
        pytest.param({}, "192.0.2.1", "192.0.2.1", id="somebody else"),
        pytest.param(BEYOND, "10.0.0.5", "203.0.113.9", id="the declared proxy"),
        pytest.param(BEYOND, "::ffff:10.0.0.5", "203.0.113.9", id="the same on a socket of both"),
        pytest.param(BEYOND, "127.0.0.1", "127.0.0.1", id="this host where another was declared"),
    ],
)
def test_a_callers_address_is_the_last_word_of_the_declared_proxy(
    given: dict[str, str], peer: str, believed: str
) -> None:
    told = {**TOLD, "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "gopher"}
    answer = asking(given).get("/", headers=told, environ_base={"REMOTE_ADDR": peer})
    assert answer.json is not None
    assert answer.json["peer"] == believed
    assert answer.json["url"] == "http://localhost/"


@pytest.mark.parametrize("told", ["", "unknown", "<script>", "1" * 500])
def test_an_address_that_is_none_is_not_believed(told: str) -> None:
    answer = asking({}).get("/", headers={"X-Forwarded-For": told})
    assert answer.json is not None
    assert answer.json["peer"] == "127.0.0.1"


def test_without_tls_of_its_own_nobody_comes_past_the_proxy() -> None:
    statuses = [
        asking(BEYOND).get("/", environ_base={"REMOTE_ADDR": peer}).status_code
        for peer in ("10.0.0.5", "127.0.0.1", "10.0.0.7")
    ]
    assert statuses == [200, 200, 403]


def is_private(answer: TestResponse) -> bool:
    """H87: kept by nobody, or by its caller alone, who asks again each time."""
    said = answer.headers["Cache-Control"]
    return "no-store" in said or (said == "private, no-cache" and "Authorization" in answer.vary)


def test_every_answer_of_every_route_has_the_headers_of_a_page(client: FlaskClient) -> None:
    lacking = []
    paths = {path_of(rule, "gkb1", "1.2.3") for rule in client.application.url_map.iter_rules()}
    for path in sorted(paths | {"/no/such/page", "/dicom-web/studies/../x"}):
        for method in ("GET", "POST", "PUT", "OPTIONS"):
            answer = client.open(path, method=method)
            answer.close()
            policy = answer.headers.get("Content-Security-Policy", "")
            if not (
                policy.startswith("default-src 'none'")
                and (not INLINE.search(policy) or path.startswith("/viewer/app/"))
                and re.search(r"; frame-ancestors '(none|self)'", policy)
                and answer.headers.get("X-Content-Type-Options") == "nosniff"
                and answer.headers.get("Referrer-Policy") in ("no-referrer", "same-origin")
                and answer.headers.get("Strict-Transport-Security") == "max-age=31536000"
                and (path.startswith(EVERYONES) or is_private(answer))
            ):
                lacking.append((method, path, answer.status_code, policy))
    assert lacking == []
    assert len(paths) > 60


TWO_CREDENTIALS = {"Authorization": "Bearer x", "Cookie": f"__Host-gateway={'x' * 43}"}


@pytest.mark.parametrize(
    "headers", [{"Host": "*/*"}, TWO_CREDENTIALS], ids=["another name", "two credentials"]
)
@pytest.mark.parametrize("is_away", [False, True], ids=["", "without the database"])
def test_who_is_refused_before_it_is_known_who_asks_is_told_so_at_every_door(
    guarded: Flask, monkeypatch: pytest.MonkeyPatch, headers: dict[str, str], is_away: bool
) -> None:
    """H48, H65, F13"""

    @contextmanager
    def away(_records: Records) -> Iterator[None]:
        raise RecordsUnavailable("stopped")
        yield

    if is_away:
        monkeypatch.setattr(Records, "read", away)
        monkeypatch.setattr(Records, "write", away)
    paths = {path_of(rule, "gkb1", "1.2.3") for rule in guarded.url_map.iter_rules()}
    faults = []
    for path in sorted(paths):
        for method in ("GET", "POST"):
            answer = guarded.test_client().open(path, method=method, headers=headers)
            if answer.status_code == 500 or (answer.status_code < 400 and "Host" in headers):
                faults.append((method, path, answer.status_code))
            answer.close()
    assert faults == []


def test_cookies_go_over_tls_alone(client: FlaskClient) -> None:
    cookies = client.application.test_client().get("/login").headers.getlist("Set-Cookie")
    assert cookies != []
    assert [c for c in cookies if not re.search(r"^__Host-.*; Secure;.*SameSite=Strict", c)] == []


def test_a_fault_has_the_headers_too() -> None:
    app = Flask("broken")
    errors.register(app, PUBLIC)
    app.add_url_rule("/", "fault", lambda: 1 / 0)
    answer = app.test_client().get("/")
    assert answer.status_code == 500
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")


def test_a_stranger_is_told_whether_we_can_serve_and_not_what_is_amiss(tmp_path) -> None:
    with login_gateway(tmp_path, ROWS) as (gateway, _):
        client = create_app(gateway).test_client()
        here, there = (
            client.get("/readyz", environ_base={"REMOTE_ADDR": address})
            for address in ("127.0.0.1", "203.0.113.9")
        )
    assert {"database", "site gkb1"} <= set(here.get_json()["checks"])
    assert here.status_code == there.status_code
    assert set(there.get_json()) == {"status"}
