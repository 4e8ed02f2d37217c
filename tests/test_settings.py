"""Settings are checked at the start, and a mistake names its variable."""

import pytest

from gateway.errors import SettingsError
from gateway.settings import load_settings

LOGIN = {"GATEWAY_ACCESS": "login", "GATEWAY_PUBLIC_URL": "https://images.example"}
TLS = {"GATEWAY_TLS_CERTIFICATE_FILE": "a.pem", "GATEWAY_TLS_KEY_FILE": "a.key"}
PROXY = {"GATEWAY_TRUSTED_PROXIES": "10.0.0.5, fd00::/64"}


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.0.2.7", "images.example"])  # noqa: S104
def test_an_address_beyond_loopback_is_refused_with_all_that_is_missing(address: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({"GATEWAY_BIND": address})
    assert [
        [word for word in line.split() if word.startswith("GATEWAY_")][1]
        for line in caught.value.mistakes
    ] == ["GATEWAY_ACCESS=login", "GATEWAY_TLS_CERTIFICATE_FILE", "GATEWAY_PUBLIC_URL"]


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        pytest.param({**LOGIN, **TLS}, "", id="logins and own TLS"),
        pytest.param({**LOGIN, **PROXY}, "", id="logins and a declared proxy"),
        pytest.param({**TLS}, "people must sign in", id="TLS alone"),
        pytest.param({**PROXY, **LOGIN, "GATEWAY_ACCESS": "open"}, "must sign in", id="open"),
        pytest.param({**LOGIN}, "must be encrypted", id="logins alone"),
        pytest.param(
            {**LOGIN, **PROXY, "GATEWAY_PUBLIC_URL": "http://images.example"},
            "its name must be known",
            id="an address that browsers would send cookies to in the clear",
        ),
        pytest.param(
            {**LOGIN, "GATEWAY_TRUSTED_PROXIES": "0.0.0.0/0"},
            "TRUSTED_PROXIES: must be",
            id="everybody is no proxy",
        ),
        pytest.param(
            {**LOGIN, "GATEWAY_TLS_CERTIFICATE_FILE": "a.pem"},
            "TLS_KEY_FILE belongs to it",
            id="half of TLS",
        ),
    ],
)
def test_beyond_loopback_it_takes_logins_and_encryption(given: dict, missing: str) -> None:
    given = {"GATEWAY_BIND": "192.0.2.7", **given}
    if not missing:
        assert load_settings(given).bind == "192.0.2.7"
        return
    with pytest.raises(SettingsError, match=missing):
        load_settings(given)


def test_only_a_proxy_of_this_host_is_believed_unless_another_is_declared() -> None:
    assert [str(one) for one in load_settings({}).proxies] == ["127.0.0.0/8", "::1/128"]
    declared = load_settings({**LOGIN, **PROXY, "GATEWAY_BIND": "10.0.0.6"})
    assert [str(one) for one in declared.proxies] == ["10.0.0.5/32", "fd00::/64"]
    assert load_settings({**LOGIN, **TLS, "GATEWAY_BIND": "10.0.0.6"}).proxies == ()


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_is_accepted(address: str) -> None:
    assert load_settings({"GATEWAY_BIND": address}).bind == address


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GATEWAY_PORT", "many"),
        ("GATEWAY_PORT", "70000"),
        ("GATEWAY_PUBLIC_URL", "images.example"),
        ("GATEWAY_WEB_WORKERS", "0"),
        ("GATEWAY_LOG_LEVEL", "LOUD"),
        ("GATEWAY_LOG_FORM", "xml"),
        ("GATEWAY_AUDIT_SYSLOG", "audit.region.example"),
        ("GATEWAY_AUDIT_SYSLOG", "udp://audit:514"),
        ("GATEWAY_PROT", "8080"),
    ],
)
def test_a_mistake_names_its_variable(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({name: value})
    assert [line.split(":")[0] for line in caught.value.mistakes] == [name]


def test_the_public_address_wins_over_the_one_listened_on() -> None:
    settings = load_settings({"GATEWAY_PUBLIC_URL": "https://images.example/", "GATEWAY_PORT": "9"})
    assert settings.base_url == "https://images.example"
    assert load_settings({"GATEWAY_PORT": "9"}).base_url == "http://127.0.0.1:9"
