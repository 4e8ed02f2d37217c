"""The register's pages by people who have really signed in: who sees and writes what, forms that
were overtaken, imports that are shown before they are applied.
"""

import io
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from html import unescape
from typing import Any

import gevent
import pytest
from flask.testing import FlaskClient
from openpyxl import load_workbook
from werkzeug.test import TestResponse

from gateway.clock import utc_now
from gateway.model.rollout.register import (
    Capture,
    Facility,
    FacilityKind,
    Unit,
    UnitKind,
    UnitState,
    as_of,
)
from gateway.records.register import (
    Change,
    add_revisions,
    load_facilities,
    load_state,
    load_units,
    unit_history,
)
from gateway.web import create_app
from gateway.web.rollout import register_files
from tests.web.forms import form_to
from tests.web.signing_in import login_gateway
from tests.web.test_sign_in import Clinic

ORIGIN = "http://127.0.0.1:8080"
FIRST = date(2025, 1, 1)
PEOPLE = {
    "it": "hospital_it@gkb1", "other-it": "hospital_it@zlat", "ministry": "ministry",
    "admin": "regional_admin", "doctor": "doctor@gkb1", "auditor": "auditor",
}  # fmt: skip
READERS, WRITERS = ("it", "other-it", "ministry", "admin"), ("it", "ministry", "admin")


@dataclass
class Desk(Clinic):
    browsers: dict[str, FlaskClient]


def facility(facility_id: str, site_id: str = "", **more: str) -> Facility:
    name = f"Больница {facility_id}"
    return Facility(
        facility_id, name, "", FacilityKind.HOSPITAL, "Вышегорск", site_id=site_id, **more
    )


def unit(unit_id: str, facility_id: str) -> Unit:
    return Unit(
        unit_id, facility_id, UnitKind.RADIOGRAPHY, "Maker", "Model", f"S-{unit_id}", 2010,
        Capture.ANALOGUE, UnitState.ACTIVE,
    )  # fmt: skip


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with login_gateway(tmp_path_factory.mktemp("register"), {"gkb1": [], "zlat": []}) as opened:
        gateway, keyring = opened
        clinic = Desk(gateway, keyring, create_app(gateway), {})
        places = [facility("gkb1", "gkb1"), facility("zlat", "zlat"), facility("twin"),
                  facility("target")]  # fmt: skip
        units = [unit("g-1", "gkb1"), unit("g-2", "gkb1"), unit("z-1", "zlat"), unit("t-1", "twin")]
        add_revisions(
            gateway.records,
            facilities=[Change(one, FIRST) for one in places],
            units=[Change(one, FIRST) for one in units],
            author="sample", reason="первый аудит", now=utc_now(),
        )  # fmt: skip
        for login, post in PEOPLE.items():
            browser = clinic.sign_in(login, clinic.person(login, post))
            browser.environ_base["HTTP_ORIGIN"] = ORIGIN
            clinic.browsers[login] = browser
        yield clinic


def words(answer: TestResponse) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", answer.text)).split())


def edit(desk: Desk, who: str, thing: str, **fields: str) -> TestResponse:
    """Open the form, fill it in, send it."""
    kind = "unit" if "-" in thing else "facility"
    browser, address = desk.browsers[who], f"/rollout/register/{kind}/edit"
    page = browser.get(f"{address}?id={thing}").text
    form = form_to(page, address)
    return browser.post(address, data={**form, "reason": "сверка", **fields})


@pytest.mark.parametrize(
    ("path", "own", "other"),
    [
        ("", 200, 200),
        ("/facilities/gkb1", 200, 404),
        ("/units/g-1", 200, 404),
        ("/facilities/zlat", 404, 200),
        ("/facilities/none", 404, 404),
        ("/unit/edit?id=g-1", 200, 404),
        ("/export", 200, 200),
    ],
)
def test_hospital_it_sees_its_own_facility_and_the_ministry_all(
    desk: Desk, path: str, own: int, other: int
) -> None:
    found = {w: desk.browsers[w].get(f"/rollout/register{path}").status_code for w in PEOPLE}
    region = 404 if "none" in path else 200
    assert found == {
        "it": own, "other-it": other, "ministry": region, "admin": region, "doctor": 403,
        "auditor": 403,
    }  # fmt: skip


def test_a_list_and_an_export_of_hospital_it_hold_its_own_alone(desk: Desk) -> None:
    page = words(desk.browsers["it"].get("/rollout/register"))
    assert ("gkb1" in page, "zlat" in page) == (True, False)
    book = load_workbook(io.BytesIO(desk.browsers["it"].get("/rollout/register/export").data))
    assert [row[0].value for row in book["Аппараты"]] == ["Код аппарата", "g-1", "g-2"]
    everything = desk.browsers["ministry"].get("/rollout/register/export?format=csv")
    assert everything.headers["Content-Type"] == "application/zip"


