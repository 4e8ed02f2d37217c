"""The upload page stores what people have: a folder of a disc, with whatever lies in it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.browser.conftest import DESKTOP, PHONE, save
from tests.conftest import StartOrthanc
from tests.documents import a_text_report
from tests.running import RunningGateway, load, start_gateway
from tests.studies import Instance, a_study, an_instance

pytestmark = [pytest.mark.real, pytest.mark.browser]

PATIENCE_MS = 60_000


@pytest.fixture(scope="module")
def gateway(
    start_orthanc: StartOrthanc, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningGateway]:
    """Two hospitals, one of which holds the study that a test sends other content of."""
    servers = {name: start_orthanc(name) for name in ("gkb1", "zlat")}
    load(servers["zlat"], [an_instance(70)])
    running = start_gateway(
        tmp_path_factory.mktemp("gateway"),
        {name: server.url for name, server in servers.items()},
        servers,
        home="gkb1",
    )
    yield running
    running.program.stop()


@pytest.fixture
def upload_page(browser: Browser, gateway: RunningGateway) -> Iterator[Page]:
    """The page, in a fresh context; nothing may have gone wrong in it."""
    context = browser.new_context(viewport={"width": DESKTOP[0], "height": DESKTOP[1]})
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda m: errors.append(m.text) if "Policy" in m.text else None)
    page.goto(gateway.url + "/upload")
    yield page
    context.close()
    assert errors == []


def write(folder: Path, **files: bytes) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def a_disc(folder: Path, study: list[Instance]) -> Path:
    """A folder as it lies on a patient's disc."""
    return write(
        folder,
        **{f"DICOM/IM{n}": instance.data for n, instance in enumerate(study)},
        **{"README.TXT": b"open the viewer", "VIEWER/viewer.exe": b"MZ" + bytes(500)},
    )


def counts(page: Page) -> dict[str, str]:
    names = ("stored", "failed", "skipped")
    return {name: page.locator(f"#{name}").inner_text() for name in names}


def wait_for(page: Page, words: str) -> None:
    expect(page.locator("#stage")).to_contain_text(words, timeout=PATIENCE_MS)


def held(gateway: RunningGateway, study_uid: str) -> int:
    return len(gateway.get(f"/studies/{study_uid}/instances").json())


def test_a_folder_is_stored_and_its_study_can_be_opened(
    upload_page: Page, gateway: RunningGateway, tmp_path: Path
) -> None:
    study = a_study(400, (3, 2))
    upload_page.set_input_files("#folder", a_disc(tmp_path / "disc", study))
    wait_for(upload_page, "Готово: всё сохранено")
    wait_for(upload_page, "Done: all is stored")
    assert counts(upload_page) == {"stored": "5", "failed": "0", "skipped": "2"}
    assert held(gateway, study[0].study_uid) == 5
    link = upload_page.get_by_role("link", name="Открыть исследование, снимков: 5")
    assert (link.get_attribute("href") or "").endswith(f"StudyInstanceUIDs={study[0].study_uid}")
    assert upload_page.locator("#bar").evaluate("bar => bar.value") == 1


def test_the_report_of_an_uploaded_study_is_a_click_away(
    upload_page: Page, gateway: RunningGateway, tmp_path: Path
) -> None:
    report = a_text_report(402)
    upload_page.set_input_files("#files", write(tmp_path, report=report.data) / "report")
    wait_for(upload_page, "Готово: всё сохранено")
    upload_page.get_by_role("link", name="Протокол Report").click()
    expect(upload_page.get_by_text("Иванов Пётр Ильич")).to_be_visible()
    for width in (390, 1440):
        upload_page.set_viewport_size({"width": width, "height": 844})
        overflow = "document.documentElement.scrollWidth - window.innerWidth"
        assert upload_page.evaluate(overflow) <= 0


def test_the_chosen_hospital_gets_the_images(
    upload_page: Page, gateway: RunningGateway, tmp_path: Path
) -> None:
    instance = an_instance(401)
    upload_page.select_option("#site", "/sites/zlat/dicom-web")
    upload_page.set_input_files("#files", write(tmp_path, image=instance.data) / "image")
    wait_for(upload_page, "Готово: всё сохранено")
    answer = gateway.get(f"/studies?StudyInstanceUID={instance.study_uid}&includefield=00080054")
    assert answer.json()[0]["00080054"]["Value"] == ["ZLAT"]


def test_what_fails_is_named_with_its_reason_in_both_languages(
    upload_page: Page, gateway: RunningGateway, tmp_path: Path
) -> None:
    good = an_instance(402)
    write(
        tmp_path / "disc",
        good=good.data,
        cut=an_instance(402, number=2).data[:-50],
        forged=an_instance(70, StudyDescription="Подмена").data,
        junk=good.data[:132] + b"junk" * 100,
    )
    upload_page.set_input_files("#folder", tmp_path / "disc")
    wait_for(upload_page, "Готово, но не всё сохранено")
    assert counts(upload_page) == {"stored": "1", "failed": "3", "skipped": "0"}
    rows = upload_page.locator("#problem-list tr").all_inner_texts()
    told = {row.split()[0].rpartition("/")[2]: " ".join(row.split()[1:]) for row in rows}
    damaged = "файл повреждён или не читается как DICOM damaged, or cannot be read as DICOM"
    conflict = (
        "такой снимок уже есть, но с другим содержимым; прежний оставлен "
        "held already with other content; the original stays"
    )
    assert told == {"cut": damaged, "junk": damaged, "forged": conflict}


