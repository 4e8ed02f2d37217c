"""People are told of alarms and studies: once, through real servers, and never of a patient."""

from dataclasses import replace
from datetime import timedelta

import orjson
import pytest

from gateway.clock import utc_now
from gateway.model.address_lists import AddressList
from gateway.model.events import verify_signature
from gateway.model.sites import Region, Secret, Site
from gateway.orthanc.wire import Wire
from gateway.records.alarms import write_alarm, write_clearance
from gateway.records.arrivals import Arrived
from gateway.records.notices import forget_notices, load_unsent
from gateway.records.planning import Decided, save_decided
from gateway.routing.tell import tell
from gateway.settings import Settings
from tests.arrived import SITE, arrival_of, touch
from tests.fakes import a_site
from tests.mailserver import Post, run_hook, run_mail_server

KEY = Secret("a key of some length")
DUTY = AddressList("duty", ("duty@region.example",), alarms=True)
SILENT = ("destination_silent", "archive")
SECRET = "Канарейкина"


def a_region(*lists):
    return Region("Область", "The region", SITE, (a_site(SITE),), address_lists=lists)


@pytest.fixture
def post():
    return Post()


@pytest.fixture
def wire():
    wire = Wire()
    yield wire
    wire.close()


@pytest.fixture
def settings(post):
    with run_mail_server(post) as port:
        yield Settings(
            smtp_host="127.0.0.1", smtp_port=port, smtp_security="none",
            mail_from="gateway@region.example", public_url="https://images.region.example",
        )  # fmt: skip


@pytest.fixture
def round_of(records, settings, wire):
    """round_of(region, seconds) -> messages taken in a round so many seconds from now."""

    def go(region, seconds=0, used=settings):
        return tell(records, region, used, wire, utc_now() + timedelta(seconds=seconds))

    return go


def raise_alarm(records, kind=SILENT[0], subject=SILENT[1], **facts):
    with records.write() as connection:
        write_alarm(connection, kind, subject, facts, utc_now())


def clear(records, kind=SILENT[0], subject=SILENT[1]):
    with records.write() as connection:
        write_clearance(connection, kind, [subject], utc_now())


def test_one_mail_when_a_cause_opens_and_one_when_it_clears(records, post, round_of):
    region = a_region(DUTY)
    raise_alarm(records, reason="timeout", failures=5, patient=SECRET)
    raise_alarm(records, reason="timeout", failures=6)
    assert [round_of(region), round_of(region, 60), round_of(region, 120)] == [1, 0, 0]
    clear(records)
    assert [round_of(region, 180), round_of(region, 240)] == [1, 0]
    opened, cleared = post.mails
    assert opened["To"] == "duty@region.example"
    assert opened["Subject"].startswith("[Область] ▲ archive: получатель не принимает")
    text = opened.get_content()
    assert text.index("тревога: archive") < text.index("alarm: archive"), "Russian first"
    assert "неудач подряд: 6" in text
    assert "too slow; tried again" in text
    assert "https://images.region.example/console/alarms" in text
    assert SECRET not in str(opened) + text
    assert "снята: archive" in cleared.get_content()
    assert opened["Message-ID"] != cleared["Message-ID"]


def test_many_at_once_are_one_mail(records, post, round_of):
    for n in range(60):
        raise_alarm(records, "site_silent", f"site-{n}")
    assert round_of(a_region(DUTY)) == 1
    (mail,) = post.mails
    assert mail["Subject"] == "[Область] ▲ тревог 60 · alarms 60"
    assert "и ещё 20: см. https://images.region.example/console" in mail.get_content()


def test_after_a_mail_the_next_ones_gather(records, post, round_of):
    region = a_region(DUTY)
    raise_alarm(records)
    assert round_of(region) == 1
    raise_alarm(records, "site_silent", "north")
    clear(records)
    assert round_of(region, 10) == 0
    assert round_of(region, 40) == 1
    assert post.mails[1]["Subject"] == "[Область] ▲ тревог 1 · alarms 1; ● снято 1 · cleared 1"


