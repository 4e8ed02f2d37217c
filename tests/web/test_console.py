"""The console's pages and acts: what is bad is refused by name, what is away is told, every act is
recorded, and nothing of a patient stands in an address.
"""

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from gateway.bootstrap import Gateway, build_gateway
from gateway.clock import utc_now
from gateway.errors import RecordsUnavailable
from gateway.model import alarms
from gateway.model.access import Actor, Duty, Reach, Role
from gateway.model.deliveries import Event, State
from gateway.records.alarms import load_alarms, write_alarm
from gateway.records.deliveries import Report
from gateway.records.delivery_desk import Filter, list_deliveries, load_story
from gateway.records.dispatch import claim, save_report
from gateway.records.reconciling import (
    Figures,
    Finding,
    Verdict,
    save_figures,
    save_findings,
)
from gateway.settings import Settings
from gateway.web import create_app
from gateway.web.console.alarms import OF_STUDY, tell
from gateway.web.console.frame import own_origins
from gateway.web.console.words import GROUPS, MARKS, NEXT
from tests.arrived import NOW, plan, room, touch
from tests.databases import open_without_rows
from tests.web.forms import with_token

REGION = """
[region]
name_ru = "Область"
name_en = "Region"
[[site]]
id = "gkb1"
name_ru = "Первая больница"
name_en = "First hospital"
url = "http://127.0.0.1:9"
[[site]]
id = "archive"
role = "archive"
name_ru = "Архив"
name_en = "Archive"
url = "http://127.0.0.1:9"
[[site]]
id = "reserve"
role = "archive"
name_ru = "Запасной архив"
name_en = "Reserve"
url = "http://127.0.0.1:9"
"""
OURS = {"Origin": "http://127.0.0.1:8080"}
UID = "1.2.826.0.1.1"
PAGES = (
    "", "/", "/deliveries", "/destinations", "/sites", "/alarms", "/reconciliation",
    f"/studies/{UID}", "/deliveries/confirm?act=retry", "/arrivals?site=gkb1&state=planned",
)  # fmt: skip


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    """One study on its way; no site answers."""
    (tmp_path / "region.toml").write_text(REGION, encoding="utf-8")
    settings = Settings(
        region=tmp_path / "region.toml", state_dir=tmp_path, redis_url="redis://127.0.0.1:1/0"
    )
    open_without_rows(settings.database).close()
    gateway = build_gateway(settings)
    touch(gateway.records, UID, 3, NOW)
    plan(gateway.records, UID, NOW)
    yield gateway
    gateway.pool.shutdown()
    gateway.records.close()


@pytest.fixture
def client(gateway: Gateway) -> FlaskClient:
    return with_token(create_app(gateway).test_client())


def words(answer) -> str:
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", answer.get_data(as_text=True))).split())


def delivery_of(gateway: Gateway, uid: str = UID, destination: str = "archive"):
    (found,) = list_deliveries(gateway.records, Filter(study_uid=uid, destination=destination))
    return found


def block(gateway: Gateway) -> None:
    """The archive refuses our password."""
    (one,) = claim(gateway.records, room(), utc_now(), None)
    archive = gateway.region.destination("archive")
    report = Report(Event.DENIED, "denied", {"1.2.3.4": ("failed", "denied")})
    save_report(gateway.records, one.delivery_id, one.fence, report, utc_now(), "w", archive)


@pytest.mark.parametrize("path", PAGES)
def test_a_page_loads_nothing_from_elsewhere_and_runs_no_inline_script(client, path):
    answer = client.get("/console" + path, follow_redirects=True)
    page = answer.get_data(as_text=True)
    assert answer.status_code == 200
    assert re.findall(r"style=|onclick|<script(?! type=\"module\" src=\"/)", page) == []
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert answer.headers["Referrer-Policy"] == "same-origin"
    assert answer.headers["Cache-Control"] == "private, no-store"


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/deliveries?state=lost", "state"),
        ("/deliveries?lane=slow", "lane"),
        ("/deliveries?destination=<b>", "destination"),
        ("/deliveries?site=../x", "hospital"),
        ("/deliveries?study=Иванов", "study (UID)"),
        ("/deliveries?after=" + "0" * 32, "page"),
        ("/deliveries?after=%00", "page"),
        ("/deliveries?done=all", "what was done"),
        ("/deliveries?done=retry&count=-1", "how many"),
        ("/deliveries/confirm", "act"),
        ("/deliveries/confirm?act=delete", "act"),
        ("/arrivals?site=gkb1", "state"),
        ("/arrivals?site=gkb1&state=seen&after=x", "page"),
        ("/studies/..%5cetc", "study (UID)"),
        (f"/studies/{UID}/why", "hospital"),
    ],
)
def test_a_bad_address_is_refused_and_the_field_named(client, path, field):
    answer = client.get("/console" + path)
    assert answer.status_code == 400
    assert f"· {field} :" in words(answer)
    assert "<b>" not in answer.get_data(as_text=True).partition("<main")[2].replace("<bdi>", "")


