"""The issuer that people come from (OpenID Connect): where its doors are, its keys, its codes.

What it said last is used while it is away: its keys for a day, its addresses as long as this
process lives. A key that nobody knows is asked for once a minute and by one request at a time
(trust.md F52, F53). Whether what it signs is right stands in model/outside.py.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import orjson
import requests

from gateway.clock import monotonic_s
from gateway.errors import IssuerUnavailable, NotSignedIn
from gateway.log import log
from gateway.model.outside import PublicKey, read_public_keys
from gateway.settings import Settings

FRESH_S, STALE_S = 600.0, 24 * 3600.0
ASK_AGAIN_S, AFTER_FAULT_S = 60.0, 10.0
CONNECT_S, READ_S = 3.0, 5.0
LARGEST_BYTES = 2**20
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True)
class Doors:
    """What discovery says (OpenID Connect Discovery 4.2)."""

    authorization: str
    token: str
    keys: str
    says_iss: bool  # RFC 9207
    takes_basic: bool


class Issuer:
    """One for each process; safe for threads and greenlets."""

    def __init__(self, settings: Settings, secret: str) -> None:
        self.name = settings.oidc_issuer
        self.client_id = settings.oidc_client_id
        self.audience = settings.oidc_audience
        self._secret = secret
        self._verify: str | bool = settings.oidc_ca_file or True
        self._turn = threading.Lock()
        self._doors: tuple[Doors, float] | None = None
        self._keys: tuple[Mapping[str, PublicKey], float] | None = None
        self._ask_from = 0.0

    def doors(self) -> Doors:
        """raises IssuerUnavailable if it has never said, and does not now"""
        known = self._doors
        if known is not None and monotonic_s() - known[1] <= FRESH_S:
            return known[0]
        try:
            found = self._read_doors()
        except IssuerUnavailable:
            if known is None:
                raise
            found = known[0]
        self._doors = (found, monotonic_s())
        return found

    def key(self, kid: str) -> PublicKey | None:
        """The key of this name; None if the issuer has none.

        raises  IssuerUnavailable if its keys are not known, or not since a day
        """
        known = self._keys
        if known is None or kid not in known[0] or monotonic_s() - known[1] > FRESH_S:
            self._refresh(kid)
        if self._keys is None or monotonic_s() - self._keys[1] > STALE_S:
            raise IssuerUnavailable("its keys are not known")
        return self._keys[0].get(kid)

    def _refresh(self, kid: str) -> None:
        """Ask for the keys, unless that was tried within the last minute. Who knows the key does
        not wait for who asks.
        """
        before = self._keys
        must_wait = before is None or kid not in before[0]
        if not self._turn.acquire(blocking=must_wait):
            return
        try:
            if self._keys is not before or monotonic_s() < self._ask_from:
                return
            found = read_public_keys(self._ask("GET", self.doors().keys))
            self._keys = (found, monotonic_s())
            self._ask_from = monotonic_s() + ASK_AGAIN_S
        except (IssuerUnavailable, ValueError) as error:
            self._ask_from = monotonic_s() + AFTER_FAULT_S
            log.warning("keys of the issuer not read", why=str(error))
        finally:
            self._turn.release()

    def redeem(self, code: str, verifier: str, redirect_uri: str) -> str:
        """The ID token for a code; raises NotSignedIn if the code is refused, IssuerUnavailable."""
        doors = self.doors()
        form = {
            "grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri,
            "code_verifier": verifier,
        }  # fmt: skip
        proof = None
        if doors.takes_basic:  # RFC 6749 2.3.1: form-encoded inside
            proof = (quote(self.client_id, safe=""), quote(self._secret, safe=""))
        else:
            form |= {"client_id": self.client_id, "client_secret": self._secret}
        told = self._ask("POST", doors.token, data=form, auth=proof)
        token = told.get("id_token") if isinstance(told, dict) else None
        if not isinstance(token, str):
            raise NotSignedIn
        return token

    def _read_doors(self) -> Doors:
        said = self._ask("GET", f"{self.name.rstrip('/')}/.well-known/openid-configuration")
        if not isinstance(said, dict) or said.get("issuer") != self.name:
            raise IssuerUnavailable("discovery names another issuer")
        proofs = said.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        found = Doors(
            authorization=str(said.get("authorization_endpoint", "")),
            token=str(said.get("token_endpoint", "")),
            keys=str(said.get("jwks_uri", "")),
            says_iss=said.get("authorization_response_iss_parameter_supported") is True,
            takes_basic="client_secret_basic" in proofs,
        )
        if not all(map(_is_safe, (found.authorization, found.token, found.keys))):
            raise IssuerUnavailable("discovery names an address that is not over TLS")
        return found

    def _ask(self, method: str, url: str, **what: Any) -> Any:
        """JSON; raises NotSignedIn for an answer of 4xx to a form, else IssuerUnavailable."""
        try:
            # Only this one call knows the secret: no cookies, no proxy and no .netrc of the host.
            with requests.Session() as session:
                session.trust_env = False
                answer = session.request(
                    method, url, timeout=(CONNECT_S, READ_S), allow_redirects=False, stream=True,
                    verify=self._verify, headers={"Accept": "application/json"}, **what,
                )  # fmt: skip
                body = answer.raw.read(LARGEST_BYTES + 1, decode_content=True)
        except (requests.RequestException, OSError) as error:
            raise IssuerUnavailable(type(error).__name__) from error
        if method == "POST" and 400 <= answer.status_code < 500:
            log.warning("the issuer refuses a code", status=answer.status_code)
            raise NotSignedIn
        if answer.status_code != 200 or len(body) > LARGEST_BYTES:
            raise IssuerUnavailable(f"answers {answer.status_code}")
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise IssuerUnavailable("speaks no JSON") from error


def open_issuer(settings: Settings) -> Issuer | None:
    """None if people come from nowhere else."""
    if not settings.oidc_issuer:
        return None
    secret = Path(settings.oidc_client_secret_file).read_text(encoding="utf-8").strip()
    return Issuer(settings, secret)


def _is_safe(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)