def test_a_mail_server_that_is_away_loses_nothing_and_is_not_flooded(records, post, round_of,
                                                                     settings):  # fmt: skip
    region = a_region(DUTY)
    away = replace(settings, smtp_port=9)
    raise_alarm(records)
    assert round_of(region, 0, away) == 0
    for n in range(20):
        raise_alarm(records, "site_silent", f"site-{n}")
        round_of(region, 1, away)
    assert load_unsent(records)["duty", "mail"][0] == 21
    assert [round_of(region, 3600), round_of(region, 3700)] == [1, 1]
    assert len(post.mails) == 2
    assert load_unsent(records) == {}


def test_a_try_of_unknown_end_is_repeated_under_the_same_message_id(records, post, round_of):
    region = a_region(DUTY)
    raise_alarm(records)
    post.answer = "451 later"
    assert round_of(region) == 0
    post.answer = "250 OK"
    raise_alarm(records, "site_silent", "north")
    round_of(region, 600)
    (first,) = post.mails
    assert first["Subject"].startswith("[Область] ▲ archive"), "what came later waits its turn"


def test_one_wrong_address_does_not_keep_it_from_the_others(records, post, round_of):
    region = a_region(replace(DUTY, mail=("gone@region.example", "duty@region.example")))
    post.refused = ("gone@region.example",)
    raise_alarm(records)
    assert [round_of(region), round_of(region, 600)] == [1, 0]
    assert len(post.mails) == 1


def test_a_webhook_gets_a_signed_message_once(records, round_of):
    with run_hook() as hook:
        site = Site("notify:bot", "bot", "bot", hook.url, "webhook", dicomweb_root="", guarded=True)
        region = a_region(AddressList("bot", webhook=site, key=KEY, alarms=True))
        raise_alarm(records, failures=5, patient=SECRET)
        hook.status = 307
        assert round_of(region) == 0, "a redirect is not followed"
        hook.status = 204
        assert [round_of(region, 60), round_of(region, 600)] == [1, 0]
        first, second = hook.got
    headers, body = second
    verify_signature(
        KEY, headers["X-Gateway-Timestamp"], body, headers["X-Gateway-Signature"], utc_now()
    )
    assert first[0]["X-Gateway-Message"] == headers["X-Gateway-Message"]
    told = orjson.loads(body)
    (notice,) = told["notices"]
    assert (notice["event"], notice["kind"], notice["subject"]) == ("opened", *SILENT)
    assert notice["facts"] == {"failures": 5}
    assert SECRET not in body.decode()


def test_a_rule_names_a_list_and_a_study_is_told_once(records, post, round_of):
    region = a_region(AddressList("doctors", ("doctor@region.example",)))
    touch(records, "1.2.1", 1, utc_now())
    for images in (1, 2):
        seen = touch(records, "1.2.1", images, utc_now())
        decided = Decided(Arrived.HELD, "look", notices=(("doctors", "gkb1/trauma"),))
        save_decided(records, seen, decided, utc_now(), None)
        round_of(region, 60 * images)
    (mail,) = post.mails
    text = mail.get_content()
    assert "исследование из gkb1, правило gkb1/trauma" in text
    assert "https://images.region.example/console/studies/1.2.1" in text
    assert arrival_of(records, "1.2.1").instance_count == 2


def test_a_list_that_is_not_there_keeps_what_it_would_be_told(records, post, round_of):
    touch(records, "1.2.1", 1, utc_now())
    decided = Decided(Arrived.HELD, "look", notices=(("doctors", "gkb1/trauma"),))
    save_decided(records, arrival_of(records, "1.2.1"), decided, utc_now(), None)
    assert round_of(a_region()) == 0
    assert round_of(a_region(AddressList("doctors", ("doctor@region.example",)))) == 1


def test_alarms_go_only_to_lists_that_ask_for_them_and_old_ones_are_forgotten(
    records, post, round_of
):
    raise_alarm(records)
    assert round_of(a_region(replace(DUTY, alarms=False))) == 0
    raise_alarm(records, "site_silent", "north")
    assert round_of(a_region(DUTY)) == 1
    forget_notices(records, utc_now() + timedelta(days=91))
    assert post.mails[0]["Subject"].startswith("[Область] ▲ north")
