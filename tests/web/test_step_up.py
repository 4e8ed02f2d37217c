"""Before a form that matters, a person whose sign-in is old proves anew who they are."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import pyotp
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from gateway.bootstrap import Gateway
from gateway.clock import utc_now
from gateway.model.access import MAY, STEP_UP, Action, Purpose, Role
from gateway.model.tokens import SCOPES
from gateway.records.keyring import Keyring
from gateway.records.recovery import count_recovery_codes, save_recovery_codes
from gateway.records.sessions import start_session
from gateway.records.sharing import load_shares
from gateway.web import create_app, identity
from gateway.web.permissions import action_of, needs
from tests.web.forms import form_to
from tests.web.rows import ROWS, U
from tests.web.signing_in import PASSWORD, add_person, login_gateway
from tests.web.test_permissions import OWN, SMITH, path_of
from tests.web.viewers import OWN_PAGE

ASKS = "Подтвердите, что это вы"
OLD, FRESH = timedelta(minutes=20), timedelta(minutes=10)
POSTED_WITHOUT = {
    Action.OPEN,  # who is not signed in has nothing to prove anew
    Action.OWN_ACCOUNT,  # the old password is asked for; ending a session needs no patience
    Action.VIEW,  # a viewer is let in to images that the person may see anyway
    Action.SEARCH, Action.RETRIEVE, Action.STORE,
    Action.SHARE,  # revoking must be quick
    Action.BREAK_GLASS,  # an emergency waits for nobody, and it is an alarm at once
    Action.LINK_PERSONS, Action.WRITE_RULES, Action.RESEND, Action.READ_AUDIT,
    Action.READ_DELIVERIES, Action.READ_RULES, Action.READ_FIGURES, Action.SEE_STATUS,
    Action.READ_REGISTER, Action.WRITE_REGISTER,  # every change of it can be taken back
}  # fmt: skip
"""What a form does without: a new action is put here, or into STEP_UP, by somebody's decision."""


@dataclass
class Clinic:
    gateway: Gateway
    keyring: Keyring
    app: object

    def person(self, login: str, *roles: str, ago: timedelta = OLD) -> tuple[FlaskClient, str, str]:
        """(browser that signed in so long ago, account id, secret of the authenticator)"""
        account_id, secret = add_person(self.gateway, self.keyring, login, *roles)
        return self.browser(account_id, ago), account_id, secret

    def browser(self, account_id: str, ago: timedelta) -> FlaskClient:
        browser = self.app.test_client()
        cookie = start_session(
            self.gateway.records, account_id, "::1", Purpose.TREATMENT, utc_now() - ago
        )
        browser.set_cookie("gateway", cookie)
        return browser

    def shared(self) -> list[str]:
        return [one.reason for one in load_shares(self.gateway.records, SMITH)]


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    with (
        pytest.MonkeyPatch.context() as patch,
        login_gateway(tmp_path_factory.mktemp("step_up"), ROWS) as (gateway, keyring),
    ):
        patch.setattr(identity, "KEEP_S", -1.0)
        add_person(gateway, keyring, "colleague", "doctor@zlat")
        yield Clinic(gateway, keyring, create_app(gateway))


def post(browser: FlaskClient, path: str, data: object = None) -> TestResponse:
    return browser.post(path, data=data, headers=OWN_PAGE)


def share(browser: FlaskClient, reason: str) -> TestResponse:
    """The doctor's form, filled in and sent."""
    form = form_to(browser.get(f"/share/{SMITH}").text, "/grant")
    typed = {"login": "colleague", "reason": reason, "hours": "5"}
    return post(browser, f"/share/{SMITH}/grant", form.to_dict() | typed)


def prove(browser: FlaskClient, page: TestResponse, password: str, code: str) -> TestResponse:
    assert ASKS in page.text
    form = form_to(page.text, page.request.path)
    typed = {"proof_password": password, "proof_code": code}
    return post(browser, page.request.path, form.to_dict() | typed)


def test_every_form_of_the_set_asks_an_old_sign_in_and_no_other_does(clinic: Clinic) -> None:
    """Of every route there is: a new one cannot forget it."""
    app = create_app(clinic.gateway)
    for endpoint, view in app.view_functions.items():
        if hasattr(view, "needs"):
            app.view_functions[endpoint] = needs(view.needs)(lambda **_: "reached")
    browsers: dict[tuple[Role, timedelta], FlaskClient] = {}
    for role in (Role.DOCTOR, Role.REGIONAL_ADMIN, Role.HOSPITAL_IT, Role.AUDITOR, Role.MINISTRY):
        post_of = f"{role}@{OWN}" if role in (Role.DOCTOR, Role.HOSPITAL_IT) else str(role)
        _, account_id, _ = clinic.person(f"all-{role}", post_of)
        for ago in (OLD, FRESH):
            browser = app.test_client()
            cookie = start_session(
                clinic.gateway.records, account_id, "::1", Purpose.TREATMENT, utc_now() - ago
            )
            browser.set_cookie("gateway", cookie)
            browsers[role, ago] = browser
    wrong, asked = [], set()
    for rule in app.url_map.iter_rules():
        action = action_of(app, rule)
        if "POST" not in (rule.methods or ()) or action is Action.OPEN or action is None:
            continue
        assert action in STEP_UP | POSTED_WITHOUT, rule
        path = path_of(rule, OWN, SMITH)
        for (role, ago), browser in browsers.items():
            if action not in MAY[role]:
                continue
            answer = post(browser, path)
            must = action in STEP_UP and ago is OLD
            found = "asked" if ASKS in answer.text else answer.text
            asked |= {action} if must else set()
            if found != ("asked" if must else "reached"):
                wrong.append((rule.rule, role, ago, answer.status_code))
    assert wrong == []
    assert asked >= {Action.GIVE_ACCESS, Action.ACTIVATE_RULES, Action.APPROVE_RULES}


