"""A person of hospital IT writes the first rule in a browser, tries it, saves and activates it;
then a study that is stored at the hospital is delivered by it."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from gateway.clock import utc_now
from gateway.demo.servers import RedisServer, free_port
from gateway.model.deliveries import State
from gateway.records.engine import open_records
from gateway.records.held import find_holders
from gateway.records.rules import active_version, load_version, save_version
from gateway.records.schema import migrate
from tests.browser.conftest import DESKTOP, PHONE, save
from tests.browser.test_console import PATIENCE_MS, WAIT_S, Desk, start
from tests.conftest import StartOrthanc
from tests.running import load, start_gateway
from tests.studies import a_study
from tests.waiting import wait_until

pytestmark = [pytest.mark.real, pytest.mark.browser]


@pytest.fixture(scope="module")
def desk(start_orthanc: StartOrthanc, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A hospital without rules, an archive, a keeper and workers."""
    folder = tmp_path_factory.mktemp("rules")
    servers = {name: start_orthanc(name) for name in ("gkb1", "archive")}
    with RedisServer(folder / "redis", free_port(), password="secret-of-redis") as redis:
        environ = {
            "GATEWAY_STATE_DIR": str(folder / "state"), "GATEWAY_REDIS_URL": redis.url,
            "GATEWAY_FOLLOW_EVERY_S": "0.5",
        }  # fmt: skip
        urls = {name: server.url for name, server in servers.items()}
        gateway = start_gateway(folder, urls, servers, home="gkb1", settings=environ)
        records = open_records(f"sqlite:///{folder / 'state' / 'gateway.db'}")
        migrate(records)
        running = Desk(gateway, records, servers["gkb1"], None, [gateway.program])
        for part in ("keeper", "worker --queue routine", "worker --queue verify"):
            running.programs.append(start(folder, part, environ))
        yield running
        for program in reversed(running.programs):
            program.kill()
        records.close()


@pytest.fixture
def page(browser: Browser, desk: Desk) -> Iterator[Page]:
    """A fresh page in which nothing may go wrong but what is refused on purpose."""
    context = browser.new_context(viewport={"width": DESKTOP[0], "height": DESKTOP[1]})
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda line: wrong.append(line.text) if "Policy" in line.text else None)
    yield page
    context.close()
    assert wrong == []


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name).first.click()


def says(page: Page, words: str) -> None:
    expect(page.locator("#live")).to_contain_text(words, timeout=PATIENCE_MS)


def fits(page: Page) -> None:
    overflow = "document.documentElement.scrollWidth - window.innerWidth"
    assert page.evaluate(overflow) <= 0, page.url


def look(page: Page, folder: Path, name: str) -> None:
    """Nothing is wider than a phone or a desk; pictures for whoever looks."""
    for width, height in (PHONE, (1440, 900)):
        page.set_viewport_size({"width": width, "height": height})
        fits(page)
        save(page, folder, f"{name}-{width}", whole=True)


def test_a_rule_is_written_tried_saved_and_activated_and_a_study_goes_by_it(
    page: Page, desk: Desk, tmp_path: Path
) -> None:
    early = a_study(9100, (2,))
    load(desk.hospital, early)
    uid = early[0].study_uid
    wait_until(lambda: find_holders(desk.records, uid), WAIT_S, "the study in the index")

    page.goto(f"{desk.gateway.url}/console/rules")
    says(page, "нет: исследования ждут")
    look(page, tmp_path, "owners")
    page.get_by_role("link", name=re.compile("gkb1")).first.click()
    press(page, "Новое правило")
    says(page, "Заполните правило")
    page.fill("#name", "КТ в архив")
    page.locator("#then-0 input[type=checkbox]").first.check()
    press(page, "Готово")
    expect(page.locator("#wrong-when-0-value")).to_contain_text("выберите хотя бы одно")
    expect(page.locator("#when-0-value")).to_be_focused()
    look(page, tmp_path, "mistake")
    page.locator("#when-0").get_by_label("CT", exact=False).first.check()
    expect(page.locator("#sentence")).to_contain_text(
        "Если модальности — есть хотя бы одно из: CT, то отправить в «archive»"
    )
    page.select_option("#state", "active")
    look(page, tmp_path, "rule")
    press(page, "Готово")
    says(page, "Есть несохранённые изменения")

    page.fill("#study", uid)
    press(page, "Проверить исследование")
    expect(page.locator("#tried")).to_contain_text("→")
    expect(page.locator("#tried")).to_contain_text("модальности — есть хотя бы одно из: CT")
    look(page, tmp_path, "tried")
    page.fill("#by", "Иванова")
    page.fill("#comment", "первое правило")
    press(page, "Сохранить новую версию")
    says(page, "Сохранена новая версия")
    assert active_version(desk.records, "gkb1", utc_now()) is None
    look(page, tmp_path, "saved")
    page.fill("#by-on", "Иванова")
    press(page, "Включить версию 1")
    says(page, "Действует: версия 1")
    look(page, tmp_path, "versions")

    study = a_study(9101, (2,))
    desk.store(study, State.DELIVERED)
    wait_until(lambda: desk.states(uid) == [State.DELIVERED], WAIT_S, "the study that waited")


