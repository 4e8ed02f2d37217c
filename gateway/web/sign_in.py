"""Sign-in of people: password, then the authenticator's code; a one-time password is changed and an
authenticator set up on the way. Nothing tells whether a login exists.

Between two steps the page carries a signed ticket; a session begins only after the last one.
"""

import os
import re
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar

import segno
from flask import Blueprint, Response, current_app, redirect, render_template, request
from flask_wtf import FlaskForm
from gevent.threadpool import ThreadPool
from itsdangerous import BadData, URLSafeTimedSerializer
from wtforms import HiddenField, PasswordField, SelectField, StringField
from wtforms.fields.choices import SelectChoice

from gateway.bootstrap import Gateway
from gateway.clock import utc_now
from gateway.errors import BadRequest, GatewayBusy, TooManyTries
from gateway.log import log
from gateway.model.access import Action, Purpose
from gateway.model.credentials import (
    LONGEST,
    check_new_password,
    digest,
    hash_password,
    is_password,
    new_totp_secret,
    totp_address,
    totp_step,
)
from gateway.records import accounts, sessions
from gateway.records.keyring import Keyring
from gateway.web.auditing import Auditor
from gateway.web.forms import SentForm
from gateway.web.identity import Identity, address_of_caller
from gateway.web.permissions import needs
from gateway.web.second_factor import take_code

