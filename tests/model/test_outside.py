"""What another issuer says is believed only as far as it is signed, ours, fresh and of its kind."""

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

from gateway.errors import NotSignedIn, SettingsError
from gateway.model.outside import (
    LOGOUT,
    Posts,
    kid_of,
    mark_of_session,
    posts_of,
    read_access_token,
    read_id_token,
    read_logout_token,
    read_public_keys,
    with_posts,
)
from gateway.model.sites import Region
from tests.fakes import a_site

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
AT = int(NOW.timestamp())
ISSUER = "https://id.example/realms/region"
RSA, EC = RSAKey.generate_key(2048), ECKey.generate_key("P-256")
KEYS = read_public_keys(
    {
        "keys": [
            RSA.as_dict(private=False) | {"kid": "r", "use": "sig", "alg": "RS256"},
            EC.as_dict(private=False) | {"kid": "e"},
            RSA.as_dict(private=False) | {"kid": "encrypts", "use": "enc"},
            {"kty": "oct", "kid": "shared", "k": "AAAA"},
            {"kty": "unknown", "kid": "odd"},
            "no key",
        ]
    }
)
ID = {
    "iss": ISSUER, "sub": "ivanova", "aud": "gateway", "iat": AT, "exp": AT + 300, "nonce": "n1",
    "sid": "s1", "name": "Иванова",
}  # fmt: skip
ACCESS = {
    "iss": ISSUER, "sub": "ivanova", "aud": ["account", "gateway-images"], "iat": AT,
    "exp": AT + 300, "azp": "ohif", "typ": "Bearer",
}  # fmt: skip
OUT = {
    "iss": ISSUER, "sub": "ivanova", "aud": "gateway", "iat": AT, "exp": AT + 120, "jti": "j",
    "events": {LOGOUT: {}}, "sid": "s1",
}  # fmt: skip
NONE = b'{"alg":"none","kid":"r"}'
READ = {
    "id": lambda t: read_id_token(t, KEYS.get, ISSUER, "gateway", "n1", NOW),
    "access": lambda t: read_access_token(t, KEYS.get, ISSUER, "gateway-images", NOW),
    "out": lambda t: read_logout_token(t, KEYS.get, ISSUER, "gateway", NOW),
}
GOOD = {"id": ID, "access": ACCESS, "out": OUT}


@pytest.mark.parametrize(
    ("auth_time", "is_good"),
    [({}, False), ({"auth_time": AT - 60}, False), ({"auth_time": str(AT)}, False),
     ({"auth_time": AT}, True), ({"auth_time": AT - 20}, True)],
    ids=["unsaid", "long ago", "a text", "now", "by another clock"],
)  # fmt: skip
def test_a_person_who_was_to_prove_anew_has_done_so(auth_time: dict, is_good: bool) -> None:
    token = signed(ID | auth_time)
    if is_good:
        assert read_id_token(token, KEYS.get, ISSUER, "gateway", "n1", NOW, NOW).sid == "s1"
    else:
        with pytest.raises(NotSignedIn):
            read_id_token(token, KEYS.get, ISSUER, "gateway", "n1", NOW, NOW)


def signed(claims: Any, head: dict | None = None, key=RSA) -> str:
    head = {"alg": "RS256", "kid": "r", "typ": "JWT"} if head is None else head
    registry = jws.JWSRegistry(algorithms=[head["alg"]], strict_check_header=False)
    return jws.serialize_compact(head, orjson.dumps(claims), key, registry=registry)


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def without(claims: dict, name: str) -> dict:
    return {key: value for key, value in claims.items() if key != name}


def test_only_keys_that_sign_are_taken():
    assert set(KEYS) == {"r", "e"}
    for wrong in (None, [], {}, {"keys": "x"}):
        with pytest.raises(ValueError):
            read_public_keys(wrong)


