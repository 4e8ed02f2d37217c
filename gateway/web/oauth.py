"""Tokens for programs: OAuth 2 client credentials (RFC 6749 4.4), the keys that sign them (RFC
7517), what a token is worth (RFC 7662), and taking it back (RFC 7009).
"""

import base64
import binascii
from urllib.parse import unquote_plus

import orjson
from flask import Blueprint, Response, jsonify, request

from gateway.bootstrap import Gateway
from gateway.clock import utc_now
from gateway.errors import NotSignedIn, OAuthRefused
from gateway.model.access import Action, Purpose
from gateway.model.tokens import LONGEST_S, make_token, read_key
from gateway.records.clients import (
    Client,
    load_signer,
    load_signing_keys,
    prove_client,
    withdraw_token,
)
from gateway.records.keyring import Keyring
from gateway.web.auditing import Auditor
from gateway.web.identity import Identity
from gateway.web.permissions import needs

FORM_LIMIT = 16 * 1024
KEYS_AGE_S = 600


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
        return jsonify(
            issuer=base,
            token_endpoint=f"{base}/oauth/token",
            introspection_endpoint=f"{base}/oauth/introspect",
            revocation_endpoint=f"{base}/oauth/revoke",
            jwks_uri=f"{base}/.well-known/jwks.json",
            grant_types_supported=["client_credentials"],
            response_types_supported=[],
            token_endpoint_auth_methods_supported=["client_secret_basic", "client_secret_post"],
        )

    @door.post("/oauth/token")
    @needs(Action.OPEN)
    def token() -> Response:
        client = _proven(gateway, auditor)
        if request.form.get("grant_type") != "client_credentials":
            raise OAuthRefused("unsupported_grant_type")
        purpose = _purpose()
        now = utc_now()
        kid, sealed = load_signer(gateway.records, now)
        made = make_token(
            read_key(keyring.unseal(sealed)),
            kid,
            identity.issuer,
            subject=client.client_id,
            client_id=client.client_id,
            posts=client.posts,
            purpose=purpose,
            now=now,
        )
        auditor.told("token", "done", client.client_id)
        told = {"access_token": made, "token_type": "Bearer", "expires_in": LONGEST_S}
        return _unstored(jsonify(told))

    @door.post("/oauth/introspect")
    @needs(Action.OPEN)
    def introspect() -> Response:
        _proven(gateway, auditor)
        try:
            found = identity.claims(request.form.get("token", ""))
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
            "token_type": "Bearer",
        }
        return _unstored(jsonify(told))

    @door.post("/oauth/revoke")
    @needs(Action.OPEN)
    def revoke() -> Response:
        client = _proven(gateway, auditor)
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


def _proven(gateway: Gateway, auditor: Auditor) -> Client:
    """The client that sends a form; raises OAuthRefused ("invalid_client", "invalid_request")."""
    request.max_content_length = FORM_LIMIT
    header = request.headers.get("Authorization")
    client_id, secret = request.form.get("client_id", ""), request.form.get("client_secret", "")
    if header is not None:
        if secret:
            raise OAuthRefused("invalid_request")
        client_id, secret = _basic(header)
    client = prove_client(gateway.records, client_id, secret)
    if client is None:
        auditor.told("token", "refused", "", "credentials")
        raise OAuthRefused("invalid_client")
    return client


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
