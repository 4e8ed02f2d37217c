"""The console in a browser, over a hospital, an archive that refuses at first, and real workers."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa
from playwright.sync_api import Browser, Page, expect

from gateway.clock import utc_now
from gateway.demo.servers import REPOSITORY, OrthancServer, Program, RedisServer, free_port
from gateway.model.alarms import REFUSED_CONTENT
from gateway.model.deliveries import State
from gateway.model.pace import Pace
from gateway.model.routing.document import parse_rule_set
from gateway.records.alarms import write_alarm
from gateway.records.delivery_desk import Filter, list_deliveries, load_story
from gateway.records.dispatch import destination_pace
from gateway.records.engine import Records, open_records
from gateway.records.rules import activate, save_version
from gateway.records.schema import migrate
from tests.browser.conftest import DESKTOP, save
from tests.chaosproxy import ChaosProxy, http, only, passes, says
from tests.conftest import StartOrthanc
from tests.forked import ForkedProgram, run_gateway
from tests.hurry import hurry
from tests.running import RunningGateway, load, start_gateway
from tests.studies import ROOT, Instance, a_study
from tests.waiting import wait_until

pytestmark = [pytest.mark.real, pytest.mark.browser]

FAULTS = Path(__file__).with_name("faults_of_page.js").read_text(encoding="utf-8")
PATIENCE_MS = 60_000
WAIT_S = 120
REFUSED = only("POST /dicom-web/studies", says(http("415 Unsupported Media Type", b"")))
RULES = """
site: gkb1
rules:
  - id: ct
    name: КТ в архив
    state: active
    trigger: {quiet_s: 1}
    when:
      all:
        - {field: ModalitiesInStudy, op: any_of, value: [CT]}
        - {field: PatientName, op: contains, value: иванов}
    then: [{do: send, target: archive}]
