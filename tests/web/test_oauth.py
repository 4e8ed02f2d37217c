"""Programs: from client id and secret to images, and out again."""

import base64
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import pytest
from flask.testing import FlaskClient

from gateway.bootstrap import Gateway
from gateway.clock import utc_now
from gateway.errors import RecordsUnavailable
from gateway.model.access import Purpose, Role, parse_post
from gateway.model.credentials import digest, new_id
from gateway.model.tokens import Claims, make_token, new_key, read_key
from gateway.records.accounts import save_lock
from gateway.records.clients import add_client, load_signer, revoke_client, save_signing_key
from gateway.records.engine import Records
from gateway.records.sessions import end_sessions, load_session, start_session
from gateway.web import create_app, identity
from tests.web.indexed import uids
from tests.web.rows import ROWS
from tests.web.signing_in import add_person, login_gateway


@dataclass
class Region:
    gateway: Gateway
    keyring: object
    client: FlaskClient

    def token(self, site_id: str = "gkb1") -> tuple[str, str, str]:
        client_id, secret = add_client(self.gateway.records, "Просмотр", site_id, utc_now())
        answer = self.ask_token(client_id, secret)
        assert answer.status_code == 200
        return client_id, secret, answer.get_json()["access_token"]

    def ask_token(self, client_id: str, secret: str, **form: str):
        told = {"grant_type": "client_credentials"} | form
        return self.client.post("/oauth/token", data=told, headers=basic(client_id, secret))

    def studies(self, token: str):
        headers = {"Authorization": f"Bearer {token}"}
        return self.client.get("/dicom-web/studies", headers=headers)


def basic(client_id: str, secret: str) -> dict[str, str]:
    told = base64.b64encode(f"{client_id}:{secret}".encode()).decode()
    return {"Authorization": f"Basic {told}"}


@pytest.fixture(scope="module")
def region(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Region]:
    with login_gateway(tmp_path_factory.mktemp("oauth"), ROWS) as (gateway, keyring):
        yield Region(gateway, keyring, create_app(gateway).test_client())


