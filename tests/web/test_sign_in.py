"""People: from a one-time password to the images, and out again."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from html import unescape

import pyotp
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from gateway.bootstrap import Gateway
from gateway.clock import utc_now
from gateway.errors import GatewayBusy
from gateway.model.access import parse_post
from gateway.model.credentials import OF_ACCOUNT, OF_ACCOUNT_AT_ADDRESS
from gateway.records.accounts import add_account, begin_try, load_accounts, save_lock
from gateway.records.keyring import Keyring
from gateway.web import create_app, identity, sign_in
from tests.web.forms import form_to
from tests.web.indexed import uids
from tests.web.rows import ROWS
from tests.web.signing_in import HASHED, PASSWORD, add_person, login_gateway

OWN_PAGE = {"Origin": "http://localhost"}
HTML = {"Accept": "text/html"}


@dataclass
class Clinic:
    gateway: Gateway
    keyring: Keyring
    app: object

    def browser(self) -> FlaskClient:
        return self.app.test_client()

    def person(self, login: str, *roles: str) -> str:
        return add_person(self.gateway, self.keyring, login, *roles)[1]

    def newcomer(self, login: str, role: str, hours: float = 1) -> None:
        until = utc_now() + timedelta(hours=hours)
        posts = [parse_post(role)]
        add_account(self.gateway.records, login, "", posts, HASHED, until, utc_now())

    def sign_in(self, login: str, secret: str, **form: str) -> FlaskClient:
        browser = self.browser()
        page = fill(browser, browser.get("/login"), login=login, password=PASSWORD, **form)
        answer = fill(browser, page, code=pyotp.TOTP(secret).now())
        assert answer.status_code == 303
        return browser


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    with login_gateway(tmp_path_factory.mktemp("clinic"), ROWS) as (gateway, keyring):
        yield Clinic(gateway, keyring, create_app(gateway))


@pytest.fixture(autouse=True)
def nothing_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "KEEP_S", -1.0)


def fill(browser: FlaskClient, page: TestResponse, **values: str) -> TestResponse:
    """Send the page's form as a browser would."""
    text = page.get_data(as_text=True)
    (action,) = re.findall(r'<form method="post" action="([^"]+)"', text)
    hidden = dict(
        re.findall(r'<input[^>]*name="([^"]+)"[^>]*type="hidden"[^>]*value="([^"]*)"', text)
    )
    chosen = re.findall(r'<option selected value="([^"]+)"', text)
    form = {name: unescape(value) for name, value in hidden.items()}
    if 'name="purpose"' in text:
        form["purpose"] = chosen[0] if chosen else "TREAT"
    return browser.post(action, data=form | values, headers=OWN_PAGE)


def told(page: TestResponse) -> str:
    return page.get_data(as_text=True)


def test_a_newcomer_changes_the_password_sets_up_the_codes_and_is_in(clinic: Clinic) -> None:
    clinic.newcomer("newcomer", "doctor@gkb1")
    browser = clinic.browser()
    led = browser.get("/viewer/", headers=HTML)
    assert (led.status_code, led.headers["Location"]) == (303, "/login?back=/viewer/")
    page = browser.get(led.headers["Location"])
    page = fill(browser, page, login=" Newcomer ", password=PASSWORD)
    assert "Новый пароль" in told(page)
    assert "Пароли не совпадают" in told(fill(browser, page, password="x" * 12, again="y"))
    assert "от 12 до 128" in told(fill(browser, page, password="short", again="short"))
    new = "совсем другие слова"
    page = fill(browser, page, password=new, again=new)
    (secret,) = re.findall(r"<code>([A-Z2-7 ]+)</code>", told(page))
    secret = secret.replace(" ", "")
    wrong = fill(browser, page, code="000000")
    assert wrong.status_code == 401
    assert secret[:4] in told(wrong)
    done = fill(browser, wrong, code=pyotp.TOTP(secret).now())
    assert (done.status_code, done.headers["Location"]) == (303, "/viewer/")
    cookie = next(c for c in done.headers.getlist("Set-Cookie") if c.startswith("gateway="))
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
    assert uids(browser.get("/dicom-web/studies")) == ["2", "1"]
    account = told(browser.get("/account"))
    assert "врач · doctor (Больница gkb1)" in account
    assert "/upload" in account
    assert load_accounts(clinic.gateway.records, "newcomer")[0].one_time_until is None


