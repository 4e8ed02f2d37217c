"""Who may do what in the console, by people who have really signed in."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from html import unescape
from zoneinfo import ZoneInfo

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from gateway.clock import utc_now
from gateway.model.alarms import COPIES_DIFFER, REFUSED_CONTENT
from gateway.model.routing.document import parse_rule_set
from gateway.records.alarms import close_alarms, load_alarms, write_alarm
from gateway.records.replays import order_replay
from gateway.records.rules import active_version, load_activations, load_version, save_version
from gateway.web import create_app
from tests.arrived import NOW, plan, touch
from tests.web.forms import form_to, with_token
from tests.web.rows import ROWS, U
from tests.web.signing_in import login_gateway
from tests.web.test_sign_in import Clinic

ORIGIN = "http://127.0.0.1:8080"
CHEST, SMITH, DOE = f"{U}.1", f"{U}.2", f"{U}.3"
RULES = """\
site: {owner}
rules:
- id: ct
  name: КТ в архив
  state: active
  when: always
  then:
  - do: send
    target: archive
"""
LAST = "otherwise:\n- do: hold\n  reason: нет правила\n"
DROP = """\
- id: phantom
  name: Фантомы не нужны
  state: active
  when: always
  then:
  - do: drop
    reason: фантом
"""
PEOPLE = {
    "it": "hospital_it@gkb1",
    "other-it": "hospital_it@zlat",
    "admin": "regional_admin",
    "second-admin": "regional_admin",
    "doctor": "doctor@gkb1",
    "auditor": "auditor",
    "ministry": "ministry",
}
RUNNING_IT = ("it", "other-it", "admin", "second-admin")


@dataclass
class Desk(Clinic):
    """A region and the browsers of its people, each signed in."""

    browsers: dict[str, FlaskClient]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with login_gateway(tmp_path_factory.mktemp("roles"), ROWS) as (gateway, keyring):
        clinic = Desk(gateway, keyring, create_app(gateway), {})
        for login, post in PEOPLE.items():
            browser = clinic.sign_in(login, clinic.person(login, post))
            browser.environ_base["HTTP_ORIGIN"] = ORIGIN
            clinic.browsers[login] = with_token(browser) if login in RUNNING_IT else browser
        for owner in ("ministry", "gkb1", "zlat"):
            keep(clinic, owner)
        touch(gateway.records, CHEST, 2, NOW)
        plan(gateway.records, CHEST, NOW)
        yield clinic


def keep(desk: Desk, owner: str, more: str = "", based_on: int = 0) -> int:
    last = "" if owner == "ministry" else LAST
    rule_set, mistakes = parse_rule_set(RULES.format(owner=owner) + more + last)
    assert rule_set is not None, mistakes
    return save_version(desk.gateway.records, rule_set, "tests", "ещё", based_on, utc_now())


def next_version(desk: Desk, owner: str, more: str = "") -> int:
    newest = load_version(desk.gateway.records, owner)
    number = newest.number if newest else 0
    return keep(desk, owner, more.replace("phantom", f"phantom-{number}"), number)


def words(answer: TestResponse) -> str:
    text = re.sub(r"</?(bdi|span|strong)[^>]*>", "", answer.text)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", text)).split())


LOOKS = {
    "/rules": (200, 200, 200, 403),
    "/rules/ministry": (200, 200, 200, 403),
    "/rules/ministry/versions": (200, 200, 200, 403),
    "/rules/ministry/1.yaml": (200, 200, 200, 403),
    "/rules/gkb1": (200, 404, 200, 403),
    "/rules/gkb1/versions": (200, 404, 200, 403),
    "/rules/gkb1/1.yaml": (200, 404, 200, 403),
    "/rules/nowhere": (404, 404, 404, 403),
    f"/studies/{CHEST}": (200, 404, 200, 403),
    f"/studies/{CHEST}/why?site=zlat": (404, 404, 404, 403),
    "/deliveries": (200, 200, 200, 403),
    "/alarms": (200, 200, 200, 403),
}


@pytest.mark.parametrize(("path", "statuses"), LOOKS.items(), ids=list(LOOKS))
def test_a_page_shows_what_lies_within_reach_and_nothing_else(
    desk: Desk, path: str, statuses: tuple[int, ...]
) -> None:
    found = {who: desk.browsers[who].get(f"/console{path}").status_code for who in PEOPLE}
    own, other, region, none = statuses
    assert found == {
        "it": own, "other-it": other, "admin": region, "second-admin": region,
        "doctor": none, "auditor": none, "ministry": none,
    }  # fmt: skip


ACTS = {
    "/rules/{owner}": {"act": "look"},
    "/rules/{owner}/rule": {"act": "look", "rule": "ct", "id": "ct"},
    "/rules/{owner}/save": {"comment": "зачем"},
    "/rules/{owner}/activate": {"version": "1"},
    "/rules/{owner}/upload": {},
}
REFUSED = (403, 404)


@pytest.mark.parametrize("owner", ["gkb1", "zlat", "ministry"])
@pytest.mark.parametrize("path", ACTS)
def test_rules_are_written_by_those_whose_they_are(desk: Desk, path: str, owner: str) -> None:
    reading = desk.browsers["admin"].get(f"/console/rules/{owner}")
    carried = form_to(reading.text, f"/{owner}").to_dict(flat=False)
    del carried["csrf_token"]  # each brings the own one, in a header
    found = {}
    for who in PEOPLE:
        data = carried | ACTS[path] | {"by": "кто угодно"}
        answer = desk.browsers[who].post(f"/console{path.format(owner=owner)}", data=data)
        found[who] = answer.status_code
    allowed = {"admin", "second-admin"} | {
        who for who, site in (("it", "gkb1"), ("other-it", "zlat")) if site == owner
    }
    assert {who for who, status in found.items() if status not in REFUSED} == allowed
    assert {found[who] for who in ("doctor", "auditor", "ministry")} == {403}
    assert {found[who] for who in RUNNING_IT if who not in allowed} <= {404}


def test_an_alarm_of_another_hospital_and_the_archive_is_not_seen_nor_closed(desk: Desk) -> None:
    """The archive's name is a destination's, too, and those everybody sees."""
    records, both = desk.gateway.records, {"sites": ["archive", "zlat"]}
    with records.write() as connection:
        write_alarm(connection, COPIES_DIFFER, DOE, both, utc_now())
        write_alarm(connection, COPIES_DIFFER, CHEST, both, utc_now())
        write_alarm(connection, REFUSED_CONTENT, CHEST, {"sites": ["gkb1"]}, utc_now())
    assert DOE in desk.browsers["other-it"].get("/console/alarms").text
    own = desk.browsers["it"]
    assert DOE not in own.get("/console/alarms").text
    told = [
        own.post("/console/alarms/close", data={"subject": one, "reason": "ясно"}).status_code
        for one in (DOE, CHEST)
    ]
    assert told == [404, 303]
    still = {(one.kind, one.subject) for one in load_alarms(records)}
    assert {(COPIES_DIFFER, DOE), (COPIES_DIFFER, CHEST)} <= still
    assert (REFUSED_CONTENT, CHEST) not in still
    assert close_alarms(records, DOE, "tests", utc_now())
    assert close_alarms(records, CHEST, "tests", utc_now())


def test_a_replay_of_the_ministrys_rules_is_not_a_hospitals_to_read(desk: Desk) -> None:
    records, today = desk.gateway.records, utc_now().date()
    found = {}
    for owner in ("ministry", "gkb1"):
        version = load_version(records, owner)
        assert version is not None
        made = order_replay(records, version.rule_set, today, 1, "tests", utc_now())
        path = f"/console/rules/{owner}/replays/{made}"
        asking = ("it", "other-it", "admin")
        found[owner] = [desk.browsers[who].get(path).status_code for who in asking]
    assert found == {"ministry": [404, 404, 200], "gkb1": [200, 404, 200]}


def test_who_has_not_signed_in_is_led_to_the_sign_in(desk: Desk) -> None:
    answer = desk.browser().get("/console/rules", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.location) == (303, "/login?back=/console/rules")
    assert desk.browser().post("/console/rules/gkb1/save").status_code == 401


def test_the_ministrys_rules_lie_on_top_and_a_hospital_only_reads_them(desk: Desk) -> None:
    desk.browsers["admin"].post("/console/rules/ministry/activate", data={"version": "1"})
    own = desk.browsers["it"].get("/console/rules/gkb1")
    assert "Сначала: министерство, версия 1, только чтение" in words(own)
    page = desk.browsers["it"].get("/console/rules/ministry")
    assert "только чтение" in words(page)
    assert 'method="post"' not in page.text
    assert 'method="post"' not in desk.browsers["it"].get("/console/rules/ministry/versions").text


def test_an_act_is_of_the_account_whatever_name_is_sent_and_is_told_by_name(desk: Desk) -> None:
    number = next_version(desk, "gkb1", DROP.replace("drop", "hold"))
    data = {"version": number, "by": "Кто-то Другой"}
    desk.browsers["it"].post("/console/rules/gkb1/activate", data=data)
    newest = load_activations(desk.gateway.records, "gkb1")[0]
    assert (newest.number, newest.author.startswith("console:")) == (number, True)
    page = desk.browsers["it"].get("/console/rules/gkb1/versions")
    assert newest.author not in page.text
    there = newest.starts_at.astimezone(ZoneInfo("Europe/Moscow"))  # of the home hospital
    assert f"версия {number} с {there:%d.%m.%Y}" in words(page)
    assert ", it" in words(page)
    assert "Кто-то Другой" not in page.text


def activate(desk: Desk, who: str, number: int, owner: str = "zlat") -> str:
    """What the page says after it."""
    answer = desk.browsers[who].post(f"/console/rules/{owner}/activate", data={"version": number})
    assert answer.status_code == 303
    return words(desk.browsers[who].get(answer.location))


def approve(desk: Desk, who: str, owner: str = "zlat") -> TestResponse:
    newest = load_activations(desk.gateway.records, owner)[0]
    data = {"activation": newest.activation_id}
    return desk.browsers[who].post(f"/console/rules/{owner}/approve", data=data)


def counts(desk: Desk, owner: str = "zlat") -> int:
    version = active_version(desk.gateway.records, owner, utc_now())
    return version.number if version else 0


def test_a_rule_that_drops_studies_counts_only_by_the_word_of_who_may_drop(desk: Desk) -> None:
    plain = next_version(desk, "zlat", DROP.replace("drop", "hold"))
    assert "Версия действует" in activate(desk, "other-it", plain)
    dropping = next_version(desk, "zlat", DROP)
    page = words(desk.browsers["other-it"].get("/console/rules/zlat"))
    assert "Начнёт действовать, когда одобрит второй человек, у которого есть на это право" in page
    assert "ждёт второго человека" in activate(desk, "other-it", dropping)
    assert counts(desk) == plain
    assert approve(desk, "other-it").status_code == 403
    assert approve(desk, "it").status_code == 403
    assert counts(desk) == plain
    assert approve(desk, "admin").status_code == 303
    assert counts(desk) == dropping
    assert "Версия действует" in activate(desk, "other-it", plain), "a rollback drops less"
    assert "ждёт второго человека" in activate(desk, "other-it", dropping)
    assert "Версия действует" in activate(desk, "admin", dropping)
    assert "Версия действует" in activate(desk, "other-it", dropping), "it drops no more than now"


def test_a_rule_that_may_drop_is_not_moved_up_to_drop_more(desk: Desk) -> None:
    """Word for word as it was approved, but no longer behind what is sent first."""
    approved = next_version(desk, "zlat", DROP)
    assert "Версия действует" in activate(desk, "admin", approved)
    kept = load_version(desk.gateway.records, "zlat", approved)
    assert kept is not None
    first_dropped = replace(kept.rule_set, rules=kept.rule_set.rules[::-1])
    moved = save_version(desk.gateway.records, first_dropped, "x", "вверх", approved, utc_now())
    assert "ждёт второго человека" in activate(desk, "other-it", moved)
    assert counts(desk) == approved
    assert approve(desk, "admin").status_code == 303


def test_a_second_person_may_be_made_mandatory(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    number = next_version(desk, "zlat", DROP.replace("drop", "hold"))
    before = counts(desk)
    settings = replace(desk.gateway.settings, rules_approval="required")
    monkeypatch.setattr(desk.gateway, "settings", settings)
    assert "ждёт второго человека" in activate(desk, "admin", number)
    own = approve(desk, "admin")
    assert (own.status_code, "ваша же" in words(own)) == (409, True)
    assert counts(desk) == before
    page = desk.browsers["admin"].get("/console/rules/zlat/versions")
    assert "/approve" not in page.text, "nobody is shown a button that does nothing"
    assert approve(desk, "second-admin").status_code == 303
    assert counts(desk) == number
    newest = load_activations(desk.gateway.records, "zlat")[0]
    assert newest.approved_by not in ("", newest.author)


def status(browser: FlaskClient, path: str) -> int:
    with browser.get(path, follow_redirects=True) as answer:
        return answer.status_code


def test_nobody_is_led_to_a_door_that_is_shut(desk: Desk) -> None:
    shut, led = [], 0
    for who, browser in desk.browsers.items():
        pages = {"/account"} | ({"/"} if who != "ministry" else set())
        if who in RUNNING_IT:
            pages |= {"/console/", "/console/deliveries", "/console/rules/ministry"}
        if who in ("it", "admin"):
            pages |= {f"/console/studies/{CHEST}", "/console/rules/gkb1"}
        for page in sorted(pages):
            text = browser.get(page, follow_redirects=True).text
            links = {unescape(link) for link in re.findall(r'<a [^>]*href="(/[^"#]*)', text)}
            # What stands there is the viewer's business; whether one may go there is ours.
            links = {"/viewer/" if "/viewer/" in link else link for link in links}
            led += len(links)
            shut += [(who, page, link) for link in links if status(browser, link) in (401, 403)]
    assert shut == []
    assert led > 50


def find(desk: Desk, who: str, number: str) -> TestResponse:
    return desk.browsers[who].post("/console/find", data={"number": number})


@pytest.mark.parametrize("number", ["A1", "77", CHEST], ids=["accession", "patient", "UID"])
def test_a_study_is_found_by_a_number_and_no_address_holds_it(desk: Desk, number: str) -> None:
    answer = find(desk, "it", number)
    assert (answer.status_code, answer.location) == (303, f"/console/studies/{CHEST}")
    page = words(find(desk, "admin", number))
    assert CHEST[-14:] in page or answer.location


def test_a_number_finds_nothing_of_another_hospital(desk: Desk) -> None:
    for number in ("A1", "77", CHEST):
        told = words(find(desk, "other-it", number))
        assert "Такого исследования в ваших больницах нет" in told
    assert "03.01.2026" in words(find(desk, "other-it", "a1"))
    assert "Иванов" not in find(desk, "it", "A2").text


def test_what_is_found_shows_no_name_and_where_it_stands(desk: Desk) -> None:
    page = find(desk, "it", "78")
    told = words(page)
    assert "02.01.2026, CT" in told
    assert "ещё не решалось" in told
    assert "SMITH" not in page.text
    assert page.request.url.endswith("/console/find")


@pytest.mark.parametrize("number", ["", "x" * 65, "Иванов\x00", "%", "' OR 1=1--", "<script>"])
def test_a_strange_number_finds_nothing(desk: Desk, number: str) -> None:
    answer = find(desk, "it", number)
    assert answer.status_code == (
        400 if not number or len(number) > 64 or "\x00" in number else 200
    )
    assert U not in answer.text
    assert "<script>" not in answer.text


@pytest.mark.parametrize("who", ["doctor", "auditor", "ministry"])
def test_who_runs_no_network_searches_no_queue(desk: Desk, who: str) -> None:
    assert find(desk, who, "A1").status_code == 403


@pytest.mark.parametrize(
    "kind",
    [
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain",
        'multipart/related; type="application/dicom"; boundary=x',
    ],
)
def test_no_page_of_others_stores_an_image_with_somebodys_session(desk: Desk, kind: str) -> None:
    """The upload page and the viewer store through the door of all programs, without a token: what
    it takes no form can send, and a script of another page may not."""
    doctor = desk.browsers["doctor"]
    foreign = {"Origin": "http://evil.example"}
    for said in (foreign, {"Sec-Fetch-Site": "cross-site"}):
        answer = doctor.post("/dicom-web/studies", data=b"--x--", content_type=kind, headers=said)
        assert answer.status_code == 403
    own = doctor.post("/dicom-web/studies", data=b"--x--\r\n", content_type=kind)
    assert own.status_code == (400 if "related" in kind else 415)
