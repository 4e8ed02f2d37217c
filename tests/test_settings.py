"""Settings are checked at the start, and a mistake names its variable."""

import pytest

from gateway.errors import SettingsError
from gateway.settings import load_settings


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.0.2.7", "images.example"])  # noqa: S104
def test_any_address_beyond_loopback_is_refused_with_the_reason(address: str) -> None:
    with pytest.raises(SettingsError, match="no login yet"):
        load_settings({"GATEWAY_BIND": address})


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