def test_a_cut_is_repeated_and_doubles_nothing(
    upload_page: Page, gateway: RunningGateway, tmp_path: Path
) -> None:
    """The first request is stored, but its answer never comes."""
    study = a_study(403, (4,))
    requests = 0

    def lose_the_first_answer(route: Route) -> None:
        nonlocal requests
        requests += 1
        if requests == 1:
            route.fetch()
            route.fulfill(status=503, body="")
        else:
            route.continue_()

    upload_page.route("**/studies", lose_the_first_answer)
    upload_page.set_input_files("#folder", a_disc(tmp_path / "disc", study))
    wait_for(upload_page, "Готово: всё сохранено")
    assert (requests, counts(upload_page)["stored"]) == (2, "4")
    assert held(gateway, study[0].study_uid) == 4


def test_what_failed_can_be_tried_again(
    upload_page: Page, gateway: RunningGateway, tmp_path: Path
) -> None:
    study = a_study(404, (2,))
    upload_page.route("**/studies", lambda route: route.fulfill(status=507, body=""))
    upload_page.set_input_files("#folder", a_disc(tmp_path / "disc", study))
    wait_for(upload_page, "Готово, но не всё сохранено")
    assert "на диске шлюза нет места" in upload_page.locator("#problem-list").inner_text()
    upload_page.unroute("**/studies")
    upload_page.get_by_role("button", name="Повторить несохранённые").click()
    wait_for(upload_page, "Готово: всё сохранено")
    assert counts(upload_page) == {"stored": "2", "failed": "0", "skipped": "2"}


def test_one_uid_twice_is_judged_file_by_file(
    upload_page: Page, gateway: RunningGateway, tmp_path: Path
) -> None:
    first, forged = an_instance(405), an_instance(405, StudyDescription="Подмена")
    write(tmp_path / "disc", a=first.data, b=first.data, c=forged.data)
    upload_page.set_input_files("#folder", tmp_path / "disc")
    wait_for(upload_page, "Готово, но не всё сохранено")
    assert counts(upload_page) == {"stored": "2", "failed": "1", "skipped": "0"}
    assert upload_page.locator("#problem-list th").all_inner_texts() == ["disc/c"]


def test_a_folder_can_be_dropped(
    upload_page: Page, gateway: RunningGateway, tmp_path: Path
) -> None:
    """As a file manager does it: chromium is told a path."""
    study = a_study(406, (3,))
    disc = a_disc(tmp_path / "disc", study)
    session = upload_page.context.new_cdp_session(upload_page)
    for step in ("dragEnter", "dragOver", "drop"):
        data = {"items": [], "files": [str(disc)], "dragOperationsMask": 1}
        session.send("Input.dispatchDragEvent", {"type": step, "x": 300, "y": 300, "data": data})
    wait_for(upload_page, "Готово: всё сохранено")
    assert counts(upload_page) == {"stored": "3", "failed": "0", "skipped": "2"}
    assert held(gateway, study[0].study_uid) == 3


def test_the_bar_follows_what_has_been_sent(upload_page: Page, tmp_path: Path) -> None:
    """It rises, is full at the end and only then, and says in words how much has gone."""
    study = a_study(408, (4,), frames=100)
    disc = a_disc(tmp_path / "disc", study * 2)  # one UID twice goes in two requests
    upload_page.evaluate(
        "() => { const bar = document.querySelector('#bar'); window.seen = [];"
        "new MutationObserver(() => window.seen.push(bar.value))"
        ".observe(bar, {attributes: true, attributeFilter: ['value']}); }"
    )
    upload_page.set_input_files("#folder", disc)
    wait_for(upload_page, "Готово: всё сохранено")
    seen = upload_page.evaluate("window.seen")
    assert (seen, seen[-1]) == (sorted(seen), 1)
    assert [value for value in seen if 0 < value < 1] != []
    moved, _, total = upload_page.locator("#moved").inner_text().partition(" / ")
    assert total == f"{moved} МБ · MB"


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_the_page_fits_its_screen(upload_page: Page, tmp_path: Path, size: tuple[int, int]) -> None:
    upload_page.set_viewport_size({"width": size[0], "height": size[1]})
    name = "очень_длинное_имя_файла_без_единого_пробела_" * 3
    write(tmp_path / "disc", **{name: an_instance(407).data[:-50]})
    save(upload_page, tmp_path, "before")
    upload_page.set_input_files("#folder", tmp_path / "disc")
    wait_for(upload_page, "Готово, но не всё сохранено")
    save(upload_page, tmp_path, "after")
    wide = (
        "[...document.querySelectorAll('html, section')].filter(e => e.scrollWidth > e.clientWidth)"
    )
    assert upload_page.evaluate(f"{wide}.map(e => e.id || e.tagName)") == []
