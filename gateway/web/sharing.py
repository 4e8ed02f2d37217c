"""A study shown to a patient or to a colleague: the doctor's page, and the page that a link opens.

The secret of a link stands behind the `#`, which no server, proxy or log ever sees; the page sends
it by a button, with the date of birth (trust.md H50-H53). Looking at a link opens nothing.
"""

import hashlib
import hmac
from collections.abc import Callable
from typing import Any

import segno
from flask import Blueprint, Response, g, redirect, render_template, request, url_for
from wtforms import BooleanField, Form, HiddenField, StringField

from gateway.bootstrap import Gateway
from gateway.clock import utc_now
from gateway.dicom.uids import check_uid
from gateway.errors import AccountRefused, BadRequest, NotFound, TooManyTries
from gateway.model.access import Action
from gateway.model.credentials import new_secret
from gateway.model.sharing import (
    REASON_MOST,
    SESSION,
    TRIES,
    USUAL,
    Kind,
    Share,
    Standing,
    read_birth,
    read_hours,
)
from gateway.records import accounts, sharing
from gateway.records.keyring import Keyring
from gateway.records.persons import find_holders
from gateway.web.auditing import Auditor
from gateway.web.console.frame import clock_of
from gateway.web.forms import SentForm
from gateway.web.identity import SECRET, Identity, address_of_caller
from gateway.web.permissions import needs

FORM_LIMIT = 16 * 1024
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
STANDINGS = {
    Standing.GOOD: ("действует", "open"),
    Standing.EARLY: ("ещё не действует", "not yet"),
    Standing.OVER: ("срок вышел", "expired"),
    Standing.REVOKED: ("отозвано", "revoked"),
    Standing.FROZEN: ("закрыто: пять неверных дат рождения", "frozen: five wrong dates of birth"),
}
PROBLEMS = {
    "wrong": (
        f"Ссылка или дата рождения не подходят. После {TRIES} неверных дат ссылка закрывается: "
        "тогда попросите врача о новой.",
        f"The link or the date of birth is not right. After {TRIES} wrong dates the link is shut: "
        "then ask the doctor for a new one.",
    ),
    "over": (
        "Ссылка больше не действует. Попросите врача о новой.",
        "This link is over. Ask the doctor for a new one.",
    ),
    "late": (
        "Полчаса прошли. Откройте ссылку ещё раз и введите дату рождения.",
        "Half an hour has passed. Open the link again and give the date of birth.",
    ),
    "wait": ("Слишком много попыток, подождите.", "Too many tries, please wait."),
    "form": ("Страница устарела, отправьте ещё раз.", "The page was too old, send it again."),
}
MISTAKES = {
    "hours": ("Срок: от 1 до 720 часов.", "From 1 to 720 hours."),
    "reason": (
        f"Напишите, зачем: от 3 до {REASON_MOST} знаков.",
        f"Say why, in 3 to {REASON_MOST} characters.",
    ),
    "login": ("Такого имени для входа нет.", "There is no such login."),
    "birth": (
        "У исследования нет даты рождения, поэтому ссылка не была бы защищена. Исправьте её в "
        "больнице.",
        "The study has no date of birth, so a link could not be guarded. Mend it at the hospital.",
    ),
    "form": PROBLEMS["form"],
}