@pytest.fixture(autouse=True)
def nothing_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that what was withdrawn is seen at once and no test has to wait."""
    monkeypatch.setattr(identity, "KEEP_S", -1.0)


def test_a_program_gets_a_token_and_sees_its_own_hospital(region: Region) -> None:
    _, _, token = region.token("gkb1")
    assert uids(region.studies(token)) == ["2", "1"]
    _, _, everywhere = region.token("*")
    assert uids(region.studies(everywhere)) == ["3", "4", "2", "1"]


def test_who_has_no_token_is_told_to_get_one(region: Region) -> None:
    answer = region.client.get("/dicom-web/studies")
    assert (answer.status_code, answer.headers["WWW-Authenticate"][:6]) == (401, "Bearer")


def test_a_token_is_the_only_credential_of_its_request(region: Region) -> None:
    _, _, token = region.token()
    client = create_app(region.gateway).test_client()
    client.set_cookie("gateway", "x" * 43)
    answer = client.get("/dicom-web/studies", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("changes", "status", "error"),
    [
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"grant_type": ""}, 400, "unsupported_grant_type"),
        ({"client_secret": "twice"}, 400, "invalid_request"),
        ({"purpose_of_use": "CURIOSITY"}, 400, "invalid_request"),
    ],
)
def test_a_wrong_request_is_refused_in_the_words_of_oauth(
    region: Region, changes: dict[str, str], status: int, error: str
) -> None:
    client_id, secret, _ = region.token()
    answer = region.ask_token(client_id, secret, **changes)
    assert (answer.status_code, answer.get_json()["error"]) == (status, error)
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "header",
    ["Basic", "Basic !!!", "Basic " + base64.b64encode(b"nobody").decode(), "Bearer x", ""],
    ids=["bare", "no base64", "no colon", "another scheme", "empty"],
)
def test_a_program_that_proves_nothing_is_refused(region: Region, header: str) -> None:
    form = {"grant_type": "client_credentials"}
    for path in ("/oauth/token", "/oauth/introspect", "/oauth/revoke"):
        answer = region.client.post(path, data=form, headers={"Authorization": header})
        assert (answer.status_code, answer.get_json()["error"]) == (401, "invalid_client")


def test_a_form_that_is_too_large_is_not_read(region: Region) -> None:
    answer = region.client.post("/oauth/token", data={"grant_type": "x" * 20_000})
    assert answer.status_code == 413


def test_a_revoked_program_is_out(region: Region) -> None:
    client_id, secret, token = region.token()
    revoke_client(region.gateway.records, client_id, utc_now())
    assert region.studies(token).status_code == 401
    assert region.ask_token(client_id, secret).status_code == 401


def test_a_token_that_was_taken_back_is_out_and_another_programs_cannot_be(region: Region) -> None:
    client_id, secret, token = region.token()
    other_id, other_secret, _ = region.token()
    form = {"token": token}
    refused = region.client.post("/oauth/revoke", data=form, headers=basic(other_id, other_secret))
    assert refused.get_json()["error"] == "unauthorized_client"
    assert region.studies(token).status_code == 200
    asked = region.client.post(
        "/oauth/introspect", data=form, headers=basic(other_id, other_secret)
    )
    assert asked.get_json()["roles"] == ["service@gkb1"]
    mine = basic(client_id, secret)
    assert region.client.post("/oauth/revoke", data=form, headers=mine).status_code == 200
    assert region.studies(token).status_code == 401
    asked = region.client.post("/oauth/introspect", data=form, headers=mine)
    assert asked.get_json() == {"active": False}


def test_keys_are_public_and_old_tokens_outlive_a_new_key(region: Region) -> None:
    _, _, token = region.token()
    kid, private, public = new_key()
    sealed = region.keyring.seal(private)
    save_signing_key(region.gateway.records, kid, sealed, public, utc_now())
    listed = region.client.get("/.well-known/jwks.json").get_json()["keys"]
    assert listed[0]["kid"] == kid
    assert len(listed) >= 2
    assert all("d" not in key for key in listed)
    assert region.studies(token).status_code == 200
    about = region.client.get("/.well-known/oauth-authorization-server").get_json()
    assert about["jwks_uri"].endswith("/.well-known/jwks.json")


def token_of(region: Region, subject: str, *roles: str, scope: str = "images.read") -> str:
    """A token of a person who has let a viewer in."""
    now, records = utc_now(), region.gateway.records
    kid, sealed = load_signer(records, now)
    session_id = ""
    if subject != "nobody":
        secret = start_session(records, subject, "::1", Purpose.TREATMENT, now)
        session_id = load_session(records, secret, now).session_id
    claims = Claims(
        new_id(), subject, "viewer", tuple(map(parse_post, roles)), Purpose.TREATMENT,
        now + timedelta(hours=1), tuple(scope.split()), session_id,
    )  # fmt: skip
    key = read_key(region.keyring.unseal(sealed))
    return make_token(key, kid, region.gateway.settings.base_url, claims, now)


def test_a_token_gives_no_right_that_its_person_has_not_now(region: Region) -> None:
    records = region.gateway.records
    account_id, _ = add_person(region.gateway, region.keyring, "petrov", "doctor@gkb1")
    own = token_of(region, account_id, "doctor@gkb1")
    assert uids(region.studies(own)) == ["2", "1"]
    assert region.studies(token_of(region, account_id, "doctor@zlat")).status_code == 401
    assert region.studies(token_of(region, "nobody", "doctor@gkb1")).status_code == 401
    save_lock(records, account_id, utc_now())
    assert region.studies(own).status_code == 401


def test_a_token_ends_with_the_session_that_it_comes_from(region: Region) -> None:
    account_id, _ = add_person(region.gateway, region.keyring, "leaver", "doctor@gkb1")
    own = token_of(region, account_id, "doctor@gkb1")
    assert region.studies(own).status_code == 200
    end_sessions(region.gateway.records, account_id, utc_now())
    assert region.studies(own).status_code == 401
    _, secret, _ = mine = region.token()
    asked = region.client.post(
        "/oauth/introspect", data={"token": own}, headers=basic(mine[0], secret)
    )
    assert asked.get_json() == {"active": False}


def test_a_token_opens_nothing_but_images_whatever_its_bearer_may_do(region: Region) -> None:
    roles = ("doctor@gkb1", "regional_admin", "auditor")
    account_id, _ = add_person(region.gateway, region.keyring, "all", *roles)
    bearer = {"Authorization": f"Bearer {token_of(region, account_id, *roles)}"}
    for path in ("/", "/account", "/console", "/upload", "/viewer/"):
        assert region.client.get(path, headers=bearer).status_code == 403, path
    assert region.client.post("/dicom-web/studies", headers=bearer).status_code == 403
    writer = token_of(region, account_id, *roles, scope="images.write")
    bearer = {"Authorization": f"Bearer {writer}"}
    assert region.client.get("/dicom-web/studies", headers=bearer).status_code == 403
    assert region.client.post("/dicom-web/studies", headers=bearer).status_code == 400


def test_a_program_may_ask_for_less(region: Region) -> None:
    client_id, secret = add_client(region.gateway.records, "Архив", "gkb1", utc_now())
    told = region.ask_token(client_id, secret, scope="images.write").get_json()
    assert told["scope"] == "images.write"
    assert region.studies(told["access_token"]).status_code == 403
    refused = region.ask_token(client_id, secret, scope="images.write openid")
    assert refused.get_json()["error"] == "invalid_scope"


def test_the_ministry_gets_no_image_by_a_token_either(region: Region) -> None:
    account_id, _ = add_person(region.gateway, region.keyring, "ministry", str(Role.MINISTRY))
    assert region.studies(token_of(region, account_id, "ministry")).status_code == 403


def test_what_was_found_out_is_kept_by_a_digest_only(region: Region) -> None:
    found = identity.Identity(region.gateway)
    _, _, token = region.token()
    found.claims(token)
    assert digest(token) in found._claims
    assert token not in str(vars(found))


class Unread(io.BytesIO):
    """A body of which nobody may ask for a byte."""

    def read(self, *_: object) -> bytes:
        raise AssertionError("the body was read")

    read1 = readline = readinto = read


def test_while_the_database_is_away_nobody_is_let_in_by_guess(
    region: Region, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F13: a store is refused before its body is read, a page and a token as well."""
    client_id, secret, token = region.token()
    assert region.studies(token).status_code == 200

    @contextmanager
    def away(_records: Records) -> Iterator[None]:
        raise RecordsUnavailable("stopped")
        yield

    bearer = {"Authorization": f"Bearer {token}"}
    with monkeypatch.context() as patched:
        patched.setattr(Records, "read", away)
        patched.setattr(Records, "write", away)
        answers = [
            region.studies(token),
            region.client.get("/dicom-web/studies/1.2.3/metadata", headers=bearer),
            region.ask_token(client_id, secret),
            region.client.post(
                "/dicom-web/studies",
                input_stream=Unread(b"--b\r\n" * 1000),
                headers=bearer,
                content_type='multipart/related; type="application/dicom"; boundary=b',
            ),
        ]
    told = [(one.status_code, "Retry-After" in one.headers) for one in answers]
    assert told == [(503, True)] * 4
    assert region.studies(token).status_code == 200
