"""People of another issuer, a real OpenID provider: in, out, while it is away, and its tokens."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
import sqlalchemy as sa
from flask import Flask
from werkzeug.serving import make_server

from gateway import openid
from gateway.bootstrap import Gateway
from gateway.clock import monotonic_s, utc_now
from gateway.demo.servers import free_port
from gateway.records import sessions
from gateway.records.accounts import load_accounts, save_lock
from gateway.web import create_app, identity, limits, outside
from tests.openid import AUDIENCE, CLIENT_ID, SECRET, Browser, Provider
from tests.waiting import wait_until
from tests.web.forms import forms_of
from tests.web.rows import ROWS
from tests.web.signing_in import login_gateway
from tests.web.test_permissions import SMITH

pytestmark = pytest.mark.real

IDENTITY = """
[identity]
claim = "groups"
[identity.posts]
"gkb1-vrachi" = "doctor@gkb1"
"zlat-vrachi" = ["doctor@zlat", "hospital_it@zlat"]
"minzdrav" = "ministry"
"mis" = "service@gkb1"
"""
GROUPS = {
    "ivanova": ["gkb1-vrachi", "pensioners"],
    "petrov": ["zlat-vrachi"],
    "stranger": ["accountants"],
    "both": ["gkb1-vrachi", "minzdrav"],
    "leaver": ["gkb1-vrachi"],
    "again": ["gkb1-vrachi"],
    "shut": ["gkb1-vrachi"],
    CLIENT_ID: ["mis"],
}


@dataclass
class Region:
    gateway: Gateway
    app: Flask
    url: str
    provider: Provider

    def begin(self, browser: Browser, purpose: str = "TREAT") -> requests.Response:
        """From our sign-in page to the provider's."""
        page = browser.get(self.url + "/login?back=/upload")
        lead = browser.send(page, "/login/outside", purpose=purpose)
        assert lead.status_code == 200, lead.text
        return browser.get(next_of(lead))

    def prove(self, browser: Browser, login: str) -> requests.Response:
        """What our return address answers, after the provider's own pages."""
        page = self.begin(browser)
        page = browser.send(page, "", login=login, password="x")
        return browser.send(page, "")  # its question whether we may know

    def sign_in(self, login: str) -> Browser:
        browser = Browser()
        done = self.prove(browser, login)
        assert next_of(done) == "/upload"
        return browser

    def studies(self, browser: Browser) -> int:
        return browser.get(self.url + "/dicom-web/studies").status_code

    def seen_by(self, token: str) -> requests.Response:
        headers = {"Authorization": f"Bearer {token}"}
        return requests.get(self.url + "/dicom-web/studies", headers=headers, timeout=30)


def next_of(page: requests.Response) -> str:
    (found,) = [
        line.partition("url=")[2].partition('"')[0].replace("&amp;", "&")
        for line in page.text.splitlines()
        if 'http-equiv="refresh"' in line
    ]
    return found


@pytest.fixture(scope="module")
def region(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Region]:
    folder, port = tmp_path_factory.mktemp("outside"), free_port()
    url = f"http://127.0.0.1:{port}"
    provider = Provider(folder, url, GROUPS)
    secret = folder / "oidc.secret"
    secret.write_text(SECRET + "\n", encoding="utf-8")
    with (
        pytest.MonkeyPatch.context() as patch,
        login_gateway(
            folder, ROWS, public_url=url, port=port, oidc_issuer=provider.issuer,
            oidc_client_id=CLIENT_ID, oidc_client_secret_file=str(secret), oidc_audience=AUDIENCE,
        ) as (gateway, _),
    ):  # fmt: skip
        patch.setattr(identity, "KEEP_S", -1.0)
        toml = folder / "region.toml"
        toml.write_text(toml.read_text(encoding="utf-8") + IDENTITY, encoding="utf-8")
        assert gateway.region_file.refresh()
        provider.start("first")
        app = create_app(gateway)
        server = make_server("127.0.0.1", port, app, threaded=True)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield Region(gateway, app, url, provider)
        finally:
            server.shutdown()
            server.server_close()
            provider.stop()


def test_a_doctor_of_the_issuer_comes_in_with_the_role_of_the_group(region: Region) -> None:
    browser = region.sign_in("ivanova")
    account = browser.get(region.url + "/account").text
    assert "врач · doctor (Больница gkb1)" in account
    found = browser.get(region.url + "/dicom-web/studies")
    assert len(found.json()) == 2
    (listed,) = [a for a in load_accounts(region.gateway.records) if a.name == "Имя ivanova"]
    assert [str(post) for post in listed.posts] == ["doctor@gkb1"]
    again = region.sign_in("ivanova")
    assert region.studies(again) == 200
    assert len([a for a in load_accounts(region.gateway.records) if a.name == listed.name]) == 1


def test_several_posts_of_a_group_and_none_of_a_group_without_one(region: Region) -> None:
    account = region.sign_in("petrov").get(region.url + "/account").text
    assert "врач · doctor (Больница zlat)" in account
    assert "инженер больницы" in account
    browser = Browser()
    refused = region.prove(browser, "stranger")
    assert refused.status_code == 403
    assert "попросите администратора" in refused.text
    assert region.studies(browser) == 401


def test_the_ministry_stands_alone_whatever_else_the_issuer_says(region: Region) -> None:
    assert region.studies(region.sign_in("both")) == 403


def test_whoever_makes_us_ask_the_issuer_is_counted(region: Region) -> None:
    assert set(limits.TO_ISSUER) <= set(region.app.view_functions)


