"""Tokens: for programs by their own credentials (RFC 6749 4.4), for viewers by a person's code
(4.1.3, web/authorize.py); the keys that sign them (RFC 7517), what a token is worth (RFC 7662),
taking it back (RFC 7009), and what a program has to know of all this (RFC 8414).
"""

import base64
import binascii
from datetime import datetime, timedelta
from urllib.parse import unquote_plus

import orjson
from flask import Blueprint, Response, jsonify, request

from gateway.bootstrap import Gateway
from gateway.clock import utc_now
from gateway.errors import NotSignedIn, OAuthRefused
from gateway.model.access import Action, Purpose
from gateway.model.authorization import is_verifier, read_scope
from gateway.model.credentials import new_id
from gateway.model.tokens import LONGEST_S, SCOPES, Claims, make_token, read_key
from gateway.records.clients import (
    Client,
    load_client,
    load_signer,
    load_signing_keys,
    prove_client,
    withdraw_token,
)
from gateway.records.codes import take_code
from gateway.records.keyring import Keyring
from gateway.records.sessions import LONGEST, load_session_of_token
from gateway.web.auditing import Auditor
from gateway.web.identity import Identity
from gateway.web.permissions import needs

FORM_LIMIT = 16 * 1024
KEYS_AGE_S = 600
PROOFS = ("client_secret_basic", "client_secret_post")


def create_blueprint(
    gateway: Gateway, identity: Identity, keyring: Keyring, auditor: Auditor
) -> Blueprint:
    """/oauth/... and what .well-known tells about it."""
    door = Blueprint("oauth", __name__)

    @door.get("/.well-known/jwks.json")
    @needs(Action.OPEN)
    def jwks() -> Response:
        keys = [orjson.loads(public) for _, _, public in load_signing_keys(gateway.records)]
        answer = jsonify(keys=keys)
        answer.headers["Cache-Control"] = f"public, max-age={KEYS_AGE_S}"
        return answer

    @door.get("/.well-known/oauth-authorization-server")
    @needs(Action.OPEN)
    def about() -> Response:
        base = identity.issuer
        answer = jsonify(
            issuer=base,
            authorization_endpoint=f"{base}/oauth/authorize",
            token_endpoint=f"{base}/oauth/token",
            introspection_endpoint=f"{base}/oauth/introspect",
            revocation_endpoint=f"{base}/oauth/revoke",
            jwks_uri=f"{base}/.well-known/jwks.json",
            scopes_supported=list(SCOPES),
            response_types_supported=["code"],
            response_modes_supported=["query"],
            grant_types_supported=["authorization_code", "client_credentials"],
            code_challenge_methods_supported=["S256"],
            authorization_response_iss_parameter_supported=True,
            token_endpoint_auth_methods_supported=[*PROOFS, "none"],
            revocation_endpoint_auth_methods_supported=[*PROOFS, "none"],
            introspection_endpoint_auth_methods_supported=list(PROOFS),
        )
        answer.headers["Cache-Control"] = f"public, max-age={KEYS_AGE_S}"
        return answer

    @door.post("/oauth/token")
    @needs(Action.OPEN)
    def token() -> Response:
        client, now = _client(gateway, auditor), utc_now()
        match request.form.get("grant_type"):
            case "client_credentials":
                claims = _of_program(client, now)
            case "authorization_code":
                claims = _of_person(gateway, client, now)
            case _:
                raise OAuthRefused("unsupported_grant_type")
        kid, sealed = load_signer(gateway.records, now)
        made = make_token(read_key(keyring.unseal(sealed)), kid, identity.issuer, claims, now)
        auditor.told("token", "done", claims.subject, claims.client_id)
        told = {
            "access_token": made,
            "token_type": "Bearer",
            "expires_in": int((claims.ends_at - now).total_seconds()),
            "scope": " ".join(claims.scope),
        }
        return _unstored(jsonify(told))

    @door.post("/oauth/introspect")
    @needs(Action.OPEN)
    def introspect() -> Response:
        if not _client(gateway, auditor).posts:
            raise OAuthRefused("invalid_client")  # RFC 7662 2.1: whoever asks has proven itself
        try:
            found = identity.claims(request.form.get("token", ""))
            identity.of_token(request.form.get("token", ""))  # the session too is still good
        except NotSignedIn:
            return _unstored(jsonify(active=False))
        told = {
            "active": True,
            "iss": identity.issuer,
            "aud": identity.issuer,
            "sub": found.subject,
            "client_id": found.client_id,
            "jti": found.jti,
            "exp": int(found.ends_at.timestamp()),
            "roles": [str(post) for post in found.posts],
            "scope": " ".join(found.scope),
            "token_type": "Bearer",
        }
        return _unstored(jsonify(told))

    @door.post("/oauth/revoke")
    @needs(Action.OPEN)
    def revoke() -> Response:
        client = _client(gateway, auditor)
        given = request.form.get("token", "")
        try:
            found = identity.claims(given)
        except NotSignedIn:
            return _unstored(Response(status=200))  # RFC 7009 2.2: nothing to take back
        if found.client_id != client.client_id:
            raise OAuthRefused("unauthorized_client")
        auditor.told("token", "withdrawn", client.client_id)
        withdraw_token(gateway.records, found.jti, found.ends_at, utc_now())
        identity.forget(given)
        return _unstored(Response(status=200))

    return door