def test_the_session_ends_with_sign_out_and_with_the_account(clinic: Clinic) -> None:
    secret = clinic.person("leaver", "doctor@gkb1")
    browser = clinic.sign_in("leaver", secret)
    kept = browser.get_cookie("gateway").value
    out = form_to(told(browser.get("/account")), "/logout")
    assert browser.post("/logout", headers=OWN_PAGE).status_code == 400  # without the form's token
    left = browser.post("/logout", data=out, headers=OWN_PAGE)
    assert left.headers["Location"] == "/login"
    browser.set_cookie("gateway", kept)
    assert browser.get("/dicom-web/studies").status_code == 401


def test_a_session_that_was_planted_before_the_sign_in_is_nobodys(clinic: Clinic) -> None:
    """H64"""
    secret = clinic.person("fixed", "doctor@gkb1")
    browser, planted = clinic.browser(), "A" * 43
    browser.set_cookie("gateway", planted)
    page = fill(browser, browser.get("/login"), login="fixed", password=PASSWORD)
    browser.set_cookie("gateway", planted)
    assert fill(browser, page, code=pyotp.TOTP(secret).now()).status_code == 303
    assert browser.get_cookie("gateway").value != planted
    thief = clinic.browser()
    thief.set_cookie("gateway", planted)
    assert thief.get("/dicom-web/studies").status_code == 401


def test_a_shut_account_is_out_at_once(clinic: Clinic) -> None:
    secret = clinic.person("shut", "doctor@gkb1")
    browser = clinic.sign_in("shut", secret)
    account_id = load_accounts(clinic.gateway.records, "shut")[0].account_id
    save_lock(clinic.gateway.records, account_id, utc_now())
    assert browser.get("/dicom-web/studies").status_code == 401
    refused = fill(browser, clinic.browser().get("/login"), login="shut", password=PASSWORD)
    assert refused.status_code in (400, 401)


def test_a_code_is_good_once_and_for_its_own_person(clinic: Clinic) -> None:
    secret = clinic.person("once", "doctor@gkb1")
    other = clinic.person("other", "doctor@gkb1")
    clinic.sign_in("once", secret)
    browser = clinic.browser()
    page = fill(browser, browser.get("/login"), login="once", password=PASSWORD)
    for code in (pyotp.TOTP(secret).now(), pyotp.TOTP(other).now(), "", "12345678901234567890"):
        assert fill(browser, page, code=code).status_code == 401


def test_nothing_tells_whether_a_login_exists(clinic: Clinic) -> None:
    clinic.person("somebody", "doctor@gkb1")
    clinic.newcomer("late", "doctor@gkb1", hours=-1)
    pages = []
    for login, password in (("somebody", "wrong"), ("nobody", "wrong"), ("late", PASSWORD)):
        browser = clinic.browser()
        answer = fill(browser, browser.get("/login"), login=login, password=password)
        assert answer.status_code == 401
        text = told(answer).replace(f'value="{login}"', "")
        pages.append(re.sub(r'name="csrf_token"[^>]*', "", text))
    assert len(set(pages)) == 1


def test_too_many_wrong_passwords_must_wait_and_another_address_need_not(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sign_in, "is_password", lambda *_: False)
    clinic.person("guessed", "doctor@gkb1")
    browser = clinic.browser()
    page = browser.get("/login")
    answers = [
        fill(browser, page, login="guessed", password="wrong").status_code
        for _ in range(OF_ACCOUNT_AT_ADDRESS.free + 1)
    ]
    assert answers == [401] * OF_ACCOUNT_AT_ADDRESS.free + [429]
    waiting = fill(browser, page, login="guessed", password=PASSWORD)
    assert 1 <= int(waiting.headers["Retry-After"]) <= 3
    monkeypatch.undo()
    elsewhere = clinic.app.test_client()
    elsewhere.environ_base["REMOTE_ADDR"] = "192.0.2.7"
    page = fill(elsewhere, elsewhere.get("/login"), login="guessed", password=PASSWORD)
    assert "Код из приложения" in told(page)