def test_a_good_word_of_each_kind_is_taken():
    said = READ["id"](signed(ID))
    assert (said.subject, said.sid, said.name) == ("ivanova", "s1", "Иванова")
    assert READ["access"](signed(ACCESS)).ends_at == NOW + timedelta(minutes=5)
    assert READ["out"](signed(OUT)) == ("ivanova", "s1")
    assert READ["id"](signed(ID, {"alg": "ES256", "kid": "e"}, EC)).subject == "ivanova"
    assert READ["access"](signed(ACCESS, {"alg": "RS256", "kid": "r", "typ": "at+jwt"}))
    assert READ["out"](signed(without(OUT, "sub"))) == ("", "s1")


@pytest.mark.parametrize("kind", READ)
@pytest.mark.parametrize("other", GOOD)
def test_no_kind_of_token_passes_for_another(kind: str, other: str):
    """Even if the issuer names every audience in all of them."""
    token = signed(GOOD[other] | {"aud": ["gateway", "gateway-images"], "azp": "gateway"})
    if kind == other:
        assert READ[kind](token)
        return
    with pytest.raises(NotSignedIn):
        READ[kind](token)


def changed(kind: str) -> dict[str, dict]:
    good = GOOD[kind]
    return {
        "another issuer": good | {"iss": "https://evil.example"},
        "an issuer that begins alike": good | {"iss": ISSUER + "/"},
        "another audience": good | {"aud": "account"},
        "no audience": without(good, "aud"),
        "from tomorrow": good | {"iat": AT + 86400, "exp": AT + 86700},
        "not yet": good | {"nbf": AT + 3600},
        "ended": good | {"iat": AT - 1000, "exp": AT - 400},
        "times as texts": good | {"iat": str(AT), "exp": str(AT + 300)},
        "no subject": without(without(good, "sub"), "sid"),
        "a subject with a line feed": good | {"sub": "a\nb"},
        "a subject that is none": good | {"sub": 7},
        "a subject without end": good | {"sub": "x" * 256},
        "no object": [good],
    }


@pytest.mark.parametrize(
    ("kind", "what", "claims"),
    [(kind, what, claims) for kind in READ for what, claims in changed(kind).items()],
)
def test_what_is_not_for_us_or_not_now_is_refused(kind: str, what: str, claims: Any):
    with pytest.raises(NotSignedIn):
        READ[kind](signed(claims))


@pytest.mark.parametrize(
    ("kind", "claims"),
    [
        ("id", ID | {"nonce": "n2"}),
        ("id", without(ID, "nonce")),
        ("id", ID | {"aud": ["gateway", "other"]}),
        ("id", ID | {"aud": ["gateway", "other"], "azp": "other"}),
        ("access", ACCESS | {"exp": AT + 3601}),
        ("access", ACCESS | {"typ": "Refresh"}),
        ("access", without(ACCESS, "azp")),
        ("out", OUT | {"events": {}}),
        ("out", OUT | {"events": {LOGOUT: "x"}}),
        ("out", OUT | {"nonce": "n1"}),
        ("out", without(OUT, "jti")),
        ("out", OUT | {"iat": AT - 400, "exp": AT + 120}),
    ],
)
def test_each_kind_has_rules_of_its_own(kind: str, claims: dict):
    with pytest.raises(NotSignedIn):
        READ[kind](signed(claims))


def test_clocks_may_differ_by_half_a_minute():
    for shift in (-29, 29):
        claims = ID | {"iat": AT + shift, "exp": AT + shift + 1}
        assert READ["id"](signed(claims)).subject == "ivanova"


@pytest.mark.parametrize(
    "head",
    [
        {"alg": "RS256", "kid": "unknown"},
        {"alg": "RS256", "kid": "../../dev/null"},
        {"alg": "RS256", "kid": "r", "jku": "https://evil.example/keys"},
        {"alg": "RS256", "kid": "r", "jwk": RSA.as_dict(private=False)},
        {"alg": "RS256", "kid": "r", "x5u": "https://evil.example/cert"},
        {"alg": "PS256", "kid": "r"},
        {"alg": "RS512", "kid": "r"},
        {"alg": "RS256"},
    ],
    ids=lambda head: " ".join(map(str, head.values()))[:30],
)
def test_a_head_that_points_elsewhere_is_refused(head: dict):
    with pytest.raises(NotSignedIn):
        READ["id"](signed(ID, head))


