"""What a viewer asks for when a person shall let it in: the authorization code flow (RFC 6749 4.1)
with PKCE (RFC 7636, S256 alone), judged by RFC 9700. Pure.

Our own and not a library's: what Authlib 1.9 would bring beside the tokens that stand here already
is these checks, with plain challenges to be switched off and a refusal of plain HTTP that does not
know of a proxy on this host. There are no refresh tokens: while the person's session lives, the
viewer comes again and gets another token without a question.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from gateway.errors import OAuthRefused
from gateway.model.tokens import SCOPES

CODE_S = 60
LONGEST_URI, LONGEST_STATE = 512, 512
CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}", re.ASCII)
STATE = re.compile(r"[\x20-\x7e]*", re.ASCII)
LOOPBACK = frozenset({"127.0.0.1", "::1"})
ONCE = (
    "response_type", "client_id", "redirect_uri", "scope", "state", "code_challenge",
    "code_challenge_method", "response_mode", "request", "request_uri",
)  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """A request that may be shown to a person.

    scope  names of model.tokens.SCOPES, in their order there
    """

    client_id: str
    redirect_uri: str
    state: str
    challenge: str
    scope: tuple[str, ...]


def check_redirect_uri(uri: str) -> None:
    """raises ValueError with what to write instead: for an address that codes must not go to."""
    parts = urlsplit(uri)
    loopback = parts.scheme == "http" and parts.hostname in LOOPBACK
    if not uri.isascii() or not uri.isprintable() or " " in uri or len(uri) > LONGEST_URI:
        raise ValueError("has letters that an address may not have, or too many of them")
    if not (parts.scheme == "https" and parts.hostname) and not loopback:
        raise ValueError("write https://viewer.example/callback or http://127.0.0.1/callback")
    if "#" in uri or "@" in parts.netloc or "*" in parts.netloc:
        raise ValueError("has neither a fragment, nor a login, nor a wildcard")


def is_registered(given: str, registered: Collection[str]) -> bool:
    """Letter by letter; only the port of a program on the person's own machine is free (RFC 8252
    7.3), where it is registered without one.
    """
    if given in registered:
        return True
    try:
        parts = urlsplit(given)
        port = parts.port
    except ValueError:
        return False
    if parts.scheme != "http" or parts.hostname not in LOOPBACK or port is None:
        return False
    host = parts.netloc.removesuffix(f":{port}")
    return host != parts.netloc and given.replace(parts.netloc, host, 1) in registered


def destination_of(args: Mapping[str, Sequence[str]], registered: Collection[str]) -> str:
    """Where the answer goes; raises OAuthRefused if it must not go anywhere (RFC 6749 4.1.2.1)."""
    given = args.get("redirect_uri", ())
    if len(given) != 1 or not is_registered(given[0], registered):
        raise OAuthRefused("invalid_request")
    return given[0]


def state_of(args: Mapping[str, Sequence[str]]) -> str:
    """What the viewer knows its own request by; "" if it cannot be given back."""
    state = next(iter(args.get("state", ())), "")
    return state if len(state) <= LONGEST_STATE and STATE.fullmatch(state) else ""


def read_asked(args: Mapping[str, Sequence[str]], redirect_uri: str) -> Asked:
    """What is asked for; raises OAuthRefused with what the viewer is told (RFC 6749 4.1.2.1).

    args  the query as it came, each name with all its values
    """
    if any(len(args.get(name, ())) > 1 for name in ONCE):
        raise OAuthRefused("invalid_request")
    one = {name: values[0] for name, values in args.items() if values}
    if "request" in one:
        raise OAuthRefused("request_not_supported")
    if "request_uri" in one:
        raise OAuthRefused("request_uri_not_supported")
    if one.get("response_type") != "code":
        raise OAuthRefused("unsupported_response_type")
    if one.get("response_mode", "query") != "query" or one.get("state", "") != state_of(args):
        raise OAuthRefused("invalid_request")
    challenge = one.get("code_challenge", "")
    if one.get("code_challenge_method") != "S256" or not CHALLENGE.fullmatch(challenge):
        raise OAuthRefused("invalid_request")  # RFC 7636 4.4.1
    scope = read_scope(one.get("scope", ""), default=("images.read",))
    return Asked(one.get("client_id", ""), redirect_uri, state_of(args), challenge, scope)


def read_scope(asked: str, default: tuple[str, ...]) -> tuple[str, ...]:
    """raises OAuthRefused ("invalid_scope") for a word that is none of ours"""
    words = set(asked.split(" ")) - {""}
    if not words <= set(SCOPES):
        raise OAuthRefused("invalid_scope")
    return tuple(word for word in SCOPES if word in words) or default


def answer_to(redirect_uri: str, issuer: str, state: str, **said: str) -> str:
    """The address that the browser goes back to, with who answers (RFC 9207)."""
    told = {**said, **({"state": state} if state else {}), "iss": issuer}
    return f"{redirect_uri}{'&' if '?' in redirect_uri else '?'}{urlencode(told)}"


def origin_of(redirect_uri: str) -> str:
    parts = urlsplit(redirect_uri)
    return f"{parts.scheme}://{parts.netloc}"


def is_verifier(challenge: str, verifier: str) -> bool:
    """Whether who redeems a code is who asked for it (RFC 7636 4.6)."""
    if not VERIFIER.fullmatch(verifier):
        return False
    seen = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode("ascii")).digest())
    return hmac.compare_digest(seen.rstrip(b"=").decode("ascii"), challenge)