AT_ONCE, WAITING = min(4, max(1, (os.cpu_count() or 1) // 2)), 64
TICKET_S = 600
FORM_LIMIT = 16 * 1024
PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
BACK = re.compile(
    r"/(?:(?:viewer|console)(?:/[A-Za-z0-9?=&.,_/-]*)?|upload|audit(?:/emergencies)?|emergency|report/[0-9.]+|account"
    r"|share/[0-9.]+|rollout(?:[/?][A-Za-z0-9?=&.,%+:_/-]{0,1000})?|oauth/consent\?ask=[A-Za-z0-9_.-]{1,3000})?",
    re.ASCII,
)
"""Addresses of ours that a sign-in may lead on to (trust.md H62)."""
PURPOSES = (
    (Purpose.TREATMENT, "Лечение · Treatment"),
    (Purpose.EMERGENCY, "Неотложная помощь · Emergency"),
    (Purpose.OPERATIONS, "Работа учреждения · Operations"),
    (Purpose.PUBLIC_HEALTH, "Общественное здоровье · Public health"),
    (Purpose.PATIENT_REQUEST, "По просьбе пациента · Patient's request"),
)
PROBLEMS = {
    "wrong": ("Имя, пароль или код не подходят.", "The login, password or code is not right."),
    "late": ("Время вышло, начните сначала.", "Too late, begin again."),
    "again": ("Пароли не совпадают.", "The two passwords differ."),
    "weak": (
        "Пароль: от 12 до 128 знаков, без вашего имени для входа.",
        "A password has 12 to 128 characters and not your login.",
    ),
    "old": ("Прежний пароль не подходит.", "The old password is not right."),
    "form": ("Страница устарела, отправьте ещё раз.", "The page was too old, send it again."),
    "outside": (
        "Вход через общую службу не удался, попробуйте ещё раз.",
        "The sign-in service did not vouch for you, try again.",
    ),
    "away": (
        "Общая служба входа не отвечает. Можно войти учётной записью шлюза.",
        "The sign-in service does not answer. An account of the gateway still works.",
    ),
    "stranger": (
        "Вас здесь ещё никуда не допустили: попросите администратора.",
        "Nobody has given you a role here yet: ask the administrator.",
    ),
    "wait": ("Слишком много попыток, подождите.", "Too many tries, please wait."),
}

T = TypeVar("T")


class Passwords:
    """Judges passwords in threads of their own, on half of the cores and after all images (E33).

    Each costs some tenths of a second and 64 MiB; the others wait, and too many are sent away.
    """

    def __init__(self) -> None:
        self._threads = ThreadPool(AT_ONCE)
        self._places = threading.BoundedSemaphore(AT_ONCE + WAITING)

    def check_room(self) -> None:
        """In a storm the database is not asked, and nobody's try is counted; raises GatewayBusy"""
        if not self._places.acquire(blocking=False):
            raise GatewayBusy("many people are signing in")
        self._places.release()

    def run(self, work: Callable[..., T], *facts: Any) -> T:
        """raises GatewayBusy"""
        if not self._places.acquire(blocking=False):
            raise GatewayBusy("many people are signing in")
        try:
            found: T = self._threads.apply(_behind_others, (work, *facts))
            return found
        finally:
            self._places.release()


def _behind_others(work: Callable[..., T], *facts: Any) -> T:
    if hasattr(os, "setpriority"):  # on Linux a thread has a priority of its own
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
    return work(*facts)


@dataclass(frozen=True)
class Ticket:
    """What is known between two steps.

    kept  digest of the password's hash: after a change the ticket is of no use
    totp  sealed secret of the authenticator that is being set up
    """

    step: str
    login: str
    account_id: str
    kept: str
    purpose: str
    back: str
    totp: str = ""


class LoginForm(SentForm):
    login = StringField()
    password = PasswordField()
    purpose = SelectField(choices=[SelectChoice(str(p), text) for p, text in PURPOSES])
    back = HiddenField()


class PasswordForm(SentForm):
    ticket = HiddenField()
    password = PasswordField()
    again = PasswordField()


class CodeForm(SentForm):
    ticket = HiddenField()
    code = StringField()


class SignIn:
    """The steps; one for each process."""

    def __init__(
        self, gateway: Gateway, identity: Identity, keyring: Keyring, auditor: Auditor,
        passwords: Passwords,
    ) -> None:  # fmt: skip
        self._auditor = auditor
        self._records = gateway.records
        self._identity = identity
        self._keyring = keyring
        self._passwords = passwords
        self._tickets = URLSafeTimedSerializer(keyring.derived("tickets"))

    def form(self) -> Response:
        form = LoginForm(formdata=None, back=back_of(request.args.get("back", "")))
        return show("login", form)

    def login(self) -> Response:
        form = LoginForm()
        if not form.validate():
            return show("login", form, "form", 400)
        login, password = form.login.data or "", form.password.data or ""
        try:
            proof = self._judge(login, password)
        except TooManyTries as error:
            return too_many("login", form, error)
        if proof is None:
            return show("login", form, "wrong", 401)
        step = "password" if proof.one_time_until else "code" if proof.totp_sealed else "enrol"
        purpose, back = str(Purpose(form.purpose.data)), back_of(form.back.data or "")
        kept = digest(proof.password_hash)
        return self._next(
            Ticket(step, login.strip().lower(), proof.account_id, kept, purpose, back)
        )

    def _judge(self, login: str, password: str) -> accounts.Proof | None:
        """The account if the password is right and usable; raises TooManyTries, GatewayBusy."""
        self._passwords.check_room()
        now, address = utc_now(), address_of_caller()
        proof = accounts.load_proof(self._records, login)
        known = proof is not None and sessions.is_known_address(
            self._records, proof.account_id, address, now
        )
        accounts.begin_try(self._records, login, address, known, now)
        hashed = proof.password_hash if proof is not None else None
        right = self._passwords.run(is_password, hashed, password)
        late = proof is not None and proof.one_time_until is not None and proof.one_time_until < now
        if proof is None or not right or proof.locked or late:
            account_id = proof.account_id if proof is not None else ""
            self._auditor.told("sign_in", "refused", account_id, "password")
            log.warning("sign-in refused", address=address)
            return None
        accounts.end_try(self._records, login, address, is_in=False)
        return proof

    def _next(self, ticket: Ticket) -> Response:
        """The page of the ticket's step."""
        if ticket.step == "password":
            return show("password", PasswordForm(formdata=None, ticket=self._sign(ticket)))
        if ticket.step == "code":
            return show("code", CodeForm(formdata=None, ticket=self._sign(ticket)))
        if not ticket.totp:
            ticket = replace(ticket, totp=self._keyring.seal(new_totp_secret()))
        form = CodeForm(formdata=None, ticket=self._sign(ticket))
        return self._enrolment(ticket, form)

    def _enrolment(
        self, ticket: Ticket, form: FlaskForm, problem: str = "", status: int = 200
    ) -> Response:
        secret = self._keyring.unseal(ticket.totp)
        address = totp_address(secret, ticket.login)
        picture = segno.make(address, error="m").svg_data_uri(scale=5, border=4, light="#fff")
        groups = " ".join(secret[n : n + 4] for n in range(0, len(secret), 4))
        return show("enrol", form, problem, status, picture=picture, address=address, secret=groups)

    def password(self) -> Response:
        form = PasswordForm()
        ticket = self._read(form.ticket.data, "password")
        proof = self._proof(ticket) if ticket is not None else None
        if ticket is None or proof is None or not form.validate():
            return show("login", LoginForm(formdata=None), "late", 400)
        password = form.password.data or ""
        if password != form.again.data:
            return show("password", form, "again", 400)
        try:
            check_new_password(password, ticket.login)
        except BadRequest:
            return show("password", form, "weak", 400)
        hashed = self._passwords.run(hash_password, password)
        accounts.save_password(self._records, ticket.account_id, hashed)
        sessions.end_sessions(self._records, ticket.account_id, utc_now())
        self._auditor.told("password", "done", ticket.account_id, "one-time")
        step = "code" if proof.totp_sealed else "enrol"
        return self._next(replace(ticket, step=step, kept=digest(hashed)))

    def code(self) -> Response:
        form = CodeForm()
        ticket = self._read(form.ticket.data, "code", "enrol")
        if ticket is None or not form.validate():
            return show("login", LoginForm(formdata=None), "late", 400)
        try:
            right = self._take_code(ticket, form.code.data or "")
        except TooManyTries as error:
            return too_many("login", LoginForm(formdata=None), error)
        if right:
            return self._begin(ticket)
        self._auditor.told("sign_in", "refused", ticket.account_id, "code")
        if ticket.step == "enrol":
            return self._enrolment(ticket, form, "wrong", 401)
        return show("code", form, "wrong", 401)

    def _proof(self, ticket: Ticket) -> accounts.Proof | None:
        """What the account is judged by; None if it was shut since the ticket was made, or has
        another password."""
        found = accounts.load_proof(self._records, ticket.login)
        good = found is not None and not found.locked and digest(found.password_hash) == ticket.kept
        return found if good else None

    def _take_code(self, ticket: Ticket, code: str) -> bool:
        now, address = utc_now(), address_of_caller()
        known = sessions.is_known_address(self._records, ticket.account_id, address, now)
        accounts.begin_try(self._records, ticket.login, address, known, now, at_code=True)
        proof = self._proof(ticket)
        if proof is None:
            return False
        if ticket.step == "enrol":
            if proof.totp_sealed:  # set up meanwhile, by somebody who knows the password too
                return False
            secret = self._keyring.unseal(ticket.totp)
            step = totp_step(secret, "".join(code.split()), now, 0)
            if step is None:
                return False
            accounts.save_totp(self._records, ticket.account_id, ticket.totp, step)
            self._auditor.told("authenticator", "done", ticket.account_id)
        elif not take_code(self._records, self._keyring, proof, code, now):
            return False
        accounts.end_try(self._records, ticket.login, address)
        return True

    def _begin(self, ticket: Ticket) -> Response:
        purpose, now = Purpose(ticket.purpose), utc_now()
        secret = sessions.start_session(
            self._records, ticket.account_id, address_of_caller(), purpose, now
        )
        sessions.forget_sessions(self._records, now)
        accounts.forget_tries(self._records, now)
        answer = leave_to(ticket.back)
        answer.set_cookie(
            self._identity.cookie, secret, secure=self._identity.is_secure, httponly=True,
            samesite="Strict", path="/",
        )  # fmt: skip
        self._auditor.told("sign_in", "done", ticket.account_id)
        log.info("signed in", account=ticket.account_id)
        return answer

    def _sign(self, ticket: Ticket) -> str:
        return str(self._tickets.dumps(asdict(ticket)))

    def _read(self, signed: str | None, *steps: str) -> Ticket | None:
        try:
            found = Ticket(**self._tickets.loads(signed or "", max_age=TICKET_S))
        except BadData:
            return None
        return found if found.step in steps else None


def create_blueprint(
    gateway: Gateway, identity: Identity, keyring: Keyring, auditor: Auditor, passwords: Passwords
) -> Blueprint:
    """/login and its steps."""
    door = Blueprint("sign_in", __name__)
    steps = SignIn(gateway, identity, keyring, auditor, passwords)

    @door.before_request
    def keep_small() -> None:
        request.max_content_length = FORM_LIMIT

    def add(rule: str, view: Callable[[], Response], method: str, action: Action) -> None:
        door.add_url_rule(rule, view.__name__, needs(action)(view), methods=[method])

    add("/login", steps.form, "GET", Action.OPEN)
    add("/login", steps.login, "POST", Action.OPEN)
    add("/login/password", steps.password, "POST", Action.OPEN)
    add("/login/code", steps.code, "POST", Action.OPEN)
    return door


def back_of(asked: str) -> str:
    return asked if BACK.fullmatch(asked) else ""


def leave_to(address: str) -> Response:
    answer = redirect(address or "/account", 303)
    assert isinstance(answer, Response)  # noqa: S101 - flask.redirect is hinted wider
    return answer


def page_policy(elsewhere: str = "") -> str:
    """elsewhere  origin that a form of this page leads on to; browsers ask before they follow"""
    return PAGE_POLICY.replace("form-action 'self'", f"form-action 'self' {elsewhere}".rstrip())


def show(
    step: str, form: FlaskForm, problem: str = "", status: int = 200, *, page: str = "sign_in",
    **facts: Any,
) -> Response:  # fmt: skip
    """A step of templates/PAGE.html; problem: a key of PROBLEMS."""
    words = PROBLEMS.get(problem)
    text = render_template(
        f"{page}.html",
        step=step,
        form=form,
        problem=words,
        most=LONGEST,
        outside="outside.leave" in current_app.view_functions,
        **facts,
    )
    answer = Response(text, status)
    answer.headers["Content-Security-Policy"] = page_policy()
    answer.headers["Cache-Control"] = "no-store"
    answer.headers["Referrer-Policy"] = "same-origin"  # or a form's Origin would be "null"
    return answer


def lead_to(address: str) -> Response:
    """A page of ours that leads on: the next request then comes from us, with all its cookies, and
    no policy of forms stands in its way.
    """
    answer = Response(render_template("lead.html", next=address))
    answer.headers["Content-Security-Policy"] = page_policy()
    answer.headers["Cache-Control"] = "no-store"
    answer.headers["Referrer-Policy"] = "no-referrer"
    return answer


def too_many(
    step: str, form: FlaskForm, error: TooManyTries, page: str = "sign_in", **facts: Any
) -> Response:
    answer = show(step, form, "wait", 429, page=page, **facts)
    answer.headers["Retry-After"] = str(int(error.wait_s) + 1)
    return answer
