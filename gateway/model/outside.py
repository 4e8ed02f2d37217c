"""What another issuer (OpenID Connect: Keycloak and its like) says of people, judged. Pure.

Three kinds of token come from it, and none is taken for another: ID tokens at a sign-in, access
tokens at DICOMweb, logout tokens at the back channel (trust.md H43-H47). What a person may do is
decided here, by `[identity]` of region.toml: a group that it does not name gives nothing.
"""

import re
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import orjson
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from gateway.errors import NotSignedIn, SettingsError
from gateway.model.access import Post, Purpose, Role, parse_post
from gateway.model.credentials import digest
from gateway.model.reading_region import Reader
from gateway.model.sites import Region

ALGORITHMS = ("RS256", "PS256", "ES256")
"""Of public keys alone, so no public key can pass for a shared secret (H43)."""
HEAD = {"alg", "typ", "kid", "x5t", "x5t#S256"}
LEEWAY_S = 30
LONGEST_S = 3600
FRESH_S = 300
MOST_CHARACTERS = 16 * 1024
SID = re.compile(r"[\x21-\x7e]{1,255}", re.ASCII)
LOGOUT = "http://schemas.openid.net/event/backchannel-logout"
KEYS = {"claim", "posts"}
MOST_GROUPS = 5000

PublicKey = RSAKey | ECKey
KINDS: Mapping[str, type[RSAKey] | type[ECKey]] = {"RSA": RSAKey, "EC": ECKey}
FindKey = Callable[[str], PublicKey | None]
"""The key of a kid; None if the issuer has none of this name."""