def test_a_change_is_a_revision_with_its_author_and_reason(desk: Desk) -> None:
    answer = edit(desk, "it", "g-1", capture="digital", valid_from="2026-03-01")
    assert (answer.status_code, answer.location) == (
        303, "/rollout/register/units/g-1?done=saved",
    )  # fmt: skip
    last = unit_history(desk.gateway.records, "g-1")[-1]
    assert (last.thing.capture, last.valid_from, last.reason) == (
        Capture.DIGITAL, date(2026, 3, 1), "сверка",
    )  # fmt: skip
    assert last.author.startswith("console:")
    shown = words(desk.browsers["it"].get(answer.location))
    assert "Получение снимка: плёнка → цифровой" in shown
    assert "с 01.03.2026 · сверка" in shown


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        pytest.param({"year": "1800"}, "год вне пределов", id="a year"),
        pytest.param({"merged_into": "x", "kind": ""}, "не заполнено", id="no kind"),
        pytest.param({"facility_id": "nowhere"}, "не ваша организация", id="to nowhere"),
        pytest.param({"facility_id": "zlat"}, "не ваша организация", id="given away"),
        pytest.param({"reason": ""}, "не заполнено", id="no reason"),
        pytest.param({"valid_from": "вчера"}, "не дата", id="no day"),
        pytest.param({"capture": "digital\u202e"}, "пишите одно из", id="a word of no list"),
    ],
)
def test_a_form_with_a_mistake_says_so_and_writes_nothing(
    desk: Desk, fields: dict[str, str], said: str
) -> None:
    before = load_state(desk.gateway.records)
    answer = edit(desk, "it", "g-2", **fields)
    assert answer.status_code == 400
    assert said in words(answer)
    assert load_state(desk.gateway.records) == before


def test_a_form_that_was_overtaken_is_told_so_and_keeps_its_words(desk: Desk) -> None:
    browser, address = desk.browsers["ministry"], "/rollout/register/unit/edit"
    old = form_to(browser.get(f"{address}?id=z-1").text, address)
    assert edit(desk, "admin", "z-1", state="repair").status_code == 303
    before = load_state(desk.gateway.records)
    answer = browser.post(address, data={**old, "model": "Новая модель", "reason": "моё"})
    assert answer.status_code == 409
    assert "кто-то другой изменил эту запись" in words(answer)
    assert load_state(desk.gateway.records) == before
    again = form_to(answer.text, address)
    assert (again["model"], again["reason"]) == ("Новая модель", "моё")
    assert browser.post(address, data=again).status_code == 303


def test_a_new_record_does_not_overwrite_one_whose_id_it_takes(desk: Desk) -> None:
    browser, address = desk.browsers["ministry"], "/rollout/register/unit/edit"
    form = form_to(browser.get(f"{address}?facility_id=gkb1").text, address)
    filled = {"kind": "ct", "capture": "digital", "state": "active", "reason": "новый"}
    taken = browser.post(address, data={**form, **filled, "unit_id": "t-1"})
    assert (taken.status_code, "такой код уже есть" in words(taken)) == (400, True)
    made = browser.post(address, data={**form, **filled, "unit_id": "g-9"})
    assert made.status_code == 303
    assert unit_history(desk.gateway.records, "g-9")[0].thing.kind is UnitKind.CT


def test_hospital_it_writes_neither_another_facility_nor_what_binds_its_own(desk: Desk) -> None:
    browser, address = desk.browsers["it"], "/rollout/register/facility/edit"
    form = form_to(browser.get(f"{address}?id=gkb1").text, address)
    before = load_state(desk.gateway.records)
    stolen = browser.post(address, data={**form, "id": "zlat", "reason": "чужое"})
    moved = browser.post(address, data={**form, "site_id": "zlat", "reason": "чужое"})
    assert [a.status_code for a in (stolen, moved)] == [400, 400]
    merged = browser.post(
        "/rollout/register/facility/merge",
        data={**form, "id": "gkb1", "into": "zlat", "reason": "чужое"},
    )
    assert merged.status_code == 404
    assert load_state(desk.gateway.records) == before


def test_a_form_of_another_page_writes_nothing(desk: Desk) -> None:
    browser, address = desk.browsers["ministry"], "/rollout/register/unit/edit"
    form = form_to(browser.get(f"{address}?id=g-2").text, address)
    data = {**form, "reason": "чужая страница"}
    foreign = browser.post(address, data=data, headers={"Origin": "https://evil.test"})
    tokenless = browser.post(address, data={**data, "csrf_token": ""})
    assert [a.status_code for a in (foreign, tokenless)] == [403, 403]


