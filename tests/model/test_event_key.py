import pytest

from gateway.errors import SettingsError
from gateway.model.reading_region import parse_region

SECRETS = {("env", "KEY"): "k" * 32, ("file", "short"): "k" * 15}


def _region(**site):
    head = {"name_ru": "Область", "name_en": "Region"}
    names = {"id": "gkb1", "name_ru": "Первая", "name_en": "First", "url": "http://127.0.0.1:1"}

    def read_secret(kind, reference):
        return SECRETS[kind, reference]

    return parse_region({"region": head, "site": [names | site]}, read_secret)


def test_event_key_comes_from_its_place_and_does_not_show_itself():
    site = _region(event_key_env="KEY").sites[0]
    assert site.event_key == "k" * 32
    assert "kkk" not in repr(site)


def test_site_without_event_key_has_none():
    assert _region().sites[0].event_key == ""


def test_short_event_key_is_a_mistake():
    with pytest.raises(SettingsError, match="event_key is too short; write a key of at least 16"):
        _region(event_key_file="short")


def test_two_places_for_one_key_are_a_mistake():
    with pytest.raises(SettingsError, match="event_key_env stands beside event_key_file"):
        _region(event_key_env="KEY", event_key_file="short")
