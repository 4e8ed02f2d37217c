"""Only what we make ourselves is a token (trust.md E31, H43-H48)."""

import base64
import hashlib
import hmac
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import ECKey

from gateway.errors import NotSignedIn
from gateway.model.access import IMAGES, Action, Purpose, Role, parse_post
from gateway.model.tokens import Claims, actions_of, make_token, new_key, read_key, read_token

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
ISSUER = "https://images.region.example"
KID, PRIVATE, PUBLIC = new_key()
KEYS = {KID: read_key(PUBLIC)}
HEAD = {"alg": "ES256", "typ": "at+jwt", "kid": KID}
CLAIMS = {
    "iss": ISSUER, "aud": ISSUER, "sub": "a1", "client_id": "c1", "jti": "j1",
    "iat": int(NOW.timestamp()), "exp": int(NOW.timestamp()) + 3600, "roles": ["service@north"],
    "scope": "images.read",
}  # fmt: skip


def read(token, now=NOW, keys=KEYS):
    return read_token(token, keys, ISSUER, now)


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(head=HEAD, claims=CLAIMS, private=PRIVATE, payload=None):
    """A token with our own signature over whatever stands in it."""
    payload = orjson.dumps(claims) if payload is None else payload
    told = f"{b64(orjson.dumps(head))}.{b64(payload)}"
    algorithm = jws.JWSRegistry.algorithms["ES256"]
    return f"{told}.{b64(algorithm.sign(told.encode(), read_key(private)))}"


def made(**changes):
    claims = Claims(
        "j1", "a1", "c1", (parse_post("doctor@north"),), Purpose.TREATMENT,
        NOW + timedelta(hours=1), ("images.read",), "s1",
    )  # fmt: skip
    return make_token(read_key(PRIVATE), KID, ISSUER, replace(claims, **changes), NOW)


def test_a_token_says_who_carries_it():
    found = read(made())
    assert (found.subject, found.client_id, found.purpose) == ("a1", "c1", Purpose.TREATMENT)
    assert (found.scope, found.session_id) == (("images.read",), "s1")
    assert [str(post) for post in found.posts] == ["doctor@north"]
    assert found.ends_at == NOW + timedelta(hours=1)
    assert found.posts[0].role is Role.DOCTOR


def test_the_tests_own_signature_is_as_good_as_ours():
    assert read(signed()).subject == "a1"


def test_no_token_lives_longer_than_an_hour():
    for asked, kept in ((timedelta(days=9), timedelta(hours=1)), (timedelta(minutes=1),) * 2):
        assert read(made(ends_at=NOW + asked)).ends_at == NOW + kept


def test_a_token_is_good_for_its_scope_alone():
    assert actions_of(("images.read",)) == {Action.SEARCH, Action.RETRIEVE}
    assert actions_of(("images.read", "images.write")) == IMAGES
    assert actions_of(()) == frozenset()


def without(name):
    return {key: value for key, value in CLAIMS.items() if key != name}