def test_a_merge_takes_the_units_along_and_is_taken_back(desk: Desk) -> None:
    browser, address = desk.browsers["ministry"], "/rollout/register/facility/merge"
    today = utc_now().date()

    def send(**fields: str) -> TestResponse:
        page = browser.get("/rollout/register/facilities/twin").text
        data = {**form_to(page, address), "reason": "дубль", "valid_from": "2026-05-01", **fields}
        return browser.post(address, data=data)

    assert send(into="nowhere").status_code == 400
    assert send(into="target").status_code == 303
    records = desk.gateway.records
    assert as_of(load_units(records), today)["t-1"].facility_id == "target"
    assert as_of(load_facilities(records), today)["twin"].merged_into == "target"
    assert as_of(load_units(records), date(2026, 4, 30))["t-1"].facility_id == "twin"
    assert send().status_code == 303
    assert as_of(load_units(records), today)["t-1"].facility_id == "twin"
    assert as_of(load_facilities(records), today)["twin"].merged_into == ""


def upload(browser: FlaskClient, text: str) -> TestResponse:
    address = "/rollout/register/import"
    form = form_to(browser.get(address).text, address)
    files = {"files": (io.BytesIO(text.encode("cp1251")), "аппараты.csv")}
    return browser.post(address, data={**form, "valid_from": "2026-06-01", **files})


def confirm(browser: FlaskClient, shown: TestResponse) -> TestResponse:
    (action,) = re.findall(r'action="(/rollout/register/import/[^"]+)"', shown.text)
    return browser.post(action, data={**form_to(shown.text, action), "reason": "из файла"})


@pytest.mark.parametrize("who", WRITERS)
def test_an_import_is_shown_and_written_once_it_is_confirmed(desk: Desk, who: str) -> None:
    browser, records = desk.browsers[who], desk.gateway.records
    before = load_state(records)
    shown = upload(browser, f"Код аппарата;Производитель\ng-2;Завод {who}\n")
    assert (shown.status_code, load_state(records)) == (200, before)
    assert f"→ Завод {who}" in words(shown)
    assert confirm(browser, shown).status_code == 303
    last = unit_history(records, "g-2")[-1]
    assert (last.thing.manufacturer, last.reason, last.valid_from) == (
        f"Завод {who}", "из файла", date(2026, 6, 1),
    )  # fmt: skip
    assert confirm(browser, shown).status_code == 404


def test_an_import_that_was_overtaken_writes_nothing(desk: Desk) -> None:
    browser, records = desk.browsers["ministry"], desk.gateway.records
    shown = upload(browser, "Код аппарата;Год выпуска\ng-2;2015\n")
    assert edit(desk, "admin", "z-1", model="Ещё одна").status_code == 303
    before = load_state(records)
    answer = confirm(browser, shown)
    assert answer.status_code == 409
    assert "Реестр изменился" in words(answer)
    assert load_state(records) == before


def test_an_import_with_mistakes_cannot_be_confirmed(desk: Desk) -> None:
    shown = upload(desk.browsers["it"], "Код аппарата;Год выпуска\nz-1;2015\ng-2;рано\n")
    page = words(shown)
    assert "аппараты.csv 2 Код организации не ваша организация" in page
    assert "аппараты.csv 3 Год выпуска не целое число" in page
    assert "/rollout/register/import/" not in shown.text


def test_others_are_served_while_a_large_file_is_read(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, served = threading.Event(), threading.Event()
    whole = register_files.plan_files

    def slow(*asked: Any) -> Any:
        begun.set()
        assert served.wait(60)
        return whole(*asked)

    monkeypatch.setattr(register_files, "plan_files", slow)
    sent = gevent.spawn(upload, desk.browsers["ministry"], "unit_id;year\ng-1;2011\n")
    with gevent.Timeout(60):
        while not begun.is_set():
            gevent.sleep(0)
    assert desk.browsers["it"].get("/rollout/register").status_code == 200
    served.set()
    assert "2011" in sent.get(timeout=60).text


def test_a_draft_is_its_authors_own(desk: Desk) -> None:
    shown = upload(desk.browsers["ministry"], "Код аппарата;Год выпуска\ng-2;2016\n")
    (action,) = re.findall(r'action="(/rollout/register/import/[^"]+)"', shown.text)
    form = form_to(desk.browsers["admin"].get("/rollout/register/import").text, "/import")
    answer = desk.browsers["admin"].post(action, data={**form, "reason": "чужой черновик"})
    assert answer.status_code == 404


@pytest.mark.parametrize("code", ["ru", "en"])
@pytest.mark.parametrize(
    "path", ["", "/facilities/gkb1", "/units/g-1", "/facility/edit", "/unit/edit?id=g-1", "/import"]
)
def test_a_page_is_of_one_language(desk: Desk, path: str, code: str) -> None:
    mark = "&" if "?" in path else "?"
    answer = desk.browsers["ministry"].get(f"/rollout/register{path}{mark}lang={code}")
    assert answer.status_code == 200
    assert f'<html lang="{code}">' in answer.text
    main = answer.text.partition("<main")[2]
    links = re.findall(r'(?:href|action)="(/rollout[^"#]*)', main)
    kept = [link for link in links if not link.endswith("/rollout/register")]
    assert [link for link in kept if ("lang=en" in link) is not (code == "en")] == []
    assert re.findall(r"style=|onclick|<script", main) == []