def test_a_page_for_a_new_password_is_of_no_use_once_there_is_one(clinic: Clinic) -> None:
    """Who read the one-time password over a shoulder opened the page, and waits with it."""
    clinic.newcomer("watched", "doctor@gkb1")
    thief, owner = clinic.browser(), clinic.browser()
    pages = [
        fill(one, one.get("/login"), login="watched", password=PASSWORD) for one in (thief, owner)
    ]
    mine, theirs = "только мои слова", "чужие слова тут"
    assert "svg" in told(fill(owner, pages[1], password=mine, again=mine))  # the authenticator
    late = fill(thief, pages[0], password=theirs, again=theirs)
    assert (late.status_code, "Время вышло" in told(late)) == (400, True)
    again = clinic.browser()
    assert fill(again, again.get("/login"), login="watched", password=mine).status_code == 200


def test_a_shut_account_gets_no_new_password(clinic: Clinic) -> None:
    clinic.newcomer("shut-early", "doctor@gkb1")
    browser = clinic.browser()
    page = fill(browser, browser.get("/login"), login="shut-early", password=PASSWORD)
    account = load_accounts(clinic.gateway.records, "shut-early")[0]
    save_lock(clinic.gateway.records, account.account_id, utc_now())
    new = "совсем другие слова"
    assert fill(browser, page, password=new, again=new).status_code == 400
    assert load_accounts(clinic.gateway.records, "shut-early")[0].one_time_until is not None


def test_a_right_password_forgets_no_wrong_code(clinic: Clinic) -> None:
    """H86: who has the password alone does not guess codes as fast as the password is judged."""
    clinic.person("leaked", "doctor@gkb1")
    browser = clinic.app.test_client()
    browser.environ_base["REMOTE_ADDR"] = "192.0.2.8"
    answers = []
    for _ in range(OF_ACCOUNT_AT_ADDRESS.free):
        page = fill(browser, browser.get("/login"), login="leaked", password=PASSWORD)
        answers.append(fill(browser, page, code="000000").status_code)
    assert answers == [401] * OF_ACCOUNT_AT_ADDRESS.free
    assert fill(browser, page, code="000000").status_code == 429
    page = fill(browser, browser.get("/login"), login="leaked", password=PASSWORD)
    assert page.status_code == 429


def test_who_guesses_from_everywhere_does_not_shut_the_owner_out(clinic: Clinic) -> None:
    secret = clinic.person("envied", "doctor@gkb1")
    clinic.sign_in("envied", secret)  # this address is known from here on
    soon = utc_now() + timedelta(minutes=1)  # it takes a while until the code is typed
    for n in range(OF_ACCOUNT.free):
        begin_try(clinic.gateway.records, "envied", f"198.51.100.{n}", False, soon)
    browser = clinic.browser()
    page = fill(browser, browser.get("/login"), login="envied", password=PASSWORD)
    next_code = pyotp.TOTP(secret).at(int(utc_now().timestamp()) + 30)
    assert fill(browser, page, code=next_code).status_code == 303


def test_in_a_storm_nobody_is_judged_and_no_try_is_counted(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """H86"""
    secret = clinic.person("patient", "doctor@gkb1")
    browser = clinic.browser()
    page = browser.get("/login")
    with monkeypatch.context() as patched:
        patched.setattr(sign_in.Passwords, "check_room", busy)
        tries = [fill(browser, page, login="patient", password="x") for _ in range(20)]
    assert {(one.status_code, "Retry-After" in one.headers) for one in tries} == {(503, True)}
    assert clinic.sign_in("patient", secret).get("/dicom-web/studies").status_code == 200


def busy(_passwords: sign_in.Passwords) -> None:
    raise GatewayBusy("many people are signing in")


def test_the_places_of_the_storm_are_counted() -> None:
    passwords = sign_in.Passwords()
    for _ in range(sign_in.AT_ONCE + sign_in.WAITING):
        passwords.check_room()
        passwords._places.acquire()
    with pytest.raises(GatewayBusy):
        passwords.check_room()


def test_a_form_without_its_token_is_refused(clinic: Clinic) -> None:
    for path in ("/login", "/login/password", "/login/code"):
        assert clinic.browser().post(path, data={"login": "x"}).status_code == 400


def test_a_form_that_is_too_large_is_not_read(clinic: Clinic) -> None:
    for path in ("/login", "/login/password", "/login/code"):
        assert clinic.browser().post(path, data={"login": "x" * 20_000}).status_code == 413


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/login", {"login": "a\0b", "password": "x", "purpose": "TREAT"}),
        ("/oauth/token", {"client_id": "a\0b", "client_secret": "x"}),
        ("/open", {"secret": "\0", "birth": "01.01.1970"}),
        ("/console/studies/%00/judge", {}),
        ("/sites/%00/dicom-web/studies", None),
        ("/rollout/register/facilities/1%00", None),
    ],
)
def test_a_nul_is_refused_before_any_database_sees_it(
    clinic: Clinic, path: str, form: dict[str, str] | None
) -> None:
    """PostgreSQL takes none: it would be a fault, and a line of the audit that never gets in."""
    browser = clinic.browser()
    token = form_to(told(browser.get("/login")), "/login")["csrf_token"]
    bearer = {"Authorization": "Bearer x.y.z"} if path.startswith("/console") else {}
    if form is None:
        answer = browser.get(path)
    else:
        answer = browser.post(path, data=form | {"csrf_token": token}, headers=OWN_PAGE | bearer)
    assert (answer.status_code, "NUL" in told(answer)) == (400, True)


