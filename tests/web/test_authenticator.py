"""Another telephone and recovery codes: never without a second factor, and never by an open browser
alone."""

import re

import pyotp
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from gateway.clock import utc_now
from gateway.model.access import Purpose, parse_post
from gateway.model.credentials import RECOVERY_CODES
from gateway.records.accounts import load_proof
from gateway.records.outside import save_outsider
from gateway.records.recovery import count_recovery_codes
from gateway.records.sessions import start_session
from tests.web.forms import form_to
from tests.web.signing_in import PASSWORD
from tests.web.test_step_up import ASKS, FRESH, OLD, Clinic, clinic, post, prove

__all__ = ["clinic"]
POST = "auditor"


def send(browser: FlaskClient, path: str) -> TestResponse:
    """The button of the account's page."""
    form = form_to(browser.get("/account").text, path)
    return post(browser, path, form.to_dict())


def sealed_of(clinic: Clinic, login: str) -> str:
    return load_proof(clinic.gateway.records, login).totp_sealed


def secret_on(page: TestResponse) -> str:
    return re.search(r"<code>([A-Z2-7 ]+)</code>", page.text)[1].replace(" ", "")


def codes_on(page: TestResponse) -> list[str]:
    return re.findall(r"<code>(\d{5}(?: \d{5}){3})</code>", page.text)


def sign_in(clinic: Clinic, login: str, code: str) -> TestResponse:
    browser = clinic.app.test_client()
    page = browser.get("/login")
    typed = {"login": login, "password": PASSWORD}
    page = post(browser, "/login", form_to(page.text, "/login").to_dict() | typed)
    return post(
        browser, "/login/code", form_to(page.text, "/login/code").to_dict() | {"code": code}
    )


def test_another_telephone_counts_from_its_first_right_code(clinic: Clinic) -> None:
    here, account_id, old = clinic.person("mover", POST, ago=FRESH)
    there = clinic.browser(account_id, FRESH)
    page = send(here, "/account/authenticator")
    new, former = secret_on(page), sealed_of(clinic, "mover")
    assert "data:image/svg+xml" in page.text
    form = form_to(page.text, "/confirm").to_dict()
    wrong = post(here, "/account/authenticator/confirm", form | {"code": "12345"})
    assert (wrong.status_code, secret_on(wrong)) == (401, new)
    assert sealed_of(clinic, "mover") == former
    form = form_to(wrong.text, "/confirm").to_dict()
    done = post(here, "/account/authenticator/confirm", form | {"code": pyotp.TOTP(new).now()})
    assert len(set(codes_on(done))) == RECOVERY_CODES
    assert there.get("/account").status_code == 401
    assert here.get("/account").status_code == 200
    assert sign_in(clinic, "mover", pyotp.TOTP(old).now()).status_code == 401
    assert sign_in(clinic, "mover", codes_on(done)[0]).status_code == 303


def test_a_picture_of_somebody_else_changes_nothing(clinic: Clinic) -> None:
    one, _, _ = clinic.person("drawer", POST, ago=FRESH)
    other, _, _ = clinic.person("taker", POST, ago=FRESH)
    page = send(one, "/account/authenticator")
    former = sealed_of(clinic, "taker")
    ticket = form_to(page.text, "/confirm")["ticket"]
    own = form_to(send(other, "/account/authenticator").text, "/confirm").to_dict()
    typed = own | {"ticket": ticket, "code": pyotp.TOTP(secret_on(page)).now()}
    assert post(other, "/account/authenticator/confirm", typed).status_code == 303
    assert sealed_of(clinic, "taker") == former


def test_recovery_codes_are_shown_once_and_new_ones_end_the_old(clinic: Clinic) -> None:
    browser, account_id, _ = clinic.person("writer", POST, ago=FRESH)
    assert "Кодов восстановления нет" in browser.get("/account").text
    first, second = (codes_on(send(browser, "/account/recovery")) for _ in range(2))
    page = browser.get("/account").text
    assert f"Кодов восстановления осталось: {RECOVERY_CODES}" in page
    assert not any(code in page for code in second)
    assert sign_in(clinic, "writer", first[0]).status_code == 401
    assert sign_in(clinic, "writer", second[0].replace(" ", "-")).status_code == 303
    assert sign_in(clinic, "writer", second[0]).status_code == 401
    assert count_recovery_codes(clinic.gateway.records, account_id) == RECOVERY_CODES - 1


def test_a_browser_left_open_gives_neither(clinic: Clinic) -> None:
    browser, account_id, secret = clinic.person("left", POST, ago=OLD)
    for path in ("/account/authenticator", "/account/recovery"):
        page = send(browser, path)
        assert (page.status_code, ASKS in page.text, codes_on(page)) == (403, True, [])
    assert count_recovery_codes(clinic.gateway.records, account_id) == 0
    done = prove(browser, page, PASSWORD, pyotp.TOTP(secret).now())
    assert len(codes_on(done)) == RECOVERY_CODES


def test_whoever_another_issuer_vouches_for_has_no_authenticator_here(clinic: Clinic) -> None:
    records, now = clinic.gateway.records, utc_now()
    known = save_outsider(records, "https://id.example", "u9", "Имя", [parse_post(POST)], now)
    browser = clinic.app.test_client()
    secret = start_session(
        records, known.account_id, "::1", Purpose.TREATMENT, now, outside_sid="x"
    )
    browser.set_cookie("gateway", secret)
    page = browser.get("/account").text
    assert "/account/recovery" not in page
    form = form_to(page, "/logout").to_dict()
    assert post(browser, "/account/recovery", form).status_code == 403
    assert count_recovery_codes(records, known.account_id) == 0
