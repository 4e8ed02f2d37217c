"""A viewer asks to be let in, and the person says yes or no (RFC 6749 4.1, RFC 9700, RFC 9207).

The request comes from another site, so the browser keeps the session's cookie back (it is Strict).
Our page takes the request in, and leads on to a page of ours that the cookie comes with.
"""

from dataclasses import asdict

from flask import Blueprint, Response, redirect, render_template, request
from itsdangerous import BadData, URLSafeTimedSerializer

from gateway.bootstrap import Gateway
from gateway.clock import utc_now
from gateway.errors import BadRequest, OAuthRefused
from gateway.model.access import Action
from gateway.model.authorization import (
    Asked,
    answer_to,
    destination_of,
    origin_of,
    read_asked,
    state_of,
)
from gateway.records.clients import Client, load_client
from gateway.records.codes import save_code, was_let_in
from gateway.records.keyring import Keyring
from gateway.records.sessions import Session
from gateway.web.auditing import Auditor
from gateway.web.forms import SentForm
from gateway.web.identity import Identity
from gateway.web.permissions import needs
from gateway.web.sign_in import PURPOSES, lead_to, page_policy

TICKET_S = 900  # long enough to sign in on the way
FORM_LIMIT = 16 * 1024


class Authorize:
    """The steps; one for each process."""

    def __init__(
        self, gateway: Gateway, identity: Identity, keyring: Keyring, auditor: Auditor
    ) -> None:
        self._records = gateway.records
        self._identity = identity
        self._auditor = auditor
        self._tickets = URLSafeTimedSerializer(keyring.derived("authorize"))

    def take_in(self) -> Response:
        """GET /oauth/authorize. What is wrong is told to the viewer, once it is known to be one."""
        args = dict(request.args.lists())
        client_id = request.args.get("client_id", "")
        client = load_client(self._records, client_id) if client_id.isprintable() else None
        if client is None or len(args["client_id"]) > 1:
            return _page("unknown", 400)
        try:
            place = destination_of(args, client.redirect_uris)
        except OAuthRefused:
            return _page("unknown", 400)
        try:
            asked = read_asked(args, place)
        except OAuthRefused as error:
            return self._leave(place, state_of(args), error=error.code)
        ticket = str(self._tickets.dumps(asdict(asked)))
        return lead_to(f"/oauth/consent?ask={ticket}")

    def ask(self) -> Response:
        """GET /oauth/consent, by a person who has signed in."""
        asked, client = self._asked(request.args.get("ask", ""))
        session = self._identity.session()
        # Another program on the person's machine may pass itself off as a viewer there, so there
        # every time a person is asked (RFC 8252 8.6).
        known = asked.redirect_uri.startswith("https:")
        if known and was_let_in(self._records, asked, session.session_id):
            return self._let_in(asked, session)
        return _page(
            "ask", form=SentForm(), ask=request.args["ask"], viewer=client.name, asked=asked,
            origin=origin_of(asked.redirect_uri), purpose=dict(PURPOSES)[session.purpose],
        )  # fmt: skip

    def answer(self) -> Response:
        """POST /oauth/consent."""
        asked, _ = self._asked(request.form.get("ask", ""))
        if not SentForm().validate():
            raise BadRequest("form", "is too old; go back to the viewer and begin again")
        session = self._identity.session()
        if request.form.get("answer") == "yes":
            return self._let_in(asked, session)
        self._auditor.told("viewer", "refused", session.account_id, asked.client_id)
        return self._leave(asked.redirect_uri, asked.state, error="access_denied")

    def _let_in(self, asked: Asked, session: Session) -> Response:
        code = save_code(self._records, asked, session.session_id, utc_now())
        self._auditor.told("viewer", "done", session.account_id, asked.client_id)
        return self._leave(asked.redirect_uri, asked.state, code=code)

    def _asked(self, ticket: str) -> tuple[Asked, Client]:
        """raises BadRequest"""
        try:
            found = self._tickets.loads(ticket, max_age=TICKET_S)
            asked = Asked(**{**found, "scope": tuple(found["scope"])})
        except BadData:
            raise BadRequest("ask", "is too old; go back to the viewer and begin again") from None
        client = load_client(self._records, asked.client_id)
        if client is None:
            raise BadRequest("client_id", "is revoked")
        return asked, client

    def _leave(self, place: str, state: str, **said: str) -> Response:
        answer = redirect(answer_to(place, self._identity.issuer, state, **said), 303)
        assert isinstance(answer, Response)  # noqa: S101 - flask.redirect is hinted wider
        answer.headers["Cache-Control"] = "no-store"
        return answer


def create_blueprint(
    gateway: Gateway, identity: Identity, keyring: Keyring, auditor: Auditor
) -> Blueprint:
    """/oauth/authorize and /oauth/consent."""
    door = Blueprint("authorize", __name__)
    steps = Authorize(gateway, identity, keyring, auditor)

    @door.before_request
    def keep_small() -> None:
        request.max_content_length = FORM_LIMIT

    door.get("/oauth/authorize")(needs(Action.OPEN)(steps.take_in))
    door.get("/oauth/consent")(needs(Action.VIEW)(steps.ask))
    door.post("/oauth/consent")(needs(Action.VIEW)(steps.answer))
    return door


def _page(step: str, status: int = 200, *, origin: str = "", **facts: object) -> Response:
    answer = Response(render_template("authorize.html", step=step, **facts, origin=origin), status)
    answer.headers["Content-Security-Policy"] = page_policy(origin)
    answer.headers["Cache-Control"] = "no-store"
    answer.headers["Referrer-Policy"] = "same-origin"
    return answer
