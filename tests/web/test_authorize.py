"""A viewer that a person lets in: the code flow with PKCE, and every way in which it is refused."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient

from gateway.bootstrap import Gateway
from gateway.clock import utc_now
from gateway.model.access import Purpose
from gateway.records import codes
from gateway.records.accounts import save_lock
from gateway.records.clients import add_client, add_viewer, revoke_client
from gateway.records.keyring import Keyring
from gateway.records.sessions import end_sessions, login_session, start_session
from gateway.web import authorize, create_app, identity
from tests.web.indexed import uids
from tests.web.rows import ROWS
from tests.web.signing_in import add_person, login_gateway
from tests.web.test_oauth import basic
from tests.web.viewers import OWN_PAGE, Viewer

HOME = "https://viewer.example/callback"
ORIGIN = "https://viewer.example"
LOCAL = "http://127.0.0.1/cb"
ISSUER = "http://127.0.0.1:8080"


@dataclass
class Region:
    gateway: Gateway
    keyring: Keyring
    app: object
    client_id: str
    nobody: FlaskClient

    def viewer(self, home: str = HOME) -> Viewer:
        return Viewer(self.client_id, home)

    def person(self, login: str, *roles: str) -> tuple[str, FlaskClient]:
        """(account id, browser) of somebody who has signed in."""
        account_id, _ = add_person(self.gateway, self.keyring, login, *roles)
        return account_id, self.browser(account_id)

    def browser(self, account_id: str) -> FlaskClient:
        now, browser = utc_now(), self.app.test_client()
        secret = start_session(self.gateway.records, account_id, "::1", Purpose.TREATMENT, now)
        browser.set_cookie("gateway", secret)
        return browser

    def studies(self, token: str):
        return self.nobody.get("/dicom-web/studies", headers={"Authorization": f"Bearer {token}"})

    def token(self, viewer: Viewer, browser: FlaskClient) -> str:
        told = viewer.let_in(browser)
        return viewer.change(self.nobody, told["code"]).get_json()["access_token"]


@pytest.fixture(scope="module")
def region(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Region]:
    """Nothing is remembered between two requests: what was withdrawn is seen at once."""
    folder = tmp_path_factory.mktemp("authorize")
    with (
        pytest.MonkeyPatch.context() as patch,
        login_gateway(folder, ROWS, cors_origins=ORIGIN) as (gateway, keyring),
    ):
        patch.setattr(identity, "KEEP_S", -1.0)
        client_id = add_viewer(gateway.records, "Станция", [HOME, LOCAL], utc_now())
        app = create_app(gateway)
        yield Region(gateway, keyring, app, client_id, app.test_client())


def test_a_person_lets_a_viewer_in_and_it_sees_what_the_person_may_see(region: Region) -> None:
    _, browser = region.person("ivanova", "doctor@gkb1")
    viewer = region.viewer()
    page = viewer.ask(browser)
    text = page.get_data(as_text=True)
    assert "Станция" in text
    assert ORIGIN in text
    policy = page.headers["Content-Security-Policy"]
    assert f"form-action 'self' {ORIGIN};" in policy
    assert "frame-ancestors 'none'" in policy
    told = viewer.let_in(browser)
    assert (told["state"], told["iss"]) == ("s1", ISSUER)
    answer = viewer.change(region.nobody, told["code"])
    body = answer.get_json()
    assert (body["token_type"], body["scope"]) == ("Bearer", "images.read")
    assert 3590 <= body["expires_in"] <= 3600
    assert "refresh_token" not in body
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert uids(region.studies(body["access_token"])) == ["2", "1"]


def test_the_request_of_another_site_is_led_on_by_our_own_page(region: Region) -> None:
    """A Strict cookie does not come with it; it comes with the step after it."""
    viewer = region.viewer()
    lead = region.nobody.get("/oauth/authorize", query_string=viewer.asked())
    assert lead.status_code == 200
    asked = viewer.ask(region.nobody)
    assert asked.status_code == 303
    assert re.match(r"/login\?back=/oauth/consent\?ask(=|%3D)", asked.headers["Location"])
    page = region.nobody.get(asked.headers["Location"]).get_data(as_text=True)
    assert re.search(r'name="back" type="hidden" value="/oauth/consent\?ask=[\w.-]+"', page)


def test_a_viewer_is_asked_for_once_in_a_session(region: Region) -> None:
    account_id, browser = region.person("again", "doctor@gkb1")
    region.token(region.viewer(), browser)
    assert region.viewer().ask(browser).status_code == 303
    assert region.viewer().ask(browser, scope="images.read images.write").status_code == 200
    assert region.viewer().ask(region.browser(account_id)).status_code == 200


def test_a_program_on_the_persons_own_machine_is_asked_for_each_time(region: Region) -> None:
    _, browser = region.person("local", "doctor@gkb1")
    for port in (50001, 50002):
        viewer = region.viewer(f"http://127.0.0.1:{port}/cb")
        assert viewer.ask(browser).status_code == 200
        assert region.studies(region.token(viewer, browser)).status_code == 200


def test_a_person_may_say_no(region: Region) -> None:
    _, browser = region.person("refuser", "doctor@gkb1")
    told = region.viewer().let_in(browser, answer="no")
    assert told == {"error": "access_denied", "state": "s1", "iss": ISSUER}


def test_a_form_that_another_page_sends_lets_nobody_in(region: Region) -> None:
    _, browser = region.person("framed", "doctor@gkb1")
    region.viewer().ask(browser)
    for headers in ({"Origin": ORIGIN}, {}):
        sent = browser.post("/oauth/consent", data={"answer": "yes"}, headers=headers)
        assert sent.status_code == 403
    sent = browser.post("/oauth/consent", data={"answer": "yes", "ask": "x"}, headers=OWN_PAGE)
    assert sent.status_code == 400


@pytest.mark.parametrize("role", ["ministry", "auditor", "regional_admin", "hospital_it@gkb1"])
def test_who_may_not_see_images_lets_no_viewer_in(region: Region, role: str) -> None:
    _, browser = region.person(f"other-{role}", role)
    assert region.viewer().ask(browser).status_code == 403


def test_a_viewers_name_that_no_database_takes_is_nobodys(
    region: Region, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(authorize, "load_client", lambda _, client_id: asked.append(client_id))
    assert region.nobody.get("/oauth/authorize?client_id=%00").status_code == 400
    assert asked == []


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "nobody"},
        {"client_id": ""},
        {"redirect_uri": "https://evil.example/callback"},
        {"redirect_uri": ""},
    ],
)
def test_nothing_is_sent_to_an_address_that_is_not_registered(
    region: Region, changes: dict[str, str]
) -> None:
    answer = region.nobody.get("/oauth/authorize", query_string=region.viewer().asked(**changes))
    assert answer.status_code == 400
    assert "Location" not in answer.headers
    assert "evil" not in answer.get_data(as_text=True)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": ""}, "invalid_request"),
        ({"scope": "openid"}, "invalid_scope"),
    ],
)
def test_a_known_viewer_is_told_what_was_wrong(
    region: Region, changes: dict[str, str], error: str
) -> None:
    viewer = region.viewer()
    told = viewer.told(viewer.ask(region.nobody, **changes))
    assert told == {"error": error, "state": "s1", "iss": ISSUER}


def refused(answer) -> str:
    assert answer.status_code in (400, 401)
    return answer.get_json()["error"]


def test_a_code_is_good_once_and_a_second_try_withdraws_the_token(region: Region) -> None:
    _, browser = region.person("replay", "doctor@gkb1")
    viewer = region.viewer()
    code = viewer.let_in(browser)["code"]
    token = viewer.change(region.nobody, code).get_json()["access_token"]
    assert region.studies(token).status_code == 200
    assert refused(viewer.change(region.nobody, code)) == "invalid_grant"
    assert region.studies(token).status_code == 401


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code_verifier": "x" * 43}, "invalid_grant"),
        ({"code_verifier": ""}, "invalid_grant"),
        ({"redirect_uri": LOCAL}, "invalid_grant"),
        ({"redirect_uri": ""}, "invalid_grant"),
    ],
)
def test_a_code_is_changed_only_by_who_asked_for_it_and_a_wrong_try_spends_it(
    region: Region, changes: dict[str, str], error: str
) -> None:
    _, browser = region.person(f"wrong-{changes}"[:60].replace(" ", ""), "doctor@gkb1")
    viewer = region.viewer()
    code = viewer.let_in(browser)["code"]
    assert refused(viewer.change(region.nobody, code, **changes)) == error
    assert refused(viewer.change(region.nobody, code)) == "invalid_grant"


def test_a_code_is_of_no_use_to_another_program(region: Region) -> None:
    _, browser = region.person("stolen", "doctor@gkb1")
    viewer = region.viewer()
    code = viewer.let_in(browser)["code"]
    other = add_viewer(region.gateway.records, "Другая", [HOME], utc_now())
    assert refused(viewer.change(region.nobody, code, client_id=other)) == "invalid_grant"
    assert refused(viewer.change(region.nobody, "x" * 43)) == "invalid_grant"
    assert viewer.change(region.nobody, code).status_code == 200


def test_a_code_is_good_for_a_minute(region: Region, monkeypatch: pytest.MonkeyPatch) -> None:
    _, browser = region.person("slow", "doctor@gkb1")
    viewer = region.viewer()
    monkeypatch.setattr(codes, "CODE_S", -1)
    code = viewer.let_in(browser)["code"]
    assert refused(viewer.change(region.nobody, code)) == "invalid_grant"


@pytest.mark.parametrize("how", ["session", "account", "viewer"])
def test_whoever_is_out_takes_viewers_and_codes_along(region: Region, how: str) -> None:
    account_id, browser = region.person(f"out-{how}", "doctor@gkb1")
    records, now = region.gateway.records, utc_now()
    viewer = Viewer(add_viewer(records, "Временная", [HOME], now), HOME)
    token = region.token(viewer, browser)
    waiting = viewer.let_in(browser)["code"]
    assert region.studies(token).status_code == 200
    if how == "session":
        end_sessions(records, account_id, now)
    elif how == "account":
        save_lock(records, account_id, now)
    else:
        revoke_client(records, viewer.client_id, now)
    assert region.studies(token).status_code == 401
    assert refused(viewer.change(region.nobody, waiting)) in ("invalid_grant", "invalid_client")


def test_a_token_lives_no_longer_than_the_session_may(region: Region) -> None:
    account_id, browser = region.person("evening", "doctor@gkb1")
    begun = utc_now() - timedelta(hours=7, minutes=50)
    mine = login_session.c.account_id == account_id
    with region.gateway.records.write() as connection:
        connection.execute(sa.update(login_session).where(mine).values(made_at=begun))
    viewer = region.viewer()
    told = viewer.change(region.nobody, viewer.let_in(browser)["code"]).get_json()
    assert 0 < told["expires_in"] <= 600


def test_a_viewer_takes_its_token_back(region: Region) -> None:
    _, browser = region.person("tidy", "doctor@gkb1")
    viewer = region.viewer()
    token = region.token(viewer, browser)
    form = {"token": token, "client_id": viewer.client_id}
    assert region.nobody.post("/oauth/revoke", data=form).status_code == 200
    assert region.studies(token).status_code == 401


def test_a_viewer_has_no_right_of_its_own_and_a_program_no_person(region: Region) -> None:
    viewer = region.viewer()
    form = {"grant_type": "client_credentials", "client_id": viewer.client_id}
    assert refused(region.nobody.post("/oauth/token", data=form)) == "unauthorized_client"
    asked = {"token": "x", "client_id": viewer.client_id}
    assert refused(region.nobody.post("/oauth/introspect", data=asked)) == "invalid_client"
    for secret in ("", "x" * 43):
        headers = basic(viewer.client_id, secret)
        told = region.nobody.post("/oauth/token", data={"grant_type": "x"}, headers=headers)
        assert refused(told) == "invalid_client"
    client_id, _ = add_client(region.gateway.records, "МИС", "gkb1", utc_now())
    asked_by_program = Viewer(client_id, HOME).asked()
    answer = region.nobody.get("/oauth/authorize", query_string=asked_by_program)
    assert answer.status_code == 400


def test_what_a_viewer_needs_to_know_is_told(region: Region) -> None:
    about = region.nobody.get("/.well-known/oauth-authorization-server").get_json()
    assert about["issuer"] == ISSUER
    assert about["code_challenge_methods_supported"] == ["S256"]
    assert about["response_types_supported"] == ["code"]
    assert about["authorization_response_iss_parameter_supported"] is True
    assert about["scopes_supported"] == ["images.read", "images.write"]
    paths = {rule.rule for rule in region.app.url_map.iter_rules()}
    ends = [value for name, value in about.items() if name.endswith(("_endpoint", "_uri"))]
    assert len(ends) == 5
    assert {end.removeprefix(ISSUER) for end in ends} <= paths