def test_a_shut_account_stays_shut(region: Region) -> None:
    browser = region.sign_in("shut")
    (listed,) = [a for a in load_accounts(region.gateway.records) if a.name == "Имя shut"]
    save_lock(region.gateway.records, listed.account_id, utc_now())
    assert region.studies(browser) == 401
    assert region.prove(Browser(), "shut").status_code == 403


def test_who_signs_out_at_the_issuer_is_out_here(region: Region) -> None:
    browser, other = region.sign_in("leaver"), region.sign_in("leaver")
    assert region.studies(browser) == 200
    page = browser.get(region.provider.issuer + "/session/end")
    browser.send(page, "/session/end/confirm", logout="yes")
    wait_until(lambda: region.studies(browser) == 401, 60, "the word of the issuer")
    assert region.studies(other) == 200


def test_before_a_form_that_matters_the_issuer_asks_again(region: Region) -> None:
    """Step-up (trust.md 1 b): its own session is not enough there (`prompt=login`)."""
    browser = region.sign_in("again")
    records, share = region.gateway.records, f"{region.url}/share/{SMITH}"
    with records.write() as connection:
        hour_ago = utc_now() - timedelta(hours=1)
        connection.execute(sa.update(sessions.login_session).values(made_at=hour_ago))

    def give() -> requests.Response:
        page = browser.get(share)
        return browser.send(page, "/grant", login="nobody-here", reason="второе мнение")

    page = give()
    assert (page.status_code, "Подтвердите, что это вы" in page.text) == (403, True)
    former = browser.session.cookies.copy()
    lead = browser.send(page, "/login/outside")
    page = browser.get(next_of(lead))
    assert "login" in dict(forms_of(page.text)).popitem()[1]
    back = browser.send(page, "", login="again", password="x")
    assert next_of(back) == "/account"
    assert "Такого имени для входа нет" in give().text
    browser.session.cookies = former
    assert browser.get(region.url + "/account").status_code == 401


def returned(region: Region, browser: Browser) -> str:
    """The address at which the provider sends this browser back, not yet visited."""
    page = region.begin(browser)
    page = browser.send(page, "", login="ivanova", password="x")
    action = page.text.partition('action="')[2].partition('"')[0]
    answer = browser.session.post(
        action, data={"prompt": "consent"}, allow_redirects=False, timeout=30
    )
    while not answer.headers["Location"].startswith(region.url):
        answer = browser.session.get(answer.headers["Location"], allow_redirects=False, timeout=30)
    return answer.headers["Location"]


def test_only_the_browser_that_left_comes_back_and_only_once(region: Region) -> None:
    browser = Browser()
    place = returned(region, browser)
    assert parse_qs(urlsplit(place).query)["iss"] == [region.provider.issuer]
    assert Browser().get(place).status_code == 401
    for changed in (
        place.replace("state=", "state=x"),
        place.replace("iss=", "iss=https%3A%2F%2Fevil.example%2F&x="),
        place + "&code=twice",
        place.partition("?")[0],
    ):
        kept = browser.session.cookies.copy()
        assert browser.get(changed).status_code == 401
        browser.session.cookies = kept
    assert browser.get(place).status_code == 200
    browser.session.cookies.clear()
    assert browser.get(place).status_code == 401


@pytest.mark.parametrize("thing", ["nonce", "verifier"])
def test_a_code_of_somebody_elses_try_is_refused(
    region: Region, thing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = Browser()
    place = returned(region, browser)
    begun = outside.Outside._begun

    def forged(self: outside.Outside, now: object) -> outside.Try:
        return replace(begun(self, now), **{thing: "x" * 43})

    monkeypatch.setattr(outside.Outside, "_begun", forged)
    assert browser.get(place).status_code == 401


def test_a_program_of_the_issuer_comes_to_images_with_its_token(region: Region) -> None:
    token = region.provider.token_of_program()
    assert len(region.seen_by(token).json()) == 2
    headers = {"Authorization": f"Bearer {token}"}
    for path in ("/account", "/", "/console", "/viewer/"):
        assert requests.get(region.url + path, headers=headers, timeout=30).status_code == 403
    head, claims, mark = token.split(".")
    for forged in (f"{head}.{claims}.{mark[:-5]}AAAAA", f"{head}.{claims}.", token[:-1]):
        assert region.seen_by(forged).status_code == 401


def test_a_new_key_of_the_issuer_is_found_and_the_old_one_forgotten(
    region: Region, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = region.provider.token_of_program()
    assert region.seen_by(before).status_code == 200
    region.provider.stop()
    region.provider.start("second")
    after = region.provider.token_of_program()
    assert region.seen_by(before).status_code == 200  # it still knows the old key
    later = monotonic_s() + openid.ASK_AGAIN_S + 1
    monkeypatch.setattr(openid, "monotonic_s", lambda: later)
    assert region.seen_by(after).status_code == 200
    assert region.seen_by(before).status_code == 401


def test_while_the_issuer_is_away_who_is_in_goes_on_and_nobody_new_comes(
    region: Region, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser, token = region.sign_in("ivanova"), region.provider.token_of_program()
    assert region.seen_by(token).status_code == 200
    region.provider.stop()
    try:
        assert region.studies(browser) == 200
        assert region.seen_by(token).status_code == 200
        page = Browser()
        login = page.get(region.url + "/login")
        assert "Учётная запись шлюза" in login.text  # the way that is left
        doors = openid.Issuer(region.gateway.settings, SECRET)
        with pytest.raises(openid.IssuerUnavailable):
            doors.doors()
        later = (
            monotonic_s() + openid.STALE_S + 2 * openid.ASK_AGAIN_S
        )  # and what a test above added
        monkeypatch.setattr(openid, "monotonic_s", lambda: later)
        assert region.seen_by(token).status_code == 503
        assert region.studies(browser) == 200
    finally:
        region.provider.start("second")