def test_a_ticket_leads_to_its_own_step_only(clinic: Clinic) -> None:
    clinic.person("steps", "doctor@gkb1")
    browser = clinic.browser()
    page = fill(browser, browser.get("/login"), login="steps", password=PASSWORD)
    changed = told(page).replace('action="/login/code"', 'action="/login/password"')
    answer = fill(browser, type(page)(changed.encode(), "200 OK", {}, page.request),
                  password="x" * 12, again="x" * 12)  # fmt: skip
    assert (answer.status_code, "Время вышло" in told(answer)) == (400, True)


@pytest.mark.parametrize(
    "back",
    ["//evil.example", "https://evil.example", "\\\\evil", "/\\evil", "/logout", "/login?x", "x"],
)
def test_a_sign_in_leads_to_no_foreign_address(clinic: Clinic, back: str) -> None:
    page = clinic.browser().get("/login", query_string={"back": back})
    assert 'value="" ' in told(page).replace('value="">', 'value="" >')
    assert "evil" not in told(page)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "http://localhost.evil.example"}, 403),
        (OWN_PAGE | {"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": "null", "Sec-Fetch-Site": "same-origin"}, 400),
        (OWN_PAGE, 400),
    ],
)
def test_another_sites_page_does_not_come_to_the_store_by_a_session(
    clinic: Clinic, headers: dict[str, str], status: int
) -> None:
    login = f"storing{len(load_accounts(clinic.gateway.records))}"
    browser = clinic.sign_in(login, clinic.person(login, "doctor@gkb1"))
    answer = browser.post("/dicom-web/studies", data=b"x", headers=headers)
    assert answer.status_code == status


def test_the_ministry_signs_in_and_sees_no_image(clinic: Clinic) -> None:
    browser = clinic.sign_in("official", clinic.person("official", "ministry"))
    assert "министерство · ministry" in told(browser.get("/account"))
    for path in ("/dicom-web/studies", "/viewer/", "/", "/upload", "/status/sites"):
        assert browser.get(path).status_code == 403


def test_with_tls_the_cookie_is_of_this_host_alone(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    settings = replace(clinic.gateway.settings, public_url="https://images.example")
    monkeypatch.setattr(clinic.gateway, "settings", settings)
    app = create_app(clinic.gateway)
    found = identity.Identity(clinic.gateway)
    assert (found.cookie, found.is_secure) == ("__Host-gateway", True)
    cookie = (
        app.test_client().get("/login", base_url="https://images.example").headers["Set-Cookie"]
    )
    assert cookie.startswith("__Host-gateway-form=")
    assert {"Secure", "HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))


def test_pages_run_no_script_and_are_not_kept(clinic: Clinic) -> None:
    page = clinic.browser().get("/login")
    assert "<script" not in told(page)
    assert "script-src" not in page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert page.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("asked", "led"),
    [
        ("/rollout", "/rollout"),
        ("/rollout?lang=en", "/rollout?lang=en"),
        ("/rollout/report?month=2026-10&version=1", "/rollout/report?month=2026-10&version=1"),
        ("/rollout/facilities?words=%E2%84%96+39", "/rollout/facilities?words=%E2%84%96+39"),
        ("/rollouts", ""),
        ("/rollout/\\evil.example", ""),
        ("//evil.example/rollout", ""),
    ],
)
def test_a_link_to_the_figures_is_kept_over_the_sign_in(asked: str, led: str) -> None:
    assert sign_in.back_of(asked) == led