class LinkForm(SentForm):
    hours = StringField(default=str(int(USUAL.total_seconds() // 3600)))
    reason = StringField()


class GrantForm(LinkForm):
    login = StringField()
    downloads = BooleanField()


class OpenForm(SentForm):
    secret = HiddenField()
    birth = StringField()


def factor_of(keyring: Keyring, secret: str, birth: str) -> str:
    """What the database keeps of a link's date of birth, which is a guess of few bits otherwise."""
    key = keyring.derived("dates of birth of links")
    return hmac.new(key, f"{secret} {birth}".encode(), hashlib.sha256).hexdigest()


class Sharing:
    """The pages; one for each process."""

    def __init__(
        self, gateway: Gateway, identity: Identity, keyring: Keyring, auditor: Auditor
    ) -> None:
        self._gateway = gateway
        self._records = gateway.records
        self._identity = identity
        self._auditor = auditor
        self._keyring = keyring

    def page(self, study: str) -> Response:
        self._check(study)
        return self._page(study)

    def add_link(self, study: str) -> Response:
        birth, form = self._check(study), LinkForm()
        try:
            until, reason = self._read(form)
            if birth is None:
                raise BadRequest("birth", "is not known")
        except BadRequest as error:
            return self._page(study, error.field, 400)
        now = utc_now()
        secret = new_secret()
        factor = factor_of(self._keyring, secret, birth)
        sharing.add_link(
            self._records, study, secret, factor, g.actor.subject, reason, now, now + until
        )
        self._auditor.told("share_link", "done", g.actor.subject, study_uid=study)
        address = f"{self._gateway.settings.base_url}/open#{secret}"
        picture = segno.make(address, error="m").svg_data_uri(scale=4, border=4, light="#fff")
        return self._page(study, address=address, picture=picture)

    def add_grant(self, study: str) -> Response:
        self._check(study)
        form = GrantForm()
        try:
            until, reason = self._read(form)
            whom = accounts.find_account(self._records, form.login.data or "")
        except BadRequest as error:
            return self._page(study, error.field, 400)
        except AccountRefused:
            return self._page(study, "login", 400)
        now = utc_now()
        sharing.add_grant(
            self._records, study, whom.account_id, g.actor.subject, reason, now, now + until,
            downloads=bool(form.downloads.data),
        )  # fmt: skip
        self._auditor.told("share_grant", "done", g.actor.subject, study_uid=study)
        return _led_to(url_for("sharing.page", study=study))

    def revoke(self, study: str) -> Response:
        self._check(study)
        if not SentForm().validate():
            return self._page(study, "form", 400)
        share_id = request.form.get("share_id", "")
        if not sharing.revoke(self._records, study, share_id, utc_now()):
            raise NotFound("share")
        self._auditor.told("share_revoke", "done", g.actor.subject, study_uid=study)
        return _led_to(url_for("sharing.page", study=study))

    def form(self) -> Response:
        problem = "late" if self._identity.link_cookie in request.cookies else ""
        return self._open_page(OpenForm(formdata=None), problem)

    def open(self) -> Response:
        form = OpenForm()
        if not form.validate():
            return self._open_page(form, "form", 400)
        secret, birth = form.secret.data or "", read_birth(form.birth.data or "")
        found = sharing.find_link(self._records, secret) if SECRET.fullmatch(secret) else None
        of = f"link {found[0].share_id}" if found else accounts.NO_LINK
        address, now = address_of_caller(), utc_now()
        try:
            accounts.begin_try(self._records, of, address, False, now)
        except TooManyTries as error:
            answer = self._open_page(form, "wait", 429)
            answer.headers["Retry-After"] = str(int(error.wait_s) + 1)
            return answer
        if found is None or birth is None or not self._is_right(found, secret, birth):
            self._told("refused", found[0] if found else None)
            return self._open_page(form, "wrong", 404)
        accounts.end_try(self._records, of, address)
        share = found[0]
        if share.standing(now) is not Standing.GOOD:
            self._told("refused", share)
            return self._open_page(OpenForm(formdata=None), "over", 410)
        session = sharing.open_link(self._records, share.share_id, now)
        self._told("done", share)
        answer = _led_to(url_for("sharing.opened"))
        answer.set_cookie(
            self._identity.link_cookie, session, max_age=SESSION, httponly=True, path="/",
            secure=self._identity.is_secure, samesite="Strict",
        )  # fmt: skip
        return answer

    def _told(self, outcome: str, share: Share | None) -> None:
        who, study = (share.share_id, share.study_uid) if share is not None else ("", "")
        self._auditor.told("open_link", outcome, who, study_uid=study)

    def opened(self) -> Response:
        share = self._identity.link()
        if share is None:
            return self._open_page(OpenForm(formdata=None), "late", 401)
        return self._answer("opened_link.html", share=share, problem=None)

    def _check(self, study: str) -> str | None:
        """The date of birth in a study of the own hospital, None if it tells none.

        raises  BadRequest; NotFound for a study that is held elsewhere alone
        """
        check_uid(study, "study")
        with self._records.read() as connection:
            held = {site: said for _, site, said in find_holders(connection, [study])}
        sites = g.decision.scope.sites
        own = [said for site, said in held.items() if sites is None or site in sites]
        if not own:
            raise NotFound("study")
        return next((read for said in own if (read := said.birth_date)), None)

    def _read(self, form: LinkForm) -> Any:
        """(for how long, why); raises BadRequest that names the field"""
        if not form.validate():
            raise BadRequest("form", "is too old")
        reason = (form.reason.data or "").strip()
        if not 3 <= len(reason) <= REASON_MOST:
            raise BadRequest("reason", "is missing or too long")
        return read_hours((form.hours.data or "").strip()), reason

    def _is_right(self, found: tuple[Share, str], secret: str, birth: str) -> bool:
        if not sharing.begin_link_try(self._records, found[0].share_id):
            return False
        return hmac.compare_digest(factor_of(self._keyring, secret, birth), found[1])

    def _page(self, study: str, mistake: str = "", status: int = 200, **facts: Any) -> Response:
        now = utc_now()
        names = {
            one.account_id: one.name or one.login for one in accounts.load_accounts(self._records)
        }
        shown = [
            (one, STANDINGS[one.standing(now)], names.get(one.whom, ""), names.get(one.made_by, ""))
            for one in sharing.load_shares(self._records, study)
        ]
        form = GrantForm() if mistake else GrantForm(formdata=None)
        return self._answer(
            "share.html", status, study=study, shares=shown, form=form, Kind=Kind,
            good=STANDINGS[Standing.GOOD], mistake=MISTAKES.get(mistake), **facts,
        )  # fmt: skip

    def _open_page(self, form: Form, problem: str = "", status: int = 200) -> Response:
        return self._answer("open_link.html", status, form=form, problem=PROBLEMS.get(problem))

    def _answer(self, template: str, status: int = 200, **facts: Any) -> Response:
        clock = clock_of(self._gateway)
        answer = Response(render_template(template, clock=clock, **facts), status)
        answer.headers["Content-Security-Policy"] = PAGE_POLICY
        answer.headers["Cache-Control"] = "no-store"
        answer.headers["X-Robots-Tag"] = "noindex"
        # As for the sign-in: a form's Origin would be "null" otherwise. The `#` is never in it.
        answer.headers["Referrer-Policy"] = "same-origin"
        return answer


def create_blueprint(
    gateway: Gateway, identity: Identity, keyring: Keyring, auditor: Auditor
) -> Blueprint:
    """/share/STUDY for doctors, /open for patients."""
    door = Blueprint("sharing", __name__)
    pages = Sharing(gateway, identity, keyring, auditor)

    @door.before_request
    def keep_small() -> None:
        request.max_content_length = FORM_LIMIT

    def add(rule: str, view: Callable[..., Response], method: str, action: Action) -> None:
        door.add_url_rule(rule, view.__name__, needs(action)(view), methods=[method])

    add("/share/<study>", pages.page, "GET", Action.SHARE)
    add("/share/<study>/link", pages.add_link, "POST", Action.GIVE_ACCESS)
    add("/share/<study>/grant", pages.add_grant, "POST", Action.GIVE_ACCESS)
    add("/share/<study>/revoke", pages.revoke, "POST", Action.SHARE)
    add("/open", pages.form, "GET", Action.OPEN)
    add("/open", pages.open, "POST", Action.OPEN)
    add("/open/study", pages.opened, "GET", Action.VIEW)
    return door


def _led_to(address: str) -> Response:
    answer = redirect(address, 303)
    assert isinstance(answer, Response)  # noqa: S101 - flask.redirect is hinted wider
    return answer