FORGED_CLAIMS = {
    **{f"no {name}": without(name) for name in CLAIMS},
    "exp in the year 9999": CLAIMS | {"exp": 253402300799},
    "exp a text": CLAIMS | {"exp": "9" * 400},
    "exp no whole number": CLAIMS | {"exp": 1e300},
    "exp true": CLAIMS | {"exp": True},
    "exp before iat": CLAIMS | {"exp": CLAIMS["iat"] - 1},
    "ended": CLAIMS | {"iat": CLAIMS["iat"] - 3600, "exp": CLAIMS["iat"] - 31},
    "iat in the future": CLAIMS | {"iat": CLAIMS["iat"] + 31},
    "nbf in the future": CLAIMS | {"nbf": CLAIMS["iat"] + 31},
    "nbf a text": CLAIMS | {"nbf": "now"},
    "another issuer": CLAIMS | {"iss": "https://elsewhere.example"},
    "another audience": CLAIMS | {"aud": "https://elsewhere.example"},
    "several audiences": CLAIMS | {"aud": [ISSUER, "x"]},
    "sub with a line feed": CLAIMS | {"sub": "a1\n"},
    "sub no text": CLAIMS | {"sub": 1},
    "a role that is none": CLAIMS | {"roles": ["king@north"]},
    "the operator's role": CLAIMS | {"roles": ["operator"]},
    "roles no list": CLAIMS | {"roles": 7},
    "a scope that is none": CLAIMS | {"scope": "images.read everything"},
    "scope empty": CLAIMS | {"scope": ""},
    "scope no text": CLAIMS | {"scope": ["images.read"]},
    "a session no text": CLAIMS | {"sid": 7},
    "a purpose that is none": CLAIMS | {"purpose_of_use": "CURIOSITY"},
}  # fmt: skip
FORGED_HEADS = {
    "alg none": HEAD | {"alg": "none"},
    "alg None": HEAD | {"alg": "None"},
    "alg nOnE": HEAD | {"alg": "nOnE"},
    "another alg": HEAD | {"alg": "ES384"},
    "an ID token": HEAD | {"typ": "JWT"},
    "no typ": {"alg": "ES256", "kid": KID},
    "no kid": {"alg": "ES256", "typ": "at+jwt"},
    "kid a path": HEAD | {"kid": "../../dev/null"},
    "kid unknown": HEAD | {"kid": "x"},
    "kid long": HEAD | {"kid": "k" * 65},
    "kid no text": HEAD | {"kid": 1},
    "jku": HEAD | {"jku": "https://elsewhere.example/keys"},
    "x5u": HEAD | {"x5u": "https://elsewhere.example/cert"},
    "embedded jwk": HEAD | {"jwk": orjson.loads(PUBLIC)},
    "crit": HEAD | {"crit": ["exp"]},
    "crit b64": HEAD | {"crit": ["b64"], "b64": False},
    "zip": HEAD | {"zip": "DEF"},
}


@pytest.mark.parametrize("claims", FORGED_CLAIMS.values(), ids=FORGED_CLAIMS.keys())
def test_claims_that_we_do_not_make_are_refused_though_signed(claims):
    with pytest.raises(NotSignedIn):
        read(signed(claims=claims))


@pytest.mark.parametrize("head", FORGED_HEADS.values(), ids=FORGED_HEADS.keys())
def test_heads_that_we_do_not_make_are_refused_though_signed(head):
    with pytest.raises(NotSignedIn):
        read(signed(head=head))


def test_an_exp_of_400_digits_is_refused():
    payload = orjson.dumps(CLAIMS).replace(str(CLAIMS["exp"]).encode(), b"9" * 400)
    with pytest.raises(NotSignedIn):
        read(signed(payload=payload))


def test_the_public_key_is_no_secret_to_sign_with():
    told = f"{b64(orjson.dumps(HEAD | {'alg': 'HS256'}))}.{b64(orjson.dumps(CLAIMS))}"
    for secret in (PUBLIC.encode(), read_key(PUBLIC).as_pem(private=False)):
        mark = b64(hmac.new(secret, told.encode(), hashlib.sha256).digest())
        with pytest.raises(NotSignedIn):
            read(f"{told}.{mark}")


def test_another_key_with_our_kid_is_refused():
    other = orjson.dumps(ECKey.generate_key("P-256").as_dict(private=True)).decode()
    with pytest.raises(NotSignedIn):
        read(signed(private=other))


@pytest.mark.parametrize(
    "token",
    ["", ".", "..", "a.b", "a.b.c.d.e", "x" * 2**20, "é.é.é", "eyJhbGciOiJub25lIn0.e30."],
    ids=["empty", "dot", "dots", "two parts", "five parts", "1 MB", "not ASCII", "unsigned"],
)
def test_what_is_no_token_is_refused(token):
    with pytest.raises(NotSignedIn):
        read(token)


@given(st.text(max_size=300) | st.from_regex(r"[A-Za-z0-9_-]{0,80}(\.[A-Za-z0-9_-]{0,80}){2}"))
def test_nothing_else_than_a_refusal_comes_of_any_text(text):
    with pytest.raises(NotSignedIn):
        read(text)


@given(st.integers(0, 400), st.sampled_from("AZaz09_-."))
def test_a_changed_letter_is_a_refusal(place, letter):
    token = signed()
    place %= len(token) - 1  # the last letter holds bits that are not part of the signature
    changed = token[:place] + letter + token[place + 1 :]
    if changed != token:
        with pytest.raises(NotSignedIn):
            read(changed)
