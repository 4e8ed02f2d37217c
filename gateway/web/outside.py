"""Sign-in with another issuer (OpenID Connect code flow with PKCE and nonce), and its word that a
person has signed out there (Back-Channel Logout 1.0).

Between the two visits a sealed cookie of ten minutes keeps what only this browser may know. It is
Lax, because the way back comes from another site; the session's cookie is Strict, so a page of ours
leads on. The gateway's own accounts stay beside it, for the day on which the issuer is away.
"""

import base64
import hashlib
import hmac
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from urllib.parse import urlencode

import orjson
from flask import Blueprint, Response, request

from gateway.bootstrap import Gateway
from gateway.clock import utc_now
from gateway.errors import IssuerUnavailable, NotSignedIn, RecordsRefused
from gateway.log import log
from gateway.model.access import ACCOUNT_ROLES, Action, Purpose
from gateway.model.credentials import new_secret
from gateway.model.outside import (
    LONGEST_S,
    Posts,
    Said,
    mark_of_session,
    posts_of,
    read_id_token,
    read_logout_token,
)
from gateway.openid import Doors, Issuer
from gateway.records import sessions
from gateway.records.clients import withdraw_token
from gateway.records.keyring import Keyring
from gateway.records.outside import save_outsider, sign_out_session, sign_out_subject
from gateway.web.auditing import Auditor
from gateway.web.identity import Identity, address_of_caller
from gateway.web.permissions import needs
from gateway.web.sign_in import LoginForm, back_of, lead_to, show

RETURN = "/login/outside/return"
TRY_S = 600
FORM_LIMIT = 32 * 1024


@dataclass(frozen=True)
class Try:
    """What this browser left with."""

    state: str
    nonce: str
    verifier: str
    purpose: str
    back: str
    until: str
    again: str = ""
    """The session whose person proves anew who they are; it ends when they have."""


