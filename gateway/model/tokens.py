"""Access tokens of this gateway: signed JSON (RFC 9068, ES256), made and judged. Pure.

One algorithm, one issuer, one audience. A token of another kind, without an end, or with a longer
life than we give, is none (trust.md H43-H47, E31).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from gateway.errors import NotSignedIn
from gateway.model.access import Action, Post, Purpose, parse_post

ALGORITHM = "ES256"
TYPE = "at+jwt"
LONGEST_S = 3600
LEEWAY_S = 30
MOST_CHARACTERS = 4096
KID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
WORD = re.compile(r"[A-Za-z0-9._:-]{1,64}", re.ASCII)
SCOPES: Mapping[str, frozenset[Action]] = {
    "images.read": frozenset({Action.SEARCH, Action.RETRIEVE}),
    "images.write": frozenset({Action.STORE}),
}
"""What a token is good for; nothing else of what its bearer may do is done with it."""
_REGISTRY = jws.JWSRegistry(algorithms=[ALGORITHM])


@dataclass(frozen=True)
class Claims:
    """What a token says of who carries it. `posts` are those at the time it was made.

    subject    account or client id
    client_id  who got the token
    scope      names of SCOPES
    session_id  of the person who let a viewer in, "" of a program: the token ends with it
    """

    jti: str
    subject: str
    client_id: str
    posts: tuple[Post, ...]
    purpose: Purpose | None
    ends_at: datetime
    scope: tuple[str, ...] = ()
    session_id: str = ""


def actions_of(scope: Sequence[str]) -> frozenset[Action]:
    """What a token of this scope may be used for."""
    return frozenset().union(*(SCOPES[word] for word in scope))


def new_key() -> tuple[str, str, str]:
    """(kid, private JWK, public JWK) of a new key; the kid is its thumbprint (RFC 7638)."""
    key = ECKey.generate_key("P-256")
    kid = key.thumbprint()
    marks = {"kid": kid, "use": "sig", "alg": ALGORITHM}
    private, public = ({**key.as_dict(private=p), **marks} for p in (True, False))
    return kid, orjson.dumps(private).decode(), orjson.dumps(public).decode()


def read_key(jwk: str) -> ECKey:
    return ECKey.import_key(orjson.loads(jwk))


def make_token(key: ECKey, kid: str, issuer: str, claims: Claims, now: datetime) -> str:
    """An access token for this gateway alone; it lives an hour at most."""
    begins, ends = int(now.timestamp()), int(claims.ends_at.timestamp())
    said: dict[str, Any] = {
        "iss": issuer, "aud": issuer, "sub": claims.subject, "client_id": claims.client_id,
        "jti": claims.jti, "iat": begins, "exp": min(ends, begins + LONGEST_S),
        "roles": [str(post) for post in claims.posts], "scope": " ".join(claims.scope),
    }  # fmt: skip
    if claims.purpose is not None:
        said["purpose_of_use"] = str(claims.purpose)
    if claims.session_id:
        said["sid"] = claims.session_id
    head = {"alg": ALGORITHM, "typ": TYPE, "kid": kid}
    return jws.serialize_compact(head, orjson.dumps(said), key, registry=_REGISTRY)


def read_token(token: str, keys: Mapping[str, ECKey], issuer: str, now: datetime) -> Claims:
    """What a token says, if all of it is as we make it.

    keys    by kid; a kid is nothing but a name in here (H44)
    raises  NotSignedIn, never saying what was wrong
    """
    try:
        return _claims(_payload(token, keys), issuer, now)
    except (JoseError, ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise NotSignedIn from error


def _payload(token: str, keys: Mapping[str, ECKey]) -> dict[str, Any]:
    if len(token) > MOST_CHARACTERS or token.count(".") != 2 or not token.isascii():
        raise ValueError("no compact JWS")
    head = jws.extract_compact(token.encode("ascii"), registry=_REGISTRY).headers()
    if set(head) != {"alg", "typ", "kid"} or head["alg"] != ALGORITHM or head["typ"] != TYPE:
        raise ValueError("head")  # jku, x5u, jwk, crit, b64, zip: nothing of it is taken
    kid = head["kid"]
    if not isinstance(kid, str) or not KID.fullmatch(kid):
        raise ValueError("kid")
    signed = jws.deserialize_compact(token, keys[kid], registry=_REGISTRY)
    found = orjson.loads(signed.payload)  # refuses NaN and repeats nothing of what it read
    if not isinstance(found, dict):
        raise ValueError("claims")
    return found


def _claims(found: Mapping[str, Any], issuer: str, now: datetime) -> Claims:
    begins, ends, at = found["iat"], found["exp"], now.timestamp()
    if type(begins) is not int or type(ends) is not int:
        raise ValueError("times")
    if not 0 < ends - begins <= LONGEST_S:
        raise ValueError("life")
    not_before = found.get("nbf", begins)
    if type(not_before) is not int:
        raise ValueError("nbf")
    if at > ends + LEEWAY_S or at < max(begins, not_before) - LEEWAY_S:
        raise ValueError("not now")
    if found["iss"] != issuer or found["aud"] != issuer:
        raise ValueError("of another issuer or for another audience")
    jti, subject, client_id = (found[name] for name in ("jti", "sub", "client_id"))
    if not all(isinstance(one, str) and WORD.fullmatch(one) for one in (jti, subject, client_id)):
        raise ValueError("words")
    scope = found["scope"].split(" ")
    session_id = found.get("sid", "")
    if not set(scope) <= set(SCOPES) or not isinstance(session_id, str):
        raise ValueError("scope")
    purpose = found.get("purpose_of_use")
    return Claims(
        jti,
        subject,
        client_id,
        posts=tuple(parse_post(one) for one in found["roles"]),
        purpose=None if purpose is None else Purpose(purpose),
        ends_at=datetime.fromtimestamp(ends, UTC),
        scope=tuple(scope),
        session_id=session_id,
    )