def _unstored(answer: Response) -> Response:
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _client(gateway: Gateway, auditor: Auditor) -> Client:
    """Who sends a form: a program that proves itself, or a viewer that says its name.

    raises  OAuthRefused ("invalid_client", "invalid_request")
    """
    request.max_content_length = FORM_LIMIT
    if any(len(values) > 1 for values in request.form.listvalues()):
        raise OAuthRefused("invalid_request")
    header = request.headers.get("Authorization")
    client_id, secret = request.form.get("client_id", ""), request.form.get("client_secret", "")
    if header is not None:
        if secret:
            raise OAuthRefused("invalid_request")
        client_id, secret = _basic(header)
    found = load_client(gateway.records, client_id) if header is None and not secret else None
    client = (
        found if found and found.redirect_uris else prove_client(gateway.records, client_id, secret)
    )
    if client is None:
        auditor.told("token", "refused", "", "credentials")
        raise OAuthRefused("invalid_client")
    return client


def _of_program(client: Client, now: datetime) -> Claims:
    if not client.posts:
        raise OAuthRefused("unauthorized_client")
    scope = read_scope(request.form.get("scope", ""), default=tuple(SCOPES))
    return Claims(
        new_id(),
        client.client_id,
        client.client_id,
        client.posts,
        _purpose(),
        now + timedelta(seconds=LONGEST_S),
        scope,
    )


def _of_person(gateway: Gateway, client: Client, now: datetime) -> Claims:
    """For the person in whose session the code was given; raises OAuthRefused."""
    form = request.form
    taken = take_code(gateway.records, form.get("code", ""), client.client_id, now)
    session = load_session_of_token(gateway.records, taken.session_id, now)
    told = form.get("redirect_uri", "") == taken.redirect_uri
    if not told or not is_verifier(taken.challenge, form.get("code_verifier", "")):
        raise OAuthRefused("invalid_grant")
    if session is None:
        raise OAuthRefused("invalid_grant")
    return Claims(
        taken.jti,
        session.account_id,
        client.client_id,
        session.posts,
        session.purpose,
        min(now + timedelta(seconds=LONGEST_S), session.made_at + LONGEST),
        taken.scope,
        session.session_id,
    )


def _basic(header: str) -> tuple[str, str]:
    """Client id and secret of HTTP Basic (RFC 6749 2.3.1: form-encoded inside)."""
    scheme, _, given = header.partition(" ")
    try:
        told = base64.b64decode(given, validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        told = ""
    name, mark, secret = told.partition(":")
    if scheme.lower() != "basic" or not mark:
        raise OAuthRefused("invalid_client")
    return unquote_plus(name), unquote_plus(secret)


def _purpose() -> Purpose | None:
    given = request.form.get("purpose_of_use")
    try:
        return None if given is None else Purpose(given)
    except ValueError:
        raise OAuthRefused("invalid_request") from None