@dataclass(frozen=True)
class Posts:
    """`[identity]` of region.toml: which group gives which post."""

    claim: str = "groups"
    of_group: Mapping[str, tuple[Post, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Said:
    """What a good token says.

    sid      the issuer's own name for the session; ""
    claims   all of it, for the posts
    """

    subject: str
    sid: str
    name: str
    purpose: Purpose | None
    issued_at: datetime
    ends_at: datetime
    claims: Mapping[str, Any]


def read_public_keys(document: Any) -> dict[str, PublicKey]:
    """Keys that sign, by kid, of a JWK set; what is none for us is left out.

    raises  ValueError if it is no JWK set
    """
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise ValueError("no JWK set")
    found: dict[str, PublicKey] = {}
    for one in listed[:100]:
        if not isinstance(one, dict) or one.get("use", "sig") != "sig":
            continue
        kid, kind = one.get("kid"), KINDS.get(str(one.get("kty")))
        if not isinstance(kid, str) or kind is None:
            continue
        with suppress(JoseError, ValueError, TypeError, KeyError):
            found[kid] = kind.import_key(one)
    return found


def kid_of(token: str) -> str:
    """The key that a token names; raises NotSignedIn for what is no signed token."""
    if len(token) > MOST_CHARACTERS or token.count(".") != 2 or not token.isascii():
        raise NotSignedIn
    registry = jws.JWSRegistry(algorithms=[*ALGORITHMS])
    try:
        head = jws.extract_compact(token.encode("ascii"), registry=registry).headers()
    except (JoseError, ValueError, TypeError) as error:
        raise NotSignedIn from error
    kid = head.get("kid")
    if not isinstance(kid, str) or len(kid) > 255:
        raise NotSignedIn
    return kid


def read_id_token(
    token: str, find_key: FindKey, issuer: str, client_id: str, nonce: str, now: datetime,
    proven_since: datetime | None = None,
) -> Said:  # fmt: skip
    """What the issuer says at a sign-in (OpenID Connect Core 3.1.3.7); raises NotSignedIn.

    proven_since  when the person was sent there to prove anew who they are; the issuer must say
                  that they did (`auth_time`)
    """

    def check(head: Mapping[str, Any], claims: Mapping[str, Any]) -> None:
        audience = _texts(claims["aud"])
        _need(client_id in audience, "aud")
        _need(claims.get("azp", client_id) == client_id, "azp")
        _need(len(audience) == 1 or "azp" in claims, "azp")
        _need(claims.get("nonce") == nonce, "nonce")
        _need(head.get("typ", "JWT") == "JWT" and "events" not in claims, "kind")
        if proven_since is not None:
            proven = claims.get("auth_time")
            earliest = proven_since.timestamp() - LEEWAY_S
            _need(isinstance(proven, int) and proven >= earliest, "auth_time")

    return _read(token, find_key, issuer, now, check)


def read_access_token(
    token: str, find_key: FindKey, issuer: str, audience: str, now: datetime
) -> Said:
    """What a bearer says who comes to DICOMweb (RFC 9068, or as Keycloak words it); raises
    NotSignedIn.

    audience  of our own, that the issuer names in no other kind of token
    """

    def check(head: Mapping[str, Any], claims: Mapping[str, Any]) -> None:
        _need(audience in _texts(claims["aud"]), "aud")
        typ = str(head.get("typ", "JWT")).lower().removeprefix("application/")
        _need(typ in ("at+jwt", "jwt"), "typ")
        # Keycloak says in the claims what RFC 9068 says in the head.
        _need(typ == "at+jwt" or claims.get("typ", "Bearer") == "Bearer", "typ")
        _need("nonce" not in claims and "events" not in claims, "kind")
        _need(isinstance(claims.get("client_id", claims.get("azp")), str), "client_id")
        _need(claims["exp"] - claims["iat"] <= LONGEST_S, "life")

    return _read(token, find_key, issuer, now, check)


def read_logout_token(
    token: str, find_key: FindKey, issuer: str, client_id: str, now: datetime
) -> tuple[str, str]:
    """(subject, sid) of who has signed out, one of the two perhaps "" (Back-Channel Logout 2.6).

    raises  NotSignedIn
    """

    def check(head: Mapping[str, Any], claims: Mapping[str, Any]) -> None:
        _need(client_id in _texts(claims["aud"]), "aud")
        typ = str(head.get("typ", "JWT")).lower().removeprefix("application/")
        _need(typ in ("logout+jwt", "jwt"), "typ")
        events = claims["events"]
        _need(isinstance(events, dict) and isinstance(events.get(LOGOUT), dict), "events")
        _need("nonce" not in claims and isinstance(claims["jti"], str), "kind")
        _need(now.timestamp() - claims["iat"] <= FRESH_S, "old")

    said = _read(token, find_key, issuer, now, check, logout=True)
    return said.subject, said.sid


def mark_of_session(issuer: str, sid: str) -> str:
    """What is kept of the issuer's session; "" if it did not name one."""
    return digest(f"{issuer}\0{sid}") if sid else ""


def posts_of(posts: Posts, claims: Mapping[str, Any]) -> tuple[Post, ...]:
    """Deny by default: only what `[identity.posts]` names. The ministry stands alone."""
    said: Any = claims.get(posts.claim)
    if said is None:  # realm_access.roles: a list within a table
        said = claims
        for step in posts.claim.split("."):
            said = said.get(step) if isinstance(said, dict) else None
    groups = [said] if isinstance(said, str) else said
    if not isinstance(groups, list):
        return ()
    named = [group for group in groups[:MOST_GROUPS] if isinstance(group, str)]
    found = dict.fromkeys(post for group in named for post in posts.of_group.get(group, ()))
    ministry = tuple(post for post in found if post.role is Role.MINISTRY)
    return ministry or tuple(found)


def with_posts(region: Region, document: Mapping[str, Any]) -> Region:
    """The region with its `[identity]` table; raises SettingsError with every mistake."""
    reader = Reader()
    table = document.get("identity", {})
    if not isinstance(table, Mapping):
        reader.mistake("[identity]", "is not a table", "[identity] and its keys")
        table = {}
    reader.unknown_keys("[identity]", table, KEYS)
    given = table.get("posts", {})
    if not isinstance(given, Mapping) or len(given) > MOST_GROUPS:
        reader.mistake("[identity.posts]", "is not a table", '"group of the issuer" = "doctor@id"')
        given = {}
    found = {group: _posts(reader, region, group, text) for group, text in given.items()}
    claim = reader.text(table, "[identity]", "claim", "groups")
    if reader.mistakes:
        raise SettingsError(reader.mistakes)
    return replace(region, posts=Posts(claim, found))


def _posts(reader: Reader, region: Region, group: str, text: Any) -> tuple[Post, ...]:
    where = f'[identity.posts] "{group}"'
    try:
        found = tuple(parse_post(word) for word in ([text] if isinstance(text, str) else text))
    except (ValueError, TypeError, AttributeError) as error:
        reader.mistake(where, str(error), '"doctor@SITE", or a list of such')
        return ()
    for post in found:
        if post.site_id != "*" and post.site_id not in region.by_id:
            reader.mistake(where, f'names no site: "{post.site_id}"', "an id of a [[site]]")
    return found


def _read(
    token: str, find_key: FindKey, issuer: str, now: datetime,
    check: Callable[[Mapping[str, Any], Mapping[str, Any]], None], *, logout: bool = False,
) -> Said:  # fmt: skip
    key = find_key(kid_of(token))
    if key is None:
        raise NotSignedIn
    try:
        head, claims = _opened(token, key)
        _need(claims["iss"] == issuer, "iss")
        begins, ends = (claims.get(name) for name in ("iat", "exp"))
        if logout and ends is None:  # it need not say so in the first edition
            ends = begins
        if type(begins) is not int or type(ends) is not int:
            raise ValueError("times")
        at, earliest = now.timestamp(), max(begins, claims.get("nbf", begins))
        _need(earliest - LEEWAY_S <= at, "early")
        _need(at <= ends + (FRESH_S if logout else LEEWAY_S), "late")
        check(head, claims)
        return _said(claims, begins, ends, logout=logout)
    except (JoseError, ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise NotSignedIn from error


def _opened(token: str, key: PublicKey) -> tuple[dict[str, Any], dict[str, Any]]:
    signed = jws.deserialize_compact(token, key, registry=_registry(key))
    head, claims = signed.headers(), orjson.loads(signed.payload)
    if not set(head) <= HEAD or not isinstance(claims, dict):
        raise ValueError("head")  # jku, x5u, jwk, crit, b64, zip: nothing of it is taken
    return head, claims


def _registry(key: PublicKey) -> jws.JWSRegistry:
    """The one algorithm that the issuer says of its key, or those of its kind."""
    kind = ("ES256",) if isinstance(key, ECKey) else ("RS256", "PS256")
    said = key.as_dict(private=False).get("alg")
    return jws.JWSRegistry(algorithms=[one for one in kind if said in (None, one)])


def _said(claims: Mapping[str, Any], begins: int, ends: int, *, logout: bool) -> Said:
    subject, sid = claims.get("sub", ""), claims.get("sid", "")
    for one in (subject, sid):
        _need(one == "" or bool(SID.fullmatch(one)), "words")
    _need(bool(subject or (logout and sid)), "sub")
    name = next((claims[n] for n in ("name", "preferred_username") if claims.get(n)), subject)
    purpose = claims.get("purpose_of_use")
    known = purpose if isinstance(purpose, str) and purpose in set(Purpose) else None
    return Said(
        subject,
        sid,
        "".join(letter for letter in str(name)[:128] if letter.isprintable()),
        None if known is None else Purpose(known),
        datetime.fromtimestamp(begins, UTC),
        datetime.fromtimestamp(ends, UTC),
        claims,
    )


def _texts(value: Any) -> Collection[str]:
    return [value] if isinstance(value, str) else [one for one in value if isinstance(one, str)]


def _need(right: bool, what: str) -> None:
    if not right:
        raise ValueError(what)
