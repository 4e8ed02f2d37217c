"""The register's pages in a browser, as somebody of the ministry works with them: everything is
reached by keys, a file's mistakes are told by row and column, and what is confirmed is seen.

Pictures of all pages are kept in build/rollout.
"""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.conftest import save
from tests.browser.ministry import FAULTS, PICTURES, SIZES, Region, watched

pytestmark = [pytest.mark.real, pytest.mark.browser]

UNIT, FACILITY = "gkb1-ct", "gkb1"
PAGES = {
    "list": ("", {}),
    "found": ("", {"words": UNIT}),
    "facility": (f"/facilities/{FACILITY}", {}),
    "unit": (f"/units/{UNIT}", {}),
    "new-facility": ("/facility/edit", {}),
    "edit": ("/unit/edit", {"id": UNIT}),
    "import": ("/import", {}),
}
FACILITY_HEADINGS = "Код организации;Название;Вид организации;Муниципалитет;Широта;Долгота"
UNIT_HEADINGS = "Код аппарата;Код организации;Вид аппарата;Получение снимка;Состояние;Год выпуска"
WRONG = f"""{UNIT_HEADINGS}
proba-1;gkb1;маммограф;цифровой;работает;2024
proba-2;gkb1;томограф;цифровой;работает;прошлый
proba-3;nowhere;маммограф;цифровой;работает;2024
proba-1;gkb1;маммограф;цифровой;списан;2024
"""
FOCUSED = """() => {
  const at = document.activeElement;
  if (!at || at === document.body) return "";
  const style = getComputedStyle(at);
  const seen = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
  return `${at.id || at.name || at.innerText.trim()}${seen ? "" : " (unseen)"}`;
}"""
WANTED = """[...document.querySelectorAll(
  "main :is(a[href], button, select, summary, input:not([type=hidden]))"
)].filter((one) => one.getClientRects().length)
  .filter((one) => !one.closest("details:not([open]) > :not(summary)"))
  .map((one) => one.id || one.name || one.innerText.trim())"""