def test_the_public_key_is_no_shared_secret_and_nothing_unsigned_counts():
    _, claims, _ = signed(ID).split(".")
    forged = f"{b64(orjson.dumps({'alg': 'HS256', 'kid': 'r'}))}.{claims}"
    for secret in (RSA.as_pem(private=False), orjson.dumps(RSA.as_dict(private=False))):
        mark = hmac.new(secret, forged.encode(), hashlib.sha256).digest()
        with pytest.raises(NotSignedIn):
            READ["id"](f"{forged}.{b64(mark)}")
    for token in (f"{forged}.", f"{b64(NONE)}.{claims}."):
        with pytest.raises(NotSignedIn):
            READ["id"](token)


@given(st.text(max_size=200) | st.from_regex(r"[A-Za-z0-9_-]{0,80}(\.[A-Za-z0-9_-]{0,80}){2}"))
def test_nothing_else_than_a_refusal_comes_of_any_text(text: str):
    with pytest.raises(NotSignedIn):
        READ["access"](text)


def test_a_long_token_is_not_looked_at():
    with pytest.raises(NotSignedIn):
        kid_of("a" * 10**6 + ".b.c")


def region() -> Region:
    return Region("Область", "Region", "north", (a_site("north"), a_site("south")))


def posts(identity: dict) -> Posts:
    return with_posts(region(), {"identity": identity}).posts


def words(found: Posts, claims: dict) -> list[str]:
    return [str(post) for post in posts_of(found, claims)]


def test_a_group_that_is_not_named_gives_nothing():
    found = posts({"posts": {"/north/doctors": "doctor@north", "it": ["hospital_it@south"]}})
    assert words(found, {"groups": ["/north/doctors", "/north", "admins"]}) == ["doctor@north"]
    assert words(found, {"groups": "it"}) == ["hospital_it@south"]
    for nothing in ({}, {"groups": None}, {"groups": {"it": 1}}, {"groups": [7, None, ["it"]]}):
        assert words(found, nothing) == []
    assert words(Posts(), {"groups": ["it"]}) == []


def test_a_claim_may_lie_within_another_or_have_dots_in_its_name():
    found = posts({"claim": "realm_access.roles", "posts": {"d": "doctor@north"}})
    assert words(found, {"realm_access": {"roles": ["d"]}}) == ["doctor@north"]
    assert words(found, {"realm_access.roles": ["d"]}) == ["doctor@north"]
    assert words(found, {"realm_access": ["d"]}) == []


def test_the_ministry_stands_alone():
    found = posts({"posts": {"m": "ministry", "d": "doctor@north"}})
    assert words(found, {"groups": ["d", "m"]}) == ["ministry"]


@pytest.mark.parametrize(
    "identity",
    [
        {"posts": {"d": "doctor@nowhere"}},
        {"posts": {"d": "king@north"}},
        {"posts": {"d": "operator"}},
        {"posts": {"d": "patient"}},
        {"posts": {"d": 7}},
        {"posts": ["doctor@north"]},
        {"claims": "groups"},
        {"claim": 7},
        [],
    ],
)
def test_a_mistake_in_region_toml_is_told(identity: Any):
    with pytest.raises(SettingsError, match="identity"):
        posts(identity)


def test_a_session_of_the_issuer_is_kept_as_a_digest_with_its_issuer():
    assert mark_of_session(ISSUER, "s1") != mark_of_session("https://other.example", "s1")
    assert len(mark_of_session(ISSUER, "s1")) == 64
    assert mark_of_session(ISSUER, "") == ""