@pytest.mark.parametrize(
    "path",
    ["/studies/9.9", "/studies/9.9/why?site=gkb1", f"/studies/{UID}/why?site=zlat",
     f"/studies/{UID}/why?site=archive", "/arrivals?site=zlat&state=seen"],
)  # fmt: skip
def test_what_the_gateway_never_saw_is_404(client, path):
    answer = client.get("/console" + path)
    assert answer.status_code == 404
    assert "Такого здесь нет" in words(answer)


@pytest.mark.parametrize(
    "path",
    ["/destinations/nowhere/test", "/destinations/nowhere/wake", "/deliveries/none/act",
     "/studies/9.9/judge"],
)  # fmt: skip
def test_an_act_on_what_is_not_there_is_404(client, path):
    data = {"act": "retry", "site": "gkb1"}
    assert client.post("/console" + path, data=data, headers=OURS).status_code == 404


@pytest.mark.parametrize("origin", [None, "null", "http://evil.example", "http://127.0.0.1:9090"])
@pytest.mark.parametrize(
    "path", ["/deliveries/act", "/destinations/archive/wake", "/alarms/close", "/nothing/at/all"]
)
def test_a_form_of_another_page_changes_nothing(client, gateway, origin, path):
    headers = {"Origin": origin} if origin else {}
    data = {"act": "exclude", "reason": "чужая страница", "subject": UID}
    answer = client.post("/console" + path, data=data, headers=headers)
    assert answer.status_code == (404 if "nothing" in path else 403)
    assert delivery_of(gateway).state == State.PLANNED


def test_our_own_origin_is_the_public_address():
    assert own_origins("https://images.region.example") == {"https://images.region.example"}
    assert own_origins("http://localhost:8080") == {
        "http://127.0.0.1:8080", "http://localhost:8080", "http://[::1]:8080",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({}, "act"),
        ({"act": "exclude"}, "reason"),
        ({"act": "exclude", "reason": "  "}, "reason"),
        ({"act": "exclude", "reason": "x" * 201}, "reason"),
        ({"act": "exclude", "reason": "да\x00"}, "reason"),
        ({"act": "exclude", "reason": "rerouted: reserve"}, "reason"),
        ({"act": "reroute"}, "where to"),
        ({"act": "reroute", "to": "nowhere"}, "where to"),
        ({"act": "retry", "state": "x"}, "state"),
    ],
)
def test_a_bad_form_changes_nothing_and_names_the_field(client, gateway, data, field):
    answer = client.post("/console/deliveries/act", data=data, headers=OURS)
    assert answer.status_code == 400
    assert f"· {field} :" in words(answer)
    assert delivery_of(gateway).state == State.PLANNED


def test_a_form_that_is_too_long_is_413(client):
    data = {"act": "exclude", "reason": "x" * 100_000}
    assert client.post("/console/deliveries/act", data=data, headers=OURS).status_code == 413


def test_one_delivery_is_excluded_with_a_reason_and_retried(client, gateway):
    one = delivery_of(gateway)
    path = f"/console/deliveries/{one.delivery_id}/act"
    data = {"act": "exclude", "reason": "проверка аппарата", "from": "study", "study": UID}
    answer = client.post(path, data=data, headers=OURS, follow_redirects=True)
    assert "Исключены: 1" in words(answer)
    assert "проверка аппарата" in words(answer)
    assert delivery_of(gateway).state == State.EXCLUDED
    answer = client.post(path, data={"act": "retry"}, headers=OURS, follow_redirects=True)
    assert "Повторяются: 1" in words(answer)
    history = load_story(gateway.records, UID).deliveries[0].history
    assert [(line.event, line.by) for line in history[1:]] == [
        ("excluded", "console"), ("retried", "console"),
    ]  # fmt: skip


