"""A person's own account: what they may do, where they are signed in, their password, the way out.

Whoever another issuer vouches for has no password here; all the rest is the same.
"""

from collections.abc import Callable

from flask import Blueprint, Response, g, request
from wtforms import PasswordField

from gateway.bootstrap import Gateway
from gateway.clock import utc_now
from gateway.errors import BadRequest, TooManyTries
from gateway.log import log
from gateway.model.access import Action, Role, allow
from gateway.model.credentials import check_new_password, hash_password, is_password
from gateway.records import accounts, codes, sessions
from gateway.records.recovery import count_recovery_codes
from gateway.records.sharing import load_grants
from gateway.web.auditing import Auditor
from gateway.web.console.frame import clock_of
from gateway.web.forms import SentForm
from gateway.web.identity import Identity, address_of_caller
from gateway.web.permissions import needs
from gateway.web.sign_in import PURPOSES, LoginForm, Passwords, leave_to, show, too_many

FORM_LIMIT = 16 * 1024
ROLES = {
    Role.DOCTOR: "врач · doctor",
    Role.HOSPITAL_IT: "инженер больницы · hospital IT",
    Role.REGIONAL_ADMIN: "администратор региона · regional administrator",
    Role.MINISTRY: "министерство · ministry",
    Role.AUDITOR: "аудитор · auditor",
}


class ChangeForm(SentForm):
    old = PasswordField()
    password = PasswordField()
    again = PasswordField()


class Account:
    """The pages; one for each process."""

    def __init__(
        self, gateway: Gateway, identity: Identity, auditor: Auditor, passwords: Passwords
    ) -> None:
        self._gateway = gateway
        self._records = gateway.records
        self._identity = identity
        self._auditor = auditor
        self._passwords = passwords

    def account(self) -> Response:
        return self._account()

    def _account(self, problem: str = "", status: int = 200) -> Response:
        now, mine = utc_now(), self._identity.session()
        found = sessions.load_sessions(self._records, mine.account_id, now)
        viewers = codes.load_viewers(self._records, [one.session_id for one in found])
        listed = [
            {
                "id": one.session_id, "here": one.session_id == mine.session_id,
                "began": one.made_at, "seen": max(one.seen_at, one.made_at),
                "purpose": dict(PURPOSES)[one.purpose],
                "viewers": viewers.get(one.session_id, []),
            }
            for one in found
        ]  # fmt: skip
        may = {str(action) for action in Action if allow(g.actor, action).allowed}
        named = {site.site_id: site.name_ru for site in self._gateway.region.sites}
        roles = [
            (ROLES[duty.role], [named.get(one, one) for one in sorted(duty.reach.sites or ())])
            for duty in g.actor.duties
            if duty.role in ROLES  # what a grant gives stands below, study by study
        ]
        return show(
            "account", SentForm(), problem, status, page="account",
            clock=clock_of(self._gateway), may=may, roles=roles, sessions=listed,
            purpose=dict(PURPOSES)[mine.purpose],
            is_outside=mine.is_outside, grants=load_grants(self._records, mine.account_id, now),
            recovery=count_recovery_codes(self._records, mine.account_id),
        )  # fmt: skip

    def end(self) -> Response:
        """One session of the person's own, or all others; viewers that were let in end with it."""
        if not SentForm().validate():
            return self._account("form", 400)
        mine, now = self._identity.session(), utc_now()
        session_id = request.form.get("session", "")
        if session_id:
            sessions.end_one(self._records, mine.account_id, session_id, now)
        else:
            sessions.end_others(self._records, mine, now)
        self._identity.forget_all()
        self._auditor.told("sign_out", "done", mine.account_id, "elsewhere")
        return leave_to("/account")

    def password(self) -> Response:
        return self._change(ChangeForm(formdata=None))

    def change(self) -> Response:
        """Who has found an open browser does not know the old password."""
        form, mine = ChangeForm(), self._identity.session()
        if not form.validate():
            return self._change(form, "form", 400)
        login = accounts.load_login(self._records, mine.account_id)
        new = form.password.data or ""
        if new != form.again.data:
            return self._change(form, "again", 400)
        try:
            check_new_password(new, login)
            right = self._is_password(login, form.old.data or "")
        except BadRequest:
            return self._change(form, "weak", 400)
        except TooManyTries as error:
            return too_many("change", form, error, page="account")
        if not right:
            self._auditor.told("password", "refused", mine.account_id)
            return self._change(form, "old", 401)
        accounts.save_password(
            self._records, mine.account_id, self._passwords.run(hash_password, new)
        )
        sessions.end_others(self._records, mine, utc_now())
        self._identity.forget_all()
        self._auditor.told("password", "done", mine.account_id)
        log.info("password changed", account=mine.account_id)
        return leave_to("/account")

    def _change(self, form: SentForm, problem: str = "", status: int = 200) -> Response:
        return show("change", form, problem, status, page="account")

    def _is_password(self, login: str, password: str) -> bool:
        """raises TooManyTries"""
        proof = accounts.load_proof(self._records, login)
        if proof is None or not proof.password_hash:
            return False
        address = address_of_caller()
        accounts.begin_try(self._records, login, address, True, utc_now())
        if not self._passwords.run(is_password, proof.password_hash, password):
            return False
        accounts.end_try(self._records, login, address, is_in=False)
        return True

    def logout(self) -> Response:
        if not SentForm().validate():
            return show("login", LoginForm(formdata=None), "form", 400)
        secret = request.cookies.get(self._identity.cookie, "")
        sessions.end_session(self._records, secret, utc_now())
        self._identity.forget_all()
        self._auditor.told("sign_out", "done", g.actor.subject)
        answer = leave_to("/login")
        answer.delete_cookie(
            self._identity.cookie, secure=self._identity.is_secure, httponly=True,
            samesite="Strict", path="/",
        )  # fmt: skip
        return answer


def create_blueprint(
    gateway: Gateway, identity: Identity, auditor: Auditor, passwords: Passwords
) -> Blueprint:
    """/account and below, /logout."""
    door = Blueprint("account", __name__)
    pages = Account(gateway, identity, auditor, passwords)

    @door.before_request
    def keep_small() -> None:
        request.max_content_length = FORM_LIMIT

    def add(rule: str, view: Callable[[], Response], method: str) -> None:
        door.add_url_rule(rule, view.__name__, needs(Action.OWN_ACCOUNT)(view), methods=[method])

    add("/account", pages.account, "GET")
    add("/account/sessions", pages.end, "POST")
    add("/account/password", pages.password, "GET")
    add("/account/password", pages.change, "POST")
    add("/logout", pages.logout, "POST")
    return door
