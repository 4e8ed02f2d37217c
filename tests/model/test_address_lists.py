"""`[[notify]]`: who is told, and the operator's word on where a webhook may lie."""

import pytest

from gateway.errors import SettingsError
from gateway.model.address_lists import with_address_lists
from gateway.model.sites import Region
from tests.fakes import a_site

REGION = Region("Область", "Region", "gkb1", (a_site("gkb1"),))
HOOK = {
    "id": "bot", "webhook": "https://chat.region.example/hook", "webhook_key_file": "k",
}  # fmt: skip
MAIL = {"id": "duty", "mail": ["duty@region.example"], "alarms": True}


def read(*tables, egress=("chat.region.example",)):
    document = {"region": {"egress": list(egress)}, "notify": list(tables)}
    return with_address_lists(REGION, document, lambda _kind, _name: "a key of some length")


def test_people_and_programs_are_read_as_they_stand():
    region = read(MAIL, HOOK)
    duty, bot = region.address_lists
    assert (duty.mail, duty.alarms, duty.webhook) == (("duty@region.example",), True, None)
    assert (bot.webhook.url, bot.webhook.guarded) == ("https://chat.region.example/hook", True)
    assert region.address_list("bot") is bot
    assert region.address_list("gone") is None


@pytest.mark.parametrize(
    ("table", "mistake"),
    [
        ({"id": "duty"}, "reaches nobody"),
        ({"id": "Duty", "mail": ["a@b.example"]}, "letters that an id may not have"),
        (MAIL | {"mail": ["a@b.example\r\nBcc: x@y.example"]}, "no list of addresses"),
        (MAIL | {"mail": "a@b.example"}, "no list of addresses"),
        (MAIL | {"webhok": ""}, "no known key"),
        (HOOK | {"webhook": "http://169.254.169.254/"}, "lies outside"),
        (HOOK | {"webhook": "file:///etc/passwd"}, "no http(s) address"),
        ({"id": "bot", "webhook": "https://chat.region.example/hook"}, "missing or too short"),
    ],
)
def test_what_is_wrong_is_named(table, mistake):
    with pytest.raises(SettingsError) as refused:
        read(table)
    assert mistake in str(refused.value)


def test_two_lists_of_one_name_are_refused():
    with pytest.raises(SettingsError, match="used twice"):
        read(MAIL, MAIL)