def test_all_of_a_filter_are_counted_and_sent_elsewhere(client, gateway):
    for n in range(3):
        touch(gateway.records, f"1.3.{n}", 1, NOW)
        plan(gateway.records, f"1.3.{n}", NOW, lane="bulk")
    asked = client.get("/console/deliveries/confirm?act=reroute&lane=bulk")
    assert "Доставок по этому фильтру: 3" in words(asked)
    data = {"act": "reroute", "to": "reserve", "lane": "bulk"}
    answer = client.post("/console/deliveries/act", data=data, headers=OURS)
    assert answer.status_code == 303
    assert answer.headers["Location"] == (
        "/console/deliveries?done=reroute&count=3&state=open&lane=bulk"
    )
    moved = list_deliveries(gateway.records, Filter(destination="reserve"))
    assert sorted(one.study_uid for one in moved) == ["1.3.0", "1.3.1", "1.3.2"]
    assert delivery_of(gateway).state == State.PLANNED


def test_an_act_that_means_none_of_a_filter_changes_nothing(client, gateway):
    data = {"act": "retry", "state": "delivered"}
    answer = client.post("/console/deliveries/act", data=data, headers=OURS)
    assert "count=0" in answer.headers["Location"]
    assert len(load_story(gateway.records, UID).deliveries[0].history) == 1


def test_the_queue_comes_in_pages_that_hold_each_study_once(client, gateway):
    for n in range(70):
        touch(gateway.records, f"1.4.{n}", 1, NOW)
        plan(gateway.records, f"1.4.{n}", NOW)
    first = client.get("/console/deliveries").get_data(as_text=True)
    (address,) = re.findall(r'rel="next" href="([^"]*)"', first)
    second = client.get(unescape(address)).get_data(as_text=True)
    seen = re.findall(r'<tr id="delivery-(\w+)"', first + second)
    assert (len(seen), len(set(seen))) == (71, 71)
    assert 'rel="next"' not in second


def test_a_blocked_destination_shows_why_and_is_tried_again(client, gateway):
    block(gateway)
    page = words(client.get("/console/destinations"))
    assert "отказывает, ждём исправления" in page
    assert "приёмник не принял имя, пароль или сертификат" in page
    assert "1.2.3.4" in words(client.get(f"/console/studies/{UID}"))
    client.post("/console/destinations/archive/wake", headers=OURS)
    assert delivery_of(gateway).state == State.PLANNED
    assert "отказывает" not in words(client.get("/console/destinations"))


