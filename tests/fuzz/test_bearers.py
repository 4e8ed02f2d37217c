"""Any bearer token that this gateway did not make (trust.md H43-H47)."""

import base64
import json
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.clock import utc_now
from gateway.records.clients import add_client
from gateway.web import create_app
from tests.fuzz.door import Door
from tests.fuzz.words import header_texts, texts
from tests.web.rows import ROWS
from tests.web.signing_in import login_gateway

NAMES = ("alg", "kid", "typ", "crit", "b64", "jku", "jwk", "x5u", "zip", "cty")
CLAIMS = ("exp", "iat", "nbf", "iss", "aud", "sub", "jti", "client_id", "scope", "site")
anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=5,
)


@pytest.fixture(scope="module")
def lock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Door, str]]:
    """A door that asks who comes, and a token that opens it."""
    with login_gateway(tmp_path_factory.mktemp("bearers"), ROWS) as (gateway, _):
        door = Door(create_app(gateway))
        client_id, secret = add_client(gateway.records, "Viewer", "*", utc_now())
        who = base64.b64encode(f"{client_id}:{secret}".encode()).decode()
        told = {"grant_type": "client_credentials"}
        answer = door.ask(
            "POST", "/oauth/token", data=told, headers={"Authorization": "Basic " + who}
        )
        token = answer.get_json()["access_token"]
        assert opens(door, token) == 200
        yield door, token


def opens(door: Door, token: str) -> int:
    headers = {"Authorization": "Bearer " + token}
    return door.ask("GET", "/dicom-web/studies", headers=headers).status_code


def packed(found: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(found).encode()).decode().rstrip("=")


def read(part: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(base64.urlsafe_b64decode(part + "=="))
    return found


@given(
    head=st.dictionaries(st.sampled_from(NAMES), anything, max_size=3),
    claims=st.dictionaries(st.sampled_from(CLAIMS), anything, max_size=3),
    seal=st.one_of(st.just(None), st.text("abcXYZ019-_", max_size=90)),
)
def test_a_changed_token_opens_nothing(
    lock: tuple[Door, str], head: dict[str, object], claims: dict[str, object], seal: str | None
) -> None:
    door, token = lock
    parts = token.split(".")
    old_head, old_claims = read(parts[0]), read(parts[1])
    new_head, new_claims = old_head | head, old_claims | claims
    if (new_head, new_claims) == (old_head, old_claims):
        return
    forged = f"{packed(new_head)}.{packed(new_claims)}.{parts[2] if seal is None else seal}"
    assert opens(door, forged) in (400, 401)
    assert opens(door, token) == 200


@given(token=st.one_of(header_texts, st.binary(max_size=80).map(bytes.hex)))
def test_what_is_no_token_opens_nothing(lock: tuple[Door, str], token: str) -> None:
    assert opens(lock[0], token.strip()) in (400, 401)