def test_looking_is_never_asked_about(clinic: Clinic) -> None:
    browser, _, _ = clinic.person("looker", f"doctor@{OWN}")
    assert ASKS not in browser.get(f"/share/{SMITH}").text


def test_no_token_comes_to_what_a_session_proves_anew() -> None:
    assert not frozenset().union(*SCOPES.values()) & STEP_UP


def test_after_the_proof_the_form_is_done_as_it_was_typed(clinic: Clinic) -> None:
    browser, _, secret = clinic.person("sharer", f"doctor@{OWN}")
    page = share(browser, "ко второму мнению")
    assert (page.status_code, clinic.shared()) == (403, [])
    done = prove(browser, page, PASSWORD, pyotp.TOTP(secret).now())
    assert done.status_code == 303
    assert clinic.shared() == ["ко второму мнению"]
    assert share(browser, "и ещё раз").status_code == 303  # for a quarter of an hour
    assert len(clinic.shared()) == 2


def test_a_wrong_proof_does_nothing_and_shows_no_secret(clinic: Clinic) -> None:
    browser, _, secret = clinic.person("wrong", f"doctor@{OWN}")
    before, code = clinic.shared(), pyotp.TOTP(secret).now()
    other = str((int(code) + 1) % 10**6).zfill(6)
    page = share(browser, "не выйдет")
    for typed in (("other words 123", code), (PASSWORD, other), (PASSWORD, "")):
        page = prove(browser, page, *typed)
        assert (page.status_code, "не подходят" in page.text) == (403, True)
        assert not any(value and value in page.text for value in typed)
    assert clinic.shared() == before
    assert prove(browser, page, PASSWORD, code).status_code == 303


def test_guesses_are_slowed_down(clinic: Clinic) -> None:
    browser, _, _ = clinic.person("guesser", f"doctor@{OWN}")
    page = share(browser, "не выйдет")
    seen = [prove(browser, page, "wrong words 12", "000000").status_code for _ in range(7)]
    assert (seen[0], seen[-1]) == (403, 429)


def test_a_proof_without_the_pages_token_is_refused(clinic: Clinic) -> None:
    browser, _, secret = clinic.person("tokenless", f"doctor@{OWN}")
    typed = {"proof_password": PASSWORD, "proof_code": pyotp.TOTP(secret).now(), "reason": "нет"}
    answer = post(browser, f"/share/{SMITH}/grant", typed)
    assert (answer.status_code, ASKS in answer.text) == (403, False)
    assert ASKS in share(browser, "нет").text


def test_a_recovery_code_is_good_once(clinic: Clinic) -> None:
    browser, account_id, _ = clinic.person("phoneless", f"doctor@{OWN}")
    save_recovery_codes(clinic.gateway.records, account_id, ["12345678901234567890"])
    done = prove(browser, share(browser, "без телефона"), PASSWORD, "12345 67890-12345 67890 ")
    assert done.status_code == 303
    assert count_recovery_codes(clinic.gateway.records, account_id) == 0
    later = clinic.browser(account_id, OLD)
    page = prove(later, share(later, "ещё раз"), PASSWORD, "12345678901234567890")
    assert page.status_code == 403


def test_another_persons_recovery_code_opens_nothing(clinic: Clinic) -> None:
    _, other, _ = clinic.person("owner-of-codes", f"doctor@{OWN}")
    save_recovery_codes(clinic.gateway.records, other, ["09876543210987654321"])
    browser, _, _ = clinic.person("thief", f"doctor@{OWN}")
    page = prove(browser, share(browser, "чужой код"), PASSWORD, "09876543210987654321")
    assert page.status_code == 403
    assert count_recovery_codes(clinic.gateway.records, other) == 1


def test_markup_in_what_was_typed_stays_text(clinic: Clinic) -> None:
    browser, _, _ = clinic.person("markup", f"doctor@{OWN}")
    page = share(browser, '"><script>alert(1)</script>')
    assert "<script" not in page.text
    assert form_to(page.text, f"/share/{SMITH}/grant")["reason"] == '"><script>alert(1)</script>'
    assert U in page.request.path