class Outside:
    """The steps; one for each process."""

    def __init__(
        self, gateway: Gateway, identity: Identity, keyring: Keyring, auditor: Auditor,
        issuer: Issuer,
    ) -> None:  # fmt: skip
        self._gateway = gateway
        self._records = gateway.records
        self._identity = identity
        self._keyring = keyring
        self._auditor = auditor
        self._issuer = issuer
        self._cookie = f"{identity.cookie}-outside"
        self._return = gateway.settings.base_url + RETURN

    def leave(self) -> Response:
        """POST /login/outside: to the issuer."""
        form = LoginForm()
        if not form.validate():
            return show("login", form, "form", 400)
        try:
            doors = self._issuer.doors()
        except IssuerUnavailable as error:
            log.warning("nobody can sign in with the issuer", why=str(error))
            return show("login", form, "away", 503)
        until = utc_now() + timedelta(seconds=TRY_S)
        purpose, back = str(Purpose(form.purpose.data)), back_of(form.back.data or "")
        again = self._identity.session().session_id if request.form.get("again") else ""
        begun = Try(
            new_secret(), new_secret(), new_secret(), purpose, back, until.isoformat(), again
        )
        answer = lead_to(self._asking(doors, begun))
        kept = self._keyring.seal(orjson.dumps(asdict(begun)).decode())
        self._set(answer, self._cookie, kept, "Lax", TRY_S)
        return answer

    def _asking(self, doors: Doors, begun: Try) -> str:
        seen = hashlib.sha256(begun.verifier.encode("ascii")).digest()
        asked = {
            "response_type": "code", "client_id": self._issuer.client_id,
            "redirect_uri": self._return, "scope": "openid profile", "state": begun.state,
            "nonce": begun.nonce, "code_challenge_method": "S256",
            "code_challenge": base64.urlsafe_b64encode(seen).rstrip(b"=").decode("ascii"),
        }  # fmt: skip
        if begun.again:  # and whoever understands only one of the two does the same
            asked |= {"prompt": "login", "max_age": "0"}
        joint = "&" if "?" in doors.authorization else "?"
        return f"{doors.authorization}{joint}{urlencode(asked)}"

    def come_back(self) -> Response:
        """GET /login/outside/return: from the issuer, with a code or a refusal."""
        now = utc_now()
        try:
            begun = self._begun(now)
            answer = self._begin(begun, self._said(begun, now), now)
        except NotSignedIn:
            self._auditor.told("sign_in", "refused", "", "outside")
            answer = show("login", LoginForm(formdata=None), "outside", 401)
        except IssuerUnavailable as error:
            log.warning("a sign-in was broken off", why=str(error))
            answer = show("login", LoginForm(formdata=None), "away", 503)
        answer.delete_cookie(
            self._cookie, path="/", secure=self._identity.is_secure, httponly=True, samesite="Lax"
        )
        return answer

    def _begun(self, now: datetime) -> Try:
        """raises NotSignedIn for a browser that did not leave from here, or too long ago"""
        try:
            told = self._keyring.unseal(request.cookies.get(self._cookie, ""))
            found = Try(**orjson.loads(told))
        except (RecordsRefused, ValueError, TypeError) as error:
            raise NotSignedIn from error
        if now > datetime.fromisoformat(found.until):
            raise NotSignedIn
        return found

    def _said(self, begun: Try, now: datetime) -> Said:
        """Who came back; raises NotSignedIn, never saying why; IssuerUnavailable."""
        args = request.args
        once = all(len(values) == 1 for values in args.listvalues())
        right = hmac.compare_digest(args.get("state", "").encode(), begun.state.encode())
        if not once or not right or "code" not in args:
            raise NotSignedIn
        doors, issuer = self._issuer.doors(), self._issuer
        # Another issuer's answer must not be carried to this one (RFC 9207, mix-up).
        if args.get("iss", "" if doors.says_iss else issuer.name) != issuer.name:
            raise NotSignedIn
        token = issuer.redeem(args["code"], begun.verifier, self._return)
        left_at = datetime.fromisoformat(begun.until) - timedelta(seconds=TRY_S)
        return read_id_token(
            token, issuer.key, issuer.name, issuer.client_id, begun.nonce, now,
            left_at if begun.again else None,
        )  # fmt: skip

    def _begin(self, begun: Try, said: Said, now: datetime) -> Response:
        posts = [
            post
            for post in posts_of(self._gateway.region.posts or Posts(), said.claims)
            if post.role in ACCOUNT_ROLES
        ]
        issuer = self._issuer.name
        known = save_outsider(self._records, issuer, said.subject, said.name, posts, now)
        if not posts or known.locked:
            self._auditor.told("sign_in", "refused", known.account_id, "posts")
            return show("login", LoginForm(formdata=None), "stranger", 403)
        secret = sessions.start_session(
            self._records, known.account_id, address_of_caller(), Purpose(begun.purpose), now,
            outside_sid=mark_of_session(issuer, said.sid),
        )  # fmt: skip
        if begun.again:
            sessions.end_one(self._records, known.account_id, begun.again, now)
        self._auditor.told("sign_in", "done", known.account_id, "outside")
        log.info("signed in", account=known.account_id)
        answer = lead_to(begun.back or "/account")
        self._set(answer, self._identity.cookie, secret, "Strict")
        return answer

    def sign_out(self) -> Response:
        """POST /login/outside/logout, by the issuer itself (Back-Channel Logout 2.5, 2.8)."""
        now, issuer = utc_now(), self._issuer
        token = request.form.get("logout_token", "")
        try:
            subject, sid = read_logout_token(token, issuer.key, issuer.name, issuer.client_id, now)
        except NotSignedIn:
            self._auditor.told("sign_out", "refused", "", "outside")
            return Response(status=400, headers={"Cache-Control": "no-store"})
        if sid:
            mark = mark_of_session(issuer.name, sid)
            left = sign_out_session(self._records, mark, now)
            # Its access tokens too, for as long as they may live.
            withdraw_token(self._records, mark, now + timedelta(seconds=LONGEST_S), now)
        else:
            left = sign_out_subject(self._records, issuer.name, subject, now)
        self._identity.forget_all()
        for account_id in left:
            self._auditor.told("sign_out", "done", account_id, "outside")
        return Response(status=200, headers={"Cache-Control": "no-store"})

    def _set(
        self, answer: Response, name: str, value: str, same_site: str, age_s: int | None = None
    ) -> None:
        answer.set_cookie(
            name, value, max_age=age_s, path="/", secure=self._identity.is_secure, httponly=True,
            samesite=same_site,
        )  # fmt: skip


def create_blueprint(
    gateway: Gateway, identity: Identity, keyring: Keyring, auditor: Auditor, issuer: Issuer
) -> Blueprint:
    """/login/outside and below."""
    door = Blueprint("outside", __name__)
    steps = Outside(gateway, identity, keyring, auditor, issuer)

    @door.before_request
    def keep_small() -> None:
        request.max_content_length = FORM_LIMIT

    door.post("/login/outside")(needs(Action.OPEN)(steps.leave))
    door.get(RETURN)(needs(Action.OPEN)(steps.come_back))
    door.post("/login/outside/logout")(needs(Action.OPEN)(steps.sign_out))
    return door