otherwise: [{do: hold, reason: нет правила}]
"""
BROKEN = """
[[destination]]
id = "broken"
name_ru = "Неисправный приёмник"
name_en = "Broken destination"
site = "gkb1"
kind = "orthanc"
"""
PAGES = (
    "", "/deliveries", "/deliveries?state=all", "/deliveries/confirm?act=exclude",
    "/deliveries/confirm?act=reroute", "/destinations", "/sites", "/alarms",
    "/arrivals?site=gkb1&state=planned", "/reconciliation",
    "/studies/{uid}", "/studies/{uid}/why?site=gkb1",
    "/studies/1.2.3",
)  # fmt: skip


@dataclass
class Desk:
    """What runs, and a look into its records."""

    gateway: RunningGateway
    records: Records
    hospital: OrthancServer
    proxy: ChaosProxy
    programs: list[Program]

    @property
    def url(self) -> str:
        return self.gateway.url + "/console"

    def store(self, study: list[Instance], *states: State) -> str:
        """Load it at the hospital and wait until its delivery stands so."""
        uid = study[0].study_uid
        load(self.hospital, study)

        def stands() -> bool:
            if State.RETRY_WAIT not in states:
                hurry(self.records)
            return self.states(uid) == list(states)

        wait_until(stands, WAIT_S, f"{states}")
        return uid

    def states(self, study_uid: str) -> list[State]:
        return [one.state for one in list_deliveries(self.records, Filter(study_uid=study_uid))]


@pytest.fixture(scope="module")
def desk(start_orthanc: StartOrthanc, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """Nothing is sent that the archive does not refuse, until a test lets it."""
    folder = tmp_path_factory.mktemp("desk")
    servers = {name: start_orthanc(name) for name in ("gkb1", "archive")}
    with (
        ChaosProxy(servers["archive"].http_port) as proxy,
        RedisServer(folder / "redis", free_port(), password="secret-of-redis") as redis,
    ):
        proxy.fault = REFUSED
        environ = {
            "GATEWAY_STATE_DIR": str(folder / "state"), "GATEWAY_REDIS_URL": redis.url,
            "GATEWAY_FOLLOW_EVERY_S": "0.5",
        }  # fmt: skip
        urls = {"gkb1": servers["gkb1"].url, "archive": proxy.url}
        gateway = start_gateway(folder, urls, servers, home="gkb1", settings=environ, more=BROKEN)
        records = open_records(f"sqlite:///{folder / 'state' / 'gateway.db'}")
        migrate(records)
        activate_rules(records)
        break_something(records)
        running = Desk(gateway, records, servers["gkb1"], proxy, [gateway.program])
        for part in ("keeper", "worker --queue routine", "worker --queue verify"):
            running.programs.append(start(folder, part, environ))
        yield running
        proxy.reset()
        for program in reversed(running.programs):
            program.kill()
        records.close()


def start(folder: Path, part: str, environ: dict[str, str]) -> Program:
    region = str(folder / "region.toml")
    command = [sys.executable, "-m", "gateway.cli", *part.split(), "--region", region]
    log = folder / f"{part.split()[-1]}.log"
    return ForkedProgram(part, command, log, folder=REPOSITORY, environ=environ).start()


def activate_rules(records: Records) -> None:
    rule_set, mistakes = parse_rule_set(RULES)
    assert rule_set is not None, mistakes
    now = utc_now()
    number = save_version(records, rule_set, "tests", "first", 0, now)
    activate(records, "gkb1", number, now, "tests", now)


def break_something(records: Records) -> None:
    """An alarm that only a word closes, and a destination that refuses our password."""
    now = utc_now()
    pace = Pace(1.0, 3, None, True, "denied")
    with records.write() as connection:
        write_alarm(connection, REFUSED_CONTENT, f"{ROOT}.9100", {"instances": 2}, now)
        row = {"destination": "broken", **vars(pace), "changed_at": now}
        connection.execute(sa.insert(destination_pace).values(row))


@pytest.fixture(scope="module")
def parked(desk: Desk) -> str:
    """UID of a study that the archive has refused three times; nothing changes it."""
    return desk.store(a_study(9100, (2,)), State.PARKED)


@pytest.fixture
def page(browser: Browser, desk: Desk) -> Iterator[Page]:
    """A fresh page; nothing may go wrong in it, and nothing may come from elsewhere."""
    context = browser.new_context(viewport={"width": DESKTOP[0], "height": DESKTOP[1]})
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda m: wrong.append(m.text) if "Policy" in m.text else None)
    own = desk.gateway.url + "/"
    page.on("request", lambda r: wrong.append(r.url) if not r.url.startswith(own) else None)
    yield page
    context.close()
    assert wrong == []


def test_a_failed_delivery_is_found_retried_and_seen_delivered_without_a_reload(
    desk: Desk, page: Page, parked: str, tmp_path: Path
) -> None:
    uid = desk.store(a_study(9101, (3,)), State.PARKED)
    page.goto(desk.url)
    page.get_by_role("link", name="Очередь").click()
    page.get_by_label("UID исследования").fill(uid)
    page.get_by_label("Состояние").select_option("all")
    page.get_by_role("button", name="Показать").click()
    row = page.locator(".queue tbody tr")
    expect(row).to_have_count(1)
    expect(row).to_contain_text("отложена, ждёт человека")
    expect(row).to_contain_text("приёмник не принимает такие файлы (415)")
    page.evaluate("window.stayed = true")
    desk.proxy.fault = passes
    row.get_by_role("button", name="Повторить").click()
    expect(page.locator("#notice")).to_contain_text("Повторяются: 1")
    expect(row).to_contain_text("доставлена и проверена", timeout=PATIENCE_MS)
    assert page.evaluate("window.stayed") is True
    told = load_story(desk.records, uid).deliveries[0]
    assert [line.by for line in told.history if line.event == "retried"] == ["console"]
    save(page, tmp_path, "delivered")
    desk.proxy.fault = REFUSED


@pytest.fixture(scope="module")
def held(desk: Desk) -> str:
    """UID of a study that no rule takes."""
    study = a_study(9102, (1,), Modality="MG")
    load(desk.hospital, study)
    uid = study[0].study_uid

    def is_held() -> bool:
        hurry(desk.records)
        arrivals = load_story(desk.records, uid).arrivals
        return "held" in [one.state for one in arrivals if one.site_id == "gkb1"]

    wait_until(is_held, WAIT_S, "the study to be held")
    return uid


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(390, 844), (1440, 900)], ids=["phone", "desktop"])
def test_nobody_stumbles_over_a_page(
    desk: Desk, browser: Browser, parked: str, held: str, size: tuple[int, int], scheme: str,
    tmp_path: Path,
) -> None:  # fmt: skip
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]}, color_scheme=scheme
    )
    page = context.new_page()
    faults: dict[str, list[str]] = {}
    paths = [*PAGES, f"/studies/{held}", f"/studies/{held}/why?site=gkb1"]
    for n, path in enumerate(paths):
        page.goto(desk.url + path.format(uid=parked))
        for details in page.locator("details").all():
            details.locator("summary").click()
        if found := page.evaluate(FAULTS):
            faults[path] = found
        save(page, tmp_path, f"{n:02}", whole=True)
    context.close()
    assert faults == {}


def test_a_study_is_found_by_its_number_which_no_address_holds(
    desk: Desk, page: Page, parked: str, tmp_path: Path
) -> None:
    page.goto(desk.url + "/deliveries")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.get_by_label("Найти исследование").fill(parked)
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_contain_text("История исследования")
    expect(page.locator("#live")).to_contain_text("КТ в архив")
    page.goto(desk.url + "/deliveries")
    page.get_by_label("Найти исследование").fill("НЕТ-ТАКОГО-77")
    page.get_by_role("button", name="Найти").click()
    expect(page.locator("#live")).to_contain_text("Такого исследования в ваших больницах нет")
    assert [url for url in asked if "77" in url.partition("/console")[2]] == []
    save(page, tmp_path, "found")


def gateway_command(desk: Desk, *words: str) -> str:
    """What a command of README says, in the region's folder."""
    folder = desk.gateway.folder
    environ = {"PATH": "/usr/bin:/bin", "GATEWAY_STATE_DIR": str(folder / "state")}
    done = run_gateway(words, folder, environ, WAIT_S)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_after_an_archive_was_down_the_chapter_of_readme_is_right(desk: Desk) -> None:
    busy = http("503 Service Unavailable", b"")
    desk.proxy.fault = only("POST /dicom-web/studies", says(busy))
    uid = desk.store(a_study(9104, (2,)), State.RETRY_WAIT)

    def retried() -> bool:
        """It may be at its next try just then, which is no state to be told in."""
        gateway_command(desk, "deliveries", "retry", "--state", "retry_wait", "--by", "ivanova")
        story = load_story(desk.records, uid)
        return "ivanova" in {line.by for line in story.deliveries[0].history}

    wait_until(retried, WAIT_S, "the word of a person")
    desk.proxy.fault = passes
    wait_until(lambda: desk.states(uid) == [State.DELIVERED], WAIT_S, "what waited")
    assert "gkb1 → archive" in gateway_command(desk, "reconcile", "gkb1", "--mend")
    assert desk.states(uid) == [State.DELIVERED]
    desk.proxy.fault = REFUSED