@pytest.fixture(params=["ru", "en"])
def code(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=["phone", "desktop"])
def size(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def context(browser: Browser, size: str) -> Iterator[BrowserContext]:
    width, height = SIZES[size]
    context = browser.new_context(viewport={"width": width, "height": height}, locale="ru-RU")
    yield context
    context.close()


def kept(page: Page, name: str) -> list[str]:
    """What is wrong with a page, of which a picture is kept."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    save(page, PICTURES, f"register-{name}")
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    return page.evaluate(FAULTS)


def send(page: Page, region: Region, code: str, *files: tuple[str, str]) -> None:
    """Files are chosen and shown; nothing is written yet."""
    page.goto(region.register("/import", code))
    payloads = [
        {"name": name, "mimeType": "text/csv", "buffer": text.encode("utf-8-sig")}
        for name, text in files
    ]
    page.locator("#files").set_input_files(payloads)  # type: ignore[arg-type]
    page.locator("main form button").click()


def rows(page: Page, section: str) -> list[list[str]]:
    """The cells of the table of a section."""
    found = page.locator(f"[aria-labelledby={section}] tbody tr").all()
    return [row.locator("th, td").all_inner_texts() for row in found]


def test_every_page_of_the_register_is_whole(
    region: Region, context: BrowserContext, code: str, size: str
) -> None:
    page = context.new_page()
    wrong = watched(page, region.gateway.url + "/")
    faults = {}
    for name, (path, asked) in PAGES.items():
        answer = page.goto(region.register(path, code, **asked))
        assert answer is not None
        assert answer.status == 200
        expect(page.locator("html")).to_have_attribute("lang", code)
        if found := kept(page, f"{name}-{code}-{size}"):
            faults[name] = found
    assert (faults, wrong) == ({}, [])


@pytest.mark.parametrize("size", ["desktop"], indirect=True)
@pytest.mark.parametrize("name", ["found", "facility", "unit", "edit", "import"])
def test_every_button_is_reached_by_the_tabulator_and_seen(
    region: Region, context: BrowserContext, name: str
) -> None:
    page = context.new_page()
    path, asked = PAGES[name]
    page.goto(region.register(path, **asked))
    wanted = page.evaluate(WANTED)
    assert wanted
    reached: list[str] = []
    for _ in range(len(wanted) * 3 + 40):  # a date has three fields and a button of its own
        page.keyboard.press("Tab")
        at = page.evaluate(FOCUSED)
        if not at and reached:
            break
        if not reached or reached[-1] != at:
            reached.append(at)
    here = [one for one in reached if one in wanted]
    unseen = {one.removesuffix(" (unseen)") for one in reached if one.endswith("(unseen)")}
    assert unseen <= {*here}, "but for the calendar within a field of a day, which has its own"
    assert here == wanted


def test_a_file_with_mistakes_is_told_by_row_and_column_and_writes_nothing(
    region: Region, context: BrowserContext, code: str, size: str
) -> None:
    page = context.new_page()
    send(page, region, code, ("аппараты.csv", WRONG))
    told = [(row[1], row[2]) for row in rows(page, "mistakes")]
    columns = {
        "ru": ("Вид аппарата", "Год выпуска", "Код организации", "Код аппарата"),
        "en": ("Kind of unit", "Year of make", "Facility id", "Unit id"),
    }[code]
    assert told == [*zip(("3", "3", "4", "5"), columns, strict=True)]
    assert kept(page, f"mistakes-{code}-{size}") == []
    expect(page.locator("#confirm")).to_have_count(0)
    page.goto(region.register(words="proba-"))
    expect(page.locator("#units")).to_have_count(0)


def test_a_good_file_is_confirmed_by_keys_and_then_seen_and_merged(
    region: Region, context: BrowserContext, code: str, size: str
) -> None:
    place, machine = f"new-{code}-{size}", f"u-new-{code}-{size}"
    page = context.new_page()
    wrong = watched(page, region.gateway.url + "/")
    facilities = f"{FACILITY_HEADINGS}\n{place};Новая больница {place};больница;Миасс;55,05;60,1\n"
    units = f"{UNIT_HEADINGS}\n{machine};{place};маммограф;цифровой;работает;2024\n"
    send(page, region, code, ("организации.csv", facilities), ("аппараты.csv", units))
    assert [row[0] for row in rows(page, "rows")] == [place, machine]
    assert kept(page, f"preview-{code}-{size}") == []
    page.locator("#reason").focus()
    page.keyboard.type("Поставка по программе")
    page.keyboard.press("Enter")
    expect(page.locator("p.done")).to_be_visible()
    expect(page.locator("html")).to_have_attribute("lang", code)

    page.locator("#words").focus()
    page.keyboard.type(place)
    page.keyboard.press("Enter")
    page.locator("[aria-labelledby=facilities] tbody a").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#units")).to_have_text(re.compile("^1"))
    expect(page.locator(".revisions > li")).to_have_count(1)
    expect(page.locator(".revisions > li")).to_contain_text("Поставка по программе")

    page.locator("#into").fill(FACILITY)
    page.locator("#reason").fill("Дубль")
    page.locator("#reason").press("Enter")
    expect(page.locator("p.done")).to_be_visible()
    expect(page.locator(".revisions > li")).to_have_count(2)
    assert kept(page, f"merged-{code}-{size}") == []
    page.goto(region.register(f"/units/{machine}", code))
    expect(page.locator(f"main a[href*='/facilities/{FACILITY}']").first).to_be_visible()

    page.goto(region.register("/unit/edit", code, id=machine))
    page.locator("#capture").select_option("")
    page.locator("#reason").fill("Проверка")
    page.evaluate("document.querySelector('form.record').noValidate = true")
    page.locator("form.record button").click()
    expect(page.locator("#capture-wrong")).to_be_visible()
    expect(page.locator("#capture")).to_have_attribute("aria-invalid", "true")
    assert kept(page, f"refused-{code}-{size}") == []
    page.locator("#capture").select_option("analogue")
    page.locator("form.record button").click()
    expect(page.locator("p.done")).to_be_visible()
    assert [one for one in wrong if "400" not in one] == []


@pytest.mark.parametrize("size", ["phone"], indirect=True)
def test_whose_images_they_are_is_said_and_taken_back(
    region: Region, context: BrowserContext, code: str
) -> None:
    page = context.new_page()
    page.goto(region.page("discrepancies", code))
    first = page.locator("article.sender").first
    number = (first.get_attribute("id") or "").removeprefix("sender-")
    count = page.locator("article.sender").count()
    first.locator("details.otherwise summary").focus()
    page.keyboard.press("Enter")
    page.locator(f"#unit-{number}").fill(UNIT)
    page.keyboard.press("Enter")
    expect(page.locator("p.done")).to_be_visible()
    expect(page.locator("article.sender")).to_have_count(count - 1)
    page.goto(f"{region.gateway.url}/rollout/facilities/{FACILITY}?lang={code}")
    expect(page.locator("[aria-labelledby=said] li")).to_have_count(1)
    assert kept(page, f"said-{code}") == []
    page.locator("[aria-labelledby=said] button").focus()
    page.keyboard.press("Enter")
    expect(page.locator("p.done")).to_be_visible()
    page.goto(region.page("discrepancies", code))
    expect(page.locator(f"#sender-{number}")).to_be_visible()