def test_a_connection_is_tested_five_times_a_minute_and_no_more(client):
    path = "/console/destinations/archive/test"
    answers = [client.post(path, headers=OURS) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    assert "▲ связь" in words(answers[0])
    assert 0 < int(answers[5].headers["Retry-After"]) <= 60


@pytest.mark.parametrize(
    "place", ["169.254.169.254", "localhost:6379", "http:%2f%2f10.0.0.1", "gkb1", "to:archive"]
)
def test_nobody_tests_a_connection_to_what_the_operator_did_not_name(client, place):
    """H33: no address comes from the page, so that the button scans nothing."""
    data = {"url": "http://127.0.0.1:6379", "host": "127.0.0.1", "port": "22"}
    path = f"/console/destinations/{place}/test"
    assert client.post(path, data=data, headers=OURS).status_code == 404
    told = client.post("/console/destinations/archive/test", data=data, headers=OURS)
    assert told.status_code == 200
    assert "6379" not in words(told)


def test_a_study_is_judged_again_by_hand(client, gateway):
    touch(gateway.records, "1.5", 1, NOW)
    data = {"site": "gkb1"}
    answer = client.post("/console/studies/1.5/judge", data=data, headers=OURS)
    assert answer.headers["Location"] == "/console/studies/1.5?done=judge&count=0"
    bad = client.post("/console/studies/1.5/judge", data={"site": "x"}, headers=OURS)
    assert bad.status_code == 404


def compare(gateway: Gateway) -> None:
    """Last night's comparison: the study's images are not all at the archive."""
    now = utc_now()
    found = Finding("gkb1", "archive", UID, Verdict.PARTIAL, 2, "missing", now)
    save_findings(gateway.records, [found])
    save_figures(gateway.records, Figures("gkb1", "archive", now, now, complete=99, partial=1))


def deliver(gateway: Gateway) -> None:
    """The study is proven to be at the archive."""
    archive = gateway.region.destination("archive")
    for event in (Event.SENT, Event.PROVEN):
        (one,) = claim(gateway.records, room(), utc_now(), None)
        report = Report(event)
        save_report(gateway.records, one.delivery_id, one.fence, report, utc_now(), "w", archive)
    assert delivery_of(gateway).state == State.DELIVERED


def test_what_the_archive_has_lost_is_seen_and_sent_again_by_one_button(client, gateway):
    assert "Ни одной сверки ещё не было" in words(client.get("/console/reconciliation"))
    deliver(gateway)
    compare(gateway)
    told = words(client.get("/console/reconciliation"))
    assert "99,0 % исследований целы у получателя: 99 из 100" in told
    assert "Дослать недостающее: 1" in told
    path = "/console/reconciliation/gkb1/archive/mend"
    answer = client.post(path, headers=OURS, follow_redirects=True)
    assert "Отправляются снова: 1" in words(answer)
    assert delivery_of(gateway).state == State.PLANNED
    nowhere = client.post("/console/reconciliation/gkb1/reserve/mend", headers=OURS)
    assert nowhere.status_code == 404


def test_a_comparison_of_another_hospital_does_not_exist(as_actor, gateway):
    compare(gateway)
    stranger = as_actor(of_site(Role.HOSPITAL_IT, "reserve"))
    assert UID not in stranger.get("/console/reconciliation").text
    path = "/console/reconciliation/gkb1/archive/mend"
    assert stranger.post(path, headers=OURS).status_code == 404


def raise_alarm(gateway: Gateway, kind: str, subject: str, **facts: object) -> None:
    with gateway.records.write() as connection:
        write_alarm(connection, kind, subject, facts, NOW)


def test_an_alarm_that_a_word_closes_is_closed_with_a_reason(client, gateway):
    raise_alarm(gateway, alarms.REFUSED_CONTENT, UID, instances=2)
    raise_alarm(gateway, alarms.DELIVERIES_PARKED, "archive", deliveries=4)
    page = client.get("/console/alarms").get_data(as_text=True)
    assert page.count("Закрыть тревогу") == 1
    data = {"subject": UID, "reason": "отправитель исправил"}
    client.post("/console/alarms/close", data=data, headers=OURS)
    facts = [one.facts for one in load_alarms(gateway.records, cleared=True) if one.cleared_at]
    assert facts == [
        {"instances": 2, "closed_by": "console", "closed_because": "отправитель исправил"}
    ]
    again = client.post("/console/alarms/close", data=data, headers=OURS)
    assert again.status_code == 404
    nothing = client.post("/console/alarms/close", data={"subject": "archive"}, headers=OURS)
    assert nothing.status_code == 400


@pytest.mark.parametrize("kind", sorted(alarms.MEANING))
def test_every_alarm_says_what_to_do_and_leads_where_it_can_be_seen(client, gateway, kind):
    of_study = kind in OF_STUDY | {alarms.TORN_LINK}
    raise_alarm(gateway, kind, UID if of_study else "gkb1", reason="denied", sites=["gkb1"])
    assert NEXT[kind].ru in words(client.get("/console/"))
    (alarm,) = load_alarms(gateway.records)
    with create_app(gateway).test_request_context():
        link = tell(alarm).link
    assert kind == alarms.TORN_LINK or client.get(link).status_code == 200


def test_every_state_belongs_to_one_group():
    assert set(MARKS) == set(State)
    grouped = [s for name, group in GROUPS.items() if group.mark for s in group.states]
    assert len(grouped) == len(set(grouped))


@pytest.mark.parametrize("path", PAGES)
def test_a_database_that_is_away_is_told_with_what_to_do(client, gateway, monkeypatch, path):
    def away() -> None:
        raise RecordsUnavailable("no such server")

    monkeypatch.setattr(gateway.records, "read", away)
    answer = client.get("/console" + path, follow_redirects=True)
    if path == "/sites":
        assert answer.status_code == 200, "it needs no row"
        return
    assert answer.status_code == 503
    assert "База данных не отвечает" in words(answer)
    assert "GATEWAY_DATABASE_URL" in words(answer)


def test_words_of_people_are_shown_as_words(client, gateway):
    hostile = "<script>alert(1)</script>\u202eabc"
    one = delivery_of(gateway)
    data = {"act": "exclude", "reason": "<script>alert(1)</script>"}
    client.post(f"/console/deliveries/{one.delivery_id}/act", data=data, headers=OURS)
    page = client.get(f"/console/studies/{UID}").get_data(as_text=True)
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
    data = {"act": "exclude", "reason": hostile}
    answer = client.post(f"/console/deliveries/{one.delivery_id}/act", data=data, headers=OURS)
    assert answer.status_code == 400, "a letter that turns the line around"


def of_site(role: Role, site_id: str) -> Actor:
    return Actor("a1", (Duty(role, Reach(frozenset({site_id}))),), kind="session")


@pytest.fixture
def as_actor(gateway: Gateway):
    """A client for whoever it is told to be."""

    def make(actor: Actor) -> FlaskClient:
        client = create_app(gateway, lambda: actor).test_client()
        runs_it = actor.duties[0].role in (Role.HOSPITAL_IT, Role.REGIONAL_ADMIN)
        return with_token(client) if runs_it else client

    return make


def test_what_another_hospital_has_does_not_exist(as_actor, gateway):
    stranger = as_actor(of_site(Role.HOSPITAL_IT, "reserve"))
    one = delivery_of(gateway)
    raise_alarm(gateway, alarms.SOURCE_LOST, "gkb1", deliveries=1)
    assert stranger.get(f"/console/studies/{UID}").status_code == 404
    assert stranger.get("/console/arrivals?site=gkb1&state=planned").status_code == 404
    data = {"act": "exclude", "reason": "нет", "subject": "gkb1", "site": "gkb1"}
    for path in (f"/deliveries/{one.delivery_id}/act", f"/studies/{UID}/judge", "/alarms/close"):
        assert stranger.post("/console" + path, data=data, headers=OURS).status_code == 404
    assert (
        "count=0"
        in (stranger.post("/console/deliveries/act", data=data, headers=OURS).headers["Location"])
    )
    pages = [stranger.get("/console" + p).get_data(as_text=True) for p in ("/", "/deliveries")]
    assert [page.count(UID) for page in pages] == [0, 0]
    assert 'id="arrived-gkb1"' not in pages[0]
    assert "alarm-source_lost" not in pages[0]
    assert 'id="site-gkb1"' not in stranger.get("/console/sites").get_data(as_text=True)
    assert delivery_of(gateway).state == State.PLANNED


def test_an_act_is_recorded_with_the_account_that_did_it(as_actor, gateway):
    own = as_actor(of_site(Role.HOSPITAL_IT, "gkb1"))
    assert UID in own.get("/console/deliveries").get_data(as_text=True)
    data = {"act": "exclude", "reason": "дубль"}
    own.post("/console/deliveries/act", data=data, headers=OURS)
    history = load_story(gateway.records, UID).deliveries[0].history
    assert history[-1].by == "console:a1"


@pytest.mark.parametrize("role", [Role.DOCTOR, Role.MINISTRY, Role.AUDITOR])
def test_who_does_not_run_a_network_is_told_so(as_actor, role):
    answer = as_actor(of_site(role, "gkb1")).get("/console/")
    assert answer.status_code == 403
    assert "Вам это не разрешено" in words(answer)


@pytest.fixture
def forms(gateway: Gateway) -> list[str]:
    """Addresses of every form of the console."""
    rules = [rule for rule in create_app(gateway).url_map.iter_rules() if "POST" in rule.methods]
    found = [rule.rule for rule in rules if rule.rule.startswith("/console")]
    assert len(found) >= 12
    return [re.sub(r"<[^>]*>", "x", path) for path in found]


def test_every_form_of_the_console_is_judged_by_its_origin(client, forms):
    assert [client.post(path).status_code for path in forms] == [403] * len(forms)


def test_every_form_of_the_console_must_bring_its_pages_token_back(gateway, client, forms):
    stranger = create_app(gateway).test_client()
    token = {"csrf_token": client.environ_base["HTTP_X_CSRFTOKEN"]}
    for data in ({}, token, {"csrf_token": "guessed"}):
        answers = [stranger.post(path, data=data, headers=OURS) for path in forms]
        assert [answer.status_code for answer in answers] == [403] * len(forms)
    assert "Страница слишком стара" in words(answers[0])
    assert "set-cookie" not in answers[0].headers


@pytest.mark.parametrize("path", [*PAGES, "/rules/gkb1", "/rules/gkb1/versions", "/rules/ministry"])
def test_every_form_of_a_page_holds_its_token(client, path):
    page = client.get("/console" + path, follow_redirects=True).text
    posts = re.findall(r'<form method="post".*?</form>', page, re.DOTALL)
    assert [form for form in posts if 'name="csrf_token" value="' not in form] == []
    assert len(posts) == len(re.findall(r'method="post"', page, re.IGNORECASE))


def test_the_cookie_of_the_token_is_kept_from_scripts_and_from_other_pages(gateway):
    answer = create_app(gateway).test_client().get("/console/destinations")
    (cookie,) = answer.headers.getlist("Set-Cookie")
    assert cookie.startswith("gateway-form=")
    assert {"HttpOnly", "Path=/", "SameSite=Strict"} <= set(cookie.split("; "))