def test_somebody_who_saved_meanwhile_is_seen_and_a_second_person_approves(
    page: Page, desk: Desk, tmp_path: Path
) -> None:
    page.goto(f"{desk.gateway.url}/console/rules/gkb1")
    page.get_by_role("button", name="Изменить").first.click()
    says(page, "Название")
    page.fill("#name", "КТ в региональный архив")
    press(page, "Готово")
    says(page, "Есть несохранённые изменения")
    base = load_version(desk.records, "gkb1")
    assert base is not None
    theirs = replace(base.rule_set.rules[0], name="КТ")
    others = replace(base.rule_set, rules=(theirs,))
    save_version(desk.records, others, "Петров", "короче", base.number, utc_now())
    page.fill("#by", "Иванова")
    page.fill("#comment", "понятнее")
    press(page, "Сохранить новую версию")
    says(page, "Петров сохранил(а) версию 2")
    says(page, "переименовано в «КТ в региональный архив»")
    look(page, tmp_path, "conflict")
    press(page, "Продолжить со своими правилами")
    press(page, "Сохранить новую версию")
    says(page, "Сохранена новая версия")
    page.fill("#by-on", "Иванова")
    page.get_by_label("нужен второй человек").check()
    press(page, "Включить версию 3")
    says(page, "Активация ждёт второго человека")
    look(page, tmp_path, "approval")
    page.locator(".approval input[name=by]").fill("Иванова")
    press(page, "Одобрить")
    says(page, "одобрить нельзя")
    page.go_back()
    page.locator(".approval input[name=by]").fill("Петров")
    press(page, "Одобрить")
    says(page, "Действует: версия 3")


def test_a_dropped_file_is_tried_and_not_kept(page: Page, desk: Desk, tmp_path: Path) -> None:
    file = a_study(9190, (1,))[0]
    path = tmp_path / "IM1"
    path.write_bytes(file.data)
    page.goto(f"{desk.gateway.url}/console/rules/gkb1")
    page.set_input_files("#files", str(path))
    press(page, "Проверить файлы")
    expect(page.locator("#tried")).to_contain_text("→")
    expect(page.locator("#tried")).to_contain_text("модальности — есть хотя бы одно из: CT")
    look(page, tmp_path, "file")
    assert find_holders(desk.records, file.study_uid) == []


def test_a_replay_ends_by_itself_on_the_page(page: Page, desk: Desk, tmp_path: Path) -> None:
    page.goto(f"{desk.gateway.url}/console/rules/gkb1")
    page.fill("#days", "300")
    with page.expect_popup() as opened:
        press(page, "Проиграть заново")
    replay = opened.value
    expect(replay.locator("#state")).to_contain_text("готово", timeout=PATIENCE_MS)
    expect(replay.locator("#live")).to_contain_text("дней 300 из 300")
    look(replay, tmp_path, "replay")


def test_the_keyboard_alone_moves_a_rule(page: Page, desk: Desk) -> None:
    page.goto(f"{desk.gateway.url}/console/rules/gkb1")
    for name in ("Первое", "Второе"):
        press(page, "Новое правило")
        page.fill("#name", name)
        page.locator("#then-0 input[type=checkbox]").first.check()
        page.get_by_role("button", name="Убрать условие").click()
        press(page, "Готово")
        says(page, "Правила по порядку")
    rules = page.locator("[data-rule] h3 bdi")
    count = rules.count()
    assert rules.all_inner_texts()[-2:] == ["Первое", "Второе"]
    page.get_by_role("button", name="Выше · Up: Второе").focus()
    page.keyboard.press("Enter")
    expect(rules.nth(count - 2)).to_have_text("Второе")
    expect(rules.nth(count - 1)).to_have_text("Первое")


def test_a_dragged_rule_stays_where_it_is_dropped(page: Page, desk: Desk) -> None:
    test_the_keyboard_alone_moves_a_rule(page, desk)
    rules = page.locator("[data-rule]")
    first, last = rules.first, rules.last
    name = last.locator("h3 bdi").inner_text()
    grip = last.locator(".grip").bounding_box()
    top = first.bounding_box()
    assert grip
    assert top
    page.mouse.move(grip["x"] + 5, grip["y"] + 5)
    page.mouse.down()
    page.mouse.move(grip["x"] + 5, top["y"] + 2, steps=5)
    page.mouse.up()
    expect(rules.first.locator("h3 bdi")).to_have_text(name)
    expect(page.locator("[data-work]")).not_to_have_attribute("aria-busy", "true")
    expect(page.get_by_role("button", name=f"Выше · Up: {name}")).to_be_disabled()
