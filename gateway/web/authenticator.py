"""A person's authenticator and recovery codes, on the page of the own account.

Nobody is without a second factor: another authenticator takes the place of the old one at the
moment when its first code is right. Both acts are of STEP_UP (web/step_up.py), where the old
authenticator or a recovery code is asked for.
"""

from collections.abc import Callable

import segno
from flask import Blueprint, Response, request
from itsdangerous import BadData, URLSafeTimedSerializer
from wtforms import HiddenField, StringField

from gateway.bootstrap import Gateway
from gateway.clock import utc_now
from gateway.errors import NotAllowed
from gateway.log import log
from gateway.model.access import Action
from gateway.model.credentials import (
    new_recovery_codes,
    new_totp_secret,
    totp_address,
    totp_step,
)
from gateway.records import accounts, recovery, sessions
from gateway.records.keyring import Keyring
from gateway.web.forms import SentForm
from gateway.web.identity import Identity
from gateway.web.permissions import needs
from gateway.web.sign_in import TICKET_S, leave_to, show

FORM_LIMIT = 16 * 1024


class CodeForm(SentForm):
    ticket = HiddenField()
    code = StringField()


class Authenticator:
    """The pages; one for each process."""

    def __init__(self, gateway: Gateway, identity: Identity, keyring: Keyring) -> None:
        self._records = gateway.records
        self._identity = identity
        self._keyring = keyring
        self._tickets = URLSafeTimedSerializer(keyring.derived("tickets of authenticators"))

    def begin(self) -> Response:
        """A new secret, as a picture; the old one is good until the first code of this one."""
        mine = self._of_here()
        if not SentForm().validate():
            return leave_to("/account")
        sealed = self._keyring.seal(new_totp_secret())
        ticket = str(self._tickets.dumps([mine.account_id, sealed]))
        return self._picture(CodeForm(formdata=None, ticket=ticket), mine.account_id, sealed)

    def confirm(self) -> Response:
        mine, form, now = self._of_here(), CodeForm(), utc_now()
        try:
            account_id, sealed = self._tickets.loads(form.ticket.data or "", max_age=TICKET_S)
        except (BadData, ValueError):
            account_id = sealed = ""
        if not form.validate() or account_id != mine.account_id:
            return leave_to("/account")
        code = "".join((form.code.data or "").split())
        step = totp_step(self._keyring.unseal(sealed), code, now, 0)
        if step is None:
            return self._picture(form, account_id, sealed, "wrong", 401)
        accounts.save_totp(self._records, account_id, sealed, step)
        sessions.end_others(self._records, mine, now)
        self._identity.forget_all()
        log.info("authenticator changed", account=account_id)
        return self._codes(account_id)

    def renew(self) -> Response:
        """Other recovery codes; those that were written down are good no longer."""
        mine = self._of_here()
        return self._codes(mine.account_id) if SentForm().validate() else leave_to("/account")

    def _of_here(self) -> sessions.Session:
        """raises NotAllowed for whom another issuer vouches: they have nothing here to prove by"""
        mine = self._identity.session()
        if mine.is_outside:
            raise NotAllowed
        return mine

    def _picture(
        self, form: CodeForm, account_id: str, sealed: str, problem: str = "", status: int = 200
    ) -> Response:
        secret = self._keyring.unseal(sealed)
        address = totp_address(secret, accounts.load_login(self._records, account_id))
        picture = segno.make(address, error="m").svg_data_uri(scale=5, border=4, light="#fff")
        groups = " ".join(secret[n : n + 4] for n in range(0, len(secret), 4))
        return show(
            "picture", form, problem, status, page="authenticator", picture=picture,
            address=address, secret=groups,
        )  # fmt: skip

    def _codes(self, account_id: str) -> Response:
        codes = new_recovery_codes()
        recovery.save_recovery_codes(self._records, account_id, codes)
        log.info("recovery codes made", account=account_id)
        groups = [" ".join(one[n : n + 5] for n in range(0, len(one), 5)) for one in codes]
        return show("codes", SentForm(), page="authenticator", codes=groups)


def create_blueprint(gateway: Gateway, identity: Identity, keyring: Keyring) -> Blueprint:
    """/account/authenticator and /account/recovery."""
    door = Blueprint("authenticator", __name__)
    pages = Authenticator(gateway, identity, keyring)

    @door.before_request
    def keep_small() -> None:
        request.max_content_length = FORM_LIMIT

    def add(rule: str, view: Callable[[], Response]) -> None:
        named = needs(Action.OWN_PROOF)(view)
        door.add_url_rule(rule, view.__name__, named, methods=["POST"])

    add("/account/authenticator", pages.begin)
    add("/account/authenticator/confirm", pages.confirm)
    add("/account/recovery", pages.renew)
    return door
