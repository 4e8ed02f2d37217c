"""The issuer's keys: asked for rarely, by one at a time, and kept for a day while it is away."""

import threading
from pathlib import Path

import pytest
from joserfc.jwk import ECKey

from gateway import openid
from gateway.errors import IssuerUnavailable, SettingsError
from gateway.settings import Settings, load_settings

ISSUER = "https://id.example"
ABOUT = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/auth",
    "token_endpoint": f"{ISSUER}/token",
    "jwks_uri": f"{ISSUER}/jwks",
}


class Asked(openid.Issuer):
    """An issuer that counts what is asked of it; None is silence."""

    def __init__(self) -> None:
        super().__init__(Settings(oidc_issuer=ISSUER, oidc_client_id="gateway"), "secret")
        self.kids: list[str] | None = ["first"]
        self.about: dict = ABOUT
        self.count = 0

    def _ask(self, method, url, **what):
        if self.kids is None:
            raise IssuerUnavailable("away")
        if not url.endswith("/jwks"):
            return self.about
        self.count += 1
        return {"keys": [KEY.as_dict(private=False) | {"kid": kid} for kid in self.kids]}


KEY = ECKey.generate_key("P-256")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch):
    now = [1000.0]
    monkeypatch.setattr(openid, "monotonic_s", lambda: now[0])
    return now


def test_keys_are_asked_for_once_and_again_after_ten_minutes(clock):
    issuer = Asked()
    assert [issuer.key("first") is not None for _ in range(5)] == [True] * 5
    assert issuer.count == 1
    clock[0] += openid.FRESH_S + 1
    assert issuer.key("first") is not None
    assert issuer.count == 2


def test_an_unknown_key_is_asked_for_once_a_minute(clock):
    issuer = Asked()
    issuer.key("first")
    assert [issuer.key(f"x{n}") for n in range(100)] == [None] * 100
    assert issuer.count == 1  # they were read a moment ago
    clock[0] += openid.ASK_AGAIN_S
    issuer.kids = ["second"]
    assert issuer.key("second") is not None
    assert issuer.key("first") is None
    assert [issuer.key(f"x{n}") for n in range(100)] == [None] * 100
    assert issuer.count == 2


def test_many_that_bring_a_new_key_at_once_ask_once(clock):
    issuer = Asked()
    issuer.key("first")
    clock[0] += openid.ASK_AGAIN_S
    issuer.kids = ["first", "second"]
    start, found = threading.Barrier(20), []

    def bring() -> None:
        start.wait()
        found.append(issuer.key("second"))

    threads = [threading.Thread(target=bring) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [key is not None for key in found] == [True] * 20
    assert issuer.count == 2


def test_known_keys_last_for_a_day_of_silence(clock):
    issuer = Asked()
    issuer.key("first")
    issuer.kids = None
    clock[0] += openid.STALE_S - 1
    assert issuer.key("first") is not None
    clock[0] += 2
    with pytest.raises(IssuerUnavailable):
        issuer.key("first")
    issuer.kids = ["first"]
    clock[0] += openid.AFTER_FAULT_S
    assert issuer.key("first") is not None


@pytest.mark.parametrize(
    "about",
    [
        ABOUT | {"issuer": ISSUER + "/"},
        ABOUT | {"token_endpoint": "http://id.example/token"},
        ABOUT | {"jwks_uri": "file:///etc/passwd"},
        ABOUT | {"authorization_endpoint": None},
        {},
        [],
    ],
    ids=["another issuer", "not over TLS", "a file", "no door", "nothing", "a list"],
)
def test_a_discovery_that_is_not_right_is_none(clock, about):
    issuer = Asked()
    issuer.about = about
    with pytest.raises(IssuerUnavailable):
        issuer.doors()


GIVEN = {
    "GATEWAY_ACCESS": "login", "GATEWAY_OIDC_ISSUER": ISSUER, "GATEWAY_OIDC_CLIENT_ID": "gateway",
}  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    [
        {"GATEWAY_OIDC_ISSUER": "http://id.example"},
        {"GATEWAY_OIDC_ISSUER": ""},
        {"GATEWAY_OIDC_CLIENT_ID": ""},
        {"GATEWAY_OIDC_CLIENT_SECRET_FILE": "/nowhere/secret"},
        {"GATEWAY_OIDC_AUDIENCE": "gateway"},
        {"GATEWAY_ACCESS": "open"},
    ],
)
def test_half_an_issuer_is_refused_at_the_start(tmp_path: Path, changes: dict[str, str]):
    secret = tmp_path / "secret"
    secret.write_text("x")
    given = GIVEN | {"GATEWAY_OIDC_CLIENT_SECRET_FILE": str(secret)}
    assert load_settings(given).oidc_issuer == ISSUER
    with pytest.raises(SettingsError, match="GATEWAY_OIDC"):
        load_settings(given | changes)
