"""The ministry's pages in a browser, with the whole sample region: every chart is drawn, nothing
overflows, nothing comes from elsewhere, and paper is black and white.

Pictures of all pages are kept in build/rollout.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, expect

from tests.browser.conftest import save
from tests.browser.ministry import (
    CHARTS,
    FAULTS,
    PATIENCE_MS,
    PICTURES,
    SIZES,
    Region,
    watched,
)

pytestmark = [pytest.mark.real, pytest.mark.browser]

DRAWN = "[...document.querySelectorAll('.chart')].every((box) => box.dataset.drawn)"
PAINTED = """() => [...document.querySelectorAll('.chart canvas')].map((canvas) => {
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  let painted = 0, coloured = 0;
  for (let n = 0; n < data.length; n += 4) {
    const [r, g, b] = [data[n], data[n + 1], data[n + 2]];
    painted += r !== data[0] || g !== data[1] || b !== data[2];
    coloured += Math.max(r, g, b) - Math.min(r, g, b) > 12;
  }
  return { painted, coloured };
})"""


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(
        viewport={"width": SIZES["desktop"][0], "height": SIZES["desktop"][1]},
        accept_downloads=True,
    )
    yield context
    context.close()


@pytest.mark.parametrize("code", ["ru", "en"])
@pytest.mark.parametrize(
    ("size", "scheme"), [("phone", "light"), ("desktop", "light"), ("desktop", "dark")]
)
def test_every_page_is_whole(
    region: Region, browser: Browser, code: str, size: str, scheme: str
) -> None:
    width, height = SIZES[size]
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, locale="ru-RU"
    )
    page = context.new_page()
    wrong = watched(page, region.gateway.url + "/")
    faults: dict[str, list[str]] = {}
    drawn: dict[str, int] = {}
    for name in CHARTS:
        page.goto(region.page(name, code))
        page.wait_for_function(DRAWN, timeout=PATIENCE_MS)
        painted = page.evaluate(PAINTED)
        drawn[name] = sum(one["painted"] > 500 for one in painted)
        PICTURES.mkdir(parents=True, exist_ok=True)
        save(page, PICTURES, f"{name}-{code}-{size}-{scheme}", whole=CHARTS[name] > 1)
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        if found := page.evaluate(FAULTS):
            faults[name] = found
    context.close()
    assert faults == {}
    assert (wrong, drawn) == ([], CHARTS)


def test_on_paper_charts_are_black_and_white_and_their_numbers_stand_beside_them(
    region: Region, context: BrowserContext
) -> None:
    page = context.new_page()
    page.set_viewport_size({"width": 718, "height": 1000})  # of A4 within its margins
    page.goto(region.page("report"))
    page.wait_for_function(DRAWN, timeout=PATIENCE_MS)
    on_screen = page.evaluate(PAINTED)
    assert sum(one["coloured"] for one in on_screen) > 1000
    page.emulate_media(media="print")
    expect(page.locator("nav")).to_be_hidden()
    expect(page.locator("#curve ~ .below table")).to_be_visible()
    page.wait_for_function(f"() => ({PAINTED})().every((one) => one.coloured === 0)")
    on_paper = page.evaluate(PAINTED)
    assert [one["painted"] > 500 for one in on_paper] == [True] * CHARTS["report"]
    save(page, PICTURES, "report-ru-paper", whole=True)


def test_a_chart_is_read_by_keys_and_saved_as_a_picture(
    region: Region, context: BrowserContext, tmp_path: Path
) -> None:
    page = context.new_page()
    page.goto(region.page("glance"))
    page.wait_for_function(DRAWN, timeout=PATIENCE_MS)
    page.locator("#curve").focus()
    page.keyboard.press("ArrowLeft")
    last = page.locator("#curve ~ .below tbody tr").first
    expect(page.locator("#curve-said")).to_have_text(
        ", ".join(last.locator("th, td").all_text_contents())
    )
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(last).to_be_visible()
    with page.expect_download() as download:
        page.locator("[data-png=curve]").click()
    download.value.save_as(tmp_path / "curve.png")
    assert download.value.suggested_filename == "curve.png"
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_facilities_are_found_sorted_and_opened_by_keyboard(
    region: Region, context: BrowserContext
) -> None:
    page = context.new_page()
    page.goto(region.page("facilities", "en"))
    rows = page.locator(".many tbody tr")
    expect(rows).to_have_count(566)
    page.get_by_label("Name").focus()
    page.keyboard.type("№ 39")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("lang=en"))
    few = rows.count()
    assert 0 < few < 20
    page.get_by_role("link", name="Units").focus()
    page.keyboard.press("Enter")
    expect(page.locator("th[aria-sort=descending]")).to_contain_text("Units")
    expect(rows).to_have_count(few)
    rows.first.get_by_role("link").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#units")).to_be_visible()
    expect(page.locator("html")).to_have_attribute("lang", "en")


def test_the_map_zooms_by_buttons_and_leads_to_a_facility(
    region: Region, context: BrowserContext
) -> None:
    page = context.new_page()
    page.goto(region.page("facilities"))
    page.wait_for_function(DRAWN, timeout=PATIENCE_MS)
    zoom = "echarts.getInstanceByDom(document.getElementById('map')).getOption().dataZoom[0]"
    page.get_by_role("button", name="Крупнее").click()
    narrowed = page.evaluate(f"(({zoom}).end - ({zoom}).start)")
    assert narrowed == pytest.approx(60)
    page.get_by_role("button", name="Весь регион").click()
    assert page.evaluate(f"(({zoom}).end - ({zoom}).start)") == pytest.approx(100)
    at = page.evaluate(
        """() => {
          const chart = echarts.getInstanceByDom(document.getElementById("map"));
          const { series } = chart.getOption();
          const seriesIndex = series.findIndex((one) => one.data.length);
          return chart.convertToPixel({ seriesIndex }, series[seriesIndex].data[0]);
        }"""
    )
    page.locator("#map").click(position={"x": at[0], "y": at[1]})
    expect(page.locator("#units")).to_be_visible()