def test_a_destination_is_tested_and_the_answer_stays(desk: Desk, page: Page) -> None:
    page.goto(desk.url + "/destinations")
    page.get_by_role("button", name="Проверить соединение").first.click()
    answers = page.locator("#tested-archive li")
    expect(answers.first).to_contain_text("связь", timeout=PATIENCE_MS)
    with page.expect_response(lambda r: r.url.endswith("/destinations") and r.status == 200):
        pass  # the page has shown itself again
    expect(answers.first).to_contain_text("связь")


def test_a_page_lives_through_a_restart_and_says_that_it_waits(
    desk: Desk, page: Page, parked: str
) -> None:
    page.goto(desk.url + "/deliveries?study=" + parked)
    page.get_by_label("UID исследования").fill("1.2")
    web = desk.gateway.program
    web.stop()
    expect(page.locator("#lost")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.locator(".queue")).to_contain_text("отложена")
    web.start()
    expect(page.locator("#lost")).to_be_hidden(timeout=PATIENCE_MS)
    expect(page.get_by_label("UID исследования")).to_have_value("1.2")


def test_all_of_a_filter_are_excluded_by_keyboard_alone(desk: Desk, page: Page) -> None:
    uid = desk.store(a_study(9103, (1,)), State.PARKED)
    page.goto(desk.url + "/deliveries?study=" + uid)
    page.get_by_role("link", name="Не отправлять").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#meant")).to_have_text("1")
    page.get_by_label("Причина").focus()
    page.keyboard.type("проверка аппарата")
    page.keyboard.press("Enter")
    expect(page.locator("#notice")).to_contain_text("Исключены: 1")
    assert desk.states(uid) == [State.EXCLUDED]
    history = load_story(desk.records, uid).deliveries[0].history[-1]
    assert (history.by, history.reason) == ("console", "проверка аппарата")
